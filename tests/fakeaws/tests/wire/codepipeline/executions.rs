//! Executions: started, listed, stopped, cancelled by an update, and moved by hand.

use aws_sdk_codepipeline::{
    Client,
    types::{PipelineExecutionStatus, StageExecutionStatus, TriggerType},
};
use fakeaws::FakeAws;
use serde_json::json;

use super::support::{AT, PIPELINE, client, declaration, get, start_with_pipeline, typed};
use crate::support::{TOOLS_ROOT, refusal};

/// With executions that stay where they are until they are moved by hand.
async fn start_by_hand() -> FakeAws {
    let aws = start_with_pipeline().await;
    aws.admin().set_started_executions(AT, "InProgress").unwrap();
    aws
}

async fn start(client: &Client) -> String {
    let answer = client.start_pipeline_execution().name(PIPELINE).send().await.unwrap();
    answer.pipeline_execution_id().unwrap().to_owned()
}

/// Ids and statuses, newest first.
async fn listed(client: &Client) -> Vec<(String, PipelineExecutionStatus)> {
    let answer = client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
    let summaries = answer.pipeline_execution_summaries().iter();
    summaries.map(|s| (s.pipeline_execution_id().unwrap().to_owned(), s.status().unwrap().clone())).collect()
}

/// Per stage the status of its latest execution.
async fn stages(client: &Client) -> Vec<Option<StageExecutionStatus>> {
    let state = client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
    state.stage_states().iter().map(|s| s.latest_execution().map(|latest| latest.status().clone())).collect()
}

async fn stop(client: &Client, id: &str, abandon: bool) -> Result<(), String> {
    let call = client.stop_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(id).abandon(abandon);
    let outcome = call.reason("because").send().await;
    if outcome.is_ok() { Ok(()) } else { Err(refusal(outcome).1) }
}

fn put(aws: &FakeAws, id: Option<&str>, status: &str, stage: Option<&str>) -> String {
    aws.admin().put_execution(AT, id, status, stage).unwrap()
}

const RUNNING: PipelineExecutionStatus = PipelineExecutionStatus::InProgress;
const DONE: Option<StageExecutionStatus> = Some(StageExecutionStatus::Succeeded);

/// User Guide, "Start a pipeline in CodePipeline": "When a pipeline is created, a pipeline execution starts automatically.
/// This is the `CreatePipeline` trigger type in the Execution history."
#[tokio::test]
async fn a_pipeline_that_is_made_starts_a_run() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let mut second = declaration();
    second["name"] = json!("second");
    client.create_pipeline().pipeline(typed(&second)).send().await.unwrap();
    let listed = client.list_pipeline_executions().pipeline_name("second").send().await.unwrap();
    let [first] = listed.pipeline_execution_summaries() else { panic!("{listed:?}") };
    let trigger = first.trigger().unwrap();
    assert_eq!(trigger.trigger_type(), Some(&TriggerType::CreatePipeline));
    assert_eq!(trigger.trigger_detail(), Some("arn:aws:iam::111111111111:root"));
}

#[tokio::test]
async fn a_started_execution_runs_until_it_is_changed() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    assert_eq!(listed(&client).await, []);
    assert_eq!(stages(&client).await, [None, None, None]);
    let id = start(&client).await;
    assert_eq!(listed(&client).await, [(id.clone(), RUNNING)]);
    assert_eq!(stages(&client).await, [Some(StageExecutionStatus::InProgress), None, None]);
    let execution = client.get_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(&id);
    let execution = execution.send().await.unwrap();
    let execution = execution.pipeline_execution().unwrap();
    assert_eq!((execution.pipeline_version(), execution.status()), (Some(1), Some(&RUNNING)));
    put(&aws, Some(&id), "Succeeded", None);
    assert_eq!(listed(&client).await, [(id, PipelineExecutionStatus::Succeeded)]);
    assert_eq!(stages(&client).await, [DONE, DONE, DONE]);

    let outcome = client.start_pipeline_execution().name("nothing").send().await;
    assert_eq!(refusal(outcome).1, "PipelineNotFoundException");
    let id = "00000000-0000-0000-0000-000000000000";
    let outcome = client.get_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(id).send().await;
    assert_eq!(refusal(outcome).1, "PipelineExecutionNotFoundException");
}

