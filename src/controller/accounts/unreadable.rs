//! An account that does not decode, as a newer version of the kind may have left it. It opens nothing and still counts by
//! its account id, so that what its objects have stays.

use kube::ResourceExt;

use super::{
    super::{
        caches::GuardedAccount,
        context::Context,
        reconcile::{Error, conflict},
        runner::Next,
    },
    leaving::leave,
    publish,
    recording::record,
    reports,
};
use crate::{
    api::{AwsAccountStatus, Reason},
    cluster::Undecodable,
    domain::{account_status, conditions},
};

/// Tells what cannot be read, and lets the account go when nothing of it is in use.
pub(super) async fn reconcile(
    account: &GuardedAccount,
    invalid: &Undecodable,
    context: &Context,
) -> Result<Next, Error> {
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
    if is_reporter && !record(account, &invalid.conditions, context, (Reason::InvalidSpec, &message)).await? {
        return Ok(conflict(context, &uid));
    }
    if !told && context.memory.is_untold(&uid, Reason::InvalidSpec.into()) {
        tracing::warn!("{message}");
        publish(account, context, ("Stalled", "Reconcile"), format!("{}: {message}", Reason::InvalidSpec)).await;
    }
    let (interval, fraction) = (context.settings.account_interval, Context::fraction());
    let stalled_for = account_status::stalled_for(Some(&status(invalid)), Context::now());
    Ok(Next::After(context.settings.delays.stalled_account(stalled_for, interval, fraction)))
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
