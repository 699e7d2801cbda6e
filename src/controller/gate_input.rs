//! What the gate looks at, taken from the caches.

use std::sync::Arc;

use kube::ResourceExt;

use super::{caches::Caches, context::Context};
use crate::domain::{
    account_status,
    gate::{Account, Input},
    ids::{InstallationId, ObjectKey},
};

/// All accounts that decode, and the labels of the object's namespace.
#[must_use]
pub fn gate_input(context: &Context, object: &ObjectKey) -> Input {
    with_accounts(context, accounts(context), object)
}

/// The same for one of many objects, with the accounts gathered once.
#[must_use]
pub fn with_accounts(context: &Context, accounts: Arc<[Account]>, object: &ObjectKey) -> Input {
    Input { accounts, namespace_labels: context.caches.namespace_labels(&object.namespace) }
}

/// All accounts that decode.
#[must_use]
pub fn accounts(context: &Context) -> Arc<[Account]> {
    accounts_of(&context.caches, &context.settings.installation)
}

/// What the gate looks at for one object, without a context.
#[must_use]
pub fn of_caches(caches: &Caches, installation: &InstallationId, object: &ObjectKey) -> Input {
    let accounts = accounts_of(caches, installation);
    Input { accounts, namespace_labels: caches.namespace_labels(&object.namespace) }
}

fn accounts_of(caches: &Caches, installation: &InstallationId) -> Arc<[Account]> {
    let finalizer = account_status::in_use_finalizer(installation.as_str());
    let accounts = caches.accounts();
    let accounts = accounts.iter().filter_map(|account| account.0.as_ref().ok());
    accounts
        .map(|account| Account {
            name: account.name_any(),
            spec: account.spec.clone(),
            deleting: account.metadata.deletion_timestamp.is_some(),
            held: account.finalizers().contains(&finalizer),
        })
        .collect()
}
