//! What other people did to our stage, action and role.

use std::collections::BTreeMap;

use super::*;

#[test]
fn what_somebody_added_to_our_stage_is_not_removed_with_it() {
    let placed = converged(&pipeline(), &desired());
    for (member, addition, stays) in [
        ("onFailure", json!({"result": "ROLLBACK"}), true),
        ("beforeEntry", json!({"conditions": [{"rules": []}]}), true),
        ("somethingNew", json!(1), true),
        ("blockers", json!([]), false),
        ("onSuccess", json!(null), false),
    ] {
        let more = with(&placed, |placed| placed["stages"][2][member] = addition.clone());
        if !stays {
            assert!(remove(&more, &made()).unwrap().is_some(), "{member}");
            continue;
        }
        let refusal = remove(&more, &made()).unwrap_err();
        assert!(matches!(refusal, Refusal::StageHasMore { .. }), "{refusal}");
        assert!(refusal.to_string().contains(&format!("remove {member} from the stage, or add another action")));
        // With another action in it the stage stays, and ours alone goes.
        let shared = with(&more, |more| {
            let actions = more["stages"][2]["actions"].as_array_mut().unwrap();
            actions.push(json!({"name": "Theirs", "runOrder": 1, "actionTypeId": {"category": "Test"}}));
        });
        let left = remove(&shared, &made()).unwrap().unwrap().declaration;
        assert_eq!(value(&left)["stages"][2][member], addition);
        assert_eq!(owned_actions(&left, &made()), []);
    }
}

#[test]
fn a_stage_of_ours_that_somebody_renamed_is_recognized() {
    let placed = converged(&pipeline(), &desired());
    let known = Owned { stages_known: BTreeSet::from(["Validate".parse().unwrap()]), ..made() };
    let renamed = with(&placed, |placed| placed["stages"][2]["name"] = json!("Checks"));
    let refusal = converge(&renamed, &region(), &desired(), &known).unwrap_err();
    let text = refusal.to_string();
    assert!(matches!(refusal, Refusal::StageRenamed { .. }), "{text}");
    assert!(
        text.contains("stage Validate is not in the pipeline") && text.contains("spec.stage.name to Checks"),
        "{text}"
    );
    // Following the advice changes nothing in the pipeline.
    let followed = DesiredAction { stage: "Checks".parse().unwrap(), ..desired() };
    assert_eq!(converge(&renamed, &region(), &followed, &known).unwrap(), None);
    // A stage that the spec named before was not renamed: the action moves.
    let moving = DesiredAction { stage: "Verify".parse().unwrap(), ..desired() };
    let edited = converge(&placed, &region(), &moving, &known).unwrap().unwrap();
    assert_eq!(stage_names(&edited.declaration), ["Source", "Build", "Verify", "Deploy"]);
}

#[test]
fn a_rule_or_a_setting_that_names_our_role_keeps_it() {
    let placed = converged(&pipeline(), &desired());
    let rule = |role: &str| {
        json!({"conditions": [{"result": "FAIL", "rules": [{"name": "Ask", "roleArn": role,
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
            "configuration": {"FunctionName": "f"}}]}]})
    };
    for member in ["beforeEntry", "onSuccess", "onFailure"] {
        let ruled = with(&placed, |placed| placed["stages"][3][member] = rule(ROLE));
        assert_eq!(foreign_users(&ruled, &made()), [format!("Deploy/Ask ({member})")]);
        let other = with(&placed, |placed| placed["stages"][3][member] = rule("arn:aws:iam::1:role/other"));
        assert_eq!(foreign_users(&other, &made()), [""; 0]);
    }
    let set = with(&placed, |placed| placed["stages"][3]["actions"][0]["configuration"]["RoleArn"] = json!(ROLE));
    assert_eq!(foreign_users(&set, &made()), ["Deploy/Ship"]);
    assert_eq!(foreign_users(&placed, &made()), [""; 0], "our own action is not among them");
}

#[test]
fn an_action_whose_role_alone_was_changed_is_told_member_by_member() {
    let placed = converged(&pipeline(), &desired());
    let told = |change: &dyn Fn(&mut Value)| {
        let changed = with(&placed, |placed| change(&mut placed["stages"][2]["actions"][0]));
        found_members(&changed, &desired(), &owned(), &region())
    };
    let other = "arn:aws:iam::111111111111:role/other";
    let found = told(&|action| action["roleArn"] = json!(other)).unwrap();
    assert_eq!(found["roleArn"].shown, other);
    let without = |members: BTreeMap<String, Member>| members.into_iter().filter(|(name, _)| name != "roleArn");
    let strangers = BTreeSet::from([other.parse::<Arn>().unwrap().role().unwrap()]);
    let theirs = Owned { untold: Untold { strangers, ..Untold::default() }, ..owned() };
    let changed = with(&placed, |placed| placed["stages"][2]["actions"][0]["roleArn"] = json!(other));
    let hidden = found_members(&changed, &desired(), &theirs, &region()).unwrap();
    assert_eq!((hidden["roleArn"].shown.as_str(), hidden["roleArn"].meaning.as_str()), (UNTOLD, other));
    let refused = |owned: &Owned| converge(&changed, &region(), &desired(), owned).unwrap_err().to_string();
    assert!(refused(&owned()).contains(other) && !refused(&theirs).contains(other), "{}", refused(&theirs));
    assert!(refused(&theirs).contains(UNTOLD), "{}", refused(&theirs));
    let good = desired_members(&placed, &desired(), &region());
    assert_eq!(without(found).collect::<Vec<_>>(), without(good).collect::<Vec<_>>(), "nothing else differs");
    let found = told(&|action| drop(action.as_object_mut().unwrap().remove("roleArn"))).unwrap();
    assert!(!found.contains_key("roleArn"));
    // Another action that took its place is not ours with a difference: ours is gone.
    for other in [
        |action: &mut Value| action["configuration"]["FunctionName"] = json!("Theirs"),
        |action: &mut Value| action["actionTypeId"]["provider"] = json!("StepFunctions"),
    ] {
        let found = told(&|action| {
            action["roleArn"] = json!("arn:aws:iam::111111111111:role/other");
            other(action);
        });
        assert_eq!(found, None);
    }
}

