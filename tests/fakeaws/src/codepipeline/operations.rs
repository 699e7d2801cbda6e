//! The operations, each authorised first.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    executions::{Execution, Status},
    masking,
    store::Pipeline,
    structure,
};
use crate::{
    error::ServiceError,
    state::{Caller, World, authorize::Assumer},
};

/// Answers one call. The body is the request's JSON; the answer is the response's.
pub(crate) fn handle(world: &mut World, caller: &Caller, operation: &str, body: Value) -> Result<Value, ServiceError> {
    let name = match operation {
        "CreatePipeline" | "UpdatePipeline" => body.pointer("/pipeline/name"),
        "GetPipeline" | "GetPipelineState" | "StartPipelineExecution" | "DeletePipeline" => body.get("name"),
        _ => body.get("pipelineName"),
    };
    let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
    let resource = if operation == "ListPipelines" { "*".to_owned() } else { arn(world, caller, &name) };
    world.authorize(caller, &format!("codepipeline:{operation}"), &resource, &[])?;
    match operation {
        "CreatePipeline" => create(world, caller, &name, body),
        "GetPipeline" => get(world, caller, &name, &body),
        "UpdatePipeline" => update(world, caller, &name, body),
        "DeletePipeline" => {
            world.account_mut(&caller.account).pipelines.remove(&caller.region, &name);
            Ok(json!({}))
        }
        "ListPipelines" => Ok(list(world, caller)),
        "GetPipelineState" => state(world, caller, &name),
        "ListPipelineExecutions" => executions(world, caller, &name, &body),
        "GetPipelineExecution" => execution(world, caller, &name, &body),
        "StartPipelineExecution" => start(world, caller, &name),
        "StopPipelineExecution" => stop(world, caller, &name, &body),
        other => Err(ServiceError::unsupported(format!("the operation {other} of CodePipeline"))),
    }
}

fn arn(world: &World, caller: &Caller, name: &str) -> String {
    let partition = world.accounts.get(&caller.account).map_or("aws", |account| account.partition.as_str());
    format!("arn:{partition}:codepipeline:{}:{}:{name}", caller.region, caller.account)
}

fn not_found(caller: &Caller, name: &str) -> ServiceError {
    let message = format!("Account '{}' does not have a pipeline with name '{name}'", caller.account);
    ServiceError::new("PipelineNotFoundException", message)
}

fn pipeline<'a>(world: &'a World, caller: &Caller, name: &str) -> Result<&'a Pipeline, ServiceError> {
    let account = world.accounts.get(&caller.account);
    account.and_then(|account| account.pipelines.get(&caller.region, name)).ok_or_else(|| not_found(caller, name))
}

fn pipeline_mut<'a>(world: &'a mut World, caller: &Caller, name: &str) -> Result<&'a mut Pipeline, ServiceError> {
    let pipelines = &mut world.account_mut(&caller.account).pipelines;
    pipelines.get_mut(&caller.region, name).ok_or_else(|| not_found(caller, name))
}

/// A declaration as AWS shows it: secrets masked, with its version.
fn shown(declaration: &Value, version: usize) -> Value {
    let mut shown = masking::masked(declaration);
    shown["version"] = json!(version);
    shown
}

fn create(world: &mut World, caller: &Caller, name: &str, mut body: Value) -> Result<Value, ServiceError> {
    let declaration = body["pipeline"].take();
    structure::check(&declaration, &caller.region)?;
    check_roles(world, caller, &declaration)?;
    let now = world.now();
    let pipelines = &mut world.account_mut(&caller.account).pipelines;
    if pipelines.get(&caller.region, name).is_some() {
        return Err(ServiceError::new(
            "PipelineNameInUseException",
            format!("A pipeline with the name '{name}' already exists"),
        ));
    }
    let version = pipelines.replace(&caller.region, name, declaration, now);
    Ok(json!({"pipeline": shown(&pipeline(world, caller, name)?.current().declaration, version)}))
}

