//! What becomes of a declaration: versions, defaults, secrets, unknown members, lag.

use aws_sdk_codepipeline::types::{ActionDeclaration, PipelineDeclaration};
use fakeaws::Propagation;
use serde_json::{Value, json};

use super::support::{
    AT, INVOKE_ROLE, PIPELINE, PIPELINE_ROLE, SECRET, call, client, declaration, get, start_with_pipeline, typed,
};
use crate::support::{DEV_ROOT, REGION, TOOLS, TOOLS_ROOT, refusal};

/// The real value of the secret, which no API shows.
fn kept_secret(aws: &fakeaws::FakeAws, stage: usize) -> Value {
    let kept = aws.admin().pipeline(TOOLS, REGION, PIPELINE).unwrap().unwrap();
    kept["stages"][stage]["actions"][0]["configuration"]["OAuthToken"].clone()
}

fn source(declaration: &PipelineDeclaration) -> &ActionDeclaration {
    &declaration.stages()[0].actions()[0]
}

#[tokio::test]
async fn a_pipeline_is_made_read_updated_listed_and_deleted() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let mut second = declaration();
    second["name"] = json!("second");
    let made = client.create_pipeline().pipeline(typed(&second)).send().await.unwrap();
    assert_eq!(made.pipeline().unwrap().version(), Some(1));
    let again = client.create_pipeline().pipeline(typed(&second)).send().await;
    assert_eq!(refusal(again).1, "PipelineNameInUseException");

    let read = client.get_pipeline().name("second").send().await.unwrap();
    assert_eq!(read.pipeline(), made.pipeline());
    let metadata = read.metadata().unwrap();
    assert_eq!(metadata.pipeline_arn(), Some("arn:aws:codepipeline:us-east-1:111111111111:second"));
    let age = metadata.created().unwrap().secs() - jiff_now();
    assert!((-60..=60).contains(&age), "created {age} s from now");

    let listed = client.list_pipelines().send().await.unwrap();
    let names: Vec<_> = listed.pipelines().iter().map(|p| (p.name().unwrap(), p.version().unwrap())).collect();
    assert_eq!(names, [(PIPELINE, 1), ("second", 1)]);
    let mut pages = client.list_pipelines().into_paginator().page_size(1).send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(page.unwrap().pipelines().iter().map(|p| p.name().unwrap().to_owned()));
    }
    assert_eq!(found, [PIPELINE, "second"]);

    client.delete_pipeline().name("second").send().await.unwrap();
    client.delete_pipeline().name("second").send().await.unwrap();
    let (status, code, message) = refusal(client.get_pipeline().name("second").send().await);
    assert_eq!((status, code.as_str()), (400, "PipelineNotFoundException"));
    assert_eq!(message, "Account '111111111111' does not have a pipeline with name 'second'");
    let other_account = super::support::client(&aws, DEV_ROOT);
    assert_eq!(refusal(other_account.get_pipeline().name(PIPELINE).send().await).1, "PipelineNotFoundException");
}

