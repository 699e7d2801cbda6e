//! Our action: what it must be, whether one that is there is ours, and which of its members differ.

use serde_json::{Value, json};

use super::{DesiredAction, Owned, Refusal, json::Json, order};
use crate::domain::ids::{Arn, Region};

impl Owned {
    /// Whether an action of this stage is ours.
    pub(super) fn owns(&self, stage: &str, action: &Json) -> bool {
        self.is_under_our_role(action.text("name"), role_of(action))
            || self.reclaimed.iter().any(|(of, known)| of == stage && known == action)
    }

    /// Whether an action belongs to another object of this installation.
    pub(super) fn is_neighbours(&self, action: &Json) -> bool {
        self.is_a_neighbour(role_of(action))
    }

    /// Whether an action of this name and role is ours or another object's.
    pub(super) fn is_of_installation(&self, name: &str, role: Option<&str>) -> bool {
        self.is_under_our_role(name, role) || self.is_a_neighbour(role)
    }

    fn is_under_our_role(&self, name: &str, role: Option<&str>) -> bool {
        role.is_some_and(|role| self.roles.contains(role)) && self.actions.iter().any(|known| known.as_str() == name)
    }

    fn is_a_neighbour(&self, role: Option<&str>) -> bool {
        let role = role.and_then(|role| role.parse::<Arn>().ok()?.role());
        role.is_some_and(|role| self.neighbours.contains(&role))
    }
}

pub(super) fn role_of(action: &Json) -> Option<&str> {
    action.get("roleArn").and_then(Json::as_str)
}

/// Puts our action into its stage, or corrects it there.
pub(super) fn put(
    stage: &mut Json,
    pipeline_region: &Region,
    desired: &DesiredAction,
    owned: &Owned,
    changes: &mut Vec<String>,
) -> Result<(), Refusal> {
    let run_order = order::run_order(stage, desired, owned)?;
    let actions = stage.get_mut("actions").and_then(Json::as_list_mut).ok_or(Refusal::Malformed("actions"))?;
    match actions.iter_mut().find(|action| action.text("name") == desired.name.as_str()) {
        None => {
            actions.push(render(desired, run_order));
            changes.push(format!("action {}/{} added", desired.stage, desired.name));
        }
        Some(action) if !owned.owns(desired.stage.as_str(), action) => {
            let found = match role_of(action) {
                Some(role) => format!("its roleArn is {}, not {}", owned.untold.shown(role), desired.role),
                None => format!("it has no roleArn, and this object's is {}", desired.role),
            };
            return Err(Refusal::ActionConflict { stage: desired.stage.clone(), action: desired.name.clone(), found });
        }
        Some(action) => {
            let fields = correct(action, pipeline_region, desired, run_order).ok_or(Refusal::Malformed("action"))?;
            if !fields.is_empty() {
                changes.push(format!("action {}/{}: {}", desired.stage, desired.name, fields.join(", ")));
            }
        }
    }
    Ok(())
}

fn configuration(desired: &DesiredAction) -> Value {
    let mut configuration = json!({"FunctionName": desired.function.as_str()});
    if let Some(parameters) = desired.user_parameters.as_deref().filter(|parameters| !parameters.is_empty()) {
        configuration["UserParameters"] = json!(parameters);
    }
    configuration
}

fn action_type() -> Value {
    json!({"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"})
}

/// Whether an action invokes this function, under whatever role.
pub(super) fn invokes(action: &Json, desired: &DesiredAction) -> bool {
    let function = action.get("configuration").map(|configuration| configuration.text("FunctionName"));
    is_invoke(action) && function == Some(desired.function.as_str())
}

/// Whether an action invokes a function.
pub(super) fn is_invoke(action: &Json) -> bool {
    action.get("actionTypeId").is_some_and(|found| found.means(&action_type().into()))
}

/// The action as it must be, with this run order.
pub(super) fn render(desired: &DesiredAction, run_order: i64) -> Json {
    let mut action = json!({
        "name": desired.name.as_str(),
        "actionTypeId": action_type(),
        "runOrder": run_order,
        "configuration": configuration(desired),
        "outputArtifacts": [],
        "inputArtifacts": [],
        "roleArn": desired.role.as_str(),
    });
    if let Some(region) = &desired.region {
        action["region"] = json!(region.as_str());
    }
    if let Some(namespace) = &desired.variables_namespace {
        action["namespace"] = json!(namespace);
    }
    action.into()
}

/// Sets the members of our action that differ from what is declared and returns their names. Members that we do not
/// declare stay as they are: they may be newer than this code.
fn correct(
    action: &mut Json,
    pipeline_region: &Region,
    desired: &DesiredAction,
    run_order: i64,
) -> Option<Vec<&'static str>> {
    if !matches!(action, Json::Object(_)) {
        return None;
    }
    let mut changed = Vec::new();
    let declared = render(desired, run_order);
    for member in ["actionTypeId", "runOrder", "configuration", "roleArn"] {
        let wanted = declared.get(member)?;
        let is_right = match member {
            "runOrder" => order::number(action) == run_order,
            _ => action.get(member).is_some_and(|found| found.means(wanted)),
        };
        if !is_right {
            action.set(member, wanted.clone());
            changed.push(member);
        }
    }
    for member in ["inputArtifacts", "outputArtifacts"] {
        if !action.list(member).is_empty() {
            action.set(member, Json::List(Vec::new()));
            changed.push(member);
        }
    }
    if set_or_remove(action, "namespace", desired.variables_namespace.as_deref()) {
        changed.push("namespace");
    }
    // AWS fills in the pipeline's own region: that is what we mean by leaving it out.
    let region = action.get("region").and_then(Json::as_str).unwrap_or(pipeline_region.as_str());
    if region != desired.region.as_ref().unwrap_or(pipeline_region).as_str() {
        set_or_remove(action, "region", desired.region.as_ref().map(Region::as_str));
        changed.push("region");
    }
    Some(changed)
}

fn set_or_remove(action: &mut Json, member: &str, value: Option<&str>) -> bool {
    let found = action.said(member);
    if found.and_then(Json::as_str) == value && found.is_some() == value.is_some() {
        return false;
    }
    match value {
        Some(value) => action.set(member, value.into()),
        None => action.remove(member),
    }
    true
}

/// Whether two states of an action differ in their role alone.
#[must_use]
pub fn differ_in_role_alone(before: &Json, now: &Json) -> bool {
    let without_role = |action: &Json| {
        let mut action = action.clone();
        action.remove("roleArn");
        action
    };
    role_of(before) != role_of(now) && without_role(before).means(&without_role(now))
}
