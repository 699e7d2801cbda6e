//! What is lacking: stores that are not filled yet, namespaces that cannot be listed, watches that fail.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, atomic::Ordering},
};

use kube::{
    Resource,
    runtime::{reflector::ObjectRef, watcher},
};

use super::{Caches, Guarded};
use crate::{
    api::CrossAccountInvoke,
    cluster::watch::{Watching, describe, describe_watch, is_of_one_namespace},
    controller::context::Context,
};

impl Caches {
    /// Resolves when every store holds what the API server had.
    ///
    /// Counted here and not by `Store::wait_until_ready`, which keeps one waker only: of several waiters all but the last
    /// would sleep for ever.
    pub async fn synced(&self) {
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = self.filling.subscribe().wait_for(|filling| *filling == 0).await;
    }

    /// Notes the end of a store's filling; `first` is of that store.
    pub(super) fn note<K: Resource<DynamicType = ()>>(&self, first: &mut bool, event: &watcher::Event<K>) {
        self.readiness.has(&K::plural(&()));
        if !matches!(event, watcher::Event::InitDone) {
            return;
        }
        self.filled(first);
    }

    /// Notes whether a watched namespace can be listed. One that cannot be is waited for no longer: it stops nobody else.
    pub(super) fn note_namespace(
        &self,
        namespace: &str,
        first: &mut bool,
        event: &watcher::Result<watcher::Event<Guarded>>,
    ) {
        let error = match event {
            Ok(watcher::Event::InitDone) => None,
            Err(watcher::Error::InitialListFailed(error)) if is_of_one_namespace(error) => Some(error),
            _ => return,
        };
        {
            let mut unlistable = self.unlistable.lock().unwrap_or_else(PoisonError::into_inner);
            match error {
                Some(_) => unlistable.insert(namespace.to_owned()),
                None => unlistable.remove(namespace),
            };
        }
        self.metrics.namespaces_unlistable(self.lacking_namespaces().len());
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

    /// Notes whether a kind may be watched, in one namespace or everywhere. What is only listed is known late.
    pub(super) fn note_watching<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>, learned: &Watching<'_>) {
        let kind = K::plural(&()).into_owned();
        let scope = namespace.map_or_else(|| kind.clone(), |namespace| format!("namespace {namespace}"));
        let (watch, place) = (format!("{kind} in {scope}, watch"), (kind, namespace.map(str::to_owned)));
        let mut unwatchable = self.unwatchable.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match learned {
            Watching::Refused(_) => unwatchable.insert(place),
            Watching::Allowed => unwatchable.remove(&place),
        };
        drop(unwatchable);
        self.metrics.namespaces_unlistable(self.lacking_namespaces().len());
        match learned {
            Watching::Allowed => {
                self.readiness.listable(&watch);
                self.readiness.has(&watch);
                if news {
                    tracing::info!("{scope} can be watched again");
                }
            }
            Watching::Refused(error) => {
                let what = format!("{scope} can be listed and not watched: {}", describe_watch(error, &K::plural(&())));
                match namespace {
                    Some(_) => self.readiness.unlistable(&watch, &what),
                    None => self.readiness.lacks(&watch, &what, Context::now()),
                };
                if news {
                    tracing::warn!("{what}");
                }
            }
        }
    }

    /// Watched namespaces that cannot be listed or watched: what their objects need is not known. One that is gone is refused
    /// for ever to whoever has rights in it alone, and has no objects: it went when the last of them had gone.
    #[must_use]
    pub fn unlistable(&self) -> Vec<String> {
        let there = |namespace: &String| self.namespaces.get(&ObjectRef::new(namespace)).is_some();
        self.lacking_namespaces().into_iter().filter(there).collect()
    }

    /// Those that are lacking, whether they exist or not.
    pub(super) fn lacking_namespaces(&self) -> Vec<String> {
        let unwatchable = self.unwatchable.lock().unwrap_or_else(PoisonError::into_inner);
        let unwatchable = unwatchable.iter().filter(|(kind, _)| *kind == CrossAccountInvoke::plural(&()));
        let mut namespaces: BTreeSet<String> = unwatchable.filter_map(|(_, namespace)| namespace.clone()).collect();
        namespaces.extend(self.unlistable.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        namespaces.into_iter().collect()
    }

    /// Whether all namespaces are watched and none can be listed or watched: what objects were made or changed since is
    /// not known.
    #[must_use]
    pub fn all_unlistable(&self) -> bool {
        let objects = (CrossAccountInvoke::plural(&()).into_owned(), None);
        self.all_unlistable.load(Ordering::SeqCst)
            || self.unwatchable.lock().unwrap_or_else(PoisonError::into_inner).contains(&objects)
    }

    /// A store is filled, or not to be waited for; `first` is of that store.
    pub(super) fn filled(&self, first: &mut bool) {
        if std::mem::take(first) {
            self.filling.send_modify(|filling| *filling -= 1);
        }
    }

    /// A watch that fails (a right taken away, a kind uninstalled) is tried again with a growing delay.
    pub(super) fn note_failure<K: Resource<DynamicType = ()>>(&self, error: &watcher::Error) {
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
}
