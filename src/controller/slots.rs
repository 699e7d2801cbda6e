//! Places for objects that are looked at at a time. Those of the same two accounts share some, so that an account that
//! answers slowly keeps no object of another one waiting. The calls themselves are limited by `aws::InFlight`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::CrossAccountInvoke;

/// The two accounts of an object as its spec names them, granted or not.
type Accounts = (String, String);

/// The places of all accounts that anybody uses.
#[derive(Debug)]
pub struct Slots {
    each: usize,
    known: Mutex<HashMap<Accounts, Arc<Semaphore>>>,
}

impl Slots {
    /// This many for each two accounts.
    #[must_use]
    pub fn new(each: u16) -> Self {
        Self { each: usize::from(each), known: Mutex::default() }
    }

    /// Waits for a place.
    pub async fn take(&self, object: &CrossAccountInvoke) -> Option<OwnedSemaphorePermit> {
        let accounts = (object.spec.tools_account.id.clone(), object.spec.dev_account.id.clone());
        let semaphore = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            // One that only the map knows is free.
            known.retain(|other, semaphore| *other == accounts || Arc::strong_count(semaphore) > 1);
            known.entry(accounts).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
        };
        semaphore.acquire_owned().await.ok()
    }
}
