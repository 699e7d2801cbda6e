//! What many objects want of one pipeline, folded into one declaration.
//!
//! A version of a pipeline cancels running executions, so one version carries what all objects need that are ready to have
//! it. The order is fixed and does not depend on who came first: what goes, then what is in place, then by age and UID. A
//! claim that cannot be folded has its own answer and keeps nobody else out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    basis::Basis,
    ids::{Arn, Region, RoleId, StageName},
    pipeline_edit::{self, Edited, Json, Refusal},
    plan::PipelineGoal,
};

/// What one object wants of one pipeline.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
pub struct Claim {
    /// The object as it was when this claim was planned; a write for the claim rests on that.
    pub basis: Basis,
    /// When the object was created: of two that want the same place the older one has it.
    pub created: Timestamp,
    /// What it wants.
    pub goal: PipelineGoal,
    /// The pipeline role for which the object's access was seen in place.
    pub pipeline_role: Arn,
    /// Whether the object's record says that its stage is of our making: without the record nobody takes the stage away.
    pub stage_is_recorded: bool,
    /// Whether the action had been in place, so that a gate is open that was closed.
    pub closes_gate: bool,
    /// Whether it puts back what was in place as it is declared now, and somebody changed or took out.
    pub corrects: bool,
    /// A version of the pipeline that the object has seen: a reading of an older one is stale.
    pub seen_version: i64,
}

impl Claim {
    /// The invoke role of the action that it wants; `None` where it wants none.
    #[must_use]
    pub fn role(&self) -> Option<&Arn> {
        match &self.goal {
            PipelineGoal::Holds(action, _) => Some(&action.role),
            PipelineGoal::HoldsNone(_) => None,
        }
    }

    /// Whether it asks for the same as another claim of the same object.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.basis == other.basis
            && self.goal == other.goal
            && self.pipeline_role == other.pipeline_role
            && self.stage_is_recorded == other.stage_is_recorded
            && self.corrects == other.corrects
    }
}

/// What became of a claim in a fold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Folded {
    /// The declaration has it already.
    InPlace,
    /// It is folded in; what changes, in words and without values.
    Changed(Vec<String>),
    /// It cannot be made.
    Refused(Refusal),
    /// A stage would be made for it that its record does not name yet.
    Unrecorded,
}

/// One declaration for all claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// The declaration to send.
    pub declaration: Json,
    /// What became of each claim, by UID.
    pub folded: BTreeMap<String, Folded>,
}

impl Fold {
    /// The claims that change something.
    pub fn changed(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        self.folded.iter().filter_map(|(uid, folded)| match folded {
            Folded::Changed(changes) => Some((uid, changes)),
            _ => None,
        })
    }
}

/// Folds claims into a declaration. The order in which they are handed over does not matter.
#[must_use]
pub fn fold<'a>(declaration: &Json, region: &Region, claims: impl IntoIterator<Item = &'a Claim>) -> Fold {
    let claims: Vec<&Claim> = claims.into_iter().collect();
    let known = Known::of(&claims);
    let mut pending: Vec<(&Claim, PipelineGoal)> = claims.into_iter().map(|claim| (claim, known.told(claim))).collect();
    pending.sort_by_cached_key(|(claim, goal)| {
        let adds = claim.role().is_some();
        (adds, adds && !goal.is_there(declaration), claim.created, claim.basis.uid.clone())
    });
    let mut fold = Fold { declaration: declaration.clone(), folded: BTreeMap::new() };
    let mut takes_stages = false;
    loop {
        let wanted = wanted_stages(&pending);
        let before = pending.len();
        let mut refused = BTreeMap::new();
        pending.retain(|(claim, goal)| {
            let folded = match goal.edit(&fold.declaration, region) {
                Ok(None) => Folded::InPlace,
                // Another claim may make the stage.
                Ok(Some(edited)) if edited.stage_made && !claim.stage_is_recorded => {
                    refused.insert(claim.basis.uid.clone(), Folded::Unrecorded);
                    return true;
                }
                // An action may come into the stage that this would take away.
                Ok(Some(edited)) if !takes_stages && takes_one_of(&fold.declaration, &edited, &wanted) => return true,
                Ok(Some(edited)) => {
                    fold.declaration = edited.declaration;
                    Folded::Changed(edited.changes)
                }
                Err(refusal) => {
                    refused.insert(claim.basis.uid.clone(), Folded::Refused(refusal));
                    return true;
                }
            };
            fold.folded.insert(claim.basis.uid.clone(), folded);
            false
        });
        let progress = pending.len() < before;
        if pending.is_empty() || (!progress && takes_stages) {
            fold.folded.extend(refused);
            return fold;
        }
        takes_stages = !progress;
    }
}

