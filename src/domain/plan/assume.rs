//! The entries of an assume policy (P3), which all objects on a pipeline role share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Change, Phase, Resolved, Situation, Step, comparison::Transition, policy_state};
use crate::domain::{
    ids::{Arn, RoleId},
    inventory::{Inventory, Part},
    names,
    observed::{Observed, Resource},
    pipeline_edit, policy,
    role_fold::{self, Assume, Folded, INLINE_MAX, Wish},
    shared_policy::Behind,
};

/// What a pipeline role's assume policy must name, with `own` of the object at hand.
pub(super) fn entries(situation: &Situation<'_>, observed: &Observed, holder: &RoleId, own: &BTreeSet<Arn>) -> Folded {
    let in_place = in_place(observed, holder);
    let others = situation.others.assume.get(holder).map(Vec::as_slice).unwrap_or_default();
    let proof = &situation.others.proof;
    let may_leave = |entry: &Arn| {
        let seen = behind_of_observed(situation, observed, entry);
        proof.lets_go(seen.as_ref().or_else(|| proof.behind.get(entry)), &situation.declared.key)
    };
    let recorded = situation.inventory.of(Part::AssumePolicy).filter(|item| item.digest.is_some());
    let seen: BTreeSet<&Arn> =
        recorded.filter(|item| item.holder.is_of(holder)).filter_map(|item| item.entry.as_ref()).collect();
    let wishes = [Wish {
        uid: String::new(),
        created: situation.now,
        entries: own.clone(),
        was_in_place: own.iter().all(|entry| seen.contains(entry)),
    }];
    let (used, room) = (used(observed, holder), room(situation, holder));
    let of = Assume { in_place: &in_place, wishes: &wishes, others, used: &used, room, additions: usize::MAX };
    role_fold::assume(of, may_leave)
}

/// The characters that the policy may have, as far as it is known.
pub(super) fn room(situation: &Situation<'_>, holder: &RoleId) -> usize {
    situation.others.room.get(holder).copied().unwrap_or(INLINE_MAX)
}

/// The invoke roles that the policy names now, in whatever form: a correction of the form loses none of them.
pub(super) fn in_place(observed: &Observed, holder: &RoleId) -> BTreeSet<Arn> {
    let current = observed.assume.get(holder).and_then(Option::as_ref);
    current.map(policy::assume_entries_of_any_form).unwrap_or_default()
}

/// The invoke roles that P3 must name for an object that exists.
pub(super) fn desired(
    situation: &Situation<'_>,
    observed: &Observed,
    resolved: &Resolved<'_>,
    kept: &Inventory,
) -> Folded {
    let mut own = BTreeSet::from([resolved.role_arn.clone()]);
    let Some(holder) = resolved.pipeline.role.role() else { return Folded::default() };
    let in_place = in_place(observed, &holder);
    own.extend(super::access::still_needed(kept, Part::AssumePolicy, &holder, &in_place));
    entries(situation, observed, &holder, &own)
}

/// The entries that the object itself needs in a role's assume policy, old and new.
pub(super) fn own(transition: &Transition<'_>, observed: &Observed, holder: &RoleId) -> BTreeSet<Arn> {
    let in_place = in_place(observed, holder);
    let resolved = &transition.resolved;
    if resolved.pipeline.role.role().as_ref() != Some(holder) {
        let in_use = transition.in_use.entries(Part::AssumePolicy, holder);
        return in_use.intersection(&in_place).cloned().collect();
    }
    let kept = super::access::still_needed(transition.kept(), Part::AssumePolicy, holder, &in_place);
    kept.into_iter().chain([resolved.role_arn.clone()]).collect()
}

/// The shared policies that the object's path needs, as steps that change nothing.
#[must_use]
pub fn access_in_place(situation: &Situation<'_>, observed: &Observed) -> Vec<Step> {
    let Ok(resolved) = super::resolve(situation, observed) else { return Vec::new() };
    let as_it_is = |part, role: Option<RoleId>, policies: &BTreeMap<RoleId, Option<Value>>| {
        let role = role?;
        let document = policies.get(&role)?.as_ref()?;
        Some(unchanged(situation, Phase::Access, part, &role, Some(document)))
    };
    let callback = as_it_is(Part::CallbackPolicy, resolved.function.role.role(), &observed.callback);
    let assume = as_it_is(Part::AssumePolicy, resolved.pipeline.role.role(), &observed.assume);
    callback.into_iter().chain(assume).collect()
}

/// The shared policies that hold nothing of an object any more that is being deleted, as steps that change nothing.
#[must_use]
pub fn access_gone(situation: &Situation<'_>, observed: &Observed) -> Vec<Step> {
    let assume = observed
        .assume
        .iter()
        .map(|(role, document)| unchanged(situation, Phase::Release, Part::AssumePolicy, role, document.as_ref()));
    // One that is there is needed by others.
    let callback = observed.callback.iter().filter(|(_, document)| document.is_none());
    let callback = callback.map(|(role, _)| unchanged(situation, Phase::Release, Part::CallbackPolicy, role, None));
    assume.chain(callback).collect()
}

fn unchanged(situation: &Situation<'_>, phase: Phase, part: Part, role: &RoleId, document: Option<&Value>) -> Step {
    let policy = match part {
        Part::CallbackPolicy => names::callback_policy(situation.installation),
        _ => names::assume_policy(situation.installation),
    };
    let state = policy_state(document);
    let resource = Resource::RolePolicy { account: role.account.clone(), role: role.name.clone(), policy };
    let change = document.cloned().map_or(Change::DeletePolicy, Change::PutPolicy);
    Step { phase, part, resource, change, before: state.clone(), after: state }
}

/// What stands behind the entries in place, as far as their roles were read for this object anyway.
#[must_use]
pub fn behind_of_entries(situation: &Situation<'_>, observed: &Observed, holder: &RoleId) -> BTreeMap<Arn, Behind> {
    let seen = |entry: Arn| Some((entry.clone(), behind_of_observed(situation, observed, &entry)?));
    in_place(observed, holder).into_iter().filter_map(seen).collect()
}

/// What stands behind an entry, where its role was read for this object anyway.
#[must_use]
pub fn behind_of_observed(situation: &Situation<'_>, observed: &Observed, entry: &Arn) -> Option<Behind> {
    let Some(role) = entry.role() else {
        // It names no single role, which no entry of ours does.
        return Some(Behind::Nothing);
    };
    if role.account != situation.declared.dev.account {
        return None;
    }
    let (_, read) = observed.roles.iter().find(|(name, _)| name.as_str().eq_ignore_ascii_case(role.name.as_str()))?;
    Some(match read {
        Some(read) if read.arn == *entry => Behind::of_tags(&read.tags, situation.installation),
        // The name may stand at another path: nothing can be assumed under this ARN.
        _ => Behind::Nothing,
    })
}

/// The roles that actions and rules of the pipelines that run as `holder` use.
#[must_use]
pub fn used(observed: &Observed, holder: &RoleId) -> BTreeSet<Arn> {
    let pipelines = observed.pipelines.values().flatten();
    let of_holder = pipelines.filter(|pipeline| pipeline.role.is_of(holder));
    let declarations = of_holder.map(|pipeline| &pipeline.declaration);
    declarations.flat_map(|declaration| pipeline_edit::roles_named(declaration)).collect()
}
