//! What objects may have: as they recorded it, as it was planned for them, and which objects that concerns.

use std::{collections::BTreeSet, sync::Arc};

use super::{FunctionKey, Inner, Memory};
use crate::{
    domain::{
        ids::{Arn, ObjectKey, RoleId},
        inventory::{Inventory, Part},
    },
    engine::index::{Index, Names, Neighbour},
};

impl Inner {
    /// Puts the index right after what is claimed or planned for an object has changed.
    pub(super) fn renew(&mut self, uid: &str) {
        let known = self.known.get(uid).map(|known| [known.claims.as_deref(), known.planned.as_deref()]);
        let names = known.into_iter().flatten().flatten().fold(Names::default(), Names::and_held);
        self.index.own(uid, names);
    }

    /// Does so unless nothing has changed.
    fn renew_unless(&mut self, is_known: bool, uid: &str) {
        if !is_known {
            self.renew(uid);
        }
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

    /// What the watch shows of those of these objects that decode and may need something of what is shared.
    #[must_use]
    pub fn neighbours(&self, keys: &BTreeSet<ObjectKey>) -> Vec<(ObjectKey, Arc<Neighbour>)> {
        let inner = self.lock();
        let counts = |uid: &str| !inner.released.contains(uid) && !inner.finished.contains(uid);
        let neighbours = inner.index.neighbours(keys).filter(|(_, of)| counts(&of.uid));
        neighbours.map(|(key, of)| (key.clone(), of.clone())).collect()
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
        let claims = &mut inner.of(uid).claims;
        let is_known = claims.as_ref().is_some_and(|before| before.lists_the_same(inventory));
        *claims = Some(Arc::new(inventory.clone()));
        inner.renew_unless(is_known, uid);
    }

    /// What the object may have, as this process last recorded it.
    pub fn claims(&self, uid: &str) -> Option<Arc<Inventory>> {
        self.lock().known.get(uid)?.claims.clone()
    }

    /// Remembers what was planned for an object beside what was planned before, whose release is still to come.
    pub fn plan(&self, uid: &str, desired: &Inventory) {
        let mut inner = self.lock();
        let planned = &mut inner.of(uid).planned;
        let now = planned.as_ref().map_or_else(|| desired.clone(), |before| before.union(desired));
        let is_known = planned.as_ref().is_some_and(|before| before.lists_the_same(&now));
        *planned = Some(Arc::new(now));
        inner.renew_unless(is_known, uid);
    }

    /// The object has converged: of what was planned for it this is left.
    pub fn settle(&self, uid: &str, desired: &Inventory) {
        let mut inner = self.lock();
        let known = inner.of(uid);
        let is_known = known.planned.as_ref().is_some_and(|before| before.lists_the_same(desired));
        known.settled = Some(Arc::new(desired.clone()));
        known.planned.clone_from(&known.settled);
        inner.renew_unless(is_known, uid);
    }

    /// What an object can have that this process has seen converged: what it had then, and what was planned since. `None`
    /// for an object that this process has never seen converged, of which another process may know more.
    pub fn since_settled(&self, uid: &str) -> Option<Arc<Inventory>> {
        let inner = self.lock();
        let known = inner.known.get(uid)?;
        known.settled.is_some().then(|| known.planned.clone().unwrap_or_default())
    }

    /// What this process has last seen in place of an object that had converged.
    pub fn settled(&self, uid: &str) -> Option<Arc<Inventory>> {
        self.lock().known.get(uid)?.settled.clone()
    }

    /// What this process planned for an object.
    pub fn planned(&self, uid: &str) -> Arc<Inventory> {
        self.lock().known.get(uid).and_then(|known| known.planned.clone()).unwrap_or_default()
    }

    /// What this process planned for an object under one role.
    pub fn planned_entries(&self, uid: &str, part: Part, holder: &RoleId) -> BTreeSet<Arn> {
        self.planned(uid).entries(part, holder)
    }

    /// The object is being deleted and its action is gone: from here on it needs nothing of what is shared. Said before
    /// it is asked what the others need, so that of two objects that go together the later one cleans up for both.
    pub fn release(&self, uid: &str) {
        let mut inner = self.lock();
        if inner.released.insert(uid.to_owned()) {
            inner.index.change(uid);
        }
    }
}
