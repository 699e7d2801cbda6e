//! What somebody can and cannot do who has got hold of the controller's credentials, or may edit a pipeline. The sentences
//! of docs/security.md name these scenarios.

use std::path::{Path, PathBuf};

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::{CONTROLLER_ROLE, EXECUTION_ROLE, FUNCTION, PIPELINE, PIPELINE_ROLE},
    repository,
};
use fakeaws::Behaviour;
use serde_json::{Value, json};

use crate::{
    repairing,
    suite::{Case, case, intrusion, own_bench},
    support::{converge, entered, invoke_role_name, refused, role},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("the_rights_with_a_boundary_suffice_from_first_to_last", Setup::default, suffice_with_the_boundary),
        case("the_rights_without_a_boundary_suffice_from_first_to_last", unbounded, suffice_without_it),
        intrusion("a_stolen_pod_in_dev_cannot_leave_the_boundary", Setup::default, stolen_in_dev),
        intrusion("without_a_boundary_a_stolen_pod_makes_an_administrator", unbounded, administrator),
        intrusion("a_stolen_pod_in_tools_reaches_the_named_pipelines_only", Setup::default, stolen_in_tools),
        intrusion("a_stolen_pod_enters_the_named_roles_only", Setup::default, stolen_in_platform),
        intrusion("no_pattern_lets_a_stolen_pod_change_its_own_role", Setup::default, wide_patterns),
        case("an_invoke_role_serves_its_own_pipeline_only", Setup::default, another_pipeline),
        case("pipelines_of_one_service_role_share_its_invoke_roles", Setup::default, sharing_pipeline),
        case("whoever_edits_the_action_chooses_its_parameters", Setup::default, any_parameters),
        case("a_function_that_names_a_role_elsewhere_gets_nothing", Setup::default, role_elsewhere),
        own_bench("every_test_that_the_security_document_names_exists", named_tests_exist),
    ]
}

fn unbounded() -> Setup {
    Setup::default().without_boundary()
}

async fn suffice_with_the_boundary(scenario: &mut Scenario<'_>) -> Result<()> {
    let boundary = scenario.accounts.boundary_arn();
    from_first_to_last(scenario, Some(&boundary)).await
}

async fn suffice_without_it(scenario: &mut Scenario<'_>) -> Result<()> {
    from_first_to_last(scenario, None).await
}

/// Creation, correction of each part, and deletion.
async fn from_first_to_last(scenario: &mut Scenario<'_>, boundary: Option<&str>) -> Result<()> {
    let before = scenario.configuration()?;
    repairing::each_part_changed(scenario).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    let made = role(scenario, &scenario.accounts.dev, &invoke_role_name(&object))?;
    assert_eq!(made["permissionsBoundary"].as_str(), boundary);
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

/// What each attempt of a session came to: `OK`, or the error code. The variables of the process are those of the root of the
/// account that was entered.
pub(crate) async fn attempts(scenario: &Scenario<'_>, entered: Option<&str>, code: &str) -> Result<Value> {
    let accounts = &scenario.accounts;
    let values = json!({
        "key": accounts.controller_key(), "role": entered.map(|account| accounts.controller_role_arn(account)),
        "external": accounts.external_id, "dev": accounts.dev, "tools": accounts.tools, "pipeline": PIPELINE,
        "pipeline_role": PIPELINE_ROLE, "execution_role": EXECUTION_ROLE, "boundary": accounts.boundary_arn(),
        "pipeline_role_arn": accounts.pipeline_role_arn(), "execution_role_arn": accounts.execution_role_arn(),
    });
    let script =
        format!("import json\nvalues = json.loads({:?})\n{COMMON}{code}\nprint(json.dumps(out))\n", values.to_string());
    let printed = scenario.boto3(entered.unwrap_or(&accounts.dev), &script).await?;
    serde_json::from_str(&printed).context("the attempts")
}

const COMMON: &str = r#"
import boto3
from botocore.exceptions import ClientError

out = {}
session = boto3.Session(values["key"], "any")
if values["role"]:
    entered = session.client("sts").assume_role(
        RoleArn=values["role"], RoleSessionName="stolen", ExternalId=values["external"])["Credentials"]
    session = boto3.Session(entered["AccessKeyId"], entered["SecretAccessKey"], entered["SessionToken"])
iam, awslambda, codepipeline, sts = (session.client(name) for name in ("iam", "lambda", "codepipeline", "sts"))

def attempt(what, call, /, **arguments):
    try:
        answer = call(**arguments)
        out[what] = "OK"
        return answer
    except ClientError as error:
        out[what] = error.response["Error"]["Code"]

def policy(action, resource="*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})

def trust(principal):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]})
"#;

