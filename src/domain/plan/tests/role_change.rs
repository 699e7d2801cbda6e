//! Somebody changed the role of our action: ours still where AWS shows it, and a conflict otherwise.

use super::*;
use crate::domain::{
    observed::{NamedRole, RoleChange},
    pipeline_edit::action_at,
};

/// What somebody does to the action.
type Edit = fn(&mut Value);

const OTHER: &str = "arn:aws:iam::222222222222:role/other";

fn choice_of_one() -> Declared {
    declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false })
}

/// A converged world in which somebody changed the action, and what the version before shows.
fn changed(by: impl FnOnce(&mut Value)) -> (World, RoleChange) {
    let mut world = World::new();
    world.converge(&choice_of_one(), &Others::default());
    let pipeline = world.observed.pipeline(&"release".parse().unwrap()).unwrap();
    let change_seen = RoleChange {
        pipeline: pipeline.arn.clone(),
        stage: "Validate".parse().unwrap(),
        action: "Run".parse().unwrap(),
        earlier: action_at(&pipeline.declaration, "Validate", "Run").unwrap().clone(),
        named_now: NamedRole::Missing,
    };
    change(&mut world, "release", |pipeline| by(&mut pipeline["stages"][2]["actions"][0]));
    (world, change_seen)
}

/// Another object that has a role by what was planned for it, or says so in its status alone.
fn neighbour_with(role: &str, planned: bool) -> Others {
    let roles = BTreeSet::from([role.parse().unwrap()]);
    let (planned_here, recorded) = if planned { (roles, BTreeSet::new()) } else { (BTreeSet::new(), roles) };
    let user = AssumeUser {
        key: ObjectKey { namespace: "n".to_owned(), name: "theirs".to_owned() },
        usage: Usage::Uses,
        invoke_role: None,
        granted: true,
        recorded,
        planned_here,
        verified: BTreeSet::new(),
    };
    let holder = pipeline_role(PIPELINES[0]).role().unwrap();
    Others { assume: BTreeMap::from([(holder, vec![user])]), ..Others::default() }
}

