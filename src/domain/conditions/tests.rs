use strum::IntoEnumIterator;

use super::*;

const INTERVAL: Duration = Duration::from_mins(10);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A look at `second`, the last complete one at `last`.
fn look(reason: Reason, message: &str, failures: u32, last: i64, second: i64) -> Look<'_> {
    Look { reason, message, generation: 1, interval: INTERVAL, failures, last_look: at(last), now: at(second) }
}

fn known(conditions: &[Condition]) -> Known<'_> {
    Known { conditions, observed_generation: Some(1), last_checked: None }
}

/// The conditions in a word each: type, status and reason.
fn words(conditions: &[Condition]) -> Vec<String> {
    conditions.iter().map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect()
}

fn converged() -> Vec<Condition> {
    after(&Known::default(), &look(Reason::Converged, "in place", 0, 0, 0))
}

#[test]
fn reconciling_and_stalled_are_there_only_while_true_and_never_both() {
    for reason in Reason::iter() {
        let conditions = after(&Known::default(), &look(reason, "m", 0, 0, 0));
        let expected = match reason.class() {
            ReasonClass::Ready => vec![format!("Ready=True {reason}")],
            ReasonClass::Reconciling => vec![format!("Ready=Unknown {reason}"), format!("Reconciling=True {reason}")],
            ReasonClass::Stalled => vec![format!("Ready=False {reason}"), format!("Stalled=True {reason}")],
        };
        assert_eq!(words(&conditions), expected);
        assert!(reason.to_string().chars().all(|c| c.is_ascii_alphanumeric()), "{reason}");
    }
}

#[test]
fn times_move_only_where_the_status_does() {
    let first = after(&Known::default(), &look(Reason::Progressing, "a", 0, 0, 0));
    let second = after(&known(&first), &look(Reason::Throttled, "b", 1, 0, 60));
    assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
    let third = after(&known(&second), &look(Reason::Converged, "c", 0, 0, 120));
    assert_eq!(third[0].last_transition_time, Time(at(120)));
    assert_eq!(after(&known(&third), &look(Reason::Converged, "c", 0, 120, 999)), third);
}

#[test]
fn one_failed_look_changes_nothing_and_the_second_says_what_failed() {
    for reason in [Reason::Throttled, Reason::AwsUnavailable] {
        let ready = converged();
        let once = after(&known(&ready), &look(reason, "busy", 1, 0, 60));
        assert_eq!(once, ready, "{reason}");
        let twice = after(&known(&once), &look(reason, "busy", 2, 0, 62));
        assert_eq!(words(&twice), ["Ready=True Converged".to_owned(), format!("Reconciling=True {reason}")]);
        assert_eq!((twice[0].message.as_str(), twice[1].message.as_str()), ("in place", "busy"));
        // The next process has not counted, but the status says that looks fail.
        let restarted = after(&known(&twice), &look(reason, "busy", 1, 0, 70));
        assert_eq!(restarted, twice);
        let back = after(&known(&restarted), &look(Reason::Converged, "in place", 0, 80, 80));
        assert_eq!(back, ready, "{reason}");
    }
}

#[test]
fn after_three_intervals_without_a_complete_look_nothing_is_known() {
    let ready = converged();
    let failing = look(Reason::Throttled, "busy", 9, 0, 1799);
    assert_eq!(words(&after(&known(&ready), &failing))[0], "Ready=True Converged");
    let late = look(Reason::Throttled, "busy", 1, 0, 1800);
    let unknown = after(&known(&ready), &late);
    assert_eq!(words(&unknown), ["Ready=Unknown NotChecked", "Reconciling=True NotChecked"]);
    assert_eq!(unknown[0].message, format!("AWS was last compared completely at {}: busy", at(0)));
    // Another failure leaves that as it is, in its own words; a look brings Ready back.
    let still = after(&known(&unknown), &look(Reason::AwsUnavailable, "no answer", 10, 0, 1900));
    assert_eq!(words(&still), words(&unknown));
    assert!(still[0].message.ends_with(": no answer"));
    assert_eq!(words(&after(&known(&still), &look(Reason::Converged, "in place", 0, 2000, 2000))).len(), 1);
}

