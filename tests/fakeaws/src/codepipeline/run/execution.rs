//! Executions, their stages and their actions, as data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{checks::Check, rollback::Rollback};
use crate::{
    codepipeline::{gates::Gate, state::Status},
    wire::request_id,
};

/// Which pipeline.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct At {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) pipeline: String,
}

impl At {
    pub(crate) fn new(account: &str, region: &str, pipeline: &str) -> Self {
        Self { account: account.to_owned(), region: region.to_owned(), pipeline: pipeline.to_owned() }
    }
}

/// Which run of an action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) at: At,
    /// Id of the execution.
    pub(crate) execution: String,
    /// Id of the run of the action.
    pub(crate) action: String,
}

/// How executions of one pipeline get along (User Guide, "How pipeline executions work").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// A waiting execution is superseded by a more recent one.
    Superseded,
    /// Executions wait for a stage in the order in which they came.
    Queued,
    /// Executions do not wait for each other.
    Parallel,
}

impl Mode {
    /// The mode of a declaration.
    pub(crate) fn of(declaration: &Value) -> Self {
        match declaration["executionMode"].as_str() {
            Some("QUEUED") => Self::Queued,
            Some("PARALLEL") => Self::Parallel,
            _ => Self::Superseded,
        }
    }
}

/// One execution of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) id: String,
    pub(crate) status: Status,
    pub(crate) summary: Option<String>,
    pub(crate) started: Timestamp,
    pub(crate) updated: Timestamp,
    /// The version of the pipeline that it runs.
    pub(crate) version: usize,
    /// The stages it has entered, in order. One that is still running is the last.
    pub(crate) stages: Vec<StageRun>,
    pub(crate) trigger: Value,
    pub(crate) stop_reason: Option<String>,
    /// The pipeline's variables with the values that this execution has.
    pub(crate) variables: BTreeMap<String, String>,
    /// Identifies the request that started it: a repeated one starts nothing.
    pub(crate) token: Option<String>,
    /// Whether it walks through its stages by itself; otherwise it is moved by hand.
    pub(crate) walks: bool,
    /// What it goes back to, if its type is ROLLBACK.
    pub(crate) rollback: Option<Rollback>,
    /// Output variables by namespace that it has from the execution it goes back to.
    pub(crate) inherited: BTreeMap<String, BTreeMap<String, String>>,
}

/// A stage that an execution has entered.
#[derive(Clone, Debug)]
pub(crate) struct StageRun {
    pub(crate) name: String,
    pub(crate) status: Status,
    /// The runs of its actions in the order of their beginning; an action that was retried has several.
    pub(crate) actions: Vec<ActionRun>,
    /// The conditions that were checked.
    pub(crate) checks: Vec<Check>,
    pub(crate) retries: Retries,
}

/// How often a stage was tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Retries {
    pub(crate) automatic: u32,
    pub(crate) manual: u32,
    /// `AutomatedStageRetry` or `ManualStageRetry`.
    pub(crate) latest: Option<&'static str>,
}

/// What a run of an action is doing (API reference, `ActionExecution`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ActionStatus {
    InProgress,
    Succeeded,
    Failed,
    Abandoned,
}

impl ActionStatus {
    /// As on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Abandoned => "Abandoned",
        }
    }

    /// What an action was or is doing in a stage that was moved by hand.
    pub(crate) fn of_stage(status: Status) -> Self {
        match status {
            Status::InProgress | Status::Stopping => Self::InProgress,
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::Failed,
            Status::Stopped | Status::Cancelled | Status::Superseded | Status::Skipped => Self::Abandoned,
        }
    }
}

/// One run of an action.
#[derive(Clone, Debug)]
pub(crate) struct ActionRun {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: ActionStatus,
    pub(crate) started: Timestamp,
    pub(crate) updated: Timestamp,
    /// ARN of the person who approved or rejected.
    pub(crate) updated_by: Option<String>,
    /// The member `input` of `ListActionExecutions`.
    pub(crate) input: Value,
    pub(crate) namespace: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) error: Option<Failure>,
    pub(crate) output_variables: BTreeMap<String, String>,
    /// What it waits for while it is in progress.
    pub(crate) waits_for: WaitsFor,
    /// Identifies its approval request, answered or not.
    pub(crate) approval_token: Option<String>,
    /// A later run takes its place.
    pub(crate) retried: bool,
}

/// Why an action failed, as `errorDetails` shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// The member `errorDetails`.
    pub(crate) fn shown(&self) -> Value {
        json!({"code": self.code, "message": self.message})
    }
}

/// What an action that is in progress waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum WaitsFor {
    /// Nothing: it is over.
    Nothing,
    /// An admin command.
    Release,
    /// A person.
    Approval {
        /// Identifies the request.
        token: String,
        /// When it fails for want of an answer.
        until: Timestamp,
    },
    /// The result of a job.
    Job {
        /// The job's id.
        id: String,
    },
}

/// How an action ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Succeeded(BTreeMap<String, String>),
    Failed(Failure),
}

impl ActionRun {
    /// A run that begins.
    pub(crate) fn new(name: &str, input: Value, now: Timestamp) -> Self {
        Self {
            id: request_id(),
            name: name.to_owned(),
            status: ActionStatus::InProgress,
            started: now,
            updated: now,
            updated_by: None,
            namespace: input["namespace"].as_str().map(str::to_owned),
            input,
            external_id: None,
            summary: None,
            error: None,
            output_variables: BTreeMap::new(),
            waits_for: WaitsFor::Nothing,
            approval_token: None,
            retried: false,
        }
    }

