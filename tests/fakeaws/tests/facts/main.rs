//! The facts that crossinvoke relies on (`tests/aws-facts`), asked of the double by two profiles of it, as a person asks two
//! accounts.
#![allow(missing_docs, clippy::unwrap_used, reason = "these are tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fakeaws::{BulkAnswers, Effect, FakeAws, Fault, RoleSeed, Seed};
use serde_json::json;

const DEV: &str = "222222222222";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../aws-facts").canonicalize().unwrap()
}

async fn double() -> FakeAws {
    let seed: Seed = serde_json::from_str(&fs::read_to_string(folder().join("seed.json")).unwrap()).unwrap();
    FakeAws::start(seed).await.unwrap()
}

/// Runs the facts with two profiles of the double.
async fn run(aws: &FakeAws, arguments: &[&str]) -> Output {
    run_script(aws, &folder().join("run.py"), arguments, &[]).await
}

/// Runs the facts of an AWS that behaves otherwise (`mutated.py`).
async fn run_mutated(aws: &FakeAws, mutation: &str, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts/mutated.py");
    run_script(aws, &script, arguments, &[mutation]).await
}

async fn run_script(aws: &FakeAws, script: &Path, arguments: &[&str], first: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let credentials = home.path().join("credentials");
    let profile = |name: &str, key: &str| format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = any\n");
    fs::write(&credentials, profile("tools", "AKIAFACTSTOOLS") + &profile("dev", "AKIAFACTSDEV")).unwrap();
    let python = tokio::task::spawn_blocking(fakeaws::python_environment).await.unwrap().unwrap();
    let mut command = tokio::process::Command::new(python);
    command.arg("-B").arg(script).args(first);
    command.args(["--tools-profile", "tools", "--dev-profile", "dev", "--place", "double"]);
    command.args(["--endpoint", &aws.endpoint()]).args(arguments).kill_on_drop(true);
    // Nothing of the developer's own AWS set-up may leak in.
    for variable in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"]
    {
        command.env_remove(variable);
    }
    command.env("AWS_SHARED_CREDENTIALS_FILE", &credentials).env("AWS_CONFIG_FILE", "/dev/null");
    command.env("AWS_EC2_METADATA_DISABLED", "true").output().await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn the_double_agrees_and_nothing_is_left_of_the_asking() {
    let aws = double().await;
    let before = aws.admin().configuration().unwrap();
    let asked = run(&aws, &[]).await;
    let said = text(&asked);
    assert!(asked.status.success() && said.contains(" agree, 0 differs, "), "{said}");
    // Only what the double does not have is left out.
    assert_eq!(said.lines().filter(|line| line.starts_with("not tried")).count(), 7, "{said}");
    assert_eq!(aws.admin().configuration().unwrap(), before);
}

/// A check that the table leaves out for the double runs here once: the double says that it does not judge it, or what it
/// lacks is put beside it.
#[tokio::test]
async fn what_the_table_leaves_out_is_run_all_the_same() {
    let aws = double().await;
    for (fact, line) in [
        (
            "asks for aws:SourceArn",
            "not tried  An update is refused while an action's role asks for aws:SourceArn, which a pipeline role's session \
             does not have: UpdatePipeline failed in AWS: InternalFailure",
        ),
        (
            "gives aws:SourceArn",
            "agree      CodePipeline gives aws:SourceArn when it assumes a pipeline's own role: it does",
        ),
        (
            "path of service-linked roles",
            "not tried  Nobody but AWS makes a role under the path of service-linked roles: CreateRole failed in AWS: \
             InternalFailure",
        ),
        (
            "CloudFormation stack",
            "differs    An update of a CloudFormation stack takes away a stage that its template does not have, and starts a \
             run if told to: an error that the check did not expect: An error occurred (MissingAuthenticationToken) when \
             calling the CreateStack operation",
        ),
        (
            "takes an alias",
            "differs    FunctionName takes an alias behind the name: Failed, fakeaws cannot do this: a FunctionName that is \
             no plain name: crossinvoke-facts-",
        ),
        (
            "takes an ARN",
            "differs    FunctionName takes an ARN: Failed, fakeaws cannot do this: a FunctionName that is no plain name: \
             arn:aws:lambda:us-east-1:222222222222:function:crossinvoke-facts-",
        ),
    ] {
        let said = text(&run(&aws, &["--try-all", "--only", fact]).await);
        assert!(said.starts_with(line), "{fact}: {said}");
    }
    for (with_boundaries, line) in [
        (true, "agree      The bulk answer of all roles has their boundary: it has\n"),
        (false, "differs    The bulk answer of all roles has their boundary: it has not (expected"),
    ] {
        aws.admin().set_bulk_answers(BulkAnswers { with_boundaries, ..BulkAnswers::default() }).unwrap();
        let said = text(&run(&aws, &["--try-all", "--only", "has their boundary"]).await);
        assert!(said.starts_with(line), "{said}");
    }
}

/// A bulk answer that lags is waited for, and told when it does not come.
#[tokio::test]
async fn a_bulk_answer_that_does_not_come_differs() {
    let aws = double().await;
    aws.admin().set_bulk_answers(BulkAnswers { lag_milliseconds: 3_600_000, ..BulkAnswers::default() }).unwrap();
    let said = text(&run(&aws, &["--only", "shows a new role"]).await);
    let line = "differs    The bulk answer of all roles shows a new role within two minutes: not shown (expected";
    assert!(said.starts_with(line), "{said}");
}

/// A run of each pipeline starts as it is made: the facts are about later ones.
#[tokio::test]
async fn the_first_run_of_a_pipeline_is_in_no_facts_way() {
    let aws = double().await;
    let facts =
        ["An update cancels", "waits for an approval", "PARALLEL", "failed stage", "rolled back", "left a stage"];
    let arguments: Vec<&str> = facts.iter().flat_map(|fact| ["--only", fact]).collect();
    let said = text(&run(&aws, &arguments).await);
    assert!(said.ends_with("8 agree, 0 differs, 0 not tried\n"), "{said}");
    let calls = aws.admin().calls().unwrap();
    let made = |operation: &str| calls.iter().filter(|call| call.operation == operation).count();
    assert_eq!((made("CreatePipeline"), made("StopPipelineExecution")), (8, 8));
}

/// Region and partition are those of the accounts, not of the author.
#[tokio::test]
async fn accounts_of_another_region_and_partition_are_asked_there() {
    let seed = fs::read_to_string(folder().join("seed.json")).unwrap().replace("arn:aws:", "arn:aws-cn:");
    let mut seed: serde_json::Value = serde_json::from_str(&seed).unwrap();
    for account in seed["accounts"].as_object_mut().unwrap().values_mut() {
        account["partition"] = json!("aws-cn");
    }
    let aws = FakeAws::start(serde_json::from_value(seed).unwrap()).await.unwrap();
    let facts = ["A function of another", "It reports in the region", "A trust in the form", "artifact store there"];
    let only = facts.iter().flat_map(|fact| ["--only", fact]);
    let arguments: Vec<&str> = ["--region", "cn-north-1"].into_iter().chain(only).collect();
    let said = text(&run(&aws, &arguments).await);
    assert!(said.ends_with("4 agree, 0 differs, 0 not tried\n"), "{said}");
    let calls = aws.admin().calls().unwrap();
    assert!(calls.iter().all(|call| call.region.starts_with("cn-")), "{calls:?}");
}

/// Of an AWS that behaves otherwise, each fact about it says so: what was set up and did not come about is no reason not
/// to have tried.
#[tokio::test]
async fn what_does_not_come_about_differs_and_ends_with_1() {
    const MUTATIONS: &[(&str, &[&str])] = &[
        (
            "updates-do-nothing",
            &[
                "An update cancels the run in progress: InProgress (expected: Cancelled)",
                "An update cancels the runs of a pipeline in PARALLEL mode: InProgress (expected: Cancelled)",
                "An update that changes nothing cancels the run in progress: InProgress (expected: Cancelled)",
                "An update that changes nothing makes a version: version 1 (expected: version 2)",
                "After an update a failed stage cannot be retried: accepted (expected: StageNotRetryableException)",
                "An update is refused while the pipeline's own role is gone: accepted (expected: refused)",
                "The last writer wins",
                "The run after an update that left a stage out passes without it: the run after it does not get to its \
                 first stage: InProgress (expected: Succeeded without it)",
            ],
        ),
        (
            "denials-give-little",
            &[
                "A denial of AssumeRole says that it is a boundary that does not allow it: no reason (expected: because",
                "The denial of UntagRole names the ARN of the role, with its path: resource: arn:aws:iam::222222222222:\
                 role/NAME (expected: resource: ARN)",
                "The denial of DeleteRolePermissionsBoundary names the ARN of the role, with its path: resource: arn:aws:\
                 iam::222222222222:role/NAME (expected: resource: ARN)",
            ],
        ),
        (
            "boundaries-are-no-condition",
            &[
                "A policy may let GetRole read the roles of one boundary only: accepted with it, accepted without (expected",
            ],
        ),
        (
            "failures-end-runs",
            &["What runs beside an action that fails is waited for: Stopped, then Stopped (expected: InProgress, then"],
        ),
        (
            "functions-cannot-report",
            &[
                "A function of another account reports with its execution role: InProgress, no report: the action is \
                 InProgress (expected: Succeeded)",
                "It reports in the region of the pipeline: InProgress, no report: the action is InProgress (expected: \
                 JobNotFoundException)",
            ],
        ),
        (
            "any-region-takes-reports",
            &["It reports in the region of the pipeline: accepted (expected: JobNotFoundException)"],
        ),
        (
            "another-is-trusted",
            &["An update is accepted with an action's role that trusts in the form that the controller writes: \
               InvalidStructureException (expected: accepted)"],
        ),
        (
            "masks-are-taken-for-secrets",
            &[
                "A secret is shown as a mask, and the mask that comes back in an unchanged action keeps it: shown as ****, \
               lost (expected: shown as ****, kept)",
            ],
        ),
        (
            "rights-are-not-needed",
            &[
                "The invoke role needs lambda:ListFunctions: Succeeded without (expected: Failed without)",
                "The invoke role needs lambda:InvokeFunction: Succeeded without (expected: Failed without)",
            ],
        ),
    ];
    let aws = double().await;
    for (mutation, facts) in MUTATIONS {
        let names = facts.iter().flat_map(|fact| ["--only", fact.split(": ").next().unwrap()]).collect::<Vec<_>>();
        let asked = run_mutated(&aws, mutation, &names).await;
        let said = text(&asked);
        assert_eq!(asked.status.code(), Some(1), "{mutation}: {said}");
        for fact in *facts {
            assert!(said.contains(&format!("differs    {fact}")), "{mutation}: {fact:?} is not in: {said}");
        }
        assert!(said.ends_with(&format!("0 agree, {} differs, 0 not tried\n", facts.len())), "{mutation}: {said}");
    }
}

fn failure(status: u16) -> Effect {
    Effect::Fail { status, code: "ServiceFailure".to_owned(), message: String::new() }
}

#[tokio::test]
async fn what_aws_throttles_or_breaks_once_is_asked_again() {
    for effect in [Effect::Throttle, failure(500)] {
        let aws = double().await;
        aws.admin().fault(Fault::next("ListRoleTags", effect)).unwrap();
        let asked = run(&aws, &["--only", "Tag keys that differ"]).await;
        let said = text(&asked);
        assert!(asked.status.success() && said.contains("1 agree, 0 differs, 0 not tried"), "{said}");
    }
    let aws = double().await;
    aws.admin().fault(Fault::next("UpdatePipeline", Effect::Throttle)).unwrap();
    let said = text(&run(&aws, &["--only", "A pipeline needs two stages"]).await);
    assert!(said.contains("1 agree, 0 differs, 0 not tried"), "{said}");
}

#[tokio::test]
async fn what_was_not_answered_is_not_tried_and_a_write_is_not_made_twice() {
    let cases = [
        // The read is the fact: one that is made again comes later.
        ("A read right after", "GetPipeline", Effect::Throttle, "GetPipeline was throttled: ThrottlingException"),
        ("A pipeline needs two", "UpdatePipeline", failure(500), "UpdatePipeline failed in AWS: ServiceFailure"),
    ];
    for (fact, operation, effect, reason) in cases {
        let aws = double().await;
        // The first call of GetPipeline sets up.
        let nth = if operation == "GetPipeline" { 2 } else { 1 };
        aws.admin().fault(Fault::next(operation, effect).nth(nth)).unwrap();
        let asked = run(&aws, &["--only", fact]).await;
        let said = text(&asked);
        assert!(asked.status.success() && said.starts_with("not tried  ") && said.contains(reason), "{said}");
    }
}

#[tokio::test]
async fn what_a_broken_run_left_is_removed_and_nothing_else() {
    let aws = double().await;
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]});
    aws.admin().put_role(DEV, "a-role-of-somebody", RoleSeed::trusting(trust.clone())).unwrap();
    let before = aws.admin().configuration().unwrap();
    aws.admin().put_role(DEV, "crossinvoke-facts-0a1b2c3d-role-1", RoleSeed::trusting(trust)).unwrap();
    let cleaned = run(&aws, &["--clean"]).await;
    assert_eq!(text(&cleaned), "removed crossinvoke-facts-0a1b2c3d-role-1\n");
    assert_eq!(aws.admin().configuration().unwrap(), before);
}

#[tokio::test]
async fn two_profiles_of_one_account_are_refused() {
    let aws = double().await;
    let asked = run(&aws, &["--dev-profile", "tools"]).await;
    assert_eq!(asked.status.code(), Some(2), "{}", text(&asked));
    assert!(text(&asked).contains("both profiles are of one account"), "{}", text(&asked));
}

#[test]
fn the_table_of_the_documentation_is_the_one_that_runs() {
    let python = fakeaws::python_environment().unwrap();
    let printed = Command::new(python).arg("-B").arg(folder().join("run.py")).arg("--markdown").output().unwrap();
    let table = String::from_utf8(printed.stdout).unwrap();
    let path = folder().join("../../docs/second-opinion.md");
    let page = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- facts -->\n", "<!-- end of facts -->");
    let (head, rest) = page.split_once(begin).unwrap();
    let (shown, tail) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, [head, begin, &table, end, tail].concat()).unwrap();
    } else {
        assert!(shown == table, "docs/second-opinion.md is stale: run `make goldens`");
    }
}
