//! The operations on executions.

use serde_json::{Map, Value, json};

use super::{
    check_text, constraints, current,
    declaration::{list as list_of, text},
    on_pipeline, page,
    run::{self, At, Execution, Mode, StageRun},
    state::Status,
    time,
};
use crate::{
    error::ServiceError,
    state::{Caller, World},
};

fn all<'w>(world: &'w World, caller: &Caller, name: &str) -> &'w [Execution] {
    let account = world.accounts.get(&caller.account);
    account.map_or(&[], |account| account.pipelines.executions(&caller.region, name))
}

/// Executions of one pipeline that may be under way in QUEUED and PARALLEL mode (User Guide, "Quotas").
const MOST_CONCURRENT: usize = 50;

pub(super) fn start(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "StartPipelineExecution", body, "name")?;
    let pipeline = current(world, caller, name)?;
    let token = body.get("clientRequestToken").and_then(Value::as_str);
    let earlier =
        all(world, caller, name).iter().find(|execution| token.is_some() && execution.token.as_deref() == token);
    if let Some(earlier) = earlier {
        return Ok(json!({"pipelineExecutionId": earlier.id}));
    }
    let variables = run::pipeline_variables(pipeline.current(), list_of(body, "variables"))?;
    let unfinished = all(world, caller, name).iter().filter(|execution| execution.status.is_unfinished()).count();
    if Mode::of(pipeline.current()) != Mode::Superseded && unfinished >= MOST_CONCURRENT {
        let text = "The pipeline has reached the limit for concurrent pipeline executions.";
        return Err(ServiceError::new("ConcurrentPipelineExecutionsLimitExceededException", text));
    }
    let trigger = json!({"triggerType": "StartPipelineExecution", "triggerDetail": caller.arn});
    let mut execution = Execution::new(pipeline.version(), world.now(), trigger);
    execution.variables = variables;
    execution.token = token.map(str::to_owned);
    let id = begin(world, caller, name, execution)?;
    Ok(json!({"pipelineExecutionId": id}))
}

/// The run that AWS starts of a pipeline that was just made (User Guide, "Start a pipeline in CodePipeline"). What it does
/// about a variable without a value is not documented; here nothing starts then.
pub(super) fn start_first(world: &mut World, caller: &Caller, name: &str) -> Result<(), ServiceError> {
    let pipeline = current(world, caller, name)?;
    let Ok(variables) = run::pipeline_variables(pipeline.current(), &[]) else { return Ok(()) };
    let trigger = json!({"triggerType": "CreatePipeline", "triggerDetail": caller.arn});
    let mut execution = Execution::new(pipeline.version(), world.now(), trigger);
    execution.variables = variables;
    begin(world, caller, name, execution).map(drop)
}

/// Begins an execution, and returns its id.
fn begin(world: &mut World, caller: &Caller, name: &str, mut execution: Execution) -> Result<String, ServiceError> {
    let pipeline = current(world, caller, name)?;
    let names: Vec<String> = pipeline.stage_names().into_iter().map(str::to_owned).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (started_as, now) = (pipeline.started_as, world.now());
    match started_as {
        None => execution.walks = true,
        Some(status) => {
            execution.stand(&names, names.first().copied());
            finish(&mut execution, &names, status, now);
        }
    }
    let id = execution.id.clone();
    world.account_mut(&caller.account).pipelines.executions_mut(&caller.region, name).push(execution);
    run::walk(world, &At::new(&caller.account, &caller.region, name));
    Ok(id)
}

/// Gives an execution a status; one that succeeded has been through all stages.
pub(super) fn finish(execution: &mut Execution, names: &[&str], status: Status, now: jiff::Timestamp) {
    execution.turn(status, now);
    if status == Status::Succeeded {
        execution.stages = names.iter().map(|name| StageRun::new(name, status)).collect();
    }
}

