//! `ListActionExecutions`.

use serde_json::{Value, json};

use super::execution::{ActionRun, ActionStatus, Execution, StageRun};
use crate::{
    codepipeline::{current, declaration::text, executions::horizon, on_pipeline, page, time},
    error::ServiceError,
    state::{Caller, World},
};

type Run<'w> = (&'w Execution, &'w StageRun, &'w ActionRun);

/// Newest first, 100 a page at most, of one execution or of all (API reference, `ListActionExecutions`).
pub(crate) fn list(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "ListActionExecutions", body, "pipelineName")?;
    current(world, caller, name)?;
    let filter = &body["filter"];
    let latest = &filter["latestInPipelineExecution"];
    let only = [filter, latest].into_iter().find_map(|of| of.get("pipelineExecutionId")).and_then(Value::as_str);
    let executions = world.accounts.get(&caller.account);
    let executions = executions.map_or(&[][..], |account| account.pipelines.executions(&caller.region, name));
    let horizon = horizon(world.now());
    let recent = |execution: &Execution| execution.started >= horizon;
    if let Some(id) = only.filter(|id| !executions.iter().any(|execution| execution.id == *id && recent(execution))) {
        let text = format!("Pipeline execution with id {id} does not exist");
        return Err(ServiceError::new("PipelineExecutionNotFoundException", text));
    }
    // "Latest" is the last attempt of each action; "All" is every one (API reference, LatestInPipelineExecutionFilter).
    let last_only = text(latest, "startTimeRange") == "Latest";
    let wanted = |(execution, _, run): &Run<'_>| {
        recent(execution) && only.is_none_or(|id| execution.id == id) && !(last_only && run.retried)
    };
    let runs =
        executions.iter().flat_map(|execution| execution.runs().map(move |(stage, run)| (execution, stage, run)));
    let mut newest_first: Vec<Run<'_>> = runs.filter(wanted).collect();
    newest_first.reverse();
    // Executions of QUEUED and PARALLEL mode run side by side.
    newest_first.sort_by_key(|(.., run)| std::cmp::Reverse(run.started));
    let (shown, next) = page(&newest_first, |(.., run)| &run.id, body, 100)?;
    let mut answer = json!({"actionExecutionDetails": shown.iter().map(detail).collect::<Vec<_>>()});
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

fn detail((execution, stage, run): &Run<'_>) -> Value {
    let mut detail = json!({
        "pipelineExecutionId": execution.id,
        "actionExecutionId": run.id,
        "pipelineVersion": execution.version,
        "stageName": stage.name,
        "actionName": run.name,
        "startTime": time(run.started),
        "lastUpdateTime": time(run.updated),
        "status": run.status.as_str(),
        "input": run.input,
    });
    if let Some(by) = &run.updated_by {
        detail["updatedBy"] = json!(by);
    }
    let mut result = json!({});
    if let Some(id) = &run.external_id {
        result["externalExecutionId"] = json!(id);
    }
    if let Some(summary) = &run.summary {
        result["externalExecutionSummary"] = json!(summary);
    }
    if let Some(failure) = &run.error {
        result["errorDetails"] = failure.shown();
    }
    detail["output"] = json!({"outputArtifacts": [], "executionResult": result});
    if run.status == ActionStatus::Succeeded {
        detail["output"]["outputVariables"] = json!(run.output_variables);
    }
    detail
}
