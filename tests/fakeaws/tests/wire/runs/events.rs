//! What a handler is given: the event, the context, the environment, the credentials.

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use serde_json::{Value, json};

use super::{
    handlers::handler,
    support::{FUNCTION_ARN, Runs, declaration, deploy, invoke, release, source, stage},
};
use crate::support::DEV;

/// The output variables of a function that tells what it was given.
async fn told(runs: &Runs, members: Value) -> (String, Value) {
    runs.handle(handler("told"), "told.handler", members);
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded, "{:?}", runs.invocations());
    let details = runs.details(&id).await;
    let variables = details[1].output().unwrap().output_variables().unwrap();
    (id, json!(variables))
}

fn parsed(variables: &Value, name: &str) -> Value {
    serde_json::from_str(variables[name].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_event_has_the_documented_shape() {
    let runs = Runs::release().await;
    let (id, variables) = told(&runs, json!({})).await;
    let event = parsed(&variables, "Event");
    let expected = json!({"CodePipeline.job": {
        "id": runs.job(),
        "accountId": DEV,
        "data": {
            "actionConfiguration": {"configuration": {"FunctionName": "MyFunction", "UserParameters": id}},
            "inputArtifacts": [],
            "outputArtifacts": [],
            "artifactCredentials": {
                "accessKeyId": "str", "secretAccessKey": "str", "sessionToken": "str", "expirationTime": "int",
            },
        },
    }});
    assert_eq!(event, expected);
}

#[tokio::test]
async fn artifacts_are_where_the_producer_put_them() {
    let mut action = invoke();
    action["inputArtifacts"] = json!([{"name": "source"}]);
    action["outputArtifacts"] = json!([{"name": "report"}]);
    let mut pipeline = declaration(vec![source(), stage("Validate", vec![action]), deploy()]);
    pipeline["artifactStore"]["encryptionKey"] =
        json!({"id": "arn:aws:kms:us-east-1:111111111111:key/1", "type": "KMS"});
    let runs = Runs::of(pipeline).await;
    let (id, variables) = told(&runs, json!({})).await;
    let data = &parsed(&variables, "Event")["CodePipeline.job"]["data"];
    let artifact = |name: &str| {
        let key = format!("release/{name}/{}", &id[..7]);
        let location = json!({"s3Location": {"bucketName": "artifacts", "objectKey": key}, "type": "S3"});
        json!([{"location": location, "revision": null, "name": name}])
    };
    assert_eq!((&data["inputArtifacts"], &data["outputArtifacts"]), (&artifact("source"), &artifact("report")));
    assert_eq!(data["encryptionKey"]["type"], "KMS");
}

#[tokio::test]
async fn a_continued_job_brings_its_token() {
    let runs = Runs::release().await;
    let (_, variables) = told(&runs, json!({"environment": {"CONTINUE": "where-i-was"}})).await;
    let data = &parsed(&variables, "Event")["CodePipeline.job"]["data"];
    assert_eq!(data["continuationToken"], "where-i-was");
    assert_eq!(runs.invocations().len(), 2);
}

#[tokio::test]
async fn the_handler_runs_as_the_execution_role_with_lambdas_environment() {
    let runs = Runs::of(release()).await;
    let (_, variables) = told(&runs, json!({"environment": {"STAGE": "dev"}})).await;
    assert_eq!(variables["Identity"], format!("arn:aws:sts::{DEV}:assumed-role/execution/MyFunction"));
    assert_eq!(variables["Arn"], FUNCTION_ARN);
    assert_eq!(variables["RequestId"], runs.invocations()[0]["requestId"]);
    let remaining: u64 = variables["Remaining"].as_str().unwrap().parse().unwrap();
    assert!((1..=60_000).contains(&remaining), "{remaining}");
    let environment = parsed(&variables, "Environment");
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "MyFunction"),
        ("AWS_REGION", "us-east-1"),
        ("_HANDLER", "told.handler"),
        ("STAGE", "dev"),
        ("AWS_ENDPOINT_URL", &runs.aws.endpoint()),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    assert_eq!(environment["CARGO_MANIFEST_DIR"], Value::Null, "nothing of this process leaks in");
    assert_eq!(runs.log(), "printed by the handler\n");
}

#[tokio::test]
async fn a_callback_with_the_artifact_credentials_is_denied() {
    let runs = Runs::release().await;
    // Whatever the role may do that the credentials are of.
    let anything = crate::support::allow("*", "*");
    runs.aws.admin().put_inline_policy(DEV, "invoke", "everything", anything).unwrap();
    runs.handle(handler("artifact_credentials"), "artifact_credentials.handler", json!({}));
    runs.run().await;
    let (_, error) = runs.outcome("Invoke").await;
    assert!(error.starts_with("PermissionError: An error occurred (AccessDeniedException)"), "{error}");
    assert!(error.contains("assumed-role/invoke/"), "{error}");
    assert!(error.contains("is not authorized to perform: codepipeline:PutJobSuccessResult on resource: *"), "{error}");
}
