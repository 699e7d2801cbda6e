use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::{
    conditions,
    inventory::Item,
    observed::Resource,
    plan::{FieldValue, Fields},
};

const HOUR: Duration = Duration::from_hours(1);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn fields(values: &[(&str, &str)]) -> Fields {
    let value = |text: &str| FieldValue { meaning: text.to_owned(), shown: text.to_owned() };
    values.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect()
}

fn item() -> Item {
    Item {
        part: Part::InvokeRole,
        holder: "arn:aws:iam::222222222222:role/crossinvoke/x/invoke".parse().unwrap(),
        entry: None,
        action: None,
        stage_made: false,
        written_at: at(0),
        read_back: true,
        digest: None,
        pipeline_version: None,
    }
}

fn part(desired: &[(&str, &str)], observed: Option<&[(&str, &str)]>, tolerated: &[&str]) -> Described {
    Described {
        item: item(),
        resource: Resource::InvokeRole { account: "222222222222".parse().unwrap(), role: "invoke".parse().unwrap() },
        state: None,
        noun: "role invoke in 222222222222".to_owned(),
        purpose: "trusted pipeline role P".to_owned(),
        desired: fields(desired),
        observed: observed.map(fields),
        tolerated: tolerated.iter().map(|name| (*name).to_owned()).collect(),
        refused: BTreeMap::new(),
        vouched: BTreeSet::new(),
        wider: false,
        includes_desired: false,
    }
}

/// An inventory that has seen these fields in place.
fn seen(values: &[(&str, &str)]) -> Inventory {
    let mut inventory = Inventory(vec![item()]);
    verify(&mut inventory, &[part(values, Some(values), &[])]);
    inventory
}

fn looked(drift: &mut Drift, inventory: &Inventory, part: &Described, second: i64) {
    let own = OwnDoing { stale: &|_| false, written_since: &|_, _| true };
    drift.look(std::slice::from_ref(part), inventory, &own, at(second));
}

/// Fields that are reported as drift, with kind and handling.
fn reported(inventory: &Inventory, part: &Described) -> Vec<(String, DriftKind, DriftHandling)> {
    let mut drift = Drift::default();
    looked(&mut drift, inventory, part, 0);
    drift.items.iter().map(|item| (item.field.clone(), item.kind, item.handling)).collect()
}

#[test]
fn only_what_was_once_in_place_can_drift() {
    use DriftHandling::{Reported, Waiting};
    use DriftKind::{Extra, Missing, Modified};
    type Row<'a> = (&'a str, Inventory, Described, Vec<(&'a str, DriftKind, DriftHandling)>);
    let good: &[(&str, &str)] = &[("trustPolicy", "a"), ("tags", "t")];
    let never = Inventory(vec![item()]);
    let rows: Vec<Row<'_>> = vec![
        ("in place", seen(good), part(good, Some(good), &[]), vec![]),
        ("missing while it is being made", never.clone(), part(good, None, &[]), vec![]),
        ("different before it was ever in place", never, part(good, Some(&[("trustPolicy", "x")]), &[]), vec![]),
        ("gone", seen(good), part(good, None, &[]), vec![("role", Missing, Waiting)]),
        (
            "changed in AWS",
            seen(good),
            part(good, Some(&[("trustPolicy", "x"), ("tags", "t")]), &[]),
            vec![("trustPolicy", Modified, Waiting)],
        ),
        ("changed in the spec", seen(good), part(&[("trustPolicy", "new"), ("tags", "t")], Some(good), &[]), vec![]),
        (
            "changed in both",
            seen(good),
            part(&[("trustPolicy", "new"), ("tags", "t")], Some(&[("trustPolicy", "x"), ("tags", "t")]), &[]),
            vec![("trustPolicy", Modified, Waiting)],
        ),
        (
            "an extra that grants",
            seen(good),
            part(good, Some(&[("trustPolicy", "a"), ("tags", "t"), ("inline policy z", "allows something")]), &[]),
            vec![("inline policy z", Extra, Waiting)],
        ),
        (
            "an extra that only denies",
            seen(good),
            part(good, Some(&[("trustPolicy", "a"), ("tags", "t"), ("policy d", "only denies")]), &["policy d"]),
            vec![("policy d", Extra, Reported)],
        ),
        (
            "a field that an AwsAccount no longer imposes",
            seen(&[("trustPolicy", "a"), ("tags", "t"), ("permissionsBoundary", "b")]),
            part(
                good,
                Some(&[("trustPolicy", "a"), ("tags", "t"), ("permissionsBoundary", "b")]),
                &["permissionsBoundary"],
            ),
            vec![],
        ),
    ];
    for (what, inventory, described, expected) in rows {
        let expected: Vec<_> = expected.into_iter().map(|(field, kind, how)| (field.to_owned(), kind, how)).collect();
        assert_eq!(reported(&inventory, &described), expected, "{what}");
    }
}

