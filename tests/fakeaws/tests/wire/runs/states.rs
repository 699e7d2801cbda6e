//! States of functions, and the right that an invocation takes beside its own.

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use aws_sdk_lambda::types::{LastUpdateStatus, State};
use serde_json::json;

use super::support::{EXECUTION_ROLE, FUNCTION, Runs};
use crate::support::{DEV, DEV_ROOT, config, key};

#[tokio::test]
async fn without_list_functions_the_action_fails() {
    let runs = Runs::release().await;
    runs.aws.admin().remove_inline_policy(DEV, "invoke", "list").unwrap();
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    let (status, why) = runs.outcome("Invoke").await;
    assert_eq!(status, "Failed");
    assert!(why.starts_with("PermissionError: User: arn:aws:sts::222222222222:assumed-role/invoke/"), "{why}");
    assert!(why.contains(" is not authorized to perform: lambda:ListFunctions on resource: * because"), "{why}");
    assert!(runs.invocations().is_empty(), "the function is not reached");
}

fn put(runs: &Runs, members: &serde_json::Value) {
    let mut function = json!({"role": EXECUTION_ROLE});
    function.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let (account, region, name) = FUNCTION;
    runs.aws.admin().put_function(account, region, name, function).unwrap();
}

async fn shown(runs: &Runs) -> aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput {
    let lambda = aws_sdk_lambda::Client::new(&config(&runs.aws, key(DEV_ROOT)));
    lambda.get_function_configuration().function_name("MyFunction").send().await.unwrap()
}

#[tokio::test]
async fn a_function_that_was_idle_refuses_the_first_invocation_and_wakes_up() {
    let runs = Runs::release().await;
    put(&runs, &json!({"state": "Inactive", "stateReason": "The function is idle.", "stateReasonCode": "Idle"}));
    assert_eq!(shown(&runs).await.state(), Some(&State::Inactive));
    assert_eq!(shown(&runs).await.state_reason(), Some("The function is idle."));
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    let text = "JobFailed: The operation cannot be performed at this time. The function is currently in the following \
                state: Inactive";
    assert_eq!(runs.outcome("Invoke").await.1, text);
    assert_eq!(shown(&runs).await.state(), Some(&State::Pending));
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed, "it is not there yet");
    runs.advance(61).await;
    assert_eq!((shown(&runs).await.state(), shown(&runs).await.state_reason()), (Some(&State::Active), None));
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

/// The grant on the key of the environment is for the role's unique id.
#[tokio::test]
async fn with_an_environment_a_function_does_not_start_as_a_role_that_was_made_again() {
    let runs = Runs::release().await;
    let plain = || put(&runs, &json!({}));
    let with_environment = || put(&runs, &json!({"environment": {"STAGE": "dev"}}));
    with_environment();
    runs.run().await;
    assert_eq!(runs.deliveries(), ["OK"]);
    let admin = runs.aws.admin();
    let made_again = || {
        let role = admin.role(DEV, "execution").unwrap().unwrap();
        admin.remove_role(DEV, "execution").unwrap();
        admin.put_role(DEV, "execution", role).unwrap();
    };
    made_again();
    let id = runs.run().await;
    let text = "Lambda was unable to decrypt the environment variables because KMS access was denied. Please check the \
                function's AWS KMS key settings.";
    assert_eq!(runs.deliveries(), [text]);
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress, "nobody tells the pipeline");
    // Lambda grants anew when the function is configured anew, here in time for the next delivery.
    with_environment();
    runs.advance(60).await;
    assert_eq!(runs.deliveries(), [text, "OK"]);
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    plain();
    made_again();
    runs.run().await;
    assert_eq!(runs.deliveries(), ["OK"], "without an environment there is nothing to decrypt");
}

#[tokio::test]
async fn the_configuration_tells_state_update_network_and_time_out() {
    let runs = Runs::release().await;
    assert_eq!(shown(&runs).await.last_update_status(), Some(&LastUpdateStatus::Successful));
    put(
        &runs,
        &json!({
            "state": "Failed", "stateReason": "The role cannot be assumed.", "stateReasonCode": "InvalidSecurityGroup",
            "lastUpdateStatus": "Failed", "lastUpdateStatusReason": "no addresses left", "timeout": 840,
            "vpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], "VpcId": "vpc-1"},
        }),
    );
    let function = shown(&runs).await;
    assert_eq!((function.state(), function.timeout()), (Some(&State::Failed), Some(840)));
    assert_eq!(function.last_update_status_reason(), Some("no addresses left"));
    assert_eq!(function.vpc_config().unwrap().vpc_id(), Some("vpc-1"));
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    assert!(runs.invocations().is_empty());
}
