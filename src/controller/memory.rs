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
        pipeline_edit::{Note, Placed},
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

#[derive(Debug, Default)]
struct Inner {
    own_writes: OwnWrites,
    /// What earlier processes wrote, by UID of the object whose status tells it. A tenant may have written that, so it holds
    /// up no other object.
    recalled: HashMap<String, OwnWrites>,
    absences: Absences,
    attempts: HashMap<String, Attempts>,
    /// When the last complete look at an object or account ended, by UID.
    looks: HashMap<String, Timestamp>,
    /// The generations of objects, by UID, up to which it is known what they want of their pipelines.
    arrived: HashMap<String, i64>,
    /// What objects may have, by UID, as this process last recorded it: the watch may lag behind our own status write.
    /// It holds what their statuses say, which a tenant may have written.
    claims: HashMap<String, Inventory>,
    /// What this process itself planned for objects, by UID, from specs that passed the gate; nothing of any status.
    planned: HashMap<String, Inventory>,
    /// What this process has seen in place of objects that had converged: what was planned for them since is all that they
    /// may have got since.
    settled: HashMap<String, Inventory>,
    /// Objects being deleted whose action is gone: they need nothing of what is shared any more.
    released: BTreeSet<String>,
    /// Objects that go without a grant and of which AWS showed something.
    proven: BTreeSet<String>,
    /// Objects whose deletion is complete, until the watch has shown it.
    finished: BTreeSet<String>,
    pipeline_roles: BTreeMap<PipelineKey, Arn>,
    execution_roles: BTreeMap<FunctionKey, Arn>,
    /// The functions by the role that they were last seen to run as.
    functions_of: HashMap<RoleId, BTreeSet<FunctionKey>>,
    /// Which objects name what, as the watch shows it and as is claimed and planned here.
    index: Index,
    /// The last complete looks at accounts that still hold, by UID.
    held_looks: HashMap<String, HeldLook>,
    /// What stands behind entries that no object asks for, and when that was read.
    behind: HashMap<Arn, (Timestamp, Behind)>,
    /// The execution roles that invoke roles need which no object asks for; `None` for any.
    callback_needs: HashMap<Arn, (Timestamp, Option<BTreeSet<RoleId>>)>,
    /// Sizes of assume policies that AWS refused for their size, and when.
    refused_sizes: HashMap<RoleId, (Timestamp, usize)>,
    /// Since when it is being looked up, for these objects, who needs a callback policy.
    looking: HashMap<String, Timestamp>,
    /// The actions as they were last read in place, by UID.
    actions: HashMap<String, (ActionPlace, Placed)>,
    /// Policies that this process removed from our roles, by UID.
    removals: HashMap<String, Contested>,
    /// What was last told of accounts, by UID.
    told: HashMap<String, &'static str>,
    /// What was last told of their places, by UID.
    notes: HashMap<String, Vec<Note>>,
    own_statuses: HashMap<String, VecDeque<u64>>,
    /// When writes for objects, by UID, were sent last of which no answer came.
    unsettled: HashMap<String, Timestamp>,
    /// Objects that the watch has shown with our finalizer.
    held: BTreeSet<String>,
    seen: HashMap<String, Seen>,
    /// Until when the looks at objects are held back that are in place.
    held_back: HashMap<String, Timestamp>,
    /// Objects whose looks wait for their places.
    queued: BTreeSet<String>,
    /// What the accounts imposed on objects at their last look, as digests.
    imposed: HashMap<String, u64>,
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

    /// Works on what the object's status told of the writes of an earlier process.
    pub fn recalled<T>(&self, uid: &str, work: impl FnOnce(&mut OwnWrites) -> T) -> T {
        work(self.lock().recalled.entry(uid.to_owned()).or_default())
    }

    /// A write for an object is sent, and whoever sends it may not live to hear of it. Returns what to put back when it does.
    #[must_use]
    pub fn sending(&self, uid: &str, now: Timestamp) -> Option<Timestamp> {
        self.lock().unsettled.insert(uid.to_owned(), now)
    }

    /// The write was answered.
    pub fn sent(&self, uid: &str, before: Option<Timestamp>) {
        let mut inner = self.lock();
        match before {
            Some(before) => inner.unsettled.insert(uid.to_owned(), before),
            None => inner.unsettled.remove(uid),
        };
    }

    /// Whether a write for the object may be applied yet.
    #[must_use]
    pub fn is_unsettled(&self, uid: &str, now: Timestamp) -> bool {
        let sent = self.lock().unsettled.get(uid).copied();
        sent.is_some_and(|sent| now.duration_since(sent).unsigned_abs() < APPLIED_WITHIN)
    }

