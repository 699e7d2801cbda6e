//! The lossless edit of a pipeline's declaration: raw JSON in, raw JSON out, and nothing of anybody else's touched.
//!
//! `UpdatePipeline` replaces the whole structure, so whatever is not sent back is deleted. The declaration is therefore
//! edited as the tree that AWS sent: members that no SDK knows yet, masked secrets (`****`), triggers and variables go
//! back as they came. Actions are found by name, since AWS returns them ordered by `runOrder`.

mod members;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

pub use self::members::{Member, desired_members, found_members};
use super::ids::{ActionName, Arn, FunctionName, Region, StageName};

/// Where a stage that does not exist yet goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Position {
    /// Right behind this stage.
    After(StageName),
    /// Right before this stage.
    Before(StageName),
}

/// P4 as declared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DesiredAction {
    /// The stage that holds it.
    pub stage: StageName,
    /// Where that stage goes if it is missing.
    pub position: Option<Position>,
    /// The action's name.
    pub name: ActionName,
    /// 1–999, always written: left out, AWS has been seen to number actions itself.
    pub run_order: u16,
    /// The function's plain name.
    pub function: FunctionName,
    /// 1–1000 characters; an empty value is refused by CodePipeline, so it is left out.
    pub user_parameters: Option<String>,
    /// The namespace of the action's output variables.
    pub variables_namespace: Option<String>,
    /// The function's region when it is not the pipeline's.
    pub region: Option<Region>,
    /// The invoke role.
    pub role: Arn,
}

/// What of a pipeline may be ours. An action is ours when its `roleArn` is one of `roles` *and* its name is one of
/// `actions`: the role alone would take an action that somebody made by hand with our role.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Owned {
    /// ARNs of invoke roles of this object, verified by their tags or made from its name.
    pub roles: BTreeSet<String>,
    /// Action names from the spec and the inventory.
    pub actions: BTreeSet<ActionName>,
    /// Stages that this installation made, which go when they become empty.
    pub stages_made: BTreeSet<StageName>,
}

/// An edit that makes a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// The declaration to send.
    pub declaration: Value,
    /// Whether the desired action's stage was inserted by this edit.
    pub stage_made: bool,
    /// What changes, in words and without values (they can hold secrets).
    pub changes: Vec<String>,
}

/// Why a declaration cannot be edited as asked. The text tells what is there and what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The stage is missing and there is no place for it.
    #[error(
        "{what} is not in the pipeline, whose stages are {stages}; name one of them, or set spec.stage.position \
         (for example {{after: {last}}}) to have the stage made"
    )]
    StageNotFound {
        /// The stage or anchor that is missing.
        what: String,
        /// The stages there are.
        stages: String,
        /// The last stage, as an example.
        last: String,
    },
    /// The place is before or among the sources.
    #[error("{0}")]
    InvalidPosition(String),
    /// Somebody else's action has the name.
    #[error(
        "stage {stage} already has an action {action} that is not this object's ({found}); choose another \
         spec.action.name, or remove that action"
    )]
    ActionConflict {
        /// The stage.
        stage: StageName,
        /// The action.
        action: ActionName,
        /// What is there.
        found: String,
    },
    /// A cross-region action needs an artifact store in its region.
    #[error(
        "the function is in {region} and the pipeline in another region, but the pipeline's artifactStores have no entry for {region}; \
         add one (CodePipeline demands it even for an action without artifacts)"
    )]
    ArtifactStoreMissing {
        /// The function's region.
        region: Region,
    },
    /// Removal would leave an empty stage that we did not make.
    #[error(
        "action {action} is the only one of stage {stage}, which crossinvoke did not make, and CodePipeline refuses an empty stage; \
         add another action to the stage, or remove the stage"
    )]
    WouldEmptyStage {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
    },
    /// Removal would leave fewer than the two stages a pipeline must have.
    #[error(
        "without stage {stage} the pipeline would have fewer than the two stages that CodePipeline demands; add another stage first"
    )]
    WouldLeaveOneStage {
        /// The stage that would go.
        stage: String,
    },
    /// The declaration is not shaped like a pipeline.
    #[error(
        "the pipeline's declaration has no usable {0}, and nothing is changed in it; look at it with `aws codepipeline get-pipeline` and repair it"
    )]
    Malformed(&'static str),
}

/// Edits `declaration` so that it holds exactly `desired` of ours; `None` when it does already.
///
/// # Errors
/// A [`Refusal`] when the place is missing or invalid, the name is taken, or a stage would be left empty.
pub fn converge(
    declaration: &Value,
    pipeline_region: &Region,
    desired: &DesiredAction,
    owned: &Owned,
) -> Result<Option<Edited>, Refusal> {
    if let Some(region) = &desired.region
        && declaration.get("artifactStores").and_then(|stores| stores.get(region.as_str())).is_none()
    {
        return Err(Refusal::ArtifactStoreMissing { region: region.clone() });
    }
    let mut edited = declaration.clone();
    let mut changes = Vec::new();
    let stages = stages_mut(&mut edited)?;
    let (index, stage_made) = match stage_index(stages, desired.stage.as_str()) {
        Some(index) => (index, false),
        None => (insert_stage(stages, desired)?, true),
    };
    if holds_sources(&stages[index]) {
        return Err(Refusal::InvalidPosition(format!(
            "stage {} holds the pipeline's sources, and CodePipeline allows nothing else there; name a later stage",
            desired.stage
        )));
    }
    if stage_made {
        changes.push(format!("stage {} made", desired.stage));
    }
    put_action(&mut stages[index], pipeline_region, desired, owned, &mut changes)?;
    remove_owned(stages, owned, Some(desired), &mut changes)?;
    Ok((edited != *declaration).then_some(Edited { declaration: edited, stage_made, changes }))
}

