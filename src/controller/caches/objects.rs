//! What the watches of `CrossAccountInvoke`s bring, on its way into the stores and to those who wait for it.
//!
//! A list comes in pages, and until its end the store holds what was there before: whoever was sent to look at an object of
//! the first page would find an old one, or none. So nothing of a list counts before its end. Then everything in it that
//! changed since it was last seen is looked at, and what it does not have is gone.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{WatchStreamExt, reflector::ObjectRef, watcher},
};

use super::{
    Caches, Guarded, Scope, accounts_of,
    feeds::{LeftBehind, Unheld},
    key_of,
};
use crate::{
    api::CrossAccountInvoke,
    cluster::{
        Decoded,
        digest::{NO_STATUS, content, digest_of, status_digest},
        watch::{Watching, is_of_one_namespace, relisting, whether_unlistable, with_store_emptied},
    },
    controller::{context::FINALIZER, status_inventory::read_inventory},
    domain::{ids::ObjectKey, inventory::Inventory, spec::Declared, validate::validate},
    engine::index::{Names, Neighbour, Shown},
};

/// What one watch brings.
type Brought = Result<Arc<Guarded>, watcher::Error>;

/// What an object was when it was read, as digests: of its content, and of its status.
type Digests = (u64, u64);

/// The watch of one namespace, or of all.
pub(super) struct Intake {
    caches: Arc<Caches>,
    scope: Scope,
    /// Until the store was filled once.
    first: bool,
    /// The objects of a list that is not at its end.
    listed: HashMap<ObjectKey, Digests>,
}

impl Caches {
    pub(super) fn object_stream(
        self: Arc<Self>,
        api: Api<Guarded>,
        scope: Scope,
    ) -> BoxStream<'static, Result<Guarded, watcher::Error>> {
        let (learning, namespace) = (self.clone(), scope.namespace.clone());
        let learn = move |learned: Watching<'_>| {
            learning.note_watching::<CrossAccountInvoke>(namespace.as_deref(), &learned);
        };
        let mut intake = Intake::new(self, scope);
        let brought = relisting(api, learn).default_backoff().flat_map(move |event| stream::iter(intake.take(event)));
        // One at a time: a list can be long.
        brought.map(|object| object.map(|object| (*object).clone())).boxed()
    }
}

impl Intake {
    pub(super) fn new(caches: Arc<Caches>, scope: Scope) -> Self {
        Self { caches, scope, first: true, listed: HashMap::new() }
    }

    /// Takes what the watch brings; returns the objects that are worth a look.
    pub(super) fn take(&mut self, event: watcher::Result<watcher::Event<Guarded>>) -> Vec<Brought> {
        let (mut brought, is_listed) = (Vec::new(), event.is_ok());
        // What may not be listed is known as such before it leaves the store.
        let is_end = matches!(event, Ok(watcher::Event::InitDone));
        if !is_end {
            self.note(&event);
        }
        for event in with_store_emptied(event, self.scope.namespace.is_some()) {
            match event {
                Ok(event) => brought.extend(self.apply(event, is_listed).into_iter().map(Ok)),
                Err(error) => brought.push(Err(error)),
            }
        }
        if is_end {
            self.note(&Ok(watcher::Event::InitDone));
        }
        brought
    }

    /// Takes note of what can be listed.
    fn note(&mut self, event: &watcher::Result<watcher::Event<Guarded>>) {
        let caches = &self.caches;
        if event.is_ok() {
            caches.note_alive(&self.scope);
        }
        match (event, &self.scope.namespace) {
            (Err(watcher::Error::InitialListFailed(error)), Some(_)) if is_of_one_namespace(error) => {}
            (Err(error), _) => caches.note_failure::<CrossAccountInvoke>(error),
            (Ok(event), _) => caches.note(&mut self.first, event),
        }
        match (&self.scope.namespace, whether_unlistable(event)) {
            (Some(namespace), _) => caches.note_namespace(namespace, &mut self.first, event),
            (None, Some(unlistable)) => caches.all_unlistable.store(unlistable, Ordering::SeqCst),
            (None, None) => {}
        }
    }

