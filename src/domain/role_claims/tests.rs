use proptest::prelude::*;

use super::*;
use crate::domain::{
    role_fold::INLINE_MAX,
    shared_policy::{Usage, WantedRole},
};

fn role(name: &str) -> Arn {
    format!("arn:aws:iam::222222222222:role/crossinvoke/x/{name}").parse().unwrap()
}

fn set(names: &[&str]) -> BTreeSet<Arn> {
    names.iter().map(|name| role(name)).collect()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "payments".to_owned(), name: name.to_owned() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn claim(name: &str, goal: Goal) -> Claim {
    Claim { basis: Basis::for_tests(name, "111111111111", "222222222222"), created: at(0), goal }
}

fn assume_of(name: &str, entries: &[&str], behind: &[(&str, Behind)]) -> Claim {
    let behind = behind.iter().map(|(entry, behind)| (role(entry), behind.clone())).collect();
    claim(name, Goal::Assume { entries: set(entries), was_in_place: false, used: BTreeSet::new(), behind })
}

fn ours(name: &str) -> Behind {
    Behind::Ours(Some(key(name)))
}

fn reading(entries: &[&str]) -> Reading {
    let document = (!entries.is_empty()).then(|| policy::assume(&set(entries)));
    Reading([(Facet::AssumePolicy, document)].into())
}

fn folded(reading: &Reading, claims: &[Claim], users: &Users, evidence: &[(&str, Behind)]) -> Fold {
    let evidence = evidence.iter().map(|(entry, behind)| (role(entry), behind.clone())).collect();
    fold(reading, claims, users, &evidence, Room::default(), at(100))
}

fn named(fold: &Fold) -> Option<BTreeSet<Arn>> {
    let edit = fold.edits.iter().find(|edit| edit.facet == Facet::AssumePolicy)?;
    Some(edit.document.as_ref().map(policy::assume_entries_of_any_form).unwrap_or_default())
}

#[allow(clippy::too_many_lines, reason = "a table reads best whole")]
#[test]
fn an_assume_policy_is_the_one_that_was_read_edited() {
    struct Row {
        what: &'static str,
        in_place: &'static [&'static str],
        claims: Vec<Claim>,
        evidence: Vec<(&'static str, Behind)>,
        named: Option<&'static [&'static str]>,
        folded: &'static [(&'static str, Folded)],
        unproven: &'static [&'static str],
    }
    use Folded::{Changed, Done, ForNobody};
    let rows = [
        Row {
            what: "what is wanted comes to what is in place",
            in_place: &["a"],
            claims: vec![assume_of("b", &["b"], &[]), assume_of("a", &["a"], &[])],
            evidence: vec![],
            named: Some(&["a", "b"]),
            folded: &[("a", Done), ("b", Changed)],
            unproven: &[],
        },
        Row {
            what: "what nobody asks for is looked up, and stays until then",
            in_place: &["a", "stray"],
            claims: vec![assume_of("a", &["a"], &[])],
            evidence: vec![],
            named: None,
            folded: &[("a", Done)],
            unproven: &["stray"],
        },
        Row {
            what: "it goes where nothing stands behind it, for all who claim",
            in_place: &["a", "stray"],
            claims: vec![assume_of("a", &["a"], &[])],
            evidence: vec![("stray", Behind::Nothing)],
            named: Some(&["a"]),
            folded: &[("a", ForNobody)],
            unproven: &[],
        },
        Row {
            what: "it stays where an object of this installation stands behind it",
            in_place: &["a", "other"],
            claims: vec![assume_of("a", &["a"], &[])],
            evidence: vec![("other", ours("other"))],
            named: None,
            folded: &[("a", Done)],
            unproven: &[],
        },
        Row {
            what: "or where that could not be read",
            in_place: &["a", "stray"],
            claims: vec![assume_of("a", &["a"], &[])],
            evidence: vec![("stray", Behind::Unknown)],
            named: None,
            folded: &[("a", Done)],
            unproven: &[],
        },
        Row {
            what: "an object's own goes on its own word",
            in_place: &["a", "b"],
            claims: vec![assume_of("a", &[], &[("a", ours("a"))])],
            evidence: vec![("b", ours("b"))],
            named: Some(&["b"]),
            folded: &[("a", Changed)],
            unproven: &[],
        },
        Row {
            what: "and not on another object's",
            in_place: &["a", "b"],
            claims: vec![assume_of("a", &[], &[("b", ours("b"))])],
            evidence: vec![("a", Behind::Unknown)],
            named: None,
            folded: &[("a", Done)],
            unproven: &[],
        },
        Row {
            what: "one leaves while another comes, in one write",
            in_place: &["a"],
            claims: vec![assume_of("a", &[], &[("a", ours("a"))]), assume_of("b", &["b"], &[])],
            evidence: vec![],
            named: Some(&["b"]),
            folded: &[("a", Changed), ("b", Changed)],
            unproven: &[],
        },
        Row {
            what: "the last one takes the policy along",
            in_place: &["a"],
            claims: vec![assume_of("a", &[], &[("a", ours("a"))])],
            evidence: vec![],
            named: Some(&[]),
            folded: &[("a", Changed)],
            unproven: &[],
        },
        Row {
            what: "one that wants it keeps another one's role",
            in_place: &["a"],
            claims: vec![assume_of("a", &[], &[("a", ours("a"))]), assume_of("b", &["a"], &[])],
            evidence: vec![],
            named: None,
            folded: &[("a", Done), ("b", Done)],
            unproven: &[],
        },
    ];
    for row in rows {
        let fold = folded(&reading(row.in_place), &row.claims, &Users::default(), &row.evidence);
        assert_eq!(named(&fold), row.named.map(set), "{}", row.what);
        let became: Vec<(&str, Folded)> = fold.folded.iter().map(|((uid, _), it)| (uid.as_str(), *it)).collect();
        assert_eq!(became, row.folded, "{}", row.what);
        assert_eq!(fold.unproven, set(row.unproven), "{}", row.what);
        let turned: Vec<Claim> = row.claims.into_iter().rev().collect();
        let again = folded(&reading(row.in_place), &turned, &Users::default(), &row.evidence);
        assert_eq!((again.edits, again.folded), (fold.edits, fold.folded), "{}, in any order", row.what);
    }
}

