use proptest::prelude::*;

use super::*;

fn key(number: usize) -> ObjectKey {
    ObjectKey { namespace: format!("n{}", number % 3), name: format!("o{number}") }
}

fn account(number: usize) -> AccountId {
    format!("{number:012}").parse().unwrap()
}

fn role(number: usize) -> RoleId {
    // Of one role whoever writes it may choose the case.
    let name = if number.is_multiple_of(2) { format!("Role{}", number / 2) } else { format!("rOLE{}", number / 2) };
    RoleId { account: account(1), name: name.parse().unwrap() }
}

/// What names a few of few things, so that objects meet.
fn names() -> impl Strategy<Value = Names> {
    let few = || prop::collection::btree_set(0_usize..4, 0..3);
    (few(), few(), few(), few()).prop_map(|(accounts, pipelines, functions, roles)| {
        let region: Region = "eu-west-1".parse().unwrap();
        Names {
            accounts: accounts.into_iter().map(account).collect(),
            pipelines: pipelines
                .into_iter()
                .map(|number| (account(1), region.clone(), format!("p{number}").parse().unwrap()))
                .collect(),
            functions: functions
                .into_iter()
                .map(|number| (account(2), region.clone(), format!("f{number}").parse().unwrap()))
                .collect(),
            roles: roles.into_iter().map(role).collect(),
        }
    })
}

#[derive(Clone, Debug)]
enum Update {
    /// The watch shows an object; another UID is another object of the same name.
    Put(usize, usize, bool, Names),
    /// It shows that an object is gone.
    Remove(usize),
    /// A list has these and no others.
    List(Vec<(usize, usize, bool, Names)>),
    /// This process recorded or planned something, before or after the watch shows the object.
    Own(usize, Names),
    /// What it knows of a UID is forgotten.
    Forget(usize),
}

fn update() -> impl Strategy<Value = Update> {
    let object = || (0_usize..5, 0_usize..8, prop::bool::weighted(0.8), names());
    prop_oneof![
        6 => object().prop_map(|(key, uid, readable, names)| Update::Put(key, uid, readable, names)),
        2 => (0_usize..5).prop_map(Update::Remove),
        1 => prop::collection::vec(object(), 0..5).prop_map(Update::List),
        4 => (0_usize..8, names()).prop_map(|(uid, names)| Update::Own(uid, names)),
        1 => (0_usize..8).prop_map(Update::Forget),
    ]
}

/// The objects as they are, without any map.
#[derive(Default)]
struct World {
    shown: BTreeMap<ObjectKey, Shown>,
    own: BTreeMap<String, Names>,
}

fn uid(key: usize, uid: usize) -> String {
    // A UID is one object's for ever.
    format!("{key}-{uid}")
}

fn neighbour(uid: &str) -> Arc<Neighbour> {
    Arc::new(Neighbour { uid: uid.to_owned(), declared: None, recorded: Arc::default() })
}

fn apply(index: &mut Index, world: &mut World, update: Update) {
    let mut put = |number: usize, uid: String, is_readable: bool, names: Names| {
        let shown = Shown { neighbour: is_readable.then(|| neighbour(&uid)), uid, names, content: 0 };
        index.put(&key(number), shown.clone());
        world.shown.insert(key(number), shown);
    };
    match update {
        Update::Put(number, of, readable, names) => put(number, uid(number, of), readable, names),
        Update::Remove(number) => {
            index.remove(&key(number));
            world.shown.remove(&key(number));
        }
        Update::List(objects) => {
            let listed: BTreeSet<ObjectKey> = objects.iter().map(|(number, ..)| key(*number)).collect();
            for (number, of, readable, names) in objects {
                put(number, uid(number, of), readable, names);
            }
            let gone: Vec<ObjectKey> = world.shown.keys().filter(|key| !listed.contains(*key)).cloned().collect();
            for key in gone {
                index.remove(&key);
                world.shown.remove(&key);
            }
        }
        Update::Own(of, names) => {
            index.own(&uid(of % 5, of), names.clone());
            world.own.insert(uid(of % 5, of), names);
        }
        Update::Forget(of) => {
            index.own(&uid(of % 5, of), Names::default());
            world.own.remove(&uid(of % 5, of));
        }
    }
}

