//! PutJobSuccessResult and PutJobFailureResult: who may call them, with what, and how often.

use aws_sdk_codepipeline::types::{ExecutionDetails, FailureDetails, FailureType, PipelineExecutionStatus};
use fakeaws::Behaviour;
use serde_json::{Value, json};

use super::support::{EXECUTION, EXECUTION_ROLE, FUNCTION, Runs, callback_policy};
use crate::support::{DEV, DEV_ROOT, TOOLS_ROOT, refusal, trust};

/// A run that waits for its function.
async fn waiting() -> (Runs, String) {
    let runs = Runs::release().await;
    runs.behave(Behaviour::NeverAnswer {});
    let id = runs.run().await;
    (runs, id)
}

fn details(kind: FailureType, message: &str) -> FailureDetails {
    FailureDetails::builder().r#type(kind).message(message).external_execution_id("build-7").build().unwrap()
}

#[tokio::test]
async fn success_carries_summary_external_id_and_variables() {
    let (runs, id) = waiting().await;
    let told = ExecutionDetails::builder().summary("all well").external_execution_id("build-7").build();
    let call = runs.client_of(EXECUTION).put_job_success_result().job_id(runs.job()).execution_details(told);
    call.output_variables("Report-1@x_y", "").send().await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let latest = runs.latest("Invoke").await.unwrap();
    assert_eq!((latest.summary(), latest.external_execution_id()), (Some("all well"), Some("build-7")));
    let details = runs.details(&id).await;
    let output = details[1].output().unwrap();
    assert_eq!(output.output_variables().unwrap()["Report-1@x_y"], "");
    let result = output.execution_result().unwrap();
    assert_eq!(result.external_execution_summary(), Some("all well"));
    assert_eq!(result.external_execution_id(), Some("build-7"));
}

#[tokio::test]
async fn failure_carries_its_type_and_message() {
    let (runs, id) = waiting().await;
    let call = runs.client_of(EXECUTION).put_job_failure_result().job_id(runs.job());
    call.failure_details(details(FailureType::RevisionUnavailable, "gone")).send().await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    assert_eq!(runs.outcome("Invoke").await.1, "RevisionUnavailable: gone");
    let listed = runs.details(&id).await;
    let result = listed[1].output().unwrap().execution_result().unwrap();
    let error = result.error_details().unwrap();
    assert_eq!((error.code(), error.message()), (Some("RevisionUnavailable"), Some("gone")));
    assert_eq!(result.external_execution_id(), Some("build-7"));
}

#[tokio::test]
async fn a_job_takes_one_result() {
    for first in ["success", "failure"] {
        let (runs, id) = waiting().await;
        let execution = runs.client_of(EXECUTION);
        let success = || execution.put_job_success_result().job_id(runs.job()).send();
        let failure = || {
            let call = execution.put_job_failure_result().job_id(runs.job());
            call.failure_details(details(FailureType::JobFailed, "no")).send()
        };
        if first == "success" {
            success().await.unwrap();
        } else {
            failure().await.unwrap();
        }
        let after = runs.status(&id).await;
        assert_eq!(refusal(success().await).1, "InvalidJobStateException", "after a {first}");
        assert_eq!(refusal(failure().await).1, "InvalidJobStateException", "after a {first}");
        assert_eq!(runs.status(&id).await, after);
    }
}

#[tokio::test]
async fn a_function_that_answers_twice_gets_an_error_the_second_time() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::AnswerTwice {});
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let outcomes: Vec<String> = runs.calls("PutJobSuccessResult").into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, ["OK", "InvalidJobStateException"]);
    let log = runs.invocations()[0]["deliveries"][0]["log"].as_str().unwrap().to_owned();
    assert!(log.starts_with("PutJobSuccessResult: OK\nPutJobSuccessResult: InvalidJobStateException"), "{log}");
}

#[tokio::test]
async fn an_event_that_comes_twice_does_no_harm() {
    let runs = Runs::release().await;
    let id = runs.run().await;
    runs.aws.admin().deliver_again(FUNCTION).unwrap();
    runs.aws.settled().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let both = runs.invocations();
    assert_eq!(both[0]["requestId"], both[1]["requestId"]);
    assert!(runs.deliveries()[0].contains("InvalidJobStateException"));
    assert!(runs.aws.admin().deliver_again((DEV, "us-east-1", "Other")).is_err());
}

