//! The same operations in JSON 1.1 and in Smithy RPC v2 CBOR, as the bytes that travel.

use ciborium::Value as Cbor;
use fakeaws::FakeAws;
use serde_json::json;

use super::support::{PIPELINE, call, client, get, post, start_with_pipeline};
use crate::support::{REGION, TOOLS, TOOLS_ROOT, refusal};

fn text(text: &str) -> Cbor {
    Cbor::Text(text.to_owned())
}

fn map(members: Vec<(&str, Cbor)>) -> Cbor {
    Cbor::Map(members.into_iter().map(|(name, value)| (text(name), value)).collect())
}

fn member<'c>(value: &'c Cbor, path: &[&str]) -> &'c Cbor {
    path.iter().fold(value, |value, name| {
        let members = value.as_map().unwrap();
        &members.iter().find(|(key, _)| key.as_text() == Some(name)).expect(name).1
    })
}

async fn cbor_call(aws: &FakeAws, operation: &str, body: Cbor) -> (u16, Option<Cbor>) {
    let mut bytes = Vec::new();
    ciborium::into_writer(&body, &mut bytes).unwrap();
    let path = format!("/service/CodePipeline_20150709/operation/{operation}");
    let headers = "smithy-protocol: rpc-v2-cbor\r\ncontent-type: application/cbor\r\naccept: application/cbor";
    let (status, head, body) = post(aws, &path, headers, &bytes).await;
    let head = head.to_lowercase();
    assert!(head.contains("smithy-protocol: rpc-v2-cbor"), "{head}");
    assert_eq!(head.contains("content-type: application/cbor"), !body.is_empty(), "{head}");
    (status, (!body.is_empty()).then(|| ciborium::from_reader(body.as_slice()).unwrap()))
}

#[tokio::test]
async fn times_are_numbers_in_json_and_tagged_in_cbor() {
    let aws = start_with_pipeline().await;
    let (_, json) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
    let (status, cbor) = cbor_call(&aws, "GetPipeline", map(vec![("name", text(PIPELINE))])).await;
    let cbor = cbor.unwrap();
    assert_eq!(status, 200);
    for time in ["created", "updated"] {
        let in_json = json["metadata"][time].as_f64().unwrap();
        assert_eq!(member(&cbor, &["metadata", time]), &Cbor::Tag(1, Box::new(Cbor::Float(in_json))));
    }
    assert_eq!(member(&cbor, &["pipeline", "version"]), &Cbor::Integer(1.into()));
}

#[tokio::test]
async fn unknown_members_are_kept_over_cbor() {
    let aws = start_with_pipeline().await;
    let get = map(vec![("name", text(PIPELINE))]);
    let (_, answer) = cbor_call(&aws, "GetPipeline", get.clone()).await;
    let Cbor::Map(mut pipeline) = member(&answer.unwrap(), &["pipeline"]).clone() else { panic!("no map") };
    let unknown =
        map(vec![("deep", Cbor::Array(vec![Cbor::Float(2.5), Cbor::Bool(true), Cbor::Integer((-7).into())]))]);
    pipeline.push((text("fromTheFuture"), unknown.clone()));
    let (status, updated) = cbor_call(&aws, "UpdatePipeline", map(vec![("pipeline", Cbor::Map(pipeline))])).await;
    assert_eq!(status, 200, "{updated:?}");
    assert_eq!(member(&updated.unwrap(), &["pipeline", "fromTheFuture"]), &unknown);
    let (_, read) = cbor_call(&aws, "GetPipeline", get).await;
    assert_eq!(member(&read.unwrap(), &["pipeline", "fromTheFuture"]), &unknown);
    let kept = aws.admin().pipeline(TOOLS, REGION, PIPELINE).unwrap().unwrap();
    assert_eq!(kept["fromTheFuture"], json!({"deep": [2.5, true, -7]}));
}

#[tokio::test]
async fn errors_have_their_type_in_the_body() {
    let aws = start_with_pipeline().await;
    let (status, answer) = cbor_call(&aws, "GetPipeline", map(vec![("name", text("nothing"))])).await;
    let answer = answer.unwrap();
    assert_eq!(status, 400);
    assert_eq!(member(&answer, &["__type"]), &text("com.amazonaws.codepipeline#PipelineNotFoundException"));
    assert!(member(&answer, &["message"]).as_text().unwrap().contains("'nothing'"));
    let (status, answer) = call(&aws, "GetPipeline", json!({"name": "nothing"})).await;
    assert_eq!((status, answer["__type"].as_str()), (400, Some("PipelineNotFoundException")));
    let (status, answer) = call(&aws, "GetPipeline", json!({})).await;
    assert_eq!((status, answer["__type"].as_str()), (400, Some("ValidationException")));
}

#[tokio::test]
async fn an_operation_without_output_answers_no_body() {
    let aws = start_with_pipeline().await;
    let name = map(vec![("name", text(PIPELINE))]);
    assert_eq!(cbor_call(&aws, "DeletePipeline", name).await, (200, None));
    assert_eq!(call(&aws, "DeletePipeline", json!({"name": PIPELINE})).await, (200, json!(null)));
}

#[tokio::test]
async fn what_is_neither_json_nor_cbor_is_refused() {
    let aws = start_with_pipeline().await;
    let headers = "x-amz-target: CodePipeline_20150709.GetPipeline\r\ncontent-type: application/x-amz-json-1.1";
    let (status, _, body) = post(&aws, "/", headers, b"{not json").await;
    assert_eq!(status, 400);
    assert!(String::from_utf8_lossy(&body).contains("SerializationException"));
    let (status, answer) = call(&aws, "PutWebhook", json!({})).await;
    assert_eq!(status, 500, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("PutWebhook"), "what is not modelled is named");
}

#[tokio::test]
async fn throttling_and_expiry_have_codepipelines_codes() {
    let aws = start_with_pipeline().await;
    aws.admin().fault(fakeaws::Fault::next("GetPipeline", fakeaws::Effect::Throttle)).unwrap();
    let client = client(&aws, TOOLS_ROOT);
    let (status, code, message) = refusal(client.get_pipeline().name(PIPELINE).send().await);
    assert_eq!((status, code.as_str(), message.as_str()), (400, "ThrottlingException", "Rate exceeded"));
    let session =
        aws_sdk_codepipeline::Client::new(&crate::support::config(&aws, crate::support::assume(&aws, TOOLS).await));
    aws.admin().advance_clock(3601).unwrap();
    assert_eq!(refusal(session.get_pipeline().name(PIPELINE).send().await).1, "ExpiredTokenException");
    let nobody = super::support::client(&aws, "AKIANOBODY");
    assert_eq!(refusal(nobody.get_pipeline().name(PIPELINE).send().await).1, "UnrecognizedClientException");
}

#[tokio::test]
async fn a_dropped_update_has_been_applied_once() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    aws.admin().drop_next("UpdatePipeline").unwrap();
    let error = client.update_pipeline().pipeline(get(&client).await).send().await.unwrap_err();
    assert!(error.raw_response().is_none(), "{error:?}");
    assert_eq!(get(&client).await.version(), Some(2));
}
