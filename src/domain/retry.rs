//! When to look again: pure functions of the attempt and a random fraction that is passed in.

use std::time::Duration;

/// The delays of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delays {
    /// First delay of the backoff after a throttled or unavailable AWS.
    pub backoff_first: Duration,
    /// The backoff's cap; jitter is kept at the cap, so that objects do not come back in step.
    pub backoff_cap: Duration,
    /// A stalled object is looked at again no later than this, since its cure usually happens outside Kubernetes.
    pub stalled_cap: Duration,
    /// A stalled account is looked at again after this while it has not been stalled for long.
    pub account: Duration,
}

/// For how long a stalled account is looked at more often: whoever sets it up waits for it.
const ACCOUNT_WATCHED_FOR: Duration = Duration::from_mins(10);

impl Default for Delays {
    fn default() -> Self {
        Self {
            backoff_first: Duration::from_secs(1),
            backoff_cap: Duration::from_mins(5),
            stalled_cap: Duration::from_mins(5),
            account: Duration::from_secs(30),
        }
    }
}

/// After a read that still shows what was there before our own write.
pub const STALE_READ: Duration = Duration::from_secs(5);

impl Delays {
    /// Full-jitter exponential backoff: somewhere between nothing and `backoff_first · 2^attempt`, capped, and never
    /// under a tenth of a second. `fraction` is in `[0, 1)`.
    #[must_use]
    pub fn backoff(&self, attempt: u32, fraction: f64) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        let ceiling = self.backoff_first.saturating_mul(factor).min(self.backoff_cap);
        ceiling.mul_f64(fraction.clamp(0.0, 1.0)).max(Duration::from_millis(100))
    }

    /// When a stalled object is looked at again.
    #[must_use]
    pub fn stalled(&self, interval: Duration, fraction: f64) -> Duration {
        jittered(interval.min(self.stalled_cap), fraction).min(self.stalled_cap)
    }
}

impl Delays {
    /// When an account is looked at again that has been stalled for this long.
    #[must_use]
    pub fn stalled_account(&self, stalled_for: Duration, interval: Duration, fraction: f64) -> Duration {
        let usual = self.stalled(interval, fraction);
        if stalled_for < ACCOUNT_WATCHED_FOR { usual.min(self.account) } else { usual }
    }
}

/// The interval give or take a tenth, so that objects made together do not read AWS together for ever.
#[must_use]
pub fn jittered(interval: Duration, fraction: f64) -> Duration {
    interval.mul_f64(0.2f64.mul_add(fraction.clamp(0.0, 1.0), 0.9))
}

/// When an object is looked at that is one of many with the same reason to be: somewhere within a tenth of its interval.
#[must_use]
pub fn spread(interval: Duration, fraction: f64) -> Duration {
    interval.mul_f64(0.1 * fraction.clamp(0.0, 1.0))
}

/// The delay before the next try of a pipeline update that AWS refused because our IAM change has not spread yet:
/// 2, 4, 8, then 15 seconds. Most changes spread within ten.
#[must_use]
pub fn propagation(attempt: u32) -> Duration {
    Duration::from_secs(match attempt {
        0 => 2,
        1 => 4,
        2 => 8,
        _ => 15,
    })
}

/// The delay after a write that met a newer object, the first in a row or a later one: 500 ms, doubled each time, to a minute.
/// The watch brings that object meanwhile, unless it is stuck.
#[must_use]
pub fn conflict(in_a_row: u32) -> Duration {
    let factor = 1_u32.checked_shl(in_a_row.saturating_sub(1)).unwrap_or(u32::MAX);
    Duration::from_millis(500).saturating_mul(factor).min(Duration::from_mins(1))
}

/// The delay before what may not be watched is listed again: 1 s, doubled each time, to a minute.
#[must_use]
pub fn refused_watch(attempt: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(attempt).unwrap_or(u64::MAX).min(60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn conflicts_in_a_row_are_retried_less_and_less_often() {
        for (in_a_row, millis) in [(0, 500), (1, 500), (2, 1_000), (3, 2_000), (7, 32_000), (8, 60_000), (99, 60_000)] {
            assert_eq!(conflict(in_a_row), Duration::from_millis(millis), "{in_a_row}");
        }
    }

    #[test]
    fn propagation_is_tried_after_two_four_eight_then_every_fifteen_seconds() {
        let delays: Vec<u64> = (0..6).map(|attempt| propagation(attempt).as_secs()).collect();
        assert_eq!(delays, [2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn what_may_not_be_watched_is_listed_less_and_less_often() {
        let delays = [0, 1, 2, 5, 6, 63, 64, u32::MAX].map(|attempt| refused_watch(attempt).as_secs());
        assert_eq!(delays, [1, 2, 4, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn the_backoff_doubles_from_one_second_to_five_minutes() {
        let ceilings: Vec<u64> = (0..10).map(|attempt| Delays::default().backoff(attempt, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(Delays::default().backoff(u32::MAX, 1.0), Duration::from_mins(5));
    }

    #[test]
    fn a_stalled_object_waits_at_most_five_minutes() {
        assert_eq!(Delays::default().stalled(Duration::from_hours(24), 0.5), Duration::from_mins(5));
        assert_eq!(Delays::default().stalled(Duration::from_hours(24), 1.0), Duration::from_mins(5));
        assert_eq!(Delays::default().stalled(Duration::from_secs(10), 0.5), Duration::from_secs(10));
    }

    #[test]
    fn a_stalled_account_is_looked_at_every_half_minute_for_ten_minutes() {
        let delay = |stalled_for| {
            Delays::default().stalled_account(Duration::from_secs(stalled_for), Duration::from_mins(10), 1.0).as_secs()
        };
        assert_eq!([0, 599, 600, 86_400].map(delay), [30, 30, 300, 300]);
        let hasty = Delays { stalled_cap: Duration::from_secs(1), ..Delays::default() };
        assert_eq!(hasty.stalled_account(Duration::ZERO, Duration::from_mins(10), 1.0), Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn the_interval_is_kept_within_a_tenth(seconds in 10u64..86_400, fraction in 0.0..1.0f64) {
            let delay = jittered(Duration::from_secs(seconds), fraction).as_secs_f64();
            let interval = Duration::from_secs(seconds).as_secs_f64();
            prop_assert!(delay >= interval * 0.899 && delay <= interval * 1.101);
        }
    }
}
