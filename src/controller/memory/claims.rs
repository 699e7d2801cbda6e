//! What objects may have: as they recorded it, as it was planned for them, and which objects that concerns.

use std::collections::BTreeSet;

use super::{FunctionKey, Inner, Memory};
use crate::{
    domain::{
        ids::{Arn, ObjectKey, RoleId},
        inventory::{Inventory, Part},
    },
    engine::index::{Index, Names},
};

impl Inner {
    /// Puts the index right after what is claimed or planned for an object has changed.
    pub(super) fn renew(&mut self, uid: &str) {
        let known = [self.claims.get(uid), self.planned.get(uid)].into_iter().flatten();
        let names = known.fold(Names::default(), Names::and_held);
        self.index.own(uid, names);
    }
}

impl Memory {
    /// Works on the index.
    pub fn index<T>(&self, work: impl FnOnce(&mut Index) -> T) -> T {
        work(&mut self.lock().index)
    }

    /// The objects that need a role, or may: those that it belongs to or holds something of, and those that invoke a function
    /// which was last seen to run as it.
    #[must_use]
    pub fn objects_of_role(&self, role: &RoleId) -> BTreeSet<ObjectKey> {
        let inner = self.lock();
        let functions = inner.functions_of.get(role).into_iter().flatten();
        let invoking = functions.flat_map(|function: &FunctionKey| inner.index.of_function(function));
        inner.index.of_role(role).chain(invoking).cloned().collect()
    }

    /// The objects that the watch shows and that need nothing of what is shared any more.
    #[must_use]
    pub fn released(&self) -> BTreeSet<ObjectKey> {
        let inner = self.lock();
        inner.released.union(&inner.finished).filter_map(|uid| inner.index.key(uid)).cloned().collect()
    }

    /// Remembers what an object may have, as its status says it or is about to say it.
    pub fn claim(&self, uid: &str, inventory: &Inventory) {
        let mut inner = self.lock();
        inner.claims.insert(uid.to_owned(), inventory.clone());
        inner.renew(uid);
    }

    /// What the object may have, as this process last recorded it.
    pub fn claims(&self, uid: &str) -> Option<Inventory> {
        self.lock().claims.get(uid).cloned()
    }

    /// Remembers what was planned for an object beside what was planned before, whose release is still to come.
    pub fn plan(&self, uid: &str, desired: &Inventory) {
        let mut inner = self.lock();
        let planned = inner.planned.entry(uid.to_owned()).or_default();
        *planned = planned.union(desired);
        inner.renew(uid);
    }

    /// The object has converged: of what was planned for it this is left.
    pub fn settle(&self, uid: &str, desired: &Inventory) {
        let mut inner = self.lock();
        inner.planned.insert(uid.to_owned(), desired.clone());
        inner.settled.insert(uid.to_owned(), desired.clone());
        inner.renew(uid);
    }

    /// What an object can have that this process has seen converged: what it had then, and what was planned since. `None`
    /// for an object that this process has never seen converged, of which another process may know more.
    pub fn since_settled(&self, uid: &str) -> Option<Inventory> {
        let inner = self.lock();
        inner.settled.contains_key(uid).then(|| inner.planned.get(uid).cloned().unwrap_or_default())
    }

    /// What this process has last seen in place of an object that had converged.
    pub fn settled(&self, uid: &str) -> Option<Inventory> {
        self.lock().settled.get(uid).cloned()
    }

    /// What this process planned for an object.
    pub fn planned(&self, uid: &str) -> Inventory {
        self.lock().planned.get(uid).cloned().unwrap_or_default()
    }

    /// What this process planned for an object under one role.
    pub fn planned_entries(&self, uid: &str, part: Part, holder: &RoleId) -> BTreeSet<Arn> {
        self.lock().planned.get(uid).map(|planned| planned.entries(part, holder)).unwrap_or_default()
    }

    /// The object is being deleted and its action is gone: from here on it needs nothing of what is shared. Said before
    /// it is asked what the others need, so that of two objects that go together the later one cleans up for both.
    pub fn release(&self, uid: &str) {
        self.lock().released.insert(uid.to_owned());
    }

    /// Whether the object needs nothing of what is shared any more.
    pub fn is_released(&self, uid: &str) -> bool {
        let inner = self.lock();
        inner.released.contains(uid) || inner.finished.contains(uid)
    }
}