/// The maps made from scratch.
fn from_scratch(world: &World) -> Index {
    let mut index = Index::default();
    for (uid, names) in &world.own {
        index.own(uid, names.clone());
    }
    for (key, shown) in &world.shown {
        index.put(key, shown.clone());
    }
    index
}

fn all_that(world: &World, is: impl Fn(&Names) -> bool) -> BTreeSet<ObjectKey> {
    let empty = Names::default();
    let names = |shown: &Shown| is(&shown.names) || is(world.own.get(&shown.uid).unwrap_or(&empty));
    world.shown.iter().filter(|(_, shown)| names(shown)).map(|(key, _)| key.clone()).collect()
}

proptest! {
    #[test]
    fn whatever_was_updated_the_maps_are_those_of_the_objects_as_they_are(updates in prop::collection::vec(update(), 1..40)) {
        let (mut index, mut world) = (Index::default(), World::default());
        for update in updates {
            apply(&mut index, &mut world, update);
        }
        let fresh = from_scratch(&world);
        prop_assert_eq!(objects(&index.accounts), objects(&fresh.accounts));
        prop_assert_eq!(objects(&index.pipelines), objects(&fresh.pipelines));
        prop_assert_eq!(objects(&index.functions), objects(&fresh.functions));
        prop_assert_eq!(objects(&index.roles), objects(&fresh.roles));
        prop_assert_eq!(&index.namespaces, &fresh.namespaces);
        prop_assert_eq!(&index.unreadable, &fresh.unreadable);
        prop_assert_eq!(&index.keys, &fresh.keys);
        // And by what the objects name, which no map was asked for.
        for number in 0..4 {
            let found: BTreeSet<ObjectKey> = index.in_account(&account(number)).cloned().collect();
            prop_assert_eq!(found, all_that(&world, |names| names.accounts.contains(&account(number))));
            let found: BTreeSet<ObjectKey> = index.of_role(&role(number)).cloned().collect();
            prop_assert_eq!(found, all_that(&world, |names| names.roles.contains(&role(number))));
        }
        for number in 0..4 {
            let mut may = all_that(&world, |names| names.accounts.contains(&account(number)));
            may.extend(index.all_unreadable().cloned());
            prop_assert_eq!(index.count_in_account(&account(number)), may.len());
        }
        let unreadable: BTreeSet<&ObjectKey> = world.shown.iter().filter(|(_, it)| it.neighbour.is_none()).map(|(key, _)| key).collect();
        prop_assert_eq!(index.all_unreadable().collect::<BTreeSet<_>>(), unreadable);
    }
}

fn shown(number: usize, names: Names) -> Shown {
    let uid = number.to_string();
    Shown { neighbour: Some(neighbour(&uid)), uid, names, content: 0 }
}

fn place(name: &str) -> PipelinePlace {
    (account(1), "us-east-1".parse().unwrap(), name.parse().unwrap())
}

type Change = fn(&mut Index, &dyn Fn(usize) -> Names, &dyn Fn() -> Names);

/// A map without the moments of its entries, which depend on how it came about.
fn objects<K: Eq + Hash>(map: &Map<K>) -> HashMap<&K, &BTreeSet<Arc<ObjectKey>>> {
    map.iter().map(|(name, named)| (name, &named.objects)).collect()
}