#[tokio::test]
async fn started_executions_can_finish_at_once() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    aws.admin().set_started_executions(AT, "Succeeded").unwrap();
    let id = start(&client).await;
    assert_eq!(listed(&client).await, [(id, PipelineExecutionStatus::Succeeded)]);
    aws.admin().set_started_executions(AT, "Failed").unwrap();
    start(&client).await;
    assert_eq!(listed(&client).await[0].1, PipelineExecutionStatus::Failed);
    assert_eq!(stages(&client).await, [Some(StageExecutionStatus::Failed), DONE, DONE]);
    assert!(aws.admin().set_started_executions(AT, "Sleeping").is_err());
}

#[tokio::test]
async fn an_execution_between_two_stages_is_in_progress_while_no_stage_is() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    let id = put(&aws, None, "InProgress", Some("Build"));
    assert_eq!(stages(&client).await, [DONE, Some(StageExecutionStatus::InProgress), None]);
    assert_eq!(put(&aws, Some(&id), "InProgress", None), id);
    assert_eq!(listed(&client).await, [(id.clone(), RUNNING)]);
    assert_eq!(stages(&client).await, [DONE, DONE, None]);
    put(&aws, Some(&id), "InProgress", Some("Validate"));
    put(&aws, Some(&id), "Failed", None);
    assert_eq!(stages(&client).await, [DONE, DONE, Some(StageExecutionStatus::Failed)]);

    put(&aws, None, "InProgress", None);
    assert_eq!(listed(&client).await[0].1, RUNNING);
    let running = stages(&client).await.contains(&Some(StageExecutionStatus::InProgress));
    assert!(!running, "a new execution can stand between two stages as well");
    let unknown = aws.admin().put_execution(AT, None, "InProgress", Some("Nowhere")).unwrap_err().to_string();
    assert!(unknown.contains("Source, Build, Validate"), "{unknown}");
}

#[tokio::test]
async fn an_update_cancels_what_runs_and_nothing_else() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    let finished = put(&aws, None, "Succeeded", None);
    let between = put(&aws, None, "InProgress", None);
    let stopping = put(&aws, None, "Stopping", Some("Source"));
    let running = put(&aws, None, "InProgress", Some("Build"));
    client.update_pipeline().pipeline(get(&client).await).send().await.unwrap();
    let cancelled = PipelineExecutionStatus::Cancelled;
    let expected = [
        (running.clone(), cancelled.clone()),
        (stopping, cancelled.clone()),
        (between, cancelled),
        (finished, PipelineExecutionStatus::Succeeded),
    ];
    assert_eq!(listed(&client).await, expected);
    assert_eq!(stages(&client).await, [DONE, Some(StageExecutionStatus::Cancelled), DONE]);
    let answer = client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
    let summaries = answer.pipeline_execution_summaries();
    let summary = summaries[0].status_summary().unwrap();
    assert!(summary.contains("definition was updated before"), "{summary}");
    assert_eq!(summaries[3].status_summary(), None);
    assert_eq!(summaries[0].pipeline_execution_id(), Some(running.as_str()));
}

#[tokio::test]
async fn a_refused_update_cancels_nothing() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    let id = start(&client).await;
    aws.admin().remove_role("222222222222", "invoke").unwrap();
    let outcome = client.update_pipeline().pipeline(get(&client).await).send().await;
    assert_eq!(refusal(outcome).1, "InvalidStructureException");
    assert_eq!(listed(&client).await, [(id, RUNNING)]);
}

