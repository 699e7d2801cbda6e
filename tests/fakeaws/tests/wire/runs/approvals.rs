//! Manual approvals.

use aws_sdk_codepipeline::{
    Client,
    types::{ApprovalResult, ApprovalStatus, PipelineExecutionStatus},
};
use serde_json::json;

use super::support::{PIPELINE, Runs, approve, declaration, deploy, source, stage};
use crate::support::{CONTROLLER, TOOLS, allow, refusal};

fn gated() -> serde_json::Value {
    declaration(vec![source(), stage("Gate", vec![approve()]), deploy()])
}

/// A run that waits for a person, and its token.
async fn asked(pipeline: serde_json::Value) -> (Runs, String, Option<String>) {
    let runs = Runs::of(pipeline).await;
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    let token = runs.latest("Approve").await.and_then(|run| run.token().map(str::to_owned));
    (runs, id, token)
}

/// The answer to a request: the error's code, if it is refused.
async fn answer(
    client: &Client,
    (stage, action): (&str, &str),
    status: ApprovalStatus,
    token: &str,
) -> Result<(), String> {
    let result = ApprovalResult::builder().status(status).summary("looked at it").build().unwrap();
    let call = client.put_approval_result().pipeline_name(PIPELINE).stage_name(stage).action_name(action);
    match call.result(result).token(token).send().await {
        Ok(answer) => {
            assert!(answer.approved_at().is_some());
            Ok(())
        }
        refused => Err(refusal(refused).1),
    }
}

const GATE: (&str, &str) = ("Gate", "Approve");

#[tokio::test]
async fn an_approved_run_goes_on() {
    let (runs, id, token) = asked(gated()).await;
    answer(&runs.client, GATE, ApprovalStatus::Approved, &token.unwrap()).await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let latest = runs.latest("Approve").await.unwrap();
    assert_eq!((latest.summary(), latest.token()), (Some("looked at it"), None));
    assert_eq!(latest.last_updated_by(), Some("arn:aws:iam::111111111111:root"));
    assert_eq!(runs.details(&id).await[1].updated_by(), latest.last_updated_by());
}

#[tokio::test]
async fn a_rejected_run_stops() {
    let (runs, id, token) = asked(gated()).await;
    answer(&runs.client, GATE, ApprovalStatus::Rejected, &token.unwrap()).await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    let (status, error) = runs.outcome("Approve").await;
    assert_eq!(status, "Failed");
    assert_eq!(error, "JobFailed: Rejected by arn:aws:iam::111111111111:root: looked at it");
    assert_eq!(runs.details(&id).await.len(), 2);
}

#[tokio::test]
async fn a_request_is_answered_once_and_with_its_own_token() {
    let (runs, _, token) = asked(gated()).await;
    let token = token.unwrap();
    let put = async |place, token: &str| answer(&runs.client, place, ApprovalStatus::Approved, token).await;
    let other = "00000000-0000-0000-0000-000000000000";
    assert_eq!(put(GATE, other).await, Err("InvalidApprovalTokenException".to_owned()));
    assert_eq!(put(GATE, "token").await, Err("ValidationException".to_owned()));
    assert_eq!(put(("Nowhere", "Approve"), &token).await, Err("StageNotFoundException".to_owned()));
    assert_eq!(put(("Gate", "Nothing"), &token).await, Err("ActionNotFoundException".to_owned()));
    assert_eq!(put(("Deploy", "Deploy"), &token).await, Err("InvalidApprovalTokenException".to_owned()));
    put(GATE, &token).await.unwrap();
    assert_eq!(put(GATE, &token).await, Err("ApprovalAlreadyCompletedException".to_owned()));
    let second = runs.run().await;
    let fresh = runs.latest("Approve").await.unwrap().token().unwrap().to_owned();
    assert_ne!(fresh, token);
    assert_eq!(put(GATE, &token).await, Err("ApprovalAlreadyCompletedException".to_owned()));
    put(GATE, &fresh).await.unwrap();
    assert_eq!(runs.status(&second).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn an_approval_is_a_right_on_its_action() {
    let (runs, id, token) = asked(gated()).await;
    let token = token.unwrap();
    let arn = |action: &str| format!("arn:aws:codepipeline:us-east-1:{TOOLS}:release/Gate/{action}");
    let client = runs.client_of("AKIAAPPROVER");
    let grant = |action: &str| {
        let policy = allow("codepipeline:PutApprovalResult", &arn(action));
        runs.aws.admin().put_inline_policy(TOOLS, "crossinvoke", "roles", policy).unwrap();
    };
    let role = format!("arn:aws:iam::{TOOLS}:role/crossinvoke");
    runs.aws.admin().run(fakeaws::Command::PutKey { key: "AKIAAPPROVER".to_owned(), arn: role }).unwrap();
    grant("Other");
    let denied = answer(&client, GATE, ApprovalStatus::Approved, &token).await;
    assert_eq!(denied, Err("AccessDeniedException".to_owned()));
    let foreign = answer(&runs.client_of(CONTROLLER), GATE, ApprovalStatus::Approved, &token).await;
    assert_eq!(foreign, Err("AccessDeniedException".to_owned()));
    grant("Approve");
    answer(&client, GATE, ApprovalStatus::Approved, &token).await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn nobodys_answer_fails_after_seven_days_or_the_actions_own_time() {
    let expired = "JobFailed: The approval request has expired: nobody approved or rejected it in time.";
    let (runs, id, token) = asked(gated()).await;
    runs.advance(7 * 24 * 3600 - 60).await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.advance(60).await;
    assert_eq!(runs.outcome("Approve").await.1, expired);
    let late = answer(&runs.client, GATE, ApprovalStatus::Approved, &token.unwrap()).await;
    assert_eq!(late, Err("ApprovalAlreadyCompletedException".to_owned()));

    let mut pipeline = gated();
    pipeline["stages"][1]["actions"][0]["timeoutInMinutes"] = json!(60);
    let (runs, id, _) = asked(pipeline).await;
    runs.advance(59 * 60).await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.advance(60).await;
    assert_eq!(runs.outcome("Approve").await.1, expired);
}

#[tokio::test]
async fn in_parallel_mode_the_token_is_the_external_execution_id() {
    let mut pipeline = gated();
    pipeline["executionMode"] = json!("PARALLEL");
    let (runs, id, token) = asked(pipeline).await;
    assert_eq!(token, None);
    let details = runs.details(&id).await;
    let token = details[1].output().unwrap().execution_result().unwrap().external_execution_id().unwrap();
    answer(&runs.client, GATE, ApprovalStatus::Approved, token).await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}
