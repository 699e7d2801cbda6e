//! The number of our action among other people's: what somebody did to it, or to the action.

use super::*;
use crate::domain::{
    observed::TakenOut,
    pipeline_edit::{NoteKind, Placed, action_at, placed},
};

/// An object that declares this number, or none.
fn with_number(run_order: Option<u16>) -> Declared {
    let choice = Choice { pipeline: 0, stage: true, action: true, function: 0, named: false };
    Declared { run_order, ..declared(&choice) }
}

/// Our action as number 2 of its stage, beside somebody else's of number 1.
fn among_others() -> World {
    let mut world = World::new();
    world.converge(&with_number(Some(2)), &Others::default());
    change(&mut world, "release", |pipeline| {
        let theirs = json!({"name": "Theirs", "runOrder": 1, "actionTypeId":
            {"category": "Test", "owner": "AWS", "provider": "CodeBuild", "version": "1"}});
        pipeline["stages"][2]["actions"].as_array_mut().unwrap().insert(0, theirs);
    });
    world.converge(&with_number(None), &Others::default());
    world
}

fn number(world: &World) -> Option<i64> {
    let release = world.observed.pipeline(&"release".parse().ok()?)?;
    action_at(&release.declaration, "Validate", "Run")?.get("runOrder")?.as_i64()
}

#[test]
fn an_action_that_somebody_took_out_comes_back_with_the_number_that_it_had() {
    let world = among_others();
    let release = world.observed.pipeline(&"release".parse().unwrap()).unwrap();
    let seen = TakenOut {
        pipeline: release.arn.clone(),
        stage: "Validate".parse().unwrap(),
        action: "Run".parse().unwrap(),
        earlier: placed(&release.declaration, "Validate", "Run").unwrap(),
    };
    let under_another_role = {
        let mut action: Value = serde_json::from_str(&seen.earlier.action.to_string()).unwrap();
        action["roleArn"] = json!("arn:aws:iam::222222222222:role/other");
        TakenOut { earlier: Placed { action: action.into(), ..seen.earlier.clone() }, ..seen.clone() }
    };
    let cases = [
        ("seen in place", None, Some(seen.clone()), Some(2)),
        ("another number is declared by now", Some(7), None, Some(7)),
        ("no earlier version", None, None, None),
        ("it was somebody else's", None, Some(under_another_role), None),
        ("another stage", None, Some(TakenOut { stage: "Build".parse().unwrap(), ..seen.clone() }), None),
        ("another action", None, Some(TakenOut { action: "Test".parse().unwrap(), ..seen.clone() }), None),
        ("another pipeline", None, Some(TakenOut { pipeline: pipeline_arn("second"), ..seen.clone() }), None),
    ];
    for (what, run_order, taken_out, expected) in cases {
        let (mut world, declared) = (world.clone(), with_number(run_order));
        let last = world.observed.pipeline(&"release".parse().unwrap()).unwrap().version;
        change(&mut world, "release", |pipeline| drop(pipeline["stages"][2]["actions"].as_array_mut().unwrap().pop()));
        let looked_for = world.with(&declared, &Others::default(), super::super::taken_out);
        assert_eq!(looked_for.is_some(), run_order.is_none(), "{what}: looked for only where it is needed");
        if let Some(suspect) = looked_for {
            assert_eq!((suspect.stage.as_str(), suspect.action.as_str()), ("Validate", "Run"));
            assert_eq!(suspect.version, Some(last), "{what}: where it was last seen in place");
        }
        world.observed.taken_out = taken_out;
        let plan = world.plan(&declared, &Others::default());
        let Some(expected) = expected else {
            assert_eq!(plan.blockers[0].reason, Reason::InvalidPosition, "{what}");
            assert!(plan.blockers[0].message.contains("stage Validate has Theirs (1)"), "{}", plan.blockers[0].message);
            continue;
        };
        world.compare(&declared, &Others::default());
        assert_eq!(world.drift.said(crate::api::ReasonClass::Ready).unwrap().0.to_string(), "Correcting", "{what}");
        assert_eq!(plan.blockers, [], "{what}");
        assert_eq!(plan.steps.iter().map(|step| step.part).collect::<Vec<_>>(), [Part::PipelineAction], "{what}");
        world.apply(&plan.steps[0]);
        assert_eq!(number(&world), Some(expected), "{what}");
        assert!(world.plan(&declared, &Others::default()).steps.is_empty(), "{what}");
    }
}

