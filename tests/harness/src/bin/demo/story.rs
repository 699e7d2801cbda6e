//! The demo's steps in their order. Each checks what it shows, and fails with what it saw.

use std::path::Path;

use crossinvoke_harness::{
    Accounts, Bench, Deployment, Error, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, FUNCTION, PIPELINE},
    chart,
    objects::{self, condition},
    wait::{DEADLINE, until_object},
};
use kube::{Api, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    acts::{apply, boto3, expect, kubectl, yaml},
    drift, found, keep, releases,
    screen::Screen,
};

/// The namespace of the demo's tenant.
pub(crate) const NAMESPACE: &str = "payments";
/// The demo's object.
pub(crate) const NAME: &str = "validate";
/// The namespace of the controller.
const SYSTEM: &str = "crossinvoke";

/// Tells the whole story; with `stay` everything then keeps running until it is interrupted.
pub(crate) async fn tell(screen: &mut Screen, controller: &Path, stay: bool) -> Result<()> {
    let accounts = Accounts::of_demo();
    let bench = start_control_plane(screen, controller).await?;
    let deployment = Deployment::start().await?;
    let mut scenario = start_aws(screen, &bench, &accounts, &deployment).await?;
    install(screen, &mut scenario).await?;
    open_accounts(screen, &scenario).await?;

    let before = scenario.configuration()?;
    converge(screen, &scenario, &deployment).await?;
    show_parts(screen, &scenario)?;
    releases::passes(screen, &scenario, &deployment).await?;
    releases::is_stopped(screen, &scenario, &deployment).await?;
    drift::tell(screen, &scenario).await?;
    remove(screen, &scenario, &before).await?;
    screen.say(&format!("Done in {} s.", screen.elapsed().as_secs()));
    if stay {
        return keep::stay(screen, &bench, &scenario, &deployment).await;
    }
    screen.say("KEEP=1 make demo leaves all of it running, and says what to try.");
    scenario.controller()?.stop().await.map(drop)
}

async fn start_control_plane(screen: &mut Screen, controller: &Path) -> Result<Bench> {
    screen.step(
        "Start a control plane",
        "The etcd, kube-apiserver, kubectl and helm of this demo are real; only AWS is a double. All is on loopback.",
    );
    let bench = screen.waiting("starting etcd and kube-apiserver", Bench::without_crds(controller)).await?;
    let version = bench.control_plane().kubectl().run(&["version"]).await?;
    screen.command("kubectl version");
    screen.show(&version);
    expect(version.contains("Server Version: v1."), "a server version", &version)?;
    Ok(bench)
}

async fn start_aws<'a>(
    screen: &mut Screen,
    bench: &'a Bench,
    accounts: &Accounts,
    deployment: &Deployment,
) -> Result<Scenario<'a>> {
    screen.step(
        "Look at two AWS accounts: a pipeline in one, a function in the other",
        "The function checks a deployment. The pipeline must ask it before it deploys, and cannot reach it yet.",
    );
    let setup = Setup::default().accounts(accounts.clone()).without_controller().without_rights();
    let scenario = screen.waiting("starting the AWS double", Scenario::prepare(bench, NAMESPACE, setup)).await?;
    screen.waiting("preparing Python with boto3", scenario.use_example_handler(deployment)).await?;
    screen.say(&format!("As the tools account {}:", accounts.tools));
    let stages = [
        "import boto3",
        &format!("pipeline = boto3.client('codepipeline').get_pipeline(name='{PIPELINE}')['pipeline']"),
        "print(' > '.join(stage['name'] for stage in pipeline['stages']))",
    ];
    let seen = boto3(screen, &scenario, &accounts.tools, &stages).await?;
    expect(seen.trim() == "Source > Build > Deploy", "three stages", &seen)?;
    screen.say(&format!("As the dev account {}:", accounts.dev));
    let function = [
        "import boto3",
        &format!("function = boto3.client('lambda').get_function_configuration(FunctionName='{FUNCTION}')"),
        "print(function['FunctionName'], function['Runtime'], function['Role'])",
        &format!("print(boto3.client('iam').list_role_policies(RoleName='{EXECUTION_ROLE}')['PolicyNames'])"),
    ];
    let seen = boto3(screen, &scenario, &accounts.dev, &function).await?;
    expect(seen.contains(FUNCTION) && seen.ends_with("[]\n"), "the function, and no policy of its role", &seen)?;
    screen.say("The function runs examples/validate/index.py, in a Python process with the rights of its role.");
    Ok(scenario)
}

