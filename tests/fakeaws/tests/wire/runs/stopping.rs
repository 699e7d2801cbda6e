//! Runs that are stopped, and runs that an update ends.

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use fakeaws::{ActionOutcome, Behaviour};

use super::support::{AT, EXECUTION, PIPELINE, Runs, build, declaration, deploy, release, source, stage};
use crate::support::{REGION, TOOLS, refusal};

async fn stop(runs: &Runs, id: &str, abandon: bool) -> Result<(), String> {
    let call = runs.client.stop_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(id);
    let outcome = call.abandon(abandon).reason("because").send().await;
    if outcome.is_ok() { Ok(()) } else { Err(refusal(outcome).1) }
}

async fn waiting() -> (Runs, String) {
    let runs = Runs::release().await;
    runs.behave(Behaviour::NeverAnswer {});
    let id = runs.run().await;
    (runs, id)
}

#[tokio::test]
async fn stop_and_wait_lets_the_running_action_end() {
    let (runs, id) = waiting().await;
    stop(&runs, &id, false).await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Stopping);
    assert_eq!(stop(&runs, &id, false).await, Err("DuplicatedStopRequestException".to_owned()));
    runs.client_of(EXECUTION).put_job_success_result().job_id(runs.job()).send().await.unwrap();
    assert_eq!(runs.outcome("Invoke").await.0, "Succeeded");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Stopped);
    assert_eq!(runs.details(&id).await.len(), 2, "nothing is deployed");
    assert_eq!(stop(&runs, &id, true).await, Err("PipelineExecutionNotStoppableException".to_owned()));
}

#[tokio::test]
async fn stop_and_wait_begins_no_action_of_a_later_run_order() {
    let stages = vec![source(), stage("Build", vec![build("One", 1), build("Two", 2)]), deploy()];
    let runs = Runs::of(declaration(stages)).await;
    runs.set("Build", "One", ActionOutcome::Hold {});
    let id = runs.run().await;
    stop(&runs, &id, false).await.unwrap();
    runs.set("Build", "One", ActionOutcome::default());
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Stopped);
    assert_eq!(runs.outcome("Two").await.0, "");
}

#[tokio::test]
async fn abandoning_ends_the_action_at_once_and_its_job() {
    let (runs, id) = waiting().await;
    stop(&runs, &id, false).await.unwrap();
    stop(&runs, &id, true).await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Stopped);
    assert_eq!(runs.outcome("Invoke").await.0, "Abandoned");
    let late = runs.client_of(EXECUTION).put_job_success_result().job_id(runs.job()).send().await;
    assert_eq!(refusal(late).1, "InvalidJobStateException");
    runs.advance(21 * 60).await;
    assert_eq!(runs.outcome("Invoke").await.0, "Abandoned", "its clock has stopped");
}

#[tokio::test]
async fn an_update_ends_what_runs_with_its_actions_and_jobs() {
    let (runs, id) = waiting().await;
    runs.aws.admin().replace_pipeline(TOOLS, REGION, release()).unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Cancelled);
    assert_eq!(runs.outcome("Invoke").await.0, "Abandoned");
    let late = runs.client_of(EXECUTION).put_job_success_result().job_id(runs.job()).send().await;
    assert_eq!(refusal(late).1, "InvalidJobStateException");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Cancelled);
    runs.behave(Behaviour::default());
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn what_is_taken_over_by_hand_walks_no_more() {
    let (runs, id) = waiting().await;
    runs.aws.admin().put_execution(AT, Some(&id), "InProgress", Some("Deploy")).unwrap();
    let late = runs.client_of(EXECUTION).put_job_success_result().job_id(runs.job()).send().await;
    assert_eq!(refusal(late).1, "InvalidJobStateException");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.aws.admin().put_execution(AT, Some(&id), "Failed", None).unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
}
