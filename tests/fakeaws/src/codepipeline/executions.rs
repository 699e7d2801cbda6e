//! The operations on executions, and the state of the stages.

use serde_json::{Map, Value, json};

use super::{
    check_text, constraints, current,
    declaration::{actions, stages, text},
    on_pipeline, page, read,
    state::{Execution, Status},
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

pub(super) fn start(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "StartPipelineExecution", body, "name")?;
    let pipeline = current(world, caller, name)?;
    let names: Vec<String> = pipeline.stage_names().into_iter().map(str::to_owned).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (version, started_as) = (pipeline.version(), pipeline.started_as);
    let now = world.now();
    let trigger = json!({"triggerType": "StartPipelineExecution", "triggerDetail": caller.arn});
    let mut execution = Execution::new(version, now, trigger);
    execution.variables = super::declaration::list(body, "variables").to_vec();
    execution.stand(&names, names.first().copied());
    finish(&mut execution, &names, started_as, now);
    let id = execution.id.clone();
    world.account_mut(&caller.account).pipelines.executions_mut(&caller.region, name).push(execution);
    Ok(json!({"pipelineExecutionId": id}))
}

/// Gives an execution a status; one that succeeded has been through all stages.
pub(super) fn finish(execution: &mut Execution, names: &[&str], status: Status, now: jiff::Timestamp) {
    execution.turn(status, now);
    if status == Status::Succeeded {
        execution.stages = names.iter().map(|name| ((*name).to_owned(), status)).collect();
    }
}

/// Inside a stage the running actions are waited for (`Stopping`), unless they are abandoned; between two stages there
/// is nothing to wait for. `put-execution` ends the waiting.
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
    let waits = execution.is_in_a_stage() && !abandon;
    execution.turn(if waits { Status::Stopping } else { Status::Stopped }, now);
    execution.stop_reason = body.get("reason").and_then(Value::as_str).map(str::to_owned);
    Ok(json!({"pipelineExecutionId": id}))
}

/// Newest first, 100 a page at most (API reference, `ListPipelineExecutions`).
pub(super) fn list(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "ListPipelineExecutions", body, "pipelineName")?;
    let mode = current(world, caller, name)?.current()["executionMode"].clone();
    let only = body.pointer("/filter/succeededInStage/stageName").and_then(Value::as_str);
    let wanted = |execution: &&Execution| {
        only.is_none_or(|stage| execution.stages.iter().any(|(name, s)| name == stage && *s == Status::Succeeded))
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

fn common(execution: &Execution, mode: &Value) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("pipelineExecutionId".to_owned(), json!(execution.id));
    members.insert("status".to_owned(), json!(execution.status.as_str()));
    if let Some(summary) = &execution.summary {
        members.insert("statusSummary".to_owned(), json!(summary));
    }
    members.insert("trigger".to_owned(), execution.trigger.clone());
    members.insert("executionMode".to_owned(), mode.clone());
    members.insert("executionType".to_owned(), json!("STANDARD"));
    members
}

pub(super) fn get(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "GetPipelineExecution", body, "pipelineName")?;
    check_text(body, "pipelineExecutionId", &constraints::name())?;
    let mode = current(world, caller, name)?.current()["executionMode"].clone();
    let id = text(body, "pipelineExecutionId");
    let execution = all(world, caller, name).iter().find(|execution| execution.id == id).ok_or_else(|| {
        let text = format!("Pipeline execution with id {id} does not exist");
        ServiceError::new("PipelineExecutionNotFoundException", text)
    })?;
    let mut members = common(execution, &mode);
    members.insert("pipelineName".to_owned(), json!(name));
    members.insert("pipelineVersion".to_owned(), json!(execution.version));
    members.insert("artifactRevisions".to_owned(), json!([]));
    let variables = execution.variables.iter().map(|v| json!({"name": v["name"], "resolvedValue": v["value"]}));
    members.insert("variables".to_owned(), variables.collect());
    Ok(json!({"pipelineExecution": members}))
}

/// Per stage the latest execution that entered it. An execution between two stages shows in none as running.
pub(super) fn state(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "GetPipelineState", body, "name")?;
    let pipeline = read(world, caller, name)?;
    let executions = all(world, caller, name);
    let stage_states: Vec<Value> =
        stages(pipeline.current()).iter().enumerate().map(|(n, stage)| shown_stage(stage, n > 0, executions)).collect();
    Ok(json!({
        "pipelineName": name,
        "pipelineVersion": pipeline.version(),
        "stageStates": stage_states,
        "created": time(pipeline.created),
        "updated": time(pipeline.updated),
    }))
}

fn shown_stage(stage: &Value, has_transition: bool, executions: &[Execution]) -> Value {
    let stage_name = text(stage, "name");
    let entered = executions.iter().rev().find_map(|execution| {
        let (_, status) = execution.stages.iter().find(|(name, _)| name == stage_name)?;
        Some((execution, *status))
    });
    let action_states = actions(stage).iter().map(|action| {
        let mut shown = json!({"actionName": text(action, "name")});
        if let Some((execution, status)) = entered {
            let status = match status {
                Status::InProgress | Status::Stopping => "InProgress",
                Status::Succeeded => "Succeeded",
                Status::Failed => "Failed",
                Status::Stopped | Status::Cancelled | Status::Superseded => "Abandoned",
            };
            shown["latestExecution"] = json!({"status": status, "lastStatusChange": time(execution.updated)});
        }
        shown
    });
    let mut shown = json!({"stageName": stage_name, "actionStates": action_states.collect::<Vec<_>>()});
    if has_transition {
        shown["inboundTransitionState"] = json!({"enabled": true});
    }
    if let Some((execution, status)) = entered {
        shown["latestExecution"] = json!({
            "pipelineExecutionId": execution.id,
            "status": status.as_str(),
            "type": "STANDARD",
        });
    }
    shown
}
