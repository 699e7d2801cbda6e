//! Readings of one kind, each of one thing: sent once however many ask at the same time, and kept with the time at which
//! they were sent. Whoever asks says which time is early enough.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::Instant;

use super::{
    asker::{Asker, User},
    question::digest,
};
use crate::aws::AwsError;

/// How often it is looked for what nobody asks for any more.
const SWEEP: Duration = Duration::from_mins(1);

/// When the first call of a reading left; unset while it waits for its turn.
pub(in crate::aws) type Sent = Arc<OnceLock<Instant>>;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    /// A call of its own.
    Single,
    /// A reading that was kept.
    Held,
    /// A call that somebody else had in flight.
    Joined,
    /// A scan of the whole account.
    Bulk,
}

/// Whose looks wait for an answer.
type Aboard = Arc<Mutex<HashSet<User>>>;

/// What AWS answered, and when that had been asked.
pub(super) type Answered<V> = Result<(Arc<V>, Instant), AwsError>;

type Answer<V> = Shared<BoxFuture<'static, Answered<V>>>;

/// All readings of one kind.
pub(super) struct Shelf<K, V> {
    inner: Arc<Mutex<Inner<K, V>>>,
    /// Whether the second reading was surely made of an earlier state than the first, where that can be told.
    goes_back: Option<fn(&V, &V) -> bool>,
}

impl<K, V> Clone for Shelf<K, V> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), goes_back: self.goes_back }
    }
}

struct Inner<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    flights: u64,
    swept: Option<Instant>,
}

struct Entry<V> {
    held: Option<Held<V>>,
    /// The last one read, for what may not go back; also when it is not usable any more.
    last: Option<Arc<V>>,
    flight: Option<Flight<V>>,
    users: HashMap<User, Use>,
    /// Whether it was read for somebody else than an object.
    asked_by_nobody: bool,
    /// Whether whoever asked last only wanted to see confirmed what is known: what a scan shows is not kept then.
    only_confirmed: bool,
    /// A reading that was sent before this shows what was there before a write of ours.
    usable_from: Option<Instant>,
    asked: Instant,
    keep: Duration,
}

/// What somebody who asks has read.
struct Use {
    asked: Instant,
    /// When the reading was sent that it got last.
    got: Option<Instant>,
}

struct Held<V> {
    /// Not kept where a scan showed it and whoever asks only wants to see it confirmed.
    value: Option<Arc<V>>,
    digest: u64,
    sent: Instant,
    /// It was shown by a scan, and may only confirm.
    scanned: bool,
}

struct Flight<V> {
    number: u64,
    sent: Sent,
    aboard: Aboard,
    /// Dropped with the last one that waits for it, and the call with it.
    answer: WeakShared<BoxFuture<'static, Answered<V>>>,
}

/// What a look at the shelf came to.
enum Found<V> {
    Held(Arc<V>, Instant, Source),
    Flight(Answer<V>, Source),
}