#[tokio::test]
async fn a_stop_waits_for_the_actions_of_a_stage_unless_it_abandons_them() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    let id = start(&client).await;
    stop(&client, &id, false).await.unwrap();
    assert_eq!(listed(&client).await, [(id.clone(), PipelineExecutionStatus::Stopping)]);
    assert_eq!(stages(&client).await[0], Some(StageExecutionStatus::Stopping));
    assert_eq!(stop(&client, &id, false).await, Err("DuplicatedStopRequestException".to_owned()));
    put(&aws, Some(&id), "Stopped", None);
    assert_eq!(listed(&client).await, [(id.clone(), PipelineExecutionStatus::Stopped)]);
    assert_eq!(stop(&client, &id, false).await, Err("PipelineExecutionNotStoppableException".to_owned()));

    let id = start(&client).await;
    stop(&client, &id, true).await.unwrap();
    assert_eq!(listed(&client).await[0], (id, PipelineExecutionStatus::Stopped));
    let id = put(&aws, None, "InProgress", None);
    stop(&client, &id, false).await.unwrap();
    assert_eq!(listed(&client).await[0], (id, PipelineExecutionStatus::Stopped), "between two stages nothing waits");
    let answer = client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
    let reason = answer.pipeline_execution_summaries()[0].stop_trigger().unwrap().reason();
    assert_eq!(reason, Some("because"));
}

#[tokio::test]
async fn executions_come_newest_first_in_pages() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    let mut ids: Vec<String> = (0..105).map(|_| put(&aws, None, "Succeeded", None)).collect();
    ids.reverse();
    let page = client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
    assert_eq!((page.pipeline_execution_summaries().len(), page.next_token().is_some()), (100, true));
    let first = client.list_pipeline_executions().pipeline_name(PIPELINE).max_results(10).send().await.unwrap();
    // What starts between two pages moves nothing into or out of the second one.
    put(&aws, None, "InProgress", None);
    let second = client.list_pipeline_executions().pipeline_name(PIPELINE).max_results(100);
    let second = second.set_next_token(first.next_token().map(str::to_owned)).send().await.unwrap();
    assert_eq!(second.next_token(), None);
    let all = [first.pipeline_execution_summaries(), second.pipeline_execution_summaries()].concat();
    assert_eq!(all.iter().map(|s| s.pipeline_execution_id().unwrap()).collect::<Vec<_>>(), ids);

    let call = || client.list_pipeline_executions().pipeline_name(PIPELINE);
    assert_eq!(refusal(call().next_token("made-up").send().await).1, "InvalidNextTokenException");
    assert_eq!(refusal(call().max_results(101).send().await).1, "ValidationException");
    assert_eq!(refusal(call().max_results(0).send().await).1, "ValidationException");
    let nothing = client.list_pipeline_executions().pipeline_name("nothing").send().await;
    assert_eq!(refusal(nothing).1, "PipelineNotFoundException");
}

#[tokio::test]
async fn deleting_a_pipeline_forgets_its_executions() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    start(&client).await;
    client.delete_pipeline().name(PIPELINE).send().await.unwrap();
    aws.admin().replace_pipeline(AT.0, AT.1, super::support::declaration()).unwrap();
    assert_eq!(listed(&client).await, []);
}

#[tokio::test]
async fn somebody_elses_update_cancels_as_well() {
    let aws = start_by_hand().await;
    let client = client(&aws, TOOLS_ROOT);
    let id = start(&client).await;
    let answer = aws.admin().replace_pipeline(AT.0, AT.1, super::support::declaration()).unwrap();
    assert_eq!(answer["version"], 2);
    assert_eq!(listed(&client).await, [(id, PipelineExecutionStatus::Cancelled)]);
    aws.admin().remove_pipeline(AT.0, AT.1, PIPELINE).unwrap();
    assert_eq!(refusal(client.get_pipeline().name(PIPELINE).send().await).1, "PipelineNotFoundException");
    assert!(aws.admin().remove_pipeline(AT.0, AT.1, PIPELINE).is_err());
}
