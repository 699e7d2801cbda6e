//! T1, P1, P2 and P3 of an object that exists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Blocker, Change, NewRole, Phase, Plan, Resolved, Situation, Step, comparison::Transition, describe_role,
    described::tag_field, policy_state, role_resource, role_state,
};
use crate::{
    api::Reason,
    domain::{
        drift::Digest,
        gate,
        ids::{AccountId, Arn, RoleId, RoleName},
        inventory::{Inventory, Part},
        names,
        observed::{ExtraPolicy, ExtraPolicyName, Function, InvokeRole, Observed, Pipeline, Resource},
        policy,
        role_fold::{Folded, INLINE_MAX},
        spec::{Declared, Trust},
    },
};

/// IAM's quota of a trust policy, in characters without whitespace (IAM User Guide, quotas).
const TRUST_MAX: usize = 2_048;

/// Steps that bring the four IAM parts to what is declared. While an action may still need things of an older spec, the parts also
/// keep what those need and have in place. `assumed` has the entries of P3.
pub(super) fn plan(
    situation: &Situation<'_>,
    observed: &Observed,
    transition: &Transition<'_>,
    assumed: &Folded,
) -> Plan {
    let (resolved, kept) = (&transition.resolved, transition.kept());
    let mut plan = Plan::default();
    invoke_role(situation, resolved, kept, &mut plan);
    invoke_policy(situation, resolved, kept, &mut plan);
    extra_policies(situation, resolved, &mut plan);
    callback_policy(situation, observed, resolved, &mut plan);
    assume_policy(situation, observed, resolved, assumed, &mut plan);
    plan
}

/// What to do, besides allowing it, where AWS denies this step: the rights that are shipped let a role be made, and given
/// rights, only under the boundary, and the account imposes none.
#[must_use]
pub fn lacks_boundary(situation: &Situation<'_>, step: &Step) -> Option<String> {
    let granted = situation.granted;
    let bounded = match (&step.change, step.part) {
        (Change::CreateRole(_), _) | (Change::PutPolicy(_), Part::InvokePolicy) => granted.boundary.is_some(),
        _ => true,
    };
    (!bounded).then(|| {
        format!(
            "name the permissions boundary in spec.invokeRoles.permissionsBoundaryARN of AwsAccount {} (the shipped policy \
             deploy/iam/dev.json allows it only with the boundary)",
            granted.dev.object
        )
    })
}

/// The pipeline's and the function's roles must be of the declared accounts: policies are written by role name.
pub(super) fn wrong_accounts(declared: &Declared, pipeline: &Pipeline, function: &Function) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    let mut check = |what: String, role: &Arn, account: &AccountId| {
        if role.account() != account.as_str() || role.role_name().is_none() {
            blockers.push(Blocker {
                reason: Reason::AccountMismatch,
                message: format!(
                    "{what} has role {role}, which is not a role of account {account}, and nothing is written; correct roleARN or \
                     accountID of the AwsAccount that leads there, or give it a role of its account"
                ),
            });
        }
    };
    check(format!("pipeline {}", declared.pipeline), &pipeline.role, &declared.tools.account);
    check(format!("function {}", declared.function), &function.role, &declared.dev.account);
    if pipeline.role.partition() != function.arn.partition() {
        blockers.push(Blocker {
            reason: Reason::InvalidSpec,
            message: format!(
                "tools account {} is in partition {} and dev account {} in {}; no role can be assumed across partitions: name two accounts of one partition",
                declared.tools.account,
                pipeline.role.partition(),
                declared.dev.account,
                function.arn.partition()
            ),
        });
    }
    blockers
}

/// `spec.function.executionRole` is a check: what Lambda says must equal it.
pub(super) fn execution_role_mismatch(declared: &Declared, function: &Function) -> Option<Blocker> {
    let expected = declared.execution_role.as_ref().filter(|expected| **expected != function.role)?;
    Some(Blocker {
        reason: Reason::ExecutionRoleMismatch,
        message: format!(
            "function {} in dev account {} runs as {}, but spec.function.executionRole says {expected}; correct one of them",
            declared.function, declared.dev.account, function.role
        ),
    })
}

