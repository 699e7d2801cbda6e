//! Asynchronous invocations as data. Lambda Developer Guide, "Invoking a function asynchronously": an event whose
//! delivery ends with an error is delivered again one minute and then two minutes later, and may come twice anyway.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// Which function.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FunctionAt {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) name: String,
}

/// How long an event waits after its first and second delivery have failed.
const RETRIES: [SignedDuration; 2] = [SignedDuration::from_mins(1), SignedDuration::from_mins(2)];

/// Events kept; a process that serves for days forgets the oldest that are over.
const KEPT: usize = 10_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Due(Timestamp),
    Running,
    Over,
}

#[derive(Debug)]
struct Attempt {
    at: Timestamp,
    /// `OK`, or the error.
    outcome: String,
    log: String,
}

#[derive(Debug)]
struct Invocation {
    key: u64,
    request: String,
    function: FunctionAt,
    event: Value,
    attempts: Vec<Attempt>,
    state: State,
}

/// One delivery of an event.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    key: u64,
    /// The request id that the function sees.
    pub(crate) request: String,
    pub(crate) function: FunctionAt,
    pub(crate) event: Value,
    /// How often the event was delivered before.
    pub(crate) earlier: usize,
}

/// How a delivery ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Ended {
    /// The error that was raised, if one was.
    pub(crate) result: Result<(), String>,
    /// What the function wrote.
    pub(crate) log: String,
}

/// All events, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Invocations {
    all: Vec<Invocation>,
    last_key: u64,
}

impl Invocations {
    /// Takes an event.
    pub(super) fn push(&mut self, function: FunctionAt, request: String, event: Value, now: Timestamp) {
        self.last_key += 1;
        let key = self.last_key;
        if self.all.len() >= KEPT {
            let over = self.all.iter().position(|invocation| invocation.state == State::Over);
            over.map(|oldest| self.all.remove(oldest));
        }
        let state = State::Due(now);
        self.all.push(Invocation { key, request, function, event, attempts: Vec::new(), state });
    }

    /// Delivers the latest event of a function once more, as Lambda may at any time.
    pub(super) fn repeat(&mut self, function: &FunctionAt, now: Timestamp) -> Result<(), String> {
        let latest = self.all.iter().rev().find(|invocation| invocation.function == *function);
        let (request, event) = latest
            .map(|latest| (latest.request.clone(), latest.event.clone()))
            .ok_or_else(|| format!("the function {} was not invoked yet", function.name))?;
        self.push(function.clone(), request, event, now);
        Ok(())
    }

    /// The deliveries that are due. They are running from now on.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<Delivery> {
        let due = self.all.iter_mut().filter(|invocation| matches!(invocation.state, State::Due(at) if at <= now));
        due.map(|invocation| {
            invocation.state = State::Running;
            Delivery {
                key: invocation.key,
                request: invocation.request.clone(),
                function: invocation.function.clone(),
                event: invocation.event.clone(),
                earlier: invocation.attempts.len(),
            }
        })
        .collect()
    }

    /// Notes how a delivery ended; after an error there may be another one.
    pub(crate) fn end(&mut self, delivery: &Delivery, ended: Ended, now: Timestamp) {
        let Some(invocation) = self.all.iter_mut().find(|invocation| invocation.key == delivery.key) else { return };
        let failed = ended.result.is_err();
        let outcome = ended.result.err().unwrap_or_else(|| "OK".to_owned());
        let retry = RETRIES.get(invocation.attempts.len()).filter(|_| failed);
        invocation.attempts.push(Attempt { at: now, outcome, log: ended.log });
        invocation.state = retry.map_or(State::Over, |wait| State::Due(now + *wait));
    }

    /// The next moment at which a delivery is due.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let due = self.all.iter().filter_map(|invocation| match invocation.state {
            State::Due(at) => Some(at),
            _ => None,
        });
        due.min()
    }

    /// Whether a function is running.
    pub(crate) fn are_running(&self) -> bool {
        self.all.iter().any(|invocation| invocation.state == State::Running)
    }

    /// Region → function → events with their deliveries. The events themselves hold credentials and are left out.
    pub(crate) fn history(&self, account: &str) -> Value {
        let mut regions = Map::new();
        for invocation in self.all.iter().filter(|invocation| invocation.function.account == account) {
            let attempts = invocation
                .attempts
                .iter()
                .map(|attempt| json!({"time": attempt.at.to_string(), "outcome": attempt.outcome, "log": attempt.log}));
            let mut shown = json!({
                "requestId": invocation.request,
                "jobId": invocation.event["CodePipeline.job"]["id"],
                "deliveries": attempts.collect::<Vec<_>>(),
            });
            match invocation.state {
                State::Due(at) => shown["due"] = json!(at.to_string()),
                State::Running => shown["running"] = json!(true),
                State::Over => {}
            }
            let FunctionAt { region, name, .. } = &invocation.function;
            let of_region = regions.entry(region).or_insert_with(|| json!({}));
            match &mut of_region[name] {
                Value::Array(all) => all.push(shown),
                first => *first = json!([shown]),
            }
        }
        Value::Object(regions)
    }
}