fn get(world: &World, caller: &Caller, name: &str, body: &Value) -> Result<Value, ServiceError> {
    let pipeline = pipeline(world, caller, name)?;
    let latest = pipeline.version_as_of(world.read_time());
    let asked = body.get("version").and_then(Value::as_u64).and_then(|version| usize::try_from(version).ok());
    let number = asked.unwrap_or(latest);
    let version = pipeline.numbered(number).ok_or_else(|| {
        ServiceError::new("PipelineVersionNotFoundException", format!("Pipeline '{name}' has no version {number}"))
    })?;
    Ok(json!({
        "pipeline": shown(&version.declaration, number),
        "metadata": {
            "pipelineArn": arn(world, caller, name),
            "created": seconds(pipeline.created),
            "updated": seconds(version.since),
        },
    }))
}

fn update(world: &mut World, caller: &Caller, name: &str, mut body: Value) -> Result<Value, ServiceError> {
    let sent = body["pipeline"].take();
    let current = pipeline(world, caller, name)?.current().declaration.clone();
    structure::check(&sent, &caller.region)?;
    let declaration = masking::unmasked(&sent, &current)?;
    check_roles(world, caller, &declaration)?;
    let now = world.now();
    let pipelines = &mut world.account_mut(&caller.account).pipelines;
    let version = pipelines.replace(&caller.region, name, declaration, now);
    Ok(json!({"pipeline": shown(&pipeline(world, caller, name)?.current().declaration, version)}))
}

/// The caller must be allowed to pass the service role, CodePipeline to assume it, and the service role to assume the
/// role of *every* action ("Pipeline role … is not authorized to perform AssumeRole on action role …", seen on update).
fn check_roles(world: &mut World, caller: &Caller, declaration: &Value) -> Result<(), ServiceError> {
    let role = structure::text(declaration, "roleArn");
    world.authorize(caller, "iam:PassRole", role, &[("iam:passedtoservice", "codepipeline.amazonaws.com")])?;
    let refused = |message: String| Err(ServiceError::new("InvalidStructureException", message));
    if !world.may_assume(Assumer::Service("codepipeline.amazonaws.com"), role, None)? {
        return refused(format!("CodePipeline is not authorized to perform AssumeRole on role {role}"));
    }
    for action in structure::actions(declaration) {
        let action_role = structure::text(action, "roleArn");
        if !action_role.is_empty() && !world.may_assume(Assumer::Role(role), action_role, None)? {
            return refused(format!(
                "Pipeline role {role} is not authorized to perform AssumeRole on action role {action_role}"
            ));
        }
    }
    Ok(())
}

fn list(world: &World, caller: &Caller) -> Value {
    let account = world.accounts.get(&caller.account);
    let pipelines = account.into_iter().flat_map(|account| account.pipelines.names(&caller.region));
    let pipelines: Vec<Value> = pipelines
        .map(|(name, pipeline)| {
            json!({
                "name": name,
                "version": pipeline.version(),
                "created": seconds(pipeline.created),
                "updated": seconds(pipeline.current().since),
            })
        })
        .collect();
    json!({"pipelines": pipelines})
}

