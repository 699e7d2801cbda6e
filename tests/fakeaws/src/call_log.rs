//! What was called, by whom, with which rights and outcome.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Calls kept; a process that serves for days forgets the oldest.
const KEPT: usize = 200_000;

/// One call as it was answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// When, by the double's clock.
    pub time: Timestamp,
    /// The caller's account; empty if the credentials were refused.
    pub account: String,
    /// The caller as `GetCallerIdentity` shows it; the access key if the credentials were refused.
    pub caller: String,
    /// The IAM prefix of the service: `sts`, `iam`, `lambda` or `codepipeline`.
    pub service: String,
    /// The region of the credential scope.
    pub region: String,
    /// The operation's name, such as `PutRolePolicy`.
    pub operation: String,
    /// The ARN that the call was first authorised on, if it came that far.
    pub resource: Option<String>,
    /// `OK`, or the error code of the answer, or `Dropped` (applied, and no answer sent).
    pub outcome: String,
    /// Every right that was asked for, in order.
    pub authorised: Vec<Authorisation>,
    /// Whether the operation changes anything in AWS when it succeeds.
    pub mutating: bool,
}

/// One right that a call needed.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Authorisation {
    /// The IAM action, such as `iam:PutRolePolicy`.
    pub action: String,
    /// The ARN it was judged on, or `*`.
    pub resource: String,
}

/// Calls per account and `service:Operation`.
pub type Counters = BTreeMap<String, BTreeMap<String, u64>>;

/// The log and the counters, which are reset separately.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    calls: VecDeque<Call>,
    counters: Counters,
}

impl CallLog {
    pub(crate) fn record(&mut self, call: Call) {
        let operation = format!("{}:{}", call.service, call.operation);
        *self.counters.entry(call.account.clone()).or_default().entry(operation).or_default() += 1;
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn reset_counters(&mut self) {
        self.counters.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.calls.clear();
    }
}

/// Whether an operation changes AWS's state. `AssumeRole` issues a session and changes nothing that anybody can read.
pub(crate) fn is_mutating(operation: &str) -> bool {
    !(operation.starts_with("Get") || operation.starts_with("List") || operation == "AssumeRole")
}
