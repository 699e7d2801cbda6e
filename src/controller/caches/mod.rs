//! What the controller knows of Kubernetes without asking. `objects` and `watched` have the watches, `lacking` what they do
//! not get.

pub mod feeds;
mod known_accounts;
mod lacking;
mod objects;
mod watched;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    runtime::reflector::{ObjectRef, Store, store::Writer},
};
use tokio::sync::{mpsc, watch};

use self::{
    feeds::{Feed, Feeds, Triggers, channel_stream},
    known_accounts::KnownAccounts,
};
use super::{context::Context, memory::Memory, spreading, status_inventory::read_inventory};
use crate::{
    api::{AwsAccount, CrossAccountInvoke, Reads},
    cluster::Decoded,
    domain::{
        gate::{self, Account},
        ids::{AccountId, InstallationId, ObjectKey},
    },
    engine::index::PipelinePlace,
    http::Readiness,
    telemetry::metrics::Metrics,
};

/// An object, or what is known of one that does not decode.
pub type Guarded = Decoded<CrossAccountInvoke>;
/// An account, or what is known of one that does not decode.
pub type GuardedAccount = Decoded<AwsAccount>;
/// A namespace, or what is known of one that does not decode.
pub type GuardedNamespace = Decoded<Namespace>;

/// What the watch of one namespace, or of all, fills. This process's own writes do so too, before the watch shows them.
#[derive(Clone)]
struct Scope {
    namespace: Option<String>,
    store: Store<Guarded>,
    writer: Arc<Mutex<Writer<Guarded>>>,
}

impl Scope {
    fn new(namespace: Option<String>) -> Self {
        let writer = Writer::default();
        Self { namespace, store: writer.as_reader(), writer: Arc::new(Mutex::new(writer)) }
    }
}