    /// Ends the run.
    pub(crate) fn end(&mut self, outcome: Outcome, now: Timestamp) {
        self.updated = now;
        self.waits_for = WaitsFor::Nothing;
        match outcome {
            Outcome::Succeeded(variables) => {
                self.status = ActionStatus::Succeeded;
                self.output_variables = variables;
            }
            Outcome::Failed(failure) => {
                self.status = ActionStatus::Failed;
                self.error = Some(failure);
            }
        }
    }
}

impl StageRun {
    pub(crate) fn new(name: &str, status: Status) -> Self {
        let (actions, checks) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), status, actions, checks, retries: Retries::default() }
    }

    /// A gate as it was checked.
    pub(crate) fn check(&self, gate: Gate) -> Option<&Check> {
        self.checks.iter().rev().find(|check| check.gate == gate)
    }

    /// Runs again what failed, or (`all`) everything; the conditions that did not let it through are checked again.
    pub(crate) fn retry(&mut self, all: bool) {
        for action in &mut self.actions {
            action.retried |= all || action.status != ActionStatus::Succeeded;
        }
        self.checks.retain(|check| check.gate == Gate::BeforeEntry && check.status() == ActionStatus::Succeeded);
        self.status = Status::InProgress;
    }

    /// The run of an action that counts.
    pub(crate) fn action(&self, name: &str) -> Option<&ActionRun> {
        self.actions.iter().rev().find(|run| run.name == name && !run.retried)
    }
}

impl Execution {
    pub(crate) fn new(version: usize, now: Timestamp, trigger: Value) -> Self {
        Self {
            id: request_id(),
            status: Status::InProgress,
            summary: None,
            started: now,
            updated: now,
            version,
            stages: Vec::new(),
            trigger,
            stop_reason: None,
            variables: BTreeMap::new(),
            token: None,
            walks: false,
            rollback: None,
            inherited: BTreeMap::new(),
        }
    }

    /// `STANDARD` or `ROLLBACK`.
    pub(crate) fn kind(&self) -> &'static str {
        if self.rollback.is_some() { "ROLLBACK" } else { "STANDARD" }
    }

    /// Puts the execution into a stage, after the stages before it, or (`None`) between two stages, after the ones
    /// that it has entered.
    pub(crate) fn stand(&mut self, stage_names: &[&str], stage: Option<&str>) {
        let succeeded = |names: &[&str]| names.iter().map(|name| StageRun::new(name, Status::Succeeded)).collect();
        match stage.and_then(|stage| stage_names.iter().position(|name| *name == stage)) {
            Some(at) => {
                self.stages = succeeded(&stage_names[..at]);
                self.stages.push(StageRun::new(stage_names[at], self.status));
            }
            // Between two stages at least the first is over.
            None if self.stages.is_empty() => self.stages = succeeded(&stage_names[..stage_names.len().min(1)]),
            None => self.stages.iter_mut().for_each(|stage| stage.status = Status::Succeeded),
        }
    }

    /// Gives the execution, and the stage that it is running, another status.
    pub(crate) fn turn(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        self.updated = now;
        if let Some(stage) = self.stages.last_mut().filter(|stage| stage.status.is_unfinished()) {
            stage.status = status;
        }
    }

    /// The stage that it is running; between two stages there is none.
    pub(crate) fn stage(&self) -> Option<&StageRun> {
        self.stages.last().filter(|stage| stage.status.is_unfinished())
    }

    /// Output variables of its actions by namespace.
    pub(crate) fn outputs(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut outputs = self.inherited.clone();
        for (_, run) in self.runs().filter(|(_, run)| run.status == ActionStatus::Succeeded) {
            if let Some(namespace) = &run.namespace {
                outputs.insert(namespace.clone(), run.output_variables.clone());
            }
        }
        outputs
    }

    /// Gives up the actions and rules that are in progress. Returns the jobs that nobody waits for any more.
    pub(crate) fn abandon_actions(&mut self, now: Timestamp) -> Vec<String> {
        self.stages.iter_mut().flat_map(|stage| &mut stage.checks).for_each(|check| check.abandon(now));
        let running = self.runs_mut().filter(|run| run.status == ActionStatus::InProgress);
        let abandoned = running.filter_map(|run| {
            run.status = ActionStatus::Abandoned;
            run.updated = now;
            match std::mem::replace(&mut run.waits_for, WaitsFor::Nothing) {
                WaitsFor::Job { id } => Some(id),
                _ => None,
            }
        });
        abandoned.collect()
    }

    /// All runs of actions, oldest first.
    pub(crate) fn runs(&self) -> impl DoubleEndedIterator<Item = (&StageRun, &ActionRun)> {
        self.stages.iter().flat_map(|stage| stage.actions.iter().map(move |run| (stage, run)))
    }

    /// The same, to be changed.
    pub(crate) fn runs_mut(&mut self) -> impl Iterator<Item = &mut ActionRun> {
        self.stages.iter_mut().flat_map(|stage| stage.actions.iter_mut())
    }

    /// As the history of a snapshot shows it.
    pub(crate) fn history(&self) -> Value {
        let shown_run = |run: &ActionRun| {
            let mut shown = json!({"name": run.name, "id": run.id, "status": run.status.as_str()});
            if let Some(failure) = &run.error {
                shown["error"] = failure.shown();
            }
            if !run.output_variables.is_empty() {
                shown["outputVariables"] = json!(run.output_variables);
            }
            shown
        };
        let shown_stage = |stage: &StageRun| {
            let mut shown = json!({"name": stage.name, "status": stage.status.as_str()});
            if !stage.actions.is_empty() {
                shown["actions"] = stage.actions.iter().map(shown_run).collect();
            }
            shown
        };
        json!({
            "id": self.id,
            "status": self.status.as_str(),
            "version": self.version,
            "stages": self.stages.iter().map(shown_stage).collect::<Vec<_>>(),
        })
    }
}
