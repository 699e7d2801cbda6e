//! What is watched of accounts and namespaces, and which of it is worth a reconcile; `objects` has the objects.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    runtime::{WatchStreamExt, reflector::store::Writer, watcher},
};

use super::{Caches, GuardedAccount, GuardedNamespace, key_of};
use crate::{
    api::AwsAccount,
    cluster::{
        digest::{content, digest_of},
        watch::{Watching, after_the_list, relisting},
    },
    controller::context::FINALIZER,
    domain::ids::ObjectKey,
};

impl Caches {
    pub(super) fn account_stream(
        self: Arc<Self>,
        api: Api<GuardedAccount>,
        writer: Writer<GuardedAccount>,
    ) -> BoxStream<'static, Result<GuardedAccount, watcher::Error>> {
        let seen: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
        let (caches, failing, learning) = (self.clone(), self.clone(), self);
        let learn = move |learned: Watching<'_>| learning.note_watching::<AwsAccount>(None, &learned);
        let events = after_the_list(relisting(api, learn).default_backoff().reflect(writer));
        let mut first = true;
        events
            .inspect_err(move |error| failing.note_failure::<AwsAccount>(error))
            .try_filter_map(move |event| {
                caches.note(&mut first, &event);
                let (object, gone) = match event {
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => (object, false),
                    watcher::Event::Delete(object) => (object, true),
                    watcher::Event::InitDone => {
                        let accounts = caches.accounts();
                        // Who is gone since the last list wakes those that named it, as one does that is seen to go.
                        let gone = caches.known_accounts().replace(&accounts);
                        for id in &gone {
                            caches.account_changed(id);
                        }
                        let there = accounts.iter().map(|account| account.name_any()).collect();
                        caches.metrics.retain_accounts(&there);
                        caches.forget_all_but_known();
                        return future::ok(None);
                    }
                    watcher::Event::Init => return future::ok(None),
                };
                if gone {
                    caches.known_accounts().remove(&object.name_any());
                    caches.metrics.forget_account(&object.name_any());
                    caches.memory.forget(&object.uid().unwrap_or_default());
                } else {
                    caches.known_accounts().put(&object);
                }
                let digest = content(&object, FINALIZER);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let changed = seen.insert(object.name_any(), digest) != Some(digest);
                if gone {
                    seen.remove(&object.name_any());
                }
                if (changed || gone)
                    && let Some(id) = object.account_id()
                {
                    caches.account_changed(id);
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
        after_the_list(relisting(api, learn).default_backoff().reflect(writer))
            .inspect_err(move |error| failing.note_failure::<Namespace>(error))
            .inspect_ok(move |event| caches.note(&mut first, event))
            .filter_map(move |event| {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(watcher::Event::Apply(namespace) | watcher::Event::InitApply(namespace)) => {
                        let digest = digest_of(namespace.labels());
                        if seen.insert(namespace.name_any(), digest) != Some(digest) {
                            self.namespace_changed(&namespace.name_any());
                        }
                    }
                    Ok(watcher::Event::Delete(namespace)) => {
                        seen.remove(&namespace.name_any());
                        self.namespace_gone(&namespace);
                    }
                    Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => {}
                }
                future::ready(None)
            })
            .boxed()
    }

    /// Forgets what went while a watch was interrupted, of which it tells nothing.
    pub(super) fn forget_all_but_known(&self) {
        if *self.filling.borrow() > 0 {
            return;
        }
        let objects = self.objects();
        let mut uids: BTreeSet<String> = objects.iter().filter_map(|object| object.uid()).collect();
        uids.extend(self.accounts().iter().filter_map(|account| account.uid()));
        let keys: BTreeSet<ObjectKey> = objects.iter().map(|object| key_of(&**object)).collect();
        self.memory.retain(&uids);
        self.memory.regular.retain(|key| keys.contains(key));
        self.metrics.retain(&keys);
    }
}
