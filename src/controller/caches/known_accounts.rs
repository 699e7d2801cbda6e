//! The `AwsAccount`s by their account ids, and as the gate looks at them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, MutexGuard, PoisonError},
};

use kube::{Resource, ResourceExt, runtime::reflector::Store};

use super::{Caches, GuardedAccount};
use crate::domain::{account_status, gate::Account, ids::InstallationId};

/// What is known of them, kept right with each event.
#[derive(Debug, Default)]
pub(super) struct KnownAccounts {
    /// The account id by name; none for one of which it cannot be read.
    ids: BTreeMap<String, Option<String>>,
    names: HashMap<String, BTreeSet<String>>,
    /// Built again when it is asked for after a change.
    for_gate: Option<Arc<[Account]>>,
}

impl KnownAccounts {
    /// Takes note of an account as it is now.
    pub(super) fn put(&mut self, account: &GuardedAccount) {
        let name = account.name_any();
        self.remove(&name);
        let id = account.account_id().map(str::to_owned);
        if let Some(id) = &id {
            self.names.entry(id.clone()).or_default().insert(name.clone());
        }
        self.ids.insert(name, id);
    }

    /// Takes note that an account is gone.
    pub(super) fn remove(&mut self, name: &str) {
        self.for_gate = None;
        let Some(Some(id)) = self.ids.remove(name) else { return };
        if let Some(names) = self.names.get_mut(&id) {
            names.remove(name);
            if names.is_empty() {
                self.names.remove(&id);
            }
        }
    }

    /// Takes note of all accounts, at the end of a list. Returns the ids of which one is not there any more.
    pub(super) fn replace(&mut self, accounts: &[Arc<GuardedAccount>]) -> BTreeSet<String> {
        let before = std::mem::take(self);
        for account in accounts {
            self.put(account);
        }
        let is_gone = |(name, id): (&String, &Option<String>)| (self.ids.get(name) != Some(id)).then(|| id.clone());
        before.ids.iter().filter_map(is_gone).flatten().collect()
    }

    /// The names of those with this account id.
    pub(super) fn with(&self, id: &str) -> Vec<String> {
        self.names.get(id).into_iter().flatten().cloned().collect()
    }

    /// The names of all.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(String::as_str)
    }

    /// All whose account id can be read, as the gate looks at them.
    pub(super) fn for_gate(&mut self, store: &Store<GuardedAccount>, installation: &InstallationId) -> Arc<[Account]> {
        self.for_gate.get_or_insert_with(|| accounts_in(store, installation)).clone()
    }
}

fn accounts_in(store: &Store<GuardedAccount>, installation: &InstallationId) -> Arc<[Account]> {
    let finalizer = account_status::in_use_finalizer(installation.as_str());
    let accounts = store.state();
    let accounts = accounts.iter().filter_map(|account| Some((account.account_id()?, account)));
    accounts
        .map(|(id, account)| Account {
            name: account.name_any(),
            id: id.to_owned(),
            spec: account.0.as_ref().map(|account| account.spec.clone()).map_err(|invalid| invalid.error.clone()),
            deleting: account.meta().deletion_timestamp.is_some(),
            held: account.finalizers().contains(&finalizer),
            created: account.creation_timestamp().map(|created| created.0),
        })
        .collect()
}

impl Caches {
    pub(super) fn known_accounts(&self) -> MutexGuard<'_, KnownAccounts> {
        self.known_accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
