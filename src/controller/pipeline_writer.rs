//! What one object wants of a pipeline is claimed, and what came of the claim is put into words. The pipeline is written by
//! its own worker (`shell::pipelines`), for all objects at once, since `UpdatePipeline` cancels every running execution.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    context::Context,
    current,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    pipeline_refusals,
    sessions::Sessions,
};
use crate::{
    api::Reason,
    domain::{
        fold::Claim,
        ids::{PipelineKey, PipelineName},
        observed::{Pipeline, Resource},
        occupancy,
        plan::{PipelineGoal, Situation, blocked_edit},
        retry,
    },
    engine::pipeline::{Outcome, Waiting, Written},
    shell::pipelines::{Clients, Told},
};

/// How long before its end a reconcile stops waiting for others: enough to report.
const TO_REPORT: Duration = Duration::from_secs(1);

/// When an object looks again that nobody has woken.
const UNLESS_WOKEN: Duration = Duration::from_mins(1);

/// What is wanted where.
pub struct Edit<'a> {
    /// The pipeline.
    pub name: &'a PipelineName,
    /// The pipeline as the plan saw it.
    pub planned_on: &'a Pipeline,
    /// The goal.
    pub goal: &'a PipelineGoal,
    /// The resource, for messages.
    pub resource: &'a Resource,
}

/// Claims the goal and waits until it is written together with what other objects want, unless that takes long.
///
/// # Errors
/// The verdict that ends this reconcile: it waits, is refused, or has to be planned again.
pub async fn write(
    pass: &mut Pass<'_>,
    sessions: &Sessions,
    situation: &Situation<'_>,
    edit: &Edit<'_>,
) -> Result<Written, Halt> {
    let tools = &situation.declared.tools;
    let key = PipelineKey { account: tools.account.clone(), region: tools.region.clone(), name: edit.name.clone() };
    let claim = claim(pass, situation, edit);
    pass.arrived();
    // The worker's reads are nobody's in particular.
    let reads = sessions.reads.tools.for_nobody();
    let clients = Clients { reads, writes: sessions.writes.codepipeline.clone() };
    let mut told = pass.context.pipelines.claim(&key, &claim, &clients);
    // Whatever waits holds no place that somebody else could use.
    pass.only_waits();
    let limit = pass.time_left().saturating_sub(TO_REPORT);
    let outcome = tokio::select! {
        outcome = settled(&mut told, limit) => outcome,
        () = pass.context.pipelines.stopped() => None,
    };
    pass.claimed.insert(key, told);
    match outcome {
        Some(Outcome::Written(written)) => {
            pass.context.memory.attempts(&pass.uid, |attempts| attempts.propagation = 0);
            Ok(written)
        }
        Some(outcome) => Err(verdict(pass, sessions, situation, edit, outcome).await?),
        None => Err(waits_for_others(edit).into()),
    }
}

fn claim(pass: &Pass<'_>, situation: &Situation<'_>, edit: &Edit<'_>) -> Claim {
    let stage_is_recorded = pass.stage_is_recorded_as_made(&edit.planned_on.arn, &situation.declared.stage);
    Claim {
        basis: current::basis(pass, situation),
        created: pass.created(),
        goal: edit.goal.clone(),
        pipeline_role: edit.planned_on.role.clone(),
        stage_is_recorded,
        closes_gate: closes_gate(pass, situation, edit),
        corrects: matches!(edit.goal, PipelineGoal::Holds(..)) && pass.corrects_action,
        seen_version: if edit.planned_on.unread { 0 } else { edit.planned_on.version },
    }
}

/// Whether this process has seen the action in place as it is declared now: then the gate is open that was closed.
fn closes_gate(pass: &Pass<'_>, situation: &Situation<'_>, edit: &Edit<'_>) -> bool {
    let declared = situation.declared;
    let settled = pass.context.memory.settled(&pass.uid).unwrap_or_default();
    let mut actions = settled.of(crate::domain::inventory::Part::PipelineAction);
    let is_it = |place: &(_, _)| *place == (declared.stage.clone(), declared.action.clone());
    matches!(edit.goal, PipelineGoal::Holds(..))
        && actions.any(|item| item.holder == edit.planned_on.arn && item.action.as_ref().is_some_and(is_it))
}

/// What came of the claim; `None` if it still waits for others when the time is over.
async fn settled(told: &mut Told, limit: Duration) -> Option<Outcome<crate::aws::AwsError>> {
    let is_settled = |outcome: &Option<Outcome<_>>| match outcome {
        Some(Outcome::Waiting(waiting)) => {
            matches!(
                waiting,
                Waiting::Pipeline { .. } | Waiting::Correction { .. } | Waiting::Reading | Waiting::Settling
            )
        }
        Some(_) => true,
        None => false,
    };
    let waiting = tokio::time::timeout(limit, told.wait_for(is_settled)).await;
    waiting.ok()?.ok().and_then(|outcome| outcome.clone())
}