#[allow(clippy::disallowed_methods, reason = "the double's time is real time here")]
fn jiff_now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[tokio::test]
async fn reads_fill_in_what_a_declaration_left_out() {
    let aws = start_with_pipeline().await;
    let (_, answer) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
    let pipeline = &answer["pipeline"];
    assert_eq!((&pipeline["version"], &pipeline["pipelineType"]), (&json!(1), &json!("V1")));
    assert_eq!(pipeline["executionMode"], "SUPERSEDED");
    let build = pipeline["stages"][1]["actions"].as_array().unwrap();
    let order: Vec<_> = build.iter().map(|action| action["name"].as_str().unwrap()).collect();
    assert_eq!(order, ["Approve", "Compile"], "actions come back ordered by runOrder");
    let invoke = &pipeline["stages"][2]["actions"][0];
    assert_eq!((&invoke["runOrder"], &invoke["region"]), (&json!(1), &json!("us-east-1")));
    assert_eq!((&invoke["inputArtifacts"], &invoke["outputArtifacts"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn an_update_bumps_the_version_and_old_versions_stay_readable() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let mut changed = declaration();
    changed["stages"][2]["actions"][0]["configuration"]["UserParameters"] = json!("{}");
    let answer = client.update_pipeline().pipeline(typed(&changed)).send().await.unwrap();
    assert_eq!(answer.pipeline().unwrap().version(), Some(2));
    assert_eq!(get(&client).await, *answer.pipeline().unwrap());
    let parameters = async |version: i32| {
        let answer = client.get_pipeline().name(PIPELINE).version(version).send().await.unwrap();
        let pipeline = answer.pipeline().unwrap();
        assert_eq!(pipeline.version(), Some(version));
        pipeline.stages()[2].actions()[0].configuration().unwrap().get("UserParameters").cloned()
    };
    assert_eq!(parameters(1).await, None);
    assert_eq!(parameters(2).await.as_deref(), Some("{}"));
    // The same content again is a version of its own.
    let answer = client.update_pipeline().pipeline(get(&client).await).send().await.unwrap();
    assert_eq!(answer.pipeline().unwrap().version(), Some(3));
    let missing = client.get_pipeline().name(PIPELINE).version(4).send().await;
    assert_eq!(refusal(missing).1, "PipelineVersionNotFoundException");
}

#[tokio::test]
async fn an_update_of_a_pipeline_that_is_missing_says_so() {
    let aws = start_with_pipeline().await;
    let mut other = declaration();
    other["name"] = json!("other");
    let outcome = client(&aws, TOOLS_ROOT).update_pipeline().pipeline(typed(&other)).send().await;
    assert_eq!(refusal(outcome).1, "PipelineNotFoundException");
}

#[tokio::test]
async fn secrets_are_masked_in_every_answer() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let token = |pipeline: &PipelineDeclaration| source(pipeline).configuration().unwrap()["OAuthToken"].clone();
    assert_eq!(token(&get(&client).await), "****");
    let answer = client.update_pipeline().pipeline(typed(&declaration())).send().await.unwrap();
    assert_eq!(token(answer.pipeline().unwrap()), "****");
    let answer = client.get_pipeline().name(PIPELINE).version(1).send().await.unwrap();
    assert_eq!(token(answer.pipeline().unwrap()), "****");
    let everything = source(&get(&client).await).configuration().unwrap()["Repo"].clone();
    assert_eq!(everything, "r", "what is no secret is shown");
}

#[tokio::test]
async fn a_mask_sent_back_keeps_the_secret() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    client.update_pipeline().pipeline(get(&client).await).send().await.unwrap();
    assert_eq!(kept_secret(&aws, 0), SECRET);
    let mut changed = declaration();
    changed["stages"][0]["actions"][0]["configuration"]["OAuthToken"] = json!("ghp_new");
    client.update_pipeline().pipeline(typed(&changed)).send().await.unwrap();
    assert_eq!(kept_secret(&aws, 0), "ghp_new");
}

#[tokio::test]
async fn a_mask_under_another_stage_or_action_name_loses_the_secret() {
    for pointer in ["/stages/0/name", "/stages/0/actions/0/name"] {
        let aws = start_with_pipeline().await;
        let (_, mut answer) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
        *answer["pipeline"].pointer_mut(pointer).unwrap() = json!("Renamed");
        let (status, _) = call(&aws, "UpdatePipeline", json!({"pipeline": answer["pipeline"]})).await;
        assert_eq!(status, 200);
        assert_eq!(kept_secret(&aws, 0), "****", "{pointer}");
    }
}

#[tokio::test]
async fn a_secret_left_out_is_missed() {
    let aws = start_with_pipeline().await;
    let mut changed = declaration();
    changed["stages"][0]["actions"][0]["configuration"].as_object_mut().unwrap().remove("OAuthToken");
    let outcome = client(&aws, TOOLS_ROOT).update_pipeline().pipeline(typed(&changed)).send().await;
    let (_, code, message) = refusal(outcome);
    assert_eq!(code, "InvalidActionDeclarationException");
    assert_eq!(message, "Action configuration for action 'Fetch' is missing required configuration 'OAuthToken'");
}

#[tokio::test]
async fn unknown_members_are_kept_at_every_level() {
    let aws = start_with_pipeline().await;
    let (_, mut answer) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
    let unknown = json!({"list": [1, 2.5, true, {"created": 7}], "text": "****", "deep": {"er": []}});
    let places = [
        "",
        "/artifactStore",
        "/stages/1",
        "/stages/1/actions/0",
        "/stages/1/actions/0/actionTypeId",
        "/stages/0/actions/0/outputArtifacts/0",
    ];
    for place in places {
        answer["pipeline"].pointer_mut(place).unwrap()["fromTheFuture"] = unknown.clone();
    }
    answer["pipeline"]["triggers"] =
        json!([{"providerType": "FromTheFuture", "gitConfiguration": {"sourceActionName": "Fetch"}}]);
    answer["pipeline"]["pipelineType"] = json!("V3");
    let (status, updated) = call(&aws, "UpdatePipeline", json!({"pipeline": answer["pipeline"]})).await;
    assert_eq!(status, 200, "{updated}");
    let (_, read) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
    answer["pipeline"]["version"] = json!(2);
    assert_eq!(read["pipeline"], answer["pipeline"]);
    assert_eq!(updated["pipeline"], answer["pipeline"]);
}

/// A typed client drops what it does not know: the reason why unknown members have to be edited as raw JSON.
#[tokio::test]
async fn a_typed_round_trip_loses_unknown_members() {
    let aws = start_with_pipeline().await;
    let mut with_unknown = declaration();
    with_unknown["stages"][1]["fromTheFuture"] = json!(1);
    aws.admin().replace_pipeline(TOOLS, REGION, with_unknown).unwrap();
    let client = client(&aws, TOOLS_ROOT);
    client.update_pipeline().pipeline(get(&client).await).send().await.unwrap();
    let kept = aws.admin().pipeline(TOOLS, REGION, PIPELINE).unwrap().unwrap();
    assert_eq!(kept["stages"][1].get("fromTheFuture"), None);
}

#[tokio::test]
async fn reads_show_an_older_version_while_they_lag() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    aws.admin().advance_clock(60).unwrap();
    let lag = Propagation { reads_milliseconds: 30_000, ..Propagation::default() };
    aws.admin().set_propagation(lag).unwrap();
    let answer = client.update_pipeline().pipeline(typed(&declaration())).send().await.unwrap();
    assert_eq!(answer.pipeline().unwrap().version(), Some(2));
    assert_eq!(get(&client).await.version(), Some(1));
    let state = client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
    assert_eq!(state.pipeline_version(), Some(1));
    let newest = client.get_pipeline().name(PIPELINE).version(2).send().await;
    assert_eq!(refusal(newest).1, "PipelineVersionNotFoundException");
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(get(&client).await.version(), Some(2));
    client.delete_pipeline().name(PIPELINE).send().await.unwrap();
    assert_eq!(get(&client).await.version(), Some(2));
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(refusal(client.get_pipeline().name(PIPELINE).send().await).1, "PipelineNotFoundException");
}

