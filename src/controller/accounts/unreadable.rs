//! An account that does not decode, as a newer version of the kind may have left it. It opens nothing and still counts by
//! its account id, so that what its objects have stays.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;

use super::{
    super::{
        caches::GuardedAccount,
        context::Context,
        reconcile::{Error, conflict},
    },
    leaving::leave,
    publish, reports,
};
use crate::{
    api::{AwsAccountStatus, Reason},
    cluster::Undecodable,
    domain::{
        account_status,
        conditions::{self, Known, Look},
    },
};

/// Tells what cannot be read, and lets the account go when nothing of it is in use.
pub(super) async fn reconcile(
    account: &GuardedAccount,
    invalid: &Undecodable,
    context: &Context,
) -> Result<Action, Error> {
    let finalizer = account_status::in_use_finalizer(context.settings.installation.as_str());
    if invalid.metadata.deletion_timestamp.is_some() {
        return leave(account, context, &finalizer, account.finalizers().contains(&finalizer)).await;
    }
    let (name, uid) = (account.name_any(), account.uid().unwrap_or_default());
    let message = format!(
        "the AwsAccount cannot be read by this version of the controller: {}; it opens nothing, and what is in place stays. \
         Correct its spec, or run a version that reads it",
        invalid.error
    );
    context.metrics.account(&name, Reason::InvalidSpec, context.memory.last_look(&uid));
    context.memory.end_look(&uid);
    let is_reporter = reports(account, Some(&status(invalid)), context, false);
    let told = is_reporter
        && conditions::find(&invalid.conditions, crate::api::condition::READY)
            .is_some_and(|ready| ready.reason == Reason::InvalidSpec.to_string() && ready.message == message);
    if is_reporter && !record(account, invalid, context, &message).await? {
        return Ok(conflict(context, &uid));
    }
    if !told && context.memory.is_untold(&uid, Reason::InvalidSpec.into()) {
        tracing::warn!("{message}");
        publish(account, context, ("Stalled", "Reconcile"), format!("{}: {message}", Reason::InvalidSpec)).await;
    }
    let (interval, fraction) = (context.settings.account_interval, Context::fraction());
    let stalled_for = account_status::stalled_for(Some(&status(invalid)), Context::now());
    Ok(Action::requeue(context.settings.delays.stalled_account(stalled_for, interval, fraction)))
}

/// What is known of its status.
fn status(invalid: &Undecodable) -> AwsAccountStatus {
    let (installation_id, last_checked_at) = invalid.reported.clone();
    AwsAccountStatus {
        conditions: invalid.conditions.clone(),
        installation_id,
        last_checked_at,
        ..AwsAccountStatus::default()
    }
}

/// Writes the conditions and nothing else of a status of which the rest may not be known here. False when a newer account is
/// on its way to us.
async fn record(
    account: &GuardedAccount,
    invalid: &Undecodable,
    context: &Context,
    message: &str,
) -> Result<bool, Error> {
    let generation = invalid.metadata.generation.unwrap_or_default();
    let conditions = next(&invalid.conditions, message, generation, Context::now());
    if conditions == invalid.conditions {
        return Ok(true);
    }
    let patch = json!({
        "metadata": {"resourceVersion": account.resource_version()},
        "status": {"observedGeneration": generation, "conditions": conditions},
    });
    let api: Api<GuardedAccount> = Api::all(context.client.clone());
    match api.patch_status(&account.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(Error::Kubernetes(Box::new(error))),
    }
}

/// What is said beside Ready was true of an earlier generation, which each condition names.
fn next(known: &[Condition], message: &str, generation: i64, now: Timestamp) -> Vec<Condition> {
    use crate::api::condition::{BULK_READS, GRANTS_MATCHED};
    let look = Look::certain(Reason::InvalidSpec, message, generation, now);
    let mut conditions = conditions::after(&Known { conditions: known, ..Known::default() }, &look);
    conditions
        .extend(known.iter().filter(|known| [GRANTS_MATCHED, BULK_READS].contains(&known.type_.as_str())).cloned());
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_beside_ready_stays_and_nothing_is_written_twice() {
        let now = Timestamp::from_second(1_000).unwrap();
        let known = |kind: &str| Condition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: "Matched".to_owned(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now),
        };
        let first = next(&[known("Ready"), known("GrantsMatched")], "why", 2, now);
        let types: Vec<&str> = first.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["Ready", "Stalled", "GrantsMatched"]);
        assert_eq!((first[0].status.as_str(), first[0].reason.as_str()), ("False", "InvalidSpec"));
        assert_eq!(first[2], known("GrantsMatched"));
        assert_eq!(next(&first, "why", 2, Timestamp::from_second(2_000).unwrap()), first);
    }
}