#[test]
fn a_stale_read_is_no_drift_and_closes_nothing() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a")];
    let inventory = seen(good);
    let wrong = part(good, Some(&[("trustPolicy", "x")]), &[]);
    let mut drift = Drift::default();
    let own = OwnDoing { stale: &|_| true, written_since: &|_, _| true };
    drift.look(std::slice::from_ref(&wrong), &inventory, &own, at(0));
    assert_eq!(drift.status(), None);
    looked(&mut drift, &inventory, &wrong, 1);
    drift.look(&[part(good, Some(good), &[])], &inventory, &own, at(2));
    assert_eq!(drift.items[0].handling, DriftHandling::Waiting, "hidden behind a stale read it stays open");
}

#[test]
fn drift_is_told_when_found_when_corrected_and_no_longer_after_its_time() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a")];
    let inventory = seen(good);
    let mut drift = Drift::default();
    assert_eq!(drift.said(ReasonClass::Reconciling), None, "nothing is known before the object has converged");
    assert_eq!(drift.said(ReasonClass::Ready).unwrap().0, DriftReason::InSync);
    looked(&mut drift, &inventory, &part(good, Some(&[("trustPolicy", "x")]), &[]), 10);
    let (reason, message) = drift.said(ReasonClass::Reconciling).unwrap();
    assert_eq!(reason, DriftReason::Correcting);
    let wrong = "trust policy of role invoke in 222222222222 no longer trusted pipeline role P";
    assert_eq!(message, format!("{wrong}; being corrected"));
    let (found, put_right) = drift.changes();
    assert_eq!((found.len(), put_right.len()), (1, 0));
    looked(&mut drift, &inventory, &part(good, Some(&[("trustPolicy", "x")]), &[]), 20);
    assert!(drift.changes().0.is_empty(), "an open difference is found once");
    assert_eq!(drift.oldest_uncorrected(), Some(at(10)));

    looked(&mut drift, &inventory, &part(good, Some(good), &[]), 30);
    let (reason, message) = drift.said(ReasonClass::Ready).unwrap();
    assert_eq!((reason, message), (DriftReason::Corrected, format!("{wrong}; corrected at {}", at(30))));
    assert_eq!(drift.changes().1[0].sentence, wrong);
    assert_eq!(drift.oldest_uncorrected(), None);
    assert_eq!(drift.expires_in(HOUR, at(40)), Some(Duration::from_secs(3590)));

    drift.expire(HOUR, at(3629));
    assert_eq!(drift.said(ReasonClass::Ready).unwrap().0, DriftReason::Corrected);
    drift.expire(HOUR, at(3630));
    assert_eq!(drift.said(ReasonClass::Ready).unwrap().0, DriftReason::InSync);
    assert_eq!(drift.expires_in(HOUR, at(3630)), None);
    let status = drift.status().unwrap();
    assert_eq!(
        (status.items.len(), status.last_detected_at, status.last_corrected_at),
        (0, Some(Time(at(10))), Some(Time(at(30))))
    );
}

/// A later reconcile that never came as far as looking, or a restarted process, repeats what was said.
#[test]
fn the_status_carries_drift_over_to_the_next_reconcile() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a")];
    let inventory = seen(good);
    let mut first = Drift::default();
    looked(&mut first, &inventory, &part(good, Some(&[("trustPolicy", "x")]), &[]), 10);
    let (reason, message) = first.said(ReasonClass::Reconciling).unwrap();
    let status = CrossAccountInvokeStatus {
        conditions: vec![conditions::drifted(&[], reason, &message, 1, at(10))],
        drift: first.status(),
        ..CrossAccountInvokeStatus::default()
    };
    let mut next = Drift::of(Some(&status));
    assert_eq!(next.said(ReasonClass::Reconciling), Some((reason, message)));
    next.failed(true);
    assert_eq!(next.items[0].handling, DriftHandling::Failed);
    next.failed(false);
    // The write went through before the process died: its digest was forgotten, the open item was not.
    looked(&mut next, &Inventory(vec![item()]), &part(good, Some(good), &[]), 50);
    let (reason, message) = next.said(ReasonClass::Ready).unwrap();
    assert_eq!(reason, DriftReason::Corrected);
    let wrong = "trust policy of role invoke in 222222222222 no longer trusted pipeline role P";
    assert_eq!(message, format!("{wrong}; corrected at {}", at(50)));
}