    /// Takes an event into the store; `is_listed` says whether it is from the API server, or empties the store of what may not
    /// be listed any more.
    fn apply(&mut self, event: watcher::Event<Guarded>, is_listed: bool) -> Vec<Arc<Guarded>> {
        let known = if matches!(event, watcher::Event::InitDone) { self.scope.store.state() } else { Vec::new() };
        let digests = match &event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                Some((key_of(object), digests(object)))
            }
            watcher::Event::Delete(_) | watcher::Event::Init | watcher::Event::InitDone => None,
        };
        let event = event.modify(slim);
        let is_later = self.scope.apply(&event, |object| self.caches.show(object));
        match event {
            watcher::Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(_) => {
                self.listed.extend(digests);
                Vec::new()
            }
            watcher::Event::InitDone => self.end_of_list(&known, is_listed),
            watcher::Event::Apply(object) => {
                let is_news = digests.is_some_and(|(_, digests)| self.caches.is_news(&object, digests, is_later));
                if is_news { vec![Arc::new(object)] } else { Vec::new() }
            }
            watcher::Event::Delete(object) => {
                self.caches.note_left_behind(&object);
                self.caches.forget(&object);
                self.caches.object_changed(&object);
                Vec::new()
            }
        }
    }

    /// Everything that changed since it was last seen is looked at, and what the list does not have is gone.
    fn end_of_list(&mut self, known: &[Arc<Guarded>], is_listed: bool) -> Vec<Arc<Guarded>> {
        let mut there = self.scope.store.state();
        for object in vanished(known, &there) {
            // A store that was emptied says nothing of what is there.
            if is_listed {
                self.caches.note_left_behind(object);
            }
            self.caches.forget(object);
            self.caches.object_changed(object);
        }
        let listed = std::mem::take(&mut self.listed);
        for object in &there {
            self.scope.while_newest(object, || self.caches.show(object));
        }
        self.caches.forget_all_but_known();
        there.retain(|object| {
            listed.get(&key_of(&**object)).is_some_and(|digests| self.caches.is_news(object, *digests, true))
        });
        there
    }
}

impl Scope {
    /// Takes an event into the store, unless it is about this very object as it was before. Says whether it did. `then` comes
    /// before anything newer of an object that is applied.
    fn apply(&self, event: &watcher::Event<Guarded>, then: impl FnOnce(&Guarded)) -> bool {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let watcher::Event::Apply(object) = event
            && self.known(object).is_some_and(|known| version(&known) > version(object))
        {
            return false;
        }
        writer.apply_watcher_event(event);
        if let watcher::Event::Apply(object) = event {
            then(object);
        }
        true
    }

    /// Does this unless the store has the very object as it was later.
    fn while_newest(&self, object: &Guarded, then: impl FnOnce()) {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.known(object).is_none_or(|known| version(&known) <= version(object)) {
            then();
        }
    }

    /// Takes an answer of the API server into the store, if it has this very object as it was before. `then` comes before any
    /// later event, which could otherwise be undone by it.
    fn advance(&self, object: Guarded, then: impl FnOnce()) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let is_later = self.known(&object).is_some_and(|known| version(&known) < version(&object));
        if is_later {
            writer.apply_watcher_event(&watcher::Event::Apply(object));
            then();
        }
    }

    /// The very object as the store has it.
    fn known(&self, object: &Guarded) -> Option<Arc<Guarded>> {
        self.store.get(&ObjectRef::from_obj(object)).filter(|known| known.uid() == object.uid())
    }

    fn watches(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|watched| watched == namespace)
    }

    /// As what is said about its watch is kept.
    fn watch(&self) -> String {
        let of =
            self.namespace.as_ref().map_or_else(|| "all namespaces".to_owned(), |name| format!("namespace {name}"));
        format!("the watch of crossaccountinvokes in {of}")
    }
}

/// Later versions of an object are larger (Kubernetes API concepts, resource versions).
fn version(object: &Guarded) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

impl Caches {
    /// Takes note of an object as the API server just answered with it, unless the watch has shown that it is gone or newer.
    pub fn learn(&self, object: &CrossAccountInvoke) {
        let mut object = Decoded(Ok(object.clone()));
        slim(&mut object);
        let namespace = object.namespace().unwrap_or_default();
        let Some(scope) = self.objects.iter().find(|scope| scope.watches(&namespace)) else { return };
        let shown = self.shown(&object);
        let key = key_of(&object);
        scope.advance(object, || {
            self.memory.index(|index| index.put(&key, shown));
        });
    }

