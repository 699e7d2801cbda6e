//! The demo's steps. Each checks what it shows, and fails with what it saw.

use std::path::Path;

use crossinvoke_harness::{
    Accounts, Bench, Context as _, Error, Result, Scenario, Setup,
    accounts::{FUNCTION, PIPELINE},
    objects::{self, condition, has_reason},
    wait::{DEADLINE, eventually, until_object},
};
use futures::StreamExt as _;
use kube::{Api, api::DynamicObject, runtime::watcher::watch_object};
use serde_json::Value;

use crate::{found, screen::Screen};

/// The namespace of the demo's tenant.
const NAMESPACE: &str = "payments";
/// The demo's object.
const NAME: &str = "validate";

/// Tells the whole story; with `keep` it then stays until it is interrupted.
pub(crate) async fn tell(screen: &mut Screen, controller: &Path, keep: bool) -> Result<()> {
    screen.step("Start a control plane: etcd and kube-apiserver");
    let bench = screen.waiting("starting", Bench::without_crds(controller)).await?;
    let version = bench.control_plane().kubectl().run(&["version"]).await?;
    screen.command("kubectl version");
    screen.show(&version);
    expect(version.contains("Server Version: v1."), "a server version", &version)?;

    let accounts = Accounts::of_demo();
    let mut scenario = start_aws(screen, &bench, &accounts).await?;
    install(screen, &bench, &mut scenario).await?;
    open_accounts(screen, &scenario).await?;

    let before = scenario.configuration()?;
    converge(screen, &scenario).await?;
    show_parts(screen, &scenario)?;
    remove(screen, &scenario, &before).await?;
    screen.say(&format!("Done in {} s.", screen.elapsed().as_secs()));
    if keep {
        stay(screen, &bench, &scenario).await?;
    } else {
        scenario.controller()?.stop().await?;
    }
    Ok(())
}

async fn start_aws<'a>(screen: &mut Screen, bench: &'a Bench, accounts: &Accounts) -> Result<Scenario<'a>> {
    screen.step("Start an AWS double with three accounts");
    let setup = Setup::default().accounts(accounts.clone());
    let scenario = screen.waiting("starting", Scenario::prepare(bench, NAMESPACE, setup)).await?;
    let stages = found::stages(accounts, &scenario.configuration()?);
    screen.show(&format!(
        "{} platform  the controller's identity\n{} tools     pipeline {PIPELINE}: {stages}\n{} dev       function {FUNCTION}",
        accounts.platform, accounts.tools, accounts.dev
    ));
    expect(stages == "Source > Build > Deploy", "three stages", &stages)?;
    Ok(scenario)
}

async fn install(screen: &mut Screen, bench: &Bench, scenario: &mut Scenario<'_>) -> Result<()> {
    screen.step("Install the CRDs and the controller's rights from the chart, and start the controller with them");
    screen.waiting("installing", bench.install_crds()).await?;
    let kubectl = scenario.kubectl();
    let crds = kubectl.run(&["get", "crd", "--output=name"]).await?;
    screen.command("kubectl get crd -o name");
    screen.show(&crds);
    for name in ["awsaccounts.crossinvoke.dev", "crossaccountinvokes.crossinvoke.dev"] {
        expect(crds.contains(name), name, &crds)?;
    }
    scenario.start_controller().await?;
    let controller = scenario.controller()?;
    let ready = eventually("GET /readyz answers 200", DEADLINE, || async {
        match controller.get("/readyz").await {
            Ok((200, _)) => Ok(()),
            Ok((status, body)) => Err(format!("{status} {body}")),
            Err(error) => Err(error.to_string()),
        }
    });
    screen.waiting("the controller starts", ready).await?;
    screen.right(&format!("the controller is ready: http://{}/readyz", scenario.controller()?.http()));
    Ok(())
}

async fn open_accounts(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step("As the platform team: open two accounts to one namespace");
    let tools = objects::tools_account(&scenario.accounts, NAMESPACE);
    let dev = objects::dev_account(&scenario.accounts, NAMESPACE);
    for (file, account) in [("tools.yaml", &tools), ("dev.yaml", &dev)] {
        apply(screen, scenario, file, account).await?;
    }
    for account in [&tools, &dev] {
        let name = account["metadata"]["name"].as_str().unwrap_or_default();
        screen.waiting("until Ready", until_ready(&scenario.aws_accounts(), name)).await?;
    }
    screen.command("kubectl get awsaccounts");
    screen.show(&scenario.kubectl().run(&["get", "awsaccounts"]).await?);
    screen.right("the controller has entered both accounts");
    Ok(())
}

