//! Conditions as kstatus, Argo CD and Flux read them: a function of what they said, what a look at AWS came to, and the
//! time.
//!
//! `Ready` sums up and is always there. `Reconciling` and `Stalled` are there only while they are True, and never both. A
//! look that failed says nothing about what it could not see: `Ready` stays True through it, from the second failed look in
//! a row `Reconciling` says what failed, and after three intervals without a complete look `Ready` is Unknown.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::validate::DEFAULT_INTERVAL;
use crate::api::{
    BulkReadsReason, ContestedReason, DriftReason, GrantsReason, Reason, ReasonClass,
    condition::{BULK_READS, CONTESTED, DRIFTED, GRANTS_MATCHED, READY, RECONCILING, STALLED},
};

/// Bytes of a condition's message; the API server refuses more.
const MESSAGE_MAX: usize = 32_768;
/// Intervals without a complete look after which `Ready` is Unknown.
const INTERVALS_WITHOUT_A_LOOK: u32 = 3;
/// How old the recorded time of the last look may be before it alone is worth a write.
const RECORDED_AT_LEAST_EVERY: Duration = Duration::from_hours(1);

/// What a status says so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Its conditions.
    pub conditions: &'a [Condition],
    /// The generation that it is about.
    pub observed_generation: Option<i64>,
    /// The end of the last complete look that it records.
    pub last_checked: Option<Timestamp>,
}

/// What a look came to.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Why the object is in its state.
    pub reason: Reason,
    /// In words.
    pub message: &'a str,
    /// The generation of the spec that was looked at.
    pub generation: i64,
    /// How often AWS is compared.
    pub interval: Duration,
    /// Looks in a row that failed, this one included, as far as this process knows.
    pub failures: u32,
    /// The end of the last complete look, as [`last_look`] knows it.
    pub last_look: Timestamp,
    /// The time.
    pub now: Timestamp,
}

impl<'a> Look<'a> {
    /// A look whose outcome does not depend on earlier ones.
    #[must_use]
    pub fn certain(reason: Reason, message: &'a str, generation: i64, now: Timestamp) -> Self {
        Self { reason, message, generation, interval: DEFAULT_INTERVAL, failures: 0, last_look: now, now }
    }
}

/// `Ready` and, while they are True, `Reconciling` and `Stalled`. Transition times move only where the status does.
#[must_use]
pub fn after(known: &Known<'_>, look: &Look<'_>) -> Vec<Condition> {
    let is_current = known.observed_generation == Some(look.generation);
    if look.reason.is_failed_look() && is_current {
        if find(known.conditions, READY).is_some_and(|ready| ready.reason == Reason::NotChecked.to_string()) {
            return not_checked(known, look);
        }
        if let Some(ready) = find(known.conditions, READY).filter(|ready| ready.status == "True") {
            if not_checked_at(look) <= look.now {
                return not_checked(known, look);
            }
            let is_reported = look.failures > 1 || is_true(known.conditions, RECONCILING);
            let failing = is_reported.then(|| condition(known.conditions, RECONCILING, "True", look.reason, look));
            return std::iter::once(ready.clone()).chain(failing).collect();
        }
        if is_true(known.conditions, STALLED) && look.failures < 2 {
            let kept = known.conditions.iter().filter(|known| [READY, STALLED].contains(&known.type_.as_str()));
            return kept.cloned().collect();
        }
    }
    of_reason(known.conditions, look.reason, look)
}

fn not_checked(known: &Known<'_>, look: &Look<'_>) -> Vec<Condition> {
    let message = format!("AWS was last compared completely at {}: {}", look.last_look, look.message);
    of_reason(known.conditions, Reason::NotChecked, &Look { message: &message, ..*look })
}

fn of_reason(known: &[Condition], reason: Reason, look: &Look<'_>) -> Vec<Condition> {
    let (ready, other) = match reason.class() {
        ReasonClass::Ready => ("True", None),
        // Not False: what worked may well work on while something is corrected.
        ReasonClass::Reconciling => ("Unknown", Some(RECONCILING)),
        ReasonClass::Stalled => ("False", Some(STALLED)),
    };
    let ready = condition(known, READY, ready, reason, look);
    std::iter::once(ready).chain(other.map(|kind| condition(known, kind, "True", reason, look))).collect()
}

/// The condition that says whether AWS differs from what was last seen in place.
#[must_use]
pub fn drifted(known: &[Condition], reason: DriftReason, message: &str, generation: i64, now: Timestamp) -> Condition {
    made(known, (DRIFTED, reason.status()), (&reason.to_string(), message), generation, now)
}