/// A role of that name that is somebody else's, or ours at another path, which cannot be changed.
pub(super) fn role_conflict(situation: &Situation<'_>, role: &InvokeRole) -> Option<Blocker> {
    let declared = situation.declared;
    let problem = if !names::owned(&role.tags, situation.installation, &declared.key) {
        let owner = names::describe_owner(&role.tags, situation.installation, &declared.key);
        let separator = if names::is_tagged(&role.tags) { ";" } else { "," };
        format!("{owner}{separator} choose another spec.invokeRole.name, or have that role removed")
    } else if role.path != situation.granted.role_path {
        format!(
            "its path is {}, but AwsAccount {} imposes {}, and IAM cannot move a role; delete the role, and it is made again",
            role.path, situation.granted.dev.object, situation.granted.role_path
        )
    } else {
        return None;
    };
    let message = format!("role {} exists in dev account {}: {problem}", role.arn, declared.dev.account);
    Some(Blocker { reason: Reason::RoleConflict, message })
}

/// T1. Trust, tags and boundary are one resource, so that a stale read of any is told from drift of any.
fn invoke_role(situation: &Situation<'_>, resolved: &Resolved<'_>, kept: &Inventory, plan: &mut Plan) {
    let trust = desired_trust(situation, resolved, kept);
    let size = policy::size(&trust);
    if size > TRUST_MAX {
        // While an older spec's pipeline roles are still trusted beside the new one.
        plan.blockers.push(Blocker {
            reason: Reason::PolicySizeExceeded,
            message: format!(
                "the trust policy of {} would have {size} characters, and IAM allows {TRUST_MAX}; it trusts the pipeline roles of older \
                 specs as well until their actions are gone: undo the last change of spec.pipeline, and repeat it once the object is Ready",
                role_id(situation)
            ),
        });
    }
    let declared_tags = desired_tags(situation);
    let boundary = situation.granted.boundary.as_ref();
    let Some(role) = resolved.role else {
        let after = Some(describe_role(&trust, &declared_tags, boundary));
        let path = situation.granted.role_path.clone();
        let new = NewRole { path, trust, tags: declared_tags, boundary: boundary.cloned() };
        plan.steps.push(role_step(situation, Change::CreateRole(new), None, after));
        return;
    };
    let mut changes = Vec::new();
    if policy::canonical(&role.trust) != policy::canonical(&trust) {
        changes.push(Change::SetTrust(trust.clone()));
    }
    let undeclared = tags_to_take_away(situation, role);
    let mut tags = role.tags.clone();
    tags.retain(|key, _| !undeclared.contains(key));
    // TagRole with another spelling of a key replaces that key, so that no untag is needed, which would take it away.
    tags.retain(|key, _| declared_tags.contains_key(key) || !has_tag_key(&declared_tags, key));
    tags.extend(declared_tags.clone());
    let different: BTreeMap<_, _> =
        declared_tags.into_iter().filter(|(key, value)| role.tags.get(key) != Some(value)).collect();
    if !different.is_empty() {
        changes.push(Change::SetTags(different));
    }
    if !undeclared.is_empty() {
        changes.push(Change::RemoveTags(undeclared));
    }
    // A boundary that nobody declared only narrows what the role may do: it stays.
    if let Some(boundary) = boundary.filter(|boundary| role.boundary.as_ref() != Some(boundary)) {
        changes.push(Change::SetBoundary(boundary.clone()));
    }
    let after = Some(describe_role(&trust, &tags, boundary.or(role.boundary.as_ref())));
    for change in changes {
        plan.steps.push(role_step(situation, change, Some(role), after.clone()));
    }
}

fn role_step(
    situation: &Situation<'_>,
    change: Change,
    role: Option<&InvokeRole>,
    after: crate::domain::own_writes::State,
) -> Step {
    Step {
        phase: Phase::Access,
        part: Part::InvokeRole,
        resource: role_resource(situation.declared, &situation.declared.role_name),
        change,
        before: role_state(role),
        after,
    }
}

