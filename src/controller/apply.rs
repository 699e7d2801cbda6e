//! IAM writes: each step of a plan is one call, sent once. After a lost answer the next read decides, and a deletion does
//! not end before what the write may have made could be seen.

use super::{
    context::Context,
    current,
    events::Deed,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    role_writer,
    sessions::{Sessions, Writes},
};
use crate::{
    api::Reason,
    aws::AwsError,
    domain::{
        basis::Basis,
        observed::Observed,
        plan::{self, Phase, Situation, Step},
    },
    engine::role::{Permit, Write},
    telemetry::metrics::{Permitted, ROLE},
};

/// Takes the IAM steps in their order and remembers each one that AWS has applied, or may have. What objects share is claimed.
///
/// # Errors
/// The first step that AWS refused, or whose answer was lost, or before which object or grants changed; it and the steps
/// after it were not taken.
pub async fn iam(
    pass: &mut Pass<'_>,
    sessions: &Sessions,
    (situation, observed): (&Situation<'_>, &Observed),
    steps: &[Step],
) -> Result<(), Halt> {
    let mut left = steps;
    while let Some((step, after)) = left.split_first() {
        let together = shared_together(left);
        if together.is_empty() {
            own(pass, &sessions.writes, situation, step).await?;
            left = after;
        } else {
            current::still_holds(pass, situation)?;
            role_writer::write(pass, sessions, (situation, observed), together).await?;
            left = &left[together.len()..];
        }
    }
    Ok(())
}

/// The first steps, as far as objects share what they are about and it may be written at one time: what is added in any
/// order, what is removed one kind after the other.
fn shared_together(steps: &[Step]) -> &[Step] {
    let Some(first) = steps.first() else { return steps };
    let goes_along =
        |step: &&Step| role_writer::place(step).is_some() && (first.phase == Phase::Access || step.part == first.part);
    &steps[..steps.iter().take_while(goes_along).count()]
}

/// Takes one step on something of the object's own.
async fn own(pass: &mut Pass<'_>, writes: &Writes, situation: &Situation<'_>, step: &Step) -> Result<(), Halt> {
    held(pass.context, step)?;
    // Pipelines have workers, to which each object says what it wants.
    let Some(write) = Write::of(step) else { return Ok(()) };
    let (context, iam) = (pass.context, &writes.dev_iam);
    // Before the last look, since it may be waited for.
    let turn = iam.turn().await;
    let (caches, installation) = (&context.caches, &context.settings.installation);
    let look = |basis: &Basis| current::look(caches, installation, basis);
    let permit = Permit::after_look(write, current::basis(pass, situation), Context::exact_now(), look);
    context.metrics.targets().permitted(ROLE, Permitted::of(permit.is_ok()), 1);
    let permit = permit?;
    // At the end of the process the next one does it.
    let Some(under_way) = context.own_writes.begin() else { return Err(Halt::Conflict) };
    tracing::info!(resource = %step.resource, change = %permit.write().summary(), "writing");
    let memory = &context.memory;
    let (before, after) = (step.before.clone(), step.after.clone());
    let earlier = memory.own_writes(|writes| writes.note_sent(&step.resource, before, after, Context::now()));
    let unsettled = memory.sending(&pass.uid, Context::now());
    let written = iam.write(turn, permit).await;
    drop(under_way);
    if written.as_ref().is_err_and(AwsError::is_late) {
        context.metrics.targets().permitted(ROLE, Permitted::Late, 1);
    }
    let written = written.map_err(|error| AwsError { also_missing: plan::lacks_boundary(situation, step), ..error });
    match &written {
        Err(error) if !error.outcome_unknown => {
            memory.own_writes(|writes| writes.take_back(&step.resource, earlier));
        }
        Err(error) if !error.is_unanswered() => memory.own_writes(|writes| writes.note_fault(&step.resource)),
        _ => {}
    }
    if !written.as_ref().is_err_and(AwsError::is_unanswered) {
        memory.sent(&pass.uid, unsettled);
    }
    if removal_was_refused(pass, step, written)? {
        return Ok(());
    }
    // A new change of ours starts the wait for its spreading again.
    context.memory.attempts(&pass.uid, |attempts| attempts.propagation = 0);
    pass.deeds.push((Deed::of(step, false), step.resource.to_string()));
    context.memory.own_writes(|writes| {
        writes.note_write(&step.resource, step.before.clone(), step.after.clone(), Context::now());
    });
    Ok(())
}

/// A write whose answer was lost may be applied after somebody else's, and undo it. It is waited for, and nothing is held
/// meanwhile but what it wrote.
fn held(context: &Context, step: &Step) -> Result<(), Verdict> {
    let (attempt, now) = (context.settings.aws_attempt_timeout, Context::now());
    let until = context.memory.own_writes(|writes| writes.held_until(&step.resource, attempt, now));
    let Some(until) = until else { return Ok(()) };
    Err(Verdict::Reconciling {
        reason: Reason::AwsUnavailable,
        message: format!(
            "the answer to a write of {} was lost, and AWS may apply it yet; nothing else is written there before {until}",
            step.resource
        ),
        retry: Retry::After(until.duration_since(now).unsigned_abs()),
    })
}

/// Takes note of how the removal of a policy that nobody declared went. A refusal keeps nothing else back: the policy
/// stays and is reported, and the object is ready apart from that.
fn removal_was_refused(pass: &mut Pass<'_>, step: &Step, written: Result<(), AwsError>) -> Result<bool, AwsError> {
    let (Some(policy), Some(role)) = (step.extra_policy(), step.resource.role()) else {
        return written.map(|()| false);
    };
    match written {
        Ok(()) => {
            pass.removed(role, &policy);
            Ok(false)
        }
        Err(error) if matches!(Verdict::from(error.clone()), Verdict::Stalled { .. }) => {
            tracing::warn!(%policy, %error, "a policy that nobody declared stays");
            pass.refused_removals.insert(policy.to_string(), error.to_string());
            Ok(true)
        }
        Err(error) => Err(error),
    }
}
