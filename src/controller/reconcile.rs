//! One reconcile on one screen: dereference, validate, observe, desire and plan, restrain, record, apply, report.

use std::{sync::Arc, time::Duration};

use kube::{Api, Resource, ResourceExt};
use tokio::time::{Instant, error::Elapsed, timeout};
use tracing::Instrument;

use super::{
    caches::{Guarded, key_of},
    confirming::InPlaceBy,
    context::{Context, FINALIZER},
    converge, events,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    record, remove, report, role_writer,
    runner::{Looks, Next, Turn},
    spreading::{held_back, is_in_place},
};
use crate::{
    api::{CrossAccountInvoke, Reason},
    cluster::{Decoded, Undecodable},
    domain::{conditions, ids::AccountId, retry, status},
    engine::queue::{Place, Ripe},
    telemetry::metrics::{Look, OBJECT, Phase},
};

/// After so many conflicts in a row an object is read from the API server: its watch does not show it.
const READ_AFTER: u32 = 2;

/// How often an object is looked at while a write for it, of which no answer came, may be applied yet.
const WHILE_UNSETTLED: Duration = Duration::from_mins(1);

/// A reconcile that could not even report: the API server did not take its writes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("the Kubernetes API server did not take a write: {0}")]
    Kubernetes(#[from] Box<kube::Error>),
    /// The API server answered a write with an object that does not decode.
    #[error("the object does not decode any more: {0}")]
    Undecodable(Box<Undecodable>),
    /// The deadline of the whole reconcile passed.
    #[error("the reconcile took longer than {0:?}")]
    Deadline(Duration),
}

/// Looks at objects.
pub struct ObjectLooks(pub Arc<Context>);

impl Looks<Guarded> for ObjectLooks {
    fn ripe(&self, object: &Guarded, now: Instant) -> Ripe {
        let context = &self.0;
        if let Some(later) = held_back(object, context).and_then(|left| now.checked_add(left)) {
            return Ripe::Later(later.into_std());
        }
        // From here on a change asks for no look of its own: this one sees it.
        context.memory.queue(&object.uid().unwrap_or_default());
        stands(object, context, Phase::Delayed(Some(now)));
        let place = object.0.as_ref().ok().map(|object| {
            let (tools, pipeline) = (&object.spec.tools_account, &object.spec.pipeline.name);
            Place {
                tools: tools.id.clone(),
                dev: object.spec.dev_account.id.clone(),
                pipeline: format!("{}/{pipeline}", tools.region),
                is_settled: is_in_place(object),
            }
        });
        Ripe::Due(place)
    }

    fn panicked(&self, object: &Guarded) {
        self.0.metrics.rests(&key_of(object));
    }

    async fn look(self: Arc<Self>, object: Arc<Guarded>, turn: Turn) -> Next {
        let result = reconcile(&object, &self.0, turn).await;
        result.unwrap_or_else(|error| on_error(&object, &error, &self.0))
    }
}

/// Reconciles one object and says when to look again.
///
/// # Errors
/// Only when the API server does not take a write; everything else is in the object's status.
async fn reconcile(object: &Guarded, context: &Context, turn: Turn) -> Result<Next, Error> {
    let span = tracing::info_span!("reconcile", object = %key_of(object));
    let limit = context.settings.reconcile_timeout;
    let uid = object.uid().unwrap_or_default();
    async {
        // What changes from here on asks for a look of its own.
        context.memory.begin(&uid);
        let key = key_of(object);
        stands(object, context, Phase::Running);
        let measured = context.metrics.reconciling("CrossAccountInvoke");
        let result = timeout(limit, once(object, context, turn)).await.unwrap_or(Err(Error::Deadline(limit)));
        measured.finished(if result.is_ok() { "ok" } else { "error" });
        context.metrics.rests(&key);
        result
    }
    .instrument(span)
    .await
}

/// Says where an object stands. By account only where there is an AwsAccount of it: a spec may name any.
fn stands(object: &Guarded, context: &Context, phase: Phase) {
    let account = object.0.as_ref().ok().map(|object| object.spec.dev_account.id.as_str());
    let account = account.filter(|id| !context.caches.accounts_with(id).is_empty());
    context.metrics.targets().stands(OBJECT, &key_of(object).to_string(), account, phase);
}

/// What happens after an [`Error`]: the object's own growing delay.
fn on_error(object: &Guarded, error: &Error, context: &Context) -> Next {
    tracing::warn!(object = %key_of(object), %error, "reconcile failed");
    backoff(context, object.uid().as_deref().unwrap_or_default())
}

