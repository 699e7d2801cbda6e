//! Watches and their stores: what the controller knows of Kubernetes without asking.

use std::{
    collections::{BTreeSet, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{
    Stream, StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tokio::sync::{mpsc, watch};

use super::{
    context::{Context, FINALIZER},
    memory::{Memory, NO_STATUS},
    startup::{describe, is_of_one_namespace},
    status_inventory::read_inventory,
};
use crate::{
    api::{AwsAccount, CrossAccountInvoke},
    cluster::Decoded,
    domain::{
        ids::{AccountId, ObjectKey},
        inventory::Inventory,
    },
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
    /// Whether all namespaces are watched and cannot be listed any more.
    all_unlistable: AtomicBool,
    accounts: Store<GuardedAccount>,
    namespaces: Store<GuardedNamespace>,
    triggers: Triggers,
    watched: Vec<String>,
    /// How many stores have not been filled once.
    filling: watch::Sender<usize>,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

/// Asks for reconciles from outside the watches.
#[derive(Clone)]
pub struct Triggers {
    objects: Vec<(Option<String>, mpsc::UnboundedSender<ObjectRef<Guarded>>)>,
    accounts: mpsc::UnboundedSender<ObjectRef<GuardedAccount>>,
    left_behind: mpsc::UnboundedSender<LeftBehind>,
}

/// An object that is gone, and what it leaves in AWS.
#[derive(Debug)]
pub struct LeftBehind {
    /// What an event about it names.
    pub object: ObjectReference,
    /// What stays.
    pub inventory: Inventory,
}

impl Triggers {
    fn object(&self, object: &ObjectRef<Guarded>) {
        for (namespace, sender) in &self.objects {
            if namespace.is_none() || *namespace == object.namespace {
                // The receiver lives as long as the process.
                let _ = sender.send(object.clone());
            }
        }
    }

    fn account(&self, name: &str) {
        let _ = self.accounts.send(ObjectRef::new(name));
    }
}

/// What one `Controller` runs on.
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
    /// The namespaces' watch, to be polled for as long as the process runs.
    pub namespaces: BoxStream<'static, ()>,
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
        let triggers = Triggers { objects: senders, accounts: account_sender, left_behind: left_sender };
        let account_writer: Writer<GuardedAccount> = Writer::default();
        let namespace_writer: Writer<GuardedNamespace> = Writer::default();
        let caches = Arc::new(Self {
            objects: pending.iter().map(|(_, _, store, _)| store.clone()).collect(),
            unlistable: Mutex::default(),
            all_unlistable: AtomicBool::new(false),
            accounts: account_writer.as_reader(),
            namespaces: namespace_writer.as_reader(),
            triggers,
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
                Feed { stream: caches.clone().object_stream(api, scope, writer), store, asked: tokio_stream(asked) }
            })
            .collect();
        let accounts = Feed {
            stream: caches.clone().account_stream(Api::all(client.clone()), account_writer),
            store: caches.accounts.clone(),
            asked: tokio_stream(account_asked),
        };
        let namespaces = caches.clone().namespace_stream(Api::all(client.clone()), namespace_writer);
        (caches, Feeds { objects, accounts, left_behind: tokio_stream(left_behind), namespaces })
    }

    /// Resolves when every store holds what the API server had.
    ///
    /// Counted here and not by `Store::wait_until_ready`, which keeps one waker only: of several waiters all but the last
    /// would sleep for ever.
    pub async fn synced(&self) {
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = self.filling.subscribe().wait_for(|filling| *filling == 0).await;
    }

    /// Notes the end of a store's filling; `first` is of that store.
    fn note<K: Resource<DynamicType = ()>>(&self, first: &mut bool, event: &watcher::Event<K>) {
        self.readiness.has(&K::plural(&()));
        if !matches!(event, watcher::Event::InitDone) {
            return;
        }
        self.filled(first);
    }

    /// Notes whether a watched namespace can be listed. One that cannot be is waited for no longer: it stops nobody else.
    fn note_namespace(&self, namespace: &str, first: &mut bool, event: &watcher::Result<watcher::Event<Guarded>>) {
        let error = match event {
            Ok(watcher::Event::InitDone) => None,
            Err(watcher::Error::InitialListFailed(error)) if is_of_one_namespace(error) => Some(error),
            _ => return,
        };
        let count = {
            let mut unlistable = self.unlistable.lock().unwrap_or_else(PoisonError::into_inner);
            match error {
                Some(_) => unlistable.insert(namespace.to_owned()),
                None => unlistable.remove(namespace),
            };
            unlistable.len()
        };
        self.metrics.namespaces_unlistable(count);
        let Some(error) = error else {
            if self.readiness.listable(namespace) {
                tracing::info!(namespace, "the namespace can be listed");
            }
            return;
        };
        let what = format!(
            "namespace {namespace} is not served: {}; grant list and watch there, or take it out of watchNamespaces",
            describe(error, &CrossAccountInvoke::plural(&()))
        );
        if self.readiness.unlistable(namespace, &what) {
            tracing::warn!("{what}");
        }
        self.filled(first);
    }

    /// Watched namespaces that cannot be listed: what their objects need is not known.
    #[must_use]
    pub fn unlistable(&self) -> Vec<String> {
        self.unlistable.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether all namespaces are watched and none can be listed: what objects were made or changed since is not known.
    #[must_use]
    pub fn all_unlistable(&self) -> bool {
        self.all_unlistable.load(Ordering::SeqCst)
    }

    /// A store is filled, or not to be waited for; `first` is of that store.
    fn filled(&self, first: &mut bool) {
        if std::mem::take(first) {
            self.filling.send_modify(|filling| *filling -= 1);
        }
    }

    /// A watch that fails (a right taken away, a kind uninstalled) is tried again with a growing delay.
    fn note_failure<K: Resource<DynamicType = ()>>(&self, error: &watcher::Error) {
        let kind = K::plural(&());
        let what = match error {
            watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
                describe(error, &kind)
            }
            error => format!("{kind} cannot be watched: {error}"),
        };
        // A watch that ends is opened again at once; what cannot be listed, or is not there to be watched, is a lack.
        let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
        let lacking = match error {
            watcher::Error::InitialListFailed(_) => true,
            watcher::Error::WatchStartFailed(error) => gone(error),
            _ => false,
        };
        if !lacking {
            tracing::debug!("{what}");
        } else if self.readiness.lacks(&kind, &what, Context::now()) {
            tracing::warn!("not ready: {what}");
        }
    }

    /// An object that goes without having been in deletion leaves everything behind: somebody took our finalizer off
    /// before. That may be what they wanted, so that nothing is removed, and what stays is named.
    fn note_left_behind(&self, object: &Guarded) {
        if object.meta().deletion_timestamp.is_some() {
            return;
        }
        let known = self.memory.claims(&object.uid().unwrap_or_default()).unwrap_or_default();
        let inventory = object.0.as_ref().map_or_else(|_| known.clone(), |object| read_inventory(object).union(&known));
        if !inventory.0.is_empty() {
            // The receiver lives as long as the process.
            let _ = self.triggers.left_behind.send(LeftBehind { object: object.object_ref(&()), inventory });
        }
    }

    /// Forgets an object that is gone.
    fn forget(&self, object: &Guarded) {
        self.memory.forget(object.uid().as_deref().unwrap_or_default());
        self.metrics.forget(&key_of(object));
    }

    /// Forgets what went while a watch was interrupted, of which it tells nothing.
    fn forget_all_but_known(&self) {
        if *self.filling.borrow() > 0 {
            return;
        }
        let objects = self.objects();
        let uids: BTreeSet<String> = objects.iter().filter_map(|object| object.uid()).collect();
        let keys: BTreeSet<ObjectKey> = objects.iter().map(|object| key_of(&**object)).collect();
        self.memory.retain(&uids);
        self.metrics.retain(&keys);
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

    fn object_stream(
        self: Arc<Self>,
        api: Api<Guarded>,
        namespace: Option<String>,
        writer: Writer<Guarded>,
    ) -> BoxStream<'static, Result<Guarded, watcher::Error>> {
        let (caches, noting) = (self.clone(), self.clone());
        let (mut first, one) = (true, namespace.is_some());
        let events = relisting(api).default_backoff().inspect(move |event| {
            match (event, &namespace) {
                (Err(watcher::Error::InitialListFailed(error)), Some(_)) if is_of_one_namespace(error) => {}
                (Err(error), _) => noting.note_failure::<CrossAccountInvoke>(error),
                (Ok(event), _) => noting.note(&mut first, event),
            }
            match (&namespace, whether_unlistable(event)) {
                (Some(namespace), _) => noting.note_namespace(namespace, &mut first, event),
                (None, Some(unlistable)) => noting.all_unlistable.store(unlistable, Ordering::SeqCst),
                (None, None) => {}
            }
        });
        let events = events.flat_map(move |event| stream::iter(with_store_emptied(event, one))).reflect(writer);
        let events = events.inspect_ok(move |event| match event {
            watcher::Event::Delete(object) => {
                self.note_left_behind(object);
                self.forget(object);
                self.object_changed(object);
            }
            watcher::Event::InitDone => self.forget_all_but_known(),
            _ => {}
        });
        events
            .applied_objects()
            .try_filter(move |object| {
                let (content, status) = digests(object);
                let uid = object.uid().unwrap_or_default();
                let held = object.finalizers().iter().any(|name| name == FINALIZER);
                // Both are noted, whichever is news.
                let lost = caches.memory.lost_finalizer(&uid, held) && object.meta().deletion_timestamp.is_none();
                let news = caches.memory.is_news(&uid, content, status) || lost;
                if news {
                    caches.object_changed(object);
                }
                future::ready(news)
            })
            .boxed()
    }

    fn account_stream(
        self: Arc<Self>,
        api: Api<GuardedAccount>,
        writer: Writer<GuardedAccount>,
    ) -> BoxStream<'static, Result<GuardedAccount, watcher::Error>> {
        let seen: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
        let events = watcher(api, watcher::Config::default()).default_backoff().reflect(writer);
        let (caches, failing) = (self.clone(), self);
        let mut first = true;
        events
            .inspect_err(move |error| failing.note_failure::<AwsAccount>(error))
            .try_filter_map(move |event| {
                caches.note(&mut first, &event);
                let (object, gone) = match event {
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => (object, false),
                    watcher::Event::Delete(object) => (object, true),
                    watcher::Event::Init | watcher::Event::InitDone => return future::ok(None),
                };
                if gone {
                    caches.metrics.granting_nothing(&object.name_any(), false);
                }
                let digest = content(&object);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let changed = seen.insert(object.name_any(), digest) != Some(digest);
                if gone {
                    seen.remove(&object.name_any());
                }
                if (changed || gone)
                    && let Ok(account) = &object.0
                {
                    caches.account_changed(&account.spec.account_id);
                }
                future::ok((changed && !gone).then_some(object))
            })
            .boxed()
    }

    fn namespace_stream(
        self: Arc<Self>,
        api: Api<GuardedNamespace>,
        writer: Writer<GuardedNamespace>,
    ) -> BoxStream<'static, ()> {
        let seen: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
        let (caches, failing, mut first) = (self.clone(), self.clone(), true);
        watcher(api, watcher::Config::default())
            .default_backoff()
            .reflect(writer)
            .inspect_err(move |error| failing.note_failure::<Namespace>(error))
            .inspect_ok(move |event| caches.note(&mut first, event))
            .applied_objects()
            .filter_map(move |namespace| {
                if let Ok(namespace) = namespace {
                    let digest = digest_of(namespace.labels());
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    if seen.insert(namespace.name_any(), digest) != Some(digest) {
                        self.namespace_changed(&namespace.name_any());
                    }
                }
                future::ready(None)
            })
            .boxed()
    }
}

