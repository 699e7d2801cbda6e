//! Output variables: ours that others use, and others' that we use.

use super::*;

/// The fixture with a namespace on the source, and users of `#{validation.…}` behind our stage: an approval, a build with
/// JSON in a string, and a rule of a condition.
fn with_users() -> Json {
    with(&pipeline(), |pipeline| {
        pipeline["stages"][0]["actions"][0]["namespace"] = json!("SourceVariables");
        let approval = json!({"name": "Approve", "runOrder": 1,
            "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
            "configuration": {"CustomData": "decision: #{validation.decision}"}});
        let build = json!({"name": "Test", "runOrder": 2,
            "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
            "configuration": {"ProjectName": "p", "EnvironmentVariables":
                "[{\"name\":\"D\",\"value\":\"#{validation.decision}\",\"type\":\"PLAINTEXT\"}]"}});
        let rule = json!({"result": "FAIL", "rules": [{"name": "Checked", "ruleTypeId":
            {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
            "configuration": {"FunctionName": "f", "UserParameters": "#{validation.decision}"}}]});
        let deploy = &mut pipeline["stages"][2];
        deploy["actions"].as_array_mut().unwrap().extend([approval, build]);
        deploy["beforeEntry"] = json!({"conditions": [rule]});
    })
}

fn with_namespace(namespace: Option<&str>) -> DesiredAction {
    DesiredAction { variables_namespace: namespace.map(str::to_owned), ..desired() }
}

const USERS: &str = "Deploy/Approve, Deploy/Checked (beforeEntry) and Deploy/Test";

/// AWS takes no reference to what nothing declares, so our action must be there before its users are.
fn placed() -> Json {
    let first = converged(&pipeline(), &with_namespace(Some("validation")));
    let stage = first.list("stages")[2].clone();
    let mut placed = with_users();
    placed.get_mut("stages").and_then(Json::as_list_mut).unwrap().insert(2, stage);
    placed
}

#[test]
fn output_variables_that_others_use_stay_until_they_do_not() {
    let refusal = remove(&placed(), &made()).unwrap_err();
    assert!(matches!(refusal, Refusal::WouldLoseVariables { .. }));
    let text = refusal.to_string();
    assert!(text.starts_with(USERS) && text.contains("#{validation.…}"), "{text}");
    for other in [None, Some("other")] {
        let refusal = converge(&placed(), &region(), &with_namespace(other), &owned()).unwrap_err();
        assert!(matches!(refusal, Refusal::NamespaceInUse { .. }), "{refusal}");
        assert!(refusal.to_string().contains(USERS), "{refusal}");
    }
    // Nor may it come after them.
    let behind = DesiredAction { stage: "Last".parse().unwrap(), ..with_namespace(Some("validation")) };
    let behind = DesiredAction { position: Some(Position::After("Deploy".parse().unwrap())), ..behind };
    let known = Owned { stages_known: BTreeSet::from(["Validate".parse().unwrap()]), ..made() };
    let refusal = converge(&placed(), &region(), &behind, &known).unwrap_err();
    assert!(matches!(refusal, Refusal::NamespaceInUse { .. }), "{refusal}");
    // Once they are gone, all of it goes.
    let unused = with(&placed(), |placed| {
        let deploy = &mut placed["stages"][3];
        deploy["actions"].as_array_mut().unwrap().truncate(1);
        deploy.as_object_mut().unwrap().remove("beforeEntry");
    });
    assert_eq!(stage_names(&remove(&unused, &made()).unwrap().unwrap().declaration), ["Source", "Build", "Deploy"]);
    assert!(converge(&unused, &region(), &with_namespace(Some("other")), &owned()).unwrap().is_some());
    // Somebody else may declare them too.
    let twice = with(&placed(), |placed| placed["stages"][1]["actions"][0]["namespace"] = json!("validation"));
    assert!(remove(&twice, &made()).unwrap().is_some());
}

#[test]
fn a_namespace_that_is_taken_is_refused_with_who_has_it() {
    let cases = [
        ("SourceVariables", "the namespace of action Source/GitHub"),
        ("src", "the name of an artifact of action Source/GitHub"),
        ("codepipeline", "CodePipeline itself"),
        ("variables", "CodePipeline itself"),
    ];
    for (namespace, expected) in cases {
        let refusal = converge(&with_users(), &region(), &with_namespace(Some(namespace)), &owned()).unwrap_err();
        assert!(matches!(refusal, Refusal::NamespaceTaken { .. }), "{refusal}");
        assert!(refusal.to_string().contains(expected), "{refusal}");
    }
}

#[test]
fn parameters_may_use_what_an_earlier_action_declares() {
    let using = |parameters: &str| DesiredAction { user_parameters: Some(parameters.to_owned()), ..desired() };
    for (parameters, missing) in [
        ("#{SourceVariables.CommitId} #{codepipeline.PipelineExecutionId} #{variables.v}", None),
        ("nothing #{ to see } #{here} #{not closed", None),
        ("#{Sourcevariables.CommitId}", Some("Sourcevariables")),
        ("{\"a\":\"#{later.x}\"}", Some("later")),
        ("#{nobody.x} #{SourceVariables.y} #{noone.z}", Some("nobody and noone")),
    ] {
        let declaration = with(&with_users(), |pipeline| {
            let deploy = &mut pipeline["stages"][2];
            deploy["actions"][0]["namespace"] = json!("later");
        });
        let edited = converge(&declaration, &region(), &using(parameters), &owned());
        match missing {
            None => assert!(edited.unwrap().is_some(), "{parameters}"),
            Some(missing) => {
                let refusal = edited.unwrap_err();
                assert!(
                    matches!(&refusal, Refusal::UnknownNamespace { namespaces } if namespaces == missing),
                    "{refusal}"
                );
                assert!(refusal.to_string().starts_with("spec.action.userParameters: "), "{refusal}");
            }
        }
    }
}
