//! What has to be written in AWS, as data: computed from what is declared, what was read and what the inventory names.
//!
//! | declared | read | inventory names | plan |
//! |---|---|---|---|
//! | yes | missing or different | – | write it: T1, P1, P2, P3 (`Access`), read back, then P4 (`Pipeline`) |
//! | yes | as declared | – | nothing |
//! | yes | somebody else's | – | a blocker; nothing at all is written |
//! | no | ours | yes | removed after the new P4 was read back (`OldPipeline`, then `Release`) |
//! | no | somebody else's, or gone | yes | nothing; the item is dropped |
//!
//! While things of an older spec are in place, T1, P1 and P3 hold both the old and the new, so that no prefix of the
//! steps breaks a path that works.

mod access;
mod action_in_pipeline;
mod assume;
mod closing;
mod comparison;
mod converged;
mod described;
mod release;
mod restraint;
mod role_change;
mod states;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    ids::{Arn, InstallationId, RoleId, RolePath, StageName},
    inventory::{Inventory, Part},
    names,
    observed::{ExtraPolicyName, Function, InvokeRole, Observed, Pipeline, Resource},
    own_writes::State,
    pipeline_edit::{self, DesiredAction, Json, Owned, Refusal},
    shared_policy::{AssumeUser, Proof},
    spec::{Declared, Granted},
};
use crate::api::Reason;

pub use access::{lacks_boundary, no_room};
pub use action_in_pipeline::{blocked_edit, untold};
use action_in_pipeline::{desired_action, owned_in, pipeline_step};
pub use assume::{access_gone, access_in_place, behind_of_entries, behind_of_observed, used};
pub use closing::keep_what_was_in_place;
pub use comparison::Comparison;
pub use converged::converged_inventory;
use converged::desired_inventory;
pub use described::{Described, FieldValue, Fields, OTHERS_ENTRIES, STRAY_ENTRIES};
pub use release::plan_removal;
pub use restraint::withhold_removals;
pub use role_change::{Suspect, suspects, taken_out};
use states::{describe_role, role_resource};
pub use states::{observed_states, pipeline_state, policy_state, role_state};

/// Steps of one phase are taken together; a later phase begins when the one before was read back as done.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// T1, P1, P2, P3.
    Access,
    /// P4.
    Pipeline,
    /// Actions of an older spec in other pipelines.
    OldPipeline,
    /// Policies and roles that nothing uses any more.
    Release,
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When it is due.
    pub phase: Phase,
    /// Which of the five parts it is about.
    pub part: Part,
    /// What is written.
    pub resource: Resource,
    /// How.
    pub change: Change,
    /// What was read there.
    pub before: State,
    /// What will be read there afterwards; for a pipeline unknown until AWS says the version.
    pub after: State,
}

impl Step {
    /// The policy that it takes off our role because nobody declared it, while the role stays.
    #[must_use]
    pub fn extra_policy(&self) -> Option<ExtraPolicyName> {
        let is_removal = self.phase == Phase::Access && self.part == Part::InvokeRole;
        match (&self.resource, &self.change) {
            (Resource::RolePolicy { policy, .. }, Change::DeletePolicy) if is_removal => {
                Some(ExtraPolicyName::Inline(policy.clone()))
            }
            (Resource::AttachedPolicy { policy, .. }, Change::DetachPolicy) if is_removal => {
                Some(ExtraPolicyName::Attached(policy.clone()))
            }
            _ => None,
        }
    }
}

/// How a resource is changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Make the invoke role.
    CreateRole(NewRole),
    /// Replace the trust policy of our role.
    SetTrust(Value),
    /// Set tags on our role.
    SetTags(BTreeMap<String, String>),
    /// Remove tags that are no longer declared.
    RemoveTags(Vec<String>),
    /// Set the permissions boundary of our role.
    SetBoundary(Arn),
    /// Write an inline policy of ours.
    PutPolicy(Value),
    /// Delete an inline policy.
    DeletePolicy,
    /// Detach a managed policy from our role.
    DetachPolicy,
    /// Delete our role.
    DeleteRole,
    /// Edit a pipeline: the goal is applied to a declaration that the pipeline's worker reads.
    EditPipeline(PipelineGoal),
}

/// A role to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRole {
    /// Its path.
    pub path: RolePath,
    /// Its trust policy.
    pub trust: Value,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// Its boundary.
    pub boundary: Option<Arn>,
}

/// What a pipeline shall look like as far as we are concerned.
#[derive(Clone, Debug, PartialEq)]
pub enum PipelineGoal {
    /// It holds this action and no other of ours.
    Holds(Box<DesiredAction>, Owned),
    /// It holds none of ours.
    HoldsNone(Owned),
}

impl PipelineGoal {
    /// Whether the declaration holds an action of ours already, however different.
    #[must_use]
    pub fn is_there(&self, declaration: &Json) -> bool {
        let (Self::Holds(_, owned) | Self::HoldsNone(owned)) = self;
        !pipeline_edit::owned_actions(declaration, owned).is_empty()
    }

    /// Applies the goal to a declaration; `None` when it is reached already.
    ///
    /// # Errors
    /// As [`pipeline_edit::converge`] and [`pipeline_edit::remove`].
    pub fn edit(
        &self,
        declaration: &Json,
        region: &super::ids::Region,
    ) -> Result<Option<pipeline_edit::Edited>, Refusal> {
        match self {
            Self::Holds(desired, owned) => pipeline_edit::converge(declaration, region, desired, owned),
            Self::HoldsNone(owned) => pipeline_edit::remove(declaration, owned),
        }
    }
}

/// Why nothing may be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blocker {
    /// The reason that is reported.
    pub reason: Reason,
    /// Which account and resource, what is missing, what to do.
    pub message: String,
}