impl<K, V> Shelf<K, V>
where
    K: Clone + Ord + Send + 'static,
    V: Hash + PartialEq + Send + Sync + 'static,
{
    /// An empty one. Where `goes_back` says so, a reading is answered with the one before.
    pub(super) fn new(goes_back: Option<fn(&V, &V) -> bool>) -> Self {
        let inner = Inner { entries: BTreeMap::new(), flights: 0, swept: None };
        Self { inner: Arc::new(Mutex::new(inner)), goes_back }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question: as it is held, as a call in flight brings it, or as a new call that `begin` makes brings it. A
    /// failure is told to all who wait for it, and is not kept.
    pub(super) async fn ask(
        &self,
        key: K,
        asker: &Asker,
        begin: impl FnOnce(Sent) -> BoxFuture<'static, Result<V, AwsError>>,
    ) -> Answered<V> {
        let found = self.find(&key, asker, begin);
        let (answered, source) = match found {
            Found::Held(value, sent, source) => (Ok((value, sent)), source),
            Found::Flight(answer, source) => (answer.await, source),
        };
        if let Ok((_, sent)) = &answered {
            self.got(&key, asker, *sent);
        }
        asker.answered(source, answered.as_ref().ok().map(|(_, sent)| *sent));
        answered
    }

    /// Whether the answer to a question is the one that is known, by its digest; a call is made as [`Self::ask`] makes it.
    pub(super) async fn confirms(
        &self,
        key: K,
        asker: &Asker,
        known: u64,
        begin: impl FnOnce(Sent) -> BoxFuture<'static, Result<V, AwsError>>,
    ) -> Result<bool, AwsError> {
        let Some((held, sent, source)) = self.held_digest(&key, asker) else {
            let (value, _) = self.ask(key, asker, begin).await?;
            return Ok(digest(&*value) == known);
        };
        self.got(&key, asker, sent);
        asker.answered(source, Some(sent));
        Ok(held == known)
    }

    fn held_digest(&self, key: &K, asker: &Asker) -> Option<(u64, Instant, Source)> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        let entry = inner.entries.get_mut(key)?;
        entry.asked_by(asker, now);
        let held = entry.held.as_ref().filter(|held| entry.serves(held, asker))?;
        let found = (held.digest, held.sent, if held.scanned { Source::Bulk } else { Source::Held });
        if held.scanned && !entry.is_shared() {
            // At the next look there is another scan.
            entry.held = None;
            entry.only_confirmed = true;
        }
        Some(found)
    }

    fn find(
        &self,
        key: &K,
        asker: &Asker,
        begin: impl FnOnce(Sent) -> BoxFuture<'static, Result<V, AwsError>>,
    ) -> Found<V> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        inner.flights += 1;
        let number = inner.flights;
        let entry = inner.entries.entry(key.clone()).or_insert_with(|| Entry::new(now));
        entry.asked_by(asker, now);
        let early_enough = |sent: Instant| {
            sent >= asker.not_sent_before && entry.usable_from.is_none_or(|usable_from| sent >= usable_from)
        };
        entry.only_confirmed = false;
        let held = entry.held.as_ref().filter(|held| entry.serves(held, asker));
        if let Some((held, value)) = held.and_then(|held| Some((held, held.value.clone()?))) {
            let source = if held.scanned { Source::Bulk } else { Source::Held };
            let found = Found::Held(value, held.sent, source);
            if held.scanned && !entry.is_shared() {
                // At the next look there is another scan.
                entry.held = None;
            }
            return found;
        }
        // What has not been sent yet will be sent later than now.
        let joins = |flight: &&Flight<V>| flight.sent.get().is_none_or(|sent| early_enough(*sent));
        let joined = entry.flight.as_ref().filter(joins).and_then(|flight| Some((flight.answer.upgrade()?, flight)));
        if let Some((answer, flight)) = joined {
            board(&flight.aboard, asker);
            return Found::Flight(answer, Source::Joined);
        }
        let sent = Sent::default();
        let aboard = Aboard::default();
        board(&aboard, asker);
        let (kept_in, calling, at, key) = (self.clone(), begin(sent.clone()), sent.clone(), key.clone());
        let (waiting, wake) = (aboard.clone(), asker.wake.clone());
        let answer = async move {
            let answer = calling.await;
            // An answer without a call is as old as it can be.
            let (answered, surprised) = kept_in.arrived(&key, number, *at.get_or_init(|| now), &waiting, answer);
            if let Some(wake) = wake.get() {
                for user in &surprised {
                    wake(user);
                }
            }
            answered
        };
        let answer = answer.boxed().shared();
        // A future that has not ended always has its counterpart.
        entry.flight = answer.downgrade().map(|answer| Flight { number, sent, aboard, answer });
        Found::Flight(answer, Source::Single)
    }

    /// Takes an answer in. What was sent before the one that is held, or before a write of ours was settled, is told and
    /// not kept. Returns also whose last reading was another one and who do not wait for this one: they would learn of it
    /// only at their next look.
    fn arrived(
        &self,
        key: &K,
        number: u64,
        sent: Instant,
        waiting: &Mutex<HashSet<User>>,
        answer: Result<V, AwsError>,
    ) -> (Answered<V>, Vec<User>) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(key) else {
            return (answer.map(|value| (Arc::new(value), sent)), Vec::new());
        };
        entry.flight.take_if(|flight| flight.number == number);
        let value = match answer {
            Ok(value) => value,
            Err(error) => return (Err(error), Vec::new()),
        };
        let goes_back = |last: &&Arc<V>| self.goes_back.is_some_and(|goes_back| goes_back(last, &value));
        let before = entry.last.as_ref().filter(goes_back).cloned();
        // What is as it was held is shared with whoever has read it.
        let held = || entry.held.as_ref().and_then(|held| held.value.clone()).filter(|held| **held == value);
        let value = before.or_else(held).unwrap_or_else(|| Arc::new(value));
        let is_outdated = entry.usable_from.is_some_and(|usable_from| sent < usable_from)
            || entry.held.as_ref().is_some_and(|held| held.sent > sent);
        if is_outdated {
            return (Ok((value, sent)), Vec::new());
        }
        let digest = digest(&*value);
        let differs = entry.held.as_ref().is_some_and(|held| held.digest != digest);
        let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let had_another = |(user, last): (&User, &Use)| {
            (last.got.is_some_and(|got| got < sent) && !waiting.contains(user)).then(|| user.clone())
        };
        let surprised = if differs { entry.users.iter().filter_map(had_another).collect() } else { Vec::new() };
        entry.last = self.goes_back.and(Some(value.clone()));
        // What one alone reads is read again at its next look, so that keeping it would only cost memory.
        entry.held = entry.is_shared().then(|| Held { value: Some(value.clone()), digest, sent, scanned: false });
        (Ok((value, sent)), surprised)
    }

    fn got(&self, key: &K, asker: &Asker, sent: Instant) {
        let Some(user) = &asker.user else { return };
        let mut inner = self.lock();
        let known = inner.entries.get_mut(key).and_then(|entry| entry.users.get_mut(user));
        if let Some(known) = known {
            known.got = known.got.max(Some(sent));
        }
    }

    /// Takes in what a scan showed that was sent then, for so long, unless something was sent later or is of more use.
    pub(super) fn put(&self, key: K, value: V, sent: Instant, keep: Duration) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.sweep(now);
        let entry = inner.entries.entry(key).or_insert_with(|| Entry::new(now));
        (entry.asked, entry.keep) = (now, entry.keep.max(keep));
        let is_outdated = entry.usable_from.is_some_and(|usable_from| sent < usable_from)
            || entry.held.as_ref().is_some_and(|held| held.sent > sent);
        if !is_outdated {
            let digest = digest(&value);
            let value = (!entry.only_confirmed).then(|| Arc::new(value));
            entry.held = Some(Held { value, digest, sent, scanned: true });
        }
    }

    /// Forgets what scans showed before this one, which was sent then, of the things that stand together from `first` on.
    pub(super) fn forget_scanned(&self, first: K, sent: Instant, is_meant: impl Fn(&K) -> bool) {
        let mut inner = self.lock();
        for (_, entry) in inner.entries.range_mut(first..).take_while(|(key, _)| is_meant(key)) {
            entry.held.take_if(|held| held.scanned && held.sent < sent);
        }
    }

    /// Whether a question would be answered without a call.
    pub(super) fn holds(&self, key: &K, asker: &Asker) -> bool {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(key) else { return false };
        // What a scan shows that begins now is needed.
        entry.only_confirmed = false;
        entry.held.as_ref().is_some_and(|held| held.value.is_some() && entry.serves(held, asker))
    }

    /// Whether a question would be confirmed, or not, without a call.
    pub(super) fn holds_digest(&self, key: &K, asker: &Asker) -> bool {
        let inner = self.lock();
        let Some(entry) = inner.entries.get(key) else { return false };
        entry.held.as_ref().is_some_and(|held| entry.serves(held, asker))
    }

    /// What was sent of this thing until now is of no use any more.
    pub(super) fn outdate(&self, key: &K) {
        if let Some(entry) = self.lock().entries.get_mut(key) {
            entry.outdate(Instant::now());
        }
    }

    /// What was sent until now of the things that stand together from `first` on is of no use any more.
    pub(super) fn outdate_all(&self, first: K, is_meant: impl Fn(&K) -> bool) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.entries.range_mut(first..).take_while(|(key, _)| is_meant(key)).for_each(|(_, entry)| entry.outdate(now));
    }
}

