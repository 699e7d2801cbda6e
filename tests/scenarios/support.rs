//! What several scenarios ask of the world.

use std::{collections::BTreeSet, path::Path};

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario,
    accounts::{EXECUTION_ROLE, PIPELINE, PIPELINE_ROLE},
    objects::{self, has_reason},
    wait::{DEADLINE, eventually},
};
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::{Value, json};

/// The status but for the request for a look that it answers.
pub(crate) fn status_but_requests(object: &DynamicObject) -> Value {
    let mut status = object.data["status"].clone();
    if let Some(members) = status.as_object_mut() {
        members.remove("lastHandledReconcileAt");
        members.remove("lastCheckedAt");
    }
    status
}

/// The message of an object's `Ready` condition.
pub(crate) fn message(object: &DynamicObject) -> String {
    objects::message_of(object, "Ready")
}

/// Waits for a reason whose message holds all of these.
pub(crate) async fn refused(scenario: &Scenario<'_>, name: &str, reason: &str, parts: &[&str]) -> Result<()> {
    let says = |object: &DynamicObject| parts.iter().all(|part| message(object).contains(part));
    let what = format!("reason {reason}, and a message that holds {parts:?}");
    scenario.until(name, &what, |object| has_reason(object, reason) && says(object)).await.map(drop)
}

/// Waits until both accounts are entered, then applies an object and waits until it has converged.
pub(crate) async fn converge(scenario: &Scenario<'_>, invoke: &Value) -> Result<DynamicObject> {
    entered(scenario).await?;
    scenario.apply(invoke).await?;
    scenario.until_reason(invoke["metadata"]["name"].as_str().unwrap_or_default(), "Converged").await
}

/// Waits until both accounts are entered.
pub(crate) async fn entered(scenario: &Scenario<'_>) -> Result<()> {
    for account in ["tools", "dev"] {
        scenario.until_account_reason(&format!("{}-{account}", scenario.namespace), "Converged").await?;
    }
    Ok(())
}

/// Makes the controller look at once, and waits until AWS is as described.
pub(crate) async fn repaired(scenario: &Scenario<'_>, name: &str, what: &str, expected: &Value) -> Result<()> {
    scenario.touch(name, what).await?;
    put_right(scenario, name, what, expected).await
}

/// Waits until AWS is as described.
pub(crate) async fn put_right(scenario: &Scenario<'_>, name: &str, what: &str, expected: &Value) -> Result<()> {
    eventually(&format!("{what} is put right"), DEADLINE, async || {
        let lines = crossinvoke_harness::difference(expected, &scenario.configuration().map_err(|e| e.to_string())?);
        if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
    })
    .await?;
    scenario.until_reason(name, "Converged").await.map(|_| ())
}

/// The pipeline's declaration.
pub(crate) fn pipeline(scenario: &Scenario<'_>) -> Result<Value> {
    let accounts = &scenario.accounts;
    Ok(scenario.configuration()?["accounts"][&accounts.tools]["pipelines"][&accounts.region][PIPELINE].clone())
}

/// The pipeline's version.
pub(crate) fn version(scenario: &Scenario<'_>) -> Result<i64> {
    let accounts = &scenario.accounts;
    let history = scenario.aws().snapshot().context("the snapshot")?;
    let version = &history["history"]["accounts"][&accounts.tools]["pipelines"][&accounts.region][PIPELINE]["version"];
    version.as_i64().ok_or_else(|| Error::new("no version"))
}

/// Names of the pipeline's stages.
pub(crate) fn stages(scenario: &Scenario<'_>) -> Result<Vec<String>> {
    let pipeline = pipeline(scenario)?;
    let stages = pipeline["stages"].as_array().cloned().unwrap_or_default();
    Ok(stages.iter().filter_map(|stage| stage["name"].as_str().map(str::to_owned)).collect())
}

