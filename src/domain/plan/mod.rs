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
mod described;
mod release;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ids::{Arn, InstallationId, PipelineName, RoleName, RolePath, StageName},
    inventory::{Inventory, Item, Part},
    names,
    observed::{Function, InvokeRole, Observed, Pipeline, Resource},
    own_writes::{OwnWrites, State},
    pipeline_edit::{self, DesiredAction, Owned, Refusal},
    policy,
    shared_policy::AssumeUser,
    spec::{Declared, Granted},
};
use crate::api::Reason;

pub use described::{Described, FieldValue, Fields, described};
pub use release::plan_removal;

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
    /// Edit a pipeline: the goal is applied to a declaration that is read inside the pipeline's lock.
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
    pub fn is_there(&self, declaration: &Value) -> bool {
        let (Self::Holds(_, owned) | Self::HoldsNone(owned)) = self;
        !pipeline_edit::owned_actions(declaration, owned).is_empty()
    }

    /// Applies the goal to a declaration; `None` when it is reached already.
    ///
    /// # Errors
    /// As [`pipeline_edit::converge`] and [`pipeline_edit::remove`].
    pub fn edit(
        &self,
        declaration: &Value,
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

    /// Splits the due steps: `None` when one of them rests on a read that still shows what was there before our own
    /// write, in which case the resource is named and nothing is written.
    #[must_use]
    pub fn stale(&self, writes: &OwnWrites, now: Timestamp) -> Option<&Resource> {
        self.due().iter().find(|step| writes.is_stale(&step.resource, &step.before, now)).map(|step| &step.resource)
    }
}

/// What other existing objects need of the things that are shared.
#[derive(Clone, Debug, Default)]
pub struct Others {
    /// By pipeline role.
    pub assume: BTreeMap<Arn, Vec<AssumeUser>>,
    /// Execution roles whose callback policy another object needs.
    pub callback: BTreeSet<Arn>,
    /// Stages that this installation made, by pipeline ARN, as any object's inventory has them.
    pub stages_made: BTreeSet<(Arn, StageName)>,
}

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

/// Where an object stands between an older spec and the present one.
struct Transition<'a> {
    resolved: Resolved<'a>,
    leftovers: Inventory,
    owned: Owned,
    action: DesiredAction,
    edit: Option<pipeline_edit::Edited>,
    old_actions: Vec<Step>,
}

impl Transition<'_> {
    /// Things of an older spec that have to stay in place while their action may still be there.
    fn kept(&self) -> Option<&Inventory> {
        (self.edit.is_some() || !self.old_actions.is_empty()).then_some(&self.leftovers)
    }
}

fn transition<'a>(situation: &Situation<'_>, observed: &'a Observed) -> Result<Transition<'a>, Vec<Blocker>> {
    let resolved = resolve(situation, observed)?;
    let desired = desired_inventory(situation, &resolved);
    let leftovers = situation.inventory.clone().within(situation.declared).leftovers(&desired);
    let owned = owned_in(situation, observed, Some(&resolved.role_arn), &resolved.pipeline.arn);
    let action = desired_action(situation, &resolved);
    let (declaration, region) = (&resolved.pipeline.declaration, &situation.declared.tools.region);
    let edit = pipeline_edit::converge(declaration, region, &action, &owned)
        .map_err(|refusal| vec![blocked_edit(situation, &refusal)])?;
    let old_actions = release::old_pipeline_steps(situation, observed, &leftovers);
    Ok(Transition { resolved, leftovers, owned, action, edit, old_actions })
}

/// The plan for an object that exists.
#[must_use]
pub fn plan(situation: &Situation<'_>, observed: &Observed) -> Plan {
    let transition = match transition(situation, observed) {
        Ok(transition) => transition,
        Err(blockers) => return Plan { steps: Vec::new(), blockers },
    };
    let mut plan = access::plan(situation, observed, &transition.resolved, transition.kept());
    let in_transition = transition.kept().is_some();
    let Transition { resolved, leftovers, owned, action, edit, old_actions } = transition;
    if edit.is_some() {
        let goal = PipelineGoal::Holds(Box::new(action), owned);
        let name = &situation.declared.pipeline;
        plan.steps.push(pipeline_step(Phase::Pipeline, situation, name, resolved.pipeline, goal));
    }
    plan.steps.extend(old_actions);
    if !in_transition {
        release::leftovers(situation, observed, &leftovers, &resolved, &mut plan);
    }
    if !plan.blockers.is_empty() {
        plan.steps.clear();
    }
    plan
}

