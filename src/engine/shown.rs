//! What a machine shows of itself to people: where it stands, why, and who wants what. Nothing of a configuration.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::basis::Basis;

/// Where a machine stands, for counters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stands {
    /// Nobody wants anything.
    Idle,
    /// A call is under way, or has still to be sent.
    Running,
    /// It goes on by itself at a time.
    Delayed,
    /// It asks again and again whether it may write.
    Waiting,
}

/// A machine, in words; `W` is a write of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<W> {
    /// The state's name.
    pub state: &'static str,
    /// When it goes on by itself.
    pub until: Option<Timestamp>,
    /// What it waits for.
    pub why: Option<String>,
    /// Who wants what.
    pub claims: Vec<ShownClaim>,
    /// The write without an answer.
    pub write_in_flight: Option<W>,
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// What it wants to be there.
    pub wants: Option<String>,
    /// Of a pipeline: whether a gate is open that it closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes_gate: Option<bool>,
    /// Since when it is there, where that is known.
    pub since: Option<Timestamp>,
}

impl ShownClaim {
    /// Of an object that wants this to be there, or wants what it has there to leave.
    pub(super) fn of(basis: &Basis, wants: Option<String>) -> Self {
        Self {
            uid: basis.uid.clone(),
            object: basis.key.to_string(),
            generation: basis.generation,
            strength: if wants.is_some() { "Add" } else { "Leave" },
            wants,
            closes_gate: None,
            since: None,
        }
    }
}
