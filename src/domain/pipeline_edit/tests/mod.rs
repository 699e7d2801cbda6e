//! The edit on a small pipeline with members that nobody knows; its parts in the modules.

mod order;
mod other_hands;
mod s1;
mod variables;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ROLE: &str = "arn:aws:iam::222222222222:role/crossinvoke/x/validate";

fn region() -> Region {
    "us-east-1".parse().unwrap()
}

/// The declaration as somebody changed it.
fn with(declaration: &Json, change: impl FnOnce(&mut Value)) -> Json {
    let mut value = value(declaration);
    change(&mut value);
    value.into()
}

fn value(declaration: &Json) -> Value {
    serde_json::from_str(&declaration.to_string()).unwrap()
}

fn pipeline() -> Json {
    json!({
        "name": "release",
        "roleArn": "arn:aws:iam::111111111111:role/service-role/Release",
        "artifactStore": {"type": "S3", "location": "bucket", "futureMember": {"a": [1, 2.50]}},
        "stages": [
            {"name": "Source", "actions": [{
                "name": "GitHub", "runOrder": 1,
                "actionTypeId": {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
                "configuration": {"OAuthToken": "****", "Repo": "r"}, "outputArtifacts": [{"name": "src", "files": ["x"]}],
                "inputArtifacts": []}]},
            {"name": "Build", "onFailure": {"result": "RETRY"}, "actions": [{
                "name": "Compile", "runOrder": 1,
                "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
                "configuration": {"ProjectName": "p"}, "inputArtifacts": [{"name": "src"}], "outputArtifacts": []}]},
            {"name": "Deploy", "actions": [{
                "name": "Ship", "runOrder": 1,
                "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"},
                "configuration": {"BucketName": "b"}, "inputArtifacts": [{"name": "src"}], "outputArtifacts": []}]}
        ],
        "version": 7,
        "triggers": [{"providerType": "CodeStarSourceConnection", "unknown": null}],
        "variables": [{"name": "v", "defaultValue": ""}]
    })
    .into()
}

fn desired() -> DesiredAction {
    DesiredAction {
        stage: "Validate".parse().unwrap(),
        position: Some(Position::After("Build".parse().unwrap())),
        name: "Run".parse().unwrap(),
        run_order: Some(1),
        earlier: None,
        function: "MyFunction".parse().unwrap(),
        user_parameters: Some("{}".to_owned()),
        variables_namespace: None,
        region: None,
        role: ROLE.parse().unwrap(),
    }
}

fn owned() -> Owned {
    Owned {
        roles: BTreeSet::from([ROLE.to_owned()]),
        actions: BTreeSet::from(["Run".parse().unwrap()]),
        ..Owned::default()
    }
}

fn made() -> Owned {
    Owned { stages_made: BTreeSet::from(["Validate".parse().unwrap()]), ..owned() }
}

fn stage_names(declaration: &Json) -> Vec<&str> {
    declaration.list("stages").iter().map(|stage| stage.text("name")).collect()
}

fn converged(declaration: &Json, desired: &DesiredAction) -> Json {
    converge(declaration, &region(), desired, &owned()).unwrap().expect("a difference").declaration
}

#[test]
fn a_missing_stage_is_made_at_its_place_and_nothing_else_changes() {
    let edited = converge(&pipeline(), &region(), &desired(), &owned()).unwrap().unwrap();
    assert!(edited.stage_made);
    assert_eq!(stage_names(&edited.declaration), ["Source", "Build", "Validate", "Deploy"]);
    let action = &value(&edited.declaration)["stages"][2]["actions"][0];
    assert_eq!(action["configuration"], json!({"FunctionName": "MyFunction", "UserParameters": "{}"}));
    assert_eq!((&action["roleArn"], &action["runOrder"]), (&json!(ROLE), &json!(1)));
    assert!(action.get("region").is_none() && action.get("namespace").is_none());
    let mut without = edited.declaration.clone();
    without.get_mut("stages").and_then(Json::as_list_mut).unwrap().remove(2);
    assert_eq!(without.to_string(), pipeline().to_string(), "byte for byte, the order of members included");
}

