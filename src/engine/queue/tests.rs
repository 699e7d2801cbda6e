use std::time::Duration;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { of_a_pair: 2, in_an_account: 3, under_way: 4 };

fn place(pipeline: usize, dev: usize) -> Place {
    let (dev, pipeline) = (format!("dev{dev}"), format!("pipeline{pipeline}"));
    Place { tools: "tools".to_owned(), dev, pipeline, is_settled: false }
}

fn settled(pipeline: usize, dev: usize) -> Place {
    Place { is_settled: true, ..place(pipeline, dev) }
}

/// A queue with a time that a test sets.
struct World {
    queue: Queue<u32>,
    begun: Instant,
    now: Instant,
    places: BTreeMap<u32, Place>,
    /// Whether they are at work.
    under_way: BTreeMap<u32, (Begun<u32>, bool)>,
}

impl World {
    fn new(limits: Limits, places: impl IntoIterator<Item = (u32, Place)>) -> Self {
        let now = Instant::now();
        let places = places.into_iter().collect();
        Self { queue: Queue::new(limits), begun: now, now, places, under_way: BTreeMap::new() }
    }

    fn at(&self, second: u64) -> Instant {
        self.begun + Duration::from_secs(second)
    }

    fn ask(&mut self, key: u32) {
        self.queue.ask(&key, self.now);
    }

    fn ask_all(&mut self) {
        self.places.keys().copied().collect::<Vec<_>>().into_iter().for_each(|key| self.ask(key));
    }

    /// All that may begin now.
    fn begin(&mut self) -> Vec<u32> {
        while self.queue.ripen(self.now, |key| Ripe::Due(self.places.get(key).cloned())) {}
        let mut all = Vec::new();
        while let Some((begun, asked)) = self.queue.begin() {
            assert!(asked <= self.now);
            let key = begun.key;
            assert!(self.under_way.insert(key, (begun, true)).is_none(), "{key} is looked at twice at a time");
            all.push(key);
        }
        all
    }

    fn wait(&mut self, key: u32) {
        if let Some((begun, at_work)) = self.under_way.get_mut(&key) {
            self.queue.only_waits(begun);
            *at_work = false;
        }
    }

    fn end(&mut self, key: u32, next: Option<u64>) {
        self.under_way.remove(&key);
        let next = next.map(|second| self.at(second));
        self.queue.ended(&key, next, self.now);
    }

    fn placed(&self, at_work: bool) -> impl Iterator<Item = &Place> {
        let all = self.under_way.iter().filter(move |(_, (_, works))| *works || !at_work);
        all.filter_map(|(key, _)| self.places.get(key))
    }

    fn assert_limits(&self, limits: Limits) {
        let (mut pairs, mut accounts) = (BTreeMap::<_, usize>::new(), BTreeMap::<&str, usize>::new());
        for place in self.placed(true) {
            *pairs.entry((&place.tools, &place.dev)).or_default() += 1;
            *accounts.entry(&place.tools).or_default() += 1;
            if place.dev != place.tools {
                *accounts.entry(&place.dev).or_default() += 1;
            }
        }
        assert!(pairs.values().all(|count| *count <= limits.of_a_pair), "{pairs:?}");
        assert!(accounts.values().all(|count| *count <= limits.in_an_account * 2), "{accounts:?}");
    }
}

#[test]
fn a_look_is_asked_for_once_however_often_and_comes_again_when_it_is_asked_for_meanwhile() {
    let mut world = World::new(LIMITS, []);
    world.ask(1);
    world.ask(1);
    assert_eq!((world.begin(), world.begin()), (vec![1], vec![]));
    world.end(1, Some(600));
    assert_eq!((world.begin(), world.queue.wakes_at()), (vec![], Some(world.at(600))));
    // Sooner, because somebody asks.
    world.now = world.at(5);
    world.ask(1);
    assert_eq!((world.begin(), world.queue.wakes_at()), (vec![1], None));
    // Asked for twice while it is under way: one more look.
    world.ask(1);
    world.now = world.at(7);
    world.ask(1);
    assert_eq!(world.begin(), [0_u32; 0]);
    world.end(1, Some(600));
    assert_eq!(world.queue.wakes_at(), Some(world.at(7)));
    assert_eq!(world.begin(), [1]);
    world.end(1, None);
    assert_eq!((world.queue.wakes_at(), world.begin()), (None, vec![]));
}

