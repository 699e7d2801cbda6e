//! The operations on pipelines themselves.

use serde_json::{Value, json};

use super::{
    check_text, constraints, current,
    declaration::{self, all_actions, text},
    executions, gates, not_found, on_pipeline, page, passed, pipeline_arn, read,
    run::{self, At},
    shapes,
    state::{Pipeline, Status},
    structure, time,
};
use crate::{
    error::ServiceError,
    state::{Caller, World, authorize::Assumer},
};

/// Why an update ended a run (API reference, `PipelineExecution`, status `Cancelled`).
const UPDATED: &str = "The pipeline's definition was updated before the pipeline execution could be completed.";

pub(super) fn create(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let given = body.get("pipeline").unwrap_or(&Value::Null);
    let name = named(world, caller, "CreatePipeline", given)?;
    let tags = declaration::list(body, "tags").to_vec();
    if !tags.is_empty() {
        world.authorize(caller, "codepipeline:TagResource", &pipeline_arn(caller, &name), &[])?;
    }
    shapes::declaration(given)?;
    if current(world, caller, &name).is_ok() {
        let text = format!("A pipeline with the name '{name}' already exists in account '{}'", caller.account);
        return Err(ServiceError::new("PipelineNameInUseException", text));
    }
    let declaration = accepted(world, caller, given)?;
    let now = world.now();
    let pipeline = Pipeline::new(declaration, now);
    let mut answer = json!({"pipeline": pipeline.shown(1)});
    if !tags.is_empty() {
        answer["tags"] = json!(tags);
    }
    world.account_mut(&caller.account).pipelines.set(&caller.region, &name, now, Some(pipeline));
    executions::start_first(world, caller, &name)?;
    Ok(answer)
}

pub(super) fn update(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let given = body.get("pipeline").unwrap_or(&Value::Null);
    let name = named(world, caller, "UpdatePipeline", given)?;
    shapes::declaration(given)?;
    let given = declaration::unmasked(given, current(world, caller, &name)?.current(), &caller.region);
    let mut declaration = accepted(world, caller, &given)?;
    if let Some(patch) = world.knobs.kept_as.clone() {
        let stages = declaration["stages"].as_array_mut().into_iter().flatten();
        let actions = stages.filter_map(|stage| stage["actions"].as_array_mut()).flatten();
        actions.filter(|action| is_of_lambda(action)).for_each(|action| merge(action, &patch));
    }
    let version = replace(world, &caller.account, &caller.region, &name, declaration);
    Ok(json!({"pipeline": current(world, caller, &name)?.shown(version)}))
}

fn is_of_lambda(action: &Value) -> bool {
    action["actionTypeId"]["category"] == "Invoke" && action["actionTypeId"]["provider"] == "Lambda"
}

/// Merges a patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        match target.as_object_mut() {
            Some(target) if value.is_null() => drop(target.remove(key)),
            _ => merge(&mut target[key.as_str()], value),
        }
    }
}

/// Writes another version and cancels what runs. Returns the version's number.
pub(super) fn replace(world: &mut World, account: &str, region: &str, name: &str, declaration: Value) -> usize {
    let now = world.now();
    let pipelines = &mut world.account_mut(account).pipelines;
    let pipeline = match pipelines.current(region, name) {
        Some(before) => {
            let mut pipeline = before.clone();
            pipeline.update(declaration, now);
            pipeline
        }
        None => Pipeline::new(declaration, now),
    };
    let version = pipeline.version();
    pipelines.set(region, name, now, Some(pipeline));
    let mut cancelled = Vec::new();
    for execution in pipelines.executions_mut(region, name) {
        if execution.status.is_unfinished() {
            execution.turn(Status::Cancelled, now);
            execution.summary = Some(UPDATED.to_owned());
            cancelled.push(execution.id.clone());
        }
    }
    for execution in cancelled {
        run::abandon(world, &At::new(account, region, name), &execution);
    }
    version
}

/// Deletes a pipeline, its executions and their jobs.
pub(super) fn remove(world: &mut World, account: &str, region: &str, name: &str) {
    let now = world.now();
    world.account_mut(account).pipelines.set(region, name, now, None);
    world.jobs.forget(&At::new(account, region, name));
}

/// The name in a declaration, after the operation was authorised on it.
fn named(world: &mut World, caller: &Caller, operation: &str, given: &Value) -> Result<String, ServiceError> {
    if !given.is_object() {
        check_text(&Value::Null, "pipeline", &constraints::name())?;
    }
    let name = text(given, "name").to_owned();
    world.authorize(caller, &format!("codepipeline:{operation}"), &pipeline_arn(caller, &name), &[])?;
    Ok(name)
}