fn board(aboard: &Mutex<HashSet<User>>, asker: &Asker) {
    aboard.lock().unwrap_or_else(PoisonError::into_inner).extend(asker.user.clone());
}

impl<K: Ord, V> Inner<K, V> {
    /// Drops what nobody has asked for within its time.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP) {
            return;
        }
        self.swept = Some(now);
        for entry in self.entries.values_mut() {
            let keep = entry.keep;
            entry.users.retain(|_, user| now.duration_since(user.asked) <= keep);
        }
        self.entries.retain(|_, entry| {
            let in_flight = entry.flight.as_ref().is_some_and(|flight| flight.answer.upgrade().is_some());
            in_flight || now.duration_since(entry.asked) <= entry.keep
        });
    }
}

impl<V> Entry<V> {
    fn new(now: Instant) -> Self {
        Self {
            held: None,
            last: None,
            flight: None,
            users: HashMap::new(),
            asked_by_nobody: false,
            only_confirmed: false,
            usable_from: None,
            asked: now,
            keep: Duration::ZERO,
        }
    }

    fn asked_by(&mut self, asker: &Asker, now: Instant) {
        self.asked = now;
        self.keep = self.keep.max(asker.keep);
        match &asker.user {
            Some(user) => self.users.entry(user.clone()).or_insert(Use { asked: now, got: None }).asked = now,
            None => self.asked_by_nobody = true,
        }
    }

    fn outdate(&mut self, now: Instant) {
        self.usable_from = Some(now);
        self.held = None;
    }

    /// Whether a reading was sent late enough for this question.
    fn serves(&self, held: &Held<V>, asker: &Asker) -> bool {
        let since = if held.scanned { asker.scanned_since } else { Some(asker.not_sent_before) };
        since.is_some_and(|since| held.sent >= since)
            && self.usable_from.is_none_or(|usable_from| held.sent >= usable_from)
    }

    /// Whether more than one has asked lately.
    fn is_shared(&self) -> bool {
        self.users.len() + usize::from(self.asked_by_nobody) > 1
    }
}

#[cfg(test)]
mod tests;
