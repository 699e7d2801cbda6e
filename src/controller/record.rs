//! Record, then act: the status names what will be made before the first AWS write, with the resource version that was
//! read. Where that write is not taken, nothing is written to AWS.

use std::collections::BTreeSet;

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{
    caches::{Guarded, feeds::Unheld},
    context::{Context, FINALIZER},
    current, entered, events,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    status_inventory::{read_inventory, write_inventory},
};
use crate::{
    api::{CrossAccountInvokeStatus, Reason},
    cluster::digest::status_digest,
    domain::{
        conditions, drift,
        inventory::{self, Inventory, Part},
        plan::{self, Comparison, Phase, Step},
        status::{self, is_reconciling, is_stalled},
    },
};

/// Records what these steps are about to make, and the finalizer before it. Skipped when all of it is recorded already. The
/// comparison is let go before anything is written: many objects wait here at one time.
///
/// # Errors
/// [`Halt::Conflict`] when the object changed since it was read; nothing may be written to AWS then.
pub async fn record(pass: &mut Pass<'_>, comparison: Comparison<'_>, steps: &[Step]) -> Result<(), Halt> {
    let (situation, observed) = (comparison.situation(), comparison.observed());
    let deleting = pass.object.metadata.deletion_timestamp.is_some();
    if pass.only_tries_again(steps) {
        // All of it is recorded. The object is ready apart from that and stays so.
        return current::still_holds(pass, situation);
    }
    let mut desired = None;
    if !deleting {
        // What may not be made needs no finalizer, which nobody could take off once an AwsAccount has gone.
        current::still_holds(pass, situation)?;
        hold(pass).await?;
        desired = plan::converged_inventory(situation, observed);
        if let Some(desired) = &desired {
            // Waiting for an idle pipeline comes by here every few seconds and writes nothing new.
            let access = steps.iter().filter(|step| step.phase == Phase::Access);
            let written: BTreeSet<_> = access.map(|step| step.part).collect();
            pass.drop_actions_that_are_gone(situation.declared, desired, observed);
            let recorded = pass.with_desired(desired, &written);
            if recorded.0.len() > inventory::MAX {
                return Err(full(recorded.0.len()).into());
            }
            pass.inventory = recorded;
        }
    }
    // Before the look at the grants: an AwsAccount that goes meanwhile either sees this claim or is seen going.
    pass.context.memory.claim(&pass.uid, &pass.inventory);
    current::still_holds(pass, situation)?;
    let parts: BTreeSet<Part> = steps.iter().map(|step| step.part).collect();
    if !deleting {
        drift::expect(&mut pass.inventory, comparison.described(), &parts);
    }
    drop(comparison);
    let recorded = pass.object.status.as_ref().is_some_and(|status| {
        says_so(status, pass.object.metadata.generation)
            && pass.inventory.is_recorded(&read_inventory(&pass.object), &parts)
            && status.drift == pass.drift.status()
    });
    if !recorded {
        let status = next_status(pass, &about_to(deleting, steps));
        write(pass, status).await?;
    }
    pass.context.memory.claim(&pass.uid, &pass.inventory);
    if let Some(desired) = &desired {
        pass.context.memory.plan(&pass.uid, desired);
    }
    Ok(())
}

impl Pass<'_> {
    /// The inventory with what is about to be made; items of these parts count as written now.
    fn with_desired(&self, desired: &Inventory, written: &BTreeSet<Part>) -> Inventory {
        let mut fresh = desired.clone();
        fresh.0.retain(|item| {
            written.contains(&item.part) || !self.inventory.0.iter().any(|known| known.same_thing(item))
        });
        // What was last seen in place stays known until it is seen again.
        for item in &mut fresh.0 {
            let known = self.inventory.0.iter().find(|known| known.same_thing(item));
            item.digest = known.and_then(|known| known.digest.clone());
            item.pipeline_version = known.and_then(|known| known.pipeline_version);
        }
        let mut inventory = self.inventory.union(&fresh);
        for item in &mut inventory.0 {
            // A stage that was somebody's and has gone is ours once we make it again.
            item.stage_made |= desired.0.iter().any(|wanted| wanted.stage_made && wanted.same_thing(item));
        }
        inventory
    }
}

/// Nothing is written to AWS that the status has no room to name.
fn full(items: usize) -> Verdict {
    Verdict::Stalled {
        reason: Reason::InventoryFull,
        message: format!(
            "status.inventory would list {items} things in AWS, and it holds {}: the spec was edited again and again before the \
             edits before were finished. Set the spec back to an earlier state and let it become Ready before the next edit, or \
             delete the object",
            inventory::MAX
        ),
    }
}

