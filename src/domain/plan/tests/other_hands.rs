//! What other people did to roles, stages and actions since the last look.

use super::*;

#[test]
fn a_hand_made_action_keeps_what_an_older_spec_made() {
    let named = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: true });
    let derived = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.converge(&named, &Others::default());
    let old = world.observed.role(&"named".parse().unwrap()).unwrap().arn.clone();
    change(&mut world, "release", |pipeline| {
        let mut by_hand = pipeline["stages"][2]["actions"][0].clone();
        by_hand["name"] = json!("ByHand");
        pipeline["stages"][1]["actions"].as_array_mut().unwrap().push(by_hand);
    });
    world.converge(&derived, &Others::default());
    let holder = pipeline_role("release").role().unwrap();
    let entries = |world: &World| policy::assume_entries(world.observed.assume[&holder].as_ref().unwrap()).unwrap();
    assert!(entries(&world).contains(&old), "a pipeline that names a role it cannot assume takes no update at all");
    assert!(world.inventory.of(Part::InvokeRole).any(|item| item.holder == old), "and it is not forgotten");
    assert_eq!(
        world.with(&derived, &Others::default(), users_of_old_roles),
        ["release/Build/ByHand".to_owned()].into()
    );
    let blocked =
        world.with(&derived, &Others::default(), |situation, observed| plan_removal(situation, observed).blockers);
    // Our own action goes first; the role that is still named keeps the rest.
    assert!(blocked.is_empty());
    // Once the action is gone, so is all of it.
    change(&mut world, "release", |pipeline| {
        pipeline["stages"][1]["actions"].as_array_mut().unwrap().retain(|action| action["name"] != "ByHand");
    });
    world.converge(&derived, &Others::default());
    assert!(!entries(&world).contains(&old));
    assert_eq!(world.observed.role(&"named".parse().unwrap()), None);
    assert!(world.inventory.of(Part::InvokeRole).all(|item| item.holder != old));
}

#[test]
fn an_execution_role_made_anew_at_another_path_is_the_same_role() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    world.observed.function.as_mut().unwrap().role = "arn:aws:iam::222222222222:role/elsewhere/first".parse().unwrap();
    let plan = world.plan(&declared, &Others::default());
    assert!(plan.steps.is_empty(), "neither written nor released: {:?}", plan.steps);
}

#[test]
fn a_stage_that_somebody_made_and_took_away_is_ours_once_we_make_it() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    let theirs = json!({"name": "Validate", "actions": [{"name": "Theirs", "runOrder": 1, "actionTypeId":
        {"category": "Test", "owner": "AWS", "provider": "X", "version": "1"}}]});
    change(&mut world, "release", |pipeline| pipeline["stages"].as_array_mut().unwrap().push(theirs));
    world.converge(&declared, &Others::default());
    assert!(world.inventory.of(Part::PipelineAction).all(|item| !item.stage_made));
    change(&mut world, "release", |pipeline| {
        pipeline["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    });
    let desired = world.with(&declared, &Others::default(), converged_inventory).unwrap();
    assert!(desired.of(Part::PipelineAction).all(|item| item.stage_made));
}

#[test]
fn a_given_role_name_proves_nothing_without_grant_and_record() {
    let named = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: true });
    let mut world = World::new();
    world.converge(&named, &Others::default());
    world.observed.roles.insert("named".parse().unwrap(), None);
    let pipeline = world.observed.pipelines[&"release".parse().unwrap()].clone();
    let removal = |world: &mut World, today: bool| {
        let granted = Granted { today, ..granted() };
        world.with_granted(&named, &granted, &Others::default(), plan_removal)
    };
    let edits = |plan: &Plan| plan.steps.iter().filter(|step| step.part == Part::PipelineAction).count();
    assert_eq!(edits(&removal(&mut world, true)), 1, "recorded and granted");
    assert_eq!(edits(&removal(&mut world, false)), 0, "a record alone may be forged");
    world.inventory = Inventory::default();
    assert_eq!(edits(&removal(&mut world, true)), 0, "another object may give the same name");
    assert_eq!(world.observed.pipelines[&"release".parse().unwrap()], pipeline);
}

