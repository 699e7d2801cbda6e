//! What the gate looks at, taken from the caches.

use kube::ResourceExt;

use super::{accounts::in_use_finalizer, context::Context};
use crate::domain::{
    gate::{Account, Input},
    spec::Declared,
};

/// All accounts that decode, and the labels of the object's namespace.
#[must_use]
pub fn gate_input(context: &Context, declared: &Declared) -> Input {
    let finalizer = in_use_finalizer(&context.settings.installation);
    let accounts = context.caches.accounts();
    let accounts = accounts.iter().filter_map(|account| account.0.as_ref().ok());
    Input {
        accounts: accounts
            .map(|account| Account {
                name: account.name_any(),
                spec: account.spec.clone(),
                deleting: account.metadata.deletion_timestamp.is_some(),
                held: account.finalizers().contains(&finalizer),
            })
            .collect(),
        namespace_labels: context.caches.namespace_labels(&declared.key.namespace).unwrap_or_default(),
    }
}