#[test]
fn what_is_known_to_be_wrong_shows_at_once() {
    for reason in Reason::iter().filter(|reason| !reason.is_failed_look()) {
        let ready = converged();
        let conditions = after(&known(&ready), &look(reason, "m", 1, 0, 60));
        assert_eq!(conditions, of_reason(&ready, reason, &look(reason, "m", 1, 0, 60)), "{reason}");
    }
}

#[test]
fn a_changed_spec_that_was_not_looked_at_is_not_ready() {
    let ready = converged();
    let changed = Look { generation: 2, ..look(Reason::Throttled, "busy", 1, 0, 60) };
    assert_eq!(words(&after(&known(&ready), &changed)), ["Ready=Unknown Throttled", "Reconciling=True Throttled"]);
}

#[test]
fn a_stalled_object_stays_so_through_one_failed_look() {
    let stalled = after(&Known::default(), &look(Reason::NotGranted, "ask", 0, 0, 0));
    assert_eq!(after(&known(&stalled), &look(Reason::Throttled, "busy", 1, 0, 60)), stalled);
    let second = after(&known(&stalled), &look(Reason::Throttled, "busy", 2, 0, 62));
    assert_eq!(words(&second), ["Ready=Unknown Throttled", "Reconciling=True Throttled"]);
}

#[test]
fn the_last_look_survives_a_restart() {
    let of = |conditions, last_checked| Known { conditions, observed_generation: Some(1), last_checked };
    let ready = converged();
    let failing = after(&known(&ready), &look(Reason::Throttled, "busy", 2, 0, 62));
    let (minutes, hour) = (|n: i64| at(n * 60), 60);
    let cases = [
        ("this process knows", of(&ready, Some(minutes(0))), Some(minutes(5)), minutes(50), minutes(5)),
        ("the status says that looks fail since", of(&failing, Some(minutes(3))), None, minutes(50), minutes(3)),
        ("later looks may not be recorded", of(&ready, Some(minutes(3))), None, minutes(50), minutes(50)),
        ("but only for an hour", of(&ready, Some(minutes(3))), None, minutes(200), minutes(3 + hour)),
        ("a status of an older version", of(&ready, None), None, minutes(50), minutes(50)),
        ("a time in the future is not ours", of(&ready, Some(minutes(9999))), None, minutes(50), minutes(50)),
    ];
    for (what, known, remembered, started, expected) in cases {
        assert_eq!(last_look(&known, remembered, started, INTERVAL, minutes(300)), expected, "{what}");
    }
}

#[test]
fn the_time_of_a_look_alone_is_written_once_an_hour_or_an_interval() {
    let day = Duration::from_hours(24);
    let cases = [
        (None, None, INTERVAL, false),
        (None, Some(at(0)), INTERVAL, true),
        (Some(at(0)), None, INTERVAL, false),
        (Some(at(0)), Some(at(3599)), INTERVAL, false),
        (Some(at(0)), Some(at(3600)), INTERVAL, true),
        (Some(at(0)), Some(at(86_399)), day, false),
        (Some(at(0)), Some(at(86_400)), day, true),
        (Some(at(9)), Some(at(0)), INTERVAL, true),
    ];
    for (recorded, looked, interval, worth) in cases {
        assert_eq!(is_worth_recording(recorded, looked, interval), worth, "{recorded:?} {looked:?} {interval:?}");
    }
}

#[test]
fn messages_that_differ_in_the_request_id_alone_are_equal() {
    let cases = [
        ("denied (request id 8b0c7a1e-1f)", "denied (request id 77aa-00)", true),
        ("denied, RequestID: 8b0c, no", "denied, RequestID: 77aa, no", true),
        ("Request ID: a; then request id b", "Request ID: c; then request id d", true),
        ("äöü request-id=\"a\" é", "äöü request-id=\"b\" é", true),
        ("denied (request id 8b0c)", "refused (request id 8b0c)", false),
        ("denied (request id 8b0c)", "denied (request id 8b0c) twice", false),
        ("denied", "denied (request id 8b0c)", false),
    ];
    for (one, other, same) in cases {
        assert_eq!(is_same_message(one, other), same, "{one} / {other}");
    }
    let first = after(&Known::default(), &look(Reason::AccessDenied, "denied (request id 1)", 0, 0, 0));
    let second = after(&known(&first), &look(Reason::AccessDenied, "denied (request id 2)", 0, 0, 60));
    assert_eq!(second, first);
}
