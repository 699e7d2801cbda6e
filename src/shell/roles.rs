//! The roles whose policies objects share: who claims what of which, and what came of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

use super::{
    registry::{Kind, Registry},
    role_worker::{Message, ShownRole, Worker},
};
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
    /// A write that carries this many claims was not sent: its last look was too long ago.
    fn late(&self, claims: usize);
    /// A write is about to be sent that carries this many claims.
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

/// Roles have workers, and each of their policies is claimed by itself.
#[derive(Debug)]
pub struct OfRoles;

impl Kind for OfRoles {
    type Key = RoleId;
    type Place = Place;
    type Claim = Claim;
    type Outcome = Outcome<AwsError>;
    type Message = Message;

    fn key((role, _): &Place) -> &RoleId {
        role
    }

    fn object(claim: &Claim) -> &ObjectKey {
        &claim.basis.key
    }

    fn asks_the_same(one: &Claim, other: &Claim) -> bool {
        one.asks_the_same(other)
    }

    fn waits(outcome: &Outcome<AwsError>) -> bool {
        matches!(outcome, Outcome::Waiting(_))
    }

    fn is_news(outcome: &Outcome<AwsError>) -> bool {
        !matches!(outcome, Outcome::Waiting(Waiting::Others))
    }

    fn withdrawal(uid: String, (_, facet): Place) -> Message {
        Message::Withdraw(uid, facet)
    }
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

/// All roles.
pub struct Roles {
    registry: Registry<OfRoles>,
    /// Locked while the registry is, or alone.
    doing: Mutex<HashMap<RoleId, watch::Sender<Doing>>>,
    /// What was last read of a policy by its worker and answered a claim, and when that was sent. Locked as the other.
    newest: Mutex<HashMap<Place, (Arc<Reading>, Instant)>>,
    host: Arc<dyn Host>,
    settings: Settings,
}

/// What the roles' workers were doing when somebody began to read.
#[derive(Debug)]
pub struct Quiet(Vec<(RoleId, u64)>);

impl Deref for Roles {
    type Target = Registry<OfRoles>;

    fn deref(&self) -> &Registry<OfRoles> {
        &self.registry
    }
}

impl Roles {
    /// No roles yet. When `stopping` says so, nothing is begun any more.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, settings: Settings, stopping: watch::Receiver<bool>) -> Arc<Self> {
        let waking = host.clone();
        let registry = Registry::new(move |object: &ObjectKey| waking.wake(object), stopping);
        Arc::new(Self { registry, doing: Mutex::default(), newest: Mutex::default(), host, settings })
    }

    fn doing(&self) -> MutexGuard<'_, HashMap<RoleId, watch::Sender<Doing>>> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims something of a role, through these clients. A claim that still waits goes on when it is made again, with what was
    /// found out since; one that was answered begins again.
    pub fn claim(self: &Arc<Self>, role: &RoleId, claim: &Claim, clients: &Clients) -> Told {
        let place = (role.clone(), claim.goal.facet());
        let start = || {
            self.doing().insert(role.clone(), watch::channel(Doing::default()).0);
            Worker::start(self.clone(), role.clone(), clients.clone(), &self.settings, self.host.clone())
        };
        let message = |_| Some(Message::Claim(Box::new(claim.clone()), Box::new(clients.clone())));
        self.registry.claim(&place, (&claim.basis.uid, claim), message, start)
    }

    /// What the worker of a role shows of itself.
    pub async fn shown(&self, role: &RoleId) -> Option<ShownRole> {
        self.registry.asked(role, Message::Show).await
    }

    /// Takes what came of a claim by a reading that was sent then.
    pub(super) fn settled(&self, place: &Place, uid: &str, outcome: Outcome<AwsError>, sent: Instant) {
        if let Outcome::Settled { reading, .. } = &outcome {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.insert(place.clone(), (reading.clone(), sent));
        }
        self.tell(place, uid, outcome);
    }

    /// The newest reading of a policy that answered somebody's claim, and when it was sent. It shows everything that others were
    /// told to be in place there.
    #[must_use]
    pub fn newest(&self, place: &Place) -> Option<(Arc<Reading>, Instant)> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    /// Waits until no write of these roles is on its way. Who then reads them, and finds them [`Self::undisturbed`]
    /// afterwards, has read what every write found that was decided before, and is known to those that are decided later.
    pub async fn quiet(&self, roles: &BTreeSet<RoleId>) -> Quiet {
        let mut quiet = Vec::new();
        for role in roles {
            let doing = self.doing().get(role).map(watch::Sender::subscribe);
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
        let all = self.doing();
        quiet.0.iter().all(|(role, begun)| {
            all.get(role).is_none_or(|doing| {
                let doing = doing.borrow();
                doing.begun == *begun && !doing.is_writing
            })
        })
    }

    /// Whether a write of a role may yet be applied whose answer was lost: then its worker has to be asked what is in place.
    #[must_use]
    pub fn is_unsettled(&self, role: &RoleId, now: Timestamp) -> bool {
        let until = self.doing().get(role).and_then(|doing| doing.borrow().unsettled_until);
        until.is_some_and(|until| now < until)
    }

    /// A worker is about to decide whether it writes: whoever reads the role from now on waits for it.
    pub(super) fn decides(&self, role: &RoleId) {
        if let Some(doing) = self.doing().get(role) {
            doing.send_modify(|doing| doing.is_writing = true);
        }
    }

    /// It has decided.
    pub(super) fn decided(&self, role: &RoleId, is_writing: bool, unsettled_until: Option<Timestamp>) {
        let all = self.doing();
        let Some(doing) = all.get(role) else { return };
        doing.send_modify(|doing| {
            doing.begun += u64::from(is_writing);
            (doing.is_writing, doing.unsettled_until) = (is_writing, unsettled_until);
        });
    }

    /// Forgets a worker that has ended, unless another one has taken its place.
    pub(super) fn ended(&self, role: &RoleId) {
        self.registry.ended(role, || {
            self.doing().remove(role);
            self.newest.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != role);
        });
    }
}
