//! The `AwsAccount`s: held while objects use them, and told whether the controller can enter them.

mod entering;
mod holding;
mod leaving;
mod recording;
mod unreadable;

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::events::EventType,
};
use serde_json::json;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use self::{
    entering::{enter, session_key},
    holding::{holding, naming},
    leaving::{leave, takes_over},
};
use super::{
    bulk_reads,
    caches::GuardedAccount,
    context::Context,
    events,
    reconcile::{Error, backoff, conflict},
    runner::{Looks, Next, Turn},
};
use crate::{
    api::{AwsAccount, AwsAccountStatus, BulkReadsReason, GrantsReason, Reason, ReasonClass, annotation},
    cluster::{Decoded, Undecodable},
    domain::{
        account_status::{self, Beside, Candidate},
        conditions::{self, Look},
        gate, grants, retry,
    },
    engine::queue::Ripe,
};

/// When an account that waits for its last object is looked at again.
const UNTIL_RELEASED: Duration = Duration::from_secs(30);
/// Bytes of names in an event, which can carry a kilobyte in all (Kubernetes API reference, Event `note`).
const NAMES_MAX: usize = 800;

/// Looks at accounts.
pub struct AccountLooks(pub Arc<Context>);

impl Looks<GuardedAccount> for AccountLooks {
    fn ripe(&self, _: &GuardedAccount, _: Instant) -> Ripe {
        Ripe::Due(None)
    }

    fn panicked(&self, _: &GuardedAccount) {}

    async fn look(self: Arc<Self>, account: Arc<GuardedAccount>, _: Turn) -> Next {
        let result = reconcile(&account, &self.0).await;
        result.unwrap_or_else(|error| on_error(&account, &error, &self.0))
    }
}

/// Reconciles one account.
///
/// # Errors
/// The API server did not take a write.
async fn reconcile(account: &GuardedAccount, context: &Context) -> Result<Next, Error> {
    let span = tracing::info_span!("reconcile", account = %account.name_any());
    let limit = context.settings.reconcile_timeout;
    async {
        let measured = context.metrics.reconciling("AwsAccount");
        let result = timeout(limit, once(account, context)).await.unwrap_or(Err(Error::Deadline(limit)));
        measured.finished(if result.is_ok() { "ok" } else { "error" });
        result
    }
    .instrument(span)
    .await
}

/// What happens after an error: the account's own growing delay.
fn on_error(account: &GuardedAccount, error: &Error, context: &Context) -> Next {
    tracing::warn!(account = %account.name_any(), %error, "reconcile failed");
    backoff(context, account.uid().as_deref().unwrap_or_default())
}

async fn once(guarded: &GuardedAccount, context: &Context) -> Result<Next, Error> {
    let account = match &guarded.0 {
        Ok(account) => account,
        Err(invalid) => return unreadable::reconcile(guarded, invalid, context).await,
    };
    let finalizer = account_status::in_use_finalizer(context.settings.installation.as_str());
    let held = account.finalizers().contains(&finalizer);
    let namespaces = context.caches.watched_namespaces();
    let ours = namespaces.iter().any(|(name, labels)| gate::grants_anything(&account.spec, name, Some(labels)))
        || takes_over(account, context);
    // One that grants nothing is not held, and is the business of who watches all namespaces.
    let looked_at = ours || context.caches.watches_everything();
    let left = !ours && held && holding(context, &account.spec.account_id, Some(&account.spec)).is_empty();
    if account.metadata.deletion_timestamp.is_some() || !looked_at || left {
        return leave(guarded, context, &finalizer, held).await;
    }
    let (mut current, uid) = (account.clone(), account.uid().unwrap_or_default());
    if ours && !held {
        current =
            set_finalizers(account, context, |finalizers| finalizers.push(finalizer)).await?.0.map_err(undecodable)?;
    }
    let Some(reason) = look(&mut current, context).await? else {
        return Ok(conflict(context, &uid));
    };
    context.memory.attempts(&uid, |attempts| attempts.conflicts = 0);
    if reason.class() == ReasonClass::Reconciling {
        return Ok(backoff(context, &uid));
    }
    context.memory.attempts(&uid, |attempts| attempts.backoff = 0);
    if !ours && held {
        return Ok(Next::After(UNTIL_RELEASED));
    }
    let fraction = Context::fraction();
    Ok(Next::After(match reason.class() {
        ReasonClass::Stalled => {
            let stalled_for = account_status::stalled_for(current.status.as_ref(), Context::now());
            context.settings.delays.stalled_account(stalled_for, context.settings.account_interval, fraction)
        }
        // What the objects cause in between does not put the next look off.
        ReasonClass::Ready | ReasonClass::Reconciling => {
            held_look(&current, context).unwrap_or_else(|| retry::jittered(context.settings.account_interval, fraction))
        }
    }))
}