/// Inside a stage the running actions are waited for (`Stopping`), unless they are abandoned; between two stages there
/// is nothing to wait for. For an execution that is moved by hand, `put-execution` ends the waiting.
pub(super) fn stop(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "StopPipelineExecution", body, "pipelineName")?;
    check_text(body, "pipelineExecutionId", &constraints::name())?;
    check_text(body, "reason", &constraints::length(0, 200))?;
    current(world, caller, name)?;
    let id = text(body, "pipelineExecutionId");
    let abandon = body.get("abandon").and_then(Value::as_bool).unwrap_or_default();
    let now = world.now();
    let executions = world.account_mut(&caller.account).pipelines.executions_mut(&caller.region, name);
    let found = executions.iter_mut().find(|execution| execution.id == id && execution.status.is_unfinished());
    let execution = found.ok_or_else(|| {
        let text = "Unable to stop the pipeline execution. The execution might already be in a Stopped state, or it \
                    might no longer be in progress.";
        ServiceError::new("PipelineExecutionNotStoppableException", text)
    })?;
    if execution.status == Status::Stopping && !abandon {
        let text = "The pipeline execution is already in a Stopping state.";
        return Err(ServiceError::new("DuplicatedStopRequestException", text));
    }
    let waits = execution.stage().is_some() && !abandon;
    execution.turn(if waits { Status::Stopping } else { Status::Stopped }, now);
    execution.stop_reason = body.get("reason").and_then(Value::as_str).map(str::to_owned);
    let at = At::new(&caller.account, &caller.region, name);
    if abandon {
        run::abandon(world, &at, id);
    }
    run::walk(world, &at);
    Ok(json!({"pipelineExecutionId": id}))
}

/// Newest first, 100 a page at most (API reference, `ListPipelineExecutions`).
pub(super) fn list(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "ListPipelineExecutions", body, "pipelineName")?;
    let mode = current(world, caller, name)?.current()["executionMode"].clone();
    let only = body.pointer("/filter/succeededInStage/stageName").and_then(Value::as_str);
    let horizon = horizon(world.now());
    let wanted = |execution: &&Execution| {
        execution.started >= horizon
            && only.is_none_or(|stage| {
                execution.stages.iter().any(|run| run.name == stage && run.status == Status::Succeeded)
            })
    };
    let newest_first: Vec<&Execution> = all(world, caller, name).iter().rev().filter(wanted).collect();
    let (shown, next) = page(&newest_first, |execution| &execution.id, body, 100)?;
    let summaries: Vec<Value> = shown
        .iter()
        .map(|execution| {
            let mut summary = common(execution, &mode);
            summary.insert("startTime".to_owned(), time(execution.started));
            summary.insert("lastUpdateTime".to_owned(), time(execution.updated));
            summary.insert("sourceRevisions".to_owned(), json!([]));
            if let Some(reason) = &execution.stop_reason {
                summary.insert("stopTrigger".to_owned(), json!({"reason": reason}));
            }
            Value::Object(summary)
        })
        .collect();
    let mut answer = json!({"pipelineExecutionSummaries": summaries});
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

/// History is kept for twelve months from the start of an execution (API reference, `ListPipelineExecutions`).
pub(super) fn horizon(now: jiff::Timestamp) -> jiff::Timestamp {
    now.checked_sub(jiff::SignedDuration::from_hours(365 * 24)).unwrap_or(jiff::Timestamp::MIN)
}

fn common(execution: &Execution, mode: &Value) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("pipelineExecutionId".to_owned(), json!(execution.id));
    members.insert("status".to_owned(), json!(execution.status.as_str()));
    if let Some(summary) = &execution.summary {
        members.insert("statusSummary".to_owned(), json!(summary));
    }
    members.insert("trigger".to_owned(), execution.trigger.clone());
    members.insert("executionMode".to_owned(), mode.clone());
    members.insert("executionType".to_owned(), json!(execution.kind()));
    if let Some(rollback) = &execution.rollback {
        let metadata = json!({"rollbackTargetPipelineExecutionId": rollback.target});
        members.insert("rollbackMetadata".to_owned(), metadata);
    }
    members
}

pub(super) fn get(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "GetPipelineExecution", body, "pipelineName")?;
    check_text(body, "pipelineExecutionId", &constraints::name())?;
    let mode = current(world, caller, name)?.current()["executionMode"].clone();
    let id = text(body, "pipelineExecutionId");
    let horizon = horizon(world.now());
    let kept = |execution: &&Execution| execution.id == id && execution.started >= horizon;
    let execution = all(world, caller, name).iter().find(kept).ok_or_else(|| {
        let text = format!("Pipeline execution with id {id} does not exist");
        ServiceError::new("PipelineExecutionNotFoundException", text)
    })?;
    let mut members = common(execution, &mode);
    members.insert("pipelineName".to_owned(), json!(name));
    members.insert("pipelineVersion".to_owned(), json!(execution.version));
    members.insert("artifactRevisions".to_owned(), json!([]));
    let variables = execution.variables.iter().map(|(name, value)| json!({"name": name, "resolvedValue": value}));
    members.insert("variables".to_owned(), variables.collect());
    Ok(json!({"pipelineExecution": members}))
}
