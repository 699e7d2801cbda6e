//! A value with its recent past, for reads and judgements that lag behind writes.

use jiff::{SignedDuration, Timestamp};

/// How long the past is kept; also the longest lag that can be asked for.
pub(crate) const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// The states of one thing over time; `None` where it did not exist.
#[derive(Clone, Debug)]
pub(crate) struct Versioned<T> {
    states: Vec<(Timestamp, Option<T>)>,
}

impl<T> Default for Versioned<T> {
    fn default() -> Self {
        Self { states: Vec::new() }
    }
}

impl<T> Versioned<T> {
    /// A thing that has been there since before anybody looked.
    pub(crate) fn since_ever(value: T) -> Self {
        Self { states: vec![(Timestamp::MIN, Some(value))] }
    }

    /// What is there now.
    pub(crate) fn current(&self) -> Option<&T> {
        self.states.last().and_then(|(_, state)| state.as_ref())
    }

    /// What was there at `time`.
    pub(crate) fn as_of(&self, time: Timestamp) -> Option<&T> {
        self.states.iter().rev().find(|(since, _)| *since <= time).and_then(|(_, state)| state.as_ref())
    }

    /// Records a change. What was replaced longer ago than [`KEPT`] is forgotten.
    pub(crate) fn set(&mut self, now: Timestamp, state: Option<T>) {
        let horizon = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        let needed = self.states.iter().rposition(|(since, _)| *since <= horizon).unwrap_or(0);
        self.states.drain(..needed);
        self.states.push((now, state));
    }
}
