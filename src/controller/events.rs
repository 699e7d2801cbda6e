//! Kubernetes events: one per transition, never one per cycle.
//!
//! kube's recorder aggregates events of the same reason and action for six minutes and then repeats the *first* note, so
//! that the second drift of a day would be told in the words of the first. Transitions are rare, so each gets an event of
//! its own from a recorder of its own.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use super::{caches::feeds::LeftBehind, context::Context, outcome::Verdict, pass::Pass};
use crate::{
    api::{CrossAccountInvoke, Reason, ReasonClass},
    domain::{
        drift,
        plan::{Change, PipelineGoal, Step},
    },
};

/// The API's limit of a note is 1 kB.
const NOTE_MAX: usize = 1000;
/// How long an event may take; it never fails or holds up a reconcile for longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// What was done to something in AWS.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Deed {
    /// It did not exist before.
    Made,
    /// It was there.
    Changed,
    /// It is gone.
    Removed,
}

impl Deed {
    /// What taking a step means for its resource. A pipeline stays; of it our action is told.
    #[must_use]
    pub fn of(step: &Step, action_was_there: bool) -> Self {
        match &step.change {
            Change::CreateRole(_) => Self::Made,
            Change::PutPolicy(_) if step.before.is_none() => Self::Made,
            Change::EditPipeline(PipelineGoal::Holds(..)) if !action_was_there => Self::Made,
            Change::DeletePolicy
            | Change::DetachPolicy
            | Change::DeleteRole
            | Change::EditPipeline(PipelineGoal::HoldsNone(_)) => Self::Removed,
            Change::SetTrust(_)
            | Change::SetTags(_)
            | Change::RemoveTags(_)
            | Change::SetBoundary(_)
            | Change::PutPolicy(_)
            | Change::EditPipeline(PipelineGoal::Holds(..)) => Self::Changed,
        }
    }
}

/// Tells what this reconcile did in AWS: one event per kind of deed, however many resources.
pub async fn deeds(pass: &mut Pass<'_>) {
    let done = std::mem::take(&mut pass.deeds);
    for (deed, reason) in [(Deed::Made, "Made"), (Deed::Changed, "Changed"), (Deed::Removed, "Removed")] {
        let mut resources: Vec<&str> = Vec::new();
        for (_, resource) in done.iter().filter(|(of, _)| *of == deed) {
            if !resources.contains(&resource.as_str()) {
                resources.push(resource);
            }
        }
        if !resources.is_empty() {
            publish(pass, EventType::Normal, reason, "Write", resources.join("; ")).await;
        }
    }
}

/// Tells of drift that was found or put right, once the status says it.
pub async fn drift(pass: &mut Pass<'_>) {
    let (found, put_right) = pass.drift.changes();
    for change in &found {
        pass.context.metrics.drift_found(change.part, change.kind);
    }
    for change in &put_right {
        pass.context.metrics.drift_corrected(change.part, change.kind);
    }
    for (changes, kind, reason) in [(found, EventType::Warning, "Drifted"), (put_right, EventType::Normal, "Corrected")]
    {
        if !changes.is_empty() {
            let sentences: Vec<String> = changes.into_iter().map(|drift::Change { sentence, .. }| sentence).collect();
            publish(pass, kind, reason, "Compare", sentences.join("; ")).await;
        }
    }
}

/// Tells that something comes back after each correction, once the status says it.
pub async fn contested(pass: &Pass<'_>, message: String) {
    publish(pass, EventType::Warning, "Contested", "Compare", message).await;
}

/// Tells what a person should know about the place of the action: once per finding, also over a restart, after which the
/// status still says it.
pub async fn notes(pass: &Pass<'_>) {
    for note in pass.context.memory.untold_notes(&pass.uid, pass.facts.place_notes()) {
        if !pass.ready_message.contains(&note.sentence) {
            publish(pass, EventType::Warning, &note.kind.to_string(), "Compare", note.sentence).await;
        }
    }
}

/// Tells that the object became ready or stalled, compared with how this reconcile found it.
pub async fn verdict(pass: &Pass<'_>, verdict: &Verdict) {
    match verdict {
        Verdict::Converged if pass.found != Some(Reason::Converged) => {
            publish(pass, EventType::Normal, "Ready", "Reconcile", pass.facts.converged_message()).await;
        }
        Verdict::Stalled { reason, message } if pass.found != Some(*reason) => {
            publish(pass, EventType::Warning, "Stalled", "Reconcile", format!("{reason}: {message}")).await;
        }
        _ => {}
    }
}

/// The reason that a status gives for being ready or stalled; `None` while it is reconciling. What was only not looked at
/// for a while was ready before: that AWS answers again is no transition.
#[must_use]
pub fn settled_reason(object: &CrossAccountInvoke) -> Option<Reason> {
    match ready_condition(object)?.reason.parse().ok()? {
        Reason::NotChecked => Some(Reason::Converged),
        reason => Some(reason).filter(|reason| reason.class() != ReasonClass::Reconciling),
    }
}

/// What the status says about Ready.
#[must_use]
pub fn ready_condition(object: &CrossAccountInvoke) -> Option<&Condition> {
    object.status.as_ref()?.conditions.iter().find(|known| known.type_ == crate::api::condition::READY)
}

/// Tells that an object went without our finalizer, and what it left.
pub async fn left_behind(context: &Context, left: LeftBehind) {
    let LeftBehind { object, inventory } = left;
    let things: BTreeSet<String> = inventory.0.iter().map(|item| item.holder.to_string()).collect();
    let things: Vec<String> = things.into_iter().collect();
    let (namespace, name) =
        (object.namespace.as_deref().unwrap_or_default(), object.name.as_deref().unwrap_or_default());
    let note = format!(
        "the object went without its finalizer, so nothing was removed from AWS. To remove it, apply the object again and \
         delete it. What was made stays in {}",
        things.join(", ")
    );
    tracing::warn!(object = format!("{namespace}/{name}"), "{note}");
    publish_about(context, &object, EventType::Warning, "LeftBehind", "Delete", note).await;
}

async fn publish(pass: &Pass<'_>, kind: EventType, reason: &str, action: &str, note: String) {
    publish_about(pass.context, &pass.object.object_ref(&()), kind, reason, action, note).await;
}

/// Reports an event of its own about any object.
pub async fn publish_about(
    context: &Context,
    about: &ObjectReference,
    kind: EventType,
    reason: &str,
    action: &str,
    note: String,
) {
    let note: String = if note.len() <= NOTE_MAX {
        note
    } else {
        note.char_indices().take_while(|(at, _)| *at < NOTE_MAX - 4).map(|(_, c)| c).chain(['…']).collect()
    };
    let event =
        Event { type_: kind, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None };
    let recorder = recorder(context);
    match tokio::time::timeout(DEADLINE, recorder.publish(&event, about)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, event = reason, "the event was not taken"),
        Err(_) => tracing::warn!(event = reason, "the event was not taken in time"),
    }
}

fn recorder(context: &Context) -> Recorder {
    Recorder::new(context.client.clone(), Reporter { controller: "crossinvoke".to_owned(), instance: None })
}