#[test]
fn what_is_reported_stays_reported_and_goes_silently() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a")];
    let inventory = seen(good);
    let denied = part(good, Some(&[("trustPolicy", "a"), ("inline policy d", "only denies")]), &["inline policy d"]);
    let mut drift = Drift::default();
    looked(&mut drift, &inventory, &denied, 0);
    assert!(denied.in_place(), "it does not keep the object from being ready");
    assert_eq!(drift.said(ReasonClass::Ready).unwrap().0, DriftReason::Reported);
    assert_eq!(drift.oldest_uncorrected(), None);
    drift.changes();
    looked(&mut drift, &inventory, &part(good, Some(good), &[]), 10);
    assert!(drift.changes().1.is_empty(), "we did not put it right");
}

/// Everything else went on, so that the object is ready; only the next look can change it.
#[test]
fn a_refused_correction_has_failed_although_the_object_is_ready() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a")];
    let inventory = seen(good);
    let mut refused = part(good, Some(&[("trustPolicy", "a"), ("managed policy m", "allows something")]), &[]);
    refused.refused.insert("managed policy m".to_owned(), "role crossinvoke may not iam:DetachRolePolicy".to_owned());
    let mut drift = Drift::default();
    looked(&mut drift, &inventory, &refused, 0);
    assert!(refused.in_place());
    drift.failed(false);
    assert_eq!(drift.items[0].handling, DriftHandling::Failed);
    let (reason, message) = drift.said(ReasonClass::Ready).unwrap();
    assert_eq!(reason, DriftReason::Correcting);
    assert!(
        message.ends_with("(allows something); not corrected: role crossinvoke may not iam:DetachRolePolicy"),
        "{message}"
    );
    looked(&mut drift, &inventory, &part(good, Some(good), &[]), 10);
    assert_eq!(drift.items[0].handling, DriftHandling::Corrected);
}

#[test]
fn what_the_spec_no_longer_names_is_forgotten() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a")];
    let mut drift = Drift::default();
    looked(&mut drift, &seen(good), &part(good, None, &[]), 0);
    let mut elsewhere = part(good, Some(good), &[]);
    elsewhere.item.holder = "arn:aws:iam::222222222222:role/crossinvoke/x/other".parse().unwrap();
    looked(&mut drift, &seen(good), &elsewhere, 1);
    assert!(drift.items.is_empty());
}

#[test]
fn the_status_is_bounded() {
    let desired: Vec<(String, String)> = (0..60).map(|n| (format!("field{n:02}"), "a".repeat(1000))).collect();
    let desired: Vec<(&str, &str)> = desired.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let changed: Vec<(&str, &str)> = desired.iter().map(|(name, _)| (*name, "x")).collect();
    let inventory = seen(&desired);
    let mut drift = Drift::default();
    looked(&mut drift, &inventory, &part(&desired, Some(&changed), &[]), 0);
    assert_eq!(drift.items.len(), OPEN_MAX, "without being asked to expire anything");
    assert_eq!(drift.items[0].desired.as_ref().unwrap().chars().count(), VALUE_MAX);
    assert!(drift.said(ReasonClass::Ready).unwrap().1.contains("and 29 more"), "{:?}", drift.said(ReasonClass::Ready));
    looked(&mut drift, &inventory, &part(&desired, Some(&desired), &[]), 1);
    drift.expire(HOUR, at(1));
    assert_eq!(drift.items.len(), CORRECTED_MAX);
}

#[test]
fn every_further_difference_of_a_part_is_found_and_a_lost_part_corrects_nothing() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a"), ("tags", "t")];
    let mut inventory = seen(good);
    let mut drift = Drift::default();
    looked(&mut drift, &inventory, &part(good, Some(&[("trustPolicy", "x"), ("tags", "t")]), &[]), 0);
    // The correction was recorded, and waits or is refused.
    expect(&mut inventory, &[part(good, None, &[])], &BTreeSet::from([Part::InvokeRole]));
    looked(&mut drift, &inventory, &part(good, Some(&[("trustPolicy", "x"), ("tags", "y")]), &[]), 1);
    let fields = |drift: &Drift| drift.items.iter().map(|item| item.field.clone()).collect::<BTreeSet<_>>();
    assert_eq!(fields(&drift), ["tags".to_owned(), "trustPolicy".to_owned()].into());
    looked(&mut drift, &inventory, &part(good, None, &[]), 2);
    assert_eq!(fields(&drift), ["role".to_owned(), "tags".to_owned(), "trustPolicy".to_owned()].into());
    assert!(drift.items.iter().all(|item| item.handling == DriftHandling::Waiting), "{:?}", drift.items);
    assert!(drift.changes().1.is_empty());
    looked(&mut drift, &inventory, &part(good, Some(good), &[]), 3);
    assert!(drift.items.iter().all(|item| item.handling == DriftHandling::Corrected));
}

