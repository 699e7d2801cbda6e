use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;

use super::{super::asker::Wake, *};
use crate::{
    aws::{AwsErrorKind, Budgets, CallObserver, InFlight, call::Subject},
    domain::ids::ObjectKey,
};

/// Keeps where answers came from.
#[derive(Default)]
struct Sources(Mutex<Vec<Source>>);

impl CallObserver for Sources {
    fn called(&self, _service: &'static str, _operation: &str, _code: &str, _took: Duration) {}

    fn read(&self, source: Source, _operation: &'static str, _age: Duration) {
        self.0.lock().unwrap().push(source);
    }
}

/// A shelf of one thing whose state the test sets, and a look of each object at it.
struct World {
    shelf: Shelf<&'static str, u32>,
    state: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
    sources: Arc<Sources>,
    /// Whom the shelf has woken.
    woken: Arc<Mutex<Vec<String>>>,
    /// A call is answered when it gets one of these.
    answers: Arc<Semaphore>,
}

impl World {
    fn new(goes_back: Option<fn(&u32, &u32) -> bool>) -> Self {
        let shelf = Shelf::new(goes_back);
        Self {
            shelf,
            state: Arc::default(),
            calls: Arc::default(),
            sources: Arc::default(),
            woken: Arc::default(),
            answers: Arc::new(Semaphore::new(100)),
        }
    }

    /// No call is answered until it is told to.
    fn hold(&self) {
        self.answers.forget_permits(100);
    }

    /// All calls are answered.
    fn answer(&self) {
        self.answers.add_permits(100);
    }

    /// A look that begins now.
    fn look(&self, of: &str) -> Asker {
        self.look_since(of, Instant::now())
    }

    /// A look that accepts what was sent since then.
    fn look_since(&self, of: &str, not_sent_before: Instant) -> Asker {
        let woken = self.woken.clone();
        let wake: Wake = Box::new(move |object| woken.lock().unwrap().push(object.name.clone()));
        Asker {
            user: Some(Arc::new(ObjectKey { namespace: "payments".to_owned(), name: of.to_owned() })),
            began: Instant::now(),
            placed: Instant::now(),
            not_sent_before,
            keep: Duration::from_mins(30),
            used_stored: Arc::default(),
            used_earlier: Arc::default(),
            scanned_since: None,
            operation: "GetRole",
            observer: self.sources.clone(),
            wake: Arc::new(OnceLock::from(wake)),
        }
    }

