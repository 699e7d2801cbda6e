//! Stages with conditions, retries and rollbacks.

use aws_sdk_codepipeline::types::{ExecutionType, PipelineExecutionStatus, StageState, TriggerType};
use fakeaws::{ActionOutcome, Behaviour};
use serde_json::{Value, json};

use super::support::{
    AT, PIPELINE, Runs, action, build, declaration, deploy, fail, invoke, release, source, stage, succeed, variables,
};
use crate::support::{REGION, TOOLS, refusal};

const SUCCEEDED: PipelineExecutionStatus = PipelineExecutionStatus::Succeeded;
const FAILED: PipelineExecutionStatus = PipelineExecutionStatus::Failed;

fn no() -> ActionOutcome {
    ActionOutcome::Fail { code: "JobFailed".to_owned(), message: "no".to_owned() }
}

fn condition(result: &str) -> Value {
    json!([{"result": result, "rules": [{"name": "Check", "ruleTypeId":
        {"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"},
        "configuration": {"AlarmName": "a", "WaitTime": "1"}}]}])
}

/// The release with a member in the declaration of its stage Validate.
async fn with(member: &str, value: Value) -> Runs {
    let mut pipeline = release();
    pipeline["stages"][1][member] = value;
    Runs::of(pipeline).await
}

fn rule(runs: &Runs, condition: &str, outcome: ActionOutcome) {
    runs.aws.admin().set_rule(AT, ("Validate", condition, "Check"), outcome).unwrap();
}

async fn state(runs: &Runs) -> StageState {
    runs.client.get_pipeline_state().name(PIPELINE).send().await.unwrap().stage_states()[1].clone()
}

async fn stage_status(runs: &Runs) -> String {
    state(runs).await.latest_execution().unwrap().status().to_string()
}

#[tokio::test]
async fn an_entry_condition_that_fails_keeps_the_execution_out_or_lets_it_pass_by() {
    for (result, status, stage, deployed) in [("FAIL", FAILED, "Failed", false), ("SKIP", SUCCEEDED, "Skipped", true)] {
        let runs = with("beforeEntry", json!({"conditions": condition(result)})).await;
        let passed = runs.run().await;
        assert_eq!(runs.status(&passed).await, SUCCEEDED, "without more a rule succeeds");
        rule(&runs, "beforeEntry", no());
        let id = runs.run().await;
        assert_eq!(runs.status(&id).await, status, "{result}");
        assert_eq!(stage_status(&runs).await, stage);
        assert_eq!(runs.invocations().len(), 1, "the action of the stage has run once, in the first execution");
        let details = runs.details(&id).await;
        assert_eq!(details.iter().any(|detail| detail.action_name() == Some("Deploy")), deployed, "{result}");
        let state = state(&runs).await;
        let shown = state.before_entry_condition_state().unwrap();
        assert_eq!(shown.latest_execution().unwrap().status().unwrap().as_str(), "Failed");
        let rule = &shown.condition_states()[0].rule_states()[0];
        assert_eq!(rule.rule_name(), Some("Check"));
        assert_eq!(rule.latest_execution().unwrap().error_details().unwrap().message(), Some("no"));
    }
}

#[tokio::test]
async fn a_rule_that_is_held_keeps_the_execution_waiting() {
    let runs = with("beforeEntry", json!({"conditions": condition("FAIL")})).await;
    rule(&runs, "beforeEntry", ActionOutcome::Hold {});
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    assert_eq!((stage_status(&runs).await.as_str(), runs.invocations().len()), ("InProgress", 0));
    rule(&runs, "beforeEntry", ActionOutcome::default());
    runs.aws.settled().await;
    assert_eq!(runs.status(&id).await, SUCCEEDED);
}

