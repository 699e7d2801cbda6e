//! Rollbacks of stages: by `RollbackStage`, and by a stage's own configuration.
//!
//! Sources: API reference, `RollbackStage`; User Guide, "Configure stage rollback": the stage is run once more with what an
//! earlier execution had, as an execution of type ROLLBACK that ends with that stage. The target must have succeeded in the
//! stage with the present version of the pipeline.

use serde_json::{Value, json};

use super::{
    execution::{At, Execution, Mode},
    stages::{check_names, named},
    walk::walk,
};
use crate::{
    codepipeline::{constraints, current, declaration::text, state::Status},
    error::ServiceError,
    state::{Caller, World},
};

/// What an execution of type ROLLBACK goes back to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rollback {
    /// The place of its only stage.
    pub(super) place: usize,
    /// Id of the execution whose part in the stage is repeated.
    pub(crate) target: String,
}

pub(crate) fn roll_back(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let mut violations = check_names(body);
    violations.text(body, "", "targetPipelineExecutionId", &constraints::name());
    violations.into_result()?;
    let (at, stage) = named(world, caller, "RollbackStage", body)?;
    let pipeline = current(world, caller, &at.pipeline)?;
    let place = pipeline.stage_names().iter().position(|name| *name == stage).unwrap_or_default();
    let (version, parallel) = (pipeline.version(), Mode::of(pipeline.current()) == Mode::Parallel);
    let id = text(body, "targetPipelineExecutionId");
    let executions = world.pipelines_mut(&at).executions(&at.region, &at.pipeline);
    let Some(found) = executions.iter().find(|execution| execution.id == id) else {
        let text = format!("Pipeline execution with id {id} does not exist");
        return Err(ServiceError::new("PipelineExecutionNotFoundException", text));
    };
    let is_running = executions.iter().any(|other| other.stage().is_some_and(|run| run.name == stage));
    if place == 0 || parallel || is_running || !is_target(found, stage, version) {
        let text = "Unable to roll back the stage. The cause might be if the pipeline version has changed since the target \
                    pipeline execution was deployed, the stage is currently running, or an incorrect target pipeline \
                    execution ID was provided.";
        return Err(ServiceError::new("UnableToRollbackStageException", text));
    }
    let target = found.clone();
    let trigger = json!({"triggerType": "ManualRollback", "triggerDetail": caller.arn});
    let id = begin(world, &at, place, &target, trigger);
    walk(world, &at);
    Ok(json!({"pipelineExecutionId": id}))
}

fn is_target(execution: &Execution, stage: &str, version: usize) -> bool {
    execution.version == version
        && execution.rollback.is_none()
        && execution.stages.iter().any(|run| run.name == stage && run.status == Status::Succeeded)
}

/// After the failure of an execution in a stage that is to be rolled back. Without a target there is nothing to go back to.
pub(super) fn automatic(world: &mut World, at: &At, failed: &Execution, stage: &str, place: usize) {
    let executions = world.pipelines_mut(at).executions(&at.region, &at.pipeline);
    let target = executions.iter().rev().find(|other| other.id != failed.id && is_target(other, stage, failed.version));
    let Some(target) = target.cloned() else { return };
    let trigger = json!({"triggerType": "AutomatedRollback", "triggerDetail": failed.id});
    begin(world, at, place, &target, trigger);
}

fn begin(world: &mut World, at: &At, place: usize, target: &Execution, trigger: Value) -> String {
    let now = world.now();
    let mut execution = Execution::new(target.version, now, trigger);
    execution.walks = true;
    execution.variables = target.variables.clone();
    execution.inherited = target.outputs();
    execution.rollback = Some(Rollback { place, target: target.id.clone() });
    let id = execution.id.clone();
    world.pipelines_mut(at).executions_mut(&at.region, &at.pipeline).push(execution);
    id
}
