//! What Argo CD's health checks and kstatus (Flux, kpt) find in objects as the real API server has them.

use std::path::{Path, PathBuf};

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::PIPELINE,
    objects::{condition, message_of},
};
use fakeaws::{Effect, Fault};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    suite::{Case, case},
    support::{compare_with_golden, entered},
};

const CUSTOMIZATIONS: &str = "deploy/argocd/resource_customizations/crossinvoke.dev";

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("argo_cd_and_kstatus_find_what_the_status_says", Setup::default, argo_cd_and_kstatus),
        case("the_example_manifests_are_taken_as_they_are", Setup::default, the_example_manifests),
    ]
}

/// A state: its name, the object in it, and what Argo CD and kstatus are to find.
type State = (&'static str, DynamicObject, &'static str, &'static str);

async fn argo_cd_and_kstatus(scenario: &mut Scenario<'_>) -> Result<()> {
    let (mut states, account) = (Vec::<State>::new(), format!("{}-tools", scenario.namespace));
    entered(scenario).await?;
    let healthy = scenario.until_account_reason(&account, "Converged").await?;
    let aws = scenario.aws().clone();
    let slow = Effect::Delay { milliseconds: 3_000 };
    aws.fault(Fault::next("GetPipeline", slow)).context("a slow call")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    states.push(("first-look", scenario.until_reason("validate", "Progressing").await?, "Progressing", "InProgress"));
    states.push(("converged", scenario.until_reason("validate", "Converged").await?, "Healthy", "Current"));

    aws.fault(Fault::next("GetPipeline", Effect::Throttle).times(1000)).context("throttling")?;
    scenario.touch("validate", "look").await?;
    let failing = |object: &DynamicObject| condition(object, "Reconciling").is_some();
    let failing = scenario.until("validate", "looks fail", failing).await?;
    states.push(("looks-fail", failing, "Healthy", "InProgress"));
    aws.clear_faults().context("healing")?;

    let mut stalled = scenario.invoke("stalled");
    stalled["spec"]["pipeline"]["name"] = json!("payments-missing");
    scenario.apply(&stalled).await?;
    let stalled = scenario.until_reason("stalled", "PipelineNotFound").await?;
    let mut edited = stalled.clone();
    edited.metadata.generation = Some(2);
    states.push(("stalled", stalled, "Degraded", "Failed"));
    states.push(("not-looked-at-since-the-edit", edited, "Progressing", "InProgress"));

    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let pipeline = (tools.as_str(), region.as_str(), PIPELINE);
    let id = aws.put_execution(pipeline, None, "InProgress", None).context("an execution")?;
    scenario.delete("validate").await?;
    let waiting = scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    states.push(("deleting", waiting.clone(), "Progressing", "Terminating"));
    aws.put_execution(pipeline, Some(&id), "Succeeded", None).context("its end")?;

    check(scenario, "CrossAccountInvoke", &states).await?;
    let verdict = &health(scenario, "CrossAccountInvoke", std::slice::from_ref(&waiting)).await?[0];
    assert_eq!(verdict["deletionMessage"], format!("Being deleted: {}", message_of(&waiting, "Ready")));

    // Whether an account grants anything has no effect on its health.
    let mut idle = healthy.clone();
    let conditions = idle.data["status"]["conditions"].as_array_mut().ok_or_else(|| Error::new("no conditions"))?;
    conditions.push(json!({"type": "GrantsMatched", "status": "False", "reason": "GrantsNothing", "message": "none"}));
    check(
        scenario,
        "AwsAccount",
        &[("converged", healthy, "Healthy", "Current"), ("grants-nothing", idle, "Healthy", "Current")],
    )
    .await?;
    check_now(scenario, &waiting).await?;
    scenario.until_gone("validate").await
}

async fn the_example_manifests(scenario: &mut Scenario<'_>) -> Result<()> {
    let kubectl = scenario.kubectl();
    kubectl.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: payments}\n").await?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for (file, objects) in
        [("aws-accounts.yaml", 2), ("cross-account-invoke.yaml", 1), ("cross-account-invoke-full.yaml", 1)]
    {
        let manifests = std::fs::read_to_string(examples.join(file)).context(file)?;
        let said = kubectl.apply(&manifests).await?;
        assert_eq!(said.lines().count(), objects, "{said}");
        // What is applied by a client that keeps its own copy is taken just the same.
        kubectl.run_with_input(&["replace", "--validate=strict", "--filename=-"], &manifests).await?;
        kubectl.run_with_input(&["delete", "--filename=-"], &manifests).await?;
    }
    Ok(())
}

