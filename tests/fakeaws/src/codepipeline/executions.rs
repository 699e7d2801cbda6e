//! Executions: started through the API or put by hand. They stand still until they are moved.

use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::store::Pipeline;

/// Where an execution stands (API reference, PipelineExecution status).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    Cancelled,
    InProgress,
    Stopped,
    Stopping,
    Succeeded,
    Superseded,
    Failed,
}

impl Status {
    const ALL: [Self; 7] = [
        Self::Cancelled,
        Self::InProgress,
        Self::Stopped,
        Self::Stopping,
        Self::Succeeded,
        Self::Superseded,
        Self::Failed,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "Cancelled",
            Self::InProgress => "InProgress",
            Self::Stopped => "Stopped",
            Self::Stopping => "Stopping",
            Self::Succeeded => "Succeeded",
            Self::Superseded => "Superseded",
            Self::Failed => "Failed",
        }
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::InProgress | Self::Stopping)
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|status| status.name() == name);
        found.ok_or_else(|| format!("{name:?} is not an execution's status"))
    }
}

/// One execution.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) summary: Option<String>,
    /// The stage that it is in; `None` is between two stages, or over.
    pub(super) stage: Option<String>,
    pub(super) version: usize,
    pub(super) started: Timestamp,
    pub(super) updated: Timestamp,
}

impl Execution {
    /// For the snapshot: ids and times differ from run to run and are left out.
    pub(super) fn shown(&self) -> Value {
        json!({"status": self.status.name(), "stage": self.stage, "pipelineVersion": self.version})
    }
}

impl Pipeline {
    /// Makes an execution, or changes the one with this id.
    pub(super) fn put_execution(
        &mut self,
        id: Option<String>,
        status: Status,
        stage: Option<String>,
        now: Timestamp,
    ) -> Result<String, String> {
        if let Some(stage) = stage.as_deref().filter(|stage| !self.has_stage(stage)) {
            return Err(format!("there is no stage {stage}"));
        }
        if let Some(id) = id {
            let execution = self.executions.iter_mut().find(|execution| execution.id == id);
            let execution = execution.ok_or_else(|| format!("there is no execution {id}"))?;
            (execution.status, execution.stage, execution.updated) = (status, stage, now);
            return Ok(id);
        }
        let id = crate::wire::request_id();
        let version = self.version();
        let execution = Execution { id: id.clone(), status, summary: None, stage, version, started: now, updated: now };
        self.executions.insert(0, execution);
        Ok(id)
    }

    fn has_stage(&self, name: &str) -> bool {
        let stages = self.current().declaration.get("stages").and_then(Value::as_array);
        stages.into_iter().flatten().any(|stage| stage.get("name").and_then(Value::as_str) == Some(name))
    }
}