    /// Takes note of whether a look found a pipeline. Says whether it is in doubt, as [`Absences::is_doubted`].
    pub fn is_doubted(&self, pipeline: &Resource, found: bool, now: Timestamp) -> bool {
        self.lock().absences.is_doubted(pipeline, found, now)
    }

    /// The object's consecutive failures.
    pub fn attempts<T>(&self, uid: &str, work: impl FnOnce(&mut Attempts) -> T) -> T {
        work(self.lock().attempts.entry(uid.to_owned()).or_default())
    }

    /// Remembers when the last complete look at an object or account ended.
    pub fn note_look(&self, uid: &str, at: Timestamp) {
        self.lock().looks.insert(uid.to_owned(), at);
    }

    /// When the last complete look at an object or account ended.
    pub fn last_look(&self, uid: &str) -> Option<Timestamp> {
        self.lock().looks.get(uid).copied()
    }

    /// The object of this generation has claimed what it wants of its pipeline, or wants nothing of it for now.
    pub fn arrived(&self, uid: &str, generation: i64) {
        self.lock().arrived.insert(uid.to_owned(), generation);
    }

    /// Whether the object of this generation may still be on its way to a claim.
    pub fn is_expected(&self, uid: &str, generation: i64) -> bool {
        self.lock().arrived.get(uid).is_none_or(|arrived| *arrived < generation)
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
        self.lock().proven.insert(uid.to_owned());
    }

    /// Whether AWS showed something of it.
    pub fn is_proven(&self, uid: &str) -> bool {
        self.lock().proven.contains(uid)
    }

    /// The object's deletion is complete.
    pub fn finish(&self, uid: &str) {
        let mut inner = self.lock();
        inner.proven.remove(uid);
        inner.claims.remove(uid);
        inner.planned.remove(uid);
        inner.settled.remove(uid);
        inner.attempts.remove(uid);
        inner.looks.remove(uid);
        inner.arrived.remove(uid);
        inner.actions.remove(uid);
        inner.recalled.remove(uid);
        inner.removals.remove(uid);
        inner.notes.remove(uid);
        inner.own_statuses.remove(uid);
        inner.imposed.remove(uid);
        inner.unsettled.remove(uid);
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
        inner.proven.remove(uid);
        inner.finished.remove(uid);
        inner.claims.remove(uid);
        inner.planned.remove(uid);
        inner.settled.remove(uid);
        inner.attempts.remove(uid);
        inner.looks.remove(uid);
        inner.actions.remove(uid);
        inner.recalled.remove(uid);
        inner.removals.remove(uid);
        inner.notes.remove(uid);
        inner.own_statuses.remove(uid);
        inner.unsettled.remove(uid);
        inner.held.remove(uid);
        inner.seen.remove(uid);
        inner.looking.remove(uid);
        inner.told.remove(uid);
        inner.held_looks.remove(uid);
        inner.held_back.remove(uid);
        inner.imposed.remove(uid);
        inner.queued.remove(uid);
        inner.arrived.remove(uid);
        inner.renew(uid);
    }

    /// Forgets every object and account but these.
    pub fn retain(&self, uids: &BTreeSet<String>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        for gone in inner.claims.keys().chain(inner.planned.keys()).filter(|uid| !uids.contains(*uid)) {
            inner.index.own(gone, Names::default());
        }
        inner.released.retain(|uid| uids.contains(uid));
        inner.proven.retain(|uid| uids.contains(uid));
        inner.finished.retain(|uid| uids.contains(uid));
        inner.claims.retain(|uid, _| uids.contains(uid));
        inner.planned.retain(|uid, _| uids.contains(uid));
        inner.settled.retain(|uid, _| uids.contains(uid));
        inner.removals.retain(|uid, _| uids.contains(uid));
        inner.recalled.retain(|uid, _| uids.contains(uid));
        inner.actions.retain(|uid, _| uids.contains(uid));
        inner.notes.retain(|uid, _| uids.contains(uid));
        inner.own_statuses.retain(|uid, _| uids.contains(uid));
        inner.unsettled.retain(|uid, _| uids.contains(uid));
        inner.held.retain(|uid| uids.contains(uid));
        inner.seen.retain(|uid, _| uids.contains(uid));
        inner.attempts.retain(|uid, _| uids.contains(uid));
        inner.looks.retain(|uid, _| uids.contains(uid));
        inner.arrived.retain(|uid, _| uids.contains(uid));
        inner.looking.retain(|uid, _| uids.contains(uid));
        inner.told.retain(|uid, _| uids.contains(uid));
        inner.held_looks.retain(|uid, _| uids.contains(uid));
        inner.held_back.retain(|uid, _| uids.contains(uid));
        inner.imposed.retain(|uid, _| uids.contains(uid));
        inner.queued.retain(|uid| uids.contains(uid));
    }