async fn once(object: &Guarded, context: &Context, turn: Turn) -> Result<Next, Error> {
    let object = match &object.0 {
        Ok(object) => object,
        Err(invalid) => return report::undecodable(context, invalid).await,
    };
    let uid = object.uid().unwrap_or_default();
    let read;
    let object = if context.memory.attempts(&uid, |attempts| attempts.conflicts) < READ_AFTER {
        object
    } else {
        match read_singly(context, object).await? {
            Some(now) => read = now,
            // It is another one by now, or gone: that is the watch's to show.
            None => return Ok(conflict(context, &uid)),
        }
        &read
    };
    let deleting = object.meta().deletion_timestamp.is_some();
    let held = object.finalizers().iter().any(|name| name == FINALIZER);
    if context.memory.is_finished(&uid) || (deleting && !held) {
        return Ok(Next::OnChange);
    }
    let since = context.memory.regular.begin(&key_of(object), Instant::now()).filter(|_| !deleting);
    let mut pass = Pass::new(context, object, Some(turn.at_work), (turn.asked, since));
    let limit = context.settings.aws_timeout;
    let mut run = at_aws(&mut pass, deleting).await;
    if matches!(run, Ok(Err(Halt::Restart))) {
        pass = pass.restarted();
        run = at_aws(&mut pass, deleting).await;
    }
    // One whose account is not held yet, or whose look was cut short, still comes: its pipeline waits for it.
    let arrived = match &run {
        Ok(Ok(verdict) | Err(Halt::Verdict(verdict))) => !verdict.is_on_its_way(),
        Ok(Err(_)) | Err(_) => false,
    };
    if arrived {
        pass.arrived();
    }
    withdraw(&mut pass, &run);
    let verdict = match run {
        Ok(Ok(verdict) | Err(Halt::Verdict(verdict))) => verdict,
        Ok(Err(halt)) => {
            // The changes made until then are still reported.
            events::deeds(&mut pass).await;
            return match halt {
                Halt::Kubernetes(error) => Err(Error::Kubernetes(error)),
                Halt::Conflict | Halt::Restart | Halt::Verdict(_) => Ok(conflict(context, &uid)),
            };
        }
        Err(_) => crowded(&pass).unwrap_or_else(|| {
            Verdict::of(
                Reason::AwsUnavailable,
                format!("AWS did not answer within {} s; what was done so far is read again", limit.as_secs()),
                Retry::Backoff,
            )
        }),
    };
    match report::report(&mut pass, &verdict).await {
        Ok(()) => {
            context.memory.attempts(&uid, |attempts| attempts.conflicts = 0);
            Ok(next(&pass, next_look(&pass), &verdict))
        }
        Err(Halt::Kubernetes(error)) => Err(Error::Kubernetes(error)),
        Err(_) => Ok(conflict(context, &uid)),
    }
}

/// The part of a reconcile that works with AWS, for as long as it may.
async fn at_aws(pass: &mut Pass<'_>, deleting: bool) -> Result<Result<Verdict, Halt>, Elapsed> {
    timeout(pass.time_left(), async {
        if deleting {
            return Box::pin(remove::run(pass)).await;
        }
        record::begin(pass).await?;
        converge::run(pass).await
    })
    .await
}

/// That the time went by while calls in an account of this object waited for their turn, where that is so.
fn crowded(pass: &Pass<'_>) -> Option<Verdict> {
    let (spec, context) = (&pass.object.spec, pass.context);
    let accounts =
        [&spec.tools_account.id, &spec.dev_account.id].into_iter().filter_map(|id| id.parse::<AccountId>().ok());
    let mut crowded = accounts.filter_map(|account| Some((context.aws.budgets().crowded(&account)?, account)));
    let ((service, rate), account) = crowded.next()?;
    let message = format!(
        "{service} in account {account} is sent {rate:.1} calls a second for now, and the turn of this look did not come within \
         {} s; it is tried again. More is sent with --aws-budget {service}=RATE/BURST, unless AWS throttles",
        context.settings.aws_timeout.as_secs()
    );
    Some(Verdict::of(Reason::Throttled, message, Retry::Backoff))
}

/// The growing delay of an object or account whose writes meet newer ones.
pub(super) fn conflict(context: &Context, uid: &str) -> Next {
    let in_a_row = context.memory.attempts(uid, |attempts| {
        attempts.conflicts = attempts.conflicts.saturating_add(1);
        attempts.conflicts
    });
    Next::After(retry::conflict(in_a_row))
}

