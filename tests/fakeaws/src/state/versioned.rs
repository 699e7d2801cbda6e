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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    proptest! {
        /// Against the plain model: all changes remembered for ever.
        #[test]
        fn the_past_within_the_kept_hour_is_exact(
            steps in prop::collection::vec((0_i64..1800, prop::option::of(0_u8..9)), 0..40),
            lag in 0_i64..=3600,
        ) {
            let mut versioned = Versioned::since_ever(99);
            let mut model = vec![(i64::MIN, Some(99))];
            let mut now = 0;
            for (step, state) in steps {
                now += step;
                versioned.set(at(now), state);
                model.push((now, state));
                prop_assert_eq!(versioned.current(), state.as_ref());
            }
            let (_, expected) = model.iter().rev().find(|(since, _)| *since <= now - lag).unwrap();
            prop_assert_eq!(versioned.as_of(at(now - lag)), expected.as_ref());
        }
    }

    #[test]
    fn what_was_replaced_long_ago_is_forgotten() {
        let mut versioned = Versioned::default();
        for second in 0..10_000 {
            versioned.set(at(second), Some(second));
        }
        assert!(versioned.states.len() <= 3602, "{}", versioned.states.len());
    }
}
