//! Namespaces of variables, and references to them.

use serde_json::{Value, json};

use super::support::{call, declaration, refused, start_with_pipeline};

const NOT_THERE: &str = "Valid format for a pipeline execution variable reference is a namespace and a key separated by a \
                         period (.). The following pipeline execution variables are referencing a namespace that does not \
                         exist.\n";

/// The invoke action has the namespace `validation`, the build approval comes before it.
fn with_namespace() -> Value {
    let mut declaration = declaration();
    declaration["stages"][2]["actions"][0]["namespace"] = json!("validation");
    let mut after = declaration["stages"][1].clone();
    after["name"] = json!("After");
    declaration["stages"].as_array_mut().unwrap().push(after);
    declaration
}

async fn accepted(aws: &fakeaws::FakeAws, declaration: &Value) {
    let (status, answer) = call(aws, "UpdatePipeline", json!({"pipeline": declaration})).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_namespace_belongs_to_one_action_and_is_no_reserved_word_and_no_artifact() {
    let aws = start_with_pipeline().await;
    accepted(&aws, &with_namespace()).await;
    let mut twice = with_namespace();
    twice["stages"][1]["actions"][0]["namespace"] = json!("validation");
    let (code, message) = refused(&aws, &twice).await;
    assert_eq!(code, "InvalidActionDeclarationException");
    assert_eq!(
        message,
        "Namespaces must be unique across the pipeline definition. The following occur more than once in the \
         pipeline.\nStageName=[Validate], ActionName=[Invoke], Namespace=[validation]"
    );
    for (namespace, text) in [
        ("codepipeline", "reserved"),
        ("variables", "reserved"),
        ("source", "Namespaces must differ from the names of artifacts."),
    ] {
        let mut declaration = with_namespace();
        declaration["stages"][2]["actions"][0]["namespace"] = json!(namespace);
        let (code, message) = refused(&aws, &declaration).await;
        assert_eq!(code, "InvalidActionDeclarationException");
        assert!(message.contains(text) && message.contains("ActionName=[Invoke]"), "{message}");
    }
}

#[tokio::test]
async fn a_reference_to_a_namespace_that_nothing_earlier_declares_is_refused() {
    let aws = start_with_pipeline().await;
    let in_json = r##"[{"name":"DECISION","value":"#{validation.decision}","type":"PLAINTEXT"}]"##;
    let refers = |stage: usize, action: usize, key: &str, value: &str| {
        let mut declaration = with_namespace();
        declaration["stages"][stage]["actions"][action]["configuration"][key] = json!(value);
        declaration
    };
    accepted(&aws, &refers(3, 0, "EnvironmentVariables", in_json)).await;
    accepted(&aws, &refers(3, 1, "CustomData", "#{validation.decision} of #{codepipeline.PipelineExecutionId}")).await;
    // Before the action, beside it, and in itself.
    for (stage, action, key, value, place) in [
        (1, 0, "EnvironmentVariables", in_json, "StageName=[Build], ActionName=[Compile]"),
        (1, 1, "CustomData", "x#{validation.decision}", "StageName=[Build], ActionName=[Approve]"),
        (2, 0, "UserParameters", "#{validation.decision}", "StageName=[Validate], ActionName=[Invoke]"),
    ] {
        let (code, message) = refused(&aws, &refers(stage, action, key, value)).await;
        assert_eq!(code, "InvalidActionDeclarationException");
        let expected =
            format!("{NOT_THERE}{place}, ActionConfigurationKey=[{key}], VariableReferenceText=[validation.decision]");
        assert_eq!(message, expected);
    }
    let mut beside = with_namespace();
    let mut other = declaration()["stages"][1]["actions"][1].clone();
    other["configuration"] = json!({"CustomData": "#{validation.decision}"});
    beside["stages"][2]["actions"].as_array_mut().unwrap().push(other);
    assert!(refused(&aws, &beside).await.1.contains("StageName=[Validate], ActionName=[Approve]"));
    beside["stages"][2]["actions"][1]["runOrder"] = json!(2);
    accepted(&aws, &beside).await;
}

#[tokio::test]
async fn an_action_whose_namespace_others_use_cannot_be_removed() {
    let aws = start_with_pipeline().await;
    let mut used = with_namespace();
    used["stages"][3]["actions"][1]["configuration"] = json!({"CustomData": "#{validation.decision}"});
    accepted(&aws, &used).await;
    let mut without = used.clone();
    without["stages"].as_array_mut().unwrap().remove(2);
    assert!(refused(&aws, &without).await.1.starts_with(NOT_THERE));
    without["stages"][2]["actions"][1].as_object_mut().unwrap().remove("configuration");
    accepted(&aws, &without).await;
}

#[tokio::test]
async fn rules_and_environment_variables_refer_to_namespaces_as_well() {
    let aws = start_with_pipeline().await;
    let rule = json!({"conditions": [{"result": "FAIL", "rules": [{
        "name": "Check",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
        "configuration": {"Variable": "#{validation.decision}", "Operator": "EQ", "Value": "go"},
    }]}]});
    let with = |stage: usize, gate: &str| {
        let mut declaration = with_namespace();
        declaration["stages"][stage][gate] = rule.clone();
        declaration
    };
    accepted(&aws, &with(2, "onSuccess")).await;
    accepted(&aws, &with(3, "beforeEntry")).await;
    let (_, message) = refused(&aws, &with(2, "beforeEntry")).await;
    assert!(message.starts_with(NOT_THERE) && message.contains("StageName=[Validate], RuleName=[Check]"), "{message}");
    let mut commands = with_namespace();
    commands["stages"][1]["actions"][0] = json!({
        "name": "Pack", "commands": ["make"], "environmentVariables": [{"name": "A", "value": "#{validation.decision}"}],
        "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
    });
    assert!(refused(&aws, &commands).await.1.contains("ActionName=[Pack], ActionConfigurationKey=[A]"));
}

#[tokio::test]
async fn variables_of_the_pipeline_must_be_declared() {
    let aws = start_with_pipeline().await;
    let mut declaration = with_namespace();
    declaration["stages"][2]["actions"][0]["configuration"]["UserParameters"] = json!("#{variables.Suite}");
    assert!(refused(&aws, &declaration).await.1.starts_with(NOT_THERE));
    declaration["pipelineType"] = json!("V2");
    declaration["variables"] = json!([{"name": "Other"}]);
    assert!(refused(&aws, &declaration).await.1.starts_with("The referenced variables haven't been declared."));
    declaration["variables"] = json!([{"name": "Other"}, {"name": "Suite"}]);
    accepted(&aws, &declaration).await;
    declaration["stages"][0]["actions"][0]["configuration"]["Branch"] = json!("#{variables.Suite}");
    assert!(refused(&aws, &declaration).await.1.contains("cannot be used in source actions"));
}
