//! What goes: things of an older spec once the new path works, and everything of an object that is being deleted.

use std::collections::BTreeSet;

use super::{
    Blocker, Change, Phase, PipelineGoal, Plan, Resolved, Situation, Step, access::extra_policy_step, assume,
    blocked_edit, own_roles, owned_in, pipeline_step, policy_state, role_resource, role_state,
};
use crate::{
    api::Reason,
    domain::{
        ids::{Arn, PipelineName, RoleId, StageName},
        inventory::{Inventory, Part},
        names,
        observed::{InvokeRole, Observed, Pipeline, Resource},
        pipeline_edit::{self, Owned},
        policy,
    },
};

/// The plan for an object that is being deleted: the action, and only when it is read as gone P3, P2, P1 and the role.
#[must_use]
pub fn plan_removal(situation: &Situation<'_>, observed: &Observed) -> Plan {
    let mut plan = Plan { blockers: lost_tags(situation, observed), ..Plan::default() };
    let mut foreign = Vec::new();
    for (name, pipeline) in &observed.pipelines {
        let Some(pipeline) = pipeline else { continue };
        let owned = owned_for_removal(situation, observed, &pipeline.arn);
        match pipeline_edit::remove(&pipeline.declaration, &owned) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let goal = PipelineGoal::HoldsNone(owned.clone());
                plan.steps.push(pipeline_step(Phase::Pipeline, situation, name, pipeline, goal));
            }
            Err(refusal) => plan.blockers.push(Blocker {
                message: format!(
                    "pipeline {name} in tools account {}: {refusal}. Deletion then continues automatically",
                    situation.declared.tools.account
                ),
                ..blocked_edit(situation, name, &refusal)
            }),
        }
        let users = pipeline_edit::foreign_users(&pipeline.declaration, &owned);
        foreign.extend(users.into_iter().map(|user| format!("{name}/{user}")));
    }
    if plan.steps.is_empty() && plan.blockers.is_empty() {
        if foreign.is_empty() {
            let callback = observed.callback.keys().cloned().collect();
            let assume = observed.assume.keys().cloned().collect();
            let roles: Vec<&InvokeRole> = own_roles(situation, observed).collect();
            shared_policies(situation, observed, &callback, &assume, &Inventory::default(), &mut plan);
            for role in roles {
                role_removal(situation, role, &mut plan);
            }
        } else {
            plan.blockers.push(still_used(situation, &foreign));
        }
    }
    if !plan.blockers.is_empty() {
        plan.steps.clear();
    }
    plan
}

/// Roles that this object had by its name or record, and whose tags somebody removed. Without the tags such a role is not
/// touched; and what lets a pipeline use it must stay while an action names it, since CodePipeline refuses every update
/// of a pipeline that names a role which cannot be assumed.
fn lost_tags(situation: &Situation<'_>, observed: &Observed) -> Vec<Blocker> {
    let declared = situation.declared;
    let untagged = observed.roles.values().flatten().filter(|role| !names::is_tagged(&role.tags));
    let blocker = |role: &InvokeRole| {
        let users = users_of(observed, &Owned { roles: BTreeSet::from([role.arn.to_string()]), ..Owned::default() });
        let records = situation.inventory.0.iter();
        let mut records = records.filter(|item| item.holder == role.arn || item.entry.as_ref() == Some(&role.arn));
        let (recorded, seen) = (records.clone().next().is_some(), records.any(|item| item.digest.is_some()));
        // Nobody else makes a role of a derived name; a given one may always have been somebody's.
        let is_derived = !declared.role_is_named && role.arn.role_name().as_ref() == Some(&declared.role_name);
        let (named, otherwise) = match (users.is_empty(), is_derived) {
            (true, true) if seen => (String::new(), "delete the role"),
            (true, _) => return None,
            (false, false) if !recorded => return None,
            (false, _) => (
                format!(", and {} in tools account {} still names it", users.join(", "), declared.tools.account),
                "remove that action or give it another role",
            ),
        };
        Some(Blocker {
            reason: Reason::DeletionBlocked,
            message: format!(
                "role {} in dev account {} does not carry the tags that make it this object's{named}; put back the tags {}, or \
                 {otherwise}. Deletion then continues",
                role.arn,
                declared.dev.account,
                names::tags_to_put_back(situation.installation, &declared.key)
            ),
        })
    };
    untagged.filter_map(blocker).collect()
}

/// The actions that name one of these roles and are not ours, as `pipeline/stage/action`.
fn users_of(observed: &Observed, owned: &Owned) -> Vec<String> {
    let pipelines = observed.pipelines.iter().filter_map(|(name, pipeline)| Some((name, pipeline.as_ref()?)));
    let users = pipelines.flat_map(|(name, pipeline)| {
        let users = pipeline_edit::foreign_users(&pipeline.declaration, owned);
        users.into_iter().map(move |user| format!("{name}/{user}"))
    });
    users.collect()
}

