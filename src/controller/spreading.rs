//! A start, a changed `AwsAccount` and a changed namespace are a reason to look at many objects at once. Those of them that are
//! in place are looked at over a tenth of their interval, so that AWS is not asked for all of them in the same second. Whatever
//! has still to be made, was changed, is deleted or asked for is looked at at once. Nothing of safety depends on it: what a look
//! does, and what a write rests on, is the same whenever it comes.

use std::time::Duration;

use kube::ResourceExt;

use super::{
    caches::{Guarded, key_of},
    context::{Context, FINALIZER},
    gate_input::gate_input,
};
use crate::{
    api::{CrossAccountInvoke, Reason, annotation, condition},
    cluster::digest::digest_of,
    domain::{
        conditions,
        contested::Contested,
        drift::Drift,
        gate, retry,
        spec::Granted,
        status,
        validate::{DEFAULT_INTERVAL, parse_interval, validate_object},
    },
};

/// For how long the look at an object is held back; `None` when it is to be made now.
pub(super) fn held_back(object: &Guarded, context: &Context) -> Option<Duration> {
    let uid = object.uid().unwrap_or_default();
    let left = context.memory.held_back(&uid, Context::exact_now())?;
    let known = object.0.as_ref().ok().filter(|object| is_in_place(object) && is_granted_as_before(object, context));
    let Some(known) = known else {
        context.memory.hold_back_no_more(&uid);
        return None;
    };
    count(known, context);
    Some(left)
}

/// For how long the look at an object may be held back, by a random fraction.
pub(super) fn delay(object: &CrossAccountInvoke, fraction: f64) -> Duration {
    let interval = object.spec.interval.as_deref().and_then(parse_interval);
    retry::spread(interval.unwrap_or(DEFAULT_INTERVAL), fraction)
}

/// Whether there is nothing to be made for an object, as it says itself.
pub(super) fn is_in_place(object: &CrossAccountInvoke) -> bool {
    let Some(known) = &object.status else { return false };
    let is_settled = status::is_ready(known) && !conditions::is_true(&known.conditions, condition::RECONCILING);
    let is_converged = conditions::ready_reason(&known.conditions) == Some(Reason::Converged);
    let is_observed = known.observed_generation.is_some() && known.observed_generation == object.metadata.generation;
    let is_held = object.finalizers().iter().any(|name| name == FINALIZER);
    let requested = annotation::requested(object.annotations());
    let is_asked_for = requested.is_some() && requested != known.last_handled_reconcile_at;
    let goes = object.metadata.deletion_timestamp.is_some();
    is_settled && is_converged && is_observed && is_held && !is_asked_for && !goes
}

/// Whether both accounts grant an object what it asks for, and impose on it what they did at its last look, as far as this
/// process has looked at it.
fn is_granted_as_before(object: &CrossAccountInvoke, context: &Context) -> bool {
    let (key, installation) = (key_of(object), &context.settings.installation);
    let Ok(declared) = validate_object(&key, object, installation) else { return false };
    let granted = gate::gate(&declared, &gate_input(context, &key), installation);
    let before = context.memory.imposed(&object.uid().unwrap_or_default());
    granted.is_ok_and(|granted| before.is_none_or(|before| before == imposed(&granted)))
}

/// A digest of all that a look at AWS would compare with; how an account is entered is not among it.
pub(super) fn imposed(granted: &Granted) -> u64 {
    digest_of(&(
        granted.role_path.as_str(),
        granted.boundary.as_ref(),
        &granted.allowed_tag_keys,
        &granted.imposed_tags,
        &granted.tolerated_policies,
        granted.today,
        &granted.closing,
    ))
}

/// An object is counted from the start, with what its status says.
fn count(object: &CrossAccountInvoke, context: &Context) {
    let (key, uid) = (key_of(object), object.uid().unwrap_or_default());
    let looked = object.status.as_ref().and_then(|known| known.last_checked_at.as_ref()).map(|at| at.0);
    let contested = Contested::of(object.status.as_ref(), context.memory.removals(&uid), Context::now());
    context.metrics.object(&key, Reason::Converged, context.memory.last_look(&uid).or(looked));
    context.metrics.drift_open(&key, Drift::of(object.status.as_ref()).oldest_uncorrected());
    context.metrics.contested(&key, contested.counts());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn is(change: impl Fn(&mut Value)) -> bool {
        let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let mut object = json!({"apiVersion": "crossinvoke.dev/v1alpha1", "kind": "CrossAccountInvoke",
            "metadata": {"name": "validate", "namespace": "payments", "uid": "1", "generation": 3, "finalizers": [FINALIZER],
                "annotations": {annotation::RECONCILE_REQUESTED_AT: "now"}},
            "spec": {"toolsAccount": {"id": "111111111111", "region": "us-east-1"}, "devAccount": {"id": "222222222222"},
                "pipeline": {"name": "release"}, "stage": {"name": "Validate"}, "function": {"name": "MyFunction"}},
            "status": {"observedGeneration": 3, "lastHandledReconcileAt": "now",
                "conditions": [condition("Ready", "True", "Converged")]}});
        change(&mut object);
        is_in_place(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn only_an_object_for_which_nothing_is_to_be_made_may_be_held_back() {
        assert!(is(|_| {}));
        let reconciling = json!({"type": "Reconciling", "status": "True", "reason": "Throttled", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        for (what, member, value) in [
            ("edited", "/metadata/generation", json!(4)),
            ("deleted", "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("asked for", "/metadata/annotations/crossinvoke.dev~1reconcile-requested-at", json!("again")),
            ("without our finalizer", "/metadata/finalizers", json!([])),
            ("not ready", "/status/conditions/0/status", json!("False")),
            ("not known to be", "/status/conditions/0/status", json!("Unknown")),
            ("whose last look failed", "/status/conditions/1", reconciling),
            ("without a status", "/status", json!(null)),
        ] {
            let changed = is(|object| match object.pointer_mut(member) {
                Some(old) => *old = value.clone(),
                None => match member.rsplit('/').next() {
                    Some("1") => object["status"]["conditions"].as_array_mut().unwrap().push(value.clone()),
                    Some(name) => object["metadata"][name] = value.clone(),
                    None => {}
                },
            });
            assert!(!changed, "{what}");
        }
    }
}
