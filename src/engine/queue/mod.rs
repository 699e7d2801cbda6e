//! Which object is looked at next. Keys go in with the time at which they are due; a key comes out when a look at it may
//! begin. A key that waits here holds nothing but its place: no task, no connection, no copy of its object.
//!
//! ```text
//! ask ──► delayed ──(its time)──► due ──(a place)──► under way: at work ──► under way: waiting ──► ended
//!            ▲                                            │  asked for meanwhile: due again after its end
//!            └────────────────────────────────────────────┴─────────────────────────────────────────────┘
//! ```
//!
//! Looks *at work* ask AWS. They are limited by pair of accounts and by account, and the pair with the fewest comes first: a slow
//! account, whose looks take long, keeps no other one waiting, and no more looks begin than an account has calls for. Looks *under
//! way* hold memory, also while they wait for what is written for several objects at once. They are limited by tools account.
//! A look that begins on a pipeline while there is room *opens* it, and room for all that are due on it is taken then: one version of
//! the pipeline carries what they want together, and its worker waits for them. They come before those that would open another one.

mod places;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use places::Places;

/// Where a look takes its place: the two accounts and the pipeline as the object's spec names them, granted or not.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The tools account.
    pub tools: String,
    /// The dev account.
    pub dev: String,
    /// The pipeline, in the tools account, with its region.
    pub pipeline: String,
    /// Nothing is to be made for the object, as it says itself: it wants no version of its pipeline.
    pub is_settled: bool,
}

/// How many looks there may be at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At work, of the same two accounts.
    pub of_a_pair: usize,
    /// At work in one account. Pairs that have none may have as many again, one each.
    pub in_an_account: usize,
    /// Under way in one tools account. Of one dev account no look opens a pipeline when half as many of its own are under way.
    /// Objects on open pipelines are let in beyond it, and a few of each pair that are settled.
    pub under_way: usize,
}

/// What becomes of a key whose time has come.
#[derive(Clone, Debug)]
pub enum Ripe {
    /// It is due; without a place nothing limits it.
    Due(Option<Place>),
    /// It is put off.
    Later(Instant),
}

/// One look that has begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Begun<K> {
    /// Its key.
    pub key: K,
    /// Which look at it.
    number: u64,
}

/// All keys that are asked for.
#[derive(Debug)]
pub struct Queue<K> {
    keys: BTreeMap<K, Standing>,
    delayed: BTreeSet<(Instant, K)>,
    unplaced: VecDeque<K>,
    /// In the order in which they have become due.
    due: BTreeMap<u64, (K, Place)>,
    places: Places,
    numbers: u64,
}

#[derive(Clone, Debug)]
enum Standing {
    Delayed(Instant),
    Due {
        asked: Instant,
    },
    UnderWay {
        number: u64,
        place: Option<Place>,
        at_work: bool,
        /// It was asked for meanwhile.
        again: bool,
    },
}

impl<K: Clone + Ord> Queue<K> {
    /// Without keys.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            keys: BTreeMap::new(),
            delayed: BTreeSet::new(),
            unplaced: VecDeque::new(),
            due: BTreeMap::new(),
            places: Places::new(limits),
            numbers: 0,
        }
    }

    /// A look is asked for now. One that is still to begin sees what it is asked for; one that is under way may not, so that
    /// another one follows.
    pub fn ask(&mut self, key: &K, now: Instant) {
        match self.keys.get_mut(key) {
            None => self.delay(key.clone(), now),
            Some(Standing::Delayed(at)) => {
                self.delayed.remove(&(*at, key.clone()));
                self.delay(key.clone(), now);
            }
            Some(Standing::Due { asked }) => *asked = now,
            Some(Standing::UnderWay { again, .. }) => *again = true,
        }
    }

    fn delay(&mut self, key: K, at: Instant) {
        self.delayed.insert((at, key.clone()));
        self.keys.insert(key, Standing::Delayed(at));
    }

    /// When the next key becomes due by itself.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Asks what becomes of the next key whose time has come. False when there is none.
    pub fn ripen(&mut self, now: Instant, ripe: impl FnOnce(&K) -> Ripe) -> bool {
        let Some((_, key)) = self.delayed.first().filter(|(at, _)| *at <= now).cloned() else { return false };
        self.delayed.pop_first();
        match ripe(&key) {
            // Whatever was asked for must not come round again at once.
            Ripe::Later(at) => {
                self.delay(key, at.max(now + std::time::Duration::from_millis(1)));
                return true;
            }
            Ripe::Due(Some(place)) => {
                let number = self.number();
                self.places.due(&place, number);
                self.due.insert(number, (key.clone(), place));
            }
            Ripe::Due(None) => self.unplaced.push_back(key.clone()),
        }
        self.keys.insert(key, Standing::Due { asked: now });
        true
    }

    /// A look that may begin now, and when it was last asked for.
    pub fn begin(&mut self) -> Option<(Begun<K>, Instant)> {
        if let Some(key) = self.unplaced.pop_front() {
            return self.under_way(key, None);
        }
        let number = self.places.next()?;
        let (key, place) = self.due.remove(&number)?;
        self.places.begin(&place, number);
        self.under_way(key, Some(place))
    }

    fn under_way(&mut self, key: K, place: Option<Place>) -> Option<(Begun<K>, Instant)> {
        let number = self.number();
        let standing = Standing::UnderWay { number, place, at_work: true, again: false };
        let Some(Standing::Due { asked }) = self.keys.insert(key.clone(), standing) else { return None };
        Some((Begun { key, number }, asked))
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A look that is under way waits for others: its place among those at work is free.
    pub fn only_waits(&mut self, begun: &Begun<K>) {
        // It may have ended since, and another look at the same object have begun.
        if let Some(Standing::UnderWay { number, place: Some(place), at_work, .. }) = self.keys.get_mut(&begun.key)
            && *number == begun.number
            && std::mem::take(at_work)
        {
            self.places.only_waits(place);
        }
    }

    /// A look has ended, and the next one is asked for at this time, if any.
    pub fn ended(&mut self, key: &K, next: Option<Instant>, now: Instant) {
        let Some(Standing::UnderWay { .. }) = self.keys.get(key) else { return };
        let Some(Standing::UnderWay { place, at_work, again, .. }) = self.keys.remove(key) else { return };
        if let Some(place) = place {
            if at_work {
                self.places.only_waits(&place);
            }
            self.places.ended(&place);
        }
        let next = if again { Some(now) } else { next };
        if let Some(at) = next {
            self.delay(key.clone(), at);
        }
    }
}

#[cfg(test)]
mod tests;