    /// The watch has not shown what the API server has: it is said until the watch shows anything again.
    pub fn note_lagging(&self, key: &ObjectKey) {
        let Some(scope) = self.objects.iter().find(|scope| scope.watches(&key.namespace)) else { return };
        let what = format!(
            "{} lags behind: {key} was changed, and it has not shown that; such objects are read one by one meanwhile",
            scope.watch()
        );
        if self.readiness.unlistable(&scope.watch(), &what) {
            tracing::warn!("{what}");
        }
    }

    fn note_alive(&self, scope: &Scope) {
        if self.readiness.listable(&scope.watch()) {
            tracing::info!("{} shows changes again", scope.watch());
        }
    }

    /// What an object names and what others may rest on of it, as the watch shows it.
    fn shown(&self, object: &Guarded) -> Shown {
        let uid = object.uid().unwrap_or_default();
        let Ok(known) = &object.0 else { return Shown { uid, ..Shown::default() } };
        let accounts = accounts_of(known).into_iter().collect();
        let held = read_inventory(known);
        let names = Names { accounts, ..Names::default() }.and_held(&held);
        // How often it is looked at concerns nobody else.
        let but_interval = |declared| Declared { interval: Duration::ZERO, ..declared };
        let declared = validate(&key_of(known), &known.spec, &self.installation).ok().map(but_interval);
        let names = declared.iter().fold(names, Names::and_declared);
        let content = digest_of(&(&declared, &held));
        let neighbour = Some(Arc::new(Neighbour { uid: uid.clone(), declared, recorded: Arc::new(held) }));
        Shown { uid, neighbour, names, content }
    }

    fn show(&self, object: &Guarded) {
        let shown = self.shown(object);
        self.memory.index(|index| index.put(&key_of(object), shown));
    }

    /// Forgets an object that is gone; another one may have its name.
    fn forget(&self, object: &Guarded) {
        let (key, uid) = (key_of(object), object.uid().unwrap_or_default());
        let is_gone = self.memory.index(|index| {
            let is_gone = index.key(&uid) == Some(&key);
            if is_gone {
                index.remove(&key);
            }
            is_gone
        });
        self.memory.regular.disturb(&key);
        self.memory.forget(&uid);
        if is_gone {
            self.metrics.forget(&key);
        }
    }

    /// Whether an object is another one than it was, and not only by what we wrote ourselves. One that is older than what is known
    /// may lack a finalizer that it has by now.
    fn is_news(&self, object: &Guarded, (content, status): Digests, is_later: bool) -> bool {
        let uid = object.uid().unwrap_or_default();
        let held = object.finalizers().iter().any(|name| name == FINALIZER);
        if !held && is_later {
            self.note_unheld(object);
        }
        // Both are noted, whichever is news.
        let lost = self.memory.lost_finalizer(&uid, held) && object.meta().deletion_timestamp.is_none();
        let is_first_sight = !self.memory.has_seen(&uid);
        let news = self.memory.is_news(&uid, content, status) || lost;
        if news {
            self.memory.regular.disturb(&key_of(object));
            if is_first_sight {
                self.hold_back(object);
            } else {
                self.memory.hold_back_no_more(&uid);
            }
            self.object_changed(object);
        }
        news
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
        object.0.as_ref().map_or_else(|_| (*known).clone(), |object| read_inventory(object).union(&known))
    }
}

/// Leaves out what nobody reads of an object and whoever writes it may make as large as the API server takes. Of the labels
/// the digest is known.
fn slim(object: &mut Guarded) {
    let meta = object.meta_mut();
    meta.labels = None;
    meta.owner_references = None;
    meta.managed_fields = None;
}

/// The objects that went while a watch was interrupted, of which a new list tells by not having them.
fn vanished<'a>(before: &'a [Arc<Guarded>], now: &[Arc<Guarded>]) -> Vec<&'a Guarded> {
    let there: BTreeSet<String> = now.iter().filter_map(|object| object.uid()).collect();
    let gone = before.iter().filter(|object| object.uid().is_none_or(|uid| !there.contains(&uid)));
    gone.map(Arc::as_ref).collect()
}

fn digests(object: &Guarded) -> Digests {
    let status = object.0.as_ref().map_or(NO_STATUS, |object| status_digest(object.status.as_ref()));
    (content(object, FINALIZER), status)
}

#[cfg(test)]
mod tests;
