//! The roles whose policies objects share: who claims what of which, and what came of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::role_worker::{Message, ShownRole, Worker};
use crate::{
    aws::{AccountReader, AwsError, Iam},
    domain::{
        ids::{Arn, InstallationId, ObjectKey, RoleId},
        own_writes::State,
        role_claims::{Claim, Facet, Reading, Users},
        shared_policy::Behind,
    },
    engine::{
        role::{Outcome, Waiting},
        shown::Stands,
    },
};

/// How a role is read, and how it is written.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The reads in its account.
    pub reads: AccountReader,
    /// The writes there.
    pub writes: Iam,
}

/// What came of a claim so far.
pub type Told = watch::Receiver<Option<Outcome<AwsError>>>;

/// A facet of a role.
pub type Place = (RoleId, Facet);

/// What AWS shows behind entries, when it has been asked.
pub type Looked = Pin<Box<dyn Future<Output = BTreeMap<Arn, Behind>> + Send>>;

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Became {
    /// AWS said that it was applied.
    Written,
    /// It surely was not.
    Refused,
    /// AWS answered with a fault of its own: it may have been, and is not applied any more.
    Fault,
    /// It may have been, or may be yet.
    Unknown,
}

/// What the workers need of whoever made the claims.
pub trait Host: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Whether the object is as it was when the claim was planned, and is granted the same.
    fn holds(&self, claim: &Claim) -> bool;
    /// What the objects need of a role that claim nothing of the policy at the moment, where its assume policy names these.
    fn users(&self, role: &RoleId, entries: &BTreeSet<Arn>, claiming: &BTreeSet<(String, Facet)>) -> Users;
    /// Asks AWS what stands behind entries, through these reads or those of other accounts.
    fn behind(&self, entries: BTreeSet<Arn>, reads: AccountReader) -> Looked;
    /// Where a role stands, and when it goes on by itself.
    fn stands(&self, role: &RoleId, stands: Stands, until: Option<Instant>);
    /// A claim did not hold any more when a write was about to be made.
    fn refused(&self);
    /// A write is about to be sent that carries so many claims.
    fn sends(&self, place: &Place, claims: usize, before: State, after: State);
    /// What became of it.
    fn sent(&self, place: &Place, became: Became);
    /// AWS refused a document of this size.
    fn too_large(&self, role: &RoleId, size: usize);
    /// A policy was read.
    fn read(&self, place: &Place, state: &State);
    /// Something came of the claim of this object, and nobody waits for it.
    fn wake(&self, object: &ObjectKey);
}

/// What all workers are about, and their times.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose policies are written.
    pub installation: InstallationId,
    /// How long after the last new claim the collecting ends.
    pub collect: Duration,
    /// How long it lasts at most.
    pub collect_max: Duration,
    /// How long one attempt of one AWS call may take.
    pub attempt: Duration,
}

struct Registered {
    claim: Claim,
    told: watch::Sender<Option<Outcome<AwsError>>>,
}

/// What a worker is doing, for those who read the role themselves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Doing {
    /// How many writes were begun.
    begun: u64,
    /// Whether it decides, or a write is on its way.
    is_writing: bool,
    /// Until then a write whose answer was lost may be applied.
    unsettled_until: Option<Timestamp>,
}

#[derive(Default)]
struct Inner {
    workers: HashMap<RoleId, mpsc::UnboundedSender<Message>>,
    doing: HashMap<RoleId, watch::Sender<Doing>>,
    /// What was last read of a policy by its worker and answered a claim, and when that was sent.
    newest: HashMap<Place, (Arc<Reading>, Instant)>,
    claims: HashMap<String, BTreeMap<Place, Registered>>,
}

/// All roles.
pub struct Roles {
    inner: Mutex<Inner>,
    host: Arc<dyn Host>,
    settings: Settings,
    stopping: watch::Receiver<bool>,
    writing: tokio::sync::Semaphore,
}

