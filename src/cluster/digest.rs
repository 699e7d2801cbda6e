//! Digests, to tell news from what a watch repeats.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::LazyLock,
};

use kube::ResourceExt;

/// The digest of a status that is not there.
pub const NO_STATUS: u64 = 0;

/// A digest of a status, as this process writes and reads it; zero for none.
#[must_use]
pub fn status_digest(status: Option<&impl serde::Serialize>) -> u64 {
    status.map_or(NO_STATUS, |status| digest_of(&serde_json::to_string(status).unwrap_or_default()))
}

/// Everything of an object's metadata whose change asks for a reconcile; the generation stands for the spec.
#[must_use]
pub fn content(object: &impl ResourceExt, our_finalizer: &str) -> u64 {
    let meta = object.meta();
    // Our own finalizer is left out: putting it on must not ask for another reconcile.
    let finalizers: Vec<&String> = object.finalizers().iter().filter(|name| *name != our_finalizer).collect();
    digest_of(&(
        object.uid(),
        meta.generation,
        meta.deletion_timestamp.as_ref().map(|time| time.0),
        object.annotations().clone(),
        object.labels().clone(),
        finalizers,
    ))
}

/// The keys of all digests. They are of this process alone, so that nobody can write two objects that have the same one.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A digest of any value. It means nothing to another process.
#[must_use]
pub fn digest_of(value: &impl Hash) -> u64 {
    KEYS.hash_one(value)
}
