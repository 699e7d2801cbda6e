//! What the controllers run on: the watches' streams, and reconciles that are asked for.

use std::sync::Arc;

use futures::{
    Stream, StreamExt, future,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Resource,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::sync::mpsc;

use super::{Guarded, GuardedAccount};
use crate::{
    controller::regular::Regular,
    domain::{ids::ObjectKey, inventory::Inventory},
};

/// Asks for reconciles from outside the watches.
#[derive(Clone)]
pub struct Triggers {
    pub(super) objects: Vec<(Option<String>, mpsc::UnboundedSender<ObjectRef<Guarded>>)>,
    pub(super) accounts: mpsc::UnboundedSender<ObjectRef<GuardedAccount>>,
    pub(super) left_behind: mpsc::UnboundedSender<LeftBehind>,
    pub(super) unheld: mpsc::UnboundedSender<Unheld>,
    pub(super) regular: Arc<Regular>,
}

impl Triggers {
    pub(super) fn object(&self, object: &ObjectRef<Guarded>) {
        let namespace = object.namespace.clone().unwrap_or_default();
        self.regular.disturb(&ObjectKey { namespace, name: object.name.clone() });
        for (namespace, sender) in &self.objects {
            if namespace.is_none() || *namespace == object.namespace {
                // The receiver lives as long as the process.
                let _ = sender.send(object.clone());
            }
        }
    }

    pub(super) fn account(&self, name: &str) {
        let _ = self.accounts.send(ObjectRef::new(name));
    }
}

/// An object that is gone, and what it leaves in AWS.
#[derive(Debug)]
pub struct LeftBehind {
    /// What an event about it names.
    pub object: ObjectReference,
    /// What stays.
    pub inventory: Inventory,
}

/// An object that has something in AWS and lacks our finalizer.
#[derive(Debug)]
pub struct Unheld {
    /// The object.
    pub object: ObjectRef<Guarded>,
    /// As the watch shows it: a newer one is looked at again.
    pub resource_version: Option<String>,
    /// The finalizers that it has.
    pub finalizers: Vec<String>,
}

/// What one watch brings, and what else is asked for.
pub struct Feed<K: Resource<DynamicType = ()> + 'static> {
    /// Changes that are worth a reconcile.
    pub stream: BoxStream<'static, Result<K, watcher::Error>>,
    /// The store behind it.
    pub store: Store<K>,
    /// Asked-for reconciles.
    pub asked: BoxStream<'static, ObjectRef<K>>,
}

/// The feeds of all controllers.
pub struct Feeds {
    /// One per watched namespace, or one for all.
    pub objects: Vec<Feed<Guarded>>,
    /// That of the accounts.
    pub accounts: Feed<GuardedAccount>,
    /// Objects that went without their finalizer.
    pub left_behind: BoxStream<'static, LeftBehind>,
    /// Objects to put our finalizer on.
    pub unheld: BoxStream<'static, Unheld>,
    /// The namespaces' watch, to be polled for as long as the process runs.
    pub namespaces: BoxStream<'static, ()>,
}

/// What a channel brings, as a stream.
pub(in crate::controller) fn channel_stream<T: Send + 'static>(
    receiver: mpsc::UnboundedReceiver<T>,
) -> BoxStream<'static, T> {
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) }).boxed()
}

/// Polls a stream to its end.
pub async fn drain(stream: impl Stream<Item = ()> + Send) {
    stream.for_each(|()| future::ready(())).await;
}
