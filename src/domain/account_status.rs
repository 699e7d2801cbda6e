//! The status of an `AwsAccount`: a function of what it said, how the account was entered and the time.

use std::{collections::BTreeSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    conditions::{self, Known, Look},
    ids::InstallationId,
};
use crate::api::{AwsAccountStatus, BulkReadsReason, GrantsReason, condition};

/// How long a reporter may not have looked before another installation reports.
const REPORTER_SILENT_FOR: SignedDuration = SignedDuration::from_hours(2);

/// The longest time between two looks. A look may come a tenth later and its time is not recorded with each, and a reporter
/// whose looks succeed must never seem silent.
pub const LONGEST_INTERVAL: Duration = Duration::from_mins(30);

/// The finalizer by which one installation holds an account.
#[must_use]
pub fn in_use_finalizer(installation: &str) -> String {
    format!("{IN_USE}{installation}")
}

const IN_USE: &str = "crossinvoke.dev/in-use-";

/// What holds an account that is being deleted, when it is another installation than this one: only that one may know what
/// is in use, and when it does not exist any more nobody takes its finalizer off.
#[must_use]
pub fn held_by_others(own: &str, account: &str, finalizers: &[String]) -> Option<String> {
    let others = finalizers.iter().enumerate().filter_map(|(at, name)| Some((at, name, name.strip_prefix(IN_USE)?)));
    let others: Vec<_> = others.filter(|(_, _, id)| *id != own).collect();
    let (at, finalizer, id) = others.first()?;
    let and_more = match others.len() - 1 {
        0 => String::new(),
        more => format!(" ({more} more like it)"),
    };
    Some(format!(
        "deletion waits for the finalizer {finalizer} of installation {id}{and_more}, which takes it off when nothing of its own \
         uses the account. If there is no such installation any more, take it off; what it made in AWS stays then: \
         kubectl patch awsaccount {account} --type=json --patch='[{{\"op\": \"test\", \"path\": \"/metadata/finalizers/{at}\", \"value\": \
         \"{finalizer}\"}}, {{\"op\": \"remove\", \"path\": \"/metadata/finalizers/{at}\"}}]'"
    ))
}

/// Who asks whether to report.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The installation.
    pub installation: &'a InstallationId,
    /// Whether it watches all namespaces.
    pub watches_everything: bool,
    /// Whether it could enter the account just now. Who could not has nothing newer to say than a silent reporter.
    pub entered: bool,
    /// The time.
    pub now: Timestamp,
}

/// Whether this installation writes the status: of those that hold the account one does, until it lets go or falls silent.
/// What nobody holds is the business of who watches all namespaces: of several, whoever reports it already.
#[must_use]
pub fn reports(candidate: &Candidate<'_>, finalizers: &[String], status: Option<&AwsAccountStatus>) -> bool {
    let holders: BTreeSet<&str> = finalizers.iter().filter_map(|name| name.strip_prefix(IN_USE)).collect();
    let own = candidate.installation.as_str();
    if !(holders.contains(own) || (holders.is_empty() && candidate.watches_everything)) {
        return false;
    }
    let Some(reporter) = status.and_then(|status| status.installation_id.as_deref()) else { return true };
    let last = status.and_then(|status| status.last_checked_at.as_ref()).map(|at| at.0);
    let is_silent = last.is_none_or(|last| candidate.now.duration_since(last) > REPORTER_SILENT_FOR);
    let has_let_go = !holders.is_empty() && !holders.contains(reporter);
    reporter == own || has_let_go || (is_silent && candidate.entered)
}

