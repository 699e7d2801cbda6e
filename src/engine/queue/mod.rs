//! Which object is looked at next. Keys go in with the time at which they are due; a key comes out when a look at it may
//! begin. A key that waits here holds nothing else: no task, no connection, no copy of its object.
//!
//! ```text
//! ask ──► delayed ──(its time)──► due ──(a place)──► under way: at work ──► under way: waiting ──► ended
//!            ▲                                            │  asked for meanwhile: due again after its end
//!            └────────────────────────────────────────────┴─────────────────────────────────────────────┘
//! ```
//!
//! Three limits decide who may begin. Looks *at work* ask AWS: they are limited by pair of accounts, so that a slow account
//! keeps no other one waiting, and by account, since more of them than its budget of calls carries would all run out of time
//! and begin anew. Looks *under way* hold memory, also while they wait for what is written for several objects at once; a pair
//! of accounts of which none is under way may begin one beyond that limit. All objects on a pipeline that is open are let in
//! beside each other, whatever the limit of looks under way: one version carries what they want together.

mod counts;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use counts::Counts;

/// After so many objects of open pipelines the oldest object that is due comes next, so that a pipeline whose objects are
/// asked for again and again does not keep out the others.
const OPEN_IN_A_ROW: u32 = 16;

/// Where a look takes its place: the two accounts and the pipeline as the object's spec names them, granted or not.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The tools account.
    pub tools: String,
    /// The dev account.
    pub dev: String,
    /// The pipeline, in the tools account, with its region.
    pub pipeline: String,
}

impl Place {
    fn pair(&self) -> Pair {
        (self.tools.clone(), self.dev.clone())
    }

    fn on(&self) -> OnPipeline {
        (self.tools.clone(), self.pipeline.clone())
    }
}

/// The tools account and the dev account.
type Pair = (String, String);
/// The tools account and the pipeline.
type OnPipeline = (String, String);

/// How many looks there may be at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At work, of the same two accounts.
    pub of_a_pair: usize,
    /// At work in one account.
    pub in_an_account: usize,
    /// Under way, with all that are due on pipelines that are open.
    pub under_way: usize,
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
    /// Due, without a place: nothing limits these.
    unplaced: VecDeque<K>,
    /// Due, in the order in which they have become so.
    due: BTreeMap<u64, (K, Place)>,
    of_pair: BTreeMap<Pair, BTreeSet<u64>>,
    of_pipeline: BTreeMap<OnPipeline, BTreeSet<u64>>,
    counts: Counts,
    next: u64,
    open_in_a_row: u32,
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
        /// When it was last asked for meanwhile.
        again: Option<Instant>,
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
            of_pair: BTreeMap::new(),
            of_pipeline: BTreeMap::new(),
            counts: Counts::new(limits),
            next: 0,
            open_in_a_row: 0,
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
            Some(Standing::UnderWay { again, .. }) => *again = Some(now),
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

    /// Makes the next key due whose time has come, and tells it. Its place is asked for then; without one nothing limits it.
    pub fn ripen(&mut self, now: Instant, place: impl FnOnce(&K) -> Option<Place>) -> Option<K> {
        let (at, key) = self.delayed.first().filter(|(at, _)| *at <= now)?.clone();
        self.delayed.pop_first();
        match place(&key) {
            Some(place) => {
                let number = self.number();
                self.of_pair.entry(place.pair()).or_default().insert(number);
                self.of_pipeline.entry(place.on()).or_default().insert(number);
                self.counts.due(&place.on());
                self.due.insert(number, (key.clone(), place));
            }
            None => self.unplaced.push_back(key.clone()),
        }
        self.keys.insert(key.clone(), Standing::Due { asked: at });
        Some(key)
    }

    /// A look that may begin now, and when it was last asked for.
    pub fn begin(&mut self) -> Option<(Begun<K>, Instant)> {
        if let Some(key) = self.unplaced.pop_front() {
            return self.under_way(key, None);
        }
        let open = if self.open_in_a_row < OPEN_IN_A_ROW { self.on_open_pipeline() } else { None };
        let (number, is_open) = match open {
            Some(number) => (number, true),
            None => match self.oldest() {
                Some(number) => (number, false),
                None => (self.on_open_pipeline()?, true),
            },
        };
        self.open_in_a_row = if is_open { self.open_in_a_row.saturating_add(1) } else { 0 };
        let (key, place) = self.due.remove(&number)?;
        take_out(&mut self.of_pair, &place.pair(), number);
        take_out(&mut self.of_pipeline, &place.on(), number);
        self.counts.begin(&place);
        self.under_way(key, Some(place))
    }

    fn under_way(&mut self, key: K, place: Option<Place>) -> Option<(Begun<K>, Instant)> {
        let number = self.number();
        let standing = Standing::UnderWay { number, place, at_work: true, again: None };
        let Some(Standing::Due { asked }) = self.keys.insert(key.clone(), standing) else { return None };
        Some((Begun { key, number }, asked))
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The first that may begin of those on open pipelines.
    fn on_open_pipeline(&self) -> Option<u64> {
        let waiting = self.counts.open_with_due().filter_map(|pipeline| self.of_pipeline.get(pipeline)).flatten();
        waiting.copied().find(|number| self.due.get(number).is_some_and(|(_, place)| self.counts.may_work(place)))
    }

    /// The oldest that may begin of all.
    fn oldest(&self) -> Option<u64> {
        let first = |(pair, numbers): (&Pair, &BTreeSet<u64>)| {
            (self.counts.pair_may_work(pair) && self.counts.has_room_for(pair))
                .then(|| numbers.first().copied())
                .flatten()
        };
        self.of_pair.iter().filter_map(first).min()
    }

    /// A look that is under way does nothing but wait from here on: its place among those at work is free.
    pub fn only_waits(&mut self, begun: &Begun<K>) {
        // It may have ended since, and another look at the same object have begun.
        if let Some(Standing::UnderWay { number, place: Some(place), at_work, .. }) = self.keys.get_mut(&begun.key)
            && *number == begun.number
            && std::mem::take(at_work)
        {
            self.counts.only_waits(place);
        }
    }

    /// A look has ended, and the next one is asked for at this time, if any.
    pub fn ended(&mut self, key: &K, next: Option<Instant>) {
        let Some(Standing::UnderWay { .. }) = self.keys.get(key) else { return };
        let Some(Standing::UnderWay { place, at_work, again, .. }) = self.keys.remove(key) else { return };
        if let Some(place) = place {
            if at_work {
                self.counts.only_waits(&place);
            }
            self.counts.ended(&place);
        }
        if let Some(at) = [next, again].into_iter().flatten().min() {
            self.delay(key.clone(), at);
        }
    }
}

fn take_out<K: Ord>(map: &mut BTreeMap<K, BTreeSet<u64>>, key: &K, number: u64) {
    if let Some(numbers) = map.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
