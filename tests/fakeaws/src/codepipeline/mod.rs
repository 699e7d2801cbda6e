//! AWS `CodePipeline`: declarations, versions, executions.
//!
//! The server decodes JSON 1.1 or CBOR, authenticates, applies the knobs, and calls [`handle`] with the body as JSON.
//! Every operation first calls `world.authorize(…)`. Reads of declarations lag with the knob of reads; executions,
//! and the version that an update builds on, do not.
//!
//! An execution that is started walks through its stages by itself (see [`run`]), unless `set-started-executions` says
//! that it stays as it is, to be moved by hand with `put-execution`, or that it is over at once.

mod admin;
mod constraints;
mod custom;
mod declaration;
mod executions;
mod gates;
mod namespaces;
mod passed;
mod pipelines;
mod places;
pub(crate) mod run;
mod shapes;
mod state;
mod structure;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::run::ActionOutcome;
pub(crate) use self::{admin::run as admin, places::Places, run::Jobs, state::Pipelines};
use self::{
    constraints::{Rule, Violations},
    state::Pipeline,
};
use crate::{
    error::ServiceError,
    state::{Caller, World},
};

/// Answers one call. The body is the request's JSON; the answer is the response's, null if it has none.
pub(crate) fn handle(world: &mut World, caller: &Caller, operation: &str, body: &Value) -> Result<Value, ServiceError> {
    let handler = match operation {
        "CreatePipeline" => pipelines::create,
        "GetPipeline" => pipelines::get,
        "UpdatePipeline" => pipelines::update,
        "DeletePipeline" => pipelines::delete,
        "ListPipelines" => pipelines::list,
        "GetPipelineState" => run::state,
        "ListActionExecutions" => run::list_action_executions,
        "ListPipelineExecutions" => executions::list,
        "GetPipelineExecution" => executions::get,
        "StartPipelineExecution" => executions::start,
        "StopPipelineExecution" => executions::stop,
        "RetryStageExecution" => run::retry_stage,
        "RollbackStage" => run::roll_back_stage,
        "DisableStageTransition" => run::disable_transition,
        "EnableStageTransition" => run::enable_transition,
        "PutApprovalResult" => run::put_approval_result,
        "PutJobSuccessResult" => run::put_job_success_result,
        "CreateCustomActionType" => custom::create,
        "DeleteCustomActionType" => custom::delete,
        "PollForJobs" => custom::poll,
        "PutJobFailureResult" => run::put_job_failure_result,
        other => return Err(ServiceError::unsupported(format!("CodePipeline {other}"))),
    };
    handler(world, caller, body)
}

fn pipeline_arn(caller: &Caller, name: &str) -> String {
    format!("arn:{}:codepipeline:{}:{}:{name}", caller.partition, caller.region, caller.account)
}

/// Checks the members of a request, authorises the operation on the pipeline that `member` names, and returns the name.
fn on_pipeline<'b>(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    body: &'b Value,
    member: &str,
) -> Result<&'b str, ServiceError> {
    check_text(body, member, &constraints::name())?;
    let name = declaration::text(body, member);
    world.authorize(caller, &format!("codepipeline:{operation}"), &pipeline_arn(caller, name), &[])?;
    Ok(name)
}

fn check_text(body: &Value, member: &str, rule: &Rule) -> Result<(), ServiceError> {
    let mut violations = Violations::default();
    violations.text(body, "", member, rule);
    violations.into_result()
}

fn not_found(caller: &Caller, name: &str) -> ServiceError {
    let text = format!("Account '{}' does not have a pipeline with name '{name}'", caller.account);
    ServiceError::new("PipelineNotFoundException", text)
}

/// The pipeline as it really is.
fn current<'w>(world: &'w World, caller: &Caller, name: &str) -> Result<&'w Pipeline, ServiceError> {
    let account = world.accounts.get(&caller.account);
    let found = account.and_then(|account| account.pipelines.current(&caller.region, name));
    found.ok_or_else(|| not_found(caller, name))
}

/// The pipeline as reads show it now, which may be a moment ago.
fn read<'w>(world: &'w World, caller: &Caller, name: &str) -> Result<&'w Pipeline, ServiceError> {
    let account = world.accounts.get(&caller.account);
    let found = account.and_then(|account| account.pipelines.as_of(&caller.region, name, world.read_time()));
    found.ok_or_else(|| not_found(caller, name))
}

/// A time as both protocols carry it: seconds since 1970, to the millisecond.
fn time(time: Timestamp) -> Value {
    json!((time.as_duration().as_secs_f64() * 1000.0).round() / 1000.0)
}

/// One page: `maxResults` items (`most` if absent) after the one that `nextToken` names, and the next token.
fn page<'i, T>(
    items: &'i [T],
    key: impl Fn(&T) -> &str,
    body: &Value,
    most: usize,
) -> Result<(&'i [T], Option<String>), ServiceError> {
    let mut violations = Violations::default();
    violations.integer(body, "", "maxResults", (1, i64::try_from(most).unwrap_or(i64::MAX)));
    violations.text(body, "", "nextToken", &constraints::length(1, 2048));
    violations.into_result()?;
    let size = body.get("maxResults").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
    let start = match body.get("nextToken").and_then(Value::as_str) {
        None => 0,
        Some(token) => {
            let last = token.strip_prefix("after:").and_then(|last| items.iter().position(|item| key(item) == last));
            1 + last.ok_or_else(|| ServiceError::new("InvalidNextTokenException", "The next token is invalid"))?
        }
    };
    let end = items.len().min(start + size.unwrap_or(most));
    let token = (end < items.len()).then(|| items[start..end].last().map(|item| format!("after:{}", key(item))));
    Ok((&items[start..end], token.flatten()))
}