/// Removes every action of ours; `None` when there is none.
///
/// # Errors
/// A [`Refusal`] when a stage that we did not make would be left empty, or fewer than two stages would remain.
pub fn remove(declaration: &Value, owned: &Owned) -> Result<Option<Edited>, Refusal> {
    let mut edited = declaration.clone();
    let mut changes = Vec::new();
    remove_owned(stages_mut(&mut edited)?, owned, None, &mut changes)?;
    Ok((!changes.is_empty()).then_some(Edited { declaration: edited, stage_made: false, changes }))
}

/// Actions that name one of these roles and are not ours: as `stage/action`. Their role cannot go.
#[must_use]
pub fn foreign_users(declaration: &Value, owned: &Owned) -> Vec<String> {
    actions(declaration)
        .filter(|(_, action)| {
            role_of(action).is_some_and(|role| owned.roles.contains(role)) && !is_owned(action, owned)
        })
        .map(|(stage, action)| format!("{}/{}", name_of(stage), name_of(action)))
        .collect()
}

/// The actions of ours, as stage and action name.
#[must_use]
pub fn owned_actions(declaration: &Value, owned: &Owned) -> Vec<(String, String)> {
    actions(declaration)
        .filter(|(_, action)| is_owned(action, owned))
        .map(|(stage, action)| (name_of(stage).to_owned(), name_of(action).to_owned()))
        .collect()
}

/// Whether the pipeline has this action in this stage, whoever's it is.
#[must_use]
pub fn holds(declaration: &Value, stage: &str, action: &str) -> bool {
    actions(declaration).any(|(of, found)| name_of(of) == stage && name_of(found) == action)
}

/// Whether every action of this stage is ours: such a stage would be empty without us.
#[must_use]
pub fn stage_is_only_ours(declaration: &Value, stage: &str, owned: &Owned) -> bool {
    let mut found = actions(declaration).filter(|(of, _)| name_of(of) == stage).peekable();
    found.peek().is_some() && found.all(|(_, action)| is_owned(action, owned))
}

/// Every role that anything in the stages names, be it an action or a rule of a stage's conditions.
#[must_use]
pub fn roles_named(declaration: &Value) -> BTreeSet<Arn> {
    fn collect(value: &Value, found: &mut BTreeSet<Arn>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("roleArn").and_then(Value::as_str).and_then(|role| role.parse().ok()));
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(declaration.get("stages").unwrap_or(&Value::Null), &mut found);
    found
}

/// The stage and name of the action that has this role, to name it to a person.
#[must_use]
pub fn action_with_role(declaration: &Value, role: &str) -> Option<(String, String)> {
    actions(declaration)
        .find(|(_, action)| role_of(action) == Some(role))
        .map(|(stage, action)| (name_of(stage).to_owned(), name_of(action).to_owned()))
}

fn actions(declaration: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let stages = declaration.get("stages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    stages.iter().flat_map(|stage| {
        let actions = stage.get("actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        actions.iter().map(move |action| (stage, action))
    })
}

fn stages_mut(declaration: &mut Value) -> Result<&mut Vec<Value>, Refusal> {
    declaration.get_mut("stages").and_then(Value::as_array_mut).ok_or(Refusal::Malformed("stages"))
}