#[tokio::test]
async fn only_the_execution_role_finds_the_job() {
    let (runs, id) = waiting().await;
    let admin = runs.aws.admin();
    // Another role of the dev account with the same rights; the tools account's root with all rights; dev's root.
    let mut other = fakeaws::RoleSeed::trusting(trust(json!({"Service": "lambda.amazonaws.com"})));
    other.inline_policies.insert("callback".to_owned(), callback_policy());
    admin.put_role(DEV, "other", other).unwrap();
    let arn = EXECUTION_ROLE.replace("execution", "other");
    admin.run(fakeaws::Command::PutKey { key: "AKIAOTHER".to_owned(), arn }).unwrap();
    for key in ["AKIAOTHER", TOOLS_ROOT, DEV_ROOT] {
        let outcome = runs.client_of(key).put_job_success_result().job_id(runs.job()).send().await;
        assert_eq!(refusal(outcome).1, "JobNotFoundException", "{key}");
        let call = runs.client_of(key).put_job_failure_result().job_id(runs.job());
        let outcome = call.failure_details(details(FailureType::JobFailed, "no")).send().await;
        assert_eq!(refusal(outcome).1, "JobNotFoundException", "{key}");
    }
    let unknown = "00000000-0000-0000-0000-000000000000";
    let outcome = runs.client_of(EXECUTION).put_job_success_result().job_id(unknown).send().await;
    assert_eq!(refusal(outcome).1, "JobNotFoundException");
    let elsewhere = crate::support::config(&runs.aws, crate::support::key(EXECUTION)).into_builder();
    let elsewhere = elsewhere.region(aws_config::Region::from_static("eu-west-1")).build();
    let elsewhere = aws_sdk_codepipeline::Client::new(&elsewhere);
    let outcome = elsewhere.put_job_success_result().job_id(runs.job()).send().await;
    assert_eq!(refusal(outcome).1, "JobNotFoundException", "a job belongs to a region");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
}

#[tokio::test]
async fn a_callback_needs_its_right_and_each_has_its_own() {
    let (runs, id) = waiting().await;
    let only_failure = crate::support::allow("codepipeline:PutJobFailureResult", "*");
    runs.aws.admin().put_inline_policy(DEV, "execution", "callback", only_failure).unwrap();
    let execution = runs.client_of(EXECUTION);
    let (status, code, message) = refusal(execution.put_job_success_result().job_id(runs.job()).send().await);
    assert_eq!((status, code.as_str()), (400, "AccessDeniedException"));
    assert!(
        message.contains("is not authorized to perform: codepipeline:PutJobSuccessResult on resource: *"),
        "{message}"
    );
    let call = execution.put_job_failure_result().job_id(runs.job());
    call.failure_details(details(FailureType::JobFailed, "no")).send().await.unwrap();
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
}

/// One call in plain JSON 1.1 as the execution role: HTTP status, code, message.
async fn call(runs: &Runs, operation: &str, body: &Value) -> (u16, String, String) {
    let head = format!("x-amz-target: CodePipeline_20150709.{operation}\r\ncontent-type: application/x-amz-json-1.1");
    let (status, _, answer) =
        crate::support::post(&runs.aws, (EXECUTION, "codepipeline"), "/", &head, body.to_string().as_bytes()).await;
    let answer: Value = if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() };
    let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
    (status, text("__type"), text("message"))
}