/// Steps, or what stands in their way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order in which they are taken.
    pub steps: Vec<Step>,
    /// While there is one, no step is taken.
    pub blockers: Vec<Blocker>,
}

impl Plan {
    /// The steps that are due now: those of the earliest phase.
    #[must_use]
    pub fn due(&self) -> &[Step] {
        let Some(first) = self.steps.first() else { return &[] };
        let end = self.steps.iter().position(|step| step.phase != first.phase).unwrap_or(self.steps.len());
        &self.steps[..end]
    }
}

/// What other existing objects need of the things that are shared.
#[derive(Clone, Debug, Default)]
pub struct Others {
    /// By pipeline role.
    pub assume: BTreeMap<RoleId, Vec<AssumeUser>>,
    /// Execution roles whose callback policy another object needs.
    pub callback: BTreeSet<RoleId>,
    /// Stages that this installation made, by pipeline ARN, as any object's inventory has them.
    pub stages_made: BTreeSet<(Arn, StageName)>,
    /// What lets entries go that no object asks for.
    pub proof: Proof,
    /// By pipeline role, the characters that its assume policy may have, where it is known to be less than the quota.
    pub room: BTreeMap<RoleId, usize>,
}

/// Why a policy that nobody declared stays on our role although it allows something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stays {
    /// It came back after each removal.
    Returns,
    /// AWS refused its removal, in these words.
    Refused(String),
}

/// Such policies of the invoke role, as [`ExtraPolicyName`] writes them.
pub type Staying = BTreeMap<String, Stays>;

/// Everything the planner knows beside what was read from AWS.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Whose names and tags are written.
    pub installation: &'a InstallationId,
    /// The declaration.
    pub declared: &'a Declared,
    /// What the accounts allow and impose.
    pub granted: &'a Granted,
    /// Whether P1 also grants `lambda:ListFunctions`, which AWS's guide says CodePipeline needs.
    pub list_functions: bool,
    /// What exists because of this object, as recorded.
    pub inventory: &'a Inventory,
    /// The other objects.
    pub others: &'a Others,
    /// Policies of the invoke role that stay for the time being.
    pub staying: &'a Staying,
    /// The time that goes into new inventory items.
    pub now: Timestamp,
}

/// What a declaration comes to once pipeline and function are known.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The function.
    pub function: &'a Function,
    /// The invoke role as it is.
    pub role: Option<&'a InvokeRole>,
    /// The invoke role's ARN: read, or made from what we declare when the role does not exist.
    pub role_arn: Arn,
}

/// Actions that somebody made by hand with a role of ours that an older spec asked for, as `pipeline/stage/action`: they
/// keep that role, and what belongs to it, in place.
#[must_use]
pub fn users_of_old_roles(situation: &Situation<'_>, observed: &Observed) -> BTreeSet<String> {
    release::users_of_old_roles(situation, observed)
}

/// Finds pipeline, function and role, or says which is missing or not what was declared.
///
/// # Errors
/// The blockers.
pub fn resolve<'a>(situation: &Situation<'_>, observed: &'a Observed) -> Result<Resolved<'a>, Vec<Blocker>> {
    let declared = situation.declared;
    let mut blockers = Vec::new();
    let (tools, dev) = (&declared.tools, &declared.dev);
    let pipeline = observed.pipeline(&declared.pipeline);
    if pipeline.is_none() {
        blockers.push(Blocker {
            reason: Reason::PipelineNotFound,
            message: format!(
                "tools account {} has no pipeline {} in {}; create it, or correct spec.pipeline.name or spec.toolsAccount",
                tools.account, declared.pipeline, tools.region
            ),
        });
    }
    if observed.function.is_none() {
        blockers.push(Blocker {
            reason: Reason::FunctionNotFound,
            message: format!(
                "dev account {} has no function {} in {}; create it, or correct spec.function.name or spec.devAccount",
                dev.account, declared.function, dev.region
            ),
        });
    }
    let (Some(pipeline), Some(function)) = (pipeline, observed.function.as_ref()) else { return Err(blockers) };
    blockers.extend(access::wrong_accounts(declared, pipeline, function));
    blockers.extend(access::execution_role_mismatch(declared, function));
    let role = observed.role(&declared.role_name);
    if let Some(role) = role {
        blockers.extend(access::role_conflict(situation, role));
    }
    if !blockers.is_empty() {
        return Err(blockers);
    }
    let role_arn = role.map_or_else(
        || {
            let partition = pipeline.role.partition();
            Arn::of_own_role(partition, &dev.account, &situation.granted.role_path, &declared.role_name)
        },
        |role| role.arn.clone(),
    );
    Ok(Resolved { pipeline, function, role, role_arn })
}

/// The roles that were read and carry this object's tags.
fn own_roles<'a>(situation: &Situation<'_>, observed: &'a Observed) -> impl Iterator<Item = &'a InvokeRole> {
    let (installation, key) = (situation.installation.clone(), situation.declared.key.clone());
    observed.roles.values().flatten().filter(move |role| names::owned(&role.tags, &installation, &key))
}

/// Policies on our roles that nobody declared, as far as they were read.
#[must_use]
pub fn extra_policies(situation: &Situation<'_>, observed: &Observed) -> Vec<Resource> {
    let on_role = |role: &InvokeRole| {
        let name = role.arn.role_name();
        let extras = role.extra_policies.clone();
        name.into_iter().flat_map(move |name| {
            let step = |extra| access::extra_policy_step(Phase::Access, situation.declared, &name, extra).resource;
            extras.iter().map(step).collect::<Vec<_>>()
        })
    };
    own_roles(situation, observed).flat_map(on_role).collect()
}

#[cfg(test)]
mod tests;
