//! What the machine of a pipeline shows of itself.

use serde::Serialize;

use super::{
    Waiting,
    machine::{Machine, Next, State},
};
use crate::{
    domain::{fold::Claim, occupancy::Verdict, plan::PipelineGoal},
    engine::shown::{Shown, ShownClaim, Stands},
};

/// An update that was sent.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownWrite {
    /// The version that it was planned on.
    pub planned_on_version: i64,
    /// The objects whose claims are in it.
    pub objects: Vec<String>,
}

fn shown_claim(claim: &Claim) -> ShownClaim {
    let wants = match &claim.goal {
        PipelineGoal::Holds(action, _) => Some(format!("action {} in stage {}", action.name, action.stage)),
        PipelineGoal::HoldsNone(_) => None,
    };
    ShownClaim { closes_gate: Some(claim.closes_gate), ..ShownClaim::of(&claim.basis, wants) }
}

impl<E: Clone> Machine<E> {
    /// Where it stands.
    #[must_use]
    pub const fn stands(&self) -> Stands {
        match &self.state {
            State::Idle => Stands::Idle,
            State::Reading | State::Checking { .. } | State::Writing(_) | State::Restoring { .. } => Stands::Running,
            State::Waiting { then: Next::Check, .. } => Stands::Waiting,
            State::Collecting { .. } | State::Waiting { .. } | State::Unsettled { .. } => Stands::Delayed,
        }
    }

    /// The objects that claim something, for the log.
    #[must_use]
    pub fn objects(&self) -> String {
        self.claims.values().map(|claim| claim.basis.key.to_string()).collect::<Vec<_>>().join(",")
    }

    /// The state of the machine, for `/debug/targets`.
    #[must_use]
    pub fn shown(&self) -> Shown<ShownWrite> {
        let (state, until, flight) = match &self.state {
            State::Idle => ("Idle", None, None),
            State::Collecting { last, .. } => ("Collecting", Some(*last + self.settings.collect), None),
            State::Reading => ("Reading", None, None),
            State::Checking { .. } => ("Checking", None, None),
            State::Waiting { until, .. } => ("Waiting", Some(*until), None),
            State::Writing(flight) => ("Writing", None, Some(flight)),
            State::Unsettled { flight, next, .. } => ("Unsettled", Some(*next), Some(flight)),
            State::Restoring { .. } => ("Restoring", None, None),
        };
        let held = self.said.values().find_map(|waiting| match waiting {
            Waiting::Pipeline { verdict: Verdict::Held { until, .. }, .. } => Some(*until),
            _ => None,
        });
        let state = if state == "Waiting" && held.is_some() { "Held" } else { state };
        Shown {
            state,
            until: until.max(held),
            why: (state != "Idle").then(|| self.said.values().map(why).next()).flatten(),
            claims: self.claims.values().map(shown_claim).collect(),
            write_in_flight: flight.map(|flight| {
                let (planned_on_version, objects) = flight.shown();
                ShownWrite { planned_on_version, objects }
            }),
        }
    }
}

/// What is waited for, in words.
fn why(waiting: &Waiting) -> String {
    match waiting {
        Waiting::Pipeline { verdict: Verdict::Busy { execution, status, waits_for }, .. } => {
            let waits_for = waits_for.as_ref().map(|waits| format!(", which {waits}")).unwrap_or_default();
            format!("execution {execution} is {status}{waits_for}")
        }
        Waiting::Pipeline { verdict: Verdict::Held { execution, status, until, .. }, .. } => {
            format!("execution {execution} is {status} and may be retried until {until}")
        }
        Waiting::Pipeline { verdict: Verdict::NotLookedThrough, .. } => {
            "a look through older executions, which the pipeline's state does not show".to_owned()
        }
        Waiting::Pipeline { verdict: Verdict::Free, .. } => "the pipeline".to_owned(),
        Waiting::Others => "further claims, so that one version carries all".to_owned(),
        Waiting::Reading => "a reading of a version that has been seen".to_owned(),
        Waiting::Correction { until, .. } => format!("the next correction, since somebody keeps undoing them: {until}"),
        Waiting::Settling => "what became of an update whose answer was lost".to_owned(),
    }
}
