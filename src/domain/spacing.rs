//! How far apart the versions of one pipeline are: corrections of what somebody keeps undoing, and versions for what is new.
//!
//! A version cancels what runs and takes rollback targets away, so a war about an action would stop every release. The first
//! correction is made at once, since the gate is open. Each further one comes twice as late as the one before it, up to a
//! most, and they never end.

use std::time::Duration;

use jiff::Timestamp;

use super::ids::{ActionName, ObjectKey, StageName};

/// How long a correction counts.
pub const COUNTS_FOR: Duration = Duration::from_hours(24);

/// How long a pipeline has to be quiet until the next version for something new waits for nothing but the collecting.
const QUIET: Duration = Duration::from_mins(10);

/// How many thirds of the collecting time lie between versions for something new: with its 3 s these are 3, 10, 30 and 60 s.
const STEPS: [u32; 4] = [3, 10, 30, 60];

/// How far apart corrections are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Between the first and the second; zero for not at all.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

/// The corrections of one pipeline, as far as they count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Corrections {
    /// How many there were.
    pub count: u32,
    /// When it became known what had become of the last one; until then, when it was sent.
    pub last: Timestamp,
}

impl Corrections {
    /// With one more, which is sent now.
    #[must_use]
    pub fn and_one(before: Option<Self>, now: Timestamp) -> Self {
        let count = before.filter(|before| before.counts(now)).map_or(0, |before| before.count);
        Self { count: count.saturating_add(1), last: now }
    }

    /// Two accounts of the same corrections: the later and the larger counts.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self { count: self.count.max(other.count), last: self.last.max(other.last) }
    }

    /// Whether the last one is less than a day ago.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> bool {
        age(self.last, now) < COUNTS_FOR
    }

    /// Until when a correction has to wait; `None` if it may be sent now.
    #[must_use]
    pub fn hold(known: Option<Self>, window: Window, now: Timestamp) -> Option<Timestamp> {
        let known = known.filter(|known| !window.first.is_zero() && known.counts(now))?;
        let doubled = 2_u32.saturating_pow(known.count.saturating_sub(1));
        let gap = window.first.saturating_mul(doubled).min(window.most.max(window.first));
        // The clock may have been set back since.
        Some(known.last.min(now) + gap).filter(|next| *next > now)
    }
}

/// What somebody had undone was put back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Corrected {
    /// Whose action it is.
    pub object: ObjectKey,
    /// Its stage.
    pub stage: StageName,
    /// Its name.
    pub action: ActionName,
    /// When it became known.
    pub at: Timestamp,
    /// When the next correction is due at the earliest; `None` for at once.
    pub next: Option<Timestamp>,
}

/// The versions for something new, one after the other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pace {
    count: usize,
    last: Option<Timestamp>,
}

impl Pace {
    /// Takes note of a version.
    pub fn note(&mut self, now: Timestamp) {
        self.count = if self.is_quiet(now) { 1 } else { self.count.saturating_add(1) };
        self.last = Some(now);
    }

    /// When the next one may be made.
    #[must_use]
    pub fn next(&self, collect: Duration, now: Timestamp) -> Option<Timestamp> {
        let (last, before) = (self.last.filter(|_| !self.is_quiet(now))?, self.count.checked_sub(1)?);
        let thirds = STEPS.get(before).or(STEPS.last())?;
        Some(last + collect.saturating_mul(*thirds) / 3)
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|last| age(last, now) >= QUIET)
    }
}

/// The clock may be set back: then nothing is old.
fn age(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { first: Duration::from_mins(10), most: Duration::from_hours(1) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// When corrections are sent of what somebody undoes at once each time.
    fn war(window: Window, times: usize) -> Vec<i64> {
        let (mut known, mut now, mut sent) = (None, at(0), Vec::new());
        for _ in 0..times {
            now = Corrections::hold(known, window, now).unwrap_or(now);
            known = Some(Corrections::and_one(known, now));
            sent.push(now.as_second() - at(0).as_second());
        }
        sent
    }

    #[test]
    fn corrections_back_off_and_never_stop() {
        assert_eq!(war(WINDOW, 7), [0, 10, 30, 70, 130, 190, 250].map(|minute| minute * 60));
        let many = war(WINDOW, 100);
        assert!(many.windows(2).skip(3).all(|two| two[1] - two[0] == 3_600));
        assert_eq!(war(Window { first: Duration::ZERO, most: WINDOW.most }, 3), [0; 3]);
        // A most that is shorter than the window makes it no shorter.
        let short = Window { first: WINDOW.first, most: Duration::from_mins(1) };
        assert_eq!(war(short, 3), [0, 600, 1_200]);
    }

    #[test]
    fn a_day_without_one_begins_again() {
        let known = Some(Corrections { count: 9, last: at(0) });
        assert_eq!(Corrections::hold(known, WINDOW, at(60)), Some(at(3_600)));
        assert_eq!(Corrections::hold(known, WINDOW, at(3_600)), None);
        assert_eq!(Corrections::and_one(known, at(86_399)).count, 10);
        assert_eq!(Corrections::and_one(known, at(86_400)).count, 1);
        let other = Some(Corrections { count: 2, last: at(5) });
        assert_eq!(Corrections { count: 9, last: at(0) }.and(other), Corrections { count: 9, last: at(5) });
    }

    #[test]
    fn versions_for_something_new_come_ever_later_until_it_was_quiet() {
        let (collect, mut pace, mut now, mut sent) = (Duration::from_secs(3), Pace::default(), at(0), Vec::new());
        for _ in 0..6 {
            now = pace.next(collect, now).unwrap_or(now);
            pace.note(now);
            sent.push(now.duration_since(at(0)).as_millis());
        }
        assert_eq!(sent, [0, 3_000, 13_000, 43_000, 103_000, 163_000]);
        let quiet = now + QUIET;
        assert!(pace.next(collect, now).is_some());
        assert_eq!(pace.next(collect, quiet), None);
        pace.note(quiet);
        assert_eq!(pace.next(collect, quiet), Some(quiet + collect));
        assert_eq!(pace.next(Duration::ZERO, quiet), Some(quiet));
    }
}
