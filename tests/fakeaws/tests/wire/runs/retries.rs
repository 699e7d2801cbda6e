//! Failed stages that are retried, and transitions that are disabled.

use aws_sdk_codepipeline::types::{PipelineExecutionStatus, StageRetryMode, StageTransitionType};
use fakeaws::{ActionOutcome, Behaviour};

use super::support::{PIPELINE, Runs, build, declaration, deploy, fail, invoke, release, source, stage, succeed};
use crate::support::{REGION, TOOLS, refusal};

async fn retry(runs: &Runs, id: &str, stage: &str, mode: StageRetryMode) -> Result<(), String> {
    let call = runs.client.retry_stage_execution().pipeline_name(PIPELINE).stage_name(stage);
    let outcome = call.pipeline_execution_id(id).retry_mode(mode).send().await;
    if outcome.is_ok() { Ok(()) } else { Err(refusal(outcome).1) }
}

#[tokio::test]
async fn a_failed_stage_is_retried_from_its_failed_actions_or_from_its_beginning() {
    for (mode, runs_of_build) in [(StageRetryMode::FailedActions, 1), (StageRetryMode::AllActions, 2)] {
        let pipeline = declaration(vec![source(), stage("Validate", vec![build("Compile", 1), invoke()]), deploy()]);
        let runs = Runs::of(pipeline).await;
        runs.behave(fail("no"));
        let id = runs.run().await;
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
        runs.behave(Behaviour::default());
        retry(&runs, &id, "Validate", mode.clone()).await.unwrap();
        runs.aws.settled().await;
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded, "{mode}");
        let details = runs.details(&id).await;
        let count = |action: &str| details.iter().filter(|detail| detail.action_name() == Some(action)).count();
        assert_eq!((count("Compile"), count("Invoke"), count("Deploy")), (runs_of_build, 2, 1), "{mode}");
        assert_eq!(runs.outcome("Invoke").await, ("Succeeded".to_owned(), String::new()));
    }
}

#[tokio::test]
async fn variables_are_those_of_the_latest_attempt() {
    let mut deployed = deploy();
    deployed["actions"][0]["configuration"]["ObjectKey"] = serde_json::json!("#{Checks.Report}");
    let pipeline = declaration(vec![source(), stage("Validate", vec![invoke(), build("Test", 2)]), deployed]);
    let runs = Runs::of(pipeline).await;
    runs.behave(succeed([("Report", "one")]));
    runs.set("Validate", "Test", ActionOutcome::Fail { code: "JobFailed".to_owned(), message: "no".to_owned() });
    let id = runs.run().await;
    runs.behave(succeed([("Report", "two")]));
    runs.set("Validate", "Test", ActionOutcome::default());
    retry(&runs, &id, "Validate", StageRetryMode::AllActions).await.unwrap();
    runs.aws.settled().await;
    let details = runs.details(&id).await;
    let input = details.last().unwrap().input().unwrap();
    assert_eq!(input.resolved_configuration().unwrap()["ObjectKey"], "two");
}

#[tokio::test]
async fn only_the_latest_failed_execution_of_the_same_pipeline_can_be_retried() {
    let runs = Runs::release().await;
    runs.behave(fail("no"));
    let first = runs.run().await;
    let second = runs.run().await;
    let again = async |id: &str, stage: &str| retry(&runs, id, stage, StageRetryMode::FailedActions).await;
    assert_eq!(again(&first, "Validate").await, Err("NotLatestPipelineExecutionException".to_owned()));
    assert_eq!(again(&second, "Source").await, Err("StageNotRetryableException".to_owned()));
    assert_eq!(again(&second, "Nowhere").await, Err("StageNotFoundException".to_owned()));
    let unknown = "00000000-0000-0000-0000-000000000000";
    assert_eq!(again(unknown, "Validate").await, Err("PipelineExecutionNotFoundException".to_owned()));
    runs.aws.admin().replace_pipeline(TOOLS, REGION, release()).unwrap();
    assert_eq!(again(&second, "Validate").await, Err("StageNotRetryableException".to_owned()));
}

#[tokio::test]
async fn a_disabled_transition_holds_what_comes_until_it_is_enabled() {
    let runs = Runs::release().await;
    let inbound = StageTransitionType::Inbound;
    let disable = runs.client.disable_stage_transition().pipeline_name(PIPELINE).stage_name("Deploy");
    disable.transition_type(inbound.clone()).reason("freeze").send().await.unwrap();
    let first = runs.run().await;
    assert_eq!(runs.status(&first).await, PipelineExecutionStatus::InProgress);
    assert_eq!(runs.outcome("Invoke").await.0, "Succeeded");
    let state = runs.client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
    let transition = state.stage_states()[2].inbound_transition_state().unwrap();
    assert_eq!((transition.enabled(), transition.disabled_reason()), (false, Some("freeze")));
    assert_eq!(transition.last_changed_by(), Some("arn:aws:iam::111111111111:root"));
    let waiting = state.stage_states()[2].inbound_execution().unwrap();
    assert_eq!(waiting.pipeline_execution_id(), first);
    let second = runs.run().await;
    assert_eq!(runs.status(&first).await, PipelineExecutionStatus::Superseded);
    let enable = runs.client.enable_stage_transition().pipeline_name(PIPELINE).stage_name("Deploy");
    enable.transition_type(inbound).send().await.unwrap();
    assert_eq!(runs.status(&second).await, PipelineExecutionStatus::Succeeded);

    let nowhere = runs.client.enable_stage_transition().pipeline_name(PIPELINE).stage_name("Nowhere");
    let outcome = nowhere.transition_type(StageTransitionType::Inbound).send().await;
    assert_eq!(refusal(outcome).1, "StageNotFoundException");
}