/// The items that exist once the declaration is converged. `None` while pipeline or function cannot be told.
#[must_use]
pub fn converged_inventory(situation: &Situation<'_>, observed: &Observed) -> Option<Inventory> {
    resolve(situation, observed).ok().map(|resolved| desired_inventory(situation, &resolved))
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

fn desired_inventory(situation: &Situation<'_>, resolved: &Resolved<'_>) -> Inventory {
    let item = |part, holder: &Arn, entry: Option<&Arn>| Item {
        part,
        holder: holder.clone(),
        entry: entry.cloned(),
        action: None,
        stage_made: false,
        written_at: situation.now,
        read_back: false,
        digest: None,
    };
    let declared = situation.declared;
    let pipeline = resolved.pipeline;
    let mut action = item(Part::PipelineAction, &pipeline.arn, Some(&resolved.role_arn));
    action.action = Some((declared.stage.clone(), declared.action.clone()));
    action.stage_made = stage_is_made_by_us(situation, pipeline, &resolved.role_arn);
    Inventory(vec![
        item(Part::InvokeRole, &resolved.role_arn, Some(&pipeline.role)),
        item(Part::InvokePolicy, &resolved.role_arn, Some(&resolved.function.arn)),
        item(Part::CallbackPolicy, &resolved.function.role, None),
        item(Part::AssumePolicy, &pipeline.role, Some(&resolved.role_arn)),
        action,
    ])
}

/// A stage that is missing will be made by us; one that is there was made by us when an inventory says so, or, when this
/// object's status was lost, when the object asks for the stage to be made and nothing but our action is in it.
fn stage_is_made_by_us(situation: &Situation<'_>, pipeline: &Pipeline, role: &Arn) -> bool {
    let declared = situation.declared;
    let stages = pipeline.declaration.get("stages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let exists = stages.iter().any(|stage| stage.get("name").and_then(Value::as_str) == Some(declared.stage.as_str()));
    let recorded = situation.inventory.of(Part::PipelineAction).find(|item| {
        item.holder == pipeline.arn && item.action.as_ref().is_some_and(|(stage, _)| *stage == declared.stage)
    });
    let by_others = situation.others.stages_made.contains(&(pipeline.arn.clone(), declared.stage.clone()));
    match recorded {
        _ if !exists => true,
        Some(item) => item.stage_made || by_others,
        None => {
            let owned = Owned {
                roles: BTreeSet::from([role.to_string()]),
                actions: BTreeSet::from([declared.action.clone()]),
                stages_made: BTreeSet::new(),
            };
            by_others
                || (declared.position.is_some()
                    && pipeline_edit::stage_is_only_ours(&pipeline.declaration, declared.stage.as_str(), &owned))
        }
    }
}

fn desired_action(situation: &Situation<'_>, resolved: &Resolved<'_>) -> DesiredAction {
    let declared = situation.declared;
    DesiredAction {
        stage: declared.stage.clone(),
        position: declared.position.clone(),
        name: declared.action.clone(),
        run_order: declared.run_order,
        function: declared.function.clone(),
        user_parameters: declared.user_parameters.clone(),
        variables_namespace: declared.variables_namespace.clone(),
        region: (declared.dev.region != declared.tools.region).then(|| declared.dev.region.clone()),
        role: resolved.role_arn.clone(),
    }
}

/// What may be ours in one pipeline: actions with one of our roles under a name that the spec or the inventory knows.
fn owned_in(situation: &Situation<'_>, observed: &Observed, role: Option<&Arn>, pipeline: &Arn) -> Owned {
    let declared = situation.declared;
    let mut roles: BTreeSet<String> = role.map(ToString::to_string).into_iter().collect();
    roles.extend(own_roles(situation, observed).map(|role| role.arn.to_string()));
    let mut actions = situation.inventory.action_names();
    actions.insert(declared.action.clone());
    let mut stages_made: BTreeSet<StageName> =
        situation.others.stages_made.iter().filter(|(of, _)| of == pipeline).map(|(_, stage)| stage.clone()).collect();
    let recorded =
        situation.inventory.of(Part::PipelineAction).filter(|item| item.stage_made && item.holder == *pipeline);
    stages_made.extend(recorded.filter_map(|item| item.action.as_ref().map(|(stage, _)| stage.clone())));
    Owned { roles, actions, stages_made }
}

/// The roles that were read and carry this object's tags.
fn own_roles<'a>(situation: &Situation<'_>, observed: &'a Observed) -> impl Iterator<Item = &'a InvokeRole> {
    let (installation, key) = (situation.installation.clone(), situation.declared.key.clone());
    observed.roles.values().flatten().filter(move |role| names::owned(&role.tags, &installation, &key))
}

fn pipeline_step(
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
pub fn blocked_edit(situation: &Situation<'_>, refusal: &Refusal) -> Blocker {
    let declared = situation.declared;
    let reason = match refusal {
        Refusal::StageNotFound { .. } => Reason::StageNotFound,
        Refusal::InvalidPosition(_) => Reason::InvalidPosition,
        Refusal::ActionConflict { .. } => Reason::ActionConflict,
        Refusal::ArtifactStoreMissing { .. } => Reason::ArtifactStoreMissing,
        Refusal::WouldEmptyStage { .. } | Refusal::WouldLeaveOneStage { .. } => Reason::DeletionBlocked,
        Refusal::Malformed(_) => Reason::PipelineRefused,
    };
    Blocker {
        reason,
        message: format!("pipeline {} in tools account {}: {refusal}", declared.pipeline, declared.tools.account),
    }
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

/// A pipeline's state: its version.
#[must_use]
pub fn pipeline_state(pipeline: &Pipeline) -> State {
    Some(pipeline.version.to_string())
}

/// A policy's state: its canonical text.
#[must_use]
pub fn policy_state(document: Option<&Value>) -> State {
    document.map(policy::canonical)
}

/// A role's state: trust by meaning, tags and boundary.
#[must_use]
pub fn role_state(role: Option<&InvokeRole>) -> State {
    role.map(|role| describe_role(&role.trust, &role.tags, role.boundary.as_ref()))
}

fn describe_role(trust: &Value, tags: &BTreeMap<String, String>, boundary: Option<&Arn>) -> String {
    json!({"trust": policy::canonical(trust), "tags": tags, "boundary": boundary.map(Arn::as_str)}).to_string()
}

/// The state of every resource that was looked at, so that own writes can be told as read back.
#[must_use]
pub fn observed_states(situation: &Situation<'_>, observed: &Observed) -> Vec<(Resource, State)> {
    let declared = situation.declared;
    let (tools, dev) = (&declared.tools, &declared.dev);
    let policy_of = |account: &super::ids::AccountId, role: &Arn, policy: String, document: Option<&Value>| {
        role.role_name()
            .map(|role| (Resource::RolePolicy { account: account.clone(), role, policy }, policy_state(document)))
    };
    let mut states = Vec::new();
    for (name, pipeline) in &observed.pipelines {
        let resource =
            Resource::Pipeline { account: tools.account.clone(), region: tools.region.clone(), name: name.clone() };
        states.push((resource, pipeline.as_ref().and_then(pipeline_state)));
    }
    for (name, role) in &observed.roles {
        states.push((role_resource(declared, name), role_state(role.as_ref())));
        let policy = names::invoke_policy(situation.installation);
        let document = role.as_ref().and_then(|role| role.invoke_policy.as_ref());
        let resource = Resource::RolePolicy { account: dev.account.clone(), role: name.clone(), policy };
        states.push((resource, policy_state(document)));
    }
    for (role, document) in &observed.callback {
        states.extend(policy_of(&dev.account, role, names::callback_policy(situation.installation), document.as_ref()));
    }
    for (role, document) in &observed.assume {
        states.extend(policy_of(&tools.account, role, names::assume_policy(situation.installation), document.as_ref()));
    }
    states
}

fn role_resource(declared: &Declared, role: &RoleName) -> Resource {
    Resource::InvokeRole { account: declared.dev.account.clone(), role: role.clone() }
}

#[cfg(test)]
mod tests;
