//! What one process remembers between reconciles. A restart loses it. What is only spared reads and writes is then read and
//! written again. What is evidence, such as that an object was settled with another spec or that a pipeline was not found
//! before, is lacking then, and without it nothing is removed: it is looked at again, or a person is asked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::regular::Regular;
use crate::{
    cluster::digest::NO_STATUS,
    domain::{
        absence::Absences,
        contested::Contested,
        ids::{ActionName, Arn, RoleId, StageName},
        inventory::Inventory,
        observed::Resource,
        own_writes::{APPLIED_WITHIN, OwnWrites},
        pipeline_edit::Note,
        shared_policy::Behind,
    },
    engine::index::{FunctionPlace, Index, Names, PipelinePlace},
};

/// How many of our own status writes are told from other people's; a reconcile makes at most four.
const OWN_STATUS_WRITES: usize = 5;

/// Where a pipeline is.
pub type PipelineKey = PipelinePlace;
/// Where a function is.
pub type FunctionKey = FunctionPlace;

/// Where an action is: its pipeline, stage and name.
pub type ActionPlace = (Arn, StageName, ActionName);

/// Consecutive failures of one object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempts {
    /// Throttled or unavailable rounds in a row.
    pub backoff: u32,
    /// Refused pipeline updates since our last IAM change.
    pub propagation: u32,
    /// Looks in a row that failed.
    pub failed_looks: u32,
    /// Writes in a row that met a newer object.
    pub conflicts: u32,
}

/// What the watch last showed of an object, as digests.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Everything but the status.
    content: u64,
    /// The status, where somebody else wrote it.
    foreign: Option<u64>,
    /// Whether there has been a status.
    filled: bool,
}

/// A complete look at an account.
#[derive(Clone, Copy, Debug)]
struct HeldLook {
    generation: i64,
    since: Timestamp,
    until: Timestamp,
}

/// What is known of one object or account. Most of it is empty most of the time.
#[derive(Debug, Default)]
struct Known {
    /// What earlier processes wrote, as the status tells it. A tenant may have written that, so it holds up no other object.
    recalled: Option<Box<OwnWrites>>,
    attempts: Attempts,
    /// When the last complete look ended.
    last_look: Option<Timestamp>,
    /// The generation up to which it is known what the object wants of its pipelines.
    arrived: Option<i64>,
    /// What the object may have, as this process last recorded it: the watch may lag behind our own status write.
    /// It holds what its status says, which a tenant may have written.
    claims: Option<Arc<Inventory>>,
    /// What this process itself planned for it, from specs that passed the gate; nothing of any status.
    planned: Option<Arc<Inventory>>,
    /// What this process has seen in place when it had converged: what was planned for it since is all that it may have got
    /// since.
    settled: Option<Arc<Inventory>>,
    /// It goes without a grant, and AWS showed something of it.
    proven: bool,
    /// The last complete look at an account that still holds.
    held_look: Option<HeldLook>,
    /// Since when it is being looked up, for this object, who needs a callback policy.
    looking: Option<Timestamp>,
    /// The action as it was last read in place.
    action: Option<Box<Action>>,
    /// Policies that this process removed from its role.
    removals: Option<Box<Contested>>,
    /// What was last told of an account.
    told: Option<&'static str>,
    /// What was last told of the action's place.
    notes: Vec<Note>,
    own_statuses: VecDeque<u64>,
    /// When a write for the object was sent last of which no answer came.
    unsettled: Option<Timestamp>,
    /// The watch has shown it with our finalizer.
    held: bool,
    seen: Option<Seen>,
    /// Until when the look at an object in place is held back.
    held_back: Option<Timestamp>,
    /// Its look waits for its place.
    queued: bool,
    /// What the accounts imposed on it at its last look, as a digest.
    imposed: Option<u64>,
    /// The last whole look that found everything in place.
    in_place: Option<Box<InPlace>>,
}

#[derive(Debug, Default)]
struct Inner {
    own_writes: OwnWrites,
    absences: Absences,
    /// By UID.
    known: HashMap<String, Known>,
    /// Objects being deleted whose action is gone: they need nothing of what is shared any more.
    released: BTreeSet<String>,
    /// Objects whose deletion is complete, until the watch has shown it.
    finished: BTreeSet<String>,
    pipeline_roles: BTreeMap<PipelineKey, Arn>,
    execution_roles: BTreeMap<FunctionKey, Arn>,
    /// The functions by the role that they were last seen to run as.
    functions_of: HashMap<RoleId, BTreeSet<FunctionKey>>,
    /// Which objects name what, as the watch shows it and as is claimed and planned here.
    index: Index,
    /// What stands behind entries that no object asks for, and when that was read.
    behind: HashMap<Arn, (Timestamp, Behind)>,
    /// The execution roles that invoke roles need which no object asks for; `None` for any.
    callback_needs: HashMap<Arn, (Timestamp, Option<BTreeSet<RoleId>>)>,
    /// Sizes of assume policies that AWS refused for their size, and when.
    refused_sizes: HashMap<RoleId, (Timestamp, usize)>,
    stages: Stages,
}