/// Keys that an older spec set and this one does not: others were set by somebody else, also where objects may set them.
pub(super) fn tags_to_take_away(situation: &Situation<'_>, role: &InvokeRole) -> Vec<String> {
    let declared = desired_tags(situation);
    let records = situation.inventory.of(Part::InvokeRole).filter(|item| item.holder == role.arn);
    let digests: Vec<&Digest> = records.filter_map(|item| item.digest.as_ref()).collect();
    let by_us = |key: &str| digests.iter().any(|digest| digest.knows(&tag_field(key)));
    let allowed = &situation.granted.allowed_tag_keys;
    let is_allowed = |key: &str| allowed.iter().any(|allowed| names::same_tag_key(allowed, key));
    let undeclared = role.tags.keys().filter(|key| is_allowed(key) && !has_tag_key(&declared, key));
    undeclared.filter(|key| by_us(key)).cloned().collect()
}

/// Whether the tags have this key in any spelling.
fn has_tag_key(tags: &BTreeMap<String, String>, key: &str) -> bool {
    tags.keys().any(|own| names::same_tag_key(own, key))
}

/// The tags that the role must carry.
pub(super) fn desired_tags(situation: &Situation<'_>) -> BTreeMap<String, String> {
    let declared = situation.declared;
    let mut tags = declared.tags.clone();
    tags.extend(situation.granted.imposed_tags.clone());
    tags.extend(names::ownership_tags(situation.installation, &declared.key));
    tags
}

/// Whom the role must trust.
pub(super) fn desired_trust(situation: &Situation<'_>, resolved: &Resolved<'_>, kept: &Inventory) -> Value {
    let tools = &situation.declared.tools.account;
    let partition = resolved.pipeline.role.partition();
    match situation.declared.trust {
        Trust::AccountRoot => policy::trust_account_root(partition, tools),
        Trust::PipelineRole => {
            let in_place =
                resolved.role.and_then(|role| policy::trusted_pipeline_roles(&role.trust)).unwrap_or_default();
            let mut roles = still_needed(kept, Part::InvokeRole, &role_id(situation), &in_place);
            roles.insert(resolved.pipeline.role.clone());
            policy::trust_pipeline_roles(partition, tools, &roles)
        }
    }
}

/// P1 as it must be.
pub(super) fn desired_invoke_policy(situation: &Situation<'_>, resolved: &Resolved<'_>, kept: &Inventory) -> Value {
    let current = resolved.role.and_then(|role| role.invoke_policy.as_ref());
    let in_place = current.and_then(policy::invoke_entries).unwrap_or_default();
    let mut functions = still_needed(kept, Part::InvokePolicy, &role_id(situation), &in_place);
    functions.insert(resolved.function.arn.clone());
    policy::invoke(&functions, situation.list_functions)
}

/// P1.
fn invoke_policy(situation: &Situation<'_>, resolved: &Resolved<'_>, kept: &Inventory, plan: &mut Plan) {
    let current = resolved.role.and_then(|role| role.invoke_policy.as_ref());
    let document = desired_invoke_policy(situation, resolved, kept);
    let size = policy::size(&document);
    if size > INLINE_MAX {
        plan.blockers.push(Blocker {
            reason: Reason::PolicySizeExceeded,
            message: format!(
                "the invoke policy of {} would have {size} characters, and IAM allows {INLINE_MAX}; it names the functions of older \
                 specs as well until their actions are gone: set spec.function back to an earlier one and let the object become \
                 Ready before the next edit, or delete the object",
                role_id(situation)
            ),
        });
    }
    let policy = names::invoke_policy(situation.installation);
    put_if_different(Part::InvokePolicy, role_id(situation), policy, current, document, plan);
}

/// Policies on our role that we did not write and that allow something: the role would be worth more than was granted.
/// One that only denies stays, since it can be somebody's answer to an incident; so does one that the `AwsAccount`
/// tolerates, and for the time being one that keeps coming back or that AWS does not let go.
fn extra_policies(situation: &Situation<'_>, resolved: &Resolved<'_>, plan: &mut Plan) {
    let role = &situation.declared.role_name;
    let stays = |extra: &ExtraPolicy| {
        tolerates(&situation.granted.tolerated_policies, &extra.name)
            || situation.staying.contains_key(&extra.name.to_string())
    };
    let extras = resolved.role.iter().flat_map(|role| &role.extra_policies);
    let extras = extras.filter(|extra| extra.grants && !stays(extra));
    plan.steps.extend(extras.map(|extra| extra_policy_step(Phase::Access, situation.declared, role, extra)));
}