#[test]
fn a_role_that_lost_its_tags_blocks_deletion_and_what_lets_a_pipeline_use_it_stays() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    let role = world.observed.roles.get_mut(&declared.role_name).unwrap().as_mut().unwrap();
    role.tags.clear();
    let arn = role.arn.clone();
    let removal = |world: &World| world.with(&declared, &Others::default(), plan_removal);
    let blocked = removal(&world);
    assert_eq!(blocked.steps, Vec::new());
    assert_eq!(blocked.blockers[0].reason, Reason::DeletionBlocked);
    for part in [arn.as_str(), "release/Validate/Run", "crossinvoke.dev/owner=payments/validate"] {
        assert!(blocked.blockers[0].message.contains(part), "{}", blocked.blockers[0].message);
    }
    // Also without a record: the name is derived, so the role is nobody else's.
    let recorded = std::mem::take(&mut world.inventory);
    assert_eq!(removal(&world).blockers.len(), 1);
    // Somebody took the action away: what is left is the role.
    world.inventory = recorded;
    change(&mut world, "release", |pipeline| {
        pipeline["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    });
    assert!(removal(&world).blockers[0].message.contains("delete the role"));
    world.observed.roles.insert(declared.role_name.clone(), None);
    assert_eq!(removal(&world).blockers, Vec::new());
}

#[test]
fn a_given_name_that_was_never_this_objects_blocks_no_deletion() {
    let named = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: true });
    let mut theirs = World::new();
    theirs.converge(&named, &Others::default());
    let mut world = World { inventory: Inventory::default(), ..theirs };
    world.observed.roles.get_mut(&named.role_name).unwrap().as_mut().unwrap().tags.clear();
    assert_eq!(world.with(&named, &Others::default(), plan_removal).blockers, Vec::new());
    // And the entry that the pipeline's action needs is not this object's to take.
    let plan = world.with(&named, &Others::default(), plan_removal);
    assert!(plan.steps.iter().all(|step| step.part != Part::AssumePolicy), "{plan:?}");
}

#[test]
fn an_invoke_policy_without_room_says_the_way_out_and_deletion_goes_on() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    let older = |number: usize| function_arn(&format!("older-{number:0>50}"));
    let functions: BTreeSet<Arn> = (0..100).map(older).chain([function_arn("first")]).collect();
    let role = world.observed.roles.get_mut(&declared.role_name).unwrap().as_mut().unwrap();
    role.invoke_policy = Some(policy::invoke(&functions, true));
    let holder = role.arn.clone();
    let known = world.inventory.of(Part::InvokePolicy).next().unwrap().clone();
    let items = functions.iter().map(|function| crate::domain::inventory::Item {
        holder: holder.clone(),
        entry: Some(function.clone()),
        ..known.clone()
    });
    world.inventory = world.inventory.union(&Inventory(items.collect()));
    // The action is to be changed, so that nothing of an older spec may go yet.
    let mut edited = declared.clone();
    edited.run_order = Some(7);
    let plan = world.plan(&edited, &Others::default());
    assert_eq!(plan.blockers[0].reason, Reason::PolicySizeExceeded);
    assert!(plan.blockers[0].message.contains("delete the object"), "{}", plan.blockers[0].message);
    world.remove(&edited);
    assert_eq!(world.observed.role(&declared.role_name), None);
}

#[test]
fn an_entry_that_no_object_asks_for_goes_on_proof_alone() {
    use crate::domain::shared_policy::{Behind, Proof};
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    let holder = pipeline_role("release").role().unwrap();
    let stray: Arn = "arn:aws:iam::333333333333:role/stray".parse().unwrap();
    let own = Arn::of_own_role("aws", &declared.dev.account, &granted().role_path, &declared.role_name);
    world.observed.assume.insert(holder, Some(policy::assume(&BTreeSet::from([own, stray.clone()]))));
    let others = |behind: Behind| {
        let proof = Proof { behind: BTreeMap::from([(stray.clone(), behind)]), ..Proof::default() };
        Others { proof, ..Others::default() }
    };
    for (behind, goes) in [(Behind::Unknown, false), (Behind::Ours(None), false), (Behind::Nothing, true)] {
        let others = others(behind.clone());
        assert_eq!(world.plan(&declared, &others).steps.len(), usize::from(goes), "{behind:?}");
        let kept = world
            .with(&declared, &others, |situation, observed| Comparison::of(situation, observed).unexplained_entries());
        assert_eq!(kept.contains(&stray), !goes, "{behind:?}");
    }
}

#[test]
fn a_correction_of_the_form_keeps_the_entries_of_objects_that_are_not_known() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let own = Arn::of_own_role("aws", &declared.dev.account, &granted().role_path, &declared.role_name);
    let unknown: Arn = "arn:aws:iam::333333333333:role/crossinvoke/installed/unknown".parse().unwrap();
    let ungranted: Arn = "arn:aws:iam::333333333333:role/crossinvoke/installed/ungranted".parse().unwrap();
    let all = BTreeSet::from([own.clone(), unknown.clone(), ungranted.clone()]);
    let holder = pipeline_role("release").role().unwrap();
    let user = AssumeUser {
        key: ObjectKey { namespace: "n".to_owned(), name: "theirs".to_owned() },
        usage: Usage::Uses,
        invoke_role: Some(WantedRole {
            role: ungranted.role().unwrap(),
            path: "/crossinvoke/installed/".parse().unwrap(),
        }),
        granted: false,
        recorded: BTreeSet::from([ungranted.clone()]),
        planned_here: BTreeSet::new(),
        verified: BTreeSet::new(),
    };
    let others = Others { assume: BTreeMap::from([(holder.clone(), vec![user])]), ..Others::default() };
    let edits: [fn(&mut Value); 3] = [
        |statement| statement["Action"] = json!(["sts:AssumeRole", "s3:GetObject"]),
        |statement| statement["Condition"] = json!({"Bool": {"aws:SecureTransport": "true"}}),
        |statement| statement["Action"] = json!("sts:*"),
    ];
    for edit in edits {
        let mut world = World::new();
        world.converge(&declared, &others);
        let mut document = policy::assume(&all);
        edit(&mut document["Statement"][0]);
        world.observed.assume.insert(holder.clone(), Some(document.clone()));
        world.converge(&declared, &others);
        assert_eq!(world.observed.assume[&holder], Some(policy::assume(&all)), "{document}");
    }
}