#[test]
fn a_role_that_somebody_changed_is_corrected_where_an_earlier_version_shows_ours() {
    let points_elsewhere = |action: &mut Value| action["roleArn"] = json!(OTHER);
    let removed = |action: &mut Value| drop(action.as_object_mut().unwrap().remove("roleArn"));
    let more = |action: &mut Value| {
        action["roleArn"] = json!(OTHER);
        action["runOrder"] = json!(2);
    };
    let tags = |tags: &[(&str, &str)]| {
        NamedRole::Tags(tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    };
    let nobody = Others::default();
    let cases: [(&str, Edit, Option<NamedRole>, &Others, bool); 10] = [
        ("another role", points_elsewhere, Some(NamedRole::Missing), &nobody, true),
        ("no role", removed, Some(NamedRole::None), &nobody, true),
        ("a role with other tags", points_elsewhere, Some(tags(&[("team", "x")])), &nobody, true),
        ("no earlier version", points_elsewhere, None, &nobody, false),
        ("more than the role", more, Some(NamedRole::Missing), &nobody, false),
        ("a role of another object", points_elsewhere, Some(tags(&[(names::OWNER_TAG, "n/x")])), &nobody, false),
        (
            "a role of another installation",
            points_elsewhere,
            Some(tags(&[(names::INSTALLATION_TAG, "i")])),
            &nobody,
            false,
        ),
        ("a role that may not be read", points_elsewhere, Some(NamedRole::Hidden), &nobody, false),
        (
            "a role of another object that is not there yet",
            points_elsewhere,
            Some(NamedRole::Missing),
            &neighbour_with(OTHER, true),
            false,
        ),
        (
            "a role that only another object's status names",
            points_elsewhere,
            Some(NamedRole::Missing),
            &neighbour_with(OTHER, false),
            true,
        ),
    ];
    for (what, edit, named_now, others, is_ours) in cases {
        let (mut world, seen) = changed(edit);
        assert_eq!(world.with(&choice_of_one(), others, suspects).len(), 1, "{what}");
        world.observed.role_changes.extend(named_now.map(|named_now| RoleChange { named_now, ..seen }));
        let plan = world.plan(&choice_of_one(), others);
        let removal = world.with(&choice_of_one(), others, plan_removal);
        let first = removal.steps.first().map(|step| step.part);
        if is_ours {
            assert_eq!(plan.blockers, [], "{what}");
            assert_eq!(plan.steps.iter().map(|step| step.part).collect::<Vec<_>>(), [Part::PipelineAction], "{what}");
            world.apply(&plan.steps[0]);
            world.observed.role_changes.clear();
            assert!(world.works(), "{what}");
            assert_eq!(first, Some(Part::PipelineAction), "{what}");
        } else {
            assert_eq!(plan.blockers[0].reason, Reason::ActionConflict, "{what}");
            assert_ne!(first, Some(Part::PipelineAction), "{what}: deletion leaves it alone");
        }
        world.compare(&choice_of_one(), others);
    }
}

#[test]
fn a_role_of_another_namespace_is_named_in_no_message() {
    for (namespace, named) in [(key().namespace, true), ("another-tenant".to_owned(), false)] {
        let (mut world, seen) = changed(|action| action["roleArn"] = json!(OTHER));
        world.observed.role_changes.push(RoleChange { named_now: NamedRole::Hidden, ..seen });
        let mut others = neighbour_with(OTHER, true);
        others.assume.values_mut().flatten().for_each(|user| user.key.namespace.clone_from(&namespace));
        let plan = world.plan(&choice_of_one(), &others);
        assert_eq!(plan.blockers[0].reason, Reason::ActionConflict, "{namespace}");
        assert_eq!(plan.blockers[0].message.contains(OTHER), named, "{}", plan.blockers[0].message);
        world.compare(&choice_of_one(), &others);
        let told = format!("{:?}", world.drift.status().unwrap().items);
        assert!(told.contains("roleArn"), "{told}");
        assert_eq!(told.contains(OTHER), named, "{told}");
    }
}

#[test]
fn a_role_of_ours_that_is_not_tagged_any_more_proves_nothing() {
    let (mut world, seen) = changed(|action| action["roleArn"] = json!(OTHER));
    world.observed.role_changes.push(seen);
    let role = world.observed.roles.get_mut(&"derived".parse::<RoleName>().unwrap()).unwrap().as_mut().unwrap();
    role.tags.clear();
    let plan = world.plan(&choice_of_one(), &Others::default());
    assert!(plan.steps.is_empty() && !plan.blockers.is_empty());
}

#[test]
fn where_to_look_is_the_version_in_which_it_was_last_seen_in_place() {
    let (world, _) = changed(|action| action["roleArn"] = json!(OTHER));
    let suspects = world.with(&choice_of_one(), &Others::default(), suspects);
    let version = world.observed.pipeline(&"release".parse().unwrap()).unwrap().version;
    assert_eq!(suspects[0].version, Some(version - 1));
    assert_eq!(suspects[0].named_now.as_deref(), Some(OTHER));
    let (untouched, _) = changed(|_| {});
    assert_eq!(untouched.with(&choice_of_one(), &Others::default(), super::suspects), []);
}

#[test]
fn drift_of_the_role_alone_tells_both_roles_and_what_the_runs_since_then_did() {
    let own = "arn:aws:iam::222222222222:role/crossinvoke/installed/derived";
    let not_asked = "runs since then did not ask the function in the dev account";
    for (named, observed, kind, words) in [
        (Some("arn:aws:iam::333333333333:role/x"), Some("arn:aws:iam::333333333333:role/x"), "Modified", not_asked),
        (Some(OTHER), Some(OTHER), "Modified", "as that role"),
        (None, None, "Missing", not_asked),
    ] {
        for proven in [true, false] {
            let (mut world, seen) = changed(|action| match named {
                Some(named) => action["roleArn"] = json!(named),
                None => drop(action.as_object_mut().unwrap().remove("roleArn")),
            });
            if proven {
                world.observed.role_changes.push(seen);
            }
            world.compare(&choice_of_one(), &Others::default());
            let items = world.drift.status().unwrap().items;
            let [item] = items.as_slice() else { panic!("{items:?}") };
            assert_eq!((item.field.as_str(), format!("{:?}", item.kind).as_str()), ("roleArn", kind));
            assert_eq!((item.desired.as_deref(), item.observed.as_deref()), (Some(own), observed));
            let (_, said) = world.drift.said(crate::api::ReasonClass::Ready).unwrap();
            assert!(said.contains(words), "{said}");
        }
    }
}