/// Enters the account and tells how that went: in its status, if it is this installation that reports it. `None` when a
/// newer account is on its way to us.
async fn look(current: &mut AwsAccount, context: &Context) -> Result<Option<Reason>, Error> {
    let is_new = current.status.as_ref().is_none_or(|status| status.conditions.is_empty());
    if is_new && reports(current, current.status.as_ref(), context, false) {
        // Without conditions kstatus would take the account for finished.
        let first = (Reason::Progressing, "the account is being entered for the first time");
        let status = next_status(current, context, first, 0, None);
        if !write(current, context, status).await? {
            return Ok(None);
        }
    }
    let (name, uid) = (current.name_any(), current.uid().unwrap_or_default());
    let before = account_status::grants(current.status.as_ref());
    let read_before = account_status::bulk_reads(current.status.as_ref());
    let (status, reason, message) = status(current, context).await;
    let looked = context.memory.last_look(&uid).or_else(|| status.last_checked_at.as_ref().map(|at| at.0));
    if !reports(current, current.status.as_ref(), context, reason == Reason::Converged) {
        context.metrics.account(&name, reason, looked);
        let (granting, _) = grants::matched(&current.spec, &context.caches.namespaces());
        context.metrics.granting_nothing(&name, granting == GrantsReason::GrantsNothing);
        tell_unreported(current, context, reason, message).await;
        return Ok(Some(reason));
    }
    context.metrics.account(&name, conditions::ready_reason(&status.conditions).unwrap_or(reason), looked);
    if current.status.as_ref() != Some(&status) && !write(current, context, status).await? {
        return Ok(None);
    }
    tell_of_grants(current, context, before).await;
    tell_of_bulk_reads(current, context, read_before).await;
    Ok(Some(reason))
}

fn reports(account: &impl ResourceExt, status: Option<&AwsAccountStatus>, context: &Context, entered: bool) -> bool {
    let candidate = Candidate {
        installation: &context.settings.installation,
        watches_everything: context.caches.watches_everything(),
        entered,
        now: Context::now(),
    };
    account_status::reports(&candidate, account.finalizers(), status)
}

/// Another installation reports the account. That this one cannot enter it is still reported, once.
async fn tell_unreported(account: &AwsAccount, context: &Context, reason: Reason, message: String) {
    let is_news = context.memory.is_untold(&account.uid().unwrap_or_default(), reason.into());
    if is_news && reason.class() == ReasonClass::Stalled {
        let installation = &context.settings.installation;
        let note = format!("{reason}: {message} (installation {installation}, which does not report this account)");
        tracing::warn!("{note}");
        publish(account, context, ("Stalled", "Reconcile"), note).await;
    }
}

fn undecodable(error: Undecodable) -> Error {
    Error::Undecodable(Box::new(error))
}