#[test]
fn a_stage_that_we_made_and_somebody_renamed_goes_with_our_action() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    let before = world.observed.pipelines[&"release".parse().unwrap()].clone().unwrap();
    world.converge(&declared, &Others::default());
    change(&mut world, "release", |pipeline| pipeline["stages"][2]["name"] = json!("Checks"));
    let plan = world.plan(&declared, &Others::default());
    assert_eq!(plan.blockers[0].reason, Reason::StageNotFound);
    assert!(plan.blockers[0].message.contains("set spec.stage.name to Checks"), "{}", plan.blockers[0].message);
    world.remove(&declared);
    let left = world.observed.pipeline(&"release".parse().unwrap()).unwrap();
    assert_eq!(left.declaration.to_string(), before.declaration.to_string());
}

#[test]
fn a_rule_that_names_our_role_keeps_it() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    let role = world.observed.role(&declared.role_name).unwrap().arn.to_string();
    change(&mut world, "release", |pipeline| {
        pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"rules": [{"name": "Ask", "roleArn": role}]}]});
    });
    let plan = world.with(&declared, &Others::default(), plan_removal);
    assert!(plan.steps.iter().all(|step| step.part == Part::PipelineAction) && plan.steps.len() == 1);
    world.apply(&plan.steps[0]);
    let plan = world.with(&declared, &Others::default(), plan_removal);
    assert_eq!((plan.steps.len(), plan.blockers[0].reason), (0, Reason::DeletionBlocked));
    assert!(plan.blockers[0].message.contains("release/Build/Ask (onSuccess)"), "{}", plan.blockers[0].message);
}

/// Without it CodePipeline fails the action.
#[test]
fn an_invoke_policy_without_list_functions_is_drift_and_is_corrected() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    let good = world.observed.role(&declared.role_name).unwrap().invoke_policy.clone();
    let without = policy::invoke(&BTreeSet::from([function_arn("first")]), false);
    let role = world.observed.roles.get_mut(&declared.role_name).unwrap().as_mut().unwrap();
    role.invoke_policy = Some(without);
    world.compare(&declared, &Others::default());
    let items = world.drift.status().unwrap().items;
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0].field, format!("inline policy {}", names::invoke_policy(&installation())));
    let plan = world.plan(&declared, &Others::default());
    assert_eq!(plan.steps.iter().map(|step| step.part).collect::<Vec<_>>(), [Part::InvokePolicy]);
    world.apply(&plan.steps[0]);
    assert_eq!(world.observed.role(&declared.role_name).unwrap().invoke_policy, good);
}

#[test]
fn an_action_of_another_object_that_comes_before_our_write_is_no_other_peoples_action() {
    let mut declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    declared.run_order = None;
    let theirs: Arn = "arn:aws:iam::222222222222:role/crossinvoke/installed/theirs".parse().unwrap();
    let user = AssumeUser {
        key: ObjectKey { namespace: "n".to_owned(), name: "theirs".to_owned() },
        usage: Usage::Uses,
        invoke_role: Some(WantedRole {
            role: theirs.role().unwrap(),
            path: "/crossinvoke/installed/".parse().unwrap(),
        }),
        granted: true,
        recorded: BTreeSet::new(),
        planned_here: BTreeSet::new(),
        verified: BTreeSet::new(),
    };
    let holder = pipeline_role("release").role().unwrap();
    let others = Others { assume: BTreeMap::from([(holder, vec![user])]), ..Others::default() };
    let mut world = World::new();
    world.look(&declared);
    let plan = world.plan(&declared, &others);
    let step = plan.steps.iter().find(|step| step.part == Part::PipelineAction).unwrap();
    // Between the plan and the write the other object makes the stage.
    change(&mut world, "release", |pipeline| {
        let action = json!({"name": "Theirs", "runOrder": 1, "roleArn": theirs.as_str(), "actionTypeId":
            {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"}});
        pipeline["stages"].as_array_mut().unwrap().push(json!({"name": "Validate", "actions": [action]}));
    });
    world.apply(step);
    let release = world.observed.pipeline(&"release".parse().unwrap()).unwrap();
    assert_eq!(release.declaration.list("stages")[2].list("actions").len(), 2);
}
