//! Whether what a reconcile rests on still holds, looked at right before each write: between the read of object and
//! grants and a write to AWS lie other calls, and minutes if they are slow.

use kube::ResourceExt;

use super::{
    caches::Caches,
    context::Context,
    gate_input::{self, gate_input},
    outcome::Verdict,
    pass::{Halt, Pass},
};
use crate::domain::{
    gate,
    ids::{InstallationId, ObjectKey},
    plan::Situation,
    spec::{Declared, Granted},
};

/// Looks at the caches, and asks nobody.
///
/// # Errors
/// [`Halt::Conflict`] when the object is not the one that was planned for any more, or is granted something else than
/// then; the gate's verdict when it is granted nothing now. In either case nothing may be written.
pub fn still_holds(pass: &Pass<'_>, situation: &Situation<'_>) -> Result<(), Halt> {
    let cached = pass.context.caches.object(&pass.key);
    let known = &pass.object;
    let same = cached.is_some_and(|cached| {
        cached.0.as_ref().is_ok_and(|cached| {
            cached.uid() == known.uid()
                // Of our own writes the cache may still show what was before.
                && cached.metadata.generation <= known.metadata.generation
                && (cached.metadata.deletion_timestamp.is_none() || is_deleting(pass))
        })
    });
    if !same {
        return Err(Halt::Conflict);
    }
    // A revoked grant stops everything but removal.
    if is_deleting(pass) {
        return Ok(());
    }
    let granted = grants_now(pass.context, situation)?;
    if granted == *situation.granted { Ok(()) } else { Err(Halt::Conflict) }
}

/// What a claim rests on.
pub(super) struct Planned<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) uid: &'a str,
    pub(super) generation: i64,
    pub(super) leaving: bool,
    pub(super) declared: &'a Declared,
    pub(super) granted: &'a Granted,
}

/// Whether the object is as it was when it claimed, and is granted the same. Looks at the caches, and asks nobody.
pub(super) fn holds(caches: &Caches, installation: &InstallationId, planned: &Planned<'_>) -> bool {
    let Some(object) = caches.object(planned.key) else { return false };
    let Ok(object) = &object.0 else { return false };
    let leaving = object.metadata.deletion_timestamp.is_some();
    // Of our own writes the cache may still show what was before.
    let same = object.uid().as_deref() == Some(planned.uid)
        && object.metadata.generation.unwrap_or_default() <= planned.generation
        && (planned.leaving || !leaving);
    if !same || planned.leaving {
        return same;
    }
    // A revoked grant stops everything but removal.
    let input = gate_input::of_caches(caches, planned.key);
    gate::gate(planned.declared, &input, installation).is_ok_and(|granted| granted == *planned.granted)
}

fn grants_now(context: &Context, situation: &Situation<'_>) -> Result<crate::domain::spec::Granted, Verdict> {
    let input = gate_input(context, &situation.declared.key);
    gate::gate(situation.declared, &input, &context.settings.installation).map_err(Verdict::from)
}

fn is_deleting(pass: &Pass<'_>) -> bool {
    pass.object.metadata.deletion_timestamp.is_some()
}
