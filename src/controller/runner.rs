//! Starts the looks that [`Queue`] lets begin, each as a task of its own, and hands back to it when they end.
//!
//! kube's `Controller` polls every look that is under way whenever any of them goes on, and starts all that are asked for: ten
//! thousand objects are ten thousand tasks that wait for each other's calls (ADR 15).

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Resource,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinSet},
    time::Instant,
};

use super::caches::{feeds::Feed, key_of};
use crate::{
    domain::ids::ObjectKey,
    engine::queue::{Begun, Limits, Queue, Ripe},
};

/// How long nothing is waited for where nothing is to come.
const IDLE: Duration = Duration::from_hours(1);

/// When an object is looked at again whose look has panicked, unless it is asked for.
const AFTER_A_PANIC: Duration = Duration::from_mins(5);

/// When to look again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// After so long, or when it is asked for.
    After(Duration),
    /// When it is asked for.
    OnChange,
}

/// The turn of one look.
#[derive(Debug)]
pub struct Turn {
    /// When it was last asked for.
    pub asked: Instant,
    /// Its place among the looks at work.
    pub at_work: AtWork,
}

/// A place among the looks at work. It is free once this is dropped.
#[derive(Debug)]
pub struct AtWork {
    of: Begun<ObjectKey>,
    runner: mpsc::UnboundedSender<Begun<ObjectKey>>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // Nobody minds at the end of the process.
        let _ = self.runner.send(self.of.clone());
    }
}

/// What is done with the objects of one kind.
pub trait Looks<K>: Send + Sync + 'static {
    /// The time of a look at the object has come: it waits for its place, or is put off.
    fn ripe(&self, object: &K, now: Instant) -> Ripe;
    /// Looks at the object.
    fn look(self: Arc<Self>, object: Arc<K>, turn: Turn) -> impl Future<Output = Next> + Send;
    /// The look at the object has panicked.
    fn panicked(&self, object: &K);
}

/// What concerns the runner.
enum Event {
    Asked(ObjectKey),
    OnlyWaits(Begun<ObjectKey>),
    Ended(Id, Next),
    Time,
    Stop,
}