/// The stages that claims still to be folded want.
fn wanted_stages(pending: &[(&Claim, PipelineGoal)]) -> BTreeSet<StageName> {
    let stage = |goal: &PipelineGoal| match goal {
        PipelineGoal::Holds(action, _) => Some(action.stage.clone()),
        PipelineGoal::HoldsNone(_) => None,
    };
    pending.iter().filter_map(|(_, goal)| stage(goal)).collect()
}

fn takes_one_of(before: &Json, edited: &Edited, stages: &BTreeSet<StageName>) -> bool {
    let goes = |stage: &&StageName| {
        pipeline_edit::has_stage(before, stage.as_str())
            && !pipeline_edit::has_stage(&edited.declaration, stage.as_str())
    };
    stages.iter().any(|stage| goes(&stage))
}

/// What the claims know together: each was planned when some of the others were not there yet.
struct Known {
    stages_made: BTreeSet<StageName>,
    roles: BTreeSet<RoleId>,
}

impl Known {
    fn of(claims: &[&Claim]) -> Self {
        let owned = claims.iter().map(|claim| owned(&claim.goal));
        let stages_made = owned.flat_map(|owned| owned.stages_made.iter().cloned());
        let recorded = claims.iter().filter(|claim| claim.stage_is_recorded).filter_map(|claim| match &claim.goal {
            PipelineGoal::Holds(action, _) => Some(action.stage.clone()),
            PipelineGoal::HoldsNone(_) => None,
        });
        let roles = claims.iter().filter_map(|claim| claim.role()?.role());
        Self { stages_made: stages_made.chain(recorded).collect(), roles: roles.collect() }
    }

    /// The claim's goal, with what the others know. Its own role is no neighbour's.
    fn told(&self, claim: &Claim) -> PipelineGoal {
        let mut goal = claim.goal.clone();
        let own = claim.role().and_then(Arn::role);
        let (PipelineGoal::Holds(_, owned) | PipelineGoal::HoldsNone(owned)) = &mut goal;
        owned.stages_made.extend(self.stages_made.iter().cloned());
        owned.neighbours.extend(self.roles.iter().filter(|role| Some(*role) != own.as_ref()).cloned());
        goal
    }
}

/// Whether the action in this place is one of this installation's, as far as these claims tell. On it depends whether a failed
/// run is kept for a retry, so that a role that an object merely names does not count.
pub fn is_ours<'a>(declaration: &Json, stage: &str, action: &str, claims: impl IntoIterator<Item = &'a Claim>) -> bool {
    let Some(role) = pipeline_edit::invoke_role_at(declaration, stage, action) else { return false };
    claims.into_iter().any(|claim| {
        let owned = owned(&claim.goal);
        let own = owned.roles.iter().filter_map(|role| role.parse::<Arn>().ok()?.role());
        own.chain(claim.role().and_then(Arn::role))
            .chain(owned.planned_neighbours.iter().cloned())
            .any(|known| known == role)
    })
}

fn owned(goal: &PipelineGoal) -> &pipeline_edit::Owned {
    let (PipelineGoal::Holds(_, owned) | PipelineGoal::HoldsNone(owned)) = goal;
    owned
}