async fn install(screen: &mut Screen, scenario: &mut Scenario<'_>) -> Result<()> {
    screen.step(
        "Install the controller with Helm",
        "The chart brings the CRDs, the controller's rights and its Deployment.",
    );
    let mut release = scenario.release();
    SYSTEM.clone_into(&mut release.namespace);
    kubectl(screen, scenario, &["create", "namespace", SYSTEM]).await?;
    let mut credentials = scenario.credentials();
    credentials["metadata"]["namespace"] = json!(SYSTEM);
    screen.command("kubectl apply --server-side -f credentials.yaml   # on EKS: IRSA or Pod Identity instead");
    screen.show(&scenario.kubectl().apply(&credentials.to_string()).await?);
    screen.say("values.yaml:");
    screen.show(&yaml(&release.values)?);
    let namespace = format!("--namespace={SYSTEM}");
    screen.command(&format!("helm install crossinvoke charts/crossinvoke {namespace} --values values.yaml"));
    let helm = scenario.helm();
    let said = screen.waiting("installing", helm.install(&release, &chart(), &[])).await?;
    screen.show(said.split("NOTES:").next().unwrap_or_default());
    expect(said.contains("STATUS: deployed"), "a deployed release", &said)?;
    let made = kubectl(screen, scenario, &["get", "crd,deployment", &namespace, "--output=name"]).await?;
    for name in ["awsaccounts.crossinvoke.dev", "crossaccountinvokes.crossinvoke.dev", "/crossinvoke\n"] {
        expect(made.contains(name), name, &made)?;
    }
    screen.say("There is no kubelet here: the demo runs the Deployment's arguments and environment as a process.");
    screen.waiting("the controller starts", scenario.start_installed_controller(&release)).await?;
    screen.right("the controller runs with the rights of the chart, and its probes succeed");
    Ok(())
}

async fn open_accounts(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step(
        "As the platform team: open two accounts to one namespace",
        "An AwsAccount says how the controller enters an account, and who may ask for what in it.",
    );
    let tools = objects::tools_account(&scenario.accounts, NAMESPACE);
    let dev = objects::dev_account(&scenario.accounts, NAMESPACE);
    for (file, account) in [("tools.yaml", &tools), ("dev.yaml", &dev)] {
        apply(screen, scenario, file, account).await?;
    }
    for account in [&tools, &dev] {
        let name = account["metadata"]["name"].as_str().unwrap_or_default();
        screen.waiting("until Ready", until_ready(&scenario.aws_accounts(), name)).await?;
    }
    kubectl(screen, scenario, &["get", "awsaccounts"]).await?;
    screen.right("the controller has entered both accounts");
    Ok(())
}

async fn converge(screen: &mut Screen, scenario: &Scenario<'_>, deployment: &Deployment) -> Result<()> {
    screen.step(
        "As the tenant: one object",
        "It declares the stage. What that takes in two accounts is the controller's business.",
    );
    let namespace = format!("--namespace={NAMESPACE}");
    let arguments = ["get", "crossaccountinvokes", &namespace, "--watch"];
    screen.command(&format!("kubectl {} &", arguments.join(" ")));
    let mut watch = scenario.kubectl().watch(&arguments)?;
    let mut invoke = scenario.invoke(NAME);
    invoke["spec"]["action"] = json!({"userParameters": deployment.user_parameters("/health")});
    apply(screen, scenario, "validate.yaml", &invoke).await?;
    let follow = async {
        let mut shown = String::new();
        loop {
            let line = watch.line().await?;
            let columns: Vec<&str> = line.split_whitespace().collect();
            // Most changes are none of the columns; the last of them is the age.
            let seen = columns[..columns.len().saturating_sub(1)].join(" ");
            if seen != shown {
                screen.show(&line);
                shown = seen;
            }
            if columns.get(1) == Some(&"True") {
                return Ok(());
            }
        }
    };
    match screen.waiting("until Ready", tokio::time::timeout(DEADLINE * 2, follow)).await {
        Ok(outcome) => outcome?,
        Err(_) => return Err(Error::new(format!("not Ready in time\n{}", scenario.state().await))),
    }
    screen.right("Ready: AWS has what the object declares");
    Ok(())
}

fn show_parts(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step(
        "What now exists in both accounts, as the AWS double holds it",
        "Five things that must agree; made by hand, a mistake in one shows only when a release fails.",
    );
    let configuration = scenario.configuration()?;
    for part in found::parts(&scenario.accounts, &configuration)? {
        screen.right(&part.title);
        screen.show(&yaml(&part.content)?);
    }
    let stages = found::stages(&scenario.accounts, &configuration);
    screen.say(&format!("The pipeline's stages: {stages}"));
    expect(stages == "Source > Build > Validate > Deploy", "the new stage behind Build", &stages)
}

async fn remove(screen: &mut Screen, scenario: &Scenario<'_>, before: &Value) -> Result<()> {
    screen.step("Delete the object", "The controller takes out of AWS what it made, and nothing else.");
    let namespace = format!("--namespace={NAMESPACE}");
    kubectl(screen, scenario, &["delete", "crossaccountinvoke", NAME, &namespace, "--timeout=60s"]).await?;
    screen.right("the object is gone");
    scenario.assert_as_before(before)?;
    screen.right("AWS is as it was before: the difference of the two snapshots is empty");
    Ok(())
}

async fn until_ready(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let ready = |object: Option<&DynamicObject>| {
        object.and_then(|object| condition(object, "Ready")).is_some_and(|(status, _)| status == "True")
    };
    until_object(api, name, &format!("{name} is Ready"), DEADLINE, ready).await.map(|_| ())
}
