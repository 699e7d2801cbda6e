//! Conditions of stages while an execution is in a stage: rules run with the outcomes that are set for them.
//!
//! Sources: User Guide, "How do stage conditions work?": all rules of a condition are run; if one fails the condition fails,
//! and only then its result engages. Rules are not carried out by the double: each succeeds unless `set-rule` says otherwise.
//!
//! Not settled: the API reference says of a condition's result that it is done "when the condition is met", the guide that it
//! is done only when the condition fails. The double follows the guide, for failure conditions too.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    begin::ActionOutcome,
    execution::{ActionStatus, At, Execution, Failure, Outcome, StageRun},
    variables,
    walk::walk,
};
use crate::{
    codepipeline::{
        declaration::text,
        gates::{self, Gate},
        time,
    },
    state::World,
    wire::request_id,
};

/// The rules of a gate, as they were run.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(super) gate: Gate,
    rules: Vec<RuleRun>,
}

#[derive(Clone, Debug)]
struct RuleRun {
    id: String,
    name: String,
    status: ActionStatus,
    updated: Timestamp,
    error: Option<Failure>,
}

/// Whether an execution comes through a gate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Passage {
    /// There are no rules, or all of them have succeeded.
    Open,
    /// The rules have not begun.
    Unchecked,
    /// A rule is still running.
    Waits,
    /// A rule has failed.
    Closed,
}

impl Passage {
    pub(super) fn of(stage: &Value, run: &StageRun, gate: Gate) -> Self {
        if gates::of_gate(stage, gate).next().is_none() {
            return Self::Open;
        }
        match run.check(gate).map(Check::status) {
            None => Self::Unchecked,
            Some(ActionStatus::InProgress) => Self::Waits,
            Some(ActionStatus::Succeeded) => Self::Open,
            Some(ActionStatus::Failed | ActionStatus::Abandoned) => Self::Closed,
        }
    }
}

impl Check {
    /// One failed rule fails the condition; until then one that runs keeps it waiting.
    pub(super) fn status(&self) -> ActionStatus {
        let any = |status| self.rules.iter().any(|rule| rule.status == status);
        [ActionStatus::InProgress, ActionStatus::Failed, ActionStatus::Abandoned]
            .into_iter()
            .find(|status| any(*status))
            .unwrap_or(ActionStatus::Succeeded)
    }

    /// Gives up the rules that are still running.
    pub(super) fn abandon(&mut self, now: Timestamp) {
        for rule in self.rules.iter_mut().filter(|rule| rule.status == ActionStatus::InProgress) {
            rule.status = ActionStatus::Abandoned;
            rule.updated = now;
        }
    }

    /// The member `beforeEntryConditionState`, or one of the other two, of `GetPipelineState`.
    pub(super) fn shown(&self) -> Value {
        let status = self.status().as_str();
        let changed = self.rules.iter().map(|rule| rule.updated).max().unwrap_or(Timestamp::UNIX_EPOCH);
        let rules = self.rules.iter().map(|rule| {
            let mut latest = json!({
                "ruleExecutionId": rule.id,
                "status": rule.status.as_str(),
                "lastStatusChange": time(rule.updated),
            });
            if let Some(failure) = &rule.error {
                latest["errorDetails"] = failure.shown();
            }
            json!({"ruleName": rule.name, "latestExecution": latest})
        });
        json!({
            "latestExecution": {"status": status},
            "conditionStates": [{
                "latestExecution": {"status": status, "lastStatusChange": time(changed)},
                "ruleStates": rules.collect::<Vec<_>>(),
            }],
        })
    }
}

/// The name under which the outcome of a rule is kept. No action's name has a slash.
pub(crate) fn key(condition: &str, rule: &str) -> String {
    format!("{condition}/{rule}")
}

/// Begins the rules of a gate of the stage that an execution is in.
pub(super) fn begin(world: &mut World, at: &At, id: &str, declaration: &Value, stage: &Value, gate: Gate) {
    let now = world.now();
    let stage_name = text(stage, "name");
    let pipelines = world.pipelines_mut(at);
    let Some(execution) = pipelines.executions(&at.region, &at.pipeline).iter().find(|execution| execution.id == id)
    else {
        return;
    };
    let run = |rule: &Value| {
        let name = text(rule, "name");
        let key = key(gate.member(), name);
        let resolved = variables::resolved(declaration, execution, &rule["configuration"]);
        let outcome = match resolved {
            Err(failure) => Some(Outcome::Failed(failure)),
            Ok(_) => pipelines.outcome(&at.region, &at.pipeline, stage_name, &key).outcome(),
        };
        let mut run = RuleRun {
            id: request_id(),
            name: name.to_owned(),
            status: ActionStatus::InProgress,
            updated: now,
            error: None,
        };
        run.end(outcome, now);
        run
    };
    let check = Check { gate, rules: gates::of_gate(stage, gate).map(run).collect() };
    let executions = pipelines.executions_mut(&at.region, &at.pipeline);
    let execution = executions.iter_mut().find(|execution| execution.id == id);
    if let Some(run) = execution.and_then(|execution| execution.stages.last_mut()) {
        run.checks.push(check);
    }
}

impl RuleRun {
    fn end(&mut self, outcome: Option<Outcome>, now: Timestamp) {
        let Some(outcome) = outcome else { return };
        self.updated = now;
        match outcome {
            Outcome::Succeeded(_) => self.status = ActionStatus::Succeeded,
            Outcome::Failed(failure) => {
                self.status = ActionStatus::Failed;
                self.error = Some(failure);
            }
        }
    }
}

/// Ends what is held at a rule, now that another outcome is set for it.
pub(crate) fn release(world: &mut World, at: &At, stage: &str, (gate, rule): (Gate, &str), outcome: &ActionOutcome) {
    let now = world.now();
    let unfinished = |execution: &&mut Execution| execution.status.is_unfinished();
    let executions = world.pipelines_mut(at).executions_mut(&at.region, &at.pipeline);
    let runs = executions.iter_mut().filter(unfinished).filter_map(|execution| execution.stages.last_mut());
    let checks = runs.filter(|run| run.name == stage).flat_map(|run| run.checks.iter_mut());
    for run in checks.filter(|check| check.gate == gate).flat_map(|check| check.rules.iter_mut()) {
        if run.name == rule && run.status == ActionStatus::InProgress {
            run.end(outcome.clone().outcome(), now);
        }
    }
    walk(world, at);
}
