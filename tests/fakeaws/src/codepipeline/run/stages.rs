//! `RetryStageExecution`, `DisableStageTransition` and `EnableStageTransition`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{execution::At, walk::walk};
use crate::{
    codepipeline::{
        constraints::{self, Violations},
        current,
        declaration::text,
        pipeline_arn,
        state::Status,
    },
    error::ServiceError,
    state::{Caller, World},
};

/// How a transition was switched last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Switch {
    pub(super) by: String,
    pub(super) at: Timestamp,
    /// Why nothing passes; `None` where it is enabled.
    pub(crate) reason: Option<String>,
}

/// The pipeline and the stage that a request names, after the operation was authorised on the stage.
pub(super) fn named<'b>(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    body: &'b Value,
) -> Result<(At, &'b str), ServiceError> {
    let (pipeline, stage) = (text(body, "pipelineName"), text(body, "stageName"));
    let resource = format!("{}/{stage}", pipeline_arn(caller, pipeline));
    world.authorize(caller, &format!("codepipeline:{operation}"), &resource, &[])?;
    let names = current(world, caller, pipeline)?.stage_names();
    if !names.contains(&stage) {
        let text = format!("The pipeline has no stage with the name '{stage}'");
        return Err(ServiceError::new("StageNotFoundException", text));
    }
    Ok((At::new(&caller.account, &caller.region, pipeline), stage))
}

pub(super) fn check_names(body: &Value) -> Violations {
    let mut violations = Violations::default();
    violations.text(body, "", "pipelineName", &constraints::name());
    violations.text(body, "", "stageName", &constraints::name());
    violations
}

/// Only the inbound transition is modelled: what is in the stage goes on, what comes waits.
pub(crate) fn disable(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    transition(world, caller, ("DisableStageTransition", body), Some(text(body, "reason").to_owned()))
}

pub(crate) fn enable(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    transition(world, caller, ("EnableStageTransition", body), None)
}

fn transition(
    world: &mut World,
    caller: &Caller,
    (operation, body): (&str, &Value),
    reason: Option<String>,
) -> Result<Value, ServiceError> {
    let mut violations = check_names(body);
    violations.text(body, "", "transitionType", &constraints::transition_type());
    if operation == "DisableStageTransition" {
        violations.text(body, "", "reason", &constraints::length(1, 300).required());
    }
    violations.into_result()?;
    if text(body, "transitionType") == "Outbound" {
        return Err(ServiceError::unsupported(format!("{operation} of outbound transitions")));
    }
    let (at, stage) = named(world, caller, operation, body)?;
    let switch = Switch { by: caller.arn.clone(), at: world.now(), reason };
    world.pipelines_mut(&at).set_switch((&at.region, &at.pipeline), stage, switch);
    walk(world, &at);
    Ok(Value::Null)
}

/// The execution must be the latest that failed in the stage. Actions that succeeded run again only with `ALL_ACTIONS`
/// (User Guide, "Configure stage retry for a failed stage or failed actions").
pub(crate) fn retry(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let mut violations = check_names(body);
    violations.text(body, "", "pipelineExecutionId", &constraints::name());
    violations.text(body, "", "retryMode", &constraints::retry_mode());
    violations.into_result()?;
    let (at, stage) = named(world, caller, "RetryStageExecution", body)?;
    let id = text(body, "pipelineExecutionId");
    let version = current(world, caller, &at.pipeline)?.version();
    let now = world.now();
    let executions = world.pipelines_mut(&at).executions_mut(&at.region, &at.pipeline);
    let entered = |execution: &&mut super::Execution| execution.stages.iter().any(|run| run.name == stage);
    if !executions.iter().any(|execution| execution.id == id) {
        let text = format!("Pipeline execution with id {id} does not exist");
        return Err(ServiceError::new("PipelineExecutionNotFoundException", text));
    }
    let latest = executions.iter_mut().rev().find(entered);
    let Some(execution) = latest.filter(|latest| latest.id == id) else {
        let text = format!("Execution {id} is not the latest one in stage '{stage}'");
        return Err(ServiceError::new("NotLatestPipelineExecutionException", text));
    };
    let failed = execution.status == Status::Failed && execution.walks && execution.version == version;
    let run = execution.stages.last_mut().filter(|run| run.name == stage && failed);
    let Some(run) = run else {
        let text = "Unable to retry. The pipeline structure or stage state might have changed while actions awaited \
                    retry, or the stage contains no failed actions.";
        return Err(ServiceError::new("StageNotRetryableException", text));
    };
    let all = text(body, "retryMode") == "ALL_ACTIONS";
    run.retry(all);
    run.retries.manual += 1;
    run.retries.latest = Some("ManualStageRetry");
    execution.status = Status::InProgress;
    execution.updated = now;
    walk(world, &at);
    Ok(json!({"pipelineExecutionId": id}))
}
