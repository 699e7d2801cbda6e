//! The lossless edit of a pipeline's declaration: raw JSON in, raw JSON out, and nothing of anybody else's touched.
//!
//! `UpdatePipeline` replaces the whole structure, so whatever is not sent back is deleted. The declaration is therefore
//! edited as the tree that AWS sent: members that no SDK knows yet, masked secrets (`****`), triggers and variables go
//! back as they came, digit by digit. Actions are found by name, since AWS returns them ordered by `runOrder`.

mod action;
mod json;
mod members;
mod order;
mod sent;
mod stage;
mod untold;
mod users;

use std::collections::BTreeSet;

pub use self::{
    action::differ_in_role_alone,
    json::{Fragment, Json, Property},
    members::{Member, desired_members, found_members},
    order::{Beside, Earlier, Note, NoteKind, Placed, notes, place_of_ours, placed},
    sent::{is_kept_as, is_made_of},
    stage::{renamed, stage_is_only_ours},
    untold::{UNTOLD, Untold},
    users::foreign_users,
};
use super::ids::{ActionName, Arn, FunctionName, Region, RoleId, StageName};

/// Where a stage that does not exist yet goes.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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
    /// 1–999, or the number that the action has. One is always written: left out, AWS has been seen to number actions
    /// itself.
    pub run_order: Option<u16>,
    /// The place that it had in its stage before somebody took it out.
    pub earlier: Option<Earlier>,
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owned {
    /// ARNs of invoke roles of this object, verified by their tags or made from its name.
    pub roles: BTreeSet<String>,
    /// Action names from the spec and the inventory.
    pub actions: BTreeSet<ActionName>,
    /// Stages that this installation made, which go when they become empty.
    pub stages_made: BTreeSet<StageName>,
    /// Stages that the spec or the inventory names. One that holds our action and is none of them was renamed.
    pub stages_known: BTreeSet<StageName>,
    /// Invoke roles of other objects of this installation, whose actions may share a stage with ours.
    pub neighbours: BTreeSet<RoleId>,
    /// Those of them that this very process planned. What an object merely names may be the role of another team's action.
    pub planned_neighbours: BTreeSet<RoleId>,
    /// Actions that were ours until somebody changed their role and nothing else, by their stage, as they are now.
    pub reclaimed: Vec<(String, Json)>,
    /// Roles of other people's actions that no message names.
    pub untold: Untold,
}

