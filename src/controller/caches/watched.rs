//! What is watched, and which of it is worth a reconcile.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use futures::{
    StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, store::Writer},
        watcher,
    },
};

use super::{
    Caches, Guarded, GuardedAccount, GuardedNamespace,
    feeds::{LeftBehind, Unheld},
    key_of,
};
use crate::{
    api::{AwsAccount, CrossAccountInvoke},
    cluster::{
        digest::{NO_STATUS, content, digest_of, status_digest},
        watch::{Watching, is_of_one_namespace, relisting, whether_unlistable, with_store_emptied},
    },
    controller::{context::FINALIZER, status_inventory::read_inventory},
    domain::{ids::ObjectKey, inventory::Inventory},
};

impl Caches {
    pub(super) fn object_stream(
        self: Arc<Self>,
        api: Api<Guarded>,
        namespace: Option<String>,
        writer: Writer<Guarded>,
    ) -> BoxStream<'static, Result<Guarded, watcher::Error>> {
        let (caches, noting) = (self.clone(), self.clone());
        let (mut first, one) = (true, namespace.is_some());
        let (learning, scope) = (self.clone(), namespace.clone());
        let (store, known) = (writer.as_reader(), Arc::new(Mutex::new(Vec::new())));
        let listed = known.clone();
        let learn = move |learned: Watching<'_>| {
            learning.note_watching::<CrossAccountInvoke>(scope.as_deref(), &learned);
        };
        let events = relisting(api, learn).default_backoff().inspect(move |event| {
            match (event, &namespace) {
                (Err(watcher::Error::InitialListFailed(error)), Some(_)) if is_of_one_namespace(error) => {}
                (Err(error), _) => noting.note_failure::<CrossAccountInvoke>(error),
                (Ok(event), _) => noting.note(&mut first, event),
            }
            // Only a list says what is gone, and a store that was emptied knows of nothing that could be.
            if matches!(event, Ok(watcher::Event::InitDone)) {
                *listed.lock().unwrap_or_else(PoisonError::into_inner) = store.state();
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
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => self.index_pipeline(object),
            watcher::Event::InitDone => {
                let before = std::mem::take(&mut *known.lock().unwrap_or_else(PoisonError::into_inner));
                for object in vanished(&before, &self.objects()) {
                    self.note_left_behind(object);
                }
                self.forget_all_but_known();
            }
            watcher::Event::Init => {}
        });
        events
            .applied_objects()
            .try_filter(move |object| {
                let (content, status) = digests(object);
                let uid = object.uid().unwrap_or_default();
                let held = object.finalizers().iter().any(|name| name == FINALIZER);
                if !held {
                    caches.note_unheld(object);
                }
                // Both are noted, whichever is news.
                let lost = caches.memory.lost_finalizer(&uid, held) && object.meta().deletion_timestamp.is_none();
                let news = caches.memory.is_news(&uid, content, status) || lost;
                if news {
                    caches.memory.regular.disturb(&key_of(object));
                    caches.object_changed(object);
                }
                future::ready(news)
            })
            .boxed()
    }

    pub(super) fn account_stream(
        self: Arc<Self>,
        api: Api<GuardedAccount>,
        writer: Writer<GuardedAccount>,
    ) -> BoxStream<'static, Result<GuardedAccount, watcher::Error>> {
        let seen: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
        let (caches, failing, learning) = (self.clone(), self.clone(), self);
        let learn = move |learned: Watching<'_>| learning.note_watching::<AwsAccount>(None, &learned);
        let events = relisting(api, learn).default_backoff().reflect(writer);
        let mut first = true;
        events
            .inspect_err(move |error| failing.note_failure::<AwsAccount>(error))
            .try_filter_map(move |event| {
                caches.note(&mut first, &event);
                let (object, gone) = match event {
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => (object, false),
                    watcher::Event::Delete(object) => (object, true),
                    watcher::Event::InitDone => {
                        let there = caches.accounts().iter().map(|account| account.name_any()).collect();
                        caches.metrics.retain_accounts(&there);
                        caches.forget_all_but_known();
                        return future::ok(None);
                    }
                    watcher::Event::Init => return future::ok(None),
                };
                if gone {
                    caches.metrics.forget_account(&object.name_any());
                    caches.memory.forget(&object.uid().unwrap_or_default());
                }
                let digest = content(&object, FINALIZER);
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

    pub(super) fn namespace_stream(
        self: Arc<Self>,
        api: Api<GuardedNamespace>,
        writer: Writer<GuardedNamespace>,
    ) -> BoxStream<'static, ()> {
        let seen: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
        let (caches, failing, learning, mut first) = (self.clone(), self.clone(), self.clone(), true);
        let learn = move |learned: Watching<'_>| learning.note_watching::<Namespace>(None, &learned);
        relisting(api, learn)
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

    /// An object that goes without having been in deletion leaves everything behind: somebody took our finalizer off
    /// before. That may be what they wanted, so that nothing is removed, and what stays is named.
    fn note_left_behind(&self, object: &Guarded) {
        let finished = self.memory.is_finished(&object.uid().unwrap_or_default());
        if finished || object.meta().deletion_timestamp.is_some() {
            return;
        }
        let inventory = self.inventory(object);
        if !inventory.0.is_empty() {
            // The receiver lives as long as the process.
            let _ = self.triggers.left_behind.send(LeftBehind { object: object.object_ref(&()), inventory });
        }
    }

    /// An object that has something in AWS and lacks our finalizer: somebody took it off, under this process or before it
    /// started. It is put back before the next look at AWS, which can take long.
    fn note_unheld(&self, object: &Guarded) {
        let finished = self.memory.is_finished(&object.uid().unwrap_or_default());
        if finished || object.meta().deletion_timestamp.is_some() || self.inventory(object).0.is_empty() {
            return;
        }
        let unheld = Unheld {
            object: ObjectRef::from_obj(object),
            resource_version: object.resource_version(),
            finalizers: object.finalizers().to_vec(),
        };
        // The receiver lives as long as the process.
        let _ = self.triggers.unheld.send(unheld);
    }

    /// What an object has in AWS, by its status and by what this process knows.
    fn inventory(&self, object: &Guarded) -> Inventory {
        let known = self.memory.claims(&object.uid().unwrap_or_default()).unwrap_or_default();
        object.0.as_ref().map_or_else(|_| known.clone(), |object| read_inventory(object).union(&known))
    }

    fn index_pipeline(&self, object: &Guarded) {
        match &object.0 {
            Ok(known) => self.index().put(&key_of(object), known),
            Err(_) => self.index().remove(&key_of(object)),
        }
    }

    /// Forgets an object that is gone.
    fn forget(&self, object: &Guarded) {
        self.index().remove(&key_of(object));
        self.memory.regular.disturb(&key_of(object));
        self.memory.forget(object.uid().as_deref().unwrap_or_default());
        self.metrics.forget(&key_of(object));
    }

    /// Forgets what went while a watch was interrupted, of which it tells nothing.
    fn forget_all_but_known(&self) {
        if *self.filling.borrow() > 0 {
            return;
        }
        let objects = self.objects();
        let mut uids: BTreeSet<String> = objects.iter().filter_map(|object| object.uid()).collect();
        uids.extend(self.accounts().iter().filter_map(|account| account.uid()));
        let keys: BTreeSet<ObjectKey> = objects.iter().map(|object| key_of(&**object)).collect();
        self.memory.retain(&uids);
        self.memory.regular.retain(|key| keys.contains(key));
        self.index().retain(&keys);
        self.metrics.retain(&keys);
    }
}

/// The objects that went while a watch was interrupted, of which a new list tells by not having them.
fn vanished<'a>(before: &'a [Arc<Guarded>], now: &[Arc<Guarded>]) -> Vec<&'a Guarded> {
    let there: BTreeSet<String> = now.iter().filter_map(|object| object.uid()).collect();
    let gone = before.iter().filter(|object| object.uid().is_none_or(|uid| !there.contains(&uid)));
    gone.map(Arc::as_ref).collect()
}

