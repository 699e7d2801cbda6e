//! What is declared beside what was read. All that follows from the two for an object that exists is asked here, so that
//! the dearest part of it, the edit of a pipeline on trial, is done once.

use std::{collections::BTreeSet, sync::OnceLock};

use super::{
    Blocker, Described, Phase, PipelineGoal, Plan, Resolved, Situation, Step, access, assume, blocked_edit, described,
    desired_action, desired_inventory, owned_in, pipeline_step, release, resolve, role_change,
};
use crate::domain::{
    ids::{Arn, PipelineName, RoleId},
    inventory::Inventory,
    observed::Observed,
    pipeline_edit::{self, DesiredAction, Note, Owned, Refusal},
    role_fold::Folded,
};

/// A declaration and what was read for it. Nothing is computed before it is asked for, and nothing twice.
#[derive(Debug)]
pub struct Comparison<'a> {
    situation: &'a Situation<'a>,
    observed: &'a Observed,
    transition: OnceLock<Result<Transition<'a>, Vec<Blocker>>>,
    assumed: OnceLock<Folded>,
    described: OnceLock<Vec<Described>>,
}

/// Where an object stands between an older spec and the present one.
#[derive(Debug)]
pub(super) struct Transition<'a> {
    pub(super) resolved: Resolved<'a>,
    pub(super) leftovers: Inventory,
    /// What of the leftovers an action that is not ours still needs.
    pub(super) in_use: Inventory,
    pub(super) owned: Owned,
    pub(super) action: DesiredAction,
    /// Whether an edit is due, or why it cannot be made. The edited declaration is not kept: the pipeline's worker makes its
    /// own from what it reads.
    edit_is_due: Result<bool, Refusal>,
    old_actions: Vec<Step>,
    /// Pipelines of an older spec of which it is not certain that they are gone.
    doubted: BTreeSet<PipelineName>,
}

impl Transition<'_> {
    /// Whether actions of an older spec may still be there.
    fn is_under_way(&self) -> bool {
        !matches!(self.edit_is_due, Ok(false)) || !self.old_actions.is_empty() || !self.doubted.is_empty()
    }

    /// Things of an older spec that have to stay in place while an action still needs them.
    pub(super) fn kept(&self) -> &Inventory {
        if self.is_under_way() { &self.leftovers } else { &self.in_use }
    }
}

fn transition<'a>(situation: &Situation<'_>, observed: &'a Observed) -> Result<Transition<'a>, Vec<Blocker>> {
    let resolved = resolve(situation, observed)?;
    let desired = desired_inventory(situation, &resolved);
    let leftovers = situation.inventory.clone().within(situation.declared).leftovers(&desired);
    let owned = owned_in(situation, observed, Some(&resolved.role_arn), &resolved.pipeline.arn);
    let mut action = desired_action(situation, &resolved);
    action.earlier = role_change::earlier_place(situation, observed, &owned);
    let (declaration, region) = (&resolved.pipeline.declaration, &situation.declared.tools.region);
    let edit_is_due = pipeline_edit::converge(declaration, region, &action, &owned).map(|edited| edited.is_some());
    let old_actions = release::old_pipeline_steps(situation, observed, &leftovers);
    let in_use = release::in_use(situation, observed, &leftovers);
    let doubted = release::doubted(observed, &leftovers);
    Ok(Transition { resolved, leftovers, in_use, owned, action, edit_is_due, old_actions, doubted })
}

impl<'a> Comparison<'a> {
    /// Of a situation and what was read in it.
    #[must_use]
    pub fn of(situation: &'a Situation<'a>, observed: &'a Observed) -> Self {
        let (transition, assumed, described) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { situation, observed, transition, assumed, described }
    }

    /// What is declared, and all else that is known.
    #[must_use]
    pub fn situation(&self) -> &'a Situation<'a> {
        self.situation
    }

    /// What was read.
    #[must_use]
    pub fn observed(&self) -> &'a Observed {
        self.observed
    }

    fn transition(&self) -> Result<&Transition<'a>, &[Blocker]> {
        let transition = self.transition.get_or_init(|| transition(self.situation, self.observed));
        transition.as_ref().map_err(Vec::as_slice)
    }

    /// The entries of P3.
    fn assumed(&self, transition: &Transition<'_>) -> &Folded {
        let (resolved, kept) = (&transition.resolved, transition.kept());
        self.assumed.get_or_init(|| assume::desired(self.situation, self.observed, resolved, kept))
    }

    /// What has to be written.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let transition = match self.transition() {
            Ok(transition) => transition,
            Err(blockers) => return Plan { steps: Vec::new(), blockers: blockers.to_vec() },
        };
        let (situation, observed) = (self.situation, self.observed);
        let mut plan = access::plan(situation, observed, transition, self.assumed(transition));
        let Transition { resolved, leftovers, in_use, owned, action, edit_is_due, old_actions, .. } = transition;
        let name = &situation.declared.pipeline;
        match edit_is_due {
            Ok(false) => {}
            Ok(true) => {
                let goal = PipelineGoal::Holds(Box::new(action.clone()), owned.clone());
                plan.steps.push(pipeline_step(Phase::Pipeline, situation, name, resolved.pipeline, goal));
            }
            Err(refusal) => plan.blockers.insert(0, blocked_edit(situation, name, refusal)),
        }
        plan.steps.extend(old_actions.iter().cloned());
        if !transition.is_under_way() {
            release::leftovers(situation, observed, (leftovers, in_use), resolved, &mut plan);
        }
        if !plan.blockers.is_empty() {
            plan.steps.clear();
        }
        plan
    }

    /// All parts, as declared and as read. Empty while pipeline, function or role cannot be told: then there is nothing to
    /// compare with.
    #[must_use]
    pub fn described(&self) -> &[Described] {
        let Ok(transition) = self.transition() else { return &[] };
        let entries = &self.assumed(transition).entries.named;
        self.described.get_or_init(|| described::described(self.situation, self.observed, transition, entries))
    }

    /// Pipelines of an older spec of which it is not certain that they are gone: until it is, the object has not converged.
    #[must_use]
    pub fn doubted_leftovers(&self) -> BTreeSet<PipelineName> {
        self.transition().map(|transition| transition.doubted.clone()).unwrap_or_default()
    }

    /// Entries that no known object asks for and that stay in the assume policy of the pipeline's role.
    #[must_use]
    pub fn unexplained_entries(&self) -> BTreeSet<Arn> {
        self.transition().map(|transition| self.assumed(transition).entries.unexplained.clone()).unwrap_or_default()
    }

    /// The entries that the object itself needs in a role's assume policy, old and new.
    #[must_use]
    pub fn own_entries(&self, holder: &RoleId) -> BTreeSet<Arn> {
        self.transition().map(|transition| assume::own(transition, self.observed, holder)).unwrap_or_default()
    }

    /// What a person should know about the place of our action, once it is there.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let Ok(transition) = self.transition() else { return Vec::new() };
        pipeline_edit::notes(&transition.resolved.pipeline.declaration, &transition.action, &transition.owned)
    }
}
