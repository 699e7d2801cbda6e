//! What a machine shows of itself to people: where it stands, why, and who wants what. Nothing of a configuration.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Waiting,
    machine::{Machine, Next, State},
};
use crate::domain::{fold::Claim, occupancy::Verdict, plan::PipelineGoal};

/// Where a machine stands, for counters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stands {
    /// Nobody wants anything.
    Idle,
    /// A call is under way, or has still to be sent.
    Running,
    /// It goes on by itself at a time.
    Delayed,
    /// It asks again and again whether the pipeline may be written.
    Waiting,
}

/// A machine, in words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The state's name.
    pub state: &'static str,
    /// When it goes on by itself.
    pub until: Option<Timestamp>,
    /// What it waits for.
    pub why: Option<String>,
    /// Who wants what.
    pub claims: Vec<ShownClaim>,
    /// The update without an answer.
    pub write_in_flight: Option<ShownWrite>,
}

/// A claim.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownClaim {
    /// The object's UID.
    pub uid: String,
    /// The object.
    pub object: String,
    /// The object's generation that it was planned on.
    pub generation: i64,
    /// `Add` or `Leave`.
    pub strength: &'static str,
    /// The action that it wants, and its stage.
    pub wants: Option<String>,
    /// Whether a gate is open that it closes.
    pub closes_gate: bool,
    /// Since when it is there, where that is known.
    pub since: Option<Timestamp>,
}

/// An update that was sent.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownWrite {
    /// The version that it was planned on.
    pub planned_on_version: i64,
    /// The objects whose claims are in it.
    pub objects: Vec<String>,
}

impl From<&Claim> for ShownClaim {
    fn from(claim: &Claim) -> Self {
        let (strength, wants) = match &claim.goal {
            PipelineGoal::Holds(action, _) => {
                ("Add", Some(format!("action {} in stage {}", action.name, action.stage)))
            }
            PipelineGoal::HoldsNone(_) => ("Leave", None),
        };
        Self {
            uid: claim.uid.clone(),
            object: claim.key.to_string(),
            generation: claim.generation,
            strength,
            wants,
            closes_gate: claim.closes_gate,
            since: None,
        }
    }
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
        self.claims.values().map(|claim| claim.key.to_string()).collect::<Vec<_>>().join(",")
    }

    /// What people are told of it.
    #[must_use]
    pub fn shown(&self) -> Shown {
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
            claims: self.claims.values().map(ShownClaim::from).collect(),
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
