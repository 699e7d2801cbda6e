//! Whether a pipeline may be written: whether something runs on it, and whether somebody may still want to retry what failed.

use std::time::Duration;

use jiff::Timestamp;

use super::stage_states::{self, StageState};

/// An execution as `ListPipelineExecutions` shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// What CodePipeline says of it, such as `InProgress`.
    pub status: String,
    /// Where it stands.
    pub standing: Standing,
    /// When it began, where AWS says.
    pub started: Option<Timestamp>,
    /// When it changed last, where AWS says.
    pub updated: Option<Timestamp>,
}

impl Execution {
    /// Whether an update would cancel it.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.standing == Standing::Unfinished
    }
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// An update would cancel it, or may: a status that nobody knows yet may be that of a run.
    Unfinished,
    /// It failed or was stopped, so that its stage can be retried until the pipeline is updated.
    Retryable,
    /// It is over.
    Over,
}

/// What was asked about a pipeline right before a write.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Occupancy {
    /// The stages. A pipeline in PARALLEL mode shows nothing of its executions there.
    pub stages: Vec<StageState>,
    /// The newest executions, newest first.
    pub executions: Vec<Execution>,
    /// Whether there may be older executions that run, which the stages do not show.
    pub not_looked_through: bool,
}

/// Whether the pipeline may be written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may.
    Free,
    /// This execution would be cancelled.
    Busy {
        /// Its id.
        execution: String,
        /// What CodePipeline says of it.
        status: String,
        /// What it waits for, in words, where the state shows it.
        waits_for: Option<String>,
    },
    /// Older executions have to be looked through first: the state of this pipeline does not show which of them run.
    NotLookedThrough,
    /// This execution could no longer be retried.
    Held {
        /// Its id.
        execution: String,
        /// `Failed` or `Stopped`.
        status: String,
        /// The stage that can be retried, where the state shows it.
        stage: Option<String>,
        /// Until when somebody may want to.
        until: Timestamp,
    },
}

impl Occupancy {
    /// Judges it. `is_ours` tells of a stage and action whether the action is ours: an execution that our own gates stopped is
    /// held for nobody.
    #[must_use]
    pub fn verdict(&self, now: Timestamp, hold: Duration, is_ours: impl Fn(&str, &str) -> bool) -> Verdict {
        if let Some((execution, status)) = self.unfinished() {
            let waits_for = stage_states::waits_for(&self.stages, &execution).map(|waiting| waiting.to_string());
            return Verdict::Busy { execution, status, waits_for };
        }
        if self.not_looked_through {
            return Verdict::NotLookedThrough;
        }
        let newest = self.executions.first().filter(|newest| newest.standing == Standing::Retryable);
        let Some(newest) = newest else { return Verdict::Free };
        // Without a time it is not known how long ago that was.
        let until = newest.updated.map_or(now + hold, |updated| updated + hold);
        if hold.is_zero() || until <= now || self.only_ours_failed(&newest.id, is_ours) {
            return Verdict::Free;
        }
        let stage = self.stages.iter().find(|stage| stage.is_retryable(&newest.id)).map(|stage| stage.name.clone());
        Verdict::Held { execution: newest.id.clone(), status: newest.status.clone(), stage, until }
    }

    /// An execution that is not over: of the newest, or, of a run that has waited for long, in a stage.
    fn unfinished(&self) -> Option<(String, String)> {
        let listed = self.executions.iter().find(|execution| execution.is_unfinished());
        let listed = listed.map(|execution| (execution.id.clone(), execution.status.clone()));
        let is_listed = |id: &String| self.executions.iter().any(|execution| execution.id == *id);
        let in_stage = || {
            let present = self.stages.iter().flat_map(|stage| stage.inside.iter().chain(&stage.inbound));
            // One that is listed as over has left its stage, which the state may show late.
            present.filter(|id| !is_listed(id)).map(|id| (id.clone(), "in progress".to_owned())).next()
        };
        listed.or_else(in_stage)
    }

    fn only_ours_failed(&self, execution: &str, is_ours: impl Fn(&str, &str) -> bool) -> bool {
        let stages = self.stages.iter().filter(|stage| stage.is_retryable(execution));
        let mut failed = stages
            .flat_map(|stage| stage.failed.iter().map(|action| (stage.name.as_str(), action.as_str())))
            .peekable();
        failed.peek().is_some() && failed.all(|(stage, action)| is_ours(stage, action))
    }
}
