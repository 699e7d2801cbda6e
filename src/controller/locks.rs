//! One in-process lock per shared role: every read–edit–write of such a thing runs under it and reads
//! inside it, so that two objects cannot overwrite each other's entries.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::domain::ids::RoleId;

/// What several objects write. Pipelines have workers instead (`shell::pipelines`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Shared {
    /// A pipeline role or an execution role.
    Role(RoleId),
}

/// The locks of this process.
#[derive(Debug, Default)]
pub struct Locks {
    known: Mutex<HashMap<Shared, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held locks; dropping releases them.
pub type Held = Vec<OwnedMutexGuard<()>>;

impl Locks {
    /// Takes the locks of all these things in their order, the same for everybody, so that two holders of several never
    /// wait for each other.
    pub async fn acquire(&self, things: &BTreeSet<Shared>) -> Held {
        let mut held = Vec::with_capacity(things.len());
        for thing in things {
            let lock = {
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                // A lock that only the map knows is free; dropping it keeps the map as small as what is in use.
                known.retain(|other, lock| other == thing || Arc::strong_count(lock) > 1);
                known.entry(thing.clone()).or_default().clone()
            };
            held.push(lock.lock_owned().await);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Arn;

    fn roles(names: &[&str]) -> BTreeSet<Shared> {
        let arn = |name| format!("arn:aws:iam::111111111111:role/{name}").parse::<Arn>().unwrap();
        names.iter().map(|name| Shared::Role(arn(name).role().unwrap())).collect()
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
}
