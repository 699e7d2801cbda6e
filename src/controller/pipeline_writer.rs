//! The one place that writes pipelines: under the pipeline's lock, on a fresh read, only for a real difference, and only
//! when nothing is running, since `UpdatePipeline` cancels every running execution and does not start it again.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    context::Context,
    observe,
    outcome::{Retry, Verdict},
    sessions::Sessions,
};
use crate::{
    api::Reason,
    aws::{AwsError, AwsErrorKind},
    domain::{
        ids::{Arn, PipelineName},
        inventory::Part,
        names,
        observed::{Pipeline, Resource},
        pipeline_edit::action_with_role,
        plan::{PipelineGoal, Situation, blocked_edit, pipeline_state},
        retry,
    },
};

/// What is written where.
pub struct Edit<'a> {
    /// The pipeline.
    pub name: &'a PipelineName,
    /// The pipeline as the plan saw it.
    pub planned_on: &'a Pipeline,
    /// The goal.
    pub goal: &'a PipelineGoal,
    /// The resource, to remember the write.
    pub resource: &'a Resource,
}

/// Brings the pipeline to the goal and returns it as CodePipeline answered.
///
/// # Errors
/// The verdict that ends this reconcile: busy, stale, changed meanwhile, or refused.
pub async fn write(
    context: &Context,
    sessions: &Sessions,
    situation: &Situation<'_>,
    uid: &str,
    edit: &Edit<'_>,
) -> Result<Pipeline, Verdict> {
    let _held = context.locks.acquire(&BTreeSet::from([edit.planned_on.arn.clone()])).await;
    let fresh = observe::pipeline(sessions, situation, edit.name).await?;
    let Some(fresh) = fresh.filter(|fresh| fresh.role == edit.planned_on.role) else {
        return Err(Verdict::progressing("the pipeline was replaced while it was being read", Retry::Now));
    };
    let state = pipeline_state(&fresh);
    if context.memory.own_writes(|writes| writes.is_stale(edit.resource, &state, Context::now())) {
        return Err(stale(edit.resource));
    }
    let region = &situation.declared.tools.region;
    let edited = match edit.goal.edit(&fresh.declaration, region) {
        Ok(Some(edited)) => edited,
        Ok(None) => return Ok(fresh),
        Err(refusal) => return Err(blocked_edit(situation, &refusal).into()),
    };
    if let Some(execution) = sessions.codepipeline.unfinished_execution(edit.name).await? {
        return Err(Verdict::Reconciling {
            reason: Reason::WaitingForIdlePipeline,
            message: format!(
                "pipeline {} in tools account {} has execution {} {}; an update would cancel it, so {} waits until it is over",
                edit.name,
                situation.declared.tools.account,
                execution.id,
                execution.status,
                edited.changes.join("; ")
            ),
            retry: Retry::After(context.settings.idle_poll),
        });
    }
    tracing::info!(resource = %edit.resource, changes = %edited.changes.join("; "), version = fresh.version, "updating pipeline");
    match sessions.codepipeline.update_pipeline(&edited.declaration).await {
        Ok(read) => {
            let written = observe::from_read(situation, edit.name, read);
            context.memory.own_writes(|writes| {
                writes.note_write(edit.resource, state, pipeline_state(&written), Context::now());
            });
            context.memory.attempts(uid, |attempts| attempts.propagation = 0);
            Ok(written)
        }
        Err(error) => Err(refused(context, situation, uid, &fresh, edit, error)),
    }
}

/// A read that does not show our own write yet.
#[must_use]
pub fn stale(resource: &Resource) -> Verdict {
    Verdict::Reconciling {
        reason: Reason::IamPropagating,
        message: format!("AWS still shows {resource} as it was before our own write; it is read again shortly"),
        retry: Retry::After(retry::STALE_READ),
    }
}

/// `UpdatePipeline` checks that the pipeline role can assume every action's role, ours and other people's.
fn refused(
    context: &Context,
    situation: &Situation<'_>,
    uid: &str,
    pipeline: &Pipeline,
    edit: &Edit<'_>,
    error: AwsError,
) -> Verdict {
    let AwsErrorKind::PipelineCannotAssume { role } = &error.kind else { return error.into() };
    let (declared, tools) = (situation.declared, &situation.declared.tools.account);
    let ours = matches!(edit.goal, PipelineGoal::Holds(desired, _) if desired.role == *role);
    if !ours {
        let place = action_with_role(&pipeline.declaration, role.as_str())
            .map_or_else(|| "an action".to_owned(), |(stage, action)| format!("action {action} of stage {stage}"));
        return Verdict::Stalled {
            reason: Reason::PipelineRefused,
            message: format!(
                "CodePipeline refuses any update of pipeline {} in tools account {tools}, because its role {} may not assume {role}, \
                 which {place} names and which is not crossinvoke's; repair that action's role or remove the action",
                edit.name, pipeline.role
            ),
        };
    }
    let changed = last_changes(context, situation, &pipeline.role);
    let now = Context::now();
    let timeout = context.settings.iam_propagation_timeout;
    let fresh = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at).unsigned_abs() < timeout);
    if fresh(changed.trust) || fresh(changed.assume) {
        let attempt = context.memory.attempts(uid, |attempts| {
            attempts.propagation += 1;
            attempts.propagation - 1
        });
        return Verdict::Reconciling {
            reason: Reason::IamPropagating,
            message: format!(
                "CodePipeline does not accept yet that pipeline role {} may assume {role}: IAM changes take up to a minute or two to spread",
                pipeline.role
            ),
            retry: Retry::After(retry::propagation(attempt)),
        };
    }
    let since = |at: Option<Timestamp>| at.map_or_else(|| "in place".to_owned(), |at| format!("in place since {at}"));
    Verdict::Stalled {
        reason: Reason::PipelineRoleCannotAssume,
        message: format!(
            "pipeline role {} in tools account {tools} may not assume invoke role {role} in dev account {}. The invoke role's trust policy is {}, \
             the pipeline role's policy {} is {}. What is left: an explicit deny in another policy of the pipeline role, its permissions boundary, \
             or a service control policy of either account that denies sts:AssumeRole; allow sts:AssumeRole on {role} there",
            pipeline.role,
            declared.dev.account,
            since(changed.trust),
            names::assume_policy(situation.installation),
            since(changed.assume)
        ),
    }
}

struct LastChanges {
    trust: Option<Timestamp>,
    assume: Option<Timestamp>,
}

/// When T1 and P3 were last written, by this process or as recorded by an earlier one.
fn last_changes(context: &Context, situation: &Situation<'_>, pipeline_role: &Arn) -> LastChanges {
    let declared = situation.declared;
    let trust = Resource::InvokeRole { account: declared.dev.account.clone(), role: declared.role_name.clone() };
    let assume = pipeline_role.role_name().map(|role| Resource::RolePolicy {
        account: declared.tools.account.clone(),
        role,
        policy: names::assume_policy(situation.installation),
    });
    let recorded = |part| situation.inventory.of(part).map(|item| item.written_at).max();
    let remembered = |resource: &Resource| context.memory.own_writes(|writes| writes.written_at(resource));
    LastChanges {
        trust: recorded(Part::InvokeRole).max(remembered(&trust)),
        assume: recorded(Part::AssumePolicy).max(assume.as_ref().and_then(remembered)),
    }
}