#[test]
fn what_is_asked_for_while_it_is_due_is_seen_by_the_look_that_begins() {
    let limits = Limits { of_a_pair: 1, ..LIMITS };
    let mut world = World::new(limits, [(1, place(1, 1)), (2, place(1, 1))]);
    world.ask_all();
    assert_eq!(world.begin(), [1]);
    world.now = world.at(3);
    world.ask(2);
    world.queue.ended(&1, None, world.now);
    let (begun, asked) = world.queue.begin().unwrap();
    assert_eq!((begun.key, asked), (2, world.at(3)), "it accepts nothing that was read before it was asked for");
}

#[test]
fn that_an_earlier_look_only_waits_says_nothing_of_the_present_one() {
    let limits = Limits { of_a_pair: 1, ..LIMITS };
    let mut world = World::new(limits, [(1, place(1, 1)), (2, place(1, 1))]);
    world.ask(1);
    world.begin();
    let (earlier, _) = world.under_way[&1].clone();
    world.end(1, Some(0));
    assert_eq!(world.begin(), [1]);
    world.ask(2);
    world.queue.only_waits(&earlier);
    assert_eq!(world.begin(), [0_u32; 0]);
    world.wait(1);
    assert_eq!(world.begin(), [2]);
}

#[test]
fn what_is_put_off_is_not_looked_at() {
    let mut world = World::new(LIMITS, []);
    world.ask(1);
    let later = world.at(60);
    assert!(world.queue.ripen(world.now, |_| Ripe::Later(later)));
    assert_eq!((world.begin(), world.queue.wakes_at()), (vec![], Some(later)));
    // Nor is it asked again what becomes of it before that, even where it is put off to a time that has come.
    world.ask(1);
    let now = world.now;
    assert!(world.queue.ripen(now, |_| Ripe::Later(now)));
    assert!(!world.queue.ripen(now, |_| Ripe::Later(now)));
}

#[test]
fn a_slow_account_keeps_no_other_one_waiting() {
    let limits = Limits { of_a_pair: 2, in_an_account: 8, under_way: 8 };
    let slow = (0..20).map(|key| (key, place(0, 1)));
    let mut world = World::new(limits, slow.chain([(20, place(1, 2)), (21, place(2, 3))]));
    world.ask_all();
    assert_eq!(world.begin(), [0, 20, 21, 1], "two of the slow one, and all others");
    // What only waits gives its place at work to the next one of its pipeline.
    world.wait(0);
    assert_eq!(world.begin(), [2]);
}

#[test]
fn however_many_accounts_are_slow_each_other_one_has_a_look_at_work() {
    let limits = Limits { of_a_pair: 2, in_an_account: 4, under_way: 100 };
    // Three slow dev accounts use up all that the tools account has, and one that is not slow comes later.
    let slow = (0..30).map(|key| (key, place(key as usize, key as usize % 3)));
    let mut world = World::new(limits, slow.chain((30..33).map(|key| (key, place(key as usize, 9)))));
    (0..30).for_each(|key| world.ask(key));
    assert_eq!(world.begin().len(), 4);
    for key in 30..33 {
        world.ask(key);
        assert_eq!(world.begin(), [key]);
        world.end(key, None);
    }
}

/// Lets begin whatever may, and wait, until nothing more begins.
fn wait_all(world: &mut World) -> Vec<u32> {
    let mut all = Vec::new();
    loop {
        let begun = world.begin();
        if begun.is_empty() {
            return all;
        }
        for key in &begun {
            world.wait(*key);
        }
        all.extend(begun);
    }
}