/// Whether one of these patterns means the policy: a name means inline and attached ones, an ARN attached ones.
pub(super) fn tolerates(patterns: &[String], policy: &ExtraPolicyName) -> bool {
    patterns.iter().any(|pattern| match policy {
        ExtraPolicyName::Inline(name) => gate::glob_matches(pattern, name),
        ExtraPolicyName::Attached(arn) if pattern.starts_with("arn:") => gate::glob_matches(pattern, arn.as_str()),
        ExtraPolicyName::Attached(arn) => {
            let name = arn.resource().rsplit('/').next().unwrap_or_default();
            gate::glob_matches(pattern, name)
        }
    })
}

/// Takes one such policy off a role of ours.
pub(super) fn extra_policy_step(phase: Phase, declared: &Declared, role: &RoleName, extra: &ExtraPolicy) -> Step {
    let (account, role) = (declared.dev.account.clone(), role.clone());
    let (resource, change) = match &extra.name {
        ExtraPolicyName::Inline(policy) => {
            (Resource::RolePolicy { account, role, policy: policy.clone() }, Change::DeletePolicy)
        }
        ExtraPolicyName::Attached(policy) => {
            (Resource::AttachedPolicy { account, role, policy: policy.clone() }, Change::DetachPolicy)
        }
    };
    // Its content decides nothing about whether it has gone.
    Step { phase, part: Part::InvokeRole, resource, change, before: Some("there".to_owned()), after: None }
}

/// P2.
fn callback_policy(situation: &Situation<'_>, observed: &Observed, resolved: &Resolved<'_>, plan: &mut Plan) {
    let Some(holder) = resolved.function.role.role() else { return };
    let current = observed.callback.get(&holder).and_then(Option::as_ref);
    let name = names::callback_policy(situation.installation);
    put_if_different(Part::CallbackPolicy, holder, name, current, policy::callback(), plan);
}

/// P3: our entry and those of every other object that uses the pipeline role.
fn assume_policy(
    situation: &Situation<'_>,
    observed: &Observed,
    resolved: &Resolved<'_>,
    Folded { entries, left_out }: &Folded,
    plan: &mut Plan,
) {
    let Some(holder) = resolved.pipeline.role.role() else { return };
    let current = observed.assume.get(&holder).and_then(Option::as_ref);
    let document = policy::assume(&entries.named);
    if !left_out.is_empty() {
        plan.blockers.push(no_room(situation, &holder, Some(&document)));
    }
    let name = names::assume_policy(situation.installation);
    put_if_different(Part::AssumePolicy, holder, name, current, document, plan);
}

/// Tells an object that its entry does not fit beside the entries that are there.
#[must_use]
pub fn no_room(situation: &Situation<'_>, holder: &RoleId, document: Option<&Value>) -> Blocker {
    let declared = situation.declared;
    Blocker {
        reason: Reason::PolicySizeExceeded,
        message: format!(
            "the assume policy of {holder}, the role of pipeline {}, has no room for invoke role {}: it has {} characters, and IAM \
             allows {INLINE_MAX} for all inline policies of a role together; delete objects of this pipeline that are not needed, \
             take other inline policies off that role, or spread the objects over several pipelines with roles of their own",
            declared.pipeline,
            declared.role_name,
            document.map_or(0, policy::size),
        ),
    }
}

/// The invoke role that the object declares.
fn role_id(situation: &Situation<'_>) -> RoleId {
    RoleId { account: situation.declared.dev.account.clone(), name: situation.declared.role_name.clone() }
}

/// Entries of an older spec that are in place: kept on the inventory's word, since keeping gives nobody anything new.
pub(super) fn still_needed(kept: &Inventory, part: Part, holder: &RoleId, in_place: &BTreeSet<Arn>) -> BTreeSet<Arn> {
    kept.entries(part, holder).intersection(in_place).cloned().collect()
}

fn put_if_different(
    part: Part,
    holder: RoleId,
    policy: String,
    current: Option<&Value>,
    document: Value,
    plan: &mut Plan,
) {
    let (before, after) = (policy_state(current), policy_state(Some(&document)));
    if before != after {
        let resource = Resource::RolePolicy { account: holder.account, role: holder.name, policy };
        let change = Change::PutPolicy(document);
        plan.steps.push(Step { phase: Phase::Access, part, resource, change, before, after });
    }
}