/// Compares verdicts, messages and the test data for Argo CD's own tests.
async fn check(scenario: &Scenario<'_>, kind: &str, states: &[State]) -> Result<()> {
    let objects: Vec<DynamicObject> = states.iter().map(|state| state.1.clone()).collect();
    let (argo, kstatus) = (health(scenario, kind, &objects).await?, run(scenario, &["kstatus"], &objects).await?);
    let mut tests = Vec::new();
    for (index, (name, object, health, status)) in states.iter().enumerate() {
        assert_eq!(argo[index]["status"], *health, "Argo CD, {kind} {name}: {}", argo[index]);
        assert_eq!(kstatus[index]["status"], *status, "kstatus, {kind} {name}: {}", kstatus[index]);
        let ready = message_of(object, "Ready");
        if !["not-looked-at-since-the-edit"].contains(name) {
            assert!(argo[index]["message"].as_str().is_some_and(|it| it.contains(&ready)), "{name}: {}", argo[index]);
        }
        let file = format!("testdata/{name}.json");
        let data = normalized(object)?;
        let folder = format!("../../{CUSTOMIZATIONS}/{kind}");
        compare_with_golden(
            &format!("{folder}/{file}"),
            &(serde_json::to_string_pretty(&data).context("an object")? + "\n"),
        );
        let health_status =
            &self::health(scenario, kind, &[serde_json::from_value(data).context("test data")?]).await?[0];
        tests.push(json!({"healthStatus": health_status, "inputPath": file}));
    }
    let tests = serde_json::to_string_pretty(&json!({"tests": tests})).context("the tests")? + "\n";
    compare_with_golden(&format!("../../{CUSTOMIZATIONS}/{kind}/health_test.yaml"), &tests);
    Ok(())
}

/// The action that asks for a look.
async fn check_now(scenario: &mut Scenario<'_>, deleting: &DynamicObject) -> Result<()> {
    let mut stalled = scenario.invokes().get("stalled").await.context("reading")?;
    stalled.metadata.managed_fields = None;
    for kind in ["CrossAccountInvoke", "AwsAccount"] {
        let file = |name: &str| format!("{CUSTOMIZATIONS}/{kind}/actions/{name}");
        let found = run(scenario, &["lua", &file("discovery.lua")], &[stalled.clone(), deleting.clone()]).await?;
        assert_eq!(found[0]["check-now"]["disabled"], false, "{found:?}");
        assert_eq!(found[1]["check-now"]["disabled"], true, "{found:?}");
        let done = &run(scenario, &["lua", &file("check-now/action.lua")], &[stalled.clone()]).await?[0];
        let at = &done["metadata"]["annotations"]["crossinvoke.dev/reconcile-requested-at"];
        at.as_str().unwrap_or_default().parse::<jiff::Timestamp>().context("the time")?;
        if kind == "CrossAccountInvoke" {
            let mark = scenario.mark()?;
            let patch = json!({"metadata": {"annotations": done["metadata"]["annotations"]}});
            let patch = kube::api::Patch::Merge(patch);
            scenario
                .invokes()
                .patch("stalled", &kube::api::PatchParams::default(), &patch)
                .await
                .context("patching")?;
            crossinvoke_harness::wait::eventually("a look", crossinvoke_harness::wait::DEADLINE, async || {
                let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
                if calls.of("GetPipeline") > 0 { Ok(()) } else { Err(calls.to_string()) }
            })
            .await?;
        }
    }
    Ok(())
}

async fn health(scenario: &Scenario<'_>, kind: &str, objects: &[DynamicObject]) -> Result<Vec<Value>> {
    run(scenario, &["health", &format!("{CUSTOMIZATIONS}/{kind}/health.lua")], objects).await
}

/// Runs the tool of tests/gitops, which is built the first time.
async fn run(scenario: &Scenario<'_>, arguments: &[&str], objects: &[DynamicObject]) -> Result<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tool: PathBuf = scenario.folder().join("gitops");
    if !tool.is_file() {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-o"]).arg(&tool).arg(".").current_dir(root.join("tests/gitops"));
        let built = go.env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly").output().await.context("go build")?;
        if !built.status.success() {
            return Err(Error::new(format!("go build: {}", String::from_utf8_lossy(&built.stderr))));
        }
    }
    let mut command = Command::new(&tool);
    command.args(arguments).current_dir(root).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().context("the tool")?;
    let mut input = child.stdin.take().ok_or_else(|| Error::new("no input"))?;
    input.write_all(&serde_json::to_vec(objects).context("objects")?).await.context("the input")?;
    drop(input);
    let output = child.wait_with_output().await.context("the tool")?;
    if !output.status.success() {
        return Err(Error::new(format!("the tool: {}", String::from_utf8_lossy(&output.stderr))));
    }
    serde_json::from_slice(&output.stdout).context("verdicts")
}

/// An object without what differs from run to run.
fn normalized(object: &DynamicObject) -> Result<Value> {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    object.metadata.uid = None;
    let mut value = serde_json::to_value(&object).context("an object")?;
    if let Some(status) = value["status"].as_object_mut() {
        // Hashes and times of writes are of no interest for health.
        status.remove("inventory");
    }
    settle(&mut value);
    Ok(value)
}

/// Replaces times and ids of executions.
fn settle(value: &mut Value) {
    match value {
        Value::String(text) => {
            let words = text.split(' ').map(|word| {
                let end = word.trim_end_matches([',', ';', ':', '.', ')']);
                let rest = &word[end.len()..];
                let core = end.trim_start_matches('(');
                let open = &end[..end.len() - core.len()];
                let is_id = core.len() == 36 && core.split('-').count() == 5;
                let core = if core.parse::<jiff::Timestamp>().is_ok() {
                    "2026-01-01T00:00:00Z"
                } else if is_id {
                    "00000000-0000-4000-8000-000000000000"
                } else {
                    core
                };
                format!("{open}{core}{rest}")
            });
            *text = words.collect::<Vec<_>>().join(" ");
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(members) => members.values_mut().for_each(settle),
        _ => {}
    }
}
