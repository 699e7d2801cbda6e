//! What the gate looks at, taken from the caches.

use std::sync::Arc;

use super::{caches::Caches, context::Context};
use crate::domain::{
    gate::{Account, Input},
    ids::ObjectKey,
};

/// All accounts, and the labels of the object's namespace.
#[must_use]
pub fn gate_input(context: &Context, object: &ObjectKey) -> Input {
    of_caches(&context.caches, object)
}

/// The same for one of many objects, with the accounts gathered once.
#[must_use]
pub fn with_accounts(context: &Context, accounts: Arc<[Account]>, object: &ObjectKey) -> Input {
    Input { accounts, namespace_labels: context.caches.namespace_labels(&object.namespace) }
}

/// All accounts whose account id can be read.
#[must_use]
pub fn accounts(context: &Context) -> Arc<[Account]> {
    context.caches.gate_accounts()
}

/// What the gate looks at for one object, without a context.
#[must_use]
pub fn of_caches(caches: &Caches, object: &ObjectKey) -> Input {
    Input { accounts: caches.gate_accounts(), namespace_labels: caches.namespace_labels(&object.namespace) }
}