/// The declaration as it will be kept, if `CodePipeline` takes it: structure, and the roles it needs.
fn accepted(world: &mut World, caller: &Caller, given: &Value) -> Result<Value, ServiceError> {
    passed::authorize(world, caller, given)?;
    let normal = declaration::normalised(given, &caller.region)
        .map_err(|error| ServiceError::new("SerializationException", error))?;
    structure::check(&normal, &caller.region)?;
    world.places.check(&normal, &caller.region)?;
    roles(world, &normal)?;
    Ok(normal)
}

/// `CodePipeline` must be able to assume the pipeline's role, and that role the role of every action that has one.
fn roles(world: &World, declaration: &Value) -> Result<(), ServiceError> {
    let refused = |message: String| Err(ServiceError::new("InvalidStructureException", message));
    let role = text(declaration, "roleArn");
    if !world.may_assume(Assumer::Service("codepipeline.amazonaws.com"), role, None)? {
        return refused(format!("CodePipeline is not authorized to perform AssumeRole on role {role}"));
    }
    for (_, action) in all_actions(declaration) {
        let Some(action_role) = action.get("roleArn").and_then(Value::as_str) else { continue };
        if !world.may_assume(Assumer::Role(role), action_role, None)? {
            return refused(format!(
                "Pipeline role {role} is not authorized to perform AssumeRole on action role {action_role}"
            ));
        }
    }
    // A rule that names the pipeline's role itself names no role to assume.
    for rule in declaration::stages(declaration).iter().flat_map(gates::rules) {
        let rule_role = text(rule.declaration, "roleArn");
        if !rule_role.is_empty() && rule_role != role && !world.may_assume(Assumer::Role(role), rule_role, None)? {
            let name = text(rule.declaration, "name");
            return refused(format!(
                "Pipeline role {role} is not authorized to perform AssumeRole on role {rule_role} of rule {name}"
            ));
        }
    }
    Ok(())
}

/// How many versions can be read (found by users; not documented): an older one is answered as a pipeline that is missing.
const VERSIONS_KEPT: usize = 10;

pub(super) fn get(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "GetPipeline", body, "name")?;
    let mut violations = constraints::Violations::default();
    violations.integer(body, "", "version", (1, i64::MAX));
    violations.into_result()?;
    let pipeline = read(world, caller, name)?;
    let asked = body.get("version").and_then(Value::as_u64).and_then(|version| usize::try_from(version).ok());
    let version = asked.unwrap_or_else(|| pipeline.version());
    if version + VERSIONS_KEPT <= pipeline.version() {
        return Err(not_found(caller, name));
    }
    let shown = pipeline.shown(version).ok_or_else(|| {
        let text = format!("Pipeline '{name}' in account '{}' does not have version '{version}'", caller.account);
        ServiceError::new("PipelineVersionNotFoundException", text)
    })?;
    let metadata = json!({
        "pipelineArn": pipeline_arn(caller, name),
        "created": time(pipeline.created),
        "updated": time(pipeline.updated),
    });
    Ok(json!({"pipeline": shown, "metadata": metadata}))
}

/// A pipeline that is not there is deleted as well as any (API reference, `DeletePipeline`: no such error).
pub(super) fn delete(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "DeletePipeline", body, "name")?;
    if current(world, caller, name).is_ok() {
        remove(world, &caller.account, &caller.region, name);
    }
    Ok(Value::Null)
}

pub(super) fn list(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    world.authorize(caller, "codepipeline:ListPipelines", &pipeline_arn(caller, "*"), &[])?;
    let account = world.accounts.get(&caller.account).ok_or_else(|| not_found(caller, "*"))?;
    let pipelines: Vec<(&str, &Pipeline)> = account.pipelines.all_as_of(&caller.region, world.read_time()).collect();
    let (shown, next) = page(&pipelines, |(name, _)| name, body, 1000)?;
    let mut answer =
        json!({"pipelines": shown.iter().map(|(name, pipeline)| summary(name, pipeline)).collect::<Vec<_>>()});
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

fn summary(name: &str, pipeline: &Pipeline) -> Value {
    json!({
        "name": name,
        "version": pipeline.version(),
        "pipelineType": pipeline.current()["pipelineType"],
        "executionMode": pipeline.current()["executionMode"],
        "created": time(pipeline.created),
        "updated": time(pipeline.updated),
    })
}