/// The condition that says what comes back after each correction.
#[must_use]
pub fn contested(
    known: &[Condition],
    reason: ContestedReason,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Condition {
    made(known, (CONTESTED, "True"), (&reason.to_string(), message), generation, now)
}

/// The condition that says whether an account's grants reach anybody.
#[must_use]
pub fn grants(known: &[Condition], reason: GrantsReason, message: &str, generation: i64, now: Timestamp) -> Condition {
    let status = if reason == GrantsReason::Matched { "True" } else { "False" };
    made(known, (GRANTS_MATCHED, status), (&reason.to_string(), message), generation, now)
}

/// The condition that says whether everything in an account is read at once: as it is known, or else as it was said.
#[must_use]
pub fn bulk_reads(
    known: &[Condition],
    now_known: Option<(BulkReadsReason, &str)>,
    generation: i64,
    now: Timestamp,
) -> Option<Condition> {
    let Some((reason, message)) = now_known else {
        // A process that does not know yet says what the one before knew. What was asked for is known at once.
        let asked_for: &str = BulkReadsReason::SingleRequested.into();
        return find(known, BULK_READS).filter(|before| before.reason != asked_for).cloned();
    };
    let status = if reason == BulkReadsReason::Active { "True" } else { "False" };
    Some(made(known, (BULK_READS, status), (&reason.to_string(), message), generation, now))
}

fn condition(known: &[Condition], kind: &str, status: &str, reason: Reason, look: &Look<'_>) -> Condition {
    made(known, (kind, status), (&reason.to_string(), look.message), look.generation, look.now)
}

/// One condition. It keeps its time while its status stays, and its message while only AWS's request id differs.
#[must_use]
pub fn made(
    known: &[Condition],
    (kind, status): (&str, &str),
    (reason, message): (&str, &str),
    generation: i64,
    now: Timestamp,
) -> Condition {
    let before = find(known, kind);
    let since = before.filter(|before| before.status == status).map_or_else(
        || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
        |before| before.last_transition_time.clone(),
    );
    let message: String = message.chars().take(MESSAGE_MAX / 4).collect();
    let message = match before {
        Some(before) if is_same_message(&before.message, &message) => before.message.clone(),
        _ => message,
    };
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: Some(generation),
        last_transition_time: since,
    }
}

/// Whether two messages differ in nothing but AWS's request id, which is another one at every call.
#[must_use]
pub fn is_same_message(one: &str, other: &str) -> bool {
    one == other || without_request_ids(one) == without_request_ids(other)
}

fn without_request_ids(message: &str) -> String {
    const LABELS: [&str; 3] = ["request id", "requestid", "request-id"];
    // ASCII only, so that offsets stay those of the message.
    let lower = message.to_ascii_lowercase();
    let (mut kept, mut rest) = (String::new(), 0);
    while let Some(end) = LABELS.iter().filter_map(|label| Some(lower[rest..].find(label)? + rest + label.len())).min()
    {
        kept.push_str(&message[rest..end]);
        let value = message[end..].trim_start_matches([':', '=', ' ', '"']);
        rest =
            message.len() - value.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_/+".contains(c)).len();
    }
    kept + &message[rest..]
}

/// How long `Ready` stays True if no look succeeds.
#[must_use]
pub fn time_to_not_checked(look: &Look<'_>) -> Duration {
    not_checked_at(look).duration_since(look.now).try_into().unwrap_or_default()
}

fn not_checked_at(look: &Look<'_>) -> Timestamp {
    later(look.last_look, look.interval.saturating_mul(INTERVALS_WITHOUT_A_LOOK))
}

/// The end of the last complete look: what this process remembers, otherwise what the status proves. A status that says
/// nothing of failed looks may be silent about looks that succeeded after the one that it records, since that time alone is
/// written seldom; so they count until this process started, but no longer than that silence can last.
#[must_use]
pub fn last_look(
    known: &Known<'_>,
    remembered: Option<Timestamp>,
    started: Timestamp,
    interval: Duration,
    now: Timestamp,
) -> Timestamp {
    let recorded = known.last_checked.filter(|at| *at <= now);
    match (remembered, recorded) {
        (Some(remembered), _) => remembered,
        (None, None) => started,
        (None, Some(recorded)) if is_true(known.conditions, RECONCILING) => recorded,
        (None, Some(recorded)) => later(recorded, longest_silence(interval)).min(started).max(recorded),
    }
}

/// Whether the time of the last look is worth a write of its own.
#[must_use]
pub fn is_worth_recording(recorded: Option<Timestamp>, last_look: Option<Timestamp>, interval: Duration) -> bool {
    match (recorded, last_look) {
        (_, None) => false,
        (None, Some(_)) => true,
        // A time in the future is not ours.
        (Some(recorded), Some(looked)) => recorded > looked || later(recorded, longest_silence(interval)) <= looked,
    }
}

fn longest_silence(interval: Duration) -> Duration {
    interval.max(RECORDED_AT_LEAST_EVERY)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The condition of this type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition of this type is there and True.
#[must_use]
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

/// The reason that `Ready` has.
#[must_use]
pub fn ready_reason(conditions: &[Condition]) -> Option<Reason> {
    find(conditions, READY)?.reason.parse().ok()
}
