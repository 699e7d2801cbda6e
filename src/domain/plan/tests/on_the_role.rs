//! What others put on the invoke role, and what the account imposes on it.

use super::*;
use crate::domain::observed::{ExtraPolicy, ExtraPolicyName};

fn right() -> Declared {
    declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false })
}

fn own_role(world: &mut World) -> &mut InvokeRole {
    world.observed.roles.get_mut(&"derived".parse::<RoleName>().unwrap()).unwrap().as_mut().unwrap()
}

fn tags(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn inline(name: &str) -> ExtraPolicyName {
    ExtraPolicyName::Inline(name.to_owned())
}

fn attached(arn: &str) -> ExtraPolicyName {
    ExtraPolicyName::Attached(arn.parse().unwrap())
}

#[test]
fn a_pattern_of_a_name_means_any_policy_and_one_of_an_arn_attached_ones() {
    let audit = "arn:aws:iam::222222222222:policy/org/audit-1";
    for (pattern, policy, expected) in [
        ("audit-*", inline("audit-1"), true),
        ("audit-*", attached(audit), true),
        ("audit-1", attached(audit), true),
        ("org/audit-1", attached(audit), false),
        ("audit", inline("audit-1"), false),
        ("arn:aws:iam::222222222222:policy/org/*", attached(audit), true),
        ("arn:aws:iam::*:policy/org/audit-1", attached(audit), true),
        ("arn:aws:iam::aws:policy/*", attached(audit), false),
        ("arn:aws:iam::222222222222:policy/*", inline("arn"), false),
    ] {
        assert_eq!(access::tolerates(&[pattern.to_owned()], &policy), expected, "{pattern} {policy}");
    }
    assert!(!access::tolerates(&[], &inline("audit-1")));
}

/// What the account tolerates, what stays for the time being, what is removed, what is reported, and whether all is well.
type Extras<'a> = (&'a str, &'a [&'a str], Staying, Vec<&'a ExtraPolicyName>, Vec<&'a ExtraPolicyName>, bool);

/// Policies on the role, what stays for the time being, and what is removed, reported and refused then.
#[test]
fn only_what_allows_something_is_removed_and_not_what_stays() {
    let (baseline, revoke) = (inline("org-baseline"), inline("AWSRevokeOlderSessions"));
    let (quarantine, sessions) = (
        attached("arn:aws:iam::222222222222:policy/quarantine-deny"),
        attached("arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"),
    );
    let extra = |name: &ExtraPolicyName, grants, denies| ExtraPolicy { name: name.clone(), grants, denies };
    let incident = vec![
        extra(&baseline, true, true),
        extra(&revoke, false, true),
        extra(&quarantine, false, true),
        extra(&sessions, true, false),
    ];
    let returns = || Staying::from([(baseline.to_string(), Stays::Returns)]);
    let refused = || Staying::from([(sessions.to_string(), Stays::Refused("denied".to_owned()))]);
    let rows: [Extras<'_>; 4] = [
        ("an incident", &[], Staying::new(), vec![&baseline, &sessions], vec![&revoke, &quarantine], false),
        ("tolerated", &["AmazonSSM*", "AWSRevoke*"], Staying::new(), vec![&baseline], vec![&quarantine], false),
        ("it came back", &["AmazonSSM*"], returns(), vec![], vec![&revoke, &quarantine, &baseline], true),
        ("it was refused", &["org-*"], refused(), vec![], vec![&revoke, &quarantine], true),
    ];
    for (what, patterns, staying, removed, reported, in_place) in rows {
        let mut world = World::new();
        world.converge(&right(), &Others::default());
        own_role(&mut world).extra_policies = incident.clone();
        world.staying = staying;
        let granted = Granted { tolerated_policies: patterns.iter().map(|of| (*of).to_owned()).collect(), ..granted() };
        let steps = world.with_granted(&right(), &granted, &Others::default(), plan).steps;
        let planned: Vec<Option<ExtraPolicyName>> = steps.iter().map(Step::extra_policy).collect();
        assert_eq!(planned, removed.into_iter().cloned().map(Some).collect::<Vec<_>>(), "{what}");
        let parts = world.with_granted(&right(), &granted, &Others::default(), described);
        let role = parts.iter().find(|part| part.item.part == Part::InvokeRole).unwrap();
        let expected: BTreeSet<String> = reported.into_iter().map(ToString::to_string).collect();
        assert_eq!(role.tolerated, expected, "{what}");
        assert_eq!(role.in_place(), in_place, "{what}");
        // Whatever stays, deletion takes it along.
        let removal = world.with_granted(&right(), &granted, &Others::default(), plan_removal);
        assert!(removal.steps.iter().all(|step| step.extra_policy().is_none()), "removal counts no removals");
    }
}

