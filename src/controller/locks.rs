//! One in-process lock per shared policy: every read–edit–write of such a thing runs under it and reads
//! inside it, so that two objects cannot overwrite each other's entries.
//!
//! Callback policies are of dev accounts and locked first, assume policies are of tools accounts and locked for as long as
//! these alone are asked: whoever waits for a slow dev account holds up no other one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::OwnedMutexGuard;

use crate::domain::ids::RoleId;

/// What several objects write. Pipelines have workers instead (`shell::pipelines`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Shared {
    /// P2 of an execution role.
    Callback(RoleId),
    /// P3 of a pipeline role.
    Assume(RoleId),
}

/// A lock, and who took it last.
type Lock = Arc<tokio::sync::Mutex<u64>>;

/// The locks of this process.
#[derive(Debug, Default)]
pub struct Locks {
    known: Mutex<HashMap<Shared, Lock>>,
    taken: AtomicU64,
}

/// Held locks; dropping releases them.
pub type Held = Vec<OwnedMutexGuard<u64>>;

/// Locks that were given back for a while, in their order, each with the one who took it last before.
#[derive(Debug)]
pub struct GivenBack(Vec<(Lock, u64)>);

impl Locks {
    /// Takes the locks of all these things in their order, the same for everybody, so that two holders of several never
    /// wait for each other. Callback policies come before assume policies.
    pub async fn acquire(&self, things: &BTreeSet<Shared>) -> Held {
        let mut held = Vec::with_capacity(things.len());
        for thing in things {
            let lock = {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                // A lock that only the map knows is free; dropping it keeps the map as small as what is in use.
                known.retain(|other, lock| other == thing || Arc::strong_count(lock) > 1);
                known.entry(thing.clone()).or_default().clone()
            };
            let mut guard = lock.lock_owned().await;
            *guard = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
            held.push(guard);
        }
        held
    }

    /// Gives locks back, to take them again later.
    #[must_use]
    pub fn give_back(held: Held) -> GivenBack {
        GivenBack(held.into_iter().map(|guard| (OwnedMutexGuard::mutex(&guard).clone(), *guard)).collect())
    }

    /// Takes them again. Says whether nobody else had one of them meanwhile: then everything is as it was.
    pub async fn again(&self, given_back: GivenBack) -> (Held, bool) {
        let mut held = Vec::with_capacity(given_back.0.len());
        let mut is_untouched = true;
        for (lock, last) in given_back.0 {
            let mut guard = lock.lock_owned().await;
            is_untouched &= *guard == last;
            *guard = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
            held.push(guard);
        }
        (held, is_untouched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Arn;

    fn roles(names: &[&str]) -> BTreeSet<Shared> {
        let arn = |name| format!("arn:aws:iam::111111111111:role/{name}").parse::<Arn>().unwrap();
        names.iter().map(|name| Shared::Assume(arn(name).role().unwrap())).collect()
    }

    #[tokio::test]
    async fn a_lock_is_held_by_one_at_a_time_and_forgotten_when_free() {
        let locks = Arc::new(Locks::default());
        let held = locks.acquire(&roles(&["a", "path/b"])).await;
        let contender = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.acquire(&roles(&["other/path/B", "c"])).await.len() })
        };
        tokio::task::yield_now().await;
        assert!(!contender.is_finished(), "one role under two paths has one lock");
        drop(held);
        assert_eq!(contender.await.unwrap(), 2);
        drop(locks.acquire(&roles(&["d"])).await);
        assert_eq!(locks.known.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn whoever_takes_a_lock_again_learns_whether_somebody_else_had_it() {
        let locks = Locks::default();
        let given_back = Locks::give_back(locks.acquire(&roles(&["a", "b"])).await);
        let (held, is_untouched) = locks.again(given_back).await;
        assert!(is_untouched);
        let given_back = Locks::give_back(held);
        drop(locks.acquire(&roles(&["b"])).await);
        assert!(!locks.again(given_back).await.1);
    }
}