/// A role of the snapshot.
pub(crate) fn role(scenario: &Scenario<'_>, account: &str, role: &str) -> Result<Value> {
    Ok(scenario.configuration()?["accounts"][account]["roles"][role].clone())
}

/// The pipeline's service role.
pub(crate) fn pipeline_role(scenario: &Scenario<'_>) -> Result<Value> {
    role(scenario, &scenario.accounts.tools, PIPELINE_ROLE)
}

/// The function's execution role.
pub(crate) fn execution_role(scenario: &Scenario<'_>) -> Result<Value> {
    role(scenario, &scenario.accounts.dev, EXECUTION_ROLE)
}

/// The name of the invoke role that the object's status says.
pub(crate) fn invoke_role_name(object: &DynamicObject) -> String {
    let arn = object.data["status"]["devAccount"]["invokeRoleARN"].as_str().unwrap_or_default();
    arn.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Replaces the status as a tenant who may write it would.
pub(crate) async fn put_status(scenario: &Scenario<'_>, name: &str, status: Value) -> Result<()> {
    let api = scenario.invokes();
    // Until no write of the controller comes in between.
    eventually("the status is taken", DEADLINE, async || {
        let mut object = api.get(name).await.map_err(|error| error.to_string())?;
        object.data["status"] = status.clone();
        api.replace_status(name, &kube::api::PostParams::default(), &object).await.map(drop).map_err(|e| e.to_string())
    })
    .await
}

/// Names of finalizers of an object, as Kubernetes has them now.
pub(crate) async fn finalizers(scenario: &Scenario<'_>, name: &str) -> Result<Vec<String>> {
    Ok(scenario.invokes().get(name).await.context("reading")?.finalizers().to_vec())
}

/// Changes an `AwsAccount` of the scenario with a merge patch.
pub(crate) async fn patch_account(scenario: &Scenario<'_>, which: &str, patch: &Value) -> Result<()> {
    let name = format!("{}-{which}", scenario.namespace);
    let patch = kube::api::Patch::Merge(patch);
    let parameters = kube::api::PatchParams::default();
    scenario.aws_accounts().patch(&name, &parameters, &patch).await.context("patching an AwsAccount")?;
    Ok(())
}

/// A stage of one action that somebody else made, with this action role.
pub(crate) fn foreign_action(name: &str, role: &str) -> Value {
    json!({
        "name": name,
        "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"},
        "runOrder": 1,
        "configuration": {"FunctionName": "Theirs"},
        "roleArn": role,
    })
}

/// Compares with a golden file of this folder, or writes it where `UPDATE_GOLDENS=1` asks for that.
pub(crate) fn compare_with_golden(file: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(file);
    #[allow(clippy::disallowed_methods, reason = "how all golden files are written anew")]
    let write = std::env::var("UPDATE_GOLDENS").is_ok_and(|value| value == "1");
    if write {
        std::fs::write(&file, found).expect("the golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let (was, is) = (lines(&golden), lines(found));
    let gone = was.difference(&is).map(|line| format!("- {line}"));
    let new = is.difference(&was).map(|line| format!("+ {line}"));
    let difference: Vec<String> = gone.chain(new).collect();
    assert!(
        golden == found,
        "not what {} holds (UPDATE_GOLDENS=1 writes it anew):\n{}",
        file.display(),
        difference.join("\n")
    );
}

/// Merges a patch (RFC 7386).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().expect("made so above").remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

/// A release fails in an action that is not ours.
pub(crate) fn failed_release(scenario: &Scenario<'_>) -> Result<String> {
    let (tools, region) = (&scenario.accounts.tools, &scenario.accounts.region);
    let of = (tools.as_str(), region.as_str(), PIPELINE);
    let id = scenario.aws().put_execution(of, None, "InProgress", Some("Build")).context("starting")?;
    scenario.aws().put_execution(of, Some(&id), "Failed", None).context("failing")?;
    Ok(id)
}