#[test]
fn whatever_changes_what_an_object_rests_on_is_noticed_and_nothing_else_is() {
    let pipeline = place("release");
    let on_pipeline = || Names { pipelines: vec![pipeline.clone()], ..Names::default() };
    let on_role = |number| Names { roles: vec![role(number)], ..Names::default() };
    let changes: [(&str, Change, bool); 19] = [
        (
            "another object comes to the pipeline",
            |index, _, there| {
                index.put(&key(5), shown(5, there()));
            },
            true,
        ),
        (
            "one comes to a role of it",
            |index, of, _| {
                index.put(&key(5), shown(5, of(1)));
            },
            true,
        ),
        (
            "one comes to another role",
            |index, of, _| {
                index.put(&key(5), shown(5, of(3)));
            },
            false,
        ),
        (
            "the other one is seen as it was",
            |index, of, _| {
                index.put(&key(2), shown(2, of(1)));
            },
            false,
        ),
        (
            "what it has changes",
            |index, of, _| {
                index.put(&key(2), Shown { content: 7, ..shown(2, of(1)) });
            },
            true,
        ),
        (
            "it moves to another role",
            |index, of, _| {
                index.put(&key(2), shown(2, of(3)));
            },
            true,
        ),
        (
            "it goes",
            |index, _, _| {
                index.remove(&key(2));
            },
            true,
        ),
        (
            "something is planned for it",
            |index, _, _| {
                index.own("2", Names::default());
            },
            true,
        ),
        ("it needs nothing more", |index, _, _| index.change("2"), true),
        ("an account of one of them grants something else", |index, _, _| index.change_account(&account(7)), true),
        ("an account grants something else to strangers", |index, _, _| index.change_account(&account(8)), false),
        ("an account comes that nobody names", |index, _, _| index.change_account(&account(9)), false),
        ("the namespace of one has other labels", |index, _, _| index.change_namespace("n0"), true),
        ("a namespace without objects comes", |index, _, _| index.change_namespace("n9"), false),
        ("a pipeline has come to the role", |index, _, _| index.change_pipeline(&place("new"), &[role(1)]), true),
        ("a pipeline has come to another role", |index, _, _| index.change_pipeline(&place("new"), &[role(2)]), false),
        (
            "the pipeline of one of them has another role",
            |index, _, _| index.change_pipeline(&place("other"), &[]),
            true,
        ),
        ("a function has come to the role", |index, _, _| index.change_roles([&role(1)]), true),
        (
            "a role that nobody else names vanishes with its last object",
            |index, _, _| {
                index.remove(&key(4));
            },
            false,
        ),
    ];
    for (what, change, expected) in changes {
        let mut index = Index::default();
        let elsewhere = Names { accounts: vec![account(7)], pipelines: vec![place("other")], ..on_role(1) };
        index.put(&key(1), shown(1, on_pipeline().and(&on_role(1))));
        index.put(&key(2), shown(2, on_role(1)));
        index.put(&key(6), shown(6, elsewhere));
        index.put(&key(4), shown(4, Names { accounts: vec![account(8)], ..on_role(2) }));
        let then = index.now();
        let is_noticed = |index: &Index| index.changed_since(then, [&pipeline].into_iter(), [&role(1)].into_iter());
        assert!(!is_noticed(&index), "nothing has");
        change(&mut index, &on_role, &on_pipeline);
        assert_eq!(is_noticed(&index), expected, "{what}");
    }
    let empty = Index::default();
    assert!(empty.changed_since(empty.now(), [].into_iter(), [&role(1)].into_iter()), "nobody names it");
}

fn in_accounts(numbers: impl IntoIterator<Item = usize>) -> Names {
    Names { accounts: numbers.into_iter().map(account).collect(), ..Names::default() }
}

#[test]
fn an_update_moves_the_entries_of_one_object_however_many_there_are() {
    let mut index = Index::default();
    for number in 0..10_000 {
        // All of them in one account, as those of one tools account are.
        assert_eq!(index.put(&key(number), shown(number, in_accounts([0, 1 + number % 20]))), 2);
    }
    assert_eq!(index.in_account(&account(0)).len(), 10_000);
    assert_eq!(index.put(&key(7), shown(7, in_accounts([0, 8]))), 0, "as it was");
    assert_eq!(index.put(&key(7), shown(7, in_accounts([0, 9]))), 2, "one out, one in");
    assert_eq!(index.own("7", in_accounts([8, 9])), 1);
    assert_eq!(index.own("7", Names::default()), 1);
    assert_eq!(index.remove(&key(7)), 2);
    assert_eq!(index.remove(&key(7)), 0);
}

#[test]
fn what_was_planned_for_an_object_is_not_another_ones_of_the_same_name() {
    let mut index = Index::default();
    let planned = Names { roles: vec![role(2)], ..Names::default() };
    index.own("first", planned);
    assert_eq!(index.of_role(&role(2)).count(), 0, "the watch has not shown it");
    let put = |index: &mut Index, uid: &str| {
        index.put(&key(0), Shown { uid: uid.to_owned(), neighbour: Some(neighbour(uid)), ..Shown::default() });
    };
    put(&mut index, "first");
    assert_eq!(index.of_role(&role(3)).collect::<Vec<_>>(), [&key(0)], "whatever the case of its name");
    put(&mut index, "second");
    assert_eq!(index.of_role(&role(2)).count(), 0);
    assert_eq!((index.key("first"), index.key("second")), (None, Some(&key(0))));
}
