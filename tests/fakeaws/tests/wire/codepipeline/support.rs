//! A pipeline with a secret and an action in another account, and two ways to call CodePipeline.

use aws_sdk_codepipeline::{
    Client,
    types::{
        ActionDeclaration, ActionTypeId, ArtifactStore, InputArtifact, OutputArtifact, PipelineDeclaration,
        StageDeclaration,
    },
};
use fakeaws::{FakeAws, RoleSeed};
use serde_json::{Value, json};

use crate::support::{DEV, REGION, TOOLS, TOOLS_ROOT, config, key, start, trust};

pub(super) const PIPELINE: &str = "release";
pub(super) const AT: (&str, &str, &str) = (TOOLS, REGION, PIPELINE);
pub(super) const PIPELINE_ROLE: &str = "arn:aws:iam::111111111111:role/service-role/pipeline";
pub(super) const INVOKE_ROLE: &str = "arn:aws:iam::222222222222:role/invoke";
pub(super) const SECRET: &str = "ghp_secret";

/// As a person would write it: nothing filled in that AWS fills in.
pub(super) fn declaration() -> Value {
    let action = |name: &str, category: &str, owner: &str, provider: &str| {
        json!({"name": name, "actionTypeId":
            {"category": category, "owner": owner, "provider": provider, "version": "1"}})
    };
    let with = |mut action: Value, members: Value| {
        for (name, member) in members.as_object().unwrap() {
            action[name] = member.clone();
        }
        action
    };
    let source = with(
        action("Fetch", "Source", "ThirdParty", "GitHub"),
        json!({
            "outputArtifacts": [{"name": "source"}],
            "configuration": {"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": SECRET},
        }),
    );
    let compile = with(
        action("Compile", "Build", "AWS", "CodeBuild"),
        json!({"inputArtifacts": [{"name": "source"}], "runOrder": 2, "configuration": {"ProjectName": "p"}}),
    );
    let approve = with(action("Approve", "Approval", "AWS", "Manual"), json!({"runOrder": 1}));
    let invoke = with(
        action("Invoke", "Invoke", "AWS", "Lambda"),
        json!({"roleArn": INVOKE_ROLE, "configuration": {"FunctionName": "MyFunction"}}),
    );
    json!({
        "name": PIPELINE,
        "roleArn": PIPELINE_ROLE,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [source]},
            {"name": "Build", "actions": [compile, approve]},
            {"name": "Validate", "actions": [invoke]},
        ],
    })
}

/// The three accounts, the invoke role that trusts the tools account, and the pipeline.
pub(super) async fn start_with_pipeline() -> FakeAws {
    let aws = start().await;
    aws.admin().put_role(DEV, "invoke", RoleSeed::trusting(trust(json!({"AWS": TOOLS})))).unwrap();
    aws.admin().replace_pipeline(TOOLS, REGION, declaration()).unwrap();
    aws
}

pub(super) fn client(aws: &FakeAws, access_key: &str) -> Client {
    Client::new(&config(aws, key(access_key)))
}

/// What GetPipeline shows, typed.
pub(super) async fn get(client: &Client) -> PipelineDeclaration {
    client.get_pipeline().name(PIPELINE).send().await.unwrap().pipeline().unwrap().clone()
}

/// One call in plain JSON 1.1, by the root of the tools account: HTTP status and body.
pub(super) async fn call(aws: &FakeAws, operation: &str, body: Value) -> (u16, Value) {
    let (status, head, body) = post(
        aws,
        "/",
        &format!("x-amz-target: CodePipeline_20150709.{operation}\r\ncontent-type: application/x-amz-json-1.1"),
        body.to_string().as_bytes(),
    )
    .await;
    assert!(head.to_lowercase().contains("content-type: application/x-amz-json-1.1"), "{head}");
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

/// A declaration that must be refused: its error's code and text.
pub(super) async fn refused(aws: &FakeAws, declaration: &Value) -> (String, String) {
    let (status, body) = call(aws, "UpdatePipeline", json!({"pipeline": declaration})).await;
    assert_eq!(status, 400, "{body}");
    let text = |member: &str| body[member].as_str().unwrap().to_owned();
    (text("__type"), text("message"))
}

/// One request as the bytes that travel, by the root of the tools account: status, head, body.
pub(super) async fn post(aws: &FakeAws, path: &str, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    crate::support::post(aws, (TOOLS_ROOT, "codepipeline"), path, headers, body).await
}

/// The declaration as the SDK's type, as far as [`declaration`] goes.
pub(super) fn typed(declaration: &Value) -> PipelineDeclaration {
    let text = |value: &Value, member: &str| value[member].as_str().map(str::to_owned);
    let stages = declaration["stages"].as_array().unwrap().iter().map(|stage| {
        let actions = stage["actions"].as_array().unwrap().iter().map(typed_action).collect();
        StageDeclaration::builder().set_name(text(stage, "name")).set_actions(Some(actions)).build().unwrap()
    });
    let store = &declaration["artifactStore"];
    let store = ArtifactStore::builder().r#type("S3".into()).set_location(text(store, "location")).build().unwrap();
    PipelineDeclaration::builder()
        .set_name(text(declaration, "name"))
        .set_role_arn(text(declaration, "roleArn"))
        .artifact_store(store)
        .set_stages(Some(stages.collect()))
        .build()
        .unwrap()
}

fn typed_action(action: &Value) -> ActionDeclaration {
    let text = |value: &Value, member: &str| value[member].as_str().map(str::to_owned);
    let names = |member: &str| {
        let artifacts = action[member].as_array().into_iter().flatten();
        artifacts.map(|artifact| text(artifact, "name").unwrap()).collect::<Vec<_>>()
    };
    let kind = &action["actionTypeId"];
    let kind = ActionTypeId::builder()
        .category(kind["category"].as_str().unwrap().into())
        .owner(kind["owner"].as_str().unwrap().into())
        .set_provider(text(kind, "provider"))
        .set_version(text(kind, "version"))
        .build()
        .unwrap();
    let mut builder = ActionDeclaration::builder()
        .set_name(text(action, "name"))
        .action_type_id(kind)
        .set_role_arn(text(action, "roleArn"))
        .set_run_order(action["runOrder"].as_i64().map(|order| i32::try_from(order).unwrap()));
    for (name, value) in action["configuration"].as_object().into_iter().flatten() {
        builder = builder.configuration(name, value.as_str().unwrap());
    }
    for name in names("inputArtifacts") {
        builder = builder.input_artifacts(InputArtifact::builder().name(name).build().unwrap());
    }
    for name in names("outputArtifacts") {
        builder = builder.output_artifacts(OutputArtifact::builder().name(name).build().unwrap());
    }
    builder.build().unwrap()
}
