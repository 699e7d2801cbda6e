use proptest::prelude::*;

use super::*;
use crate::domain::{
    ids::ObjectKey,
    shared_policy::{Usage, WantedRole},
};

/// The names are of one length, so that each entry takes as much room as the other.
fn role(name: &str) -> Arn {
    format!("arn:aws:iam::222222222222:role/crossinvoke/x/{name:0>8}").parse().unwrap()
}

fn set(names: &[&str]) -> BTreeSet<Arn> {
    names.iter().map(|name| role(name)).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn wish(uid: &str, created: i64, entries: &[&str]) -> Wish {
    Wish { uid: uid.to_owned(), created: at(created), entries: set(entries), was_in_place: false }
}

/// Another object that had recorded and planned its role; `seen` once it was in place.
fn other(name: &str, seen: bool) -> AssumeUser {
    AssumeUser {
        key: ObjectKey { namespace: "n".to_owned(), name: name.to_owned() },
        usage: Usage::Uses,
        invoke_role: Some(WantedRole { role: role(name).role().unwrap(), path: "/crossinvoke/x/".parse().unwrap() }),
        granted: true,
        recorded: set(&[name]),
        planned_here: set(&[name]),
        verified: if seen { set(&[name]) } else { BTreeSet::new() },
    }
}

/// The room that this many entries need.
fn room(entries: usize) -> usize {
    let names: BTreeSet<Arn> = (0..entries).map(|number| role(&number.to_string())).collect();
    policy::size(&policy::assume(&names))
}

fn fold(in_place: &[&str], wishes: &[Wish], others: &[AssumeUser], room: usize) -> Folded {
    let (in_place, used) = (set(in_place), BTreeSet::new());
    assume(Assume { in_place: &in_place, wishes, others, used: &used, room, additions: usize::MAX }, |_| false)
}

#[test]
fn what_does_not_fit_is_the_newest_that_never_was_in_place() {
    struct Row {
        what: &'static str,
        in_place: &'static [&'static str],
        wishes: Vec<Wish>,
        others: Vec<AssumeUser>,
        room: usize,
        named: &'static [&'static str],
        left_out: &'static [&'static str],
    }
    let put_back = |wish: Wish| Wish { was_in_place: true, ..wish };
    let rows = [
        Row {
            what: "all fits",
            in_place: &["a"],
            wishes: vec![wish("b", 2, &["b"]), wish("c", 1, &["c"])],
            others: vec![],
            room: 3,
            named: &["a", "b", "c"],
            left_out: &[],
        },
        Row {
            what: "the older one has the room",
            in_place: &["a"],
            wishes: vec![wish("b", 2, &["b"]), wish("c", 1, &["c"])],
            others: vec![],
            room: 2,
            named: &["a", "c"],
            left_out: &["b"],
        },
        Row {
            what: "what is in place stays in a full policy, and its object is told nothing",
            in_place: &["a", "b"],
            wishes: vec![wish("a", 9, &["a"]), wish("c", 1, &["c"])],
            others: vec![],
            room: 2,
            named: &["a", "b"],
            left_out: &["c"],
        },
        Row {
            what: "what somebody took out comes back before anything new",
            in_place: &["a"],
            wishes: vec![wish("c", 1, &["c"]), put_back(wish("b", 9, &["b"]))],
            others: vec![],
            room: 2,
            named: &["a", "b"],
            left_out: &["c"],
        },
        Row {
            what: "another object's entry that was in place too, and nobody is told for it",
            in_place: &[],
            wishes: vec![wish("c", 1, &["c"])],
            others: vec![other("b", true)],
            room: 1,
            named: &["b"],
            left_out: &["c"],
        },
        Row {
            what: "another newcomer's entry keeps no object out",
            in_place: &["a"],
            wishes: vec![wish("c", 1, &["c"])],
            others: vec![other("b", false)],
            room: 2,
            named: &["a", "c"],
            left_out: &[],
        },
        Row {
            what: "nor does it trouble one that has all it needs",
            in_place: &["a"],
            wishes: vec![wish("a", 1, &["a"])],
            others: vec![other("b", false)],
            room: 1,
            named: &["a"],
            left_out: &[],
        },
        Row {
            what: "two entries of one object come together or not at all",
            in_place: &["a"],
            wishes: vec![wish("b", 1, &["b", "c"]), wish("d", 2, &["d"])],
            others: vec![],
            room: 2,
            named: &["a", "d"],
            left_out: &["b"],
        },
        Row {
            what: "one of two may be there already",
            in_place: &["a", "b"],
            wishes: vec![wish("b", 1, &["b", "c"])],
            others: vec![],
            room: 3,
            named: &["a", "b", "c"],
            left_out: &[],
        },
    ];
    for row in rows {
        let folded = fold(row.in_place, &row.wishes, &row.others, room(row.room));
        assert_eq!(folded.entries.named, set(row.named), "{}", row.what);
        let left_out: Vec<&str> = folded.left_out.iter().map(String::as_str).collect();
        assert_eq!(left_out, row.left_out, "{}", row.what);
    }
}

