//! What an object that goes without a grant may make the controller read and tell. Anybody who may make objects may make
//! one with our finalizer and any status, and delete it: that costs the accounts next to nothing, holds up nobody, and
//! tells nothing of them. A revoked grant leads to removal all the same, on what AWS shows to be this object's.

use super::{
    entered::Entered,
    gate_input::gate_input,
    observe::{self, LOOKING, Purpose, Untouched},
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    remove,
};
use crate::{
    api::Reason,
    domain::{gate, names, plan, validate::validate_object},
};

/// What is known of an object that goes, before AWS is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// It is granted what it asks for, or this process planned something for it when it was, or AWS showed something of it.
    Known,
    /// Only its status says that it has something.
    Claimed,
    /// Nothing says that it ever had anything.
    Nothing,
}

/// Which of them an object is.
#[must_use]
pub(super) fn standing(pass: &Pass<'_>) -> Standing {
    let context = pass.context;
    // A spec that is not valid names no account, and is refused as ever.
    let Ok(declared) = validate_object(&pass.key, &pass.object, &context.settings.installation) else {
        return Standing::Known;
    };
    let granted = gate::is_granted(&declared, &gate_input(context, &declared.key));
    let planned = !context.memory.planned(&pass.uid).0.is_empty() || context.memory.is_proven(&pass.uid);
    let claimed = !pass.inventory.clone().within(&declared).0.is_empty();
    of(granted, planned, claimed)
}

fn of(granted: bool, planned: bool, claimed: bool) -> Standing {
    match (granted || planned, claimed) {
        (true, _) => Standing::Known,
        (false, true) => Standing::Claimed,
        (false, false) => Standing::Nothing,
    }
}

/// Whether AWS shows anything of an object that only claims to have something: a role with its tags, or an action under
/// the role of its derived name. Reads what its status names, in the two accounts of its spec, and claims nothing.
///
/// # Errors
/// A verdict that tells nothing of the accounts, while that cannot be told.
pub(super) async fn is_proven(pass: &mut Pass<'_>) -> Result<bool, Halt> {
    let key = pass.key.clone();
    let shown = shown(pass).await.map_err(|halt| match halt {
        Halt::Verdict(verdict) => untold(&key.to_string(), verdict).into(),
        halt => halt,
    })?;
    if shown {
        // Its role goes before the last look.
        pass.context.memory.note_proven(&pass.uid);
    }
    Ok(shown)
}

async fn shown(pass: &mut Pass<'_>) -> Result<bool, Halt> {
    let context = pass.context;
    let entered = Entered::open(pass, gate::access_for_removal).await?;
    let situation = entered.situation(context);
    let mut observed =
        observe::named(&entered.sessions.reads, &situation, Purpose::Reread, Untouched::default()).await?;
    let is_own = |tags| names::owned(tags, situation.installation, &situation.declared.key);
    if observed.roles.values().flatten().any(|role| is_own(&role.tags)) {
        return Ok(true);
    }
    observe::doubt(pass, &entered.sessions.reads, &situation, &mut observed).await?;
    if let Some(verdict) = observe::doubted(&situation, Reason::Deleting, &observed.doubted) {
        return Err(verdict.into());
    }
    // Without a role of its own only an action can be left: the shared policies were not read.
    let plan = plan::plan_removal(&situation, &observed);
    if !plan.steps.is_empty() {
        return Ok(true);
    }
    if let Some(blocker) = plan.blockers.into_iter().next() {
        return Err(Verdict::from(blocker).into());
    }
    remove::invisible(pass, &situation, &observed)?;
    Ok(false)
}

/// A verdict without what was read. What the gate says was not read in AWS.
fn untold(object: &str, verdict: Verdict) -> Verdict {
    let (message, retry) = match verdict {
        Verdict::Stalled { reason: Reason::NotGranted | Reason::DuplicateAccount | Reason::InvalidSpec, .. }
        | Verdict::Converged
        | Verdict::Released => return verdict,
        Verdict::Stalled { message, .. } => (message, Retry::Backoff),
        Verdict::Reconciling { message, retry, .. } => (message, retry),
    };
    tracing::info!(%object, "an object without a grant goes: {message}");
    let message =
        format!("{LOOKING}; if this lasts, the platform team finds in the controller's log what it waits for");
    Verdict::Reconciling { reason: Reason::Deleting, message, retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_process_planned_or_a_grant_counts_before_aws_is_asked() {
        for (granted, planned, claimed, expected) in [
            (true, false, false, Standing::Known),
            (false, true, true, Standing::Known),
            (false, false, true, Standing::Claimed),
            (false, false, false, Standing::Nothing),
        ] {
            assert_eq!(of(granted, planned, claimed), expected, "{granted} {planned} {claimed}");
        }
    }

    #[test]
    fn to_whom_nothing_is_granted_nothing_is_told_that_was_read() {
        let secret = "pipeline release is not found".to_owned();
        for verdict in [
            Verdict::Stalled { reason: Reason::AccessDenied, message: secret.clone() },
            Verdict::Stalled { reason: Reason::DeletionBlocked, message: secret.clone() },
            Verdict::Reconciling { reason: Reason::AwsUnavailable, message: secret.clone(), retry: Retry::Backoff },
        ] {
            let Verdict::Reconciling { reason, message, .. } = untold("payments/validate", verdict) else { panic!() };
            assert_eq!(reason, Reason::Deleting);
            assert!(message.contains("is being looked for") && !message.contains("release"), "{message}");
        }
        let gate = Verdict::Stalled { reason: Reason::NotGranted, message: "no AwsAccount has accountID 1".to_owned() };
        assert!(
            matches!(untold("payments/validate", gate), Verdict::Stalled { message, .. } if message.contains("accountID"))
        );
    }
}