    /// Remembers an action as it was read in place.
    pub fn note_action(&self, uid: &str, place: ActionPlace, action: Placed) {
        self.lock().actions.insert(uid.to_owned(), (place, action));
    }

    /// The object's action in this place as this process last read it in place.
    pub fn action_in_place(&self, uid: &str, place: &ActionPlace) -> Option<Placed> {
        self.lock().actions.get(uid).filter(|(known, _)| known == place).map(|(_, action)| action.clone())
    }

    /// Remembers which policies this process removed from the object's roles.
    pub fn note_removals(&self, uid: &str, removals: Contested) {
        self.lock().removals.insert(uid.to_owned(), removals);
    }

    /// The policies that this process removed from the object's roles.
    pub fn removals(&self, uid: &str) -> Contested {
        self.lock().removals.get(uid).cloned().unwrap_or_default()
    }

    /// Remembers the notes on the place of an object's action, and returns those that this process has not reported yet.
    pub fn untold_notes(&self, uid: &str, notes: &[Note]) -> Vec<Note> {
        let before = self.lock().notes.insert(uid.to_owned(), notes.to_vec()).unwrap_or_default();
        notes.iter().filter(|note| !before.contains(note)).cloned().collect()
    }

    /// Whether this is not what was last told of the account; from now on it is.
    pub fn is_untold(&self, uid: &str, reason: &'static str) -> bool {
        self.lock().told.insert(uid.to_owned(), reason) != Some(reason)
    }

    /// A complete look at an account holds from `now` until the next regular one: reconciles that changes of its objects
    /// cause meanwhile need not ask AWS again.
    pub fn hold_look(&self, uid: &str, generation: i64, now: Timestamp, interval: Duration) {
        // Whole seconds, as the clock has them: a look that is due by the timer must not find itself early by less.
        let until = Timestamp::from_second((now + interval).as_second()).unwrap_or(now);
        self.lock().held_looks.insert(uid.to_owned(), HeldLook { generation, since: now, until });
    }

    /// For how long the last look at this generation of an account still holds; `None` when the next one is due. A clock
    /// that was set back does not lengthen it.
    pub fn held_look(&self, uid: &str, generation: i64, now: Timestamp) -> Option<Duration> {
        let inner = self.lock();
        let look = inner.held_looks.get(uid).filter(|look| look.generation == generation && look.since <= now)?;
        Duration::try_from(look.until.duration_since(now)).ok().filter(|left| !left.is_zero())
    }

    /// The next reconcile of the account is a look, whatever causes it.
    pub fn end_look(&self, uid: &str) {
        self.lock().held_looks.remove(uid);
    }

    /// Remembers the digest of a status that is about to be written, before it is sent: its watch event may come first.
    pub fn note_own_status(&self, uid: &str, digest: u64) {
        let mut inner = self.lock();
        let statuses = inner.own_statuses.entry(uid.to_owned()).or_default();
        statuses.push_back(digest);
        if statuses.len() > OWN_STATUS_WRITES {
            statuses.pop_front();
        }
    }

    /// Takes note of whether the watch shows our finalizer on an object. Says whether somebody else has just taken it off.
    pub fn lost_finalizer(&self, uid: &str, held: bool) -> bool {
        let mut inner = self.lock();
        if held {
            inner.held.insert(uid.to_owned());
            return false;
        }
        inner.held.remove(uid) && !inner.finished.contains(uid)
    }

    /// Whether a watch event shows anything that we did not write ourselves: `content` is a digest of everything but the
    /// status, `status` one of the status.
    pub fn is_news(&self, uid: &str, content: u64, status: u64) -> bool {
        let mut inner = self.lock();
        let written = inner.own_statuses.get(uid).is_some_and(|statuses| statuses.contains(&status));
        let before = inner.seen.get(uid).copied();
        // Until one of our statuses was seen, none is no wiped one: the watch shows the finalizer before the status.
        let filled = written || status != NO_STATUS || before.is_some_and(|before| before.filled);
        let foreign = (!written && (filled || status != NO_STATUS)).then_some(status);
        inner.seen.insert(uid.to_owned(), Seen { content, foreign, filled });
        before.is_none_or(|before| before.content != content || (foreign.is_some() && before.foreign != foreign))
    }
}

mod claims;
mod evidence;
mod spreading;
#[cfg(test)]
mod tests;