#[tokio::test]
async fn a_success_condition_that_fails_fails_the_stage_or_rolls_it_back() {
    for result in ["FAIL", "ROLLBACK"] {
        let runs = with("onSuccess", json!({"conditions": condition(result)})).await;
        runs.behave(succeed([("Report", "one")]));
        let good = runs.run().await;
        rule(&runs, "onSuccess", no());
        let id = runs.run().await;
        assert_eq!(runs.status(&id).await, FAILED, "{result}");
        let listed = runs.client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
        let newest = &listed.pipeline_execution_summaries()[0];
        if result == "FAIL" {
            assert_eq!(newest.pipeline_execution_id(), Some(id.as_str()), "nothing follows");
            continue;
        }
        assert_eq!(newest.execution_type(), Some(&ExecutionType::Rollback));
        let metadata = newest.rollback_metadata().unwrap();
        assert_eq!(metadata.rollback_target_pipeline_execution_id(), Some(good.as_str()));
        let trigger = newest.trigger().unwrap();
        assert_eq!(trigger.trigger_type(), Some(&TriggerType::AutomatedRollback));
        assert_eq!(trigger.trigger_detail(), Some(id.as_str()));
        // The rolled back stage meets the same condition, and that is the end of it.
        assert_eq!(newest.status(), Some(&FAILED));
        assert_eq!(listed.pipeline_execution_summaries().len(), 3);
    }
}

#[tokio::test]
async fn a_failed_stage_is_rolled_back_to_the_latest_execution_that_succeeded_in_it() {
    let runs = with("onFailure", json!({"result": "ROLLBACK"})).await;
    runs.behave(fail("no"));
    let first = runs.run().await;
    let count = async || {
        let listed = runs.client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
        listed.pipeline_execution_summaries().len()
    };
    assert_eq!((runs.status(&first).await, count().await), (FAILED, 1), "there is nothing to go back to");
    runs.behave(Behaviour::default());
    let good = runs.run().await;
    runs.behave(fail("no"));
    runs.run().await;
    assert_eq!(count().await, 4, "and a rollback that fails is not rolled back");
    let listed = runs.client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
    let target = listed.pipeline_execution_summaries()[0].rollback_metadata().unwrap();
    assert_eq!(target.rollback_target_pipeline_execution_id(), Some(good.as_str()));
}

#[tokio::test]
async fn after_an_update_a_failed_stage_has_nothing_to_go_back_to() {
    let runs = with("onFailure", json!({"result": "ROLLBACK"})).await;
    let good = runs.run().await;
    let same = runs.aws.admin().pipeline(TOOLS, REGION, PIPELINE).unwrap().unwrap();
    runs.aws.admin().replace_pipeline(TOOLS, REGION, same).unwrap();
    runs.behave(fail("no"));
    let failed = runs.run().await;
    let newest = async || {
        let listed = runs.client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
        listed.pipeline_execution_summaries()[0].clone()
    };
    assert_eq!(newest().await.pipeline_execution_id(), Some(failed.as_str()), "no rollback has begun");
    assert_eq!(roll_back(&runs, &good).await, Err("UnableToRollbackStageException".to_owned()));
    // One success with the new version, and there is something again.
    runs.behave(Behaviour::default());
    let better = runs.run().await;
    roll_back(&runs, &better).await.unwrap();
    runs.aws.settled().await;
    let rolled = newest().await;
    assert_eq!((rolled.status(), rolled.execution_type()), (Some(&SUCCEEDED), Some(&ExecutionType::Rollback)));
    assert_eq!(rolled.trigger().unwrap().trigger_type(), Some(&TriggerType::ManualRollback));
    let details = runs.details(rolled.pipeline_execution_id().unwrap()).await;
    let actions: Vec<_> = details.iter().map(|detail| detail.action_name().unwrap()).collect();
    assert_eq!(actions, ["Invoke"], "a rollback runs its stage and no other");
}

async fn roll_back(runs: &Runs, target: &str) -> Result<(), String> {
    let call = runs.client.rollback_stage().pipeline_name(PIPELINE).stage_name("Validate");
    let outcome = call.target_pipeline_execution_id(target).send().await;
    if outcome.is_ok() { Ok(()) } else { Err(refusal(outcome).1) }
}

#[tokio::test]
async fn only_what_succeeded_in_the_stage_can_be_rolled_back_to() {
    let runs = Runs::release().await;
    runs.behave(fail("no"));
    let failed = runs.run().await;
    let unable = Err("UnableToRollbackStageException".to_owned());
    assert_eq!(roll_back(&runs, &failed).await, unable);
    let unknown = "00000000-0000-0000-0000-000000000000";
    assert_eq!(roll_back(&runs, unknown).await, Err("PipelineExecutionNotFoundException".to_owned()));
    runs.behave(Behaviour::default());
    let good = runs.run().await;
    let source = runs.client.rollback_stage().pipeline_name(PIPELINE).stage_name("Source");
    let refused = source.target_pipeline_execution_id(&good).send().await;
    assert_eq!(refusal(refused).1, "UnableToRollbackStageException");
    runs.behave(Behaviour::NeverAnswer {});
    runs.run().await;
    assert_eq!(roll_back(&runs, &good).await, unable, "the stage is running");
}

