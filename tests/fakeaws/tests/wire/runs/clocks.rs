//! What happens as time passes: no answer, continuation tokens, errors that are retried.

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use fakeaws::Behaviour;

use super::support::{EXECUTION, NO_RESULT, Runs};
use crate::support::refusal;

#[tokio::test]
async fn without_an_answer_the_action_fails_after_twenty_minutes() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::NeverAnswer {});
    let id = runs.run().await;
    assert_eq!(runs.deliveries(), ["OK"], "the function itself has ended well");
    runs.advance(19 * 60).await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.advance(60).await;
    assert_eq!(runs.outcome("Invoke").await, ("Failed".to_owned(), NO_RESULT.to_owned()));
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    let late = runs.client_of(EXECUTION).put_job_success_result().job_id(runs.job()).send().await;
    assert_eq!(refusal(late).1, "InvalidJobStateException");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
}

#[tokio::test]
async fn the_clock_of_the_double_runs_by_itself() {
    // Nobody advances it past the deadline: the double has to wake up.
    let runs = Runs::release().await;
    runs.behave(Behaviour::NeverAnswer {});
    let id = runs.run().await;
    runs.advance(20 * 60 - 1).await;
    while runs.status(&id).await == PipelineExecutionStatus::InProgress {
        tokio::task::yield_now().await;
    }
    assert_eq!(runs.outcome("Invoke").await.1, NO_RESULT);
}

#[tokio::test]
async fn a_continuation_token_starts_the_clock_again_under_a_new_job() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::NeverAnswer {});
    let id = runs.run().await;
    let execution = runs.client_of(EXECUTION);
    let first = runs.job();
    for round in 1..=3 {
        runs.advance(19 * 60).await;
        let job = runs.job();
        execution.put_job_success_result().job_id(&job).continuation_token(format!("t{round}")).send().await.unwrap();
        runs.aws.settled().await;
        assert_ne!(runs.job(), job, "round {round}");
        let again = execution.put_job_success_result().job_id(&job).send().await;
        assert_eq!(refusal(again).1, "InvalidJobStateException", "round {round}");
    }
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    assert_eq!(runs.invocations().len(), 4);
    assert_eq!(runs.details(&id).await.len(), 2, "it is one run of the action all the time");
    runs.advance(20 * 60).await;
    assert_eq!(runs.outcome("Invoke").await.1, NO_RESULT);
    assert_ne!(runs.job(), first);
}

#[tokio::test]
async fn a_function_that_continues_ends_in_a_success() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::Continue { token: "step".to_owned(), times: 2 });
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let invocations = runs.invocations();
    let jobs: std::collections::BTreeSet<&str> = invocations.iter().map(|i| i["jobId"].as_str().unwrap()).collect();
    assert_eq!((invocations.len(), jobs.len()), (3, 3));
}

#[tokio::test]
async fn continuation_tokens_do_not_help_beyond_a_day() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::NeverAnswer {});
    let id = runs.run().await;
    let execution = runs.client_of(EXECUTION);
    // 19 minutes, 75 times, are under 24 hours; one more is not.
    for _ in 0..75 {
        runs.aws.admin().advance_clock(19 * 60).unwrap();
        execution.put_job_success_result().job_id(runs.job()).continuation_token("t").send().await.unwrap();
    }
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.advance(15 * 60 + 1).await;
    assert_eq!(runs.outcome("Invoke").await.1, NO_RESULT);
}

#[tokio::test]
async fn the_hops_are_judged_again_for_a_continued_job() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::NeverAnswer {});
    let id = runs.run().await;
    runs.aws.admin().remove_inline_policy(crate::support::DEV, "invoke", "invoke").unwrap();
    let call = runs.client_of(EXECUTION).put_job_success_result().job_id(runs.job()).continuation_token("t");
    call.send().await.unwrap();
    assert!(runs.outcome("Invoke").await.1.contains("lambda:InvokeFunction"));
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
}

#[tokio::test]
async fn a_raised_error_is_delivered_again_after_one_and_two_minutes() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::Raise { message: "no".to_owned(), times: None });
    let id = runs.run().await;
    let raised = "RuntimeError: no";
    assert_eq!(runs.deliveries(), [raised]);
    runs.advance(30).await;
    assert_eq!(runs.deliveries().len(), 1);
    runs.advance(30).await;
    assert_eq!(runs.deliveries(), [raised; 2]);
    runs.advance(60).await;
    assert_eq!(runs.deliveries().len(), 2);
    runs.advance(60).await;
    assert_eq!(runs.deliveries(), [raised; 3]);
    runs.advance(15 * 60).await;
    assert_eq!(runs.deliveries().len(), 3, "two retries, and no more");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.advance(5 * 60).await;
    assert_eq!(runs.outcome("Invoke").await.1, NO_RESULT);
}

#[tokio::test]
async fn a_retry_may_succeed() {
    let runs = Runs::release().await;
    runs.behave(Behaviour::Raise { message: "not yet".to_owned(), times: Some(2) });
    let id = runs.run().await;
    runs.advance(60).await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.advance(120).await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    assert_eq!(runs.deliveries(), ["RuntimeError: not yet", "RuntimeError: not yet", "OK"]);
}