    fn set(&self, state: u32) {
        self.state.store(state, Ordering::SeqCst);
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Reads what the state is when the call is answered.
    async fn read(&self, asker: &Asker) -> Result<u32, AwsError> {
        let (state, calls, answers) = (self.state.clone(), self.calls.clone(), self.answers.clone());
        let answered = self.shelf.ask("thing", asker, |sent| {
            async move {
                sent.get_or_init(Instant::now);
                calls.fetch_add(1, Ordering::SeqCst);
                answers.acquire().await.unwrap().forget();
                Ok(state.load(Ordering::SeqCst))
            }
            .boxed()
        });
        answered.await.map(|(value, _)| *value)
    }

    /// Makes the thing one that several look at.
    async fn shared(&self) {
        for name in ["a", "b"] {
            self.read(&self.look(name)).await.unwrap();
        }
        self.calls.store(0, Ordering::SeqCst);
        self.sources.0.lock().unwrap().clear();
    }

    fn sources(&self) -> Vec<Source> {
        std::mem::take(&mut self.sources.0.lock().unwrap())
    }
}

#[tokio::test]
async fn all_who_ask_since_before_a_call_was_sent_share_it() {
    let world = World::new(None);
    world.hold();
    let looks = ["a", "b", "c"].map(|name| world.look(name));
    let mut reading = futures::future::join_all(looks.iter().map(|look| world.read(look)));
    assert!(futures::poll!(&mut reading).is_pending());
    world.answer();
    let answers = reading.await;
    assert!(answers.iter().all(|answer| *answer.as_ref().unwrap() == 0));
    assert_eq!((world.calls(), world.sources()), (1, vec![Source::Single, Source::Joined, Source::Joined]));
}

#[tokio::test]
async fn a_call_that_was_sent_too_early_is_not_joined() {
    let world = World::new(None);
    world.hold();
    let early = world.look("a");
    let mut first = Box::pin(world.read(&early));
    assert!(futures::poll!(&mut first).is_pending());
    let late = world.look("b");
    let mut second = Box::pin(world.read(&late));
    assert!(futures::poll!(&mut second).is_pending());
    world.answer();
    assert_eq!((first.await.unwrap(), second.await.unwrap(), world.calls()), (0, 0, 2));
}

/// A call that waits for its turn is sent later than anybody asks.
#[tokio::test]
async fn a_call_that_waits_for_its_turn_is_joined_by_all() {
    let world = World::new(None);
    let (first, turn) = (world.look("a"), Arc::new(Semaphore::new(0)));
    let waits = turn.clone();
    let mut sender = Box::pin(world.shelf.ask("thing", &first, |sent| {
        async move {
            waits.acquire().await.unwrap().forget();
            sent.get_or_init(Instant::now);
            Ok(3)
        }
        .boxed()
    }));
    assert!(futures::poll!(&mut sender).is_pending());
    let late = world.look("b");
    let mut joined = Box::pin(world.read(&late));
    assert!(futures::poll!(&mut joined).is_pending());
    turn.add_permits(1);
    assert_eq!((*sender.await.unwrap().0, joined.await.unwrap(), world.calls()), (3, 3, 0));
    assert!(!late.used_stored.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_reading_is_held_for_whoever_accepts_its_age() {
    let world = World::new(None);
    world.shared().await;
    let before = Instant::now();
    assert_eq!(world.read(&world.look("a")).await.unwrap(), 0);
    world.set(1);
    let (accepts, refuses) = (world.look_since("b", before), world.look("c"));
    assert_eq!((world.read(&accepts).await.unwrap(), world.calls()), (0, 1));
    assert!(accepts.used_stored.load(Ordering::SeqCst));
    assert_eq!((world.read(&refuses).await.unwrap(), world.calls()), (1, 2));
    assert!(!refuses.used_stored.load(Ordering::SeqCst));
    assert_eq!(world.sources(), [Source::Single, Source::Held, Source::Single]);
}

#[tokio::test]
async fn what_was_sent_while_a_look_waited_for_its_place_is_new_enough_and_is_told() {
    let world = World::new(None);
    world.shared().await;
    let asked = Instant::now();
    world.read(&world.look("a")).await.unwrap();
    let waited = Asker { began: asked, ..world.look_since("b", asked) };
    world.read(&waited).await.unwrap();
    assert_eq!(world.calls(), 1);
    assert!(waited.used_earlier.load(Ordering::SeqCst), "it was another look's");
    assert!(!waited.used_stored.load(Ordering::SeqCst), "it was sent after it was asked for");
    let own = world.look("c");
    world.read(&own).await.unwrap();
    assert!(!own.used_earlier.load(Ordering::SeqCst), "it was its own");
}

#[tokio::test]
async fn what_one_alone_reads_is_not_kept() {
    let world = World::new(None);
    let before = Instant::now();
    world.read(&world.look_since("a", before)).await.unwrap();
    world.read(&world.look_since("a", before)).await.unwrap();
    assert_eq!(world.calls(), 2);
    assert!(world.shelf.lock().entries.values().all(|entry| entry.held.is_none()));
}

#[tokio::test]
async fn a_call_goes_on_when_who_sent_it_is_gone_and_ends_with_the_last_one() {
    let world = World::new(None);
    world.set(7);
    world.hold();
    let (first, second) = (world.look("a"), world.look("b"));
    let (mut sender, mut joined) = (Box::pin(world.read(&first)), Box::pin(world.read(&second)));
    assert!(futures::poll!(&mut sender).is_pending() && futures::poll!(&mut joined).is_pending());
    drop(sender);
    world.answers.add_permits(1);
    assert_eq!((joined.await.unwrap(), world.calls()), (7, 1));
    let third = world.look("c");
    let mut dropped = Box::pin(world.read(&third));
    assert!(futures::poll!(&mut dropped).is_pending());
    drop(dropped);
    world.answer();
    assert_eq!((world.read(&world.look("d")).await.unwrap(), world.calls()), (7, 3), "a dropped call answers nobody");
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_wait_and_is_not_kept() {
    let world = World::new(None);
    world.shared().await;
    let before = Instant::now();
    let looks = ["a", "b"].map(|name| world.look_since(name, before));
    let fail = |asker: &Asker| {
        let (shelf, asker, calls) = (world.shelf.clone(), asker.clone(), world.calls.clone());
        let subject = Subject::new("222222222222".parse().unwrap(), None, InFlight::default(), Budgets::for_tests());
        async move {
            let failing = |sent: Sent| {
                async move {
                    sent.get_or_init(Instant::now);
                    calls.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    Err(subject.call("iam", "GetRole", "role r").failed(AwsErrorKind::Unavailable, "down"))
                }
                .boxed()
            };
            shelf.ask("thing", &asker, failing).await.is_err()
        }
    };
    world.shelf.outdate(&"thing");
    assert_eq!(tokio::join!(fail(&looks[0]), fail(&looks[1])), (true, true));
    assert_eq!(world.calls(), 1);
    assert_eq!((world.read(&world.look_since("c", before)).await.unwrap(), world.calls()), (0, 2));
}

#[tokio::test]
async fn what_was_sent_before_a_write_is_settled_is_of_no_use() {
    let world = World::new(None);
    world.shared().await;
    let before = Instant::now();
    world.hold();
    let look = world.look("a");
    let mut flying = Box::pin(world.read(&look));
    assert!(futures::poll!(&mut flying).is_pending());
    world.set(5);
    world.shelf.outdate(&"thing");
    let patient = world.look_since("b", before);
    let mut second = Box::pin(world.read(&patient));
    assert!(futures::poll!(&mut second).is_pending());
    world.answer();
    assert_eq!((second.await.unwrap(), flying.await.unwrap(), world.calls()), (5, 5, 2), "it is not joined");
    assert_eq!((world.read(&world.look_since("c", before)).await.unwrap(), world.calls()), (5, 2), "the newer is held");
}

#[tokio::test]
async fn a_version_never_goes_back() {
    let world = World::new(Some(|known, read| read < known));
    world.set(6);
    world.shared().await;
    world.set(5);
    assert_eq!(world.read(&world.look("a")).await.unwrap(), 6, "a read that lags is answered with what was read");
    world.shelf.outdate(&"thing");
    assert_eq!(world.read(&world.look("a")).await.unwrap(), 6, "also after a write");
    world.set(7);
    assert_eq!(world.read(&world.look("b")).await.unwrap(), 7);
    assert_eq!(world.calls(), 3);
}

#[tokio::test]
async fn what_nobody_asks_for_is_dropped() {
    let world = World::new(None);
    world.shared().await;
    world.shelf.lock().sweep(Instant::now() + Duration::from_mins(31));
    assert!(world.shelf.lock().entries.is_empty());
    world.shared().await;
    world.shelf.lock().swept = None;
    world.shelf.lock().sweep(Instant::now() + Duration::from_mins(29));
    assert_eq!(world.shelf.lock().entries.len(), 1);
}

#[tokio::test]
async fn who_read_something_else_before_is_woken() {
    let world = World::new(None);
    world.shared().await;
    world.read(&world.look("c")).await.unwrap();
    assert!(world.woken.lock().unwrap().is_empty(), "nothing has changed");
    world.set(1);
    world.hold();
    let looks = ["a", "b"].map(|name| world.look(name));
    let mut reading = futures::future::join_all(looks.iter().map(|look| world.read(look)));
    assert!(futures::poll!(&mut reading).is_pending());
    world.answer();
    reading.await;
    assert_eq!(std::mem::take(&mut *world.woken.lock().unwrap()), ["c"], "the others learn of it by this very answer");
    world.read(&world.look("c")).await.unwrap();
    assert!(world.woken.lock().unwrap().is_empty(), "everybody knows");
    world.set(2);
    world.shelf.outdate(&"thing");
    world.read(&world.look("a")).await.unwrap();
    assert!(world.woken.lock().unwrap().is_empty(), "it was a write of ours");
}

#[tokio::test]
async fn what_a_later_scan_lacks_is_not_confirmed_by_an_earlier_one() {
    let world = World::new(None);
    let early = Instant::now();
    world.shelf.put("thing", 1, early, Duration::from_mins(10));
    let asker = Asker { scanned_since: Some(early), ..world.look("a") };
    assert!(world.shelf.holds(&"thing", &asker), "a scan may confirm");
    let later = early + Duration::from_millis(1);
    world.shelf.forget_scanned("thing", later, |other| *other == "thing");
    assert!(!world.shelf.holds(&"thing", &asker), "the later scan does not show it");
    world.shelf.put("thing", 2, later, Duration::from_mins(10));
    world.shelf.forget_scanned("thing", later, |other| *other == "thing");
    assert!(world.shelf.holds(&"thing", &asker), "what that scan itself showed stays");
}
