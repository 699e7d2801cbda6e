//! When a pipeline that is not found counts as gone. What was ours in one that is gone needs nothing any more, so that one
//! wrong answer would take the rights of a live action away: it takes two looks.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::observed::Resource;

/// How far apart the two looks are at least. Longer than a burst of wrong answers from one lagging or failing endpoint,
/// and short enough to wait for wherever a pipeline has really been deleted.
pub const SECOND_LOOK: Duration = Duration::from_secs(10);

/// A look so long ago is not the first of two any more; also what bounds the memory.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug)]
struct Absence {
    first: Timestamp,
    last: Timestamp,
}

/// What this process was told is not there.
#[derive(Clone, Debug, Default)]
pub struct Absences {
    entries: BTreeMap<Resource, Absence>,
}

impl Absences {
    /// Takes note of a look that found the resource, or did not. Says whether it is in doubt: not found, and by no two
    /// looks far enough apart.
    pub fn is_doubted(&mut self, resource: &Resource, found: bool, now: Timestamp) -> bool {
        self.entries.retain(|_, absence| since(absence.last, now) < FORGOTTEN_AFTER);
        if found {
            self.entries.remove(resource);
            return false;
        }
        let absence = self.entries.entry(resource.clone()).or_insert(Absence { first: now, last: now });
        absence.last = now;
        since(absence.first, now) < SECOND_LOOK
    }
}

/// After a clock went back, the first look counts again.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(then).try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_two_looks_apart_from_each_other_and_none_that_found_it_between() {
        for (looks, doubted) in [
            (vec![(0, false)], true),
            (vec![(0, true)], false),
            (vec![(0, false), (9, false)], true),
            (vec![(0, false), (10, false)], false),
            (vec![(0, false), (5, false), (10, false)], false),
            (vec![(0, false), (10, true)], false),
            (vec![(0, false), (10, true), (20, false)], true),
            (vec![(0, false), (3600, false)], true),
            (vec![(0, false), (3599, false), (7000, false)], false),
            (vec![(20, false), (0, false)], true),
        ] {
            let pipeline = |name: &str| Resource::Pipeline {
                account: "111111111111".parse().unwrap(),
                region: "us-east-1".parse().unwrap(),
                name: name.parse().unwrap(),
            };
            let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
            let mut absences = Absences::default();
            let mut last = None;
            for (second, found) in &looks {
                last = Some(absences.is_doubted(&pipeline("p"), *found, at(*second)));
                absences.is_doubted(&pipeline("another"), true, at(*second));
            }
            assert_eq!(last, Some(doubted), "{looks:?}");
        }
    }
}