#[tokio::test]
async fn a_stage_is_tried_again_by_itself_once() {
    for (mode, compiled) in [("FAILED_ACTIONS", 1), ("ALL_ACTIONS", 2)] {
        let mut pipeline =
            declaration(vec![source(), stage("Validate", vec![build("Compile", 1), build("Test", 2)]), deploy()]);
        pipeline["stages"][1]["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": mode}});
        let runs = Runs::of(pipeline).await;
        runs.set("Validate", "Test", no());
        let id = runs.run().await;
        assert_eq!(runs.status(&id).await, FAILED);
        let details = runs.details(&id).await;
        let count = |action: &str| details.iter().filter(|detail| detail.action_name() == Some(action)).count();
        assert_eq!((count("Compile"), count("Test")), (compiled, 2), "{mode}");
        let state = state(&runs).await;
        let retries = state.retry_stage_metadata().unwrap();
        assert_eq!((retries.auto_stage_retry_attempt(), retries.manual_stage_retry_attempt()), (Some(1), Some(0)));
    }
}

#[tokio::test]
async fn a_failure_condition_that_is_met_leaves_the_stage_failed() {
    let conditions = json!({"conditions": condition("ROLLBACK")});
    let runs = with("onFailure", conditions).await;
    runs.run().await;
    runs.behave(fail("no"));
    let failed = runs.run().await;
    let newest = async || {
        let listed = runs.client.list_pipeline_executions().pipeline_name(PIPELINE).send().await.unwrap();
        listed.pipeline_execution_summaries()[0].clone()
    };
    assert_eq!(newest().await.pipeline_execution_id(), Some(failed.as_str()));
    rule(&runs, "onFailure", no());
    runs.run().await;
    assert_eq!(newest().await.execution_type(), Some(&ExecutionType::Rollback));
}

#[tokio::test]
async fn a_commands_action_runs_with_its_scripted_outcome_and_variables() {
    let pack = action(
        "Pack",
        ["Compute", "AWS", "Commands"],
        json!({
            "commands": ["make"], "outputVariables": ["VERSION"], "namespace": "Pack",
            "environmentVariables": [{"name": "A", "value": "b", "type": "PLAINTEXT"}],
        }),
    );
    let mut checked = invoke();
    checked["configuration"]["UserParameters"] = json!("#{Pack.VERSION}");
    let runs =
        Runs::of(declaration(vec![source(), stage("Build", vec![pack]), stage("Validate", vec![checked]), deploy()]))
            .await;
    let given = async |id: &str| {
        let details = runs.details(id).await;
        let of = details.iter().find(|detail| detail.action_name() == Some("Invoke")).unwrap().clone();
        of.input().unwrap().resolved_configuration().unwrap()["UserParameters"].clone()
    };
    let id = runs.run().await;
    assert_eq!((runs.status(&id).await, given(&id).await), (SUCCEEDED, "a value of VERSION".to_owned()));
    runs.set("Build", "Pack", ActionOutcome::Succeed { output_variables: variables([("VERSION", "7")]) });
    let id = runs.run().await;
    assert_eq!(given(&id).await, "7");
    runs.set("Build", "Pack", no());
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, FAILED);
}

#[tokio::test]
async fn a_pipeline_in_parallel_mode_shows_no_executions_in_its_state() {
    let mut pipeline = release();
    pipeline["executionMode"] = json!("PARALLEL");
    let runs = Runs::of(pipeline).await;
    runs.run().await;
    let state = runs.client.get_pipeline_state().name(PIPELINE).send().await.unwrap();
    assert_eq!(state.stage_states().len(), 3);
    for stage in state.stage_states() {
        assert!(stage.latest_execution().is_none() && stage.inbound_execution().is_none(), "{stage:?}");
        assert!(stage.action_states().iter().all(|action| action.latest_execution().is_none()), "{stage:?}");
    }
}
