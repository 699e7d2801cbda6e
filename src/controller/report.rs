//! What a reconcile came to, told once: status, log line and gauge.

use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    caches::Guarded,
    confirming::InPlaceBy,
    context::Context,
    events,
    outcome::Verdict,
    pass::{Halt, Pass},
    reconcile::Error,
    record, remove,
    runner::Next,
};
use crate::{
    api::Reason,
    cluster::Undecodable,
    domain::{
        conditions::{self, Known, Look},
        validate::DEFAULT_INTERVAL,
    },
};

/// Writes the status when it differs in more than time, and lets a finished deletion go.
///
/// # Errors
/// As the API server answers.
pub async fn report(pass: &mut Pass<'_>, verdict: &Verdict) -> Result<(), Halt> {
    log(verdict);
    pass.drift.failed(matches!(verdict, Verdict::Stalled { .. }));
    pass.drift.expire(pass.context.settings.drift_retention, Context::now());
    if *verdict == Verdict::Released {
        pass.context.metrics.forget(&pass.key);
        let gone = remove::let_go(pass).await;
        events::deeds(pass).await;
        return gone;
    }
    if pass.in_place == InPlaceBy::SameAnswers {
        show(pass, Reason::Converged, None);
        // Nothing but the time of this look can be news.
        if !record::is_time_worth_recording(pass) {
            return Ok(());
        }
    }
    let reason = verdict.reason();
    pass.failed_looks = pass.context.memory.count_look(&pass.uid, reason.is_failed_look());
    if *verdict == Verdict::Converged || !pass.inventory.0.is_empty() {
        // Somebody may have taken our finalizer off: without it a deletion would leave everything behind.
        record::hold(pass).await?;
    }
    if !pass.inventory.0.is_empty() {
        // Another object's look at what this one needs must find what was seen, not what was about to be made.
        pass.context.memory.claim(&pass.uid, &pass.inventory);
    }
    let mut status = record::next_status(pass, verdict);
    status.last_handled_reconcile_at = pass.requested().or(status.last_handled_reconcile_at);
    let recorded = status.last_checked_at.as_ref().map(|at| at.0);
    show(pass, conditions::ready_reason(&status.conditions).unwrap_or(reason), recorded);
    let is_news = pass.object.status.as_ref() != Some(&status);
    // The status comes first: events are for people, and may take their time.
    let written = if is_news { record::write(pass, status).await } else { Ok(()) };
    // What was done is told even when it did not lead anywhere.
    events::deeds(pass).await;
    written?;
    if is_news {
        events::verdict(pass, verdict).await;
        if *verdict == Verdict::Converged {
            events::notes(pass).await;
        }
    }
    Ok(())
}

/// Tells the metrics. One that went meanwhile is counted no more.
fn show(pass: &Pass<'_>, reason: Reason, recorded: Option<Timestamp>) {
    let (context, metrics) = (pass.context, &pass.context.metrics);
    if context.caches.object(&pass.key).is_some() {
        metrics.object(&pass.key, reason, context.memory.last_look(&pass.uid).or(recorded));
        metrics.drift_open(&pass.key, pass.drift.oldest_uncorrected());
        metrics.contested(&pass.key, pass.contested.counts());
    }
}

fn log(verdict: &Verdict) {
    match verdict {
        Verdict::Converged => tracing::debug!("converged"),
        Verdict::Released => tracing::info!("nothing is left in AWS; the object goes"),
        Verdict::Reconciling { reason, message, .. } => tracing::info!(reason = %reason, "{message}"),
        Verdict::Stalled { reason, message } => tracing::warn!(reason = %reason, "{message}"),
    }
}

/// An object that does not decode (an older or newer version of the kind wrote it) is told so in its status.
///
/// # Errors
/// As the API server answers.
pub async fn undecodable(context: &Context, invalid: &Undecodable) -> Result<Next, Error> {
    let namespace = invalid.metadata.namespace.as_deref().unwrap_or_default();
    let name = invalid.metadata.name.as_deref().unwrap_or_default();
    let generation = invalid.metadata.generation.unwrap_or_default();
    let deleting = invalid.metadata.deletion_timestamp.is_some();
    let reason = if deleting { Reason::DeletionBlocked } else { Reason::InvalidSpec };
    let message = format!(
        "the object cannot be read by this version of the controller: {}; {}",
        invalid.error,
        super::unknown::WAY_OUT
    );
    let api: Api<Guarded> = Api::namespaced(context.client.clone(), namespace);
    // What the cache shows may be older than our own last write.
    let Err(Undecodable { conditions: known, .. }) = api.get(name).await.map_err(Box::new)?.0 else {
        // It was corrected meanwhile, and the watch brings it.
        return Ok(Next::OnChange);
    };
    let look = Look::certain(reason, &message, generation, Context::now());
    let conditions = conditions::after(&Known { conditions: &known, ..Known::default() }, &look);
    if conditions != known {
        let patch = json!({"status": {"observedGeneration": generation, "conditions": conditions}});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.map_err(Box::new)?;
    }
    Ok(Next::After(context.settings.delays.stalled(DEFAULT_INTERVAL, Context::fraction())))
}