/// Writes in flight at most; as many as a semaphore has room for, since the limits are on calls.
const WRITING: u32 = 1 << 16;

/// What the roles' workers were doing when somebody began to read.
#[derive(Debug)]
pub struct Quiet(Vec<(RoleId, u64)>);

impl Roles {
    /// No roles yet. When `stopping` says so, nothing is begun any more.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, settings: Settings, stopping: watch::Receiver<bool>) -> Arc<Self> {
        let writing = tokio::sync::Semaphore::new(WRITING as usize);
        Arc::new(Self { inner: Mutex::default(), host, settings, stopping, writing })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims something of a role, through these clients. A claim that still waits goes on when it is made again, with what was
    /// found out since; one that was answered begins again.
    pub fn claim(self: &Arc<Self>, role: &RoleId, claim: Claim, clients: Clients) -> Told {
        let mut inner = self.lock();
        let place = (role.clone(), claim.goal.facet());
        let of_object = inner.claims.entry(claim.uid.clone()).or_default();
        let known = of_object.remove(&place).filter(|known| known.claim.asks_the_same(&claim));
        let goes_on = known.filter(|known| matches!(&*known.told.borrow(), None | Some(Outcome::Waiting(_))));
        let told = goes_on.map_or_else(|| watch::channel(None).0, |known| known.told);
        let receiver = told.subscribe();
        of_object.insert(place, Registered { claim: claim.clone(), told });
        let message = Message::Claim(Box::new(claim), Box::new(clients.clone()));
        let undelivered = match inner.workers.get(role) {
            Some(worker) => worker.send(message).err().map(|undelivered| undelivered.0),
            None => Some(message),
        };
        if let Some(message) = undelivered {
            let sender = Worker::start(self.clone(), role.clone(), clients, &self.settings, self.host.clone());
            // It was just started, and ends only when it is idle.
            let _ = sender.send(message);
            inner.doing.insert(role.clone(), watch::channel(Doing::default()).0);
            inner.workers.insert(role.clone(), sender);
        }
        receiver
    }

    /// The roles that have a worker.
    #[must_use]
    pub fn keys(&self) -> Vec<RoleId> {
        let mut keys: Vec<RoleId> = self.lock().workers.keys().cloned().collect();
        keys.sort();
        keys
    }

    /// What the worker of a role shows of itself.
    pub async fn shown(&self, role: &RoleId) -> Option<ShownRole> {
        let (sender, receiver) = oneshot::channel();
        self.lock().workers.get(role)?.send(Message::Show(sender)).ok()?;
        receiver.await.ok()
    }

    /// Whether a claim of the object waits there.
    #[must_use]
    pub fn waits(&self, uid: &str, place: &Place) -> bool {
        let inner = self.lock();
        let registered = inner.claims.get(uid).and_then(|of_object| of_object.get(place));
        registered.is_some_and(|registered| matches!(&*registered.told.borrow(), None | Some(Outcome::Waiting(_))))
    }

    /// Withdraws the object's claims on all places but these. Nobody waits for what comes of these any more: the object is
    /// woken by it, also by what came since it was last asked.
    pub fn withdraw_all_but(&self, uid: &str, kept: BTreeMap<Place, Told>) {
        let mut inner = self.lock();
        let Some(of_object) = inner.claims.get_mut(uid) else { return };
        let gone: Vec<Place> = of_object.keys().filter(|place| !kept.contains_key(place)).cloned().collect();
        of_object.retain(|place, registered| {
            let told = kept.get(place);
            if told.is_some_and(|told| told.has_changed().unwrap_or_default()) {
                self.host.wake(&registered.claim.key);
            }
            told.is_some()
        });
        if of_object.is_empty() {
            inner.claims.remove(uid);
        }
        for (role, facet) in gone {
            if let Some(worker) = inner.workers.get(&role) {
                // A worker that has ended knows of no claim.
                let _ = worker.send(Message::Withdraw(uid.to_owned(), facet));
            }
        }
        drop(kept);
    }

