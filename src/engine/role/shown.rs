//! What the machine of a role shows of itself.

use serde::Serialize;

use super::{
    Waiting,
    machine::{Machine, State},
};
use crate::{
    domain::role_claims::{Claim, Goal},
    engine::shown::{Shown, ShownClaim, Stands},
};

/// A write that was sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownWrite {
    /// The policy's name.
    pub policy: String,
    /// Whether it is deleted.
    pub deletes: bool,
    /// The objects whose claims are in it.
    pub objects: Vec<String>,
}

impl<E: Clone> Machine<E> {
    /// Where it stands.
    #[must_use]
    pub const fn stands(&self) -> Stands {
        match &self.state {
            State::Idle => Stands::Idle,
            State::Reading | State::Proving | State::Writing(_) => Stands::Running,
            State::Collecting { .. } | State::Waiting { .. } => Stands::Delayed,
        }
    }

    /// The objects that claim something, for the log.
    #[must_use]
    pub fn objects(&self) -> String {
        let mut objects: Vec<String> =
            self.claims.values().map(|claimed| claimed.claim.basis.key.to_string()).collect();
        // One may claim something of both policies.
        objects.sort();
        objects.dedup();
        objects.join(",")
    }

    /// The state of the machine, for `/debug/targets`.
    #[must_use]
    pub fn shown(&self) -> Shown<ShownWrite> {
        let (state, until, flight) = match &self.state {
            State::Idle => ("Idle", None, None),
            State::Collecting { since, last } => ("Collecting", Some(self.collected(*since, *last)), None),
            State::Reading => ("Reading", None, None),
            State::Proving => ("Proving", None, None),
            State::Waiting { until } => ("Waiting", Some(*until), None),
            State::Writing(flight) => ("Writing", None, Some(flight)),
        };
        let said = self.claims.values().find_map(|claimed| claimed.said);
        let claims = self.claims.values().map(|it| ShownClaim { since: Some(it.since), ..shown_claim(&it.claim) });
        Shown {
            state,
            until,
            why: said.filter(|_| state != "Idle").map(|waiting| why(waiting).to_owned()),
            claims: claims.collect(),
            write_in_flight: flight.map(|flight| flight.shown(&self.settings.installation)),
        }
    }
}

fn shown_claim(claim: &Claim) -> ShownClaim {
    let wants = match &claim.goal {
        Goal::Callback => Some("the callback policy".to_owned()),
        Goal::NoCallback { .. } => None,
        Goal::Assume { entries, .. } if entries.is_empty() => None,
        Goal::Assume { entries, .. } => {
            let entries: Vec<&str> = entries.iter().map(crate::domain::ids::Arn::as_str).collect();
            Some(format!("{} in the assume policy", entries.join(", ")))
        }
    };
    ShownClaim::of(&claim.basis, wants)
}

/// What is waited for, in words.
fn why(waiting: Waiting) -> &'static str {
    match waiting {
        Waiting::Others => "further claims, so that one write carries all",
        Waiting::Reading => "a reading that shows what was written",
        Waiting::Settling => "what became of a write whose answer was lost",
    }
}