/// Whether the status says that work is under way, or that it is stuck over this very spec: a stalled object that is tried
/// again, and has recorded all of it, would otherwise go back and forth at every try.
fn says_so(status: &CrossAccountInvokeStatus, generation: Option<i64>) -> bool {
    is_reconciling(status) || (is_stalled(status) && status.observed_generation == generation)
}

/// What is about to be done.
fn about_to(deleting: bool, steps: &[Step]) -> Verdict {
    let (reason, message) = if deleting {
        (Reason::Deleting, "what exists in AWS because of this object is being removed".to_owned())
    } else {
        let first = steps.first().map(|step| step.resource.to_string()).unwrap_or_default();
        let message = match steps.len() {
            0 | 1 => format!("writing {first}"),
            more => format!("writing {first} and {} more", more - 1),
        };
        (Reason::Progressing, message)
    };
    Verdict::Reconciling { reason, message, retry: Retry::Now }
}

/// The status that says this verdict.
#[must_use]
pub fn next_status(pass: &Pass<'_>, verdict: &Verdict) -> CrossAccountInvokeStatus {
    let said = match verdict {
        Verdict::Converged | Verdict::Released => (Reason::Converged, pass.facts.converged_message()),
        Verdict::Reconciling { reason, message, .. } | Verdict::Stalled { reason, message } => {
            (*reason, message.clone())
        }
    };
    let items = write_inventory(&pass.inventory);
    let checked = pass.context.memory.last_look(&pass.uid);
    let look = pass.look(said.0, &said.1);
    let undone = (&pass.drift, &pass.contested);
    status::next(pass.object.status.as_ref(), &look, checked, &pass.facts, undone, items)
}

/// Whether the time of this look is worth a write of its own.
#[must_use]
pub fn is_time_worth_recording(pass: &Pass<'_>) -> bool {
    let recorded = status::known(pass.object.status.as_ref()).last_checked;
    conditions::is_worth_recording(recorded, pass.context.memory.last_look(&pass.uid), pass.interval())
}

/// Says that the first look has begun: without conditions kstatus would take the object for finished. One that waits for its
/// accounts says so instead.
///
/// # Errors
/// The verdict of one that waits; or as the API server answers.
pub async fn begin(pass: &mut Pass<'_>) -> Result<(), Halt> {
    if pass.object.status.as_ref().is_some_and(|status| !status.conditions.is_empty()) {
        return Ok(());
    }
    if let Some(waits) = entered::waits(pass) {
        return Err(waits.into());
    }
    let status = next_status(pass, &Verdict::progressing("AWS is being looked at for the first time", Retry::Now));
    write(pass, status).await
}

/// Replaces the status on the resource version that was read.
///
/// # Errors
/// As the API server answers.
pub async fn write(pass: &mut Pass<'_>, status: CrossAccountInvokeStatus) -> Result<(), Halt> {
    pass.context.memory.note_own_status(&pass.uid, status_digest(Some(&status)));
    let contested = pass.contested.said().filter(|_| !status::is_contested(pass.object.status.as_ref()));
    let mut object = pass.object.clone();
    object.status = Some(status);
    pass.object = pass.api().replace_subresource("status", &pass.key.name, &PostParams::default(), &object).await?.0?;
    pass.context.caches.learn(&pass.object);
    events::drift(pass).await;
    if let Some((_, message)) = contested {
        events::contested(pass, message).await;
    }
    Ok(())
}

/// Puts our finalizer back on an object that somebody took it off. What the API server does not take, the next event of
/// the object or its next look tries again.
pub async fn put_back(context: &Context, unheld: Unheld) {
    let Unheld { object, resource_version, mut finalizers } = unheld;
    finalizers.push(FINALIZER.to_owned());
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": resource_version}});
    let api: Api<Guarded> = Api::namespaced(context.client.clone(), object.namespace.as_deref().unwrap_or_default());
    match api.patch(&object.name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => tracing::warn!(%object, "somebody removed the finalizer {FINALIZER}; it is put back"),
        Err(error) => tracing::debug!(%object, %error, "the finalizer could not be put back"),
    }
}

/// Whether the status that says this verdict would say anything new, apart from when it was last looked.
#[must_use]
pub fn is_news(pass: &Pass<'_>, verdict: &Verdict) -> bool {
    let Some(known) = &pass.object.status else { return true };
    let next = next_status(pass, verdict);
    CrossAccountInvokeStatus { last_checked_at: known.last_checked_at.clone(), ..next } != *known
}

/// Puts our finalizer on the object if it is missing.
///
/// # Errors
/// As the API server answers.
pub async fn hold(pass: &mut Pass<'_>) -> Result<(), Halt> {
    if pass.object.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(());
    }
    let mut finalizers = pass.object.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": pass.object.resource_version()}});
    pass.object = pass.api().patch(&pass.key.name, &PatchParams::default(), &Patch::Merge(patch)).await?.0?;
    pass.context.caches.learn(&pass.object);
    Ok(())
}