/// What stands beside Ready and does not change it.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Whether the grants reach anybody, in words too.
    pub grants: (GrantsReason, &'a str),
    /// Whether everything is read at once, once that is known to this process.
    pub bulk_reads: Option<(BulkReadsReason, &'a str)>,
}

/// The next status, as this installation reports it. It equals the previous one when nothing but time has passed; the time of the last look alone counts
/// once in a while. What is known of the caller stays while looks fail.
#[must_use]
pub fn next(
    previous: Option<&AwsAccountStatus>,
    reporter: &InstallationId,
    look: &Look<'_>,
    checked: Option<Timestamp>,
    caller: Option<String>,
    objects: i64,
    beside: &Beside<'_>,
) -> AwsAccountStatus {
    let known = known(previous);
    let failed = look.reason.is_failed_look();
    let mut conditions = conditions::after(&known, look);
    let (grants, of_grants) = beside.grants;
    conditions.push(conditions::grants(known.conditions, grants, of_grants, look.generation, look.now));
    conditions.extend(conditions::bulk_reads(known.conditions, beside.bulk_reads, look.generation, look.now));
    let mut status = AwsAccountStatus {
        observed_generation: Some(look.generation),
        installation_id: Some(reporter.to_string()),
        conditions,
        last_handled_reconcile_at: previous.and_then(|previous| previous.last_handled_reconcile_at.clone()),
        last_checked_at: previous.and_then(|previous| previous.last_checked_at.clone()),
        caller_arn: caller.or_else(|| previous.filter(|_| failed).and_then(|previous| previous.caller_arn.clone())),
        objects: Some(objects),
    };
    if previous != Some(&status) || conditions::is_worth_recording(known.last_checked, checked, look.interval) {
        status.last_checked_at = checked.map(Time).or(status.last_checked_at);
    }
    status
}

/// For how long a status has said that somebody has to act; for ever where it does not say it.
#[must_use]
pub fn stalled_for(status: Option<&AwsAccountStatus>, now: Timestamp) -> Duration {
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let stalled = conditions.iter().find(|known| known.type_ == condition::STALLED);
    stalled.map_or(Duration::MAX, |stalled| now.duration_since(stalled.last_transition_time.0).unsigned_abs())
}

/// What a status says of the account's grants.
#[must_use]
pub fn grants(status: Option<&AwsAccountStatus>) -> Option<GrantsReason> {
    let conditions = &status?.conditions;
    conditions.iter().find(|known| known.type_ == condition::GRANTS_MATCHED)?.reason.parse().ok()
}

/// What a status says of bulk reads.
#[must_use]
pub fn bulk_reads(status: Option<&AwsAccountStatus>) -> Option<BulkReadsReason> {
    conditions::find(&status?.conditions, condition::BULK_READS)?.reason.parse().ok()
}

/// What a status says so far, for [`conditions`].
#[must_use]
pub fn known(status: Option<&AwsAccountStatus>) -> Known<'_> {
    status.map_or_else(Known::default, |status| Known {
        conditions: &status.conditions,
        observed_generation: status.observed_generation,
        last_checked: status.last_checked_at.as_ref().map(|at| at.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_reporter_whose_looks_succeed_never_seems_silent() {
        let late = LONGEST_INTERVAL.mul_f64(1.1);
        let mut recorded = at(0);
        let mut now = at(0);
        for _ in 0..20 {
            now += late;
            let silent = now.duration_since(recorded);
            assert!(silent < REPORTER_SILENT_FOR, "another installation would report after {silent:?}");
            if conditions::is_worth_recording(Some(recorded), Some(now), LONGEST_INTERVAL) {
                recorded = now;
            }
        }
        assert!(recorded > at(0));
    }

    #[test]
    fn another_installation_that_holds_an_account_is_named_with_the_way_to_do_without_it() {
        let told = |finalizers: &[&str]| {
            let finalizers: Vec<String> = finalizers.iter().map(|name| (*name).to_owned()).collect();
            held_by_others("own", "dev", &finalizers)
        };
        let (own, other) = ("crossinvoke.dev/in-use-own", "crossinvoke.dev/in-use-wrong");
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[own, "foregroundDeletion"]), None);
        let one = told(&["foregroundDeletion", other]).unwrap();
        assert!(one.contains("finalizer crossinvoke.dev/in-use-wrong of installation wrong, which"), "{one}");
        let command = r#"kubectl patch awsaccount dev --type=json --patch='[{"op": "test", "path": "/metadata/finalizers/1", "value": "crossinvoke.dev/in-use-wrong"}, {"op": "remove", "path": "/metadata/finalizers/1"}]'"#;
        assert!(one.ends_with(command), "{one}");
        assert!(told(&[own, other, "crossinvoke.dev/in-use-x"]).unwrap().contains("wrong (1 more like it)"));
    }

    #[test]
    fn one_of_those_that_hold_an_account_reports_it() {
        let own: InstallationId = "own".parse().unwrap();
        let now = 100_000;
        let fresh = Some(now - 7200);
        // Who holds it, who reports, when that one looked last, whether we watch everything and could enter.
        for (holders, reporter, looked, everything, entered, expected) in [
            (&["own"][..], None, None, false, false, true),
            (&["own"], Some("own"), None, false, false, true),
            (&["own", "other"], Some("other"), fresh, true, true, false),
            (&["own", "other"], Some("other"), Some(now - 7201), false, true, true),
            // A takeover by who cannot enter either would go back and forth for ever.
            (&["own", "other"], Some("other"), Some(now - 7201), false, false, false),
            (&["own", "other"], Some("other"), None, false, true, true),
            (&["own"], Some("other"), fresh, false, false, true),
            (&["other"], Some("own"), fresh, true, true, false),
            (&["other"], None, None, true, true, false),
            (&[], None, None, true, false, true),
            (&[], None, None, false, true, false),
            // Two that watch everything would take it from each other for ever.
            (&[], Some("other"), fresh, true, true, false),
            (&[], Some("own"), fresh, true, false, true),
            (&[], Some("other"), Some(now - 7201), true, true, true),
            (&[], Some("other"), Some(now - 7201), true, false, false),
        ] {
            let finalizers: Vec<String> = holders.iter().map(|id| in_use_finalizer(id)).collect();
            let status = AwsAccountStatus {
                installation_id: reporter.map(str::to_owned),
                last_checked_at: looked.map(|second| Time(at(second))),
                ..AwsAccountStatus::default()
            };
            let candidate = Candidate { installation: &own, watches_everything: everything, entered, now: at(now) };
            assert_eq!(
                reports(&candidate, &finalizers, Some(&status)),
                expected,
                "{holders:?} {reporter:?} {looked:?} {entered}"
            );
        }
    }
}
