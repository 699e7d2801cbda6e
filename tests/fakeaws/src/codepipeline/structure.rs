//! What a declaration must be beyond the constraints of the service model.
//!
//! Sources: User Guide, "`CodePipeline` pipeline structure reference" and "Quotas". The texts are AWS's where its users
//! have reported them, and say the same in our words where they have not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    declaration::{self, V2, actions, all_actions, category, list, run_order, stages, text},
    gates, namespaces,
};
use crate::error::ServiceError;

type Checked = Result<(), ServiceError>;

pub(super) fn invalid_structure(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidStructureException", message)
}

pub(super) fn invalid_stage(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidStageDeclarationException", message)
}

pub(super) fn invalid_action(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidActionDeclarationException", message)
}

fn validation(message: impl Into<String>) -> ServiceError {
    ServiceError::new("ValidationException", message)
}

/// Checks a normalised declaration of a pipeline in a region.
pub(super) fn check(declaration: &Value, region: &str) -> Checked {
    pipeline_type(declaration)?;
    counts(declaration)?;
    names(declaration)?;
    sources(declaration)?;
    artifacts(declaration)?;
    configurations(declaration)?;
    gates::check(declaration)?;
    triggers(declaration)?;
    namespaces::check(declaration)?;
    artifact_stores(declaration, region)
}

fn pipeline_type(declaration: &Value) -> Checked {
    let needs = declaration.as_object().and_then(declaration::needs_v2);
    let (Some(needs), "V1") = (needs, text(declaration, "pipelineType")) else { return Ok(()) };
    Err(match needs {
        V2::Triggers => invalid_structure("Triggers on tag can only be used with V2 pipelines"),
        V2::Variables => invalid_structure("Pipeline variable can only be used with V2 pipelines"),
        V2::ExecutionMode => invalid_structure("QUEUED or PARALLEL mode can only be used with V2 pipelines"),
        V2::Conditions => invalid_stage("Stage level conditions can only be used with V2 pipelines."),
    })
}

fn counts(declaration: &Value) -> Checked {
    let stages = stages(declaration);
    let number = stages.len();
    if number < 2 {
        let least = "There should be a minimum of 2 stages in a pipeline";
        return Err(invalid_structure(format!("Pipeline has only {number} stage(s). {least}")));
    }
    if number > 50 {
        return Err(invalid_structure("Pipeline has too many stages. There can only be up to 50 stages in a pipeline"));
    }
    for stage in stages {
        let name = text(stage, "name");
        match actions(stage).len() {
            0 => {
                let least = "There should be a minimum of 1 action in a stage";
                return Err(invalid_stage(format!("Stage '{name}' has only 0 action(s). {least}")));
            }
            1..=50 => {}
            _ => {
                let most = "There can only be up to 50 actions in a stage";
                return Err(invalid_stage(format!("Stage '{name}' has too many actions. {most}")));
            }
        }
    }
    Ok(())
}

fn names(declaration: &Value) -> Checked {
    let mut stage_names = BTreeSet::new();
    for stage in stages(declaration) {
        let stage_name = text(stage, "name");
        if !stage_names.insert(stage_name) {
            return Err(invalid_stage(format!("Stage name '{stage_name}' is used more than once")));
        }
        let mut action_names = BTreeSet::new();
        for action in actions(stage) {
            let name = text(action, "name");
            if !action_names.insert(name) {
                let where_ = format!("in stage '{stage_name}'");
                return Err(invalid_action(format!("Action name '{name}' is used more than once {where_}")));
            }
        }
    }
    Ok(())
}

fn sources(declaration: &Value) -> Checked {
    let (first, rest) = stages(declaration).split_first().unwrap_or((&Value::Null, &[]));
    if !actions(first).iter().all(|action| category(action) == "Source") {
        return Err(invalid_structure("Pipeline should start with a stage that only contains source actions"));
    }
    if rest.iter().flat_map(actions).any(|action| category(action) == "Source") {
        return Err(invalid_structure("Source actions can only be included in the first stage of the pipeline"));
    }
    Ok(())
}