async fn stolen_in_dev(scenario: &mut Scenario<'_>) -> Result<()> {
    let code = r#"
mine = {"RoleName": "mine", "AssumeRolePolicyDocument": trust(values["role"])}
ours = {**mine, "Path": "/crossinvoke/"}
attempt("a role elsewhere", iam.create_role, **mine, PermissionsBoundary=values["boundary"])
attempt("a role without a boundary", iam.create_role, **ours)
attempt("a role with another boundary", iam.create_role, **ours,
        PermissionsBoundary="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
attempt("a role with the boundary", iam.create_role, **ours, PermissionsBoundary=values["boundary"])
attempt("all rights for it", iam.put_role_policy, RoleName="mine", PolicyName="p", PolicyDocument=policy("*"))
attempt("another boundary for it", iam.put_role_permissions_boundary, RoleName="mine",
        PermissionsBoundary="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
attempt("no boundary any more", iam.delete_role_permissions_boundary, RoleName="mine")
attempt("a managed policy", iam.attach_role_policy, RoleName="mine",
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
attempt("another role's trust", iam.update_assume_role_policy, RoleName=values["execution_role"],
        PolicyDocument=trust(values["role"]))
attempt("its own rights", iam.put_role_policy, RoleName="crossinvoke", PolicyName="p", PolicyDocument=policy("*"))
attempt("a function's code", awslambda.get_function, FunctionName="MyFunction")
attempt("another function", awslambda.get_function_configuration, FunctionName="Orders")
attempt("all functions", awslambda.list_functions)
attempt("an execution role", sts.assume_role, RoleArn=values["execution_role_arn"], RoleSessionName="stolen")
attempt("a role that everybody may use", iam.create_role, RoleName="theirs", Path="/crossinvoke/",
        AssumeRolePolicyDocument=trust("*"), PermissionsBoundary=values["boundary"])
attempt("a role for another account", iam.update_assume_role_policy, RoleName="theirs",
        PolicyDocument=trust(f"arn:aws:iam::{values['tools']}:root"))
attempt("an execution role's rights", iam.put_role_policy, RoleName=values["execution_role"], PolicyName="p",
        PolicyDocument=policy("*"))
attempt("an execution role with all rights", sts.assume_role, RoleArn=values["execution_role_arn"], RoleSessionName="stolen")
answer = attempt("entering its role", sts.assume_role, RoleArn=f"arn:aws:iam::{values['dev']}:role/crossinvoke/mine",
                 RoleSessionName="stolen")
entered = answer["Credentials"]
session = boto3.Session(entered["AccessKeyId"], entered["SecretAccessKey"], entered["SessionToken"])
attempt("beyond the boundary", session.client("iam").get_role, RoleName="crossinvoke")
attempt("within the boundary", session.client("lambda").list_functions)
"#;
    let dev = scenario.accounts.dev.clone();
    let denied = "AccessDenied";
    let expected = json!({
        "a role elsewhere": denied,
        "a role without a boundary": denied,
        "a role with another boundary": denied,
        "a role with the boundary": "OK",
        "all rights for it": "OK",
        "another boundary for it": denied,
        "no boundary any more": denied,
        "a managed policy": denied,
        "another role's trust": denied,
        "its own rights": denied,
        "a function's code": "AccessDeniedException",
        "another function": "AccessDeniedException",
        "all functions": "AccessDeniedException",
        "an execution role": denied,
        "a role that everybody may use": "OK",
        "a role for another account": "OK",
        "an execution role's rights": "OK",
        "an execution role with all rights": denied,
        "entering its role": "OK",
        "beyond the boundary": denied,
        "within the boundary": "OK",
    });
    assert_eq!(attempts(scenario, Some(&dev), code).await?, expected);
    Ok(())
}

/// What `--without-boundary` costs, as deploy/iam/README.md warns.
async fn administrator(scenario: &mut Scenario<'_>) -> Result<()> {
    let code = r#"
attempt("a role elsewhere", iam.create_role, RoleName="mine", AssumeRolePolicyDocument=trust(values["role"]))
attempt("a role under the path", iam.create_role, RoleName="mine", Path="/crossinvoke/",
        AssumeRolePolicyDocument=trust(values["role"]))
attempt("all rights for it", iam.put_role_policy, RoleName="mine", PolicyName="p", PolicyDocument=policy("*"))
answer = attempt("entering it", sts.assume_role, RoleArn=f"arn:aws:iam::{values['dev']}:role/crossinvoke/mine",
                 RoleSessionName="stolen")
entered = answer["Credentials"]
session = boto3.Session(entered["AccessKeyId"], entered["SecretAccessKey"], entered["SessionToken"])
attempt("anything", session.client("iam").create_role, RoleName="backdoor",
        AssumeRolePolicyDocument=trust(values["role"]))
"#;
    let dev = scenario.accounts.dev.clone();
    let expected = json!({
        "a role elsewhere": "AccessDenied",
        "a role under the path": "OK",
        "all rights for it": "OK",
        "entering it": "OK",
        "anything": "OK",
    });
    assert_eq!(attempts(scenario, Some(&dev), code).await?, expected);
    Ok(())
}

async fn stolen_in_tools(scenario: &mut Scenario<'_>) -> Result<()> {
    let code = r#"
def kind(category, provider):
    return {"category": category, "owner": "AWS", "provider": provider, "version": "1"}

source = {"name": "Source", "actionTypeId": kind("Source", "S3"), "outputArtifacts": [{"name": "Sources"}],
          "configuration": {"S3Bucket": "bucket", "S3ObjectKey": "key"}}
approval = {"name": "Approve", "actionTypeId": kind("Approval", "Manual")}
declaration = {
    "name": values["pipeline"], "roleArn": values["pipeline_role_arn"],
    "artifactStore": {"type": "S3", "location": "bucket"},
    "stages": [{"name": "Source", "actions": [source]}, {"name": "Approve", "actions": [approval]}],
}
other = {**declaration, "name": "orders-release"}
passing = {**declaration, "roleArn": f"arn:aws:iam::{values['tools']}:role/administrator"}
attempt("reading another pipeline", codepipeline.get_pipeline, name="orders-release")
attempt("editing another pipeline", codepipeline.update_pipeline, pipeline=other)
attempt("passing another role", codepipeline.update_pipeline, pipeline=passing)
attempt("starting a pipeline", codepipeline.start_pipeline_execution, name=values["pipeline"])
attempt("a role", iam.create_role, RoleName="mine", AssumeRolePolicyDocument=trust(values["role"]))
attempt("another role's rights", iam.put_role_policy, RoleName="administrator", PolicyName="p", PolicyDocument=policy("*"))
attempt("its own rights", iam.put_role_policy, RoleName="crossinvoke", PolicyName="p", PolicyDocument=policy("*"))
attempt("a pipeline role's trust", iam.update_assume_role_policy, RoleName=values["pipeline_role"],
        PolicyDocument=trust(values["role"]))
attempt("a pipeline role's rights", iam.put_role_policy, RoleName=values["pipeline_role"], PolicyName="p",
        PolicyDocument=policy("*"))
attempt("any edit of the pipeline", codepipeline.update_pipeline, pipeline=declaration)
"#;
    let tools = scenario.accounts.tools.clone();
    let (denied, refused) = ("AccessDenied", "AccessDeniedException");
    let expected = json!({
        "reading another pipeline": refused,
        "editing another pipeline": refused,
        "passing another role": refused,
        "starting a pipeline": refused,
        "a role": denied,
        "another role's rights": denied,
        "its own rights": denied,
        "a pipeline role's trust": denied,
        "a pipeline role's rights": "OK",
        "any edit of the pipeline": "OK",
    });
    assert_eq!(attempts(scenario, Some(&tools), code).await?, expected);
    Ok(())
}

async fn stolen_in_platform(scenario: &mut Scenario<'_>) -> Result<()> {
    let code = r#"
def enter(name, arn, **arguments):
    attempt(name, sts.assume_role, RoleArn=arn, RoleSessionName="stolen", **arguments)

enter("the pipeline's role", values["pipeline_role_arn"])
enter("another role", f"arn:aws:iam::{values['tools']}:role/administrator")
enter("the role in dev without the external id", f"arn:aws:iam::{values['dev']}:role/crossinvoke")
enter("the role in dev", f"arn:aws:iam::{values['dev']}:role/crossinvoke", ExternalId=values["external"])
attempt("its own account", iam.get_role, RoleName="crossinvoke-controller")
"#;
    let denied = "AccessDenied";
    let expected = json!({
        "the pipeline's role": denied,
        "another role": denied,
        "the role in dev without the external id": denied,
        "the role in dev": "OK",
        "its own account": denied,
    });
    assert_eq!(attempts(scenario, None, code).await?, expected);
    Ok(())
}

/// Whoever fills in a policy, a stack or a module by hand may name every role, and the controller's own among them.
async fn wide_patterns(scenario: &mut Scenario<'_>) -> Result<()> {
    let code = r#"
name = "crossinvoke"
own = {"RoleName": name, "PolicyName": "p"}
attempt("its own rights", iam.put_role_policy, **own, PolicyDocument=policy("*"))
attempt("the rights that it has", iam.put_role_policy, RoleName=name, PolicyName=name, PolicyDocument=policy("*"))
attempt("less denied", iam.delete_role_policy, RoleName=name, PolicyName=name)
attempt("whom it trusts", iam.update_assume_role_policy, RoleName=name, PolicyDocument=trust("*"))
attempt("a managed policy", iam.attach_role_policy, RoleName=name,
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
attempt("another role's rights", iam.put_role_policy, RoleName=values["any_role"], PolicyName="p", PolicyDocument=policy("*"))
"#;
    let accounts = scenario.accounts.clone();
    for (account, other) in [(&accounts.dev, EXECUTION_ROLE), (&accounts.tools, PIPELINE_ROLE)] {
        let roles = accounts.iam_arn(account, "role/*");
        let mut rights = role(scenario, account, CONTROLLER_ROLE)?["inlinePolicies"][CONTROLLER_ROLE].clone();
        for statement in rights["Statement"].as_array_mut().into_iter().flatten() {
            let actions = statement["Action"].to_string();
            if statement["Effect"] == "Allow" && actions.contains("iam:") && !actions.contains("PassRole") {
                statement["Resource"] = json!(roles);
                statement["Action"] = json!("iam:*");
            }
        }
        scenario.aws().put_inline_policy(account, CONTROLLER_ROLE, CONTROLLER_ROLE, rights).context("wide rights")?;
        let code = format!("values[\"any_role\"] = {other:?}\n{code}");
        let denied = "AccessDenied";
        let expected = json!({
            "its own rights": denied,
            "the rights that it has": denied,
            "less denied": denied,
            "whom it trusts": denied,
            "a managed policy": denied,
            "another role's rights": "OK",
        });
        assert_eq!(attempts(scenario, Some(account), &code).await?, expected, "{account}");
    }
    Ok(())
}

/// An author of another pipeline, with another service role, names an invoke role that is not theirs.
async fn another_pipeline(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let arn = object.data["status"]["devAccount"]["invokeRoleARN"].as_str().unwrap_or_default().to_owned();
    let code = format!(
        r#"
import json
import boto3

iam, codepipeline = boto3.client("iam"), boto3.client("codepipeline")
def document(**statement):
    return json.dumps({{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "sts:AssumeRole", **statement}}]}})
role = iam.create_role(RoleName="orders", AssumeRolePolicyDocument=document(
    Principal={{"Service": "codepipeline.amazonaws.com"}}))["Role"]["Arn"]
iam.put_role_policy(RoleName="orders", PolicyName="p", PolicyDocument=document(Resource="*"))
pipeline = codepipeline.get_pipeline(name="{PIPELINE}")["pipeline"]
pipeline.update(name="orders", roleArn=role)
try:
    codepipeline.create_pipeline(pipeline=pipeline)
    print("created")
except codepipeline.exceptions.ClientError as error:
    print(error)
"#
    );
    let said = scenario.boto3(&scenario.accounts.tools, &code).await?;
    assert!(said.contains("InvalidStructureException") && said.contains(&arn), "{said}");
    Ok(())
}

/// The author of another pipeline with the same service role names the invoke role of this one.
async fn sharing_pipeline(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let code = format!(
        r#"
import boto3

codepipeline = boto3.client("codepipeline")
pipeline = codepipeline.get_pipeline(name="{PIPELINE}")["pipeline"]
codepipeline.create_pipeline(pipeline={{**pipeline, "name": "orders"}})
print(codepipeline.get_pipeline(name="orders")["pipeline"]["stages"])
"#
    );
    let made = scenario.boto3(&scenario.accounts.tools, &code).await?;
    assert!(made.contains(&format!("arn:aws:iam::{}:role/crossinvoke/", scenario.accounts.dev)), "{made}");
    Ok(())
}

/// Somebody who may edit the pipeline has the function called with parameters of theirs, before the controller looks.
async fn any_parameters(scenario: &mut Scenario<'_>) -> Result<()> {
    const TELLS: &str = r#"
import boto3

def handler(event, _context):
    job = event["CodePipeline.job"]
    given = job["data"]["actionConfiguration"]["configuration"]["UserParameters"]
    failure = {"type": "JobFailed", "message": "called with " + given}
    boto3.client("codepipeline").put_job_failure_result(jobId=job["id"], failureDetails=failure)
"#;
    converge(scenario, &scenario.invoke("validate")).await?;
    let folder = tempfile::tempdir().context("a folder")?;
    let file = folder.path().join("index.py");
    std::fs::write(&file, TELLS).context(file.display())?;
    let (dev, region) = (scenario.accounts.dev.clone(), scenario.accounts.function_region.clone());
    let python = tokio::task::spawn_blocking(fakeaws::python_environment).await.context("Python")?;
    let tells = Behaviour::Python { file, python: python.map_err(Error::new)?, trusts: None };
    scenario.aws().set_behaviour((&dev, &region, FUNCTION), tells).context("a function that tells")?;
    let code = format!(
        r#"
import boto3

codepipeline = boto3.client("codepipeline")
pipeline = codepipeline.get_pipeline(name="{PIPELINE}")["pipeline"]
for stage in pipeline["stages"]:
    for action in stage["actions"]:
        if action["actionTypeId"]["provider"] == "Lambda":
            action["configuration"]["UserParameters"] = "whatever they like"
codepipeline.update_pipeline(pipeline=pipeline)
"#
    );
    scenario.boto3(&scenario.accounts.tools, &code).await?;
    let execution = scenario.run_pipeline().await?;
    assert!(execution.to_string().contains("called with whatever they like"), "{execution}");
    Ok(())
}

/// The owner of the dev account has Lambda name a role of the tools account as the function's.
async fn role_elsewhere(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (dev, region) = (scenario.accounts.dev.clone(), scenario.accounts.region.clone());
    let mut function = scenario.configuration()?["accounts"][&dev]["functions"][&region][FUNCTION].clone();
    let theirs = scenario.accounts.pipeline_role_arn();
    function["role"] = json!(theirs);
    scenario.aws().put_function(&dev, &region, FUNCTION, function).context("the function")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "AccountMismatch", &[&theirs, &dev]).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.mutating(), 0, "{calls}");
    Ok(())
}

async fn named_tests_exist(_: PathBuf) -> Result<()> {
    let document = std::fs::read_to_string(repository().join("docs/security.md")).context("docs/security.md")?;
    let mut sources = String::new();
    for folder in ["src", "tests/scenarios"] {
        read_all(&repository().join(folder), &mut sources)?;
    }
    let is_test =
        |name: &&str| name.matches('_').count() >= 3 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let named: Vec<&str> = document.split('`').filter(is_test).collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        let exists = sources.contains(&format!("\"{name}\"")) || sources.contains(&format!("fn {name}()"));
        assert!(exists, "docs/security.md names {name}, and there is no such test");
    }
    Ok(())
}

fn read_all(folder: &Path, sources: &mut String) -> Result<()> {
    for entry in std::fs::read_dir(folder).context(folder.display())? {
        let path = entry.context(folder.display())?.path();
        if path.is_dir() {
            read_all(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *sources += &std::fs::read_to_string(&path).context(path.display())?;
        }
    }
    Ok(())
}