fn name_of(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn role_of(action: &Value) -> Option<&str> {
    action.get("roleArn").and_then(Value::as_str)
}

fn stage_index(stages: &[Value], name: &str) -> Option<usize> {
    stages.iter().position(|stage| name_of(stage) == name)
}

fn is_owned(action: &Value, owned: &Owned) -> bool {
    role_of(action).is_some_and(|role| owned.roles.contains(role))
        && owned.actions.iter().any(|name| name.as_str() == name_of(action))
}

fn holds_sources(stage: &Value) -> bool {
    let actions = stage.get("actions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    actions.iter().any(|action| action.pointer("/actionTypeId/category").and_then(Value::as_str) == Some("Source"))
}

fn insert_stage(stages: &mut Vec<Value>, desired: &DesiredAction) -> Result<usize, Refusal> {
    let missing = |what: String, stages: &[Value]| Refusal::StageNotFound {
        what,
        stages: stages.iter().map(name_of).collect::<Vec<_>>().join(", "),
        last: stages.last().map(name_of).unwrap_or_default().to_owned(),
    };
    let (anchor, offset) = match &desired.position {
        None => return Err(missing(format!("stage {}", desired.stage), stages)),
        Some(Position::After(anchor)) => (anchor, 1),
        Some(Position::Before(anchor)) => (anchor, 0),
    };
    let at = stage_index(stages, anchor.as_str())
        .ok_or_else(|| missing(format!("stage {anchor}, which spec.stage.position names,"), stages))?
        + offset;
    if at == 0 {
        return Err(Refusal::InvalidPosition(format!(
            "stage {} cannot go before {anchor}, the pipeline's first stage: only sources may come first; use {{after: {anchor}}}",
            desired.stage
        )));
    }
    stages.insert(at, json!({"name": desired.stage.as_str(), "actions": []}));
    Ok(at)
}

fn put_action(
    stage: &mut Value,
    pipeline_region: &Region,
    desired: &DesiredAction,
    owned: &Owned,
    changes: &mut Vec<String>,
) -> Result<(), Refusal> {
    let actions = stage.get_mut("actions").and_then(Value::as_array_mut).ok_or(Refusal::Malformed("actions"))?;
    match actions.iter_mut().find(|action| name_of(action) == desired.name.as_str()) {
        None => {
            actions.push(render(desired));
            changes.push(format!("action {}/{} added", desired.stage, desired.name));
        }
        Some(action) if !is_owned(action, owned) => {
            let found = match role_of(action) {
                Some(role) => format!("its roleArn is {role}, not {}", desired.role),
                None => "it has no roleArn".to_owned(),
            };
            return Err(Refusal::ActionConflict { stage: desired.stage.clone(), action: desired.name.clone(), found });
        }
        Some(action) => {
            let fields = correct(action, pipeline_region, desired).ok_or(Refusal::Malformed("action"))?;
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

fn render(desired: &DesiredAction) -> Value {
    let mut action = json!({
        "name": desired.name.as_str(),
        "actionTypeId": action_type(),
        "runOrder": desired.run_order,
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
    action
}

/// Sets the members of our action that differ from what is declared and returns their names. Members that we do not
/// declare stay as they are: they may be newer than this code.
fn correct(action: &mut Value, pipeline_region: &Region, desired: &DesiredAction) -> Option<Vec<&'static str>> {
    let members = action.as_object_mut()?;
    let mut changed = Vec::new();
    let declared = render(desired);
    for member in ["actionTypeId", "runOrder", "configuration", "roleArn"] {
        if members.get(member) != declared.get(member) {
            members.insert(member.to_owned(), declared[member].clone());
            changed.push(member);
        }
    }
    for member in ["inputArtifacts", "outputArtifacts"] {
        if members.get(member).and_then(Value::as_array).is_some_and(|artifacts| !artifacts.is_empty()) {
            members.insert(member.to_owned(), json!([]));
            changed.push(member);
        }
    }
    if set_or_remove(members, "namespace", desired.variables_namespace.as_deref()) {
        changed.push("namespace");
    }
    // AWS fills in the pipeline's own region: that is what we mean by leaving it out.
    let region = members.get("region").and_then(Value::as_str).unwrap_or(pipeline_region.as_str());
    if region != desired.region.as_ref().unwrap_or(pipeline_region).as_str() {
        set_or_remove(members, "region", desired.region.as_ref().map(Region::as_str));
        changed.push("region");
    }
    Some(changed)
}

fn set_or_remove(members: &mut Map<String, Value>, member: &str, value: Option<&str>) -> bool {
    if members.get(member).and_then(Value::as_str) == value && members.contains_key(member) == value.is_some() {
        return false;
    }
    match value {
        Some(value) => members.insert(member.to_owned(), json!(value)),
        // `shift_remove` keeps the order of the other members; a plain remove would swap the last one in.
        None => members.shift_remove(member),
    };
    true
}

/// Takes out the actions of ours (but `keep`), and with the last one a stage that we made.
fn remove_owned(
    stages: &mut Vec<Value>,
    owned: &Owned,
    keep: Option<&DesiredAction>,
    changes: &mut Vec<String>,
) -> Result<(), Refusal> {
    let is_kept = |stage: &str, action: &Value| {
        keep.is_some_and(|kept| kept.stage.as_str() == stage && kept.name.as_str() == name_of(action))
    };
    for index in (0..stages.len()).rev() {
        let stage = name_of(&stages[index]).to_owned();
        let Some(actions) = stages[index].get_mut("actions").and_then(Value::as_array_mut) else { continue };
        let mut removed = Vec::new();
        actions.retain(|action| {
            let goes = is_owned(action, owned) && !is_kept(&stage, action);
            if goes {
                removed.push(name_of(action).to_owned());
            }
            !goes
        });
        let empty = actions.is_empty();
        let Some(last) = removed.last() else { continue };
        changes.extend(removed.iter().map(|action| format!("action {stage}/{action} removed")));
        if !empty {
            continue;
        }
        if !owned.stages_made.iter().any(|made| made.as_str() == stage) {
            return Err(Refusal::WouldEmptyStage { stage, action: last.clone() });
        }
        if stages.len() <= 2 {
            return Err(Refusal::WouldLeaveOneStage { stage });
        }
        stages.remove(index);
        changes.push(format!("stage {stage} removed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
