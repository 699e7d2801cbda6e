//! Versions of a pipeline, history that ends, and a pipeline that is missing.

use aws_sdk_codepipeline::types::{ActionExecutionFilter, StageTransitionType};
use fakeaws::{Effect, Fault};
use serde_json::json;

use super::support::{AT, PIPELINE, client, get, start_with_pipeline};
use crate::support::{TOOLS_ROOT, refusal};

#[tokio::test]
async fn the_ten_newest_versions_can_be_read() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let read = async |version: i32| {
        let outcome = client.get_pipeline().name(PIPELINE).version(version).send().await;
        if outcome.is_ok() { "read".to_owned() } else { refusal(outcome).1 }
    };
    for _ in 2..=10 {
        client.update_pipeline().pipeline(get(&client).await).send().await.unwrap();
    }
    assert_eq!((read(1).await.as_str(), read(10).await.as_str()), ("read", "read"));
    client.update_pipeline().pipeline(get(&client).await).send().await.unwrap();
    assert_eq!((read(1).await.as_str(), read(2).await.as_str()), ("PipelineNotFoundException", "read"));
    assert_eq!(read(12).await, "PipelineVersionNotFoundException");
}

#[tokio::test]
async fn a_missing_pipeline_may_be_told_as_a_validation_error() {
    let aws = start_with_pipeline().await;
    let text = format!("Account '111111111111' does not have a pipeline with name '{PIPELINE}'");
    let effect = Effect::fail("ValidationException", &text, 400);
    aws.admin().fault(Fault::next("GetPipeline", effect).containing(PIPELINE)).unwrap();
    let client = client(&aws, TOOLS_ROOT);
    let (status, code, message) = refusal(client.get_pipeline().name(PIPELINE).send().await);
    assert_eq!((status, code.as_str(), message), (400, "ValidationException", text));
    get(&client).await;
}

#[tokio::test]
async fn executions_are_listed_for_twelve_months_a_hundred_a_page_and_without_a_version() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let old = aws.admin().put_execution(AT, None, "Succeeded", None).unwrap();
    aws.admin().advance_clock(364 * 86_400).unwrap();
    let mut newest = String::new();
    for _ in 0..100 {
        newest = aws.admin().put_execution(AT, None, "Failed", None).unwrap();
    }
    let list = || client.list_pipeline_executions().pipeline_name(PIPELINE);
    let page = list().send().await.unwrap();
    assert_eq!(page.pipeline_execution_summaries().len(), 100);
    assert_eq!(page.pipeline_execution_summaries()[0].pipeline_execution_id(), Some(newest.as_str()));
    let rest = list().set_next_token(page.next_token().map(str::to_owned)).send().await.unwrap();
    assert_eq!(rest.pipeline_execution_summaries()[0].pipeline_execution_id(), Some(old.as_str()));
    aws.admin().advance_clock(2 * 86_400).unwrap();
    assert_eq!(list().send().await.unwrap().next_token(), None, "the old one is gone");
    let gone = client.get_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(&old).send().await;
    assert_eq!(refusal(gone).1, "PipelineExecutionNotFoundException");
    let filter = ActionExecutionFilter::builder().pipeline_execution_id(&old).build();
    let gone = client.list_action_executions().pipeline_name(PIPELINE).filter(filter).send().await;
    assert_eq!(refusal(gone).1, "PipelineExecutionNotFoundException");
    let (_, raw) = super::support::call(&aws, "ListPipelineExecutions", json!({"pipelineName": PIPELINE})).await;
    assert_eq!(raw["pipelineExecutionSummaries"][0].get("pipelineVersion"), None);
    let one =
        client.get_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(&newest).send().await.unwrap();
    assert_eq!(one.pipeline_execution().unwrap().pipeline_version(), Some(1));
}

#[tokio::test]
async fn a_transition_tells_who_switched_it_when_and_why() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let transition = async || {
        let state = client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
        assert!(state.stage_states()[0].inbound_transition_state().is_none(), "nothing comes before the first stage");
        let shown = state.stage_states()[2].inbound_transition_state().unwrap().clone();
        (shown.enabled(), shown.last_changed_by().is_some(), shown.last_changed_at().is_some(), shown.disabled_reason)
    };
    assert_eq!(transition().await, (true, false, false, None));
    let inbound = StageTransitionType::Inbound;
    let disable = client.disable_stage_transition().pipeline_name(PIPELINE).stage_name("Validate");
    disable.transition_type(inbound.clone()).reason("holidays").send().await.unwrap();
    assert_eq!(transition().await, (false, true, true, Some("holidays".to_owned())));
    let enable = client.enable_stage_transition().pipeline_name(PIPELINE).stage_name("Validate");
    enable.transition_type(inbound).send().await.unwrap();
    assert_eq!(transition().await, (true, true, true, None));
}