#[test]
fn an_action_that_was_ours_until_its_role_was_changed_is_corrected_and_removed() {
    let placed = converged(&pipeline(), &desired());
    let changed = with(&placed, |placed| placed["stages"][2]["actions"][0]["roleArn"] = json!("arn:aws:iam::1:role/x"));
    let now = action_at(&changed, "Validate", "Run").unwrap().clone();
    assert!(differ_in_role_alone(action_at(&placed, "Validate", "Run").unwrap(), &now));
    let reclaimed = Owned { reclaimed: vec![("Validate".to_owned(), now)], ..made() };
    let edited = converge(&changed, &region(), &desired(), &reclaimed).unwrap().unwrap();
    assert_eq!(edited.changes, ["action Validate/Run: roleArn"]);
    assert!(edited.declaration.means(&placed));
    assert_eq!(stage_names(&remove(&changed, &reclaimed).unwrap().unwrap().declaration), ["Source", "Build", "Deploy"]);
    // Changed once more before the write, it is not what was proven.
    let again = with(&changed, |changed| changed["stages"][2]["actions"][0]["runOrder"] = json!(3));
    assert!(matches!(converge(&again, &region(), &desired(), &reclaimed), Err(Refusal::ActionConflict { .. })));
    for (member, other) in [("runOrder", json!(2)), ("region", json!("eu-west-1")), ("configuration", json!({}))] {
        let more = with(&changed, |changed| changed["stages"][2]["actions"][0][member] = other);
        let (before, more) =
            (action_at(&placed, "Validate", "Run").unwrap(), action_at(&more, "Validate", "Run").unwrap());
        assert!(!differ_in_role_alone(before, more), "{member}");
    }
}

/// A member of our action that AWS returns as null, or does not return at all, says the same.
/// Puts null in the place of a member.
type Null = fn(&mut Value);

#[test]
fn a_member_that_is_null_is_no_difference() {
    let plain = DesiredAction { user_parameters: None, ..desired() };
    for desired in [plain.clone(), DesiredAction { run_order: None, ..plain.clone() }] {
        let placed = converged(&pipeline(), &desired);
        let good = desired_members(&placed, &desired, &region());
        let action =
            |change: &dyn Fn(&mut Value)| with(&placed, |placed| change(&mut placed["stages"][2]["actions"][0]));
        let nulls: [&dyn Fn(&mut Value); 8] = [
            &|action| action["namespace"] = json!(null),
            &|action| action["region"] = json!(null),
            &|action| action["inputArtifacts"] = json!(null),
            &|action| action["outputArtifacts"] = json!(null),
            &|action| action["runOrder"] = json!(null),
            &|action| drop(action.as_object_mut().unwrap().remove("runOrder")),
            &|action| action["configuration"]["UserParameters"] = json!(null),
            &|action| action["actionTypeId"]["more"] = json!(null),
        ];
        for null in nulls {
            let read = action(null);
            let text = action_at(&read, "Validate", "Run").unwrap().to_string();
            assert_eq!(converge(&read, &region(), &desired, &owned()).unwrap(), None, "{text}");
            assert_eq!(found_members(&read, &desired, &owned(), &region()).unwrap(), good, "{text}");
        }
        // A null in the place of something that is declared is a difference, and is told as such.
        let missing: [(&str, Null); 2] = [
            ("configuration.FunctionName", |action| action["configuration"]["FunctionName"] = json!(null)),
            ("actionTypeId", |action| action["actionTypeId"] = json!(null)),
        ];
        for (member, null) in missing {
            let read = action(&null);
            let edited = converge(&read, &region(), &desired, &owned()).unwrap().expect(member);
            assert_eq!(found_members(&edited.declaration, &desired, &owned(), &region()).unwrap(), good, "{member}");
            assert!(!found_members(&read, &desired, &owned(), &region()).unwrap().contains_key(member));
        }
    }
    let placed = converged(&pipeline(), &desired());
    let before = action_at(&placed, "Validate", "Run").unwrap();
    let without_role = with(&placed, |placed| {
        let action = &mut placed["stages"][2]["actions"][0];
        (action["roleArn"], action["namespace"]) = (json!(null), json!(null));
    });
    assert!(differ_in_role_alone(before, action_at(&without_role, "Validate", "Run").unwrap()), "its role was taken");
}
