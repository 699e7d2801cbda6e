//! Declarations as JSON. Members that the double does not know are kept at every level.

use serde_json::{Map, Value, json};

use super::shapes;

/// What the API shows in the place of a secret.
pub(super) const MASK: &str = "****";

/// Owners of actions, and configuration keys whose values are secrets (User Guide, "GitHub (OAuth app)" and "Alexa Skills
/// Kit" action references). Actions of owner AWS have none. A custom action type marks its own (API reference,
/// `ActionConfigurationProperty`, `secret`); every one of the double marks `ApiToken`, and nothing else.
const SECRETS: [(&str, &str); 4] = [
    ("ThirdParty", "OAuthToken"),
    ("ThirdParty", "ClientSecret"),
    ("ThirdParty", "RefreshToken"),
    ("Custom", CUSTOM_SECRET),
];

/// The secret of every custom action type.
pub(super) const CUSTOM_SECRET: &str = "ApiToken";

/// The stages of a declaration.
pub(super) fn stages(declaration: &Value) -> &[Value] {
    list(declaration, "stages")
}

/// The actions of a stage.
pub(super) fn actions(stage: &Value) -> &[Value] {
    list(stage, "actions")
}

/// All actions with the name of their stage, in order.
pub(super) fn all_actions(declaration: &Value) -> impl Iterator<Item = (&str, &Value)> {
    stages(declaration).iter().flat_map(|stage| actions(stage).iter().map(|action| (text(stage, "name"), action)))
}

/// A list member, empty if absent.
pub(super) fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A text member, empty if absent.
pub(super) fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// The category of an action.
pub(super) fn category(action: &Value) -> &str {
    text(&action["actionTypeId"], "category")
}

/// The runOrder of an action; 1 if it has none.
pub(super) fn run_order(action: &Value) -> i64 {
    action.get("runOrder").and_then(Value::as_i64).unwrap_or(1)
}

/// A declaration as AWS keeps it: without `version` and the nulls of members it knows, actions ordered by runOrder, with their defaults filled
/// in (`runOrder`, `region`, artifact lists, execution mode, pipeline type).
///
/// # Errors
/// If stages or actions are no lists of objects.
pub(super) fn normalised(given: &Value, region: &str) -> Result<Value, String> {
    let mut declaration = given.clone();
    shapes::strip_nulls(&mut declaration);
    let members = declaration.as_object_mut().ok_or("a declaration is no object")?;
    members.shift_remove("version");
    let needs_v2 = needs_v2(members).is_some();
    members.entry("executionMode").or_insert_with(|| json!("SUPERSEDED"));
    members.entry("pipelineType").or_insert_with(|| json!(if needs_v2 { "V2" } else { "V1" }));
    let stages = members.get_mut("stages").and_then(Value::as_array_mut).ok_or("stages are no list")?;
    for stage in stages {
        let actions = stage.get_mut("actions").and_then(Value::as_array_mut).ok_or("actions are no list")?;
        for action in actions.iter_mut() {
            fill(action.as_object_mut().ok_or("an action is no object")?, region);
        }
        actions.sort_by_key(run_order);
    }
    Ok(declaration)
}

/// The defaults of an action.
fn fill(action: &mut Map<String, Value>, region: &str) {
    action.entry("runOrder").or_insert_with(|| json!(1));
    action.entry("region").or_insert_with(|| json!(region));
    for artifacts in ["inputArtifacts", "outputArtifacts"] {
        action.entry(artifacts).or_insert_with(|| json!([]));
    }
}

/// The first thing in a declaration that only a pipeline of type V2 can have (User Guide, "Pipeline types").
pub(super) fn needs_v2(declaration: &Map<String, Value>) -> Option<V2> {
    let filled = |member: &str| declaration.get(member).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let stages = declaration.get("stages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let gated = |stage: &Value| ["beforeEntry", "onSuccess", "onFailure"].iter().any(|gate| stage.get(gate).is_some());
    if filled("triggers") {
        Some(V2::Triggers)
    } else if filled("variables") {
        Some(V2::Variables)
    } else if matches!(declaration.get("executionMode").and_then(Value::as_str), Some("QUEUED" | "PARALLEL")) {
        Some(V2::ExecutionMode)
    } else {
        stages.iter().any(gated).then_some(V2::Conditions)
    }
}

/// What a pipeline of type V1 cannot have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum V2 {
    Triggers,
    Variables,
    ExecutionMode,
    Conditions,
}

fn is_secret(action: &Value, key: &str) -> bool {
    SECRETS.contains(&(text(&action["actionTypeId"], "owner"), key))
}

/// The declaration with every secret masked.
pub(super) fn masked(declaration: &Value) -> Value {
    map_secrets(declaration, |_, _, _, _| Some(MASK.to_owned()))
}

/// The declaration with every mask replaced by the secret of the same stage, action and key in `before`. A mask whose
/// stage or action is not found there stays: the secret is lost (User Guide, "`CodePipeline` pipeline structure
/// reference": the values are not preserved when a stage is renamed). So it is where other values of the action change:
/// the API reference promises that a mask preserves the secret "without changing any other values of the action".
pub(super) fn unmasked(declaration: &Value, before: &Value, region: &str) -> Value {
    let shown = masked(before);
    let unchanged = |stage: &str, action: &Value| {
        let mut given = action.clone();
        shapes::strip_nulls(&mut given);
        given.as_object_mut().into_iter().for_each(|given| fill(given, region));
        all_actions(&shown).any(|(in_stage, old)| in_stage == stage && *old == given)
    };
    map_secrets(declaration, |stage, action, key, value| {
        let name = text(action, "name");
        let known = |(in_stage, candidate): &(&str, &Value)| *in_stage == stage && text(candidate, "name") == name;
        let (_, old) = all_actions(before).find(known).filter(|_| value == MASK && unchanged(stage, action))?;
        Some(old["configuration"].get(key)?.as_str()?.to_owned())
    })
}

fn map_secrets(declaration: &Value, change: impl Fn(&str, &Value, &str, &str) -> Option<String>) -> Value {
    let mut declaration = declaration.clone();
    let stages = declaration.get_mut("stages").and_then(Value::as_array_mut);
    for stage in stages.into_iter().flatten() {
        let stage_name = text(stage, "name").to_owned();
        let actions = stage.get_mut("actions").and_then(Value::as_array_mut);
        for action in actions.into_iter().flatten() {
            let before = action.clone();
            let configuration = action.get_mut("configuration").and_then(Value::as_object_mut);
            for (key, value) in configuration.into_iter().flatten() {
                let old = value.as_str().filter(|_| is_secret(&before, key));
                if let Some(new) = old.and_then(|old| change(&stage_name, &before, key, old)) {
                    *value = Value::String(new);
                }
            }
        }
    }
    declaration
}