/// The stores of every kind that is read.
pub struct Caches {
    /// One per watched namespace, or one of all.
    objects: Vec<Scope>,
    /// Watched namespaces that cannot be listed.
    unlistable: Mutex<BTreeSet<String>>,
    /// What can be listed and may not be watched: kinds, and the one namespace if it is not all of them.
    unwatchable: Mutex<BTreeSet<(String, Option<String>)>>,
    /// Whether all namespaces are watched and cannot be listed any more.
    all_unlistable: AtomicBool,
    accounts: Store<GuardedAccount>,
    namespaces: Store<GuardedNamespace>,
    /// The accounts by what they are asked for.
    known_accounts: Mutex<KnownAccounts>,
    triggers: Triggers,
    installation: InstallationId,
    /// Whether looks that have the same reason are spread.
    spreads: bool,
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
        installation: &InstallationId,
        watched: &[String],
        spreads: bool,
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
            senders.push((scope.clone(), sender));
            pending.push((Scope::new(scope), asked));
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
            objects: pending.iter().map(|(scope, _)| scope.clone()).collect(),
            unlistable: Mutex::default(),
            unwatchable: Mutex::default(),
            all_unlistable: AtomicBool::new(false),
            accounts: account_writer.as_reader(),
            namespaces: namespace_writer.as_reader(),
            known_accounts: Mutex::default(),
            triggers,
            installation: installation.clone(),
            spreads,
            watched: watched.to_vec(),
            filling: watch::Sender::new(pending.len() + 2),
            memory: memory.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
        });
        let objects = pending
            .into_iter()
            .map(|(scope, asked)| {
                let store = scope.store.clone();
                let api: Api<Guarded> = match &scope.namespace {
                    Some(namespace) => Api::namespaced(client.clone(), namespace),
                    None => Api::all(client.clone()),
                };
                Feed { stream: caches.clone().object_stream(api, scope), store, asked: channel_stream(asked) }
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

    /// Every object of the watched namespaces, for the end of a list alone.
    fn objects(&self) -> Vec<Arc<Guarded>> {
        self.objects.iter().flat_map(|scope| scope.store.state()).collect()
    }

    /// One object.
    #[must_use]
    pub fn object(&self, key: &ObjectKey) -> Option<Arc<Guarded>> {
        let name = ObjectRef::new(&key.name).within(&key.namespace);
        self.objects.iter().find_map(|scope| scope.store.get(&name))
    }

    /// The objects with an action on a pipeline.
    #[must_use]
    pub fn objects_on_pipeline(&self, pipeline: &PipelinePlace) -> Vec<Arc<Guarded>> {
        let keys: Vec<ObjectKey> = self.memory.index(|index| index.on_pipeline(pipeline).cloned().collect());
        keys.iter().filter_map(|key| self.object(key)).collect()
    }

    /// The objects that name an account. One that does not decode may name any.
    #[must_use]
    pub fn naming(&self, account: &str) -> BTreeSet<ObjectKey> {
        let account: Option<AccountId> = account.parse().ok();
        self.memory.index(|index| {
            let named = account.iter().flat_map(|account| index.in_account(account));
            named.chain(index.all_unreadable()).cloned().collect()
        })
    }

    /// Reconciles one object.
    pub fn look_at(&self, key: &ObjectKey) {
        if let Some(object) = self.object(key) {
            self.memory.hold_back_no_more(&object.uid().unwrap_or_default());
        }
        self.trigger(key);
    }

    /// Reconciles one of many objects that have the same reason for it: an account or a namespace has changed. A look that is
    /// still to begin sees that.
    fn look_at_one_of_many(&self, key: &ObjectKey) {
        if let Some(object) = self.object(key) {
            // It is a regular look no more; said before it is asked whether it has begun, which it may meanwhile.
            self.memory.regular.disturb(key);
            if self.memory.is_queued(&object.uid().unwrap_or_default()) {
                return;
            }
            self.hold_back(&object);
        }
        self.trigger(key);
    }

    /// Puts the look at an object off, if there is nothing to be made for it.
    fn hold_back(&self, object: &Guarded) {
        let Some(known) = object.0.as_ref().ok().filter(|known| self.spreads && spreading::is_in_place(known)) else {
            return;
        };
        let until = Context::exact_now() + spreading::delay(known, Context::fraction());
        self.memory.hold_back(&object.uid().unwrap_or_default(), until);
    }

    fn trigger(&self, key: &ObjectKey) {
        self.triggers.object(&ObjectRef::new(&key.name).within(&key.namespace));
    }

    /// Whether an `AwsAccount` asks for single reads of its account.
    pub fn asks_for_single_reads(&self, account: &AccountId) -> bool {
        let all = self.accounts();
        let mut decoded = all.iter().filter_map(|other| other.0.as_ref().ok());
        decoded.any(|other| other.spec.account_id == account.as_str() && other.spec.reads == Reads::Single)
    }

    /// Reconciles the `AwsAccount`s of this account.
    pub fn look_at_account(&self, account: &AccountId) {
        for other in self.accounts() {
            if other.account_id() == Some(account.as_str()) {
                self.triggers.account(&other.name_any());
            }
        }
    }

    /// Every account, for the end of a list and for changes of namespaces.
    fn accounts(&self) -> Vec<Arc<GuardedAccount>> {
        self.accounts.state()
    }

    /// The `AwsAccount`s with this account id.
    #[must_use]
    pub fn accounts_with(&self, id: &str) -> Vec<String> {
        self.known_accounts().with(id)
    }

    /// What the gate looks at: all accounts whose account id can be read.
    #[must_use]
    pub fn gate_accounts(&self) -> Arc<[Account]> {
        self.known_accounts().for_gate(&self.accounts, &self.installation)
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
        if let Ok(account) = account.parse() {
            self.memory.index(|index| index.change_account(&account));
        }
        for key in self.naming(account) {
            self.look_at_one_of_many(&key);
        }
        for name in self.accounts_with(account) {
            self.triggers.account(&name);
        }
    }

    /// Reconciles the `AwsAccount`s that an object names: whether they are in use may have changed.
    pub fn object_changed(&self, object: &Guarded) {
        let known = self.known_accounts();
        let Ok(object) = &object.0 else {
            known.all().for_each(|name| self.triggers.account(name));
            return;
        };
        let mut accounts = read_inventory(object).accounts();
        accounts.extend(accounts_of(object));
        for account in &accounts {
            known.with(account.as_str()).iter().for_each(|name| self.triggers.account(name));
        }
    }

    /// Reconciles the `AwsAccount`s that grant something to a namespace that is gone, and what it held up: nothing shared was
    /// removed while not all of its objects were known.
    fn namespace_gone(&self, namespace: &GuardedNamespace) {
        let (name, labels) = (namespace.name_any(), namespace.labels());
        let held_up = self.lacking_namespaces().contains(&name)
            || self.memory.index(|index| index.unreadable().any(|key| key.namespace == name));
        for account in self.gate_accounts().iter() {
            let grants = |spec| gate::grants_anything(spec, &name, Some(labels));
            if !account.spec.as_ref().map_or(true, grants) {
                continue;
            }
            if held_up {
                self.account_changed(&account.id);
            } else {
                self.accounts_with(&account.id).iter().for_each(|name| self.triggers.account(name));
            }
        }
        // Objects that are still there have lost what was granted by its labels.
        self.objects_of_namespace_changed(&name);
    }

    fn objects_of_namespace_changed(&self, namespace: &str) {
        self.memory.index(|index| index.change_namespace(namespace));
        let keys: Vec<ObjectKey> = self.memory.index(|index| index.in_namespace(namespace).cloned().collect());
        for key in keys {
            self.look_at_one_of_many(&key);
        }
    }

    fn namespace_changed(&self, namespace: &str) {
        self.objects_of_namespace_changed(namespace);
        self.known_accounts().all().for_each(|name| self.triggers.account(name));
    }
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
