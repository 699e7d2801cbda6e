//! Kubernetes events: one per transition, never one per cycle.
//!
//! kube's recorder aggregates events of the same reason and action for six minutes and then repeats the *first* note, so
//! that the second drift of a day would be told in the words of the first. Transitions are rare, so each gets an event of
//! its own.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as CoreEvent},
    apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta},
};
use kube::{Api, Resource, api::PostParams, runtime::events::EventType};

use super::{caches::feeds::LeftBehind, context::Context, outcome::Verdict, pass::Pass};
use crate::{
    api::{CrossAccountInvoke, Reason, ReasonClass},
    domain::{
        drift, pipeline_edit,
        plan::{Change, PipelineGoal, Step},
    },
};

/// The API's limit of a note is 1 kB.
const NOTE_MAX: usize = 1000;
/// What of its object's name an event's name holds at most: with a dot and sixteen digits that is 253 characters.
const NAME_MAX: usize = 236;
/// Who tells.
const REPORTER: &str = "crossinvoke";
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
    versions(pass).await;
}

/// Tells of new versions of pipelines that hold something of the object, and of what they take away.
async fn versions(pass: &mut Pass<'_>) {
    for (pipeline, written) in std::mem::take(&mut pass.versions) {
        let version = written.pipeline.version;
        let rolls_back = pipeline_edit::stages_that_roll_back(&written.pipeline.declaration);
        let mut note = format!("{pipeline} has version {version}, with what {} asked for", objects(written.claims));
        let kind = if rolls_back.is_empty() {
            EventType::Normal
        } else {
            let stages = rolls_back.join(", ");
            note.push_str("; no execution of an earlier version can be rolled back to any more in stage ");
            note.push_str(&stages);
            EventType::Warning
        };
        publish(pass, kind, "PipelineUpdated", "Write", note).await;
        if let Some(replaced) = written.replaced {
            let note = format!(
                "somebody else made version {replaced} of {pipeline} between this controller's reading and its write; what they changed is \
                 in version {version} again, and an execution that began in between ran without it"
            );
            publish(pass, EventType::Warning, "ForeignWriter", "Write", note).await;
        }
    }
}

fn objects(count: usize) -> String {
    if count == 1 { "one object".to_owned() } else { format!("{count} objects") }
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
    let event = event(about, kind, reason, action, note, Context::exact_now());
    let namespace = about.namespace.as_deref().unwrap_or("default");
    let events: Api<CoreEvent> = Api::namespaced(context.client.clone(), namespace);
    match tokio::time::timeout(DEADLINE, events.create(&PostParams::default(), &event)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, event = reason, "the event was not taken"),
        Err(_) => tracing::warn!(event = reason, "the event was not taken in time"),
    }
}

/// One event. kube's recorder gives it the whole name of its object and a number, which is longer than a name may be where
/// the object's is long.
fn event(
    about: &ObjectReference,
    kind: EventType,
    reason: &str,
    action: &str,
    note: String,
    now: Timestamp,
) -> CoreEvent {
    let name: String = about.name.as_deref().unwrap_or(REPORTER).chars().take(NAME_MAX).collect();
    // What is cut must end like a name.
    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    CoreEvent {
        action: Some(action.to_owned()),
        reason: Some(reason.to_owned()),
        event_time: Some(MicroTime(now)),
        regarding: Some(about.clone()),
        note: Some(note),
        metadata: ObjectMeta {
            namespace: about.namespace.clone(),
            name: Some(format!("{name}.{:x}", now.as_nanosecond())),
            ..ObjectMeta::default()
        },
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(REPORTER.to_owned()),
        type_: Some(format!("{kind:?}")),
        ..CoreEvent::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_a_name_however_long_that_of_its_object_is() {
        let now = "2026-11-27T12:00:00.123456Z".parse().unwrap();
        let named = |name: &str| {
            let about = ObjectReference { name: Some(name.to_owned()), ..ObjectReference::default() };
            let event = event(&about, EventType::Warning, "InUse", "Delete", String::new(), now);
            assert_eq!(event.type_.as_deref(), Some("Warning"));
            event.metadata.name.unwrap()
        };
        assert_eq!(named("payments"), format!("payments.{:x}", now.as_nanosecond()));
        for long in ["a".repeat(253), format!("{}-.b", "a".repeat(NAME_MAX - 1))] {
            let name = named(&long);
            assert!(name.len() <= 253, "{name}");
            assert!(name.starts_with('a') && !name.contains("-."), "{name}");
        }
    }
}
