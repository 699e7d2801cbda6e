//! An account that is being deleted: what was in place is put back, and nothing new is made.

use Part::{AssumePolicy, CallbackPolicy, InvokePolicy, InvokeRole, PipelineAction};

use super::*;
use crate::domain::{inventory::Item, observed::TakenOut};

type Edit = fn(&mut World);

/// What it is, what is removed, what becomes of the status, whether this process saw it in place, what is put back, and
/// whether something would be new.
type Row<'a> = (&'a str, Edit, Edit, bool, &'a [Part], bool);

/// The parts of the steps that are left, and whether there was anything new.
fn kept(world: &World, declared: &Declared, settled: Option<&Inventory>) -> (Vec<Part>, bool) {
    world.with(declared, &Others::default(), |situation, observed| {
        let mut plan = plan(situation, observed);
        assert_eq!(plan.blockers, []);
        let anything_new = keep_what_was_in_place(&mut plan, situation, observed, settled);
        (plan.steps.iter().map(|step| step.part).collect(), anything_new)
    })
}

fn choice_of(stage: bool, function: usize) -> Declared {
    declared(&Choice { pipeline: 0, stage, action: true, function, named: false })
}

#[test]
fn what_was_in_place_is_put_back() {
    let declared = choice_of(true, 0);
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    let settled = world.inventory.clone();
    let no_callback: Edit = |world| world.observed.callback.values_mut().for_each(|policy| *policy = None);
    let no_assume: Edit = |world| world.observed.assume.values_mut().for_each(|policy| *policy = None);
    let no_role: Edit = |world| world.observed.roles.values_mut().for_each(|role| *role = None);
    let no_action: Edit =
        |world| change(world, "release", |pipeline| drop(pipeline["stages"].as_array_mut().unwrap().remove(2)));
    let taken_out: Edit = |world| {
        let (stage, action) = ("Validate", "Run");
        let pipeline = world.observed.pipeline(&"release".parse().unwrap()).unwrap();
        let earlier = pipeline_edit::placed(&pipeline.declaration, stage, action).unwrap();
        let (stage, action) = (stage.parse().unwrap(), action.parse().unwrap());
        let taken_out = TakenOut { pipeline: pipeline.arn.clone(), stage, action, earlier };
        change(world, "release", |pipeline| drop(pipeline["stages"].as_array_mut().unwrap().remove(2)));
        world.observed.taken_out = Some(taken_out);
    };
    let not_recorded: Edit = |world| world.inventory = Inventory::default();
    let never_seen: Edit = |world| world.inventory.0.iter_mut().for_each(|item| item.digest = None);
    let keep: Edit = |_| ();
    let cases: [Row<'_>; 12] = [
        ("nothing", keep, keep, true, &[], false),
        ("P2", no_callback, keep, true, &[CallbackPolicy], false),
        ("P2, in another process", no_callback, keep, false, &[CallbackPolicy], false),
        ("P2, without a status", no_callback, not_recorded, true, &[CallbackPolicy], false),
        ("P2, of which nothing says that it was there", no_callback, never_seen, false, &[], true),
        ("P3", no_assume, keep, false, &[AssumePolicy], false),
        ("P4", no_action, keep, true, &[PipelineAction], false),
        ("P4, which an earlier version shows", taken_out, keep, false, &[PipelineAction], false),
        ("P4, with nothing but the status to show", no_action, keep, false, &[], true),
        ("P4, which only an earlier version shows", taken_out, not_recorded, false, &[], true),
        ("the role", no_role, keep, true, &[InvokeRole, InvokePolicy], false),
        ("the role, with nothing but the status to show", no_role, keep, false, &[], true),
    ];
    for (what, removed, status, seen, expected, anything_new) in cases {
        let mut world = world.clone();
        removed(&mut world);
        status(&mut world);
        let found = kept(&world, &declared, seen.then_some(&settled));
        assert_eq!(found, (expected.to_vec(), anything_new), "{what}");
    }
}

#[test]
fn a_forged_status_lets_nothing_new_be_made() {
    let mut world = World::new();
    world.converge(&choice_of(true, 0), &Others::default());
    let choice = |pipeline, action, function| Choice { pipeline, stage: true, action, function, named: false };
    for (what, choice) in [
        ("another action", choice(0, false, 0)),
        ("another function", choice(0, true, 1)),
        ("another pipeline", choice(1, true, 0)),
    ] {
        let (mut world, declared) = (world.clone(), declared(&choice));
        world.look(&declared);
        let desired = world.with(&declared, &Others::default(), |situation, observed| {
            desired_inventory(situation, &resolve(situation, observed).unwrap())
        });
        let digest = world.inventory.0[0].digest.clone();
        assert!(digest.is_some());
        world.inventory.0.extend(desired.0.into_iter().map(|item| Item { digest: digest.clone(), ..item }));
        assert_eq!(kept(&world, &declared, None), (Vec::new(), true), "{what}");
    }
}

#[test]
fn nothing_new_is_made_and_nothing_goes_that_rests_on_it() {
    let mut world = World::new();
    world.look(&choice_of(true, 0));
    assert_eq!(kept(&world, &choice_of(true, 0), None), (Vec::new(), true), "an object that has nothing");
    world.converge(&choice_of(true, 0), &Others::default());
    let settled = world.inventory.clone();
    for (what, declared) in [("another function", choice_of(true, 1)), ("another stage", choice_of(false, 0))] {
        let mut world = world.clone();
        world.look(&declared);
        assert_eq!(kept(&world, &declared, Some(&settled)), (Vec::new(), true), "{what}");
    }
}