impl Inner {
    fn of(&mut self, uid: &str) -> &mut Known {
        self.known.entry(uid.to_owned()).or_default()
    }
}

/// The memory, behind one lock that is never held across an await.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which looks are regular.
    pub regular: Arc<Regular>,
    inner: Mutex<Inner>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on the memory of own writes.
    pub fn own_writes<T>(&self, work: impl FnOnce(&mut OwnWrites) -> T) -> T {
        work(&mut self.lock().own_writes)
    }

    /// Remembers a write that the object's status tells of an earlier process.
    pub fn recall(&self, uid: &str, work: impl FnOnce(&mut OwnWrites)) {
        work(self.lock().of(uid).recalled.get_or_insert_default());
    }

    /// Works on what the object's status told of the writes of an earlier process, where it told of any.
    pub fn recalled<T>(&self, uid: &str, work: impl FnOnce(&mut OwnWrites) -> T) -> Option<T> {
        self.lock().known.get_mut(uid)?.recalled.as_deref_mut().map(work)
    }

    /// A write for an object is sent, and whoever sends it may not live to hear of it. Returns what to put back when it does.
    #[must_use]
    pub fn sending(&self, uid: &str, now: Timestamp) -> Option<Timestamp> {
        self.lock().of(uid).unsettled.replace(now)
    }

    /// The write was answered.
    pub fn sent(&self, uid: &str, before: Option<Timestamp>) {
        self.lock().of(uid).unsettled = before;
    }

    /// Whether a write for the object may be applied yet.
    #[must_use]
    pub fn is_unsettled(&self, uid: &str, now: Timestamp) -> bool {
        let sent = self.lock().known.get(uid).and_then(|known| known.unsettled);
        sent.is_some_and(|sent| now.duration_since(sent).unsigned_abs() < APPLIED_WITHIN)
    }

    /// Takes note of whether a look found a pipeline. Says whether it is in doubt, as [`Absences::is_doubted`].
    pub fn is_doubted(&self, pipeline: &Resource, found: bool, now: Timestamp) -> bool {
        self.lock().absences.is_doubted(pipeline, found, now)
    }

    /// The object's consecutive failures.
    pub fn attempts<T>(&self, uid: &str, work: impl FnOnce(&mut Attempts) -> T) -> T {
        work(&mut self.lock().of(uid).attempts)
    }

    /// Remembers when the last complete look at an object or account ended.
    pub fn note_look(&self, uid: &str, at: Timestamp) {
        self.lock().of(uid).last_look = Some(at);
    }

    /// When the last complete look at an object or account ended.
    pub fn last_look(&self, uid: &str) -> Option<Timestamp> {
        self.lock().known.get(uid)?.last_look
    }

    /// The object of this generation has claimed what it wants of its pipeline, or wants nothing of it for now.
    pub fn arrived(&self, uid: &str, generation: i64) {
        self.lock().of(uid).arrived = Some(generation);
    }

    /// Whether the object of this generation may still be on its way to a claim.
    pub fn is_expected(&self, uid: &str, generation: i64) -> bool {
        let arrived = self.lock().known.get(uid).and_then(|known| known.arrived);
        arrived.is_none_or(|arrived| arrived < generation)
    }

    /// Counts a look that failed, or that did not; returns how many have failed in a row.
    pub fn count_look(&self, uid: &str, failed: bool) -> u32 {
        self.attempts(uid, |attempts| {
            attempts.failed_looks = if failed { attempts.failed_looks.saturating_add(1) } else { 0 };
            attempts.failed_looks
        })
    }

    /// AWS showed something of an object that goes without a grant.
    pub fn note_proven(&self, uid: &str) {
        self.lock().of(uid).proven = true;
    }

    /// Whether AWS showed something of it.
    pub fn is_proven(&self, uid: &str) -> bool {
        self.lock().known.get(uid).is_some_and(|known| known.proven)
    }

    /// The object's deletion is complete.
    pub fn finish(&self, uid: &str) {
        let mut inner = self.lock();
        let known = std::mem::take(inner.of(uid));
        *inner.of(uid) = Known {
            held_look: known.held_look,
            looking: known.looking,
            told: known.told,
            held: known.held,
            seen: known.seen,
            held_back: known.held_back,
            queued: known.queued,
            ..Known::default()
        };
        inner.finished.insert(uid.to_owned());
        inner.renew(uid);
    }

    /// Whether the object's deletion is complete although the watch may still show it.
    pub fn is_finished(&self, uid: &str) -> bool {
        self.lock().finished.contains(uid)
    }

    /// Forgets an object or account that the watch no longer shows.
    pub fn forget(&self, uid: &str) {
        let mut inner = self.lock();
        inner.released.remove(uid);
        inner.finished.remove(uid);
        inner.known.remove(uid);
        inner.renew(uid);
    }

    /// Forgets every object and account but these.
    pub fn retain(&self, uids: &BTreeSet<String>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        for gone in inner.known.extract_if(|uid, _| !uids.contains(uid)) {
            inner.index.own(&gone.0, Names::default());
        }
        inner.stages.sweep();
        inner.released.retain(|uid| uids.contains(uid));
        inner.finished.retain(|uid| uids.contains(uid));
    }

    /// Remembers which policies this process removed from the object's roles.
    pub fn note_removals(&self, uid: &str, removals: Contested) {
        self.lock().of(uid).removals = Some(Box::new(removals));
    }

    /// The policies that this process removed from the object's roles.
    pub fn removals(&self, uid: &str) -> Contested {
        let inner = self.lock();
        let removals = inner.known.get(uid).and_then(|known| known.removals.as_deref());
        removals.cloned().unwrap_or_default()
    }

    /// Remembers the notes on the place of an object's action, and returns those that this process has not reported yet.
    pub fn untold_notes(&self, uid: &str, notes: &[Note]) -> Vec<Note> {
        let before = std::mem::replace(&mut self.lock().of(uid).notes, notes.to_vec());
        notes.iter().filter(|note| !before.contains(note)).cloned().collect()
    }

    /// Whether this is not what was last told of the account; from now on it is.
    pub fn is_untold(&self, uid: &str, reason: &'static str) -> bool {
        self.lock().of(uid).told.replace(reason) != Some(reason)
    }

    /// A complete look at an account holds from `now` until the next regular one: reconciles that changes of its objects
    /// cause meanwhile need not ask AWS again.
    pub fn hold_look(&self, uid: &str, generation: i64, now: Timestamp, interval: Duration) {
        // Whole seconds, as the clock has them: a look that is due by the timer must not find itself early by less.
        let until = Timestamp::from_second((now + interval).as_second()).unwrap_or(now);
        self.lock().of(uid).held_look = Some(HeldLook { generation, since: now, until });
    }

    /// For how long the last look at this generation of an account still holds; `None` when the next one is due. A clock
    /// that was set back does not lengthen it.
    pub fn held_look(&self, uid: &str, generation: i64, now: Timestamp) -> Option<Duration> {
        let inner = self.lock();
        let look = inner.known.get(uid)?.held_look;
        let look = look.filter(|look| look.generation == generation && look.since <= now)?;
        Duration::try_from(look.until.duration_since(now)).ok().filter(|left| !left.is_zero())
    }

    /// The next reconcile of the account is a look, whatever causes it.
    pub fn end_look(&self, uid: &str) {
        self.lock().of(uid).held_look = None;
    }

    /// Remembers the digest of a status that is about to be written, before it is sent: its watch event may come first.
    pub fn note_own_status(&self, uid: &str, digest: u64) {
        let mut inner = self.lock();
        let statuses = &mut inner.of(uid).own_statuses;
        statuses.push_back(digest);
        if statuses.len() > OWN_STATUS_WRITES {
            statuses.pop_front();
        }
    }

    /// Takes note of whether the watch shows our finalizer on an object. Says whether somebody else has just taken it off.
    pub fn lost_finalizer(&self, uid: &str, held: bool) -> bool {
        let mut inner = self.lock();
        let was_held = std::mem::replace(&mut inner.of(uid).held, held);
        was_held && !held && !inner.finished.contains(uid)
    }

    /// Whether a watch event shows anything that we did not write ourselves: `content` is a digest of everything but the
    /// status, `status` one of the status.
    pub fn is_news(&self, uid: &str, content: u64, status: u64) -> bool {
        let mut inner = self.lock();
        let known = inner.of(uid);
        let written = known.own_statuses.contains(&status);
        let before = known.seen;
        // Until one of our statuses was seen, none is no wiped one: the watch shows the finalizer before the status.
        let filled = written || status != NO_STATUS || before.is_some_and(|before| before.filled);
        let foreign = (!written && (filled || status != NO_STATUS)).then_some(status);
        known.seen = Some(Seen { content, foreign, filled });
        before.is_none_or(|before| before.content != content || (foreign.is_some() && before.foreign != foreign))
    }
}

use self::actions::{Action, Stages};
pub use self::in_place::InPlace;

mod actions;
mod claims;
mod evidence;
mod in_place;
mod spreading;
#[cfg(test)]
mod tests;