#[test]
fn nothing_is_removed_while_an_object_is_not_known() {
    let claims = [assume_of("a", &[], &[("a", ours("a"))]), assume_of("b", &["b"], &[])];
    let users = Users { withheld: true, ..Users::default() };
    let fold = folded(&reading(&["a", "stray"]), &claims, &users, &[("stray", Behind::Nothing)]);
    assert_eq!(named(&fold), Some(set(&["a", "b", "stray"])), "additions go on");
    assert_eq!(fold.folded[&("a".to_owned(), Facet::AssumePolicy)], Folded::Done);
}

#[test]
fn what_another_object_has_in_place_stays_and_what_it_had_comes_back() {
    let other = AssumeUser {
        key: key("other"),
        usage: Usage::Uses,
        invoke_role: Some(WantedRole { role: role("other").role().unwrap(), path: "/crossinvoke/x/".parse().unwrap() }),
        granted: true,
        recorded: set(&["other"]),
        planned_here: BTreeSet::new(),
        verified: set(&["other"]),
    };
    let users = Users { assume: vec![other], ..Users::default() };
    let claims = [assume_of("a", &["a"], &[("other", Behind::Nothing)])];
    assert_eq!(named(&folded(&reading(&["a", "other"]), &claims, &users, &[])), None, "a late read is no proof");
    let fold = folded(&reading(&["a"]), &claims, &users, &[]);
    assert_eq!(named(&fold), Some(set(&["a", "other"])));
    assert_eq!(
        fold.folded[&("a".to_owned(), Facet::AssumePolicy)],
        Folded::ForNobody,
        "whoever sees to it waits for it"
    );
}

#[allow(clippy::zero_sized_map_values, reason = "only a proof makes a value")]
#[test]
fn an_edit_loses_nothing_that_nothing_lets_go() {
    let read = policy::assume(&set(&["a", "b"]));
    assert_eq!(Edit::of(Some(&read), &set(&["a"]), &BTreeMap::new()), None);
    let leaving = BTreeMap::from([(role("b"), Leaving(()))]);
    let edit = Edit::of(Some(&read), &set(&["a"]), &leaving).unwrap();
    assert!(edit.removes);
    assert_eq!(Edit::of(Some(&read), &set(&["a", "b"]), &leaving), None, "the same again is no edit");
    assert_eq!(Edit::of(None, &BTreeSet::new(), &leaving), None);
}