/// Replaces the status on the resource version that was read; false when a newer one is on its way to us.
async fn write(account: &mut AwsAccount, context: &Context, status: AwsAccountStatus) -> Result<bool, Error> {
    let api: Api<GuardedAccount> = Api::all(context.client.clone());
    account.status = Some(status);
    match api.replace_subresource("status", &account.name_any(), &PostParams::default(), account).await {
        Ok(Decoded(written)) => {
            *account = written.map_err(undecodable)?;
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(Error::Kubernetes(Box::new(error))),
    }
}

/// Tells once that the grants reach nobody, or name what does not exist; the gauge follows.
async fn tell_of_grants(account: &AwsAccount, context: &Context, before: Option<GrantsReason>) {
    let (reason, message) = grants::matched(&account.spec, &context.caches.namespaces());
    context.metrics.granting_nothing(&account.name_any(), reason == GrantsReason::GrantsNothing);
    if reason == GrantsReason::Matched || before == Some(reason) {
        return;
    }
    tracing::warn!(reason = %reason, "{message}");
    publish(account, context, (reason.into(), "Compare"), message.chars().take(NAMES_MAX).collect()).await;
}

/// Tells once that a right to bulk reads is missing.
async fn tell_of_bulk_reads(account: &AwsAccount, context: &Context, before: Option<BulkReadsReason>) {
    let now = account_status::bulk_reads(account.status.as_ref());
    if now != Some(BulkReadsReason::Denied) || before == now {
        return;
    }
    let Some((_, message)) = bulk_reads::told(account, context.aws.readers()) else { return };
    tracing::warn!("{message}");
    publish(account, context, ("BulkReadsDenied", "Read"), message).await;
}

async fn publish(
    account: &impl Resource<DynamicType = ()>,
    context: &Context,
    (reason, action): (&str, &str),
    note: String,
) {
    // Not aggregated: a later event of the same reason would be told in the words of the first.
    events::publish_about(context, &account.object_ref(&()), EventType::Warning, reason, action, note).await;
}

async fn set_finalizers(
    account: &(impl Resource<DynamicType = ()> + Sync),
    context: &Context,
    change: impl FnOnce(&mut Vec<String>),
) -> Result<GuardedAccount, Error> {
    let mut finalizers = account.finalizers().to_vec();
    change(&mut finalizers);
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": account.resource_version()}});
    let api: Api<GuardedAccount> = Api::all(context.client.clone());
    let patched = api.patch(&account.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
    patched.map_err(|error| Error::Kubernetes(Box::new(error)))
}

/// For how long the last look at the account still holds.
fn held_look(account: &AwsAccount, context: &Context) -> Option<Duration> {
    let (uid, generation) = (account.uid().unwrap_or_default(), account.metadata.generation.unwrap_or_default());
    context.memory.held_look(&uid, generation, Context::now())
}

/// Tries to enter the account and says how it went.
async fn status(account: &AwsAccount, context: &Context) -> (AwsAccountStatus, Reason, String) {
    let uid = account.uid().unwrap_or_default();
    if asks_anew(account)
        && let Some(key) = session_key(account)
    {
        // A session that is kept would say how it was when it began, and the last look how the boundary was then.
        context.aws.forget(&key).await;
        context.memory.end_look(&uid);
    }
    let holds = held_look(account, context).is_some();
    if !holds && let Ok(id) = account.spec.account_id.parse() {
        context.aws.readers().forget_denials(&id);
    }
    let (reason, message, caller) = enter(account, context, holds).await;
    if reason != Reason::Converged {
        context.memory.end_look(&uid);
    } else if !holds {
        let (generation, now) = (account.metadata.generation.unwrap_or_default(), Context::now());
        let interval = retry::jittered(context.settings.account_interval, Context::fraction());
        context.memory.note_look(&uid, now);
        context.memory.hold_look(&uid, generation, now, interval);
    }
    let failures = context.memory.count_look(&uid, reason.is_failed_look());
    let mut status = next_status(account, context, (reason, &message), failures, caller);
    status.last_handled_reconcile_at =
        annotation::requested(account.annotations()).or(status.last_handled_reconcile_at);
    (status, reason, message)
}

/// Whether somebody asks for a look that the status does not answer yet.
fn asks_anew(account: &AwsAccount) -> bool {
    let handled = account.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    annotation::requested(account.annotations()).is_some_and(|requested| handled != Some(&requested))
}

fn next_status(
    account: &AwsAccount,
    context: &Context,
    (reason, message): (Reason, &str),
    failures: u32,
    caller: Option<String>,
) -> AwsAccountStatus {
    let (previous, now, interval) = (account.status.as_ref(), Context::now(), context.settings.account_interval);
    let checked = context.memory.last_look(&account.uid().unwrap_or_default());
    let known = account_status::known(previous);
    let look = Look {
        reason,
        message,
        generation: account.metadata.generation.unwrap_or_default(),
        interval,
        failures,
        last_look: conditions::last_look(&known, checked, context.started, interval, now),
        now,
    };
    let (granting, of_grants) = grants::matched(&account.spec, &context.caches.namespaces());
    let bulk_reads = bulk_reads::told(account, context.aws.readers());
    account_status::next(
        previous,
        &context.settings.installation,
        &look,
        checked,
        caller,
        naming(context, &account.spec),
        &Beside {
            grants: (granting, &of_grants),
            bulk_reads: bulk_reads.as_ref().map(|(reason, message)| (*reason, message.as_str())),
        },
    )
}
