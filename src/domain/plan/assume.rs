//! The entries of an assume policy (P3), which all objects on a pipeline role share.

use std::collections::BTreeSet;

use super::{Resolved, Situation};
use crate::domain::{
    ids::{Arn, RoleId},
    inventory::{Inventory, Part},
    observed::Observed,
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
    let seen: BTreeSet<&Arn> = recorded
        .filter(|item| item.holder.role().as_ref() == Some(holder))
        .filter_map(|item| item.entry.as_ref())
        .collect();
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

/// Entries that no known object asks for and that stay in the assume policy of the pipeline's role.
#[must_use]
pub fn unexplained_entries(situation: &Situation<'_>, observed: &Observed) -> BTreeSet<Arn> {
    let Ok(transition) = super::transition(situation, observed) else { return BTreeSet::new() };
    desired(situation, observed, &transition.resolved, transition.kept()).entries.unexplained
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
fn used(observed: &Observed, holder: &RoleId) -> BTreeSet<Arn> {
    let pipelines = observed.pipelines.values().flatten();
    let of_holder = pipelines.filter(|pipeline| pipeline.role.role().as_ref() == Some(holder));
    let declarations = of_holder.map(|pipeline| &pipeline.declaration);
    declarations.flat_map(pipeline_edit::roles_named).collect()
}