/// The object as the API server has it, whose watch has not shown it after conflicts in a row.
async fn read_singly(context: &Context, known: &CrossAccountInvoke) -> Result<Option<CrossAccountInvoke>, Error> {
    let key = key_of(known);
    let api: Api<Guarded> = Api::namespaced(context.client.clone(), &key.namespace);
    let Some(Decoded(Ok(now))) = api.get_opt(&key.name).await.map_err(Box::new)? else { return Ok(None) };
    if now.uid() != known.uid() {
        return Ok(None);
    }
    if now.resource_version() != known.resource_version() {
        context.metrics.read_singly();
        context.caches.note_lagging(&key);
        context.caches.learn(&now);
    }
    Ok(Some(now))
}

/// Withdraws what the object no longer wants of pipelines and roles. A look that did not come to its end says nothing about that.
fn withdraw(pass: &mut Pass<'_>, run: &Result<Result<Verdict, Halt>, Elapsed>) {
    let is_complete = match run {
        Ok(Ok(verdict) | Err(Halt::Verdict(verdict))) => !verdict.reason().is_failed_look(),
        Ok(Err(_)) | Err(_) => false,
    };
    if is_complete || !pass.claimed.is_empty() {
        pass.context.pipelines.withdraw_all_but(&pass.uid, std::mem::take(&mut pass.claimed));
    }
    if is_complete || !pass.claimed_of_roles.is_empty() {
        pass.context.roles.withdraw_all_but(&pass.uid, std::mem::take(&mut pass.claimed_of_roles));
    }
}

/// The interval, or the moment when the report of corrected drift has been kept long enough.
fn next_look(pass: &Pass<'_>) -> Duration {
    let expiry = pass.drift.expires_in(pass.context.settings.drift_retention, Context::now());
    let mut interval = retry::jittered(pass.interval(), Context::fraction());
    if pass.context.memory.is_unsettled(&pass.uid, Context::now())
        || role_writer::is_unsettled(pass.context, &pass.inventory)
    {
        // Applied late, it undoes what others have written since, and this object's look puts that right.
        interval = interval.min(WHILE_UNSETTLED);
    }
    expiry.map_or(interval, |expiry| interval.min(expiry.max(Duration::from_secs(1))))
}

/// The one place that turns a verdict into the time of the next look.
fn next(pass: &Pass<'_>, interval: Duration, verdict: &Verdict) -> Next {
    let (context, uid) = (pass.context, pass.uid.as_str());
    let retries = matches!(verdict, Verdict::Reconciling { retry: Retry::Backoff, .. });
    if !retries {
        context.memory.attempts(uid, |attempts| attempts.backoff = 0);
    }
    match verdict {
        Verdict::Converged => {
            pass.waits(interval);
            if pass.in_place == InPlaceBy::SameAnswers {
                context.metrics.found_in_place(Look::Confirmed);
            } else {
                context.metrics.found_in_place(Look::Whole);
                pass.note_in_place();
            }
            Next::After(interval)
        }
        Verdict::Stalled { .. } => Next::After(context.settings.delays.stalled(interval, Context::fraction())),
        Verdict::Released => Next::OnChange,
        Verdict::Reconciling { retry: Retry::Now, .. } => Next::After(Duration::from_millis(10)),
        Verdict::Reconciling { retry: Retry::After(delay), .. } => Next::After(*delay),
        Verdict::Reconciling { retry: Retry::Backoff, reason, .. } => {
            let look = pass.look(*reason, "");
            let is_ready = pass.object.status.as_ref().is_some_and(status::is_ready);
            let expiry = (is_ready && reason.is_failed_look()).then(|| conditions::time_to_not_checked(&look));
            let delay = backoff_delay(context, uid);
            Next::After(expiry.map_or(delay, |expiry| delay.min(expiry.max(Duration::from_secs(1)))))
        }
    }
}

/// The growing delay of one object or account.
pub(super) fn backoff(context: &Context, uid: &str) -> Next {
    Next::After(backoff_delay(context, uid))
}

fn backoff_delay(context: &Context, uid: &str) -> Duration {
    let attempt = context.memory.attempts(uid, |attempts| {
        attempts.backoff += 1;
        attempts.backoff - 1
    });
    context.settings.delays.backoff(attempt, Context::fraction())
}
