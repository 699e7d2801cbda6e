//! Declarations that CodePipeline refuses.

use serde_json::{Value, json};

use super::support::{PIPELINE, call, client, declaration, refused, start_with_pipeline, typed};
use crate::support::{TOOLS_ROOT, refusal};

/// A declaration with one thing changed; null removes it.
fn changed(pointer: &str, value: Value) -> Value {
    let mut declaration = declaration();
    let (holder, member) = pointer.rsplit_once('/').unwrap();
    match declaration.pointer_mut(holder).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.remove(member)),
        Value::Array(values) if value.is_null() => drop(values.remove(member.parse().unwrap())),
        Value::Array(values) => values[member.parse::<usize>().unwrap()] = value,
        other => other[member] = value,
    }
    declaration
}

#[tokio::test]
async fn structures_are_refused_in_the_words_of_aws() {
    let aws = start_with_pipeline().await;
    let whole = declaration();
    let stage = |n: usize| whole["stages"][n].clone();
    let action = |stage: usize, n: usize| whole["stages"][stage]["actions"][n].clone();
    let (structure, in_stage, in_action, validation) = (
        "InvalidStructureException",
        "InvalidStageDeclarationException",
        "InvalidActionDeclarationException",
        "ValidationException",
    );
    let stores = |regions: &[&str]| {
        let mut declaration = changed("/stages/2/actions/0/region", json!("eu-west-1"));
        declaration.as_object_mut().unwrap().remove("artifactStore");
        for region in regions {
            declaration["artifactStores"][region] = json!({"type": "S3", "location": "bucket"});
        }
        declaration
    };
    let cases = [
        (
            changed("/stages", json!([stage(0)])),
            structure,
            "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline",
        ),
        (changed("/stages", json!([])), structure, "Pipeline has only 0 stage(s)."),
        (changed("/stages/1/actions", json!([])), in_stage, "Stage 'Build' has only 0 action(s)."),
        (changed("/stages/2/name", json!("Build")), in_stage, "Stage name 'Build' is used more than once"),
        (
            changed("/stages/1/actions/0/name", json!("Approve")),
            in_action,
            "Action name 'Approve' is used more than once in stage 'Build'",
        ),
        (
            changed("/stages", json!([stage(2), stage(0)])),
            structure,
            "Pipeline should start with a stage that only contains source actions",
        ),
        (
            changed("/stages/0/actions", json!([action(0, 0), action(1, 1)])),
            structure,
            "Pipeline should start with a stage that only contains source actions",
        ),
        (
            changed("/stages/2", json!({"name": "Late", "actions": [action(0, 0)]})),
            structure,
            "Source actions can only be included in the first stage of the pipeline",
        ),
        (
            changed("/stages/1/actions/0/inputArtifacts", json!([{"name": "nothing"}])),
            in_action,
            "Input Artifact Bundle nothing in action Compile is not declared as Output Artifact Bundle in any of the \
             preceding actions",
        ),
        (
            changed("/stages/1/actions/1/outputArtifacts", json!([{"name": "source"}])),
            in_action,
            "Output Artifact Bundle name must be unique within the pipeline. source has been used more than once.",
        ),
        (
            changed("/stages/2/actions/0/configuration", json!({})),
            in_action,
            "Action configuration for action 'Invoke' is missing required configuration 'FunctionName'",
        ),
        (
            changed("/stages/0/actions/0/roleArn", json!("arn:aws:iam::222222222222:role/invoke")),
            in_action,
            "Action 'Fetch' has a roleArn, but its owner is not AWS",
        ),
        (
            changed("/stages/2/actions/0/region", json!("eu-west-1")),
            validation,
            "Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead",
        ),
        (stores(&["us-east-1"]), validation, "is missing in 'pipeline.artifactStores': eu-west-1."),
        (stores(&["eu-west-1"]), validation, "is missing in 'pipeline.artifactStores': us-east-1."),
        (changed("/artifactStore", json!(null)), validation, "and this has none"),
        (changed("/artifactStores", json!({})), validation, "but not both"),
        (changed("/stages/2/actions/0/runOrder", json!(0)), validation, "greater than or equal to 1"),
        (changed("/stages/2/actions/0/configuration/UserParameters", json!("")), validation, "Map value must satisfy"),
        (changed("/stages/2/actions/0/actionTypeId/owner", json!(null)), validation, "Member must not be null"),
        (changed("/stages/2/name", json!("a b")), validation, "[A-Za-z0-9.@\\-_]+"),
    ];
    for (declaration, code, text) in cases {
        let (refused_as, message) = refused(&aws, &declaration).await;
        assert_eq!(refused_as, code, "{message}, expected {text}");
        assert!(message.contains(text), "{message}, expected {text}");
    }
    let (_, read) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
    assert_eq!(read["pipeline"]["version"], 1, "nothing of it was applied");
    assert_eq!(call(&aws, "UpdatePipeline", json!({"pipeline": stores(&["us-east-1", "eu-west-1"])})).await.0, 200);
}

#[tokio::test]
async fn an_input_may_come_from_a_smaller_run_order_of_the_same_stage() {
    let aws = start_with_pipeline().await;
    let mut declaration = changed("/stages/1/actions/1/outputArtifacts", json!([{"name": "approved"}]));
    declaration["stages"][1]["actions"][0]["inputArtifacts"] = json!([{"name": "approved"}]);
    assert_eq!(call(&aws, "UpdatePipeline", json!({"pipeline": declaration})).await.0, 200);
    declaration["stages"][1]["actions"][0]["runOrder"] = json!(1);
    assert_eq!(refused(&aws, &declaration).await.0, "InvalidActionDeclarationException");
}

#[tokio::test]
async fn what_a_v1_pipeline_cannot_have() {
    let aws = start_with_pipeline().await;
    let cases = [
        (
            "/triggers",
            json!([{"providerType": "x", "gitConfiguration": {"sourceActionName": "Fetch"}}]),
            "Triggers on tag can only be used with V2 pipelines",
        ),
        ("/variables", json!([{"name": "v"}]), "Pipeline variable can only be used with V2 pipelines"),
        ("/executionMode", json!("QUEUED"), "QUEUED or PARALLEL mode can only be used with V2 pipelines"),
        ("/stages/1/onFailure", json!({"result": "RETRY"}), "Stage level conditions can only be used with V2"),
    ];
    for (pointer, value, text) in cases {
        let mut declaration = changed(pointer, value);
        declaration["pipelineType"] = json!("V1");
        let (_, message) = refused(&aws, &declaration).await;
        assert!(message.contains(text), "{message}, expected {text}");
        declaration["pipelineType"] = json!("V2");
        assert_eq!(call(&aws, "UpdatePipeline", json!({"pipeline": declaration})).await.0, 200, "{pointer}");
    }
}

#[tokio::test]
async fn the_sdk_sees_typed_errors() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let one_stage = changed("/stages", json!([declaration()["stages"][0]]));
    let error = client.update_pipeline().pipeline(typed(&one_stage)).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_invalid_structure_exception(), "{error:?}");
    let (status, code, message) = refusal(client.create_pipeline().pipeline(typed(&one_stage)).send().await);
    assert_eq!((status, code.as_str()), (400, "PipelineNameInUseException"), "{message}");
}
