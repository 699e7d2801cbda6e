//! The structure's rules (CodePipeline User Guide, pipeline structure reference and quotas; API reference). Members that
//! the double does not know are left alone.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::ServiceError;

/// Checks a declaration for a pipeline in this region.
///
/// # Errors
/// The exception that names the first thing that is wrong.
pub(super) fn check(declaration: &Value, region: &str) -> Result<(), ServiceError> {
    name(declaration, "pipeline")?;
    let role = text(declaration, "roleArn");
    if !role.contains(":role/") {
        return Err(validation(format!("Value '{role}' at 'pipeline.roleArn' failed to satisfy constraint")));
    }
    if declaration.get("artifactStore").is_some() == declaration.get("artifactStores").is_some() {
        return Err(structure("Pipeline must have exactly one of artifactStore and artifactStores"));
    }
    let stages = list(declaration, "stages");
    if stages.len() < 2 {
        let text =
            format!("Pipeline has only {} stage(s). There should be a minimum of 2 stages in a pipeline", stages.len());
        return Err(structure(text));
    }
    if stages.len() > 50 {
        return Err(structure("Pipeline has more than 50 stages"));
    }
    let mut names = BTreeSet::new();
    let mut outputs = BTreeSet::new();
    for (index, stage) in stages.iter().enumerate() {
        let stage_name = name(stage, "stage")?;
        if !names.insert(stage_name) {
            return Err(structure(format!("Duplicate stage name {stage_name}")));
        }
        check_stage(declaration, region, index, stage, &mut outputs)?;
    }
    Ok(())
}

fn check_stage<'a>(
    declaration: &Value,
    region: &str,
    index: usize,
    stage: &'a Value,
    outputs: &mut BTreeSet<&'a str>,
) -> Result<(), ServiceError> {
    let stage_name = text(stage, "name");
    let actions = list(stage, "actions");
    if actions.is_empty() || actions.len() > 50 {
        let message =
            format!("Stage {stage_name} has {} actions. There should be 1 to 50 actions in a stage", actions.len());
        return Err(ServiceError::new("InvalidStageDeclarationException", message));
    }
    let mut names = BTreeSet::new();
    // What an action makes is there for actions of a later run order; within a stage the order is by that number.
    let mut ordered: Vec<&Value> = actions.iter().collect();
    ordered.sort_by_key(|action| run_order(action));
    for action in ordered {
        let action_name = name(action, "action")?;
        if !names.insert(action_name) {
            return Err(structure(format!("Duplicate action name {action_name} in stage {stage_name}")));
        }
        check_action(declaration, region, index, stage_name, action)?;
        for input in artifacts(action, "inputArtifacts") {
            if !outputs.contains(input) {
                let message =
                    format!("Input Artifact {input} of action {action_name} is not an output of an earlier action");
                return Err(structure(message));
            }
        }
        for output in artifacts(action, "outputArtifacts") {
            if !outputs.insert(output) {
                return Err(structure(format!("Output Artifact {output} is made by more than one action")));
            }
        }
    }
    Ok(())
}

fn check_action(
    declaration: &Value,
    region: &str,
    stage_index: usize,
    stage_name: &str,
    action: &Value,
) -> Result<(), ServiceError> {
    let action_name = text(action, "name");
    let invalid = |what: String| ServiceError::new("InvalidActionDeclarationException", what);
    let kind = action.get("actionTypeId").unwrap_or(&Value::Null);
    for member in ["category", "owner", "provider", "version"] {
        if text(kind, member).is_empty() {
            return Err(validation(format!(
                "Value null at actionTypeId.{member} of action {action_name} must not be null"
            )));
        }
    }
    let is_source = text(kind, "category") == "Source";
    if is_source != (stage_index == 0) {
        let message = if is_source {
            format!("Source action {action_name} can only be in the first stage, not in {stage_name}")
        } else {
            format!("The first stage, {stage_name}, can only contain source actions, not {action_name}")
        };
        return Err(structure(message));
    }
    if !(1..=999).contains(&run_order(action)) {
        return Err(validation(format!("runOrder of action {action_name} must be between 1 and 999")));
    }
    let configuration = action.get("configuration").and_then(Value::as_object);
    for (key, value) in configuration.into_iter().flatten() {
        let length = value.as_str().map_or(0, |value| value.chars().count());
        if key.is_empty() || key.len() > 50 || !(1..=1000).contains(&length) {
            return Err(validation(format!(
                "Value at configuration.{key} of action {action_name} must have length between 1 and 1000, and its key between 1 and 50"
            )));
        }
    }
    if text(kind, "provider") == "Lambda" && configuration.is_none_or(|members| !members.contains_key("FunctionName")) {
        return Err(invalid(format!(
            "Action configuration for action '{action_name}' is missing required configuration 'FunctionName'"
        )));
    }
    let action_region = text(action, "region");
    if !action_region.is_empty() && action_region != region {
        let stores = declaration.get("artifactStores").and_then(|stores| stores.get(action_region));
        if stores.is_none() {
            return Err(structure(format!(
                "Action {action_name} is in {action_region}, for which the pipeline has no artifact store"
            )));
        }
    }
    let role = text(action, "roleArn");
    if !role.is_empty() && (!role.contains(":role/") || text(kind, "owner") != "AWS") {
        return Err(invalid(format!("roleArn of action {action_name} is not a role, or its owner is not AWS")));
    }
    Ok(())
}

/// Every action with its stage.
pub(super) fn actions(declaration: &Value) -> impl Iterator<Item = &Value> {
    list(declaration, "stages").iter().flat_map(|stage| list(stage, "actions"))
}

/// 1 when it is left out.
pub(super) fn run_order(action: &Value) -> i64 {
    action.get("runOrder").map_or(1, |order| order.as_i64().unwrap_or_default())
}

/// A member's text; empty when it is not there.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn artifacts<'a>(action: &'a Value, member: &str) -> impl Iterator<Item = &'a str> {
    list(action, member).iter().map(|artifact| text(artifact, "name"))
}

fn name<'a>(value: &'a Value, what: &str) -> Result<&'a str, ServiceError> {
    let name = text(value, "name");
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || ".@-_".contains(c));
    if (1..=100).contains(&name.len()) && legal {
        return Ok(name);
    }
    Err(validation(format!(
        "1 validation error detected: Value '{name}' at '{what}.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+ and have length between 1 and 100"
    )))
}

fn structure(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidStructureException", message)
}

fn validation(message: String) -> ServiceError {
    ServiceError::new("ValidationException", message)
}