/// An edit that makes a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    /// The declaration to send.
    pub declaration: Json,
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
         spec.action.name, or remove that action; if it is this object's, put its roleArn back"
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
    /// Removal would take away what somebody added to a stage that we made.
    #[error(
        "action {action} is the only one of stage {stage}, which crossinvoke made and to which somebody added {added}: the stage is \
         not removed with that, and CodePipeline refuses an empty stage; remove {added} from the stage, or add another action to it"
    )]
    StageHasMore {
        /// The stage.
        stage: String,
        /// The action.
        action: String,
        /// Members of the stage.
        added: String,
    },
    /// The stage has another name now.
    #[error(
        "stage {stage} is not in the pipeline, and this object's action {action} is in stage {found}, which nothing declares: somebody \
         renamed the stage; set spec.stage.name to {found}, or rename the stage to {stage}"
    )]
    StageRenamed {
        /// As it is declared.
        stage: StageName,
        /// The action.
        action: ActionName,
        /// As it is called now.
        found: String,
    },
    /// Another action has the namespace, or an artifact the same name.
    #[error(
        "spec.action.variablesNamespace: {namespace} is already the {what} of {by}, and CodePipeline demands one of its own; choose \
         another, for example {namespace}-validation"
    )]
    NamespaceTaken {
        /// The namespace.
        namespace: String,
        /// Who has it.
        by: String,
        /// What it is there.
        what: &'static str,
    },
    /// The parameters refer to variables that nothing before our action declares.
    #[error(
        "spec.action.userParameters: no action before this one declares the variables namespace {namespaces}; correct the reference, \
         give the action that makes the variables that namespace, or run this action after it (spec.stage, spec.action.runOrder)"
    )]
    UnknownNamespace {
        /// Which namespaces.
        namespaces: String,
    },
    /// Others use output variables that the change would take away.
    #[error(
        "spec.action.variablesNamespace: {users} in this pipeline use variables of namespace {namespaces}, which no earlier action \
         would declare after this change, and CodePipeline refuses that; take #{{{namespaces}.…}} out there first, or leave namespace, \
         stage and runOrder as they were"
    )]
    NamespaceInUse {
        /// Which namespaces.
        namespaces: String,
        /// Who uses them.
        users: String,
    },
    /// Others use output variables that go with our action.
    #[error(
        "{users} in this pipeline use variables of namespace {namespaces}, which only this object's action declares, and CodePipeline \
         refuses a pipeline in which nothing declares them; take #{{{namespaces}.…}} out there"
    )]
    WouldLoseVariables {
        /// Which namespaces.
        namespaces: String,
        /// Who uses them.
        users: String,
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
/// A [`Refusal`] when the place is missing or invalid, the name is taken, a stage would be left empty, or a variable would
/// be declared twice or not at all.
pub fn converge(
    declaration: &Json,
    pipeline_region: &Region,
    desired: &DesiredAction,
    owned: &Owned,
) -> Result<Option<Edited>, Refusal> {
    if let Some(region) = &desired.region
        && declaration.get("artifactStores").and_then(|stores| stores.get(region.as_str())).is_none()
    {
        return Err(Refusal::ArtifactStoreMissing { region: region.clone() });
    }
    if stage_index(declaration.list("stages"), desired.stage.as_str()).is_none()
        && let Some(found) = renamed(declaration, &desired.name, owned)
    {
        let (stage, action, found) = (desired.stage.clone(), desired.name.clone(), found.to_owned());
        return Err(Refusal::StageRenamed { stage, action, found });
    }
    let mut edited = declaration.clone();
    let mut changes = Vec::new();
    let stages = stages_mut(&mut edited)?;
    let (index, stage_made) = match stage_index(stages, desired.stage.as_str()) {
        Some(index) => (index, false),
        None => (stage::insert(stages, desired)?, true),
    };
    if stage::holds_sources(&stages[index]) {
        return Err(Refusal::InvalidPosition(format!(
            "stage {} holds the pipeline's sources, and CodePipeline allows nothing else there; name a later stage",
            desired.stage
        )));
    }
    if stage_made {
        changes.push(format!("stage {} made", desired.stage));
    }
    action::put(&mut stages[index], pipeline_region, desired, owned, &mut changes)?;
    remove_owned(stages, owned, Some(desired), &mut changes)?;
    if changes.is_empty() {
        return Ok(None);
    }
    users::check_variables(declaration, &edited, Some(desired))?;
    Ok(Some(Edited { declaration: edited, stage_made, changes }))
}

/// Removes every action of ours; `None` when there is none.
///
/// # Errors
/// A [`Refusal`] when a stage that has to stay would be left empty, fewer than two stages would remain, or somebody uses
/// our output variables.
pub fn remove(declaration: &Json, owned: &Owned) -> Result<Option<Edited>, Refusal> {
    let mut edited = declaration.clone();
    let mut changes = Vec::new();
    remove_owned(stages_mut(&mut edited)?, owned, None, &mut changes)?;
    if changes.is_empty() {
        return Ok(None);
    }
    users::check_variables(declaration, &edited, None)?;
    Ok(Some(Edited { declaration: edited, stage_made: false, changes }))
}

/// The actions of ours, as stage and action name.
#[must_use]
pub fn owned_actions(declaration: &Json, owned: &Owned) -> Vec<(String, String)> {
    actions(declaration)
        .filter(|(stage, action)| owned.owns(stage.text("name"), action))
        .map(|(stage, action)| (stage.text("name").to_owned(), action.text("name").to_owned()))
        .collect()
}

/// The action in this place, whoever's it is.
#[must_use]
pub fn action_at<'a>(declaration: &'a Json, stage: &str, action: &str) -> Option<&'a Json> {
    actions(declaration)
        .find(|(of, found)| of.text("name") == stage && found.text("name") == action)
        .map(|(_, found)| found)
}