/// The latest execution of each stage: a run that waits between two stages is in none of them.
fn state(world: &World, caller: &Caller, name: &str) -> Result<Value, ServiceError> {
    let pipeline = pipeline(world, caller, name)?;
    let current = pipeline.current();
    let stages = current.declaration.get("stages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let stages: Vec<Value> = stages
        .iter()
        .map(|stage| {
            let stage_name = structure::text(stage, "name");
            let execution = pipeline.executions.iter().find(|execution| execution.stage.as_deref() == Some(stage_name));
            let mut state = json!({
                "stageName": stage_name,
                "inboundTransitionState": {"enabled": true},
                "actionStates": [],
            });
            if let Some(execution) = execution {
                state["latestExecution"] =
                    json!({"pipelineExecutionId": execution.id, "status": execution.status.name()});
            }
            state
        })
        .collect();
    Ok(json!({
        "pipelineName": name,
        "pipelineVersion": pipeline.version(),
        "stageStates": stages,
        "created": seconds(pipeline.created),
        "updated": seconds(current.since),
    }))
}

fn executions(world: &World, caller: &Caller, name: &str, body: &Value) -> Result<Value, ServiceError> {
    let pipeline = pipeline(world, caller, name)?;
    let number = |member: &str| body.get(member).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let page = number("maxResults").unwrap_or(100);
    if !(1..=100).contains(&page) {
        return Err(ServiceError::new("ValidationException", "maxResults must be between 1 and 100"));
    }
    let from = match body.get("nextToken").and_then(Value::as_str) {
        None => 0,
        Some(token) => token.parse().map_err(|_| {
            ServiceError::new("InvalidNextTokenException", "The next token was specified in an invalid format")
        })?,
    };
    let rest = pipeline.executions.get(from..).unwrap_or_default();
    let summaries: Vec<Value> = rest.iter().take(page).map(summary).collect();
    let mut answer = json!({"pipelineExecutionSummaries": summaries});
    if rest.len() > page {
        answer["nextToken"] = json!((from + page).to_string());
    }
    Ok(answer)
}

fn summary(execution: &Execution) -> Value {
    let mut summary = json!({
        "pipelineExecutionId": execution.id,
        "status": execution.status.name(),
        "startTime": seconds(execution.started),
        "lastUpdateTime": seconds(execution.updated),
        "sourceRevisions": [],
    });
    if let Some(text) = &execution.summary {
        summary["statusSummary"] = json!(text);
    }
    summary
}

fn execution(world: &World, caller: &Caller, name: &str, body: &Value) -> Result<Value, ServiceError> {
    let id = structure::text(body, "pipelineExecutionId");
    let pipeline = pipeline(world, caller, name)?;
    let execution = pipeline.executions.iter().find(|execution| execution.id == id).ok_or_else(|| no_execution(id))?;
    let mut answer = json!({
        "pipelineName": name,
        "pipelineVersion": execution.version,
        "pipelineExecutionId": execution.id,
        "status": execution.status.name(),
        "artifactRevisions": [],
    });
    if let Some(text) = &execution.summary {
        answer["statusSummary"] = json!(text);
    }
    Ok(json!({"pipelineExecution": answer}))
}

fn no_execution(id: &str) -> ServiceError {
    ServiceError::new("PipelineExecutionNotFoundException", format!("There is no pipeline execution {id}"))
}

/// Starts an execution, which stands in the first stage until it is moved by hand.
fn start(world: &mut World, caller: &Caller, name: &str) -> Result<Value, ServiceError> {
    let now = world.now();
    let pipeline = pipeline_mut(world, caller, name)?;
    let first = pipeline.current().declaration.pointer("/stages/0/name").and_then(Value::as_str).map(str::to_owned);
    let id = pipeline.put_execution(None, Status::InProgress, first, now).map_err(ServiceError::unsupported)?;
    Ok(json!({"pipelineExecutionId": id}))
}

/// Stopping first, and Stopped once the running action is done: by hand, or at once when it is abandoned.
fn stop(world: &mut World, caller: &Caller, name: &str, body: &Value) -> Result<Value, ServiceError> {
    let id = structure::text(body, "pipelineExecutionId").to_owned();
    let abandon = body.get("abandon").and_then(Value::as_bool).unwrap_or_default();
    let now = world.now();
    let pipeline = pipeline_mut(world, caller, name)?;
    let execution =
        pipeline.executions.iter_mut().find(|execution| execution.id == id).ok_or_else(|| no_execution(&id))?;
    if execution.status != Status::InProgress {
        let message = format!("Execution {id} is {} and cannot be stopped", execution.status.name());
        return Err(ServiceError::new("PipelineExecutionNotStoppableException", message));
    }
    execution.status = if abandon { Status::Stopped } else { Status::Stopping };
    execution.updated = now;
    Ok(json!({"pipelineExecutionId": id}))
}

/// Seconds since 1970 with milliseconds. What the seed brought has been there since ever, for which AWS has no time.
#[allow(clippy::cast_precision_loss, reason = "milliseconds of this century fit a double")]
fn seconds(time: Timestamp) -> f64 {
    time.max(Timestamp::UNIX_EPOCH).as_millisecond() as f64 / 1000.0
}
