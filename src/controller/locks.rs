//! One in-process lock per pipeline and per shared role, keyed by ARN: every read–edit–write of such a thing runs under
//! it and reads inside it, so that two objects cannot overwrite each other's entries.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::domain::ids::Arn;

/// The locks of this process.
#[derive(Debug, Default)]
pub struct Locks {
    by_arn: Mutex<HashMap<Arn, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held locks; dropping releases them.
pub type Held = Vec<OwnedMutexGuard<()>>;

impl Locks {
    /// Takes the locks of all these ARNs in the order of their text, the same for everybody, so that two holders of
    /// several never wait for each other.
    pub async fn acquire(&self, arns: &BTreeSet<Arn>) -> Held {
        let mut held = Vec::with_capacity(arns.len());
        for arn in arns {
            let lock = {
                let mut by_arn = self.by_arn.lock().unwrap_or_else(PoisonError::into_inner);
                // A lock that only the map knows is free; dropping it keeps the map as small as what is in use.
                by_arn.retain(|known, lock| known == arn || Arc::strong_count(lock) > 1);
                by_arn.entry(arn.clone()).or_default().clone()
            };
            held.push(lock.lock_owned().await);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arns(names: &[&str]) -> BTreeSet<Arn> {
        names.iter().map(|name| format!("arn:aws:iam::111111111111:role/{name}").parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_lock_is_held_by_one_at_a_time_and_forgotten_when_free() {
        let locks = Arc::new(Locks::default());
        let held = locks.acquire(&arns(&["a", "b"])).await;
        let contender = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.acquire(&arns(&["b", "c"])).await.len() })
        };
        tokio::task::yield_now().await;
        assert!(!contender.is_finished());
        drop(held);
        assert_eq!(contender.await.unwrap(), 2);
        drop(locks.acquire(&arns(&["d"])).await);
        assert_eq!(locks.by_arn.lock().unwrap().len(), 1);
    }
}