/// The stages that CodePipeline rolls back when they fail.
#[must_use]
pub fn stages_that_roll_back(declaration: &Json) -> Vec<&str> {
    let rolls_back = |stage: &&Json| stage.get("onFailure").is_some_and(|failure| failure.text("result") == "ROLLBACK");
    declaration.list("stages").iter().filter(rolls_back).map(|stage| stage.text("name")).collect()
}

/// The role of the action in this place, where it invokes a function; no other action is ever ours.
#[must_use]
pub fn invoke_role_at(declaration: &Json, stage: &str, name: &str) -> Option<RoleId> {
    let found = action_at(declaration, stage, name).filter(|found| action::is_invoke(found))?;
    action::role_of(found)?.parse::<Arn>().ok()?.role()
}

/// Every role that anything in the stages names, be it an action or a rule of a stage's conditions.
#[must_use]
pub fn roles_named(declaration: &Json) -> BTreeSet<Arn> {
    fn collect(json: &Json, found: &mut BTreeSet<Arn>) {
        found.extend(json.text("roleArn").parse().ok());
        for member in json.members() {
            collect(member.value(), found);
        }
        for item in json.as_list().unwrap_or_default() {
            collect(item, found);
        }
    }
    let mut found = BTreeSet::new();
    for stage in declaration.list("stages") {
        collect(stage, &mut found);
    }
    found
}

/// The stage and name of the action that has this role, to name it to a person.
#[must_use]
pub fn action_with_role(declaration: &Json, role: &str) -> Option<(String, String)> {
    actions(declaration)
        .find(|(_, found)| action::role_of(found) == Some(role))
        .map(|(stage, action)| (stage.text("name").to_owned(), action.text("name").to_owned()))
}

/// Whether the pipeline has a stage of this name.
#[must_use]
pub fn has_stage(declaration: &Json, stage: &str) -> bool {
    stage_index(declaration.list("stages"), stage).is_some()
}

fn actions(declaration: &Json) -> impl Iterator<Item = (&Json, &Json)> {
    declaration.list("stages").iter().flat_map(|stage| stage.list("actions").iter().map(move |action| (stage, action)))
}

fn stages_mut(declaration: &mut Json) -> Result<&mut Vec<Json>, Refusal> {
    declaration.get_mut("stages").and_then(Json::as_list_mut).ok_or(Refusal::Malformed("stages"))
}

fn stage_index(stages: &[Json], name: &str) -> Option<usize> {
    stages.iter().position(|stage| stage.text("name") == name)
}

/// Takes out the actions of ours (but `keep`), and with the last one a stage that we made.
fn remove_owned(
    stages: &mut Vec<Json>,
    owned: &Owned,
    keep: Option<&DesiredAction>,
    changes: &mut Vec<String>,
) -> Result<(), Refusal> {
    let is_kept = |stage: &str, action: &Json| {
        keep.is_some_and(|kept| kept.stage.as_str() == stage && kept.name.as_str() == action.text("name"))
    };
    for index in (0..stages.len()).rev() {
        let stage = stages[index].text("name").to_owned();
        let added = stage::additions(&stages[index]);
        let Some(actions) = stages[index].get_mut("actions").and_then(Json::as_list_mut) else { continue };
        let mut removed = Vec::new();
        actions.retain(|action| {
            let goes = owned.owns(&stage, action) && !is_kept(&stage, action);
            if goes {
                removed.push(action.text("name").to_owned());
            }
            !goes
        });
        let empty = actions.is_empty();
        let Some(last) = removed.last() else { continue };
        changes.extend(removed.iter().map(|action| format!("action {stage}/{action} removed")));
        if !empty {
            continue;
        }
        let action = last.clone();
        if !owned.stages_made.iter().any(|made| made.as_str() == stage) {
            return Err(Refusal::WouldEmptyStage { stage, action });
        }
        if !added.is_empty() {
            return Err(Refusal::StageHasMore { stage, action, added: order::in_a_row(&added) });
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