async fn converge(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step("As the tenant: one object");
    apply(screen, scenario, "validate.yaml", &scenario.invoke(NAME)).await?;
    let namespace = format!("--namespace={NAMESPACE}");
    screen.command(&format!("kubectl get crossaccountinvokes {namespace} --watch"));
    let api = scenario.invokes();
    let mut changes = Box::pin(watch_object(api.clone(), NAME));
    let mut shown = String::new();
    let follow = async {
        while let Some(change) = changes.next().await {
            let Some(object) = change.context("watching the object")? else { continue };
            let table = scenario.kubectl().run(&["get", "crossaccountinvokes", &namespace]).await?;
            // The object may have moved on since the change, and most changes are none of the columns.
            if table != shown {
                screen.show(&table);
                shown = table;
            }
            if has_reason(&object, "Converged") {
                return Ok(());
            }
        }
        Err(Error::new("the watch ended"))
    };
    let followed = screen.waiting("until Ready", tokio::time::timeout(DEADLINE * 2, follow)).await;
    match followed {
        Ok(outcome) => outcome?,
        Err(_) => return Err(Error::new(format!("not Ready in time\n{}", scenario.state().await))),
    }
    screen.right("Ready: AWS has what the object declares");
    Ok(())
}

fn show_parts(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step("What now exists in both accounts, as AWS shows it");
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
    screen.step("Delete the object");
    let kubectl = scenario.kubectl();
    let namespace = format!("--namespace={NAMESPACE}");
    screen.command(&format!("kubectl delete crossaccountinvoke {NAME} {namespace}"));
    kubectl.run(&["delete", "crossaccountinvoke", NAME, &namespace, "--wait=false"]).await?;
    screen.waiting("until it is gone", scenario.until_gone(NAME)).await?;
    screen.right("the object is gone");
    scenario.assert_as_before(before)?;
    screen.right("AWS is as it was before: the difference of the two snapshots is empty");
    Ok(())
}

async fn apply(screen: &Screen, scenario: &Scenario<'_>, file: &str, object: &Value) -> Result<()> {
    let text = yaml(object)?;
    let path = scenario.folder().join(file);
    std::fs::write(&path, &text).context(format_args!("writing {}", path.display()))?;
    screen.command(&format!("kubectl apply --server-side -f {file}"));
    screen.show(&text);
    let said = scenario.kubectl().apply(&text).await?;
    screen.right(said.trim());
    Ok(())
}

async fn until_ready(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    let ready = |object: Option<&DynamicObject>| {
        object.and_then(|object| condition(object, "Ready")).is_some_and(|(status, _)| status == "True")
    };
    until_object(api, name, &format!("{name} is Ready"), DEADLINE, ready).await.map(|_| ())
}

/// Prints what to try, and waits to be interrupted.
async fn stay(screen: &mut Screen, bench: &Bench, scenario: &Scenario<'_>) -> Result<()> {
    screen.step("It keeps running; in another terminal:");
    let plane = bench.control_plane();
    let accounts = &scenario.accounts;
    let kubectl = plane.tools().kubectl.display();
    // The first version of the AWS CLI reads only the second variable.
    let region = &accounts.region;
    screen.show(&format!(
        "export KUBECONFIG={}\n\
         {kubectl} apply --server-side -f {}\n\
         {kubectl} get crossaccountinvokes,awsaccounts --all-namespaces\n\
         {kubectl} describe crossaccountinvoke {NAME} --namespace={NAMESPACE}\n\
         {kubectl} delete crossaccountinvoke {NAME} --namespace={NAMESPACE}\n\
         \n\
         # The AWS CLI against the double, as the root of the tools account ({}: the dev account's key):\n\
         export AWS_ENDPOINT_URL={} AWS_REGION={region} AWS_DEFAULT_REGION={region}\n\
         export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=any\n\
         aws codepipeline get-pipeline --name {PIPELINE}\n\
         curl -s {}/_fakeaws/snapshot",
        plane.kubeconfig().display(),
        scenario.folder().join("validate.yaml").display(),
        accounts.root_key(&accounts.dev),
        scenario.aws_endpoint(),
        accounts.root_key(&accounts.tools),
        scenario.aws_endpoint(),
    ));
    screen.say("Ctrl-C stops everything.");
    std::future::pending().await
}

fn yaml(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).context("showing a value")
}

fn expect(right: bool, what: &str, seen: &str) -> Result<()> {
    if right { Ok(()) } else { Err(Error::new(format!("expected {what}; saw:\n{seen}"))) }
}