/// Tags of the role, of the object and of the account, and what is set and removed.
#[test]
fn tags_are_compared_without_case_and_imposed_ones_come_back() {
    type Row<'a> =
        (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], &'a [&'a str]);
    let rows: [Row<'_>; 6] = [
        ("in place", &[("team", "a"), ("CostCenter", "1")], &[("team", "a")], &[], &[]),
        ("renamed", &[("team", "a"), ("CostCenter", "1")], &[("Team", "a")], &[("Team", "a")], &[]),
        ("renamed and changed", &[("team", "a"), ("CostCenter", "1")], &[("Team", "b")], &[("Team", "b")], &[]),
        (
            "an imposed one changed",
            &[("team", "a"), ("CostCenter", "0")],
            &[("team", "a")],
            &[("CostCenter", "1")],
            &[],
        ),
        ("an imposed one removed", &[("team", "a")], &[("team", "a")], &[("CostCenter", "1")], &[]),
        ("one of ours no longer declared", &[("team", "a"), ("CostCenter", "1"), ("env", "x")], &[], &[], &["team"]),
    ];
    let granted = Granted {
        allowed_tag_keys: vec!["TEAM".to_owned(), "env".to_owned()],
        imposed_tags: tags(&[("CostCenter", "1")]),
        ..granted()
    };
    for (what, there, wanted, set, removed) in rows {
        let mut world = World::new();
        let before = Declared { tags: tags(&[("team", "a")]), ..right() };
        world.converge(&before, &Others::default());
        let ownership = names::ownership_tags(&installation(), &key());
        own_role(&mut world).tags = tags(there).into_iter().chain(ownership).collect();
        let declared = Declared { tags: tags(wanted), ..right() };
        let steps = world.with_granted(&declared, &granted, &Others::default(), plan).steps;
        let mut expected = Vec::new();
        if !set.is_empty() {
            expected.push(Change::SetTags(tags(set)));
        }
        if !removed.is_empty() {
            expected.push(Change::RemoveTags(removed.iter().map(|key| (*key).to_owned()).collect()));
        }
        assert_eq!(steps.iter().map(|step| step.change.clone()).collect::<Vec<_>>(), expected, "{what}");
        if let Some(step) = steps.first() {
            let mut after = own_role(&mut world).clone();
            for (key, _) in set {
                after.tags.retain(|known, _| !names::same_tag_key(known, key));
            }
            after.tags.extend(tags(set));
            after.tags.retain(|key, _| !removed.contains(&key.as_str()));
            assert_eq!(
                step.after,
                role_state(Some(&after)),
                "{what}: what will be read is not taken for somebody's change"
            );
        }
    }
    let mut world = World::new();
    world.look(&right());
    let steps = world.with_granted(&right(), &granted, &Others::default(), plan).steps;
    let Change::CreateRole(new) = &steps[0].change else { panic!("{steps:?}") };
    assert_eq!(new.tags["CostCenter"], "1", "a rule on aws:RequestTag must see it");
}

#[test]
fn a_step_that_the_rights_allow_only_under_a_boundary_says_so_where_none_is_imposed() {
    let declared = right();
    let mut world = World::new();
    world.look(&declared);
    let named = |boundary: Option<&str>| {
        let mut granted = granted();
        granted.boundary = boundary.map(|arn| arn.parse().unwrap());
        granted.dev.object = "dev-payments".to_owned();
        world.with_granted(&declared, &granted, &Others::default(), |situation, observed| {
            let steps = plan(situation, observed).steps;
            let lacking = steps.iter().filter_map(|step| Some((step.part, lacks_boundary(situation, step)?)));
            lacking.collect::<Vec<_>>()
        })
    };
    let lacking = named(None);
    let parts: Vec<Part> = lacking.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts, [Part::InvokeRole, Part::InvokePolicy]);
    for (_, remedy) in &lacking {
        assert!(remedy.contains("spec.invokeRoles.permissionsBoundaryARN of AwsAccount dev-payments"), "{remedy}");
    }
    assert!(named(Some("arn:aws:iam::222222222222:policy/crossinvoke-boundary")).is_empty());
}