#[tokio::test]
async fn a_snapshot_holds_declarations_whole_and_versions_apart() {
    let aws = start_with_pipeline().await;
    let before = aws.admin().snapshot().unwrap();
    let client = client(&aws, TOOLS_ROOT);
    client.update_pipeline().pipeline(get(&client).await).send().await.unwrap();
    let after = aws.admin().snapshot().unwrap();
    assert_eq!(before["configuration"], after["configuration"], "no version, and secrets as they are");
    let version = |snapshot: &Value| {
        let (account, region, pipeline) = AT;
        snapshot["history"]["accounts"][account]["pipelines"][region][pipeline]["version"].clone()
    };
    assert_eq!((version(&before), version(&after)), (json!(1), json!(2)));
    let seed = serde_json::from_value(after["configuration"].clone()).unwrap();
    let again = fakeaws::FakeAws::start(seed).await.unwrap();
    assert_eq!(again.admin().configuration().unwrap(), after["configuration"]);
    let kept = &after["configuration"]["accounts"][TOOLS]["pipelines"][REGION][PIPELINE];
    assert_eq!((&kept["roleArn"], kept.get("version")), (&json!(PIPELINE_ROLE), None));
    assert_eq!(kept["stages"][2]["actions"][0]["roleArn"], INVOKE_ROLE);
}