    /// Takes what came of a claim by a reading that was sent then, and wakes the object unless somebody waits for it.
    pub(super) fn tell(&self, role: &RoleId, uid: &str, facet: Facet, outcome: Outcome<AwsError>, sent: Instant) {
        let mut inner = self.lock();
        let place = (role.clone(), facet);
        if let Outcome::Settled { reading, .. } = &outcome {
            inner.newest.insert(place.clone(), (reading.clone(), sent));
        }
        let Some(registered) = inner.claims.get(uid).and_then(|of_object| of_object.get(&place)) else { return };
        let is_news = !matches!(outcome, Outcome::Waiting(Waiting::Others));
        registered.told.send_replace(Some(outcome));
        if is_news && registered.told.receiver_count() == 0 {
            self.host.wake(&registered.claim.key);
        }
    }

    /// The newest reading of a policy that answered somebody's claim, and when it was sent. It shows everything that others were
    /// told to be in place there.
    #[must_use]
    pub fn newest(&self, place: &Place) -> Option<(Arc<Reading>, Instant)> {
        self.lock().newest.get(place).cloned()
    }

    /// Waits until no write of these roles is on its way. Who then reads them, and finds them [`Self::undisturbed`]
    /// afterwards, has read what every write found that was decided before, and is known to those that are decided later.
    pub async fn quiet(&self, roles: &BTreeSet<RoleId>) -> Quiet {
        let mut quiet = Vec::new();
        for role in roles {
            let doing = self.lock().doing.get(role).map(watch::Sender::subscribe);
            let begun = match doing {
                // An error means that nobody writes there any more.
                Some(mut doing) => doing.wait_for(|doing| !doing.is_writing).await.map_or(0, |doing| doing.begun),
                None => 0,
            };
            quiet.push((role.clone(), begun));
        }
        Quiet(quiet)
    }

    /// Whether no write was decided there since.
    #[must_use]
    pub fn undisturbed(&self, quiet: &Quiet) -> bool {
        let inner = self.lock();
        quiet.0.iter().all(|(role, begun)| {
            inner.doing.get(role).is_none_or(|doing| {
                let doing = doing.borrow();
                doing.begun == *begun && !doing.is_writing
            })
        })
    }

    /// Whether a write of a role may yet be applied whose answer was lost: then its worker has to be asked what is in place.
    #[must_use]
    pub fn is_unsettled(&self, role: &RoleId, now: Timestamp) -> bool {
        let until = self.lock().doing.get(role).and_then(|doing| doing.borrow().unsettled_until);
        until.is_some_and(|until| now < until)
    }

    /// A worker is about to decide whether it writes: whoever reads the role from now on waits for it.
    pub(super) fn decides(&self, role: &RoleId) {
        let inner = self.lock();
        if let Some(doing) = inner.doing.get(role) {
            doing.send_modify(|doing| doing.is_writing = true);
        }
    }

    /// It has decided.
    pub(super) fn decided(&self, role: &RoleId, is_writing: bool, unsettled_until: Option<Timestamp>) {
        let inner = self.lock();
        let Some(doing) = inner.doing.get(role) else { return };
        doing.send_modify(|doing| {
            doing.begun += u64::from(is_writing);
            (doing.is_writing, doing.unsettled_until) = (is_writing, unsettled_until);
        });
    }

    /// Forgets a worker that has ended, unless another one has taken its place.
    pub(super) fn ended(&self, role: &RoleId) {
        let mut inner = self.lock();
        if inner.workers.get(role).is_some_and(mpsc::UnboundedSender::is_closed) {
            inner.workers.remove(role);
            inner.doing.remove(role);
            inner.newest.retain(|(of, _), _| of != role);
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
    pub(super) async fn write_slot(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.writing.acquire().await.ok()
    }

    /// Waits for the answers to what is in flight.
    pub async fn settle(&self) {
        let _ = self.writing.acquire_many(WRITING).await;
    }
}
