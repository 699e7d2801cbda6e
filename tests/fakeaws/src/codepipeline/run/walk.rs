//! How executions go from stage to stage. User Guide, "How pipeline executions work": a stage is locked while an
//! execution is in it, except in PARALLEL mode; an execution that waits for a stage is superseded by a more recent one
//! in SUPERSEDED mode, and is not overtaken in QUEUED mode.

use std::sync::Arc;

use serde_json::Value;

use super::{
    begin,
    checks::{self, Passage},
    execution::{ActionRun, ActionStatus, At, Execution, Mode, Outcome, Place, StageRun},
    rollback,
};
use crate::{
    codepipeline::{
        declaration::{actions, run_order, stages, text},
        gates::{self, Gate},
        state::{Pipelines, Status},
    },
    state::World,
};

/// Lets all executions of a pipeline do what they can do now.
pub(crate) fn walk(world: &mut World, at: &At) {
    while step(world, at) {}
    world.signals.changed();
}

/// Ends the run of an action that is in progress, and walks on. Anything else is left as it is.
pub(super) fn complete(world: &mut World, place: &Place, outcome: Outcome) {
    let now = world.now();
    edit(world, place, |run| {
        if run.status == ActionStatus::InProgress {
            run.end(outcome, now);
        }
    });
    walk(world, &place.at);
}

/// Changes the run of an action, if it is still known.
pub(super) fn edit(world: &mut World, place: &Place, change: impl FnOnce(&mut ActionRun)) {
    let executions = world.pipelines_mut(&place.at).executions_mut(&place.at.region, &place.at.pipeline);
    let execution = executions.iter_mut().find(|execution| execution.id == place.execution);
    if let Some(run) = execution.and_then(|execution| execution.runs_mut().find(|run| run.id == place.action)) {
        change(run);
    }
}

/// Gives up the running actions of an execution, whose jobs are closed.
pub(crate) fn abandon(world: &mut World, at: &At, execution: &str) {
    let now = world.now();
    let executions = world.pipelines_mut(at).executions_mut(&at.region, &at.pipeline);
    let jobs: Vec<String> = executions
        .iter_mut()
        .filter(|candidate| candidate.id == execution)
        .flat_map(|execution| execution.abandon_actions(now))
        .collect();
    world.jobs.close_all(&jobs);
}

/// One transition of the oldest execution that can make one.
fn step(world: &mut World, at: &At) -> bool {
    let pipelines = world.pipelines_mut(at);
    let executions = pipelines.executions(&at.region, &at.pipeline);
    let walking = |execution: &&Execution| execution.walks && execution.status.is_unfinished();
    let decided = executions.iter().filter(walking).find_map(|execution| {
        let declaration = Arc::clone(pipelines.current(&at.region, &at.pipeline)?.declaration(execution.version)?);
        let transition = match execution.stage() {
            Some(stage) => within(&declaration, stage, execution.status),
            None => between(&declaration, pipelines, at, execution),
        };
        Some((execution.id.clone(), declaration, transition?))
    });
    let Some((id, declaration, transition)) = decided else { return false };
    match &transition {
        Transition::Begin(action) => {
            begin::begin(world, at, &id, &declaration, action);
            return true;
        }
        Transition::Check(stage, gate) => {
            checks::begin(world, at, &id, &declaration, stage, *gate);
            return true;
        }
        _ => {}
    }
    let now = world.now();
    let executions = world.pipelines_mut(at).executions_mut(&at.region, &at.pipeline);
    let Some(execution) = executions.iter_mut().find(|execution| execution.id == id) else { return false };
    execution.updated = now;
    let leave = |execution: &mut Execution, status| {
        if let Some(stage) = execution.stages.last_mut() {
            stage.status = status;
        }
    };
    match transition {
        Transition::Begin(_) | Transition::Check(..) => {}
        Transition::Enter(stage) => execution.stages.push(StageRun::new(&stage, Status::InProgress)),
        Transition::Leave => leave(execution, Status::Succeeded),
        Transition::Skip => leave(execution, Status::Skipped),
        Transition::Retry { all } => {
            if let Some(stage) = execution.stages.last_mut() {
                stage.retry(all);
                stage.retries.automatic += 1;
                stage.retries.latest = Some("AutomatedStageRetry");
            }
        }
        Transition::End(status) => execution.turn(status, now),
        Transition::RollBack(stage) => {
            execution.turn(Status::Failed, now);
            let failed = execution.clone();
            let place = stages(&declaration).iter().position(|declared| text(declared, "name") == stage);
            // A rollback that fails is not rolled back itself.
            if let (Some(place), None) = (place, &failed.rollback) {
                rollback::automatic(world, at, &failed, &stage, place);
            }
        }
    }
    true
}

