//! What was read in AWS: which roles pipelines and functions have, and what stands behind roles that no object asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{FunctionKey, Memory, PipelineKey};
use crate::domain::{
    ids::{Arn, RoleId},
    shared_policy::Behind,
};

/// How long it is remembered what was read of things that no object asks for.
const EVIDENCE_FOR: Duration = Duration::from_mins(10);

impl Memory {
    /// Takes note of which role a pipeline uses.
    pub fn note_pipeline(&self, key: PipelineKey, role: Option<&Arn>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let before = inner.pipeline_roles.get(&key);
        if before != role {
            let roles: Vec<RoleId> = before.into_iter().chain(role).filter_map(Arn::role).collect();
            inner.index.change_pipeline(&key, &roles);
        }
        note(&mut inner.pipeline_roles, key, role);
    }

    /// Takes note of which role a function runs as.
    pub fn note_function(&self, key: FunctionKey, role: Option<&Arn>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let before = inner.execution_roles.get(&key).and_then(Arn::role);
        let now = role.and_then(Arn::role);
        if before != now {
            inner.index.change_roles(before.iter().chain(&now));
            if let Some(before) = before
                && let Some(functions) = inner.functions_of.get_mut(&before)
            {
                functions.remove(&key);
                if functions.is_empty() {
                    inner.functions_of.remove(&before);
                }
            }
            if let Some(now) = now {
                inner.functions_of.entry(now).or_default().insert(key.clone());
            }
        }
        note(&mut inner.execution_roles, key, role);
    }

    /// The role a pipeline was last seen to use.
    pub fn pipeline_role(&self, key: &PipelineKey) -> Option<Arn> {
        self.lock().pipeline_roles.get(key).cloned()
    }

    /// The role a function was last seen to run as.
    pub fn execution_role(&self, key: &FunctionKey) -> Option<Arn> {
        self.lock().execution_roles.get(key).cloned()
    }

    /// What was read behind an entry a short while ago, and when.
    pub fn behind(&self, entry: &Arn, now: Timestamp) -> Option<(Timestamp, Behind)> {
        let inner = self.lock();
        inner.behind.get(entry).filter(|(at, _)| is_fresh(*at, now)).cloned()
    }

    /// Takes note of an assume policy that AWS refused for its size: other inline policies of the role take room as well.
    pub fn note_refused_size(&self, role: &RoleId, size: usize, now: Timestamp) {
        self.lock().refused_sizes.insert(role.clone(), (now, size));
    }

    /// The characters that an assume policy may have, where AWS refused more a short while ago.
    #[must_use]
    pub fn room(&self, role: &RoleId, now: Timestamp) -> Option<usize> {
        let mut inner = self.lock();
        inner.refused_sizes.retain(|_, (at, _)| is_fresh(*at, now));
        inner.refused_sizes.get(role).map(|(_, size)| size.saturating_sub(1))
    }

    /// Remembers what was read behind an entry.
    pub fn note_behind(&self, entry: &Arn, behind: &Behind, now: Timestamp) {
        let mut inner = self.lock();
        inner.behind.retain(|_, (at, _)| is_fresh(*at, now));
        inner.behind.insert(entry.clone(), (now, behind.clone()));
    }

    /// Since when it is being looked up, for this object, who needs a callback policy: it may take several reconciles, and
    /// only what was read meanwhile lets one go.
    pub fn looking_since(&self, uid: &str, now: Timestamp) -> Timestamp {
        let mut inner = self.lock();
        let looking = &mut inner.of(uid).looking;
        let since = looking.filter(|since| is_fresh(*since, now)).unwrap_or(now);
        *looking = Some(since);
        since
    }

    /// It has been looked up.
    pub fn looked(&self, uid: &str) {
        self.lock().of(uid).looking = None;
    }

    /// The execution roles that an invoke role was found to need a short while ago, and when; `None` inside for any.
    pub fn callback_needs(&self, role: &Arn, now: Timestamp) -> Option<(Timestamp, Option<BTreeSet<RoleId>>)> {
        let inner = self.lock();
        inner.callback_needs.get(role).filter(|(at, _)| is_fresh(*at, now)).cloned()
    }

    /// Remembers the execution roles that an invoke role needs.
    pub fn note_callback_needs(&self, role: &Arn, needs: Option<&BTreeSet<RoleId>>, now: Timestamp) {
        let mut inner = self.lock();
        inner.callback_needs.retain(|_, (at, _)| is_fresh(*at, now));
        inner.callback_needs.insert(role.clone(), (now, needs.cloned()));
    }
}

/// Whether evidence that was read then still counts.
fn is_fresh(read: Timestamp, now: Timestamp) -> bool {
    now.duration_since(read).unsigned_abs() < EVIDENCE_FOR
}

fn note<K: Ord>(roles: &mut BTreeMap<K, Arn>, key: K, role: Option<&Arn>) {
    match role {
        Some(role) => roles.insert(key, role.clone()),
        None => roles.remove(&key),
    };
}