#[test]
fn a_callback_policy_goes_with_the_last_who_needs_it() {
    use Folded::{Changed, Done, Outdated};
    type Row = (&'static str, Option<Value>, Vec<Claim>, Users, Option<bool>, Vec<Folded>);
    let there = Some(policy::callback());
    let other_form = serde_json::from_str(r#"{"Version":"2012-10-17","Statement":[]}"#).ok();
    let wants = || claim("wants", Goal::Callback);
    let leaves = |until| claim("leaves", Goal::NoCallback { proven_until: at(until) });
    let needed = || Users { callback: true, ..Users::default() };
    let withheld = || Users { withheld: true, ..Users::default() };
    let rows: Vec<Row> = vec![
        ("it is made", None, vec![wants()], Users::default(), Some(true), vec![Changed]),
        ("it is corrected", other_form, vec![wants()], Users::default(), Some(true), vec![Changed]),
        ("it is there", there.clone(), vec![wants()], Users::default(), None, vec![Done]),
        ("it goes", there.clone(), vec![leaves(200)], Users::default(), Some(false), vec![Changed]),
        ("who wants it keeps it", there.clone(), vec![leaves(200), wants()], Users::default(), None, vec![Done, Done]),
        ("so does who needs it", there.clone(), vec![leaves(200)], needed(), None, vec![Done]),
        ("and who is not known", there.clone(), vec![leaves(200)], withheld(), None, vec![Done]),
        ("not on an old look", there, vec![leaves(100)], Users::default(), None, vec![Outdated]),
        ("it is gone", None, vec![leaves(200)], Users::default(), None, vec![Done]),
    ];
    for (what, current, claims, users, written, became) in rows {
        let reading = Reading([(Facet::CallbackPolicy, current)].into());
        let fold = folded(&reading, &claims, &users, &[]);
        assert_eq!(fold.edits.first().map(|edit| edit.document.is_some()), written, "{what}");
        assert_eq!(fold.folded.into_values().collect::<Vec<_>>(), became, "{what}");
    }
}

fn claims() -> impl Strategy<Value = (Vec<Claim>, Vec<Claim>, BTreeSet<Arn>, BTreeMap<Arn, Behind>)> {
    let names = ["a", "b", "c", "d", "e"];
    let one = move |number: usize| {
        prop::collection::btree_set(0..5usize, 0..3).prop_map(move |entries| {
            let entries: Vec<&str> = entries.into_iter().map(|entry| names[entry]).collect();
            assume_of(names[number], &entries, &[(names[number], ours(names[number]))])
        })
    };
    let all = (0..5usize).map(one).collect::<Vec<_>>();
    let behind = prop_oneof![
        Just(Behind::Nothing),
        Just(Behind::Foreign),
        Just(Behind::Unknown),
        (0..5usize).prop_map(move |number| ours(names[number])),
    ];
    let evidence = prop::collection::btree_map((0..8usize).prop_map(|number| role(&number.to_string())), behind, 0..8);
    let in_place = prop::collection::btree_set(
        prop_oneof![
            (0..5usize).prop_map(move |number| role(names[number])),
            (0..8usize).prop_map(|it| role(&it.to_string()))
        ],
        0..8,
    );
    (all, 0..6usize, in_place, evidence).prop_flat_map(|(all, count, in_place, evidence)| {
        let some: Vec<Claim> = all.into_iter().take(count).collect();
        (Just(some.clone()), Just(some).prop_shuffle(), Just(in_place), Just(evidence))
    })
}

proptest! {
    #[test]
    fn in_any_order_the_same_and_nothing_leaves_without_proof((claims, shuffled, in_place, evidence) in claims()) {
        let read = Reading([(Facet::AssumePolicy, (!in_place.is_empty()).then(|| policy::assume(&in_place)))].into());
        let users = Users::default();
        let once = fold(&read, &claims, &users, &evidence, Room::default(), at(0));
        let other = fold(&read, &shuffled, &users, &evidence, Room::default(), at(0));
        prop_assert_eq!(&once.edits, &other.edits);
        prop_assert_eq!(&once.folded, &other.folded);
        let Some(after) = named(&once) else { return Ok(()) };
        for lost in in_place.difference(&after) {
            let owner = claims.iter().any(|claim| role(&claim.basis.key.name) == *lost);
            let proven = match evidence.get(lost) {
                Some(Behind::Nothing | Behind::Foreign) => true,
                Some(Behind::Ours(Some(of))) => claims.iter().any(|claim| claim.basis.key == *of),
                _ => false,
            };
            prop_assert!(owner || proven, "{} left without proof", lost);
        }
        let size = policy::size(&policy::assume(&after));
        prop_assert!(size <= INLINE_MAX);
        let again = Reading([(Facet::AssumePolicy, (!after.is_empty()).then(|| policy::assume(&after)))].into());
        let settled = fold(&again, &claims, &users, &evidence, Room::default(), at(0));
        prop_assert!(settled.edits.is_empty(), "written once it is settled");
    }
}
