//! The action that asks for a look: what its scripts make of the test data, and what the controller makes of the outcome.

use std::path::Path;

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario,
    wait::{DEADLINE, eventually, until_object},
};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::verdicts::{run, script, settle, write};
use crate::support::converge;

const ANNOTATION: &str = "crossinvoke.dev/reconcile-requested-at";

pub(super) async fn on_both_kinds(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let account = format!("{}-tools", scenario.namespace);
    let invoke = (scenario.invokes(), "validate", "GetPipeline");
    // A kept session would answer without a call.
    let account = (scenario.aws_accounts(), account.as_str(), "GetCallerIdentity");
    for (kind, (api, name, call)) in [("CrossAccountInvoke", invoke), ("AwsAccount", account)] {
        in_argo_cds_layout(scenario, kind).await?;
        let object = api.get(name).await.context("reading")?;
        let done = act(scenario, kind, &object).await?;
        is_looked_at(scenario, (&api, name), &done, call).await?;
    }
    Ok(())
}

/// Argo CD's own format of tests: what can be done when, and what comes out. The objects are those of the health checks.
async fn in_argo_cds_layout(scenario: &Scenario<'_>, kind: &str) -> Result<()> {
    let discovery = script(kind, "actions/discovery.lua");
    let mut discovered = Vec::new();
    // Nothing is left to look at on what is being deleted.
    for (state, disabled) in [("converged", false), ("stalled", false), ("deleting", true)] {
        let found = run(scenario, &["lua", &discovery], &[test_data(kind, state)?]).await?.remove(0);
        let action = json!({"disabled": disabled, "displayName": "Check now"});
        assert_eq!(found, json!({"check-now": action}), "{kind} {state}");
        let result = json!([{"name": "check-now", "disabled": disabled, "displayName": "Check now"}]);
        discovered.push(json!({"inputPath": format!("../testdata/{state}.json"), "result": result}));
    }
    let input = test_data(kind, "converged")?;
    let mut output = serde_json::to_value(&input).context("test data")?;
    output["metadata"]["annotations"] = act(scenario, kind, &input).await?["metadata"]["annotations"].clone();
    settle(&mut output);
    write(&format!("{kind}/actions/testdata/check-now.json"), &output)?;
    let acted = json!({"action": "check-now", "inputPath": "../testdata/converged.json",
        "expectedOutputPath": "testdata/check-now.json"});
    write(&format!("{kind}/actions/action_test.yaml"), &json!({"discoveryTests": discovered, "actionTests": [acted]}))
}

fn test_data(kind: &str, state: &str) -> Result<DynamicObject> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(script(kind, &format!("testdata/{state}.json")));
    let text = std::fs::read_to_string(&file).context(file.display())?;
    serde_json::from_str(&text).context(file.display())
}

/// What the action makes of an object: the annotation with the time, and no other change.
async fn act(scenario: &Scenario<'_>, kind: &str, object: &DynamicObject) -> Result<Value> {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    let action = script(kind, "actions/check-now/action.lua");
    let done = run(scenario, &["lua", &action], std::slice::from_ref(&object)).await?.remove(0);
    let at = &done["metadata"]["annotations"][ANNOTATION];
    at.as_str().unwrap_or_default().parse::<jiff::Timestamp>().context("the time")?;
    let mut expected = serde_json::to_value(&object).context("the object")?;
    expected["metadata"]["annotations"][ANNOTATION] = at.clone();
    assert_eq!(as_lua_knows_it(&done), as_lua_knows_it(&expected), "{kind}");
    Ok(done)
}

/// Lua has one kind of number, and no difference between what is empty and what is not there.
fn as_lua_knows_it(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => items.iter().map(as_lua_knows_it).collect(),
        Value::Object(members) => {
            let known = members.iter().map(|(key, value)| (key.clone(), as_lua_knows_it(value)));
            let known: serde_json::Map<_, _> = known.filter(|(_, value)| !value.is_null()).collect();
            if known.is_empty() { Value::Null } else { Value::Object(known) }
        }
        other => other.clone(),
    }
}

/// Applies the outcome as Argo CD does, as a merge patch, and waits for the look and its echo.
async fn is_looked_at(
    scenario: &Scenario<'_>,
    (api, name): (&Api<DynamicObject>, &str),
    done: &Value,
    call: &str,
) -> Result<()> {
    let mark = scenario.mark()?;
    let patch = Patch::Merge(json!({"metadata": {"annotations": done["metadata"]["annotations"]}}));
    api.patch(name, &PatchParams::default(), &patch).await.context("patching")?;
    let at = &done["metadata"]["annotations"][ANNOTATION];
    let echoed = |object: Option<&DynamicObject>| {
        object.is_some_and(|object| object.data["status"]["lastHandledReconcileAt"] == *at)
    };
    let object = until_object(api, name, "the request is echoed", DEADLINE, echoed).await?;
    object.ok_or_else(|| Error::new(format!("{name} went away")))?;
    eventually(&format!("{call} after the action"), DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of(call) > 0 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await
}