/// Runs until it is asked to stop and the looks that are under way have ended. None begins before `ready`.
pub async fn run<K, L>(
    feeds: Vec<Feed<K>>,
    limits: Limits,
    looks: Arc<L>,
    ready: impl Future<Output = ()>,
    mut stop: watch::Receiver<bool>,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    L: Looks<K>,
{
    let (stores, mut asked) = sources(feeds);
    let object = |key: &ObjectKey| find(&stores, key);
    let (sender, mut only_waits) = mpsc::unbounded_channel();
    let (mut queue, mut tasks, mut running) = (Queue::new(limits), JoinSet::new(), HashMap::new());
    let (mut is_ready, mut stopping) = (false, false);
    tokio::pin!(ready);
    loop {
        let wakes = queue.wakes_at().map_or_else(|| Instant::now() + IDLE, Instant::from_std);
        let event = tokio::select! {
            Some(key) = asked.next(), if !stopping => Event::Asked(key),
            Some(begun) = only_waits.recv() => Event::OnlyWaits(begun),
            Some(ended) = tasks.join_next_with_id() => match ended {
                Ok((id, next)) => Event::Ended(id, next),
                Err(error) => Event::Ended(error.id(), Next::After(AFTER_A_PANIC)),
            },
            // Before it is ready nothing becomes due, however long its time has come.
            () = tokio::time::sleep_until(wakes), if is_ready && !stopping => Event::Time,
            () = &mut ready, if !is_ready => {
                is_ready = true;
                Event::Time
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => Event::Stop,
        };
        let now = Instant::now();
        match event {
            Event::Asked(key) => queue.ask(&key, now.into_std()),
            Event::OnlyWaits(begun) => queue.only_waits(&begun),
            Event::Ended(id, next) => {
                if let Some(key) = running.remove(&id) {
                    queue.ended(&key, next.at(now).map(Instant::into_std), now.into_std());
                }
            }
            Event::Time => {}
            Event::Stop => stopping = true,
        }
        if stopping && running.is_empty() {
            return;
        }
        if !is_ready || stopping {
            continue;
        }
        let ripe = |key: &ObjectKey| object(key).map_or(Ripe::Due(None), |object| looks.ripe(&object, now));
        while queue.ripen(now.into_std(), ripe) {}
        while let Some((begun, asked)) = queue.begin() {
            let key = begun.key.clone();
            let Some(object) = object(&key) else {
                queue.ended(&key, None, now.into_std());
                continue;
            };
            let turn = Turn { asked: Instant::from_std(asked), at_work: AtWork { of: begun, runner: sender.clone() } };
            let task = tasks.spawn(caught(key.clone(), looks.clone(), object, turn));
            running.insert(task.id(), key);
        }
    }
}

impl Next {
    fn at(self, now: Instant) -> Option<Instant> {
        match self {
            // A time that cannot be told is as good as never.
            Self::After(delay) => now.checked_add(delay),
            Self::OnChange => None,
        }
    }
}

/// The stores of the feeds, and all keys that they ask for.
fn sources<K>(feeds: Vec<Feed<K>>) -> (Vec<Store<K>>, BoxStream<'static, ObjectKey>)
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut stores = Vec::new();
    let asked = feeds.into_iter().map(|feed| {
        stores.push(feed.store);
        let changed = feed.stream.filter_map(|change| std::future::ready(shown(change)));
        let asked =
            feed.asked.map(|object| ObjectKey { namespace: object.namespace.unwrap_or_default(), name: object.name });
        stream::select(changed, asked)
    });
    let asked = stream::select_all(asked.collect::<Vec<_>>());
    (stores, asked.boxed())
}

/// What a watch shows. Watches have told their own story when they fail.
fn shown<K: Resource<DynamicType = ()>>(change: Result<K, watcher::Error>) -> Option<ObjectKey> {
    match change {
        Ok(object) => Some(key_of(&object)),
        Err(error) => {
            tracing::debug!(kind = %K::kind(&()), %error, "the watch failed; it is opened again");
            None
        }
    }
}

fn find<K: Resource<DynamicType = ()> + Clone>(stores: &[Store<K>], key: &ObjectKey) -> Option<Arc<K>> {
    let named = ObjectRef::new(&key.name);
    let named = if key.namespace.is_empty() { named } else { named.within(&key.namespace) };
    stores.iter().find_map(|store| store.get(&named))
}

/// A look that panics ends none of the others: its object may have been made for that.
async fn caught<K, L>(key: ObjectKey, looks: Arc<L>, object: Arc<K>, turn: Turn) -> Next
where
    K: Resource<DynamicType = ()> + Send + Sync,
    L: Looks<K>,
{
    let look = AssertUnwindSafe(looks.clone().look(object.clone(), turn));
    look.catch_unwind().await.unwrap_or_else(|_| {
        looks.panicked(&object);
        tracing::error!(kind = %K::kind(&()), %key, "the look at it panicked, which is a fault of crossinvoke; it is tried again in {AFTER_A_PANIC:?}");
        Next::After(AFTER_A_PANIC)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use crate::engine::queue::Place;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector::store::Writer;
    use tokio::sync::Notify;

    use super::*;

    const LIMITS: Limits = Limits { of_a_pair: 1, in_an_account: 10, under_way: 10 };

    /// What a look at each object does.
    struct Told {
        looked: mpsc::UnboundedSender<String>,
        /// A look at "held" gives its place back and then waits for this.
        go_on: Notify,
        panicked: Mutex<Vec<String>>,
    }

    impl Looks<ConfigMap> for Told {
        fn ripe(&self, _: &ConfigMap, _: Instant) -> Ripe {
            let place =
                Place { tools: "1".to_owned(), dev: "2".to_owned(), pipeline: "release".to_owned(), is_settled: false };
            Ripe::Due(Some(place))
        }

        fn panicked(&self, object: &ConfigMap) {
            self.panicked.lock().unwrap().push(object.metadata.name.clone().unwrap());
        }

        async fn look(self: Arc<Self>, object: Arc<ConfigMap>, turn: Turn) -> Next {
            let name = object.metadata.name.clone().unwrap();
            self.looked.send(name.clone()).unwrap();
            assert_ne!(name, "hostile");
            if name == "held" {
                drop(turn);
                self.go_on.notified().await;
                self.looked.send("held to its end".to_owned()).unwrap();
            }
            Next::OnChange
        }
    }

    struct World {
        told: Arc<Told>,
        looked: mpsc::UnboundedReceiver<String>,
        ask: mpsc::UnboundedSender<ObjectRef<ConfigMap>>,
        ready: Arc<Notify>,
        /// How often the runner has asked whether all is known.
        rounds: Arc<AtomicUsize>,
        stop: watch::Sender<bool>,
        running: tokio::task::JoinHandle<()>,
        /// The store is filled for as long as this lives.
        _writer: Writer<ConfigMap>,
    }

    fn world(names: &[&str]) -> World {
        let mut writer = Writer::default();
        for name in names {
            let mut object = ConfigMap::default();
            object.metadata.name = Some((*name).to_owned());
            object.metadata.namespace = Some("payments".to_owned());
            writer.apply_watcher_event(&watcher::Event::Apply(object));
        }
        let (looked_sender, looked) = mpsc::unbounded_channel();
        let (ask, asked) = mpsc::unbounded_channel();
        let ready = Arc::new(Notify::new());
        let (stop, stopped) = watch::channel(false);
        let told = Arc::new(Told { looked: looked_sender, go_on: Notify::new(), panicked: Mutex::default() });
        let feed = Feed {
            stream: stream::pending().boxed(),
            store: writer.as_reader(),
            asked: super::super::caches::feeds::channel_stream(asked),
        };
        let rounds = Arc::new(AtomicUsize::new(0));
        let (looks, is_ready, counted) = (told.clone(), ready.clone(), rounds.clone());
        let running = tokio::spawn(async move {
            let mut is_ready = Box::pin(is_ready.notified());
            let ready = std::future::poll_fn(|context| {
                counted.fetch_add(1, Ordering::Relaxed);
                is_ready.poll_unpin(context)
            });
            run(vec![feed], LIMITS, looks, ready, stopped).await;
        });
        World { told, looked, ask, ready, rounds, stop, running, _writer: writer }
    }

    impl World {
        fn ask(&self, name: &str) {
            self.ask.send(ObjectRef::new(name).within("payments")).unwrap();
        }
    }

    #[tokio::test]
    async fn no_look_begins_before_all_is_known_and_one_that_panics_ends_no_other() {
        let mut world = world(&["hostile", "calm"]);
        world.ask("gone");
        world.ask("hostile");
        world.ask("calm");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(world.looked.try_recv().is_err());
        world.ready.notify_one();
        assert_eq!(world.looked.recv().await.as_deref(), Some("hostile"));
        assert_eq!(world.looked.recv().await.as_deref(), Some("calm"));
        world.stop.send(true).unwrap();
        world.running.await.unwrap();
        assert_eq!(*world.told.panicked.lock().unwrap(), ["hostile"]);
    }

    #[tokio::test]
    async fn what_is_asked_for_before_all_is_known_is_waited_for_and_not_asked_about_again_and_again() {
        let world = world(&["calm"]);
        world.ask("calm");
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        let rounds = world.rounds.load(Ordering::Relaxed);
        assert!((1..20).contains(&rounds), "{rounds} rounds");
    }

    #[tokio::test]
    async fn a_look_that_only_waits_holds_up_nobody_and_comes_to_its_end_after_a_stop() {
        let mut world = world(&["held", "other"]);
        world.ready.notify_one();
        world.ask("held");
        world.ask("other");
        assert_eq!(world.looked.recv().await.as_deref(), Some("held"));
        assert_eq!(world.looked.recv().await.as_deref(), Some("other"), "one of the two accounts at a time is at work");
        world.stop.send(true).unwrap();
        world.told.go_on.notify_one();
        assert_eq!(world.looked.recv().await.as_deref(), Some("held to its end"));
        world.running.await.unwrap();
    }
}
