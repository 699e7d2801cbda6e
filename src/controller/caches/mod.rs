//! What the controller knows of Kubernetes without asking. `objects` and `watched` have the watches, `lacking` what they do
//! not get.

pub mod feeds;
mod lacking;
mod objects;
mod watched;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    runtime::reflector::{ObjectRef, Store, store::Writer},
};
use tokio::sync::{mpsc, watch};

use self::feeds::{Feed, Feeds, Triggers, channel_stream};
use super::memory::Memory;
use crate::{
    api::{AwsAccount, CrossAccountInvoke},
    cluster::{Decoded, pipeline_index::PipelineIndex},
    domain::ids::{AccountId, ObjectKey},
    http::Readiness,
    telemetry::metrics::Metrics,
};

/// An object, or what is known of one that does not decode.
pub type Guarded = Decoded<CrossAccountInvoke>;
/// An account, or what is known of one that does not decode.
pub type GuardedAccount = Decoded<AwsAccount>;
/// A namespace, or what is known of one that does not decode.
pub type GuardedNamespace = Decoded<Namespace>;

/// The stores of every kind that is read.
pub struct Caches {
    /// One store per watched namespace, or one of all.
    objects: Vec<Store<Guarded>>,
    /// Watched namespaces that cannot be listed.
    unlistable: Mutex<BTreeSet<String>>,
    /// What can be listed and may not be watched: kinds, and the one namespace if it is not all of them.
    unwatchable: Mutex<BTreeSet<(String, Option<String>)>>,
    /// Whether all namespaces are watched and cannot be listed any more.
    all_unlistable: AtomicBool,
    accounts: Store<GuardedAccount>,
    namespaces: Store<GuardedNamespace>,
    triggers: Triggers,
    pipelines: Mutex<PipelineIndex>,
    watched: Vec<String>,
    /// How many stores have not been filled once.
    filling: watch::Sender<usize>,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

impl Caches {
    /// Opens the watches. `watched` lists the namespaces; empty means all.
    pub fn open(
        client: &Client,
        watched: &[String],
        memory: &Arc<Memory>,
        metrics: &Arc<Metrics>,
        readiness: &Readiness,
    ) -> (Arc<Self>, Feeds) {
        let scopes: Vec<Option<String>> =
            if watched.is_empty() { vec![None] } else { watched.iter().cloned().map(Some).collect() };
        let (account_sender, account_asked) = mpsc::unbounded_channel();
        let mut senders = Vec::new();
        let mut pending = Vec::new();
        for scope in scopes {
            let (sender, asked) = mpsc::unbounded_channel();
            let writer: Writer<Guarded> = Writer::default();
            let store = writer.as_reader();
            senders.push((scope.clone(), sender));
            pending.push((scope, writer, store, asked));
        }
        let (left_sender, left_behind) = mpsc::unbounded_channel();
        let (unheld_sender, unheld) = mpsc::unbounded_channel();
        let triggers = Triggers {
            objects: senders,
            accounts: account_sender,
            left_behind: left_sender,
            unheld: unheld_sender,
            regular: memory.regular.clone(),
        };
        let account_writer: Writer<GuardedAccount> = Writer::default();
        let namespace_writer: Writer<GuardedNamespace> = Writer::default();
        let caches = Arc::new(Self {
            objects: pending.iter().map(|(_, _, store, _)| store.clone()).collect(),
            unlistable: Mutex::default(),
            unwatchable: Mutex::default(),
            all_unlistable: AtomicBool::new(false),
            accounts: account_writer.as_reader(),
            namespaces: namespace_writer.as_reader(),
            triggers,
            pipelines: Mutex::default(),
            watched: watched.to_vec(),
            filling: watch::Sender::new(pending.len() + 2),
            memory: memory.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
        });
        let objects = pending
            .into_iter()
            .map(|(scope, writer, store, asked)| {
                let api: Api<Guarded> = match &scope {
                    Some(namespace) => Api::namespaced(client.clone(), namespace),
                    None => Api::all(client.clone()),
                };
                Feed { stream: caches.clone().object_stream(api, scope, writer), store, asked: channel_stream(asked) }
            })
            .collect();
        let accounts = Feed {
            stream: caches.clone().account_stream(Api::all(client.clone()), account_writer),
            store: caches.accounts.clone(),
            asked: channel_stream(account_asked),
        };
        let namespaces = caches.clone().namespace_stream(Api::all(client.clone()), namespace_writer);
        let (left_behind, unheld) = (channel_stream(left_behind), channel_stream(unheld));
        (caches, Feeds { objects, accounts, left_behind, unheld, namespaces })
    }

