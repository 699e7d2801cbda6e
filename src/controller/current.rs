//! Whether what a reconcile rests on still holds, looked at right before each write: between the read of object and
//! grants and a write to AWS lie other calls, and minutes if they are slow.

use kube::ResourceExt;

use super::{
    context::Context,
    gate_input::gate_input,
    outcome::Verdict,
    pass::{Halt, Pass},
};
use crate::domain::{gate, plan::Situation};

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

fn grants_now(context: &Context, situation: &Situation<'_>) -> Result<crate::domain::spec::Granted, Verdict> {
    let input = gate_input(context, &situation.declared.key);
    gate::gate(situation.declared, &input, &context.settings.installation).map_err(Verdict::from)
}

fn is_deleting(pass: &Pass<'_>) -> bool {
    pass.object.metadata.deletion_timestamp.is_some()
}
