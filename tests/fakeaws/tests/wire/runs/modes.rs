//! SUPERSEDED, QUEUED and PARALLEL: how executions of one pipeline get along.

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use fakeaws::ActionOutcome;
use serde_json::json;

use super::support::{PIPELINE, Runs, build, declaration, deploy, source, stage};
use crate::support::refusal;

const RUNNING: PipelineExecutionStatus = PipelineExecutionStatus::InProgress;
const SUCCEEDED: PipelineExecutionStatus = PipelineExecutionStatus::Succeeded;

/// A pipeline whose build is held.
async fn held(mode: &str) -> Runs {
    let mut pipeline = declaration(vec![source(), stage("Build", vec![build("Compile", 1)]), deploy()]);
    pipeline["executionMode"] = json!(mode);
    let runs = Runs::of(pipeline).await;
    runs.set("Build", "Compile", ActionOutcome::Hold {});
    runs
}

async fn statuses<const N: usize>(runs: &Runs, ids: [&str; N]) -> Vec<PipelineExecutionStatus> {
    let mut statuses = Vec::new();
    for id in ids {
        statuses.push(runs.status(id).await);
    }
    statuses
}

/// The executions that wait before the build.
async fn inbound(runs: &Runs) -> Vec<String> {
    let state = runs.client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
    let build = &state.stage_states()[1];
    let last = build.inbound_execution().map(|execution| execution.pipeline_execution_id().to_owned());
    let all: Vec<String> = build.inbound_executions().iter().map(|e| e.pipeline_execution_id().to_owned()).collect();
    assert_eq!(all.last(), last.as_ref());
    all
}

#[tokio::test]
async fn in_superseded_mode_only_the_latest_waits() {
    let runs = held("SUPERSEDED").await;
    let [first, second, third] = [runs.start().await, runs.start().await, runs.start().await];
    let expected = [RUNNING, PipelineExecutionStatus::Superseded, RUNNING];
    assert_eq!(statuses(&runs, [&first, &second, &third]).await, expected);
    assert_eq!(inbound(&runs).await, [third.as_str()]);
    runs.set("Build", "Compile", ActionOutcome::default());
    assert_eq!(statuses(&runs, [&first, &third]).await, [SUCCEEDED, SUCCEEDED]);
    assert_eq!(inbound(&runs).await, [""; 0]);
    assert_eq!(runs.details(&second).await.len(), 1, "it came to its source and no further");
}

#[tokio::test]
async fn in_queued_mode_all_wait_in_their_order() {
    let runs = held("QUEUED").await;
    let [first, second, third] = [runs.start().await, runs.start().await, runs.start().await];
    assert_eq!(statuses(&runs, [&first, &second, &third]).await, [RUNNING, RUNNING, RUNNING]);
    assert_eq!(inbound(&runs).await, [second.clone(), third.clone()]);
    runs.set("Build", "Compile", ActionOutcome::Fail { code: "JobFailed".to_owned(), message: "no".to_owned() });
    // The first fails, and so do the ones that follow it into the stage.
    let failed = PipelineExecutionStatus::Failed;
    assert_eq!(statuses(&runs, [&first, &second, &third]).await, [failed.clone(), failed.clone(), failed]);
}

#[tokio::test]
async fn a_stopped_execution_lets_the_next_one_in() {
    let runs = held("QUEUED").await;
    let [first, second, third] = [runs.start().await, runs.start().await, runs.start().await];
    let stop = runs.client.stop_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(&first);
    stop.abandon(true).send().await.unwrap();
    assert_eq!(statuses(&runs, [&first, &second, &third]).await, [PipelineExecutionStatus::Stopped, RUNNING, RUNNING]);
    assert_eq!(inbound(&runs).await, [third.as_str()], "the second came first");
    assert_eq!(runs.details(&second).await.len(), 2);
}

#[tokio::test]
async fn in_parallel_mode_nobody_waits() {
    let runs = held("PARALLEL").await;
    let [first, second] = [runs.start().await, runs.start().await];
    assert_eq!((runs.details(&first).await.len(), runs.details(&second).await.len()), (2, 2), "both are building");
    assert_eq!(inbound(&runs).await, [""; 0]);
    runs.set("Build", "Compile", ActionOutcome::default());
    assert_eq!(statuses(&runs, [&first, &second]).await, [SUCCEEDED, SUCCEEDED]);
}

#[tokio::test]
async fn there_is_a_most_of_concurrent_executions() {
    for mode in ["QUEUED", "PARALLEL"] {
        let runs = held(mode).await;
        for _ in 0..50 {
            runs.start().await;
        }
        let refused = runs.client.start_pipeline_execution().name(PIPELINE).send().await;
        assert_eq!(refusal(refused).1, "ConcurrentPipelineExecutionsLimitExceededException", "{mode}");
        runs.set("Build", "Compile", ActionOutcome::default());
        runs.start().await;
    }
}

#[tokio::test]
async fn an_execution_that_was_put_by_hand_locks_its_stage() {
    let runs = held("SUPERSEDED").await;
    runs.set("Build", "Compile", ActionOutcome::default());
    let by_hand = runs.aws.admin().put_execution(super::support::AT, None, "InProgress", Some("Build")).unwrap();
    let walking = runs.start().await;
    assert_eq!(statuses(&runs, [&by_hand, &walking]).await, [RUNNING, RUNNING]);
    runs.aws.admin().put_execution(super::support::AT, Some(&by_hand), "Succeeded", None).unwrap();
    assert_eq!(statuses(&runs, [&by_hand, &walking]).await, [SUCCEEDED, SUCCEEDED]);
}