/// What an execution does next.
#[derive(Debug, PartialEq)]
enum Transition {
    /// Begins an action of the stage that it is in.
    Begin(Value),
    /// Enters a stage.
    Enter(String),
    /// Checks a gate of the stage that it is in.
    Check(Value, Gate),
    /// Has come through its stage.
    Leave,
    /// Passes by its stage.
    Skip,
    /// Tries its stage again: what failed, or all of it.
    Retry { all: bool },
    /// Has failed in a stage that is rolled back.
    RollBack(String),
    /// Is over, and with it the stage that it is in.
    End(Status),
}

/// What to do inside a stage: actions of one runOrder run side by side, and when all of them have ended well, those of
/// the next. What runs beside a failed action is waited for (inferred: AWS documents the outcome only;
/// `make aws-facts` asks).
fn within(declaration: &Value, run: &StageRun, status: Status) -> Option<Transition> {
    let stage = stages(declaration).iter().find(|stage| text(stage, "name") == run.name)?;
    let status_of = |action: &Value| run.action(text(action, "name")).map(|run| run.status);
    let running = actions(stage).iter().any(|action| status_of(action) == Some(ActionStatus::InProgress));
    if status == Status::Stopping {
        return (!running).then_some(Transition::End(Status::Stopped));
    }
    match Passage::of(stage, run, Gate::BeforeEntry) {
        Passage::Open => {}
        Passage::Unchecked => return Some(Transition::Check(stage.clone(), Gate::BeforeEntry)),
        Passage::Waits => return None,
        Passage::Closed if gates::result(stage, Gate::BeforeEntry) == "SKIP" => return Some(Transition::Skip),
        Passage::Closed => return Some(Transition::End(Status::Failed)),
    }
    for group in actions(stage).chunk_by(|one, other| run_order(one) == run_order(other)) {
        if let Some(action) = group.iter().find(|action| status_of(action).is_none()) {
            return Some(Transition::Begin(action.clone()));
        }
        if running {
            return None;
        }
        if group.iter().any(|action| status_of(action) != Some(ActionStatus::Succeeded)) {
            return failed(stage, run);
        }
    }
    match Passage::of(stage, run, Gate::OnSuccess) {
        Passage::Open => Some(Transition::Leave),
        Passage::Unchecked => Some(Transition::Check(stage.clone(), Gate::OnSuccess)),
        Passage::Waits => None,
        Passage::Closed if gates::result(stage, Gate::OnSuccess) == "ROLLBACK" => {
            Some(Transition::RollBack(run.name.clone()))
        }
        Passage::Closed => Some(Transition::End(Status::Failed)),
    }
}

/// What to do after an action has failed. A stage is tried again by itself once (API reference, `RetryStageMetadata`).
fn failed(stage: &Value, run: &StageRun) -> Option<Transition> {
    let has_rules = gates::of_gate(stage, Gate::OnFailure).next().is_some();
    match Passage::of(stage, run, Gate::OnFailure) {
        Passage::Unchecked => return Some(Transition::Check(stage.clone(), Gate::OnFailure)),
        Passage::Waits => return None,
        Passage::Open if has_rules => return Some(Transition::End(Status::Failed)),
        Passage::Open | Passage::Closed => {}
    }
    Some(match gates::result(stage, Gate::OnFailure) {
        "RETRY" if run.retries.automatic == 0 => {
            let mode = stage.pointer("/onFailure/retryConfiguration/retryMode").and_then(Value::as_str);
            Transition::Retry { all: mode == Some("ALL_ACTIONS") }
        }
        "ROLLBACK" => Transition::RollBack(run.name.clone()),
        "SKIP" => Transition::Skip,
        _ => Transition::End(Status::Failed),
    })
}