async fn verdict(
    pass: &Pass<'_>,
    sessions: &Sessions,
    situation: &Situation<'_>,
    edit: &Edit<'_>,
    outcome: Outcome<crate::aws::AwsError>,
) -> Result<Halt, Halt> {
    let verdict = match outcome {
        Outcome::Waiting(Waiting::Pipeline { verdict, changes }) => {
            waits(pass.context, situation, edit, verdict, &changes)
        }
        Outcome::Waiting(Waiting::Correction { until, changes }) => waits_to_correct(situation, edit, until, &changes),
        Outcome::Waiting(Waiting::Reading) => stale(edit.resource),
        Outcome::Waiting(Waiting::Settling) => settling(edit),
        Outcome::Waiting(Waiting::Others) => waits_for_others(edit),
        Outcome::InPlace | Outcome::Written(_) => {
            // Not at once: what this object reads may lag behind what the worker has read.
            Verdict::progressing(format!("{} is read again", edit.resource), Retry::Backoff)
        }
        Outcome::Blocked(refusal) => blocked_edit(situation, edit.name, &refusal).into(),
        Outcome::Refused { error, pipeline } => {
            pipeline_refusals::refused(pass, &sessions.reads, situation, &pipeline, edit, error).await?
        }
        Outcome::Failed(error) => error.into(),
        Outcome::Stale => return Ok(Halt::Conflict),
        Outcome::Unreached { changes } => unreached(situation, edit, &changes),
        Outcome::ForeignWriter { version } => foreign_writer(situation, edit, version),
    };
    Ok(verdict.into())
}

fn waits_for_others(edit: &Edit<'_>) -> Verdict {
    let message = format!("{} is updated together with what other objects want of it", edit.resource);
    Verdict::progressing(message, Retry::After(UNLESS_WOKEN))
}

fn waits(
    context: &Context,
    situation: &Situation<'_>,
    edit: &Edit<'_>,
    verdict: occupancy::Verdict,
    changes: &[String],
) -> Verdict {
    let (tools, changes) = (&situation.declared.tools.account, changes.join("; "));
    let (reason, message) = match verdict {
        occupancy::Verdict::Free => return waits_for_others(edit),
        occupancy::Verdict::Busy { execution, status, waits_for } => (
            Reason::WaitingForIdlePipeline,
            format!(
                "pipeline {} in tools account {tools} has execution {execution} {status}{}; an update would cancel it, so this waits \
                 until it is over: {changes}",
                edit.name,
                waits_for.map(|waits| format!(", which {waits}")).unwrap_or_default(),
            ),
        ),
        occupancy::Verdict::NotLookedThrough => (
            Reason::WaitingForIdlePipeline,
            format!(
                "the state of pipeline {} in tools account {tools} does not show which executions run, so older ones are looked \
                 through first, some at a time: {changes}",
                edit.name,
            ),
        ),
        occupancy::Verdict::Held { execution, status, stage, until } => (
            Reason::WaitingForRetryWindow,
            format!(
                "execution {execution} of pipeline {} in tools account {tools} is {status}{}, and after an update nobody could retry \
                 it; retry it, or this goes on at {}: {changes}",
                edit.name,
                stage.map(|stage| format!(" in stage {stage}")).unwrap_or_default(),
                Context::to_the_second(until),
            ),
        ),
    };
    // The worker asks again by itself, and wakes the object when something changes.
    let retry = Retry::After(UNLESS_WOKEN.max(context.settings.idle_poll));
    Verdict::Reconciling { reason, message, retry }
}

fn waits_to_correct(situation: &Situation<'_>, edit: &Edit<'_>, until: Timestamp, changes: &[String]) -> Verdict {
    Verdict::Reconciling {
        reason: Reason::WaitingForCorrectionWindow,
        message: format!(
            "somebody undid what was put back in pipeline {} in tools account {}; each update would cancel running executions, so              the next correction is made at {}: {}",
            edit.name,
            situation.declared.tools.account,
            Context::to_the_second(until),
            changes.join("; ")
        ),
        retry: Retry::After(UNLESS_WOKEN),
    }
}

fn settling(edit: &Edit<'_>) -> Verdict {
    Verdict::Reconciling {
        reason: Reason::AwsUnavailable,
        message: format!(
            "the answer to an update of {} was lost; it is read until it is known what became of it, for seven minutes at most",
            edit.resource
        ),
        retry: Retry::After(UNLESS_WOKEN),
    }
}

fn unreached(situation: &Situation<'_>, edit: &Edit<'_>, changes: &[String]) -> Verdict {
    Verdict::Stalled {
        reason: Reason::PipelineRefused,
        message: format!(
            "CodePipeline took two updates of pipeline {} in tools account {} and shows each time something else than was sent: {}",
            edit.name,
            situation.declared.tools.account,
            changes.join("; ")
        ),
    }
}

fn foreign_writer(situation: &Situation<'_>, edit: &Edit<'_>, version: i64) -> Verdict {
    Verdict::Stalled {
        reason: Reason::ForeignWriter,
        message: format!(
            "somebody else updated pipeline {} in tools account {} at the same time as this controller, four times in a row; \
             version {version} holds their last edit (aws codepipeline get-pipeline --name {} --version {version}): see that \
             everything of it is in the present version, and find out what else writes the pipeline",
            edit.name, situation.declared.tools.account, edit.name
        ),
    }
}

/// A read that does not show our own write yet.
#[must_use]
pub fn stale(resource: &Resource) -> Verdict {
    let reason = match resource {
        Resource::Pipeline { .. } => Reason::Progressing,
        _ => Reason::IamPropagating,
    };
    Verdict::Reconciling {
        reason,
        message: format!(
            "AWS still shows {resource} as it was before our own write; it is read again every few seconds, for two minutes at most"
        ),
        retry: Retry::After(retry::STALE_READ),
    }
}