#[test]
fn all_objects_of_an_open_pipeline_are_let_in_and_no_other_one_is_opened_beyond_the_limit() {
    let limits = Limits { of_a_pair: 3, in_an_account: 100, under_way: 80 };
    // Twenty on each of ten pipelines. In turn of dev accounts: first those that are on every pipeline, then those on one.
    let on_every = |key: u32| place(key as usize % 10, key as usize / 10 % 4);
    let on_one = |key: u32| place(key as usize % 10, key as usize % 40);
    for of in [on_every as fn(u32) -> Place, on_one] {
        let mut world = World::new(limits, (0..200).map(|key| (key, of(key))));
        world.ask_all();
        let mut versions = 0;
        while !world.under_way.is_empty() || versions == 0 {
            wait_all(&mut world);
            let mut on = BTreeMap::<String, Vec<u32>>::new();
            for key in world.under_way.keys() {
                on.entry(world.places[key].pipeline.clone()).or_default().push(*key);
            }
            assert!(world.under_way.len() <= 80 && on.values().all(|all| all.len() == 20), "{on:?}");
            // All on one pipeline come to their end together.
            let (_, first) = on.pop_first().unwrap();
            for key in first {
                world.end(key, None);
            }
            versions += 1;
        }
        assert_eq!(versions, 10);
    }
}

#[test]
fn a_pipeline_with_very_many_objects_leaves_room_for_others() {
    let limits = Limits { of_a_pair: 2, in_an_account: 100, under_way: 40 };
    // A hundred on one pipeline, of an account that does not answer: all of them are let in.
    let many = (0..100).map(|key| (key, place(0, 1)));
    let others = (100..130).map(|key| (key, place(1 + key as usize % 3, key as usize % 10 + 2)));
    let mut world = World::new(limits, many.chain(others));
    world.ask_all();
    assert_eq!(wait_all(&mut world).len(), 130);
}

#[test]
fn one_dev_account_opens_no_more_pipelines_with_half_of_the_room() {
    let limits = Limits { of_a_pair: 2, in_an_account: 100, under_way: 10 };
    let places = (0..30).map(|key| (key, place(key as usize, 1))).chain((30..40).map(|key| (key, place(1, 2))));
    let mut world = World::new(limits, places);
    (0..30).for_each(|key| world.ask(key));
    assert_eq!(wait_all(&mut world), [0, 1, 2, 3, 4]);
    (30..40).for_each(|key| world.ask(key));
    assert_eq!(wait_all(&mut world).len(), 10, "they are let in on a pipeline that is open");
}

#[test]
fn without_room_a_few_settled_objects_of_each_pair_are_looked_at_and_open_nothing() {
    let limits = Limits { of_a_pair: 8, in_an_account: 100, under_way: 4 };
    let busy = (0..4).map(|key| (key, place(key as usize, 10 + key as usize)));
    let others =
        [(10, place(10, 2)), (11, settled(11, 2)), (12, settled(11, 2)), (13, settled(11, 2)), (14, place(11, 2))];
    let mut world = World::new(limits, busy.chain(others));
    (0..4).for_each(|key| world.ask(key));
    assert_eq!(wait_all(&mut world).len(), 4);
    (10..15).for_each(|key| world.ask(key));
    assert_eq!(wait_all(&mut world), [11, 12]);
    world.end(11, None);
    assert_eq!(wait_all(&mut world), [13]);
    // What is to be made waits for room, of which those take a part.
    world.end(0, None);
    assert_eq!(wait_all(&mut world), [0_u32; 0]);
    world.end(12, None);
    world.end(13, None);
    assert_eq!(wait_all(&mut world), [10]);
}

#[test]
fn looks_that_wait_in_one_tools_account_keep_no_other_one_waiting() {
    let limits = Limits { of_a_pair: 1, in_an_account: 100, under_way: 5 };
    let stuck = (0..30).map(|key| (key, place(key as usize, key as usize)));
    let elsewhere = (30..35).map(|key| (key, Place { tools: "others".to_owned(), ..place(0, key as usize) }));
    let mut world = World::new(limits, stuck.chain(elsewhere));
    (0..30).for_each(|key| world.ask(key));
    world.begin().into_iter().for_each(|key| world.wait(key));
    (30..35).for_each(|key| world.ask(key));
    assert_eq!(world.begin(), [30, 31, 32, 33, 34]);
}

