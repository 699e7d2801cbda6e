//! Conditions as kstatus, Argo CD and Flux read them: `Ready` sums up, `Reconciling` and `Stalled` are never both True.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::reason::{ContestedReason, DriftReason, Reason, ReasonClass};

/// Summary: True when AWS has what is declared.
pub const READY: &str = "Ready";
/// True while the controller is at work (kstatus: `InProgress`).
pub const RECONCILING: &str = "Reconciling";
/// True when somebody has to act (kstatus: Failed).
pub const STALLED: &str = "Stalled";

/// True when AWS differs from what was last seen in place.
pub const DRIFTED: &str = "Drifted";
/// True while something comes back after each correction; absent otherwise.
pub const CONTESTED: &str = "Contested";

/// The API server's limit of a condition's message.
const MESSAGE_MAX: usize = 32_768;

/// The three conditions that say one reason. Transition times move only where the status does.
#[must_use]
pub fn of_reason(
    previous: &[Condition],
    reason: Reason,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let (ready, reconciling, stalled) = match reason.class() {
        ReasonClass::Ready => ("True", "False", "False"),
        // Not False: what worked may well work on while something is put right.
        ReasonClass::Reconciling => ("Unknown", "True", "False"),
        ReasonClass::Stalled => ("False", "False", "True"),
    };
    [(READY, ready), (RECONCILING, reconciling), (STALLED, stalled)]
        .into_iter()
        .map(|(kind, status)| condition(previous, kind, status, &reason.to_string(), message, generation, now))
        .collect()
}

/// The condition that says whether AWS differs from what was last seen in place.
#[must_use]
pub fn drifted(
    previous: &[Condition],
    reason: DriftReason,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Condition {
    let status = match reason {
        DriftReason::NotCompared => "Unknown",
        reason if reason.is_drifted() => "True",
        _ => "False",
    };
    condition(previous, DRIFTED, status, &reason.to_string(), message, generation, now)
}

/// The condition that says what comes back after each correction.
#[must_use]
pub fn contested(
    previous: &[Condition],
    reason: ContestedReason,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Condition {
    condition(previous, CONTESTED, "True", &reason.to_string(), message, generation, now)
}

fn condition(
    previous: &[Condition],
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Condition {
    let known = previous.iter().find(|known| known.type_ == kind && known.status == status);
    let since = known.map_or_else(
        || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
        |known| known.last_transition_time.clone(),
    );
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(MESSAGE_MAX / 4).collect(),
        observed_generation: Some(generation),
        last_transition_time: since,
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn no_reason_makes_an_object_both_reconciling_and_stalled() {
        for reason in Reason::iter() {
            let conditions = of_reason(&[], reason, "m", 1, at(0));
            let is = |kind: &str| conditions.iter().find(|c| c.type_ == kind).unwrap().status == "True";
            let truths = [is(READY), is(RECONCILING), is(STALLED)].into_iter().filter(|truth| *truth).count();
            assert_eq!(truths, 1, "{reason}");
            assert!(reason.to_string().chars().all(|c| c.is_ascii_alphanumeric()), "{reason}");
        }
    }

    #[test]
    fn times_move_only_where_the_status_does() {
        let first = of_reason(&[], Reason::Progressing, "a", 1, at(0));
        let second = of_reason(&first, Reason::Throttled, "b", 1, at(60));
        assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
        let third = of_reason(&second, Reason::Converged, "c", 1, at(120));
        assert_eq!(third[0].last_transition_time, Time(at(120)));
        assert_eq!(third[2].last_transition_time, first[2].last_transition_time, "Stalled stayed False");
        assert_eq!(of_reason(&third, Reason::Converged, "c", 1, at(999)), third);
    }
}
