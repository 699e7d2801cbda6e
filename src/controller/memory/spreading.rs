//! Whose looks are held back, and what they were granted at the last one.

use std::time::Duration;

use jiff::Timestamp;

use super::Memory;

impl Memory {
    /// The look at an object is held back until then, or until it was to be before: it is put off once.
    pub fn hold_back(&self, uid: &str, until: Timestamp) {
        self.lock().of(uid).held_back.get_or_insert(until);
    }

    /// For how long the look at an object is still held back.
    pub fn held_back(&self, uid: &str, now: Timestamp) -> Option<Duration> {
        let mut inner = self.lock();
        let known = inner.known.get_mut(uid)?;
        let left = known.held_back.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
        let left = left.filter(|left| !left.is_zero());
        if left.is_none() {
            known.held_back = None;
        }
        left
    }

    /// The next reconcile of the object is a look.
    pub fn hold_back_no_more(&self, uid: &str) {
        self.lock().of(uid).held_back = None;
    }

    /// A look at the object is asked for, and waits for its place.
    pub fn queue(&self, uid: &str) {
        self.lock().of(uid).queued = true;
    }

    /// The look at the object begins.
    pub fn begin(&self, uid: &str) {
        self.lock().of(uid).queued = false;
    }

    /// Whether a look at the object is still to begin, which will see what has changed until now.
    #[must_use]
    pub fn is_queued(&self, uid: &str) -> bool {
        self.lock().known.get(uid).is_some_and(|known| known.queued)
    }

    /// Remembers a digest of what the accounts imposed on an object at its last look.
    pub fn note_imposed(&self, uid: &str, imposed: u64) {
        self.lock().of(uid).imposed = Some(imposed);
    }

    /// The digest of what the accounts imposed on an object at its last look.
    #[must_use]
    pub fn imposed(&self, uid: &str) -> Option<u64> {
        self.lock().known.get(uid)?.imposed
    }

    /// Whether the watch has shown an object before.
    #[must_use]
    pub fn has_seen(&self, uid: &str) -> bool {
        self.lock().known.get(uid).is_some_and(|known| known.seen.is_some())
    }
}