/// Output names are unique; an input is the output of an earlier stage, or of a smaller runOrder in its own.
fn artifacts(declaration: &Value) -> Checked {
    let mut outputs = BTreeSet::new();
    for (_, action) in all_actions(declaration) {
        for output in list(action, "outputArtifacts") {
            let name = text(output, "name");
            if !outputs.insert(name) {
                return Err(invalid_action(format!(
                    "Output Artifact Bundle name must be unique within the pipeline. {name} has been used more than once."
                )));
            }
        }
    }
    let mut produced = BTreeSet::new();
    for stage in stages(declaration) {
        for action in actions(stage) {
            let earlier = actions(stage).iter().filter(|other| run_order(other) < run_order(action));
            let earlier: BTreeSet<&str> =
                earlier.flat_map(|other| list(other, "outputArtifacts")).map(|output| text(output, "name")).collect();
            for input in list(action, "inputArtifacts") {
                let name = text(input, "name");
                if !produced.contains(name) && !earlier.contains(name) {
                    let action = text(action, "name");
                    return Err(invalid_action(format!(
                        "Input Artifact Bundle {name} in action {action} is not declared as Output Artifact Bundle in any of \
                         the preceding actions"
                    )));
                }
            }
        }
        let outputs = actions(stage).iter().flat_map(|action| list(action, "outputArtifacts"));
        produced.extend(outputs.map(|output| text(output, "name")));
    }
    Ok(())
}

/// The keys without which an action does nothing, of the action types that a test has a use for.
fn required_keys(action: &Value) -> &'static [&'static str] {
    let kind = &action["actionTypeId"];
    match (text(kind, "owner"), text(kind, "provider")) {
        ("AWS", "Lambda") => &["FunctionName"],
        ("ThirdParty", "GitHub") => &["Owner", "Repo", "Branch", "OAuthToken"],
        _ => &[],
    }
}

/// Required configuration; and a role only for actions of owner AWS (User Guide, "pipeline structure reference").
fn configurations(declaration: &Value) -> Checked {
    for (_, action) in all_actions(declaration) {
        let name = text(action, "name");
        if action.get("roleArn").is_some() && text(&action["actionTypeId"], "owner") != "AWS" {
            return Err(invalid_action(format!("Action '{name}' has a roleArn, but its owner is not AWS")));
        }
        let commands = action.get("commands").is_some();
        match (category(action), text(&action["actionTypeId"], "provider")) {
            // User Guide, "Commands action reference": the commands are what the action is made of.
            ("Compute", "Commands") if !commands => {
                return Err(invalid_action(format!("Action '{name}' has no commands")));
            }
            ("Compute", _) => {}
            _ if commands => {
                return Err(invalid_action(format!("Action '{name}' has commands, but its category is not Compute")));
            }
            _ => {}
        }
        let missing = required_keys(action).iter().find(|key| action["configuration"].get(**key).is_none());
        if let Some(key) = missing {
            let text = format!("Action configuration for action '{name}' is missing required configuration '{key}'");
            return Err(invalid_action(text));
        }
    }
    Ok(())
}

/// A trigger belongs to a source action of the pipeline (User Guide, "Pipeline triggers").
fn triggers(declaration: &Value) -> Checked {
    let sources = stages(declaration).iter().flat_map(actions).filter(|action| category(action) == "Source");
    let sources: BTreeSet<&str> = sources.map(|action| text(action, "name")).collect();
    for trigger in list(declaration, "triggers") {
        let named = text(&trigger["gitConfiguration"], "sourceActionName");
        if !sources.contains(named) {
            return Err(invalid_structure(format!("The trigger's source action '{named}' is not a source action")));
        }
    }
    Ok(())
}

/// One store, or one for the pipeline's region and every region of an action.
fn artifact_stores(declaration: &Value, region: &str) -> Checked {
    let regions: BTreeSet<&str> =
        all_actions(declaration).map(|(_, action)| text(action, "region")).chain([region]).collect();
    match (declaration.get("artifactStore"), declaration.get("artifactStores").and_then(Value::as_object)) {
        (Some(_), None) if regions.len() > 1 => Err(validation(
            "Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead of \
             'pipeline.artifactStore' to declare an artifact store, such as an artifact bucket, for each region where \
             you have an action.",
        )),
        (Some(_), None) => Ok(()),
        (None, Some(stores)) => match regions.iter().find(|region| !stores.contains_key(**region)) {
            None => Ok(()),
            Some(missing) => Err(validation(format!(
                "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have \
                 an action. The following region is missing in 'pipeline.artifactStores': {missing}."
            ))),
        },
        (Some(_), Some(_)) => Err(validation(
            "A pipeline has either 'pipeline.artifactStore' or 'pipeline.artifactStores', but not both.",
        )),
        (None, None) => Err(validation(
            "A pipeline has either 'pipeline.artifactStore' or 'pipeline.artifactStores', and this has none.",
        )),
    }
}
