//! The status of an `AwsAccount`: a function of what it said, how the account was entered and the time.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{self, Known, Look};
use crate::api::{AwsAccountStatus, GrantsReason, condition};

/// The next status. It equals the previous one when nothing but time has passed; the time of the last look alone counts
/// once in a while. What is known of the caller stays while looks fail.
#[must_use]
pub fn next(
    previous: Option<&AwsAccountStatus>,
    look: &Look<'_>,
    checked: Option<Timestamp>,
    caller: Option<String>,
    objects: i64,
    (grants, of_grants): (GrantsReason, &str),
) -> AwsAccountStatus {
    let known = known(previous);
    let failed = look.reason.is_failed_look();
    let mut conditions = conditions::after(&known, look);
    conditions.push(conditions::grants(known.conditions, grants, of_grants, look.generation, look.now));
    let mut status = AwsAccountStatus {
        observed_generation: Some(look.generation),
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

/// What a status says of the account's grants.
#[must_use]
pub fn grants(status: Option<&AwsAccountStatus>) -> Option<GrantsReason> {
    let conditions = &status?.conditions;
    conditions.iter().find(|known| known.type_ == condition::GRANTS_MATCHED)?.reason.parse().ok()
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