#[test]
fn a_removal_adds_nothing_that_does_not_fit() {
    let (in_place, used) = (set(&["a", "gone"]), BTreeSet::new());
    let wishes = [wish("old", 1, &[]), wish("b", 2, &["b"]), wish("c", 3, &["c"])];
    let of =
        |room| Assume { in_place: &in_place, wishes: &wishes, others: &[], used: &used, room, additions: usize::MAX };
    let gone = |entry: &Arn| *entry == role("gone");
    let folded = assume(of(room(2)), gone);
    assert_eq!(folded.entries.named, set(&["a", "b"]), "one takes the room of what left");
    assert_eq!(folded.left_out, BTreeSet::from(["c".to_owned()]));
    let folded = assume(of(room(0)), gone);
    assert_eq!(folded.entries.named, set(&["a"]), "what is in place stays however little room there is");
}

/// A few objects, some of them newcomers, some in place.
fn worlds() -> impl Strategy<Value = (Vec<Wish>, BTreeSet<Arn>, usize)> {
    let one = (0..4i64, prop::collection::btree_set(0..6usize, 0..3), any::<bool>());
    let wishes = prop::collection::vec(one, 0..6).prop_map(|all| {
        let wish = |(uid, (created, entries, was_in_place)): (usize, (i64, BTreeSet<usize>, bool))| Wish {
            uid: format!("uid-{uid}"),
            created: at(created),
            entries: entries.into_iter().map(|number| role(&number.to_string())).collect(),
            was_in_place,
        };
        all.into_iter().enumerate().map(wish).collect()
    });
    let in_place = prop::collection::btree_set(0..8usize, 0..5)
        .prop_map(|numbers| numbers.into_iter().map(|number| role(&number.to_string())).collect());
    (wishes, in_place, 0..8usize)
}

proptest! {
    #[test]
    fn the_order_in_which_objects_come_decides_nothing(
        ((wishes, shuffled), in_place, entries) in worlds().prop_flat_map(|(wishes, in_place, entries)| {
            ((Just(wishes.clone()), Just(wishes).prop_shuffle()), Just(in_place), Just(entries))
        }),
    ) {
        let used = BTreeSet::new();
        let of = |wishes| Assume { in_place: &in_place, wishes, others: &[], used: &used, room: room(entries), additions: usize::MAX };
        prop_assert_eq!(assume(of(&wishes), |_| false), assume(of(&shuffled), |_| false));
    }

    #[test]
    fn nothing_leaves_without_proof_and_each_object_has_all_or_is_told((wishes, in_place, entries) in worlds()) {
        let used = BTreeSet::new();
        let of = Assume { in_place: &in_place, wishes: &wishes, others: &[], used: &used, room: room(entries), additions: usize::MAX };
        let Folded { entries: Entries { named, .. }, left_out } = assume(of, |_| false);
        prop_assert!(in_place.is_subset(&named));
        let fits = policy::size(&policy::assume(&named)) <= room(entries);
        prop_assert!(fits || named == in_place, "only what is in place may take more than the room");
        for wish in &wishes {
            prop_assert!(left_out.contains(&wish.uid) || wish.entries.is_subset(&named));
        }
    }

    #[test]
    fn folded_again_it_changes_nothing((wishes, in_place, entries) in worlds()) {
        let used = BTreeSet::new();
        let of = Assume { in_place: &in_place, wishes: &wishes, others: &[], used: &used, room: room(entries), additions: usize::MAX };
        let once = assume(of, |_| false);
        let again = assume(Assume { in_place: &once.entries.named, ..of }, |_| false);
        prop_assert_eq!(&again.entries.named, &once.entries.named);
        prop_assert_eq!(again.left_out, once.left_out);
    }
}