#[test]
fn objects_that_are_asked_for_again_and_again_keep_no_other_pipeline_out() {
    // Two overlap, so that their pipeline stays open.
    let limits = Limits { of_a_pair: 2, in_an_account: 2, under_way: 1 };
    let hot = (0..4).map(|key| (key, place(0, 1)));
    let mut world = World::new(limits, hot.chain([(9, place(1, 1))]));
    world.ask_all();
    let (mut seen, mut under_way) = (BTreeSet::new(), VecDeque::new());
    for _ in 0..1000 {
        let begun = world.begin();
        seen.extend(begun.iter().copied());
        under_way.extend(begun);
        if let Some(key) = under_way.pop_front() {
            world.end(key, Some(0));
        }
    }
    assert!(seen.contains(&9), "{seen:?}");
}

#[test]
fn what_has_no_place_is_not_limited() {
    let mut world = World::new(Limits { of_a_pair: 1, in_an_account: 1, under_way: 1 }, []);
    (0..50).for_each(|key| world.ask(key));
    assert_eq!(world.begin().len(), 50);
}

#[derive(Clone, Debug)]
enum Doing {
    Ask(u32),
    Begin,
    Wait(usize),
    End(usize, Option<u64>),
    Later(u64),
}

fn doing() -> impl Strategy<Value = Doing> {
    prop_oneof![
        4 => (0_u32..24).prop_map(Doing::Ask),
        3 => Just(Doing::Begin),
        2 => any::<usize>().prop_map(Doing::Wait),
        3 => (any::<usize>(), prop::option::of(0_u64..9)).prop_map(|(which, next)| Doing::End(which, next)),
        1 => (1_u64..5).prop_map(Doing::Later),
    ]
}

proptest! {
    #[test]
    fn no_limit_is_broken_and_whatever_is_asked_for_begins(
        all in prop::collection::vec(doing(), 1..200),
        of_a_pair in 1_usize..4,
        in_an_account in 1_usize..6,
        under_way in 1_usize..8,
    ) {
        let limits = Limits { of_a_pair, in_an_account, under_way };
        // The last few have no place, and one dev account is the tools account as well.
        let same = Place { dev: "tools".to_owned(), ..settled(0, 0) };
        let places = (0_u32..20).map(|key| (key, Place { is_settled: key % 4 == 0, ..place(key as usize % 5, key as usize % 3) }));
        let places = places.chain([(20, same)]);
        let mut world = World::new(limits, places);
        let mut owed = BTreeSet::new();
        for doing in all {
            let which = |which: usize| world.under_way.keys().nth(which % world.under_way.len().max(1)).copied();
            let seconds = world.now.duration_since(world.begun).as_secs();
            match doing {
                Doing::Ask(key) => {
                    world.ask(key);
                    owed.insert(key);
                }
                Doing::Begin => {
                    for key in world.begin() {
                        owed.remove(&key);
                    }
                }
                Doing::Wait(index) => {
                    if let Some(key) = which(index) {
                        world.wait(key);
                    }
                }
                Doing::End(index, next) => {
                    if let Some(key) = which(index) {
                        world.end(key, next.map(|later| seconds + later));
                        owed.extend(next.map(|_| key));
                    }
                }
                Doing::Later(later) => world.now = world.at(seconds + later),
            }
            world.assert_limits(limits);
        }
        // Once everything ends, all that is owed a look has one.
        world.now = world.at(100_000);
        for _ in 0..100 {
            let under_way: Vec<u32> = world.under_way.keys().copied().collect();
            for key in under_way {
                world.end(key, None);
            }
            for key in world.begin() {
                owed.remove(&key);
            }
        }
        prop_assert!(owed.is_empty(), "never looked at: {owed:?}");
        prop_assert!(world.under_way.is_empty() && world.queue.due.is_empty() && world.queue.keys.is_empty());
        prop_assert!(world.queue.places.is_clear(), "{:?}", world.queue.places);
    }
}