#[test]
fn what_we_are_writing_is_no_drift_and_what_was_there_is_none_either() {
    let before: &[(&str, &str)] = &[("trustPolicy", "a")];
    let after: &[(&str, &str)] = &[("trustPolicy", "b"), ("permissionsBoundary", "p")];
    let mut inventory = seen(before);
    expect(&mut inventory, &[part(after, Some(before), &[])], &BTreeSet::from([Part::InvokeRole]));
    // A newer spec meets either of them.
    let newest: &[(&str, &str)] = &[("trustPolicy", "c")];
    for found in [before, after] {
        assert_eq!(reported(&inventory, &part(newest, Some(found), &[])), []);
    }
    let strange = reported(&inventory, &part(newest, Some(&[("trustPolicy", "x")]), &[]));
    assert_eq!(strange, [("trustPolicy".to_owned(), DriftKind::Modified, DriftHandling::Waiting)]);
}

#[test]
fn what_somebody_else_put_right_is_not_claimed() {
    let good: &[(&str, &str)] = &[("trustPolicy", "a")];
    let inventory = seen(good);
    let mut drift = Drift::default();
    looked(&mut drift, &inventory, &part(good, Some(&[("trustPolicy", "x")]), &[]), 0);
    drift.changes();
    let own = OwnDoing { stale: &|_| false, written_since: &|_, _| false };
    drift.look(&[part(good, Some(good), &[])], &inventory, &own, at(5));
    let (reason, message) = drift.said(ReasonClass::Ready).unwrap();
    assert_eq!(reason, DriftReason::Corrected);
    assert!(message.ends_with(&format!("; corrected by somebody else, seen at {}", at(5))), "{message}");
    assert!(drift.changes().1.is_empty());
}

#[test]
fn nothing_is_claimed_to_be_in_sync_without_a_look() {
    let in_sync = CrossAccountInvokeStatus {
        conditions: vec![conditions::drifted(&[], DriftReason::InSync, "AWS holds it", 1, at(0))],
        ..CrossAccountInvokeStatus::default()
    };
    let drift = Drift::of(Some(&in_sync));
    assert_eq!(drift.said(ReasonClass::Stalled).unwrap().0, DriftReason::NotCompared);
    assert_eq!(drift.said(ReasonClass::Reconciling).unwrap().0, DriftReason::InSync, "a passing state changes nothing");
}

proptest! {
    #[test]
    fn a_digest_survives_the_status(values in prop::collection::btree_map("[a-zA-Z.: /-]{1,20}", ".{0,40}", 1..6)) {
        let values: BTreeMap<String, FieldValue> =
            values.into_iter().map(|(name, text)| (name, FieldValue { meaning: text.clone(), shown: text })).collect();
        let digest = Digest::of(&values);
        prop_assert_eq!(&digest.to_string().parse::<Digest>().unwrap(), &digest);
        for (name, value) in &values {
            prop_assert!(digest.says(name, Some(&value.meaning)));
            prop_assert!(!digest.says(name, None));
        }
    }
}

/// A controller that once started with another installation's id looked for policies of other names.
#[test]
fn drift_of_a_policy_that_is_not_this_installations_is_told_no_more() {
    let of_policy = || Item { part: Part::CallbackPolicy, ..item() };
    let policy = |installation: &str, observed: Option<&[(&str, &str)]>| Described {
        item: of_policy(),
        resource: Resource::RolePolicy {
            account: "222222222222".parse().unwrap(),
            role: "invoke".parse().unwrap(),
            policy: format!("crossinvoke-{installation}-callback"),
        },
        ..part(&[("policyDocument", "p")], observed, &[])
    };
    let good: &[(&str, &str)] = &[("policyDocument", "p")];
    let mut inventory = Inventory(vec![of_policy()]);
    verify(&mut inventory, &[policy("right", Some(good))]);
    let mut drift = Drift::default();
    looked(&mut drift, &inventory, &policy("wrong", None), 0);
    assert_eq!(drift.items[0].field, "inline policy crossinvoke-wrong-callback");
    assert!(drift.oldest_uncorrected().is_some());
    looked(&mut drift, &inventory, &policy("right", Some(good)), 1);
    assert_eq!((drift.items.len(), drift.oldest_uncorrected()), (0, None));
}