/// What to do between two stages, or before the first.
fn between(declaration: &Value, pipelines: &Pipelines, at: &At, execution: &Execution) -> Option<Transition> {
    let Some(stage) = stages(declaration).get(next_place(execution)) else {
        return Some(Transition::End(Status::Succeeded));
    };
    let name = text(stage, "name");
    let enter = Some(Transition::Enter(name.to_owned()));
    let mode = Mode::of(declaration);
    let executions = pipelines.executions(&at.region, &at.pipeline);
    let younger = executions.iter().rev().take_while(|other| other.id != execution.id);
    let waits = |other: &Execution| waits_at(other) == Some(next_place(execution));
    if mode == Mode::Superseded && execution.rollback.is_none() && younger.into_iter().any(waits) {
        return Some(Transition::End(Status::Superseded));
    }
    // A rollback does not come through the transition.
    let switch = pipelines.switch(&at.region, &at.pipeline, name).filter(|_| execution.rollback.is_none());
    if switch.is_some_and(|switch| switch.reason.is_some()) {
        return None;
    }
    if mode == Mode::Parallel {
        return enter;
    }
    let occupied = executions.iter().any(|other| other.stage().is_some_and(|stage| stage.name == name));
    // Of those that wait for it the oldest steps first: in QUEUED mode that is the whole queue.
    if occupied { None } else { enter }
}

/// The place of the stage that an execution enters next. A rollback has one stage only.
fn next_place(execution: &Execution) -> usize {
    match &execution.rollback {
        Some(rollback) if execution.stages.is_empty() => rollback.place,
        Some(_) => usize::MAX,
        None => execution.stages.len(),
    }
}

/// The place of the stage that an execution waits for.
pub(super) fn waits_at(execution: &Execution) -> Option<usize> {
    let waits = execution.walks && execution.status.is_unfinished() && execution.stage().is_none();
    waits.then_some(next_place(execution))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn declaration() -> Value {
        json!({"stages": [{"name": "S", "actions": [
            {"name": "a", "runOrder": 1}, {"name": "b", "runOrder": 1}, {"name": "c", "runOrder": 2},
        ]}]})
    }

    fn stage(runs: &[(&str, ActionStatus)]) -> StageRun {
        let mut stage = StageRun::new("S", Status::InProgress);
        for (name, status) in runs {
            let mut run = ActionRun::new(name, json!({}), Timestamp::UNIX_EPOCH);
            run.status = *status;
            stage.actions.push(run);
        }
        stage
    }

    /// What comes next after these runs, as text.
    fn next(runs: &[(&str, ActionStatus)], status: Status) -> String {
        match within(&declaration(), &stage(runs), status) {
            None => "wait".to_owned(),
            Some(Transition::Begin(action)) => format!("begin {}", text(&action, "name")),
            Some(Transition::Leave) => "leave".to_owned(),
            Some(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn actions_of_one_run_order_run_side_by_side_and_the_next_ones_wait() {
        use ActionStatus::{Failed, InProgress, Succeeded};
        use Status::{InProgress as Running, Stopping};
        assert_eq!(next(&[], Running), "begin a");
        assert_eq!(next(&[("a", InProgress)], Running), "begin b");
        assert_eq!(next(&[("a", InProgress), ("b", Succeeded)], Running), "wait");
        assert_eq!(next(&[("a", Failed), ("b", InProgress)], Running), "wait");
        assert_eq!(next(&[("a", Failed), ("b", Succeeded)], Running), "End(Failed)");
        assert_eq!(next(&[("a", Succeeded), ("b", Succeeded)], Running), "begin c");
        assert_eq!(next(&[("a", Succeeded), ("b", Succeeded), ("c", Succeeded)], Running), "leave");
        assert_eq!(next(&[("a", Succeeded), ("b", InProgress)], Stopping), "wait");
        assert_eq!(next(&[("a", Succeeded), ("b", Succeeded)], Stopping), "End(Stopped)");
    }
}
