//! What the workers of pipelines and of roles have in common: who has one, who claims what, and the end of the process.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};

use crate::domain::ids::ObjectKey;

/// A kind of thing in AWS that has workers.
pub trait Kind {
    /// What one worker is about.
    type Key: Clone + Eq + Hash + Ord;
    /// What an object claims something of: that, or a part of it.
    type Place: Clone + Ord;
    /// What it claims.
    type Claim: Clone;
    /// What comes of it.
    type Outcome: Clone;
    /// What a worker is sent.
    type Message;

    /// Whose worker writes it.
    fn key(place: &Self::Place) -> &Self::Key;
    /// Whose claim it is.
    fn object(claim: &Self::Claim) -> &ObjectKey;
    /// Whether two claims of an object ask for the same.
    fn asks_the_same(one: &Self::Claim, other: &Self::Claim) -> bool;
    /// Whether more is to come.
    fn waits(outcome: &Self::Outcome) -> bool;
    /// Whether it is worth a look at the object.
    fn is_news(outcome: &Self::Outcome) -> bool;
    /// That an object wants nothing any more.
    fn withdrawal(uid: String, place: Self::Place) -> Self::Message;
}

/// What came of a claim so far.
pub(super) type Told<K> = watch::Receiver<Option<<K as Kind>::Outcome>>;

struct Registered<K: Kind> {
    claim: K::Claim,
    told: watch::Sender<Option<K::Outcome>>,
}

impl<K: Kind> Registered<K> {
    fn waits(&self) -> bool {
        self.told.borrow().as_ref().is_none_or(K::waits)
    }
}

struct Inner<K: Kind> {
    workers: HashMap<K::Key, mpsc::UnboundedSender<K::Message>>,
    claims: HashMap<String, BTreeMap<K::Place, Registered<K>>>,
}

/// All workers of one kind.
pub struct Registry<K: Kind> {
    inner: Mutex<Inner<K>>,
    wake: Box<dyn Fn(&ObjectKey) + Send + Sync>,
    stopping: watch::Receiver<bool>,
    writing: Semaphore,
}

/// Writes in flight at most; as many as a semaphore has room for, since the limits are on calls.
const WRITING: u32 = 1 << 16;

impl<K: Kind> Registry<K> {
    /// No workers yet. `wake` has an object looked at. When `stopping` says so, nothing is begun any more.
    pub(super) fn new(wake: impl Fn(&ObjectKey) + Send + Sync + 'static, stopping: watch::Receiver<bool>) -> Self {
        let inner = Mutex::new(Inner { workers: HashMap::new(), claims: HashMap::new() });
        Self { inner, wake: Box::new(wake), stopping, writing: Semaphore::new(WRITING as usize) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a claim and sends a message to its worker, which is started if there is none. `message` makes it, and gets
    /// whether the claim begins: whether the object has no claim here, has an answered one, or asks for something else now.
    /// If `message` returns `None`, nothing is sent and no worker is started.
    pub(super) fn claim(
        &self,
        place: &K::Place,
        (uid, claim): (&str, &K::Claim),
        message: impl FnOnce(bool) -> Option<K::Message>,
        start: impl FnOnce() -> mpsc::UnboundedSender<K::Message>,
    ) -> Told<K> {
        let mut inner = self.lock();
        let of_object = inner.claims.entry(uid.to_owned()).or_default();
        let known = of_object.remove(place).filter(|known| K::asks_the_same(&known.claim, claim) && known.waits());
        let begins = known.is_none();
        let told = known.map_or_else(|| watch::channel(None).0, |known| known.told);
        let receiver = told.subscribe();
        of_object.insert(place.clone(), Registered { claim: claim.clone(), told });
        let Some(message) = message(begins) else { return receiver };
        let undelivered = match inner.workers.get(K::key(place)) {
            Some(worker) => worker.send(message).err().map(|undelivered| undelivered.0),
            None => Some(message),
        };
        if let Some(message) = undelivered {
            let sender = start();
            // It was just started, and ends only when it is idle.
            let _ = sender.send(message);
            inner.workers.insert(K::key(place).clone(), sender);
        }
        receiver
    }

    /// Those that have a worker.
    #[must_use]
    pub fn keys(&self) -> Vec<K::Key> {
        let mut keys: Vec<K::Key> = self.lock().workers.keys().cloned().collect();
        keys.sort();
        keys
    }

    /// What a worker answers to this.
    pub(super) async fn asked<T>(&self, key: &K::Key, ask: impl FnOnce(oneshot::Sender<T>) -> K::Message) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.lock().workers.get(key)?.send(ask(sender)).ok()?;
        receiver.await.ok()
    }

    /// Whether a claim of the object waits there.
    #[must_use]
    pub fn waits(&self, uid: &str, place: &K::Place) -> bool {
        let inner = self.lock();
        inner.claims.get(uid).and_then(|of_object| of_object.get(place)).is_some_and(Registered::waits)
    }

    /// Withdraws the object's claims on all places but these. Nobody waits for what comes of these any more: the object is
    /// woken by it, also by what came since it was last asked.
    pub fn withdraw_all_but(&self, uid: &str, kept: BTreeMap<K::Place, Told<K>>) {
        let mut inner = self.lock();
        let Some(of_object) = inner.claims.get_mut(uid) else { return };
        let gone: Vec<K::Place> = of_object.keys().filter(|place| !kept.contains_key(place)).cloned().collect();
        of_object.retain(|place, registered| {
            let told = kept.get(place);
            if told.is_some_and(|told| told.has_changed().unwrap_or_default()) {
                (self.wake)(K::object(&registered.claim));
            }
            told.is_some()
        });
        if of_object.is_empty() {
            inner.claims.remove(uid);
        }
        for place in gone {
            if let Some(worker) = inner.workers.get(K::key(&place)) {
                // A worker that has ended knows of no claim.
                let _ = worker.send(K::withdrawal(uid.to_owned(), place));
            }
        }
        drop(kept);
    }

    /// Takes what came of a claim, and wakes the object unless somebody waits for it.
    pub(super) fn tell(&self, place: &K::Place, uid: &str, outcome: K::Outcome) {
        let inner = self.lock();
        let Some(registered) = inner.claims.get(uid).and_then(|of_object| of_object.get(place)) else { return };
        let is_news = K::is_news(&outcome);
        registered.told.send_replace(Some(outcome));
        if is_news && registered.told.receiver_count() == 0 {
            (self.wake)(K::object(&registered.claim));
        }
    }

    /// Forgets a worker that has ended, unless another one has taken its place; `forget` is called before another one can.
    pub(super) fn ended(&self, key: &K::Key, forget: impl FnOnce()) {
        let mut inner = self.lock();
        if inner.workers.get(key).is_some_and(mpsc::UnboundedSender::is_closed) {
            inner.workers.remove(key);
            forget();
        }
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    /// Resolves when nothing is begun any more, so that whoever waits for others waits no longer.
    pub async fn stopped(&self) {
        // An error means that the sender is gone, which is a stop as well.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Held while a write is in flight.
    pub(super) async fn write_slot(&self) -> Option<SemaphorePermit<'_>> {
        self.writing.acquire().await.ok()
    }

    /// Waits for the answers to what is in flight.
    pub async fn settle(&self) {
        let _ = self.writing.acquire_many(WRITING).await;
    }
}
