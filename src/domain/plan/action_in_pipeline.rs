//! P4: the action that is wanted, what of a pipeline may be ours, and the step that edits it.

use std::collections::BTreeSet;

use super::{Blocker, Change, Phase, PipelineGoal, Resolved, Situation, Step, own_roles, pipeline_state, role_change};
use crate::{
    api::Reason,
    domain::{
        ids::{Arn, PipelineName, RoleId, RoleName, StageName},
        inventory::{Item, Part},
        names,
        observed::{Observed, Pipeline, Resource},
        pipeline_edit::{DesiredAction, Owned, Refusal, Untold},
        shared_policy::AssumeUser,
    },
};

pub(super) fn desired_action(situation: &Situation<'_>, resolved: &Resolved<'_>) -> DesiredAction {
    let declared = situation.declared;
    DesiredAction {
        stage: declared.stage.clone(),
        position: declared.position.clone(),
        name: declared.action.clone(),
        run_order: declared.run_order,
        earlier: None,
        function: declared.function.clone(),
        user_parameters: declared.user_parameters.clone(),
        variables_namespace: declared.variables_namespace.clone(),
        region: (declared.dev.region != declared.tools.region).then(|| declared.dev.region.clone()),
        role: resolved.role_arn.clone(),
    }
}

/// What may be ours in one pipeline: actions with one of our roles under a name that the spec or the inventory knows, and
/// those that AWS shows to have been ours until somebody changed their role.
pub(super) fn owned_in(situation: &Situation<'_>, observed: &Observed, role: Option<&Arn>, pipeline: &Arn) -> Owned {
    let declared = situation.declared;
    let mut roles: BTreeSet<String> = role.map(ToString::to_string).into_iter().collect();
    roles.extend(own_roles(situation, observed).map(|role| role.arn.to_string()));
    let mut actions = situation.inventory.action_names();
    actions.insert(declared.action.clone());
    let recorded = || situation.inventory.of(Part::PipelineAction).filter(|item| item.holder == *pipeline);
    let stage_of = |item: &Item| item.action.as_ref().map(|(stage, _)| stage.clone());
    let mut stages_made: BTreeSet<StageName> =
        situation.others.stages_made.iter().filter(|(of, _)| of == pipeline).map(|(_, stage)| stage.clone()).collect();
    stages_made.extend(recorded().filter(|item| item.stage_made).filter_map(stage_of));
    let mut stages_known: BTreeSet<StageName> = recorded().filter_map(stage_of).collect();
    stages_known.insert(declared.stage.clone());
    let read = observed.pipelines.values().flatten().find(|read| read.arn == *pipeline);
    // Whether or not their actions are there yet: one may come before this object's write.
    let users = || situation.others.assume.values().flatten();
    let neighbours = users().flat_map(AssumeUser::roles).collect();
    let planned_neighbours = users().flat_map(|user| user.planned_here.iter().filter_map(Arn::role)).collect();
    let reclaimed = read.map(|read| role_change::reclaimed(situation, observed, read)).unwrap_or_default();
    let untold = untold(situation);
    Owned { roles, actions, stages_made, stages_known, neighbours, planned_neighbours, reclaimed, untold }
}

/// Whose roles are not named to the author of this object: those of objects of other namespaces, as far as they are known,
/// and whatever else looks like a role of ours.
#[must_use]
pub fn untold(situation: &Situation<'_>) -> Untold {
    let declared = situation.declared;
    let users = || situation.others.assume.values().flatten();
    let is_kin = |user: &&AssumeUser| user.key.namespace == declared.key.namespace;
    let strangers: BTreeSet<RoleId> = users().filter(|user| !is_kin(user)).flat_map(AssumeUser::roles).collect();
    let own = |name: RoleName| RoleId { account: declared.dev.account.clone(), name };
    let mut kin: BTreeSet<RoleId> = users().filter(is_kin).flat_map(AssumeUser::roles).collect();
    kin.extend(situation.inventory.roles(Part::InvokeRole));
    kin.insert(own(declared.role_name.clone()));
    // What is somebody else's is so whoever names it.
    kin.retain(|role| !strangers.contains(role));
    kin.insert(own(names::default_role_name(situation.installation, &declared.key)));
    Untold { kin, strangers, path: Some(situation.granted.role_path.clone()).filter(|path| path.as_str() != "/") }
}

pub(super) fn pipeline_step(
    phase: Phase,
    situation: &Situation<'_>,
    name: &PipelineName,
    pipeline: &Pipeline,
    goal: PipelineGoal,
) -> Step {
    let tools = &situation.declared.tools;
    Step {
        phase,
        part: Part::PipelineAction,
        resource: Resource::Pipeline {
            account: tools.account.clone(),
            region: tools.region.clone(),
            name: name.clone(),
        },
        change: Change::EditPipeline(goal),
        before: pipeline_state(pipeline),
        after: None,
    }
}

/// The blocker that a refused edit is.
#[must_use]
pub fn blocked_edit(situation: &Situation<'_>, pipeline: &PipelineName, refusal: &Refusal) -> Blocker {
    let declared = situation.declared;
    let reason = match refusal {
        Refusal::StageNotFound { .. } | Refusal::StageRenamed { .. } => Reason::StageNotFound,
        Refusal::InvalidPosition(_) => Reason::InvalidPosition,
        Refusal::ActionConflict { .. } => Reason::ActionConflict,
        Refusal::ArtifactStoreMissing { .. } => Reason::ArtifactStoreMissing,
        Refusal::NamespaceTaken { .. } | Refusal::UnknownNamespace { .. } | Refusal::NamespaceInUse { .. } => {
            Reason::InvalidSpec
        }
        Refusal::WouldEmptyStage { .. }
        | Refusal::WouldLeaveOneStage { .. }
        | Refusal::StageHasMore { .. }
        | Refusal::WouldLoseVariables { .. } => Reason::DeletionBlocked,
        Refusal::Malformed(_) => Reason::PipelineRefused,
    };
    Blocker { reason, message: format!("pipeline {pipeline} in tools account {}: {refusal}", declared.tools.account) }
}