type Events<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

/// A watch that lists again once it is forbidden: a watcher that may not be opened any more would otherwise try that for
/// ever, and nobody would learn whether the objects can still be listed.
fn relisting<K>(api: Api<K>) -> Events<K>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let open = move || watcher(api.clone(), watcher::Config::default()).boxed();
    let events = open();
    stream::unfold((open, events), |(open, mut events)| async move {
        let event = events.next().await?;
        if matches!(&event, Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) if status.code == 403) {
            events = open();
        }
        Some((event, (open, events)))
    })
    .boxed()
}

/// Whether an event shows that the objects of its scope cannot be listed, or that they can; `None` when it shows neither.
fn whether_unlistable<K>(event: &watcher::Result<watcher::Event<K>>) -> Option<bool> {
    match event {
        Ok(watcher::Event::InitDone) => Some(false),
        Err(watcher::Error::InitialListFailed(error)) if is_of_one_namespace(error) => Some(true),
        _ => None,
    }
}

/// What may not be listed any more in `one` namespace leaves the store: it may have changed since, and nobody may act on it.
/// Where all namespaces are watched, what was known stays: an empty store would say that nothing is in use.
fn with_store_emptied<K>(
    event: watcher::Result<watcher::Event<K>>,
    one: bool,
) -> impl Iterator<Item = watcher::Result<watcher::Event<K>>> {
    let forbidden =
        matches!(&event, Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.code == 403);
    let emptied = (forbidden && one).then(|| [Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]);
    std::iter::once(event).chain(emptied.into_iter().flatten())
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

/// A digest of a status, as this process writes and reads it; zero for none.
#[must_use]
pub fn status_digest(status: Option<&impl serde::Serialize>) -> u64 {
    status.map_or(NO_STATUS, |status| digest_of(&serde_json::to_string(status).unwrap_or_default()))
}

fn digests(object: &Guarded) -> (u64, u64) {
    let status = object.0.as_ref().map_or(NO_STATUS, |object| status_digest(object.status.as_ref()));
    (content(object), status)
}

/// Everything of an object's metadata whose change asks for a reconcile; the generation stands for the spec.
fn content(object: &impl ResourceExt) -> u64 {
    let meta = object.meta();
    // Our own finalizer is left out: putting it on must not ask for another reconcile.
    let finalizers: Vec<&String> = object.finalizers().iter().filter(|name| *name != FINALIZER).collect();
    digest_of(&(
        object.uid(),
        meta.generation,
        meta.deletion_timestamp.as_ref().map(|time| time.0),
        object.annotations().clone(),
        object.labels().clone(),
        finalizers,
    ))
}

fn digest_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn tokio_stream<T: Send + 'static>(receiver: mpsc::UnboundedReceiver<T>) -> BoxStream<'static, T> {
    futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|item| (item, receiver)) })
        .boxed()
}

/// Polls a stream to its end.
pub async fn drain(stream: impl Stream<Item = ()> + Send) {
    stream.for_each(|()| future::ready(())).await;
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16) -> watcher::Result<watcher::Event<Namespace>> {
        let status = Status { code, ..Status::default() };
        Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn a_refused_list_empties_the_store_of_one_namespace_and_not_that_of_all() {
        for (code, one, events) in [(403, true, 3), (403, false, 1), (500, true, 1), (404, false, 1)] {
            assert_eq!(with_store_emptied(refused(code), one).count(), events, "{code} {one}");
        }
    }

    #[test]
    fn what_cannot_be_listed_is_so_until_it_was_listed() {
        for (event, shows) in [
            (refused(403), Some(true)),
            (refused(500), Some(true)),
            // The kind is not there, and so nothing of it.
            (refused(404), None),
            (Ok(watcher::Event::Init), None),
            (Ok(watcher::Event::InitDone), Some(false)),
            (Err(watcher::Error::NoResourceVersion), None),
        ] {
            assert_eq!(whether_unlistable(&event), shows, "{event:?}");
        }
    }
}
