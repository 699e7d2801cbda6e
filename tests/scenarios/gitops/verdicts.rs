//! Runs the scripts of deploy/argocd and kstatus, and keeps what they are shown as test data of Argo CD's layout.

use std::path::{Path, PathBuf};

use crossinvoke::api::{Reason, ReasonClass};
use crossinvoke_harness::{Context as _, Error, Result, Scenario, objects::message_of};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::support::compare_with_golden;

const CUSTOMIZATIONS: &str = "deploy/argocd/resource_customizations/crossinvoke.dev";

/// An object as the API server has it in some state, and what is to be found in it.
pub(super) struct State {
    name: &'static str,
    object: DynamicObject,
    health: &'static str,
    kstatus: &'static str,
    /// Whether the health's message holds that of `Ready`.
    quotes_ready: bool,
    /// Further parts of the message.
    says: Vec<String>,
}

impl State {
    /// A state whose message is that of `Ready`, with what is noted beside it.
    pub(super) fn of(
        name: &'static str,
        object: &DynamicObject,
        (health, kstatus): (&'static str, &'static str),
    ) -> Self {
        Self { name, object: object.clone(), health, kstatus, quotes_ready: true, says: Vec::new() }
    }

    /// A state in which `Ready` is about something else, if there is one.
    pub(super) fn before_a_look(name: &'static str, object: &DynamicObject) -> Self {
        let state = Self::of(name, object, ("Progressing", "InProgress"));
        Self { quotes_ready: false, says: vec!["has not looked at this version".to_owned()], ..state }
    }

    /// The same, whose message also says this.
    pub(super) fn saying(mut self, part: impl Into<String>) -> Self {
        self.says.push(part.into());
        self
    }

    /// The same, whose message is not that of `Ready`.
    pub(super) fn without_ready(mut self) -> Self {
        self.quotes_ready = false;
        self
    }
}

/// Compares verdicts and messages, and the test data for Argo CD's own tests.
pub(super) async fn check(scenario: &Scenario<'_>, kind: &str, states: &[State]) -> Result<()> {
    let objects: Vec<DynamicObject> = states.iter().map(|state| state.object.clone()).collect();
    let argo = health(scenario, kind, &objects).await?;
    let kstatus = run(scenario, &["kstatus"], &objects).await?;
    let healthy =
        states.iter().find(|state| state.health == "Healthy").ok_or_else(|| Error::new("no healthy state"))?;
    check_reasons(scenario, kind, &healthy.object).await?;
    let mut tests = Vec::new();
    for ((state, argo), kstatus) in states.iter().zip(&argo).zip(&kstatus) {
        let name = state.name;
        assert_eq!(argo["status"], state.health, "Argo CD, {kind} {name}: {argo}");
        assert_eq!(kstatus["status"], state.kstatus, "kstatus, {kind} {name}: {kstatus}");
        let message = argo["message"].as_str().unwrap_or_default();
        let ready = message_of(&state.object, "Ready");
        assert_eq!(message.contains(&ready) && !ready.is_empty(), state.quotes_ready, "{kind} {name}: {argo}");
        for part in &state.says {
            assert!(message.contains(part.as_str()), "{kind} {name} does not say {part:?}: {argo}");
        }
        // Argo CD overrides the message of what is being deleted, but not its deletionMessage.
        let own = if state.object.metadata.deletion_timestamp.is_some() { &argo["message"] } else { &Value::Null };
        assert_eq!(&argo["deletionMessage"], own, "{kind} {name}: {argo}");
        tests.push(golden(scenario, kind, state).await?);
    }
    write(&format!("{kind}/health_test.yaml"), &json!({"tests": tests}))
}

/// The reason of `Ready` decides where the script knows it. A newer controller may have others: then the conditions do.
async fn check_reasons(scenario: &Scenario<'_>, kind: &str, ready: &DynamicObject) -> Result<()> {
    let with = |reason: &str, conditions: &[(&str, &str)]| {
        let mut object = ready.clone();
        let condition = |(kind, status): &(&str, &str)| {
            json!({"type": kind, "status": status, "reason": reason,
            "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        object.data["status"]["conditions"] = conditions.iter().map(condition).collect();
        object
    };
    let known = Reason::iter().map(|reason| {
        let health = match reason.class() {
            ReasonClass::Ready => "Healthy",
            ReasonClass::Reconciling => "Progressing",
            ReasonClass::Stalled => "Degraded",
        };
        // A status that decides nothing.
        (with(&reason.to_string(), &[("Ready", "Unknown")]), health)
    });
    let unknown = [
        (vec![("Ready", "True")], "Healthy"),
        (vec![("Ready", "True"), ("Reconciling", "True")], "Healthy"),
        (vec![("Ready", "Unknown"), ("Reconciling", "True")], "Progressing"),
        (vec![("Ready", "False"), ("Stalled", "True")], "Degraded"),
        (vec![("Ready", "False"), ("Stalled", "False")], "Progressing"),
    ];
    let unknown = unknown.into_iter().map(|(conditions, health)| (with("OfANewerController", &conditions), health));
    let (objects, expected): (Vec<_>, Vec<_>) = known.chain(unknown).unzip();
    for ((found, expected), object) in health(scenario, kind, &objects).await?.iter().zip(expected).zip(&objects) {
        assert_eq!(found["status"], expected, "{kind} {}", object.data["status"]["conditions"]);
    }
    Ok(())
}

/// The test data of a state, and the test with it.
async fn golden(scenario: &Scenario<'_>, kind: &str, state: &State) -> Result<Value> {
    let (file, data) = (format!("testdata/{}.json", state.name), normalized(&state.object)?);
    write(&format!("{kind}/{file}"), &data)?;
    let data: DynamicObject = serde_json::from_value(data).context("test data")?;
    let mut found = health(scenario, kind, &[data]).await?;
    Ok(json!({"healthStatus": found.remove(0), "inputPath": file}))
}

/// Compares a file of the customizations. JSON is YAML, too.
pub(super) fn write(file: &str, content: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(content).context("a golden file")? + "\n";
    compare_with_golden(&format!("../../{CUSTOMIZATIONS}/{file}"), &text);
    Ok(())
}

async fn health(scenario: &Scenario<'_>, kind: &str, objects: &[DynamicObject]) -> Result<Vec<Value>> {
    run(scenario, &["health", &script(kind, "health.lua")], objects).await
}

/// The path of a script, for [`run`].
pub(super) fn script(kind: &str, file: &str) -> String {
    format!("{CUSTOMIZATIONS}/{kind}/{file}")
}

/// Runs the tool of tests/gitops, which is built the first time.
pub(super) async fn run(scenario: &Scenario<'_>, arguments: &[&str], objects: &[DynamicObject]) -> Result<Vec<Value>> {
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
pub(super) fn settle(value: &mut Value) {
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