    /// Every object of the watched namespaces.
    #[must_use]
    pub fn objects(&self) -> Vec<Arc<Guarded>> {
        self.objects.iter().flat_map(Store::state).collect()
    }

    /// One object.
    #[must_use]
    pub fn object(&self, key: &ObjectKey) -> Option<Arc<Guarded>> {
        let name = ObjectRef::new(&key.name).within(&key.namespace);
        self.objects.iter().find_map(|store| store.get(&name))
    }

    /// The objects whose specs name this pipeline of this tools account.
    #[must_use]
    pub fn objects_on_pipeline(&self, account: &str, pipeline: &str) -> Vec<Arc<Guarded>> {
        let keys: Vec<ObjectKey> = self.index().of(account, pipeline).cloned().collect();
        keys.iter().filter_map(|key| self.object(key)).collect()
    }

    fn index(&self) -> MutexGuard<'_, PipelineIndex> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reconciles one object.
    pub fn look_at(&self, key: &ObjectKey) {
        self.triggers.object(&ObjectRef::new(&key.name).within(&key.namespace));
    }

    /// Every account.
    #[must_use]
    pub fn accounts(&self) -> Vec<Arc<GuardedAccount>> {
        self.accounts.state()
    }

    /// The labels of a namespace; `None` when it is not known.
    #[must_use]
    pub fn namespace_labels(&self, name: &str) -> Option<std::collections::BTreeMap<String, String>> {
        let namespace = self.namespaces.get(&ObjectRef::new(name))?;
        Some(namespace.labels().clone())
    }

    /// Whether this installation watches all namespaces.
    #[must_use]
    pub fn watches_everything(&self) -> bool {
        self.watched.is_empty()
    }

    /// Names and labels of all namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Vec<(String, std::collections::BTreeMap<String, String>)> {
        let all = self.namespaces.state();
        all.iter().map(|namespace| (namespace.name_any(), namespace.labels().clone())).collect()
    }

    /// Names and labels of the namespaces that this installation watches.
    #[must_use]
    pub fn watched_namespaces(&self) -> Vec<(String, std::collections::BTreeMap<String, String>)> {
        let all = self.namespaces.state();
        all.iter()
            .map(|namespace| (namespace.name_any(), namespace.labels().clone()))
            .filter(|(name, _)| self.watched.is_empty() || self.watched.contains(name))
            .collect()
    }

    /// Reconciles every object that names the account, and every `AwsAccount` of it: grants may have changed.
    pub fn account_changed(&self, account: &str) {
        for object in self.objects().iter().filter(|object| names_account(object, account)) {
            self.triggers.object(&ObjectRef::from_obj(&**object));
        }
        for other in self.accounts() {
            if other.0.as_ref().is_ok_and(|other| other.spec.account_id == account) {
                self.triggers.account(&other.name_any());
            }
        }
    }

    /// Reconciles the `AwsAccount`s that an object names: whether they are in use may have changed.
    pub fn object_changed(&self, object: &Guarded) {
        for account in self.accounts() {
            if account.0.as_ref().is_ok_and(|account| names_account(object, &account.spec.account_id)) {
                self.triggers.account(&account.name_any());
            }
        }
    }

    fn namespace_changed(&self, namespace: &str) {
        for object in self.objects().iter().filter(|object| object.namespace().as_deref() == Some(namespace)) {
            self.triggers.object(&ObjectRef::from_obj(&**object));
        }
        for account in self.accounts() {
            self.triggers.account(&account.name_any());
        }
    }
}

/// Whether an object's spec or inventory names the account. One that does not decode may name any.
#[must_use]
pub fn names_account(object: &Guarded, account: &str) -> bool {
    let Ok(object) = &object.0 else { return true };
    object.spec.tools_account.id == account
        || object.spec.dev_account.id == account
        || object.status.iter().flat_map(|status| &status.inventory).any(|item| item.account == account)
}

/// The key of an object.
#[must_use]
pub fn key_of(object: &impl ResourceExt) -> ObjectKey {
    ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// The accounts that an object's spec names, as far as they are account ids.
#[must_use]
pub fn accounts_of(object: &CrossAccountInvoke) -> Vec<AccountId> {
    [&object.spec.tools_account.id, &object.spec.dev_account.id].into_iter().filter_map(|id| id.parse().ok()).collect()
}
