//! What a plan may do while an account is being deleted: it keeps what was in place, and makes nothing new.

use super::{Phase, Plan, Resolved, Situation, Step, desired_inventory, own_roles, resolve};
use crate::domain::{
    ids::Arn,
    inventory::{Inventory, Item, Part},
    observed::{Observed, Resource},
    pipeline_edit::{self, Json},
    policy,
};

/// Takes out of a plan what would make anything new, and everything after it. Says whether there was anything.
/// `settled` is what this process has seen in place.
pub fn keep_what_was_in_place(
    plan: &mut Plan,
    situation: &Situation<'_>,
    observed: &Observed,
    settled: Option<&Inventory>,
) -> bool {
    let Ok(resolved) = resolve(situation, observed) else { return false };
    let desired = desired_inventory(situation, &resolved);
    let shown = Shown::of(situation, observed, &resolved);
    let was_in_place = |item: &Item| {
        let seen = settled.is_some_and(|settled| settled.0.iter().any(|known| known.same_thing(item)));
        let recorded = || situation.inventory.0.iter().any(|known| known.same_thing(item) && known.digest.is_some());
        seen || (recorded() && shown.has(item))
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

/// What AWS shows to have been in place before this process: a status is a tenant's to write, and counts only with it.
struct Shown<'a> {
    resolved: &'a Resolved<'a>,
    /// The declared action is in its place under a role of this object, or an earlier version of the pipeline had it.
    action: bool,
    /// It invokes the declared function.
    invokes: bool,
    /// Pipeline roles that a role of this object trusts.
    trusted: Vec<Arn>,
    /// Functions that a role of this object may invoke.
    functions: Vec<Arn>,
}

impl<'a> Shown<'a> {
    fn of(situation: &Situation<'_>, observed: &'a Observed, resolved: &'a Resolved<'a>) -> Self {
        let own = || own_roles(situation, observed);
        let ours: Vec<&Json> = declared_action(situation, observed, resolved)
            .filter(|action| own().any(|role| role.arn.as_str() == action.text("roleArn")))
            .collect();
        let function = |action: &Json| action.get("configuration").map(|it| it.text("FunctionName").to_owned());
        Self {
            resolved,
            action: !ours.is_empty(),
            invokes: ours.iter().any(|it| function(it).as_deref() == Some(situation.declared.function.as_str())),
            trusted: own().filter_map(|role| policy::trusted_pipeline_roles(&role.trust)).flatten().collect(),
            functions: own()
                .filter_map(|role| policy::invoke_entries(role.invoke_policy.as_ref()?))
                .flatten()
                .collect(),
        }
    }

    fn has(&self, item: &Item) -> bool {
        let is_used_by =
            |role: &Arn| self.trusted.contains(role) || (self.action && *role == self.resolved.pipeline.role);
        let is_invoked = |function: &Arn| {
            self.functions.contains(function) || (self.invokes && *function == self.resolved.function.arn)
        };
        match item.part {
            Part::InvokeRole => item.entry.as_ref().is_some_and(is_used_by),
            Part::AssumePolicy => is_used_by(&item.holder),
            Part::InvokePolicy => item.entry.as_ref().is_some_and(is_invoked),
            // The record does not say of which function.
            Part::CallbackPolicy => {
                item.holder == self.resolved.function.role && is_invoked(&self.resolved.function.arn)
            }
            Part::PipelineAction => self.action && item.holder == self.resolved.pipeline.arn,
        }
    }
}

/// The action in the declared place as it is, and as an earlier version of the pipeline had it where it was changed or
/// taken out.
fn declared_action<'a>(
    situation: &Situation<'_>,
    observed: &'a Observed,
    resolved: &Resolved<'a>,
) -> impl Iterator<Item = &'a Json> {
    let (stage, action) = (situation.declared.stage.clone(), situation.declared.action.clone());
    let pipeline = resolved.pipeline;
    let now = pipeline_edit::action_at(&pipeline.declaration, stage.as_str(), action.as_str());
    let is_it = move |it: &(&Arn, &_, &_)| *it.0 == pipeline.arn && (it.1, it.2) == (&stage, &action);
    let changed = observed.role_changes.iter().map(|it| ((&it.pipeline, &it.stage, &it.action), &it.earlier));
    let taken = observed.taken_out.iter().map(|it| ((&it.pipeline, &it.stage, &it.action), &it.earlier.action));
    now.into_iter().chain(changed.chain(taken).filter(move |(place, _)| is_it(place)).map(|(_, earlier)| earlier))
}

/// Whether the step is about this part of the same role or pipeline.
fn is_of(step: &Step, item: &Item) -> bool {
    let same_holder = match &step.resource {
        Resource::Pipeline { name, .. } => item.holder.resource() == name.as_str(),
        other => item.holder.role().is_some_and(|role| Some(&role.name) == other.role()),
    };
    step.part == item.part && same_holder && item.holder.account() == step.resource.account().as_str()
}