/// Removal of actions that an older spec left in pipelines which the new spec does not name.
pub(super) fn old_pipeline_steps(situation: &Situation<'_>, observed: &Observed, leftovers: &Inventory) -> Vec<Step> {
    let declared = situation.declared;
    let mut steps = Vec::new();
    let old: BTreeSet<&Arn> = leftovers.of(Part::PipelineAction).map(|item| &item.holder).collect();
    for (name, pipeline) in observed.pipelines.iter().filter(|(name, _)| **name != declared.pipeline) {
        let Some(pipeline) = pipeline.as_ref().filter(|pipeline| old.contains(&pipeline.arn)) else { continue };
        let owned = owned_for_removal(situation, observed, &pipeline.arn);
        if !pipeline_edit::owned_actions(&pipeline.declaration, &owned).is_empty() {
            let goal = PipelineGoal::HoldsNone(owned);
            steps.push(pipeline_step(Phase::OldPipeline, situation, name, pipeline, goal));
        }
    }
    steps
}

/// The pipelines of these leftovers that were not found, and that no second look has confirmed to be gone.
pub(super) fn doubted(observed: &Observed, leftovers: &Inventory) -> BTreeSet<PipelineName> {
    let old: BTreeSet<&str> = leftovers.of(Part::PipelineAction).map(|item| item.holder.resource()).collect();
    observed.doubted.iter().filter(|name| old.contains(name.as_str())).cloned().collect()
}

/// Removal of policies and roles that an older spec left, after the new action was read back.
pub(super) fn leftovers(
    situation: &Situation<'_>,
    observed: &Observed,
    (leftovers, in_use): (&Inventory, &Inventory),
    resolved: &Resolved<'_>,
    plan: &mut Plan,
) {
    // A role that was made again at another path is the one that is in use now, under an older ARN.
    let holders = |part, current: &Arn| -> BTreeSet<RoleId> {
        let unused = leftovers.leftovers(in_use);
        let roles: BTreeSet<RoleId> = unused.roles(part).collect();
        roles.into_iter().filter(|role| current.role().as_ref() != Some(role)).collect()
    };
    let callback = holders(Part::CallbackPolicy, &resolved.function.role);
    let assume = holders(Part::AssumePolicy, &resolved.pipeline.role);
    shared_policies(situation, observed, &callback, &assume, in_use, plan);
    let old_roles = holders(Part::InvokeRole, &resolved.role_arn);
    let is_old = |role: &&InvokeRole| role.arn.role().is_some_and(|role| old_roles.contains(&role));
    for role in own_roles(situation, observed).filter(is_old) {
        role_removal(situation, role, plan);
    }
}

/// Actions that somebody made by hand with a role of ours that an older spec asked for, as `pipeline/stage/action`.
pub(super) fn users_of_old_roles(situation: &Situation<'_>, observed: &Observed) -> BTreeSet<String> {
    let old = own_roles(situation, observed)
        .filter(|role| role.arn.role_name() != Some(situation.declared.role_name.clone()));
    let owned = Owned {
        roles: old.map(|role| role.arn.to_string()).collect(),
        actions: situation.inventory.action_names(),
        ..Owned::default()
    };
    users_of(observed, &owned).into_iter().collect()
}

/// What of the leftovers has to stay: everything, while an action that somebody made by hand still uses an old role of
/// ours. It would break without any of it, and CodePipeline refuses every update of a pipeline that names a role which
/// cannot be assumed.
pub(super) fn in_use(situation: &Situation<'_>, observed: &Observed, leftovers: &Inventory) -> Inventory {
    if leftovers.0.is_empty() || users_of_old_roles(situation, observed).is_empty() {
        return Inventory::default();
    }
    Inventory(leftovers.0.iter().filter(|item| item.part != Part::PipelineAction).cloned().collect())
}