#[test]
fn converging_twice_changes_nothing_and_removing_restores_the_bytes() {
    let once = converged(&pipeline(), &desired());
    assert_eq!(converge(&once, &region(), &desired(), &owned()).unwrap(), None);
    let removed = remove(&once, &made()).unwrap().unwrap();
    assert_eq!(removed.declaration.to_string(), pipeline().to_string());
}

#[test]
fn what_aws_fills_in_is_no_difference() {
    let read = with(&converged(&pipeline(), &desired()), |read| {
        read["stages"][2]["actions"][0]["region"] = json!("us-east-1");
        read["stages"][2]["actions"][0]["timeoutInMinutes"] = json!(60);
    });
    assert_eq!(converge(&read, &region(), &desired(), &owned()).unwrap(), None);
}

#[test]
fn every_declared_member_that_differs_is_put_right() {
    let good = converged(&pipeline(), &desired());
    let edits: [(&str, Value); 7] = [
        ("runOrder", json!(2)),
        ("configuration", json!({"FunctionName": "Other", "UserParameters": "{}"})),
        ("configuration", json!({"FunctionName": "MyFunction", "UserParameters": "{}", "Extra": "x"})),
        ("namespace", json!("ns")),
        ("region", json!("eu-west-1")),
        ("inputArtifacts", json!([{"name": "src"}])),
        ("actionTypeId", json!({"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "2"})),
    ];
    for (member, value) in edits {
        let drifted = with(&good, |drifted| drifted["stages"][2]["actions"][0][member] = value);
        let edited = converge(&drifted, &region(), &desired(), &owned()).unwrap().unwrap();
        assert!(edited.changes[0].contains(member), "{:?}", edited.changes);
        assert!(!edited.changes[0].contains("MyFunction"), "no values: they can hold secrets");
        assert_eq!(converge(&edited.declaration, &region(), &desired(), &owned()).unwrap(), None, "{member}");
    }
}

#[test]
fn an_action_moved_to_another_stage_by_hand_comes_back() {
    let moved = with(&converged(&pipeline(), &desired()), |moved| {
        let action = moved["stages"][2]["actions"].as_array_mut().unwrap().remove(0);
        moved["stages"].as_array_mut().unwrap().remove(2);
        moved["stages"][1]["actions"].as_array_mut().unwrap().push(action);
    });
    let edited = converge(&moved, &region(), &desired(), &owned()).unwrap().unwrap();
    assert_eq!(owned_actions(&edited.declaration, &owned()), [("Validate".to_owned(), "Run".to_owned())]);
}

#[test]
fn a_stage_that_was_moved_is_left_where_it_is() {
    let moved = with(&converged(&pipeline(), &desired()), |moved| {
        moved["stages"].as_array_mut().unwrap().swap(2, 3);
    });
    assert_eq!(converge(&moved, &region(), &desired(), &owned()).unwrap(), None);
}

#[test]
fn places_that_do_not_exist_or_are_not_allowed_are_refused() {
    let at = |stage: &str, position: Option<Position>| DesiredAction {
        stage: stage.parse().unwrap(),
        position,
        ..desired()
    };
    let stage = |name: &str| name.parse().unwrap();
    let cases = [
        (at("Validate", None), "stage Validate is not in the pipeline, whose stages are Source, Build, Deploy"),
        (at("Validate", Some(Position::After(stage("Nowhere")))), "Nowhere"),
        (at("Validate", Some(Position::Before(stage("Source")))), "cannot go before Source"),
        (at("Source", None), "holds the pipeline's sources"),
    ];
    for (desired, expected) in cases {
        let refusal = converge(&pipeline(), &region(), &desired, &owned()).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
    let before = at("Validate", Some(Position::Before(stage("Deploy"))));
    assert_eq!(stage_names(&converged(&pipeline(), &before)), ["Source", "Build", "Validate", "Deploy"]);
}

#[test]
fn somebody_elses_action_of_the_same_name_is_a_conflict() {
    let foreign = with(&converged(&pipeline(), &desired()), |foreign| {
        foreign["stages"][2]["actions"][0]["roleArn"] = json!("arn:aws:iam::222222222222:role/other");
    });
    let refusal = converge(&foreign, &region(), &desired(), &owned()).unwrap_err();
    assert!(matches!(refusal, Refusal::ActionConflict { .. }), "{refusal}");
    assert_eq!(remove(&foreign, &made()).unwrap(), None, "and deletion leaves it alone");
}

#[test]
fn an_action_made_by_hand_with_our_role_is_not_ours_and_holds_the_role() {
    let shared = with(&converged(&pipeline(), &desired()), |shared| {
        let mut by_hand = shared["stages"][2]["actions"][0].clone();
        by_hand["name"] = json!("ByHand");
        shared["stages"][2]["actions"].as_array_mut().unwrap().push(by_hand);
    });
    let removed = remove(&shared, &made()).unwrap().unwrap();
    assert_eq!(foreign_users(&removed.declaration, &made()), ["Validate/ByHand"]);
    assert_eq!(stage_names(&removed.declaration), ["Source", "Build", "Validate", "Deploy"], "the stage is not empty");
}

#[test]
fn a_stage_that_we_did_not_make_is_never_left_empty() {
    let once = converged(&pipeline(), &desired());
    let refusal = remove(&once, &owned()).unwrap_err();
    assert!(matches!(refusal, Refusal::WouldEmptyStage { .. }), "{refusal}");
}

#[test]
fn a_pipeline_is_never_left_with_one_stage() {
    let mut small = converged(&pipeline(), &desired());
    let stages = small.get_mut("stages").and_then(Json::as_list_mut).unwrap();
    stages.retain(|stage| ["Source", "Validate"].contains(&stage.text("name")));
    let refusal = remove(&small, &made()).unwrap_err();
    assert!(matches!(refusal, Refusal::WouldLeaveOneStage { .. }), "{refusal}");
}

#[test]
fn another_region_needs_an_artifact_store_there() {
    let far = DesiredAction { region: Some("eu-west-1".parse().unwrap()), ..desired() };
    let refusal = converge(&pipeline(), &region(), &far, &owned()).unwrap_err();
    assert!(matches!(refusal, Refusal::ArtifactStoreMissing { .. }), "{refusal}");
    let stores = with(&pipeline(), |stores| stores["artifactStores"] = json!({"us-east-1": {}, "eu-west-1": {}}));
    let edited = converged(&stores, &far);
    assert_eq!(value(&edited)["stages"][2]["actions"][0]["region"], json!("eu-west-1"));
}

#[test]
fn what_is_not_shaped_like_a_pipeline_is_refused_without_a_panic() {
    for odd in [json!(null), json!({}), json!({"stages": 3}), json!({"stages": [{"name": "Validate"}]})] {
        assert!(converge(&odd.clone().into(), &region(), &desired(), &owned()).is_err(), "{odd}");
    }
}

/// Any JSON as text, to stand for members that nobody knows yet: numbers as nobody would write them, and names that occur
/// twice.
fn unknown() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        "[ -~]{0,12}".prop_map(|text| Value::from(text).to_string()),
        Just(r#""\u00e4\/\ud800""#.to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(("[a-c]", inner), 0..3).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// The fixture as text with `extra` in four places.
fn with_unknown(extra: &str, stage: usize) -> Json {
    let marked = with(&pipeline(), |marked| {
        marked["future"] = json!("EXTRA");
        marked["stages"][stage]["future"] = json!("EXTRA");
        marked["stages"][stage]["actions"][0]["future"] = json!("EXTRA");
        marked["artifactStore"]["future"] = json!("EXTRA");
    });
    Json::parse(&marked.to_string().replace("\"EXTRA\"", extra)).unwrap()
}

proptest! {
    #[test]
    fn making_and_removing_leaves_every_foreign_byte(extra in unknown(), stage in 0usize..3, before in any::<bool>()) {
        let foreign = with_unknown(&extra, stage);
        prop_assert_eq!(foreign.to_string().matches(&extra).count() >= 4, true);
        let anchor = "Deploy".parse().unwrap();
        let position = if before { Position::Before(anchor) } else { Position::After(anchor) };
        let desired = DesiredAction { position: Some(position), ..desired() };
        let once = converged(&foreign, &desired);
        prop_assert_eq!(converge(&once, &region(), &desired, &owned()).unwrap(), None);
        let back = remove(&once, &made()).unwrap().unwrap().declaration;
        prop_assert_eq!(back.to_string(), foreign.to_string());
    }
}
