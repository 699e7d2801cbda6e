//! What is missing shows at the hop that needs it.

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use fakeaws::Propagation;
use serde_json::json;

use super::support::{INVOKE_ROLE, NO_RESULT, PIPELINE_ROLE, Runs, callback_policy, invoke_trust};
use crate::support::{DEV, TOOLS, allow, trust};

/// Where the run without something ends at once.
#[derive(Clone, Copy)]
enum Hop {
    Assume,
    Invoke,
    /// At once the action still waits; it fails when its time is up.
    Callback,
}

/// What is taken away, what is put back, and where it is missed.
type Case = (&'static str, fn(&Runs), fn(&Runs), Hop);

const CASES: [Case; 6] = [
    (
        "T1: the trust of the invoke role",
        |runs| runs.aws.admin().put_trust(DEV, "invoke", trust(json!({"AWS": DEV}))).unwrap(),
        |runs| runs.aws.admin().put_trust(DEV, "invoke", invoke_trust()).unwrap(),
        Hop::Assume,
    ),
    (
        "P1: the invoke role's right to invoke",
        |runs| runs.aws.admin().remove_inline_policy(DEV, "invoke", "invoke").unwrap(),
        |runs| {
            let policy = allow("lambda:InvokeFunction", super::support::FUNCTION_ARN);
            runs.aws.admin().put_inline_policy(DEV, "invoke", "invoke", policy).unwrap();
        },
        Hop::Invoke,
    ),
    (
        "P2: the execution role's right to call back",
        |runs| runs.aws.admin().remove_inline_policy(DEV, "execution", "callback").unwrap(),
        |runs| runs.aws.admin().put_inline_policy(DEV, "execution", "callback", callback_policy()).unwrap(),
        Hop::Callback,
    ),
    (
        "P2 on the pipeline's ARN only",
        |runs| {
            let arn = "arn:aws:codepipeline:us-east-1:111111111111:release";
            let policy = allow("codepipeline:PutJob*", arn);
            runs.aws.admin().put_inline_policy(DEV, "execution", "callback", policy).unwrap();
        },
        |runs| runs.aws.admin().put_inline_policy(DEV, "execution", "callback", callback_policy()).unwrap(),
        Hop::Callback,
    ),
    (
        "P3: the pipeline role's right to assume",
        |runs| runs.aws.admin().remove_inline_policy(TOOLS, "pipeline", "assume").unwrap(),
        |runs| {
            let policy = allow("sts:AssumeRole", INVOKE_ROLE);
            runs.aws.admin().put_inline_policy(TOOLS, "pipeline", "assume", policy).unwrap();
        },
        Hop::Assume,
    ),
    (
        "T1: the invoke role itself",
        |runs| runs.aws.admin().remove_role(DEV, "invoke").unwrap(),
        |runs| {
            let mut role = fakeaws::RoleSeed::trusting(invoke_trust());
            let policy = allow("lambda:InvokeFunction", super::support::FUNCTION_ARN);
            role.inline_policies.insert("invoke".to_owned(), policy);
            role.inline_policies.insert("list".to_owned(), allow("lambda:ListFunctions", "*"));
            runs.aws.admin().put_role(DEV, "invoke", role).unwrap();
        },
        Hop::Assume,
    ),
];

#[tokio::test]
async fn what_is_missing_shows_at_the_hop_that_needs_it() {
    for (name, take, put_back, hop) in CASES {
        let runs = Runs::release().await;
        take(&runs);
        let id = runs.run().await;
        let (status, error) = runs.outcome("Invoke").await;
        match hop {
            Hop::Assume => {
                let text = format!("Pipeline role {PIPELINE_ROLE} is not authorized to perform AssumeRole");
                assert_eq!(error, format!("PermissionError: {text} on action role {INVOKE_ROLE}"), "{name}");
                assert_eq!(runs.calls("AssumeRole").pop().unwrap().outcome, "AccessDenied", "{name}");
                assert!(runs.calls("Invoke").is_empty(), "{name}");
            }
            Hop::Invoke => {
                let who = "PermissionError: User: arn:aws:sts::222222222222:assumed-role/invoke/";
                assert!(error.starts_with(who), "{name}: {error}");
                let what = "is not authorized to perform: lambda:InvokeFunction on resource: \
                            arn:aws:lambda:us-east-1:222222222222:function:MyFunction because no identity-based policy \
                            allows the lambda:InvokeFunction action";
                assert!(error.ends_with(what), "{name}: {error}");
                assert!(runs.invocations().is_empty(), "{name}");
            }
            Hop::Callback => {
                assert_eq!((status.as_str(), error.as_str()), ("InProgress", ""), "{name}");
                let denied = runs.calls("PutJobSuccessResult").pop().unwrap();
                assert_eq!(denied.outcome, "AccessDeniedException", "{name}");
                runs.advance(20 * 60 + 1).await;
                assert_eq!(runs.outcome("Invoke").await.1, NO_RESULT, "{name}");
            }
        }
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed, "{name}");
        put_back(&runs);
        let id = runs.run().await;
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded, "{name}, put back");
    }
}

#[tokio::test]
async fn a_trust_that_was_just_written_is_not_yet_seen() {
    let runs = Runs::release().await;
    runs.aws.admin().put_trust(DEV, "invoke", trust(json!({"AWS": DEV}))).unwrap();
    runs.advance(1800).await;
    let propagation = Propagation { authorisation_milliseconds: 600_000, ..Propagation::default() };
    runs.aws.admin().set_propagation(propagation).unwrap();
    runs.aws.admin().put_trust(DEV, "invoke", invoke_trust()).unwrap();
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    runs.advance(601).await;
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn a_function_whose_role_lambda_cannot_assume_is_delivered_nothing() {
    let runs = Runs::release().await;
    runs.aws.admin().put_trust(DEV, "execution", trust(json!({"AWS": DEV}))).unwrap();
    runs.run().await;
    let text = "The role defined for the function cannot be assumed by Lambda.";
    assert_eq!(runs.deliveries(), [text]);
    runs.aws.admin().put_trust(DEV, "execution", trust(json!({"Service": "lambda.amazonaws.com"}))).unwrap();
    runs.advance(60).await;
    assert_eq!(runs.deliveries(), [text, "OK"]);
}

#[tokio::test]
async fn faults_hit_the_hops_as_any_call() {
    let runs = Runs::release().await;
    runs.aws.admin().fail_next("Invoke", "TooManyRequestsException", "Rate Exceeded.", 429).unwrap();
    let id = runs.run().await;
    assert_eq!(runs.outcome("Invoke").await.1, "SystemUnavailable: Rate Exceeded.");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    runs.aws.admin().fail_next("PutJobSuccessResult", "ThrottlingException", "Rate exceeded", 400).unwrap();
    let id = runs.run().await;
    let throttled = "ClientError: An error occurred (ThrottlingException) when calling the PutJobSuccessResult operation: \
                     Rate exceeded";
    assert_eq!(runs.deliveries(), [throttled]);
    runs.advance(60).await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded, "the event was delivered again");
}