/// Our roles by their tags, and the role that the spec names if nothing stands under that name: an action may outlive it.
/// A derived name is nobody else's; a given one counts only where today's grants and the record both say so, since
/// another object may give the same.
fn owned_for_removal(situation: &Situation<'_>, observed: &Observed, pipeline: &Arn) -> Owned {
    let declared = situation.declared;
    let mut owned = owned_in(situation, observed, None, pipeline);
    if observed.role(&declared.role_name).is_none() {
        let (partition, path) = (pipeline.partition(), &situation.granted.role_path);
        let role = Arn::of_own_role(partition, &declared.dev.account, path, &declared.role_name);
        let recorded = || situation.inventory.of(Part::PipelineAction).any(|item| item.entry.as_ref() == Some(&role));
        if !declared.role_is_named || (situation.granted.today && recorded()) {
            owned.roles.insert(role.to_string());
        }
    }
    let sole = observed.pipelines.values().flatten().find(|read| read.arn == *pipeline);
    if let Some(read) = sole
        && situation.inventory.of(Part::PipelineAction).all(|item| item.holder != *pipeline)
        && declared.position.is_some()
        && pipeline_edit::stage_is_only_ours(&read.declaration, declared.stage.as_str(), &owned)
    {
        // The status was lost. The object asks for the stage to be made, and nothing but our action is in it.
        owned.stages_made.insert(declared.stage.clone());
    }
    if let Some(read) = sole {
        owned.stages_made.extend(renamed_stages(situation, read, &owned));
    }
    owned
}

/// Stages that we made and that somebody renamed: recorded, gone by that name, and there with our action under another.
fn renamed_stages(situation: &Situation<'_>, read: &Pipeline, owned: &Owned) -> Vec<StageName> {
    let made = situation.inventory.of(Part::PipelineAction).filter(|item| item.stage_made && item.holder == read.arn);
    let gone = made
        .filter_map(|item| item.action.as_ref())
        .filter(|(stage, _)| !pipeline_edit::has_stage(&read.declaration, stage.as_str()));
    gone.filter_map(|(_, action)| pipeline_edit::renamed(&read.declaration, action, owned)?.parse().ok()).collect()
}

fn shared_policies(
    situation: &Situation<'_>,
    observed: &Observed,
    callback: &BTreeSet<RoleId>,
    assume: &BTreeSet<RoleId>,
    in_use: &Inventory,
    plan: &mut Plan,
) {
    for holder in assume {
        let Some(current) = observed.assume.get(holder).and_then(Option::as_ref) else { continue };
        let own = in_use.entries(Part::AssumePolicy, holder);
        let own = assume::in_place(observed, holder).intersection(&own).cloned().collect();
        let entries = assume::entries(situation, observed, holder, &own).entries.named;
        let name = names::assume_policy(situation.installation);
        let document = (!entries.is_empty()).then(|| policy::assume(&entries));
        let (before, after) = (policy_state(Some(current)), policy_state(document.as_ref()));
        if before != after {
            plan.steps.push(Step {
                phase: Phase::Release,
                part: Part::AssumePolicy,
                resource: policy_of(holder, name),
                change: document.map_or(Change::DeletePolicy, Change::PutPolicy),
                before,
                after,
            });
        }
    }
    for holder in callback.iter().filter(|holder| !situation.others.callback.contains(holder)) {
        let Some(current) = observed.callback.get(holder).and_then(Option::as_ref) else { continue };
        let policy = names::callback_policy(situation.installation);
        plan.steps.push(Step {
            phase: Phase::Release,
            part: Part::CallbackPolicy,
            resource: policy_of(holder, policy),
            change: Change::DeletePolicy,
            before: policy_state(Some(current)),
            after: None,
        });
    }
}

fn policy_of(holder: &RoleId, policy: String) -> Resource {
    Resource::RolePolicy { account: holder.account.clone(), role: holder.name.clone(), policy }
}

/// Everything that hangs on a role of ours, then the role: `DeleteRole` refuses one that still has policies.
fn role_removal(situation: &Situation<'_>, role: &InvokeRole, plan: &mut Plan) {
    let declared = situation.declared;
    let Some(name) = role.arn.role_name() else { return };
    if role.invoke_policy.is_some() {
        let policy = names::invoke_policy(situation.installation);
        plan.steps.push(Step {
            phase: Phase::Release,
            part: Part::InvokePolicy,
            resource: Resource::RolePolicy { account: declared.dev.account.clone(), role: name.clone(), policy },
            change: Change::DeletePolicy,
            before: policy_state(role.invoke_policy.as_ref()),
            after: None,
        });
    }
    let role_step = Step {
        phase: Phase::Release,
        part: Part::InvokeRole,
        resource: role_resource(declared, &name),
        change: Change::DeleteRole,
        before: role_state(Some(role)),
        after: None,
    };
    plan.steps
        .extend(role.extra_policies.iter().map(|extra| extra_policy_step(Phase::Release, declared, &name, extra)));
    plan.steps.push(role_step);
}

fn still_used(situation: &Situation<'_>, users: &[String]) -> Blocker {
    Blocker {
        reason: Reason::DeletionBlocked,
        message: format!(
            "the invoke role in dev account {} is still named by {} in tools account {}, which this object did not make; \
             remove that or give it another role, and deletion continues automatically",
            situation.declared.dev.account,
            users.join(", "),
            situation.declared.tools.account
        ),
    }
}
