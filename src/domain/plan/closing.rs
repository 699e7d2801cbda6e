//! What a plan may do while an account is being deleted: it keeps what was in place, and makes nothing new.

use super::{Phase, Plan, Situation, Step, desired_inventory, own_roles, resolve};
use crate::domain::{
    inventory::{Inventory, Item},
    observed::{Observed, Resource},
};

/// Takes out of a plan what would make anything new, and everything after it. Says whether there was anything.
/// `settled` is what this process has seen in place.
pub fn keep_what_was_in_place(
    plan: &mut Plan,
    situation: &Situation<'_>,
    observed: &Observed,
    settled: Option<&Inventory>,
) -> bool {
    let desired = resolve(situation, observed).map(|resolved| desired_inventory(situation, &resolved));
    let Ok(desired) = desired else { return false };
    // Beside what this process has seen, a status counts together with a role that carries this object's tags.
    let has_role = own_roles(situation, observed).next().is_some();
    let was_in_place = |item: &Item| {
        let seen = settled.is_some_and(|settled| settled.0.iter().any(|known| known.same_thing(item)));
        let recorded = || situation.inventory.0.iter().any(|known| known.same_thing(item) && known.digest.is_some());
        seen || (has_role && recorded())
    };
    let is_correction = |step: &Step| {
        let mut wanted = desired.0.iter().filter(|item| is_of(step, item)).peekable();
        match wanted.peek() {
            Some(_) => wanted.all(was_in_place),
            None => situation.inventory.0.iter().any(|item| is_of(step, item) && was_in_place(item)),
        }
    };
    let before = plan.steps.len();
    plan.steps.retain(|step| step.phase != Phase::Access || is_correction(step));
    let mut anything_new = plan.steps.len() < before;
    anything_new |= plan.steps.iter().any(|step| step.phase == Phase::Pipeline && !is_correction(step));
    if anything_new {
        // The action rests on all of the access, and what is released on the action.
        plan.steps.retain(|step| step.phase == Phase::Access);
    }
    anything_new
}

/// Whether the step is about this part of the same role or pipeline.
fn is_of(step: &Step, item: &Item) -> bool {
    let same_holder = match &step.resource {
        Resource::Pipeline { name, .. } => item.holder.resource() == name.as_str(),
        other => item.holder.role().is_some_and(|role| Some(&role.name) == other.role()),
    };
    step.part == item.part && same_holder && item.holder.account() == step.resource.account().as_str()
}
