//! Whether what a write rests on still holds, looked at right before each one: between the read of object and grants and a
//! write to AWS lie other calls, and minutes if they are slow.

use std::sync::Arc;

use kube::ResourceExt;

use super::{
    caches::Caches,
    gate_input,
    outcome::Verdict,
    pass::{Halt, Pass},
};
use crate::domain::{basis::Basis, gate, ids::InstallationId, plan::Situation};

/// Looks at the caches, and asks nobody.
///
/// # Errors
/// As [`look`].
pub fn still_holds(pass: &Pass<'_>, situation: &Situation<'_>) -> Result<(), Halt> {
    let context = pass.context;
    look(&context.caches, &context.settings.installation, &basis(pass, situation))
}

/// What a write of this reconcile rests on.
pub(super) fn basis(pass: &Pass<'_>, situation: &Situation<'_>) -> Basis {
    Basis {
        key: pass.key.clone(),
        uid: pass.uid.clone(),
        generation: pass.object.metadata.generation.unwrap_or_default(),
        leaving: pass.object.metadata.deletion_timestamp.is_some(),
        declared: Arc::new(situation.declared.clone()),
        granted: Arc::new(situation.granted.clone()),
    }
}

/// Whether the object is as it was when it was planned for, and is granted the same.
pub(super) fn holds(caches: &Caches, installation: &InstallationId, planned: &Basis) -> bool {
    look(caches, installation, planned).is_ok()
}

/// Looks at the caches, and asks nobody.
///
/// # Errors
/// [`Halt::Conflict`] when the object is not the one that was planned for any more, or is granted something else than
/// then; the gate's verdict when it is granted nothing now. In either case nothing may be written.
pub(super) fn look(caches: &Caches, installation: &InstallationId, planned: &Basis) -> Result<(), Halt> {
    let object = caches.object(&planned.key);
    let object = object.as_ref().and_then(|object| object.0.as_ref().ok()).ok_or(Halt::Conflict)?;
    let leaving = object.metadata.deletion_timestamp.is_some();
    // Of our own writes the cache may still show what was before.
    let same = object.uid().as_deref() == Some(planned.uid.as_str())
        && object.metadata.generation.unwrap_or_default() <= planned.generation
        && (planned.leaving || !leaving);
    if !same {
        return Err(Halt::Conflict);
    }
    // A revoked grant stops everything but removal.
    if planned.leaving {
        return Ok(());
    }
    let input = gate_input::of_caches(caches, &planned.key);
    let granted = gate::gate(&planned.declared, &input, installation).map_err(Verdict::from)?;
    if granted == *planned.granted { Ok(()) } else { Err(Halt::Conflict) }
}