fn digests(object: &Guarded) -> (u64, u64) {
    let status = object.0.as_ref().map_or(NO_STATUS, |object| status_digest(object.status.as_ref()));
    (content(object, FINALIZER), status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_a_new_list_does_not_have_is_gone_even_if_another_has_its_name() {
        let object = |name: &str, uid: &str| -> Arc<Guarded> {
            let object = json!({"apiVersion": "crossinvoke.dev/v1alpha1", "kind": "CrossAccountInvoke",
                "metadata": {"name": name, "namespace": "payments", "uid": uid}, "spec": {
                    "toolsAccount": {"id": "111111111111", "region": "us-east-1"}, "devAccount": {"id": "222222222222"},
                    "pipeline": {"name": "release"}, "stage": {"name": "Validate"}, "function": {"name": "MyFunction"}}});
            Arc::new(serde_json::from_value(object).unwrap())
        };
        let before = [object("stays", "1"), object("made-again", "2"), object("gone", "3")];
        let now = [object("stays", "1"), object("made-again", "4"), object("new", "5")];
        let gone: Vec<String> = vanished(&before, &now).into_iter().filter_map(ResourceExt::uid).collect();
        assert_eq!(gone, ["2", "3"]);
        assert!(vanished(&[], &now).is_empty(), "nothing was known before the first list");
    }
}
