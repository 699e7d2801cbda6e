//! Jobs: what `CodePipeline` waits for from functions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::execution::{At, Place};
use crate::lambda::FunctionAt;

/// One job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The action that waits for it.
    pub(super) place: Place,
    /// The function that got it; its account and region are the job's.
    pub(super) function: FunctionAt,
    /// ARN of the role that the function had when it was invoked.
    pub(super) execution_role: String,
    /// When the action fails for want of an answer.
    pub(super) deadline: Timestamp,
    /// When it fails in spite of continuation tokens.
    pub(super) until: Timestamp,
    /// Whether a result is still taken.
    pub(super) is_open: bool,
}

/// All jobs by id. What is over stays known, so that a second callback can be told from a wrong one.
#[derive(Debug, Default)]
pub(crate) struct Jobs(BTreeMap<String, Job>);

impl Jobs {
    pub(super) fn open(&mut self, id: &str, job: Job) {
        self.0.insert(id.to_owned(), job);
    }

    pub(super) fn get(&self, id: &str) -> Option<&Job> {
        self.0.get(id)
    }

    /// Takes no result any more.
    pub(super) fn close(&mut self, id: &str) {
        if let Some(job) = self.0.get_mut(id) {
            job.is_open = false;
        }
    }

    /// Takes no result for any of them any more.
    pub(crate) fn close_all(&mut self, ids: &[String]) {
        for id in ids {
            self.close(id);
        }
    }

    /// Forgets the jobs of a pipeline that is gone.
    pub(crate) fn forget(&mut self, at: &At) {
        self.0.retain(|_, job| job.place.at != *at);
    }

    /// Open jobs with the moment at which they end without an answer.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (&str, &Job, Timestamp)> {
        let open = self.0.iter().filter(|(_, job)| job.is_open);
        open.map(|(id, job)| (id.as_str(), job, job.deadline.min(job.until)))
    }
}