#[test]
fn the_number_comes_back_only_among_the_same_actions_of_other_people() {
    type Edit = fn(&mut Vec<Value>);
    let theirs = "arn:aws:iam::222222222222:role/crossinvoke/installed/theirs";
    let neighbour = AssumeUser {
        key: ObjectKey { namespace: "n".to_owned(), name: "theirs".to_owned() },
        usage: Usage::Uses,
        invoke_role: None,
        granted: true,
        recorded: BTreeSet::new(),
        planned_here: BTreeSet::from([theirs.parse().unwrap()]),
        verified: BTreeSet::new(),
    };
    let holder = pipeline_role(PIPELINES[0]).role().unwrap();
    let others = Others { assume: BTreeMap::from([(holder, vec![neighbour])]), ..Others::default() };
    let mut world = among_others();
    change(&mut world, "release", |pipeline| {
        let gate = json!({"name": "Gate", "runOrder": 2, "roleArn": theirs, "actionTypeId":
            {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"}});
        pipeline["stages"][2]["actions"].as_array_mut().unwrap().insert(1, gate);
    });
    let release = world.observed.pipeline(&"release".parse().unwrap()).unwrap();
    let seen = TakenOut {
        pipeline: release.arn.clone(),
        stage: "Validate".parse().unwrap(),
        action: "Run".parse().unwrap(),
        earlier: placed(&release.declaration, "Validate", "Run").unwrap(),
    };
    let one_more = |actions: &mut Vec<Value>| actions.push(json!({"name": "More", "runOrder": 3}));
    let cases: [(&str, Edit, Option<i64>); 7] = [
        ("the same", |_| (), Some(2)),
        ("in another order of the list", |actions| actions.reverse(), Some(2)),
        ("without the other object's action, taken out with ours", |actions| drop(actions.remove(1)), Some(2)),
        ("the other object's action moved", |actions| actions[1]["runOrder"] = json!(5), Some(2)),
        ("another number", |actions| actions[0]["runOrder"] = json!(2), None),
        ("another name", |actions| actions[0]["name"] = json!("Renamed"), None),
        ("one more", one_more, None),
    ];
    for (what, edit, expected) in cases {
        let (mut world, declared) = (world.clone(), with_number(None));
        change(&mut world, "release", |pipeline| {
            let actions = pipeline["stages"][2]["actions"].as_array_mut().unwrap();
            actions.retain(|action| action["name"] != "Run");
            edit(actions);
        });
        world.observed.taken_out = Some(seen.clone());
        let plan = world.plan(&declared, &others);
        if expected.is_some() {
            assert_eq!(plan.blockers, [], "{what}");
            let put_back = plan.steps.iter().find(|step| step.part == Part::PipelineAction);
            world.apply(put_back.unwrap());
            assert_eq!(number(&world), expected, "{what}");
            continue;
        }
        assert_eq!(plan.blockers[0].reason, Reason::InvalidPosition, "{what}");
        let said = &plan.blockers[0].message;
        assert!(said.contains(", and had Theirs (1) when action Run was number 2 there: set spec"), "{said}");
        assert!(plan.steps.iter().all(|step| step.part != Part::PipelineAction), "{what}");
    }
}

#[test]
fn a_number_that_nobody_declares_stays_as_somebody_sets_it_and_its_place_is_told() {
    for (run_order, is_drift) in [(None, false), (Some(2), true)] {
        let (mut world, declared) = (among_others(), with_number(run_order));
        world.converge(&declared, &Others::default());
        change(&mut world, "release", |pipeline| pipeline["stages"][2]["actions"][1]["runOrder"] = json!(1));
        world.compare(&declared, &Others::default());
        let items = world.drift.status().unwrap_or_default().items;
        let fields: Vec<_> = items.iter().map(|item| (item.field.as_str(), item.observed.as_deref())).collect();
        let parts: Vec<_> = world.plan(&declared, &Others::default()).steps.iter().map(|step| step.part).collect();
        let notes = world
            .with(&declared, &Others::default(), |situation, observed| Comparison::of(situation, observed).notes());
        let kinds: Vec<_> = notes.iter().map(|note| note.kind).collect();
        assert_eq!(kinds, [NoteKind::RunsInParallel], "Ready tells the place that it has now");
        assert!(notes[0].sentence.contains("spec.action.runOrder sets the order"), "{}", notes[0].sentence);
        if is_drift {
            assert_eq!((fields, parts), (vec![("runOrder", Some("1"))], vec![Part::PipelineAction]));
        } else {
            assert_eq!((fields, parts), (vec![], vec![]), "nobody said another number: it is what somebody chose");
        }
    }
}
