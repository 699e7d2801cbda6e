//! The clock of the double: real time plus what tests have added to it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Real time plus an offset that only grows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    offset: SignedDuration,
}

impl Clock {
    /// The time of the double.
    #[allow(clippy::disallowed_methods, reason = "the double is where the time of AWS comes from")]
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + self.offset
    }

    /// Moves the clock forward: sessions expire, propagation ends.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.offset += SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    }
}
