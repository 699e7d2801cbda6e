//! Knobs that tests turn: injected faults and propagation lags.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{error::ServiceError, state::Service};

/// A fault for some calls of an operation. Calls that match are counted from the moment the fault is set.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The operation's name, such as `UpdatePipeline`, or `*`.
    pub operation: String,
    /// Only calls of callers of this account; `None` is every account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only calls whose request body (form values decoded) holds this text, such as a role's name.
    #[serde(default)]
    pub containing: Option<String>,
    /// The first matching call that it hits, from 1.
    #[serde(default = "one")]
    pub nth: u64,
    /// How many calls it hits from there on; `None` is all of them until the faults are cleared.
    #[serde(default = "once")]
    pub count: Option<u64>,
    /// What happens to these calls.
    pub effect: Effect,
}

fn one() -> u64 {
    1
}

#[allow(clippy::unnecessary_wraps, reason = "serde wants the member's type")]
fn once() -> Option<u64> {
    Some(1)
}

impl Fault {
    /// The next matching call only.
    #[must_use]
    pub fn next(operation: impl Into<String>, effect: Effect) -> Self {
        Self { operation: operation.into(), account: None, containing: None, nth: 1, count: Some(1), effect }
    }

    /// The `nth` matching call from now, from 1.
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        Self { nth, ..self }
    }

    /// This many calls in a row.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// Every call until the faults are cleared.
    #[must_use]
    pub fn always(self) -> Self {
        Self { count: None, ..self }
    }

    /// Only callers of this account.
    #[must_use]
    pub fn by_account(self, account: impl Into<String>) -> Self {
        Self { account: Some(account.into()), ..self }
    }

    /// Only requests that hold this text.
    #[must_use]
    pub fn containing(self, text: impl Into<String>) -> Self {
        Self { containing: Some(text.into()), ..self }
    }
}

/// What a fault does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// Answers this error; nothing is applied.
    Fail {
        /// The wire code.
        code: String,
        /// The text.
        #[serde(default)]
        message: String,
        /// The HTTP status.
        #[serde(default = "bad_request")]
        status: u16,
    },
    /// Waits in real time before the call is looked at.
    Delay {
        /// How long.
        milliseconds: u64,
    },
    /// Answers the service's own throttling error; nothing is applied.
    Throttle,
    /// Applies the call, then closes the connection without an answer, as a network may: AWS promises nothing of the
    /// answer (AWS SDKs and Tools Reference Guide, retry behaviour).
    DropAfterApplying,
}

fn bad_request() -> u16 {
    400
}

impl Effect {
    /// An error answer before anything is applied.
    #[must_use]
    pub fn fail(code: impl Into<String>, message: impl Into<String>, status: u16) -> Self {
        Self::Fail { code: code.into(), message: message.into(), status }
    }
}

/// How far AWS lags behind its own writes (IAM User Guide, "Changes that I make are not always immediately visible":
/// no bound is given; others measured two seconds to a minute). Both count in the double's time, so advancing the clock ends them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Propagation {
    /// Reads of IAM and of pipelines' declarations show what was there this long ago, in milliseconds; an hour at most.
    #[serde(default)]
    pub reads_milliseconds: u64,
    /// `AssumeRole` and the check of a pipeline's role judge trust and identity policies of this long ago, in
    /// milliseconds; an hour at most.
    #[serde(default)]
    pub authorisation_milliseconds: u64,
}

/// How `GetAccountAuthorizationDetails` answers where AWS does not say, or may: the defaults are the least that it may show.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkAnswers {
    /// Whether roles have their boundary. The service model says so; awsdocs/iam-user-guide #81 says that AWS leaves it out,
    /// noqdev/iambic #217 takes it from there.
    #[serde(default)]
    pub with_boundaries: bool,
    /// By how much it lags behind single reads, in milliseconds, beyond their own lag. AWS names no bound for either.
    #[serde(default)]
    pub lag_milliseconds: u64,
    /// The most roles of a page, however many are asked for (API reference: IAM "might return fewer").
    #[serde(default)]
    pub page: Option<usize>,
    /// Names of roles that it does not have yet.
    #[serde(default)]
    pub lacking: std::collections::BTreeSet<String>,
}

/// At most so many calls at once, refilled over time: a token bucket per caller's account and service.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Calls that may come at once.
    pub burst: f64,
    /// Calls per second after that.
    pub per_second: f64,
}

/// What the faults say about one call.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) error: Option<ServiceError>,
    pub(crate) dropped: bool,
}

#[derive(Debug)]
struct ActiveFault {
    fault: Fault,
    seen: u64,
}

/// All knobs of a double.
#[derive(Debug, Default)]
pub(crate) struct Knobs {
    faults: Vec<ActiveFault>,
    pub(crate) propagation: Propagation,
    pub(crate) bulk_answers: BulkAnswers,
    pub(crate) rate_limit: Option<RateLimit>,
    /// What becomes of the Lambda actions of a pipeline that is updated.
    pub(crate) kept_as: Option<serde_json::Value>,
    buckets: std::collections::BTreeMap<(String, Service), (jiff::Timestamp, f64)>,
}

impl Knobs {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.faults.push(ActiveFault { fault, seen: 0 });
    }

    /// All of them, or those that are for requests which hold this text.
    pub(crate) fn clear_faults(&mut self, containing: Option<&str>) {
        self.faults.retain(|active| containing.is_some() && active.fault.containing.as_deref() != containing);
    }

    pub(crate) fn limit_rate(&mut self, limit: Option<RateLimit>) {
        self.rate_limit = limit;
        self.buckets.clear();
    }

    /// Counts this call against every fault that matches and says what happens to it.
    pub(crate) fn judge(&mut self, service: Service, operation: &str, account: &str, body: &str) -> Verdict {
        let mut verdict = Verdict::default();
        for ActiveFault { fault, seen } in &mut self.faults {
            let matches = (fault.operation == "*" || fault.operation == operation)
                && fault.account.as_deref().is_none_or(|wanted| wanted == account)
                && fault.containing.as_deref().is_none_or(|text| body.contains(text));
            if !matches {
                continue;
            }
            *seen += 1;
            if *seen < fault.nth || fault.count.is_some_and(|count| *seen >= fault.nth.saturating_add(count)) {
                continue;
            }
            match &fault.effect {
                Effect::Fail { code, message, status } => {
                    verdict.error = Some(ServiceError::new(code, message).with_status(*status));
                }
                Effect::Delay { milliseconds } => verdict.delay += Duration::from_millis(*milliseconds),
                Effect::Throttle => verdict.error = Some(service.throttled()),
                Effect::DropAfterApplying => verdict.dropped = true,
            }
        }
        verdict
    }

    /// Takes a token of the caller's bucket; an error if there is none.
    pub(crate) fn take_token(
        &mut self,
        now: jiff::Timestamp,
        service: Service,
        account: &str,
    ) -> Result<(), ServiceError> {
        let Some(limit) = self.rate_limit else { return Ok(()) };
        let (since, tokens) = self.buckets.entry((account.to_owned(), service)).or_insert((now, limit.burst));
        let refilled = (now.duration_since(*since).as_secs_f64().mul_add(limit.per_second, *tokens)).min(limit.burst);
        *since = now;
        if refilled < 1.0 {
            *tokens = refilled;
            return Err(service.throttled());
        }
        *tokens = refilled - 1.0;
        Ok(())
    }
}