#[tokio::test]
async fn what_a_result_must_look_like() {
    let (runs, id) = waiting().await;
    let job = runs.job();
    let long = "x".repeat(5001);
    let failure =
        |kind: &str, message: &str| json!({"jobId": job, "failureDetails": {"type": kind, "message": message}});
    let many: serde_json::Map<String, Value> = (0..130).map(|n| (format!("v{n}"), json!("y".repeat(1000)))).collect();
    let cases = [
        ("PutJobSuccessResult", json!({}), "ValidationException", "'jobId'"),
        ("PutJobSuccessResult", json!({"jobId": "1"}), "ValidationException", "[0-9a-f]{8}"),
        (
            "PutJobSuccessResult",
            json!({"jobId": job, "continuationToken": ""}),
            "ValidationException",
            "continuationToken",
        ),
        (
            "PutJobSuccessResult",
            json!({"jobId": job, "continuationToken": "x".repeat(2049)}),
            "ValidationException",
            "less than or equal to 2048",
        ),
        (
            "PutJobSuccessResult",
            json!({"jobId": job, "outputVariables": {"a.b": "1"}}),
            "ValidationException",
            "Map keys",
        ),
        (
            "PutJobSuccessResult",
            json!({"jobId": job, "outputVariables": {"a": 1}}),
            "ValidationException",
            "Map values",
        ),
        (
            "PutJobSuccessResult",
            json!({"jobId": job, "outputVariables": {"a": "1"}, "continuationToken": "t"}),
            "ValidationException",
            "continuation token",
        ),
        (
            "PutJobSuccessResult",
            json!({"jobId": job, "outputVariables": many}),
            "OutputVariablesSizeExceededException",
            "122880",
        ),
        (
            "PutJobSuccessResult",
            json!({"jobId": job, "executionDetails": {"percentComplete": 101}}),
            "ValidationException",
            "less than or equal to 100",
        ),
        ("PutJobFailureResult", json!({"jobId": job}), "ValidationException", "failureDetails"),
        ("PutJobFailureResult", failure("Broken", "no"), "ValidationException", "JobFailed|ConfigurationError"),
        ("PutJobFailureResult", failure("JobFailed", ""), "ValidationException", "greater than or equal to 1"),
        ("PutJobFailureResult", failure("JobFailed", &long), "ValidationException", "less than or equal to 5000"),
    ];
    for (operation, body, code, part) in cases {
        let (status, refused, message) = call(&runs, operation, &body).await;
        assert_eq!((status, refused.as_str()), (400, code), "{operation} {body}: {message}");
        assert!(message.contains(part), "{operation} {body}: {message}");
    }
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress, "nothing of this was a result");
    let (status, ..) = call(&runs, "PutJobFailureResult", &failure("JobFailed", &long[..5000])).await;
    assert_eq!(status, 200);
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
}

#[tokio::test]
async fn a_result_comes_over_cbor_as_well() {
    use ciborium::Value as Cbor;
    let (runs, id) = waiting().await;
    let text = |text: &str| Cbor::Text(text.to_owned());
    let variables = Cbor::Map(vec![(text("Report"), text("fine"))]);
    let body = Cbor::Map(vec![(text("jobId"), text(&runs.job())), (text("outputVariables"), variables)]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&body, &mut bytes).unwrap();
    let head = "smithy-protocol: rpc-v2-cbor\r\ncontent-type: application/cbor\r\naccept: application/cbor";
    let path = "/service/CodePipeline_20150709/operation/PutJobSuccessResult";
    let (status, _, answer) = crate::support::post(&runs.aws, (EXECUTION, "codepipeline"), path, head, &bytes).await;
    assert_eq!((status, answer.as_slice()), (200, [].as_slice()));
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    assert_eq!(runs.details(&id).await[1].output().unwrap().output_variables().unwrap()["Report"], "fine");
    let (status, _, answer) = crate::support::post(&runs.aws, (EXECUTION, "codepipeline"), path, head, &bytes).await;
    let Cbor::Map(members) = ciborium::from_reader(answer.as_slice()).unwrap() else { panic!("no map") };
    assert_eq!(status, 400);
    assert!(members.contains(&(text("__type"), text("com.amazonaws.codepipeline#InvalidJobStateException"))));
}

#[tokio::test]
async fn the_job_of_a_pipeline_that_is_gone_is_gone() {
    let (runs, _) = waiting().await;
    let job = runs.job();
    runs.client.delete_pipeline().name(super::support::PIPELINE).send().await.unwrap();
    let outcome = runs.client_of(EXECUTION).put_job_success_result().job_id(job).send().await;
    assert_eq!(refusal(outcome).1, "JobNotFoundException");
}
