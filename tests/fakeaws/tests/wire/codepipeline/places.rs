//! What a pipeline needs in its regions.

use serde_json::{Value, json};

use super::support::{call, declaration, refused, start_with_pipeline};
use crate::support::REGION;

async fn accepted(aws: &fakeaws::FakeAws, declaration: &Value) {
    let (status, answer) = call(aws, "UpdatePipeline", json!({"pipeline": declaration})).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn an_action_type_that_its_region_lacks_is_refused_with_the_name_of_the_action() {
    let aws = start_with_pipeline().await;
    let far = "eu-south-1";
    aws.admin().set_action_type(far, "Build/AWS/CodeBuild/1", false).unwrap();
    accepted(&aws, &declaration()).await;
    let mut elsewhere = declaration();
    elsewhere["stages"][1]["actions"][0]["region"] = json!(far);
    let store = elsewhere.as_object_mut().unwrap().remove("artifactStore").unwrap();
    elsewhere["artifactStores"] = json!({REGION: store, far: {"type": "S3", "location": "far"}});
    let (code, message) = refused(&aws, &elsewhere).await;
    assert_eq!(code, "InvalidActionDeclarationException");
    assert_eq!(
        message,
        "ActionType (Category: 'Build', Provider: 'CodeBuild', Owner: 'AWS', Version: '1') in action 'Compile' is not \
         available in region EU_SOUTH_1"
    );
    aws.admin().set_action_type(far, "Build/AWS/CodeBuild/1", true).unwrap();
    accepted(&aws, &elsewhere).await;
}

#[tokio::test]
async fn an_artifact_bucket_must_be_there_and_in_its_region() {
    let aws = start_with_pipeline().await;
    aws.admin().set_bucket("artifacts", None).unwrap();
    let (code, message) = refused(&aws, &declaration()).await;
    assert_eq!(code, "InvalidStructureException");
    assert_eq!(message, "The artifact bucket artifacts does not exist");
    aws.admin().set_bucket("artifacts", Some("eu-west-1")).unwrap();
    let (_, message) = refused(&aws, &declaration()).await;
    assert_eq!(message, "The artifact bucket artifacts is in region eu-west-1, not in us-east-1");
    aws.admin().set_bucket("artifacts", Some(REGION)).unwrap();
    accepted(&aws, &declaration()).await;
}
