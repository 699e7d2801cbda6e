//! The one place that writes pipelines: under the pipeline's lock, on a fresh read, only for a real difference, and only
//! when nothing is running, since `UpdatePipeline` cancels every running execution and does not start it again.

use std::collections::BTreeSet;

use jiff::Timestamp;

use serde_json::Value;

use super::{
    context::Context,
    current,
    locks::Shared,
    observe,
    outcome::{Retry, Verdict},
    pass::{Halt, Pass},
    sessions::Sessions,
};
use crate::{
    api::Reason,
    aws::{AwsError, AwsErrorKind, Execution},
    domain::{
        ids::{Arn, PipelineName},
        inventory::Part,
        names,
        observed::{Pipeline, Resource},
        own_writes::State,
        pipeline_edit::action_with_role,
        plan::{PipelineGoal, Situation, blocked_edit, pipeline_state, untold},
        policy, retry,
        spec::Trust,
        stage_states,
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
    pass: &Pass<'_>,
    sessions: &Sessions,
    situation: &Situation<'_>,
    edit: &Edit<'_>,
) -> Result<Pipeline, Halt> {
    let context = pass.context;
    let _held = context.locks.acquire(&BTreeSet::from([Shared::Pipeline(edit.planned_on.arn.clone())])).await;
    let fresh = observe::pipeline(sessions, situation, edit.name).await?;
    let Some(fresh) = fresh.filter(|fresh| fresh.role == edit.planned_on.role) else {
        return Err(Verdict::progressing("the pipeline was replaced while it was being read", Retry::Now).into());
    };
    let state = pipeline_state(&fresh);
    let stale_read = context.memory.own_writes(|writes| {
        writes.note_read(edit.resource, &state);
        writes.is_stale(edit.resource, &state, Context::now())
    });
    if stale_read || pass.is_stale(edit.resource, &state) {
        return Err(stale(edit.resource).into());
    }
    let region = &situation.declared.tools.region;
    let edited = match edit.goal.edit(&fresh.declaration, region) {
        Ok(Some(edited)) => edited,
        Ok(None) => return Ok(fresh),
        Err(refusal) => return Err(Verdict::from(blocked_edit(situation, edit.name, &refusal)).into()),
    };
    if edited.stage_made && !pass.stage_is_recorded_as_made(&fresh.arn, &situation.declared.stage) {
        // Without the record nobody would take the stage away again.
        return Err(Verdict::progressing("the stage was removed while the pipeline was being read", Retry::Now).into());
    }
    if let Some(execution) = sessions.codepipeline.unfinished_execution(edit.name).await? {
        return Err(busy(pass, sessions, situation, edit, (&fresh, &execution), &edited.changes).await.into());
    }
    current::still_holds(pass, situation)?;
    if !pass.has_time_for_a_call() {
        let message = format!("{} is updated at the next look; too little time was left for the answer", edit.resource);
        return Err(Verdict::progressing(message, Retry::Backoff).into());
    }
    tracing::info!(resource = %edit.resource, changes = %edited.changes.join("; "), version = fresh.version, "updating pipeline");
    // Before it is sent: a reconcile that runs out of time is dropped, and the update may be made all the same.
    let next = Some((fresh.version + 1).to_string());
    let earlier =
        context.memory.own_writes(|writes| writes.note_sent(edit.resource, state.clone(), next, Context::now()));
    match sessions.codepipeline.update_pipeline(&edited.declaration).await {
        Ok(answer) => {
            let written = observe::answered(situation, edit.name, answer);
            remember(context, edit, state, pipeline_state(&written));
            context.memory.attempts(&pass.uid, |attempts| attempts.propagation = 0);
            Ok(written)
        }
        Err(error) => {
            match perhaps_made(&error, fresh.version) {
                Some(perhaps) => remember(context, edit, state, perhaps),
                None => context.memory.own_writes(|writes| writes.take_back(edit.resource, earlier)),
            }
            Err(refused(pass, sessions, situation, &fresh, edit, error).await?.into())
        }
    }
}

/// The version that an update which failed may have made: where the answer was lost, or was a fault of AWS's own, it may
/// have been applied. Until a read shows that version, or long enough shows none, a second update could be one too many.
fn perhaps_made(error: &AwsError, before: i64) -> Option<State> {
    error.outcome_unknown.then(|| Some((before + 1).to_string()))
}

fn remember(context: &Context, edit: &Edit<'_>, before: State, after: State) {
    context.memory.own_writes(|writes| writes.note_write(edit.resource, before, after, Context::now()));
}

async fn busy(
    pass: &Pass<'_>,
    sessions: &Sessions,
    situation: &Situation<'_>,
    edit: &Edit<'_>,
    (pipeline, execution): (&Pipeline, &Execution),
    changes: &[String],
) -> Verdict {
    let waits = if pass.has_time_for_a_call() {
        waits_for(sessions, edit.name, pipeline, execution).await.map(|waits| format!(", which {waits}"))
    } else {
        None
    };
    Verdict::Reconciling {
        reason: Reason::WaitingForIdlePipeline,
        message: format!(
            "pipeline {} in tools account {} has execution {} {}{}; an update would cancel it, so this waits until it is over: {}",
            edit.name,
            situation.declared.tools.account,
            execution.id,
            execution.status,
            waits.unwrap_or_default(),
            changes.join("; ")
        ),
        retry: Retry::After(pass.context.settings.idle_poll),
    }
}

/// In words, what the execution waits for, where AWS tells. It is said for people and decides nothing, so a call that
/// fails changes nothing.
async fn waits_for(
    sessions: &Sessions,
    name: &PipelineName,
    pipeline: &Pipeline,
    execution: &Execution,
) -> Option<String> {
    match sessions.codepipeline.state(name, &pipeline.declaration).await {
        Ok(state) => stage_states::waits_for(&state, &execution.id).map(|waiting| waiting.to_string()),
        Err(error) => {
            tracing::debug!(%error, "what the execution waits for cannot be told");
            None
        }
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

/// `UpdatePipeline` checks that the pipeline role can assume every action's role, ours and other people's.
///
/// # Errors
/// T1 and P3 could not be read again.
async fn refused(
    pass: &Pass<'_>,
    sessions: &Sessions,
    situation: &Situation<'_>,
    pipeline: &Pipeline,
    edit: &Edit<'_>,
    error: AwsError,
) -> Result<Verdict, AwsError> {
    let AwsErrorKind::PipelineCannotAssume { role } = &error.kind else { return Ok(error.into()) };
    let ours = matches!(edit.goal, PipelineGoal::Holds(desired, _) if desired.role == *role);
    if !ours {
        return Ok(refused_for_another(situation, pipeline, edit, role));
    }
    let context = pass.context;
    let changed = last_changes(context, situation, &pipeline.role);
    let now = Context::now();
    let timeout = context.settings.iam_propagation_timeout;
    let recent = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at).unsigned_abs() < timeout);
    if recent(changed.trust) || recent(changed.assume) {
        let attempt = context.memory.attempts(&pass.uid, |attempts| {
            attempts.propagation += 1;
            attempts.propagation - 1
        });
        return Ok(Verdict::Reconciling {
            reason: Reason::IamPropagating,
            message: format!(
                "CodePipeline does not accept yet that pipeline role {} may assume {role}: IAM changes take up to a minute or two to spread",
                pipeline.role
            ),
            retry: Retry::After(retry::propagation(attempt)),
        });
    }
    let (trust, assume) = still_there(sessions, situation, &pipeline.role, role).await?;
    Ok(cannot_assume(situation, pipeline, role, &in_words(trust, changed.trust), &in_words(assume, changed.assume)))
}

/// Whether T1 still trusts the pipeline role and P3 still names the invoke role, read anew: somebody may have taken one
/// away since it was read back.
async fn still_there(
    sessions: &Sessions,
    situation: &Situation<'_>,
    pipeline_role: &Arn,
    invoke_role: &Arn,
) -> Result<(bool, bool), AwsError> {
    let declared = situation.declared;
    let trusts = |trust: &Value| match declared.trust {
        Trust::AccountRoot => policy::trusts_whole_account(trust, &declared.tools.account),
        Trust::PipelineRole => policy::trusted_pipeline_roles(trust).is_some_and(|roles| roles.contains(pipeline_role)),
    };
    let role = sessions.dev_iam.get_role(&declared.role_name).await?;
    let Some(pipeline_role) = pipeline_role.role() else { return Ok((false, false)) };
    let name = names::assume_policy(situation.installation);
    let assume = sessions.tools_iam.get_role_policy(&pipeline_role.name, &name).await?;
    let named = assume.as_ref().and_then(policy::assume_entries).is_some_and(|roles| roles.contains(invoke_role));
    Ok((role.is_some_and(|role| trusts(&role.trust)), named))
}

fn in_words(there: bool, since: Option<Timestamp>) -> String {
    match (there, since) {
        (false, _) => "missing".to_owned(),
        (true, None) => "in place".to_owned(),
        (true, Some(at)) => format!("in place since {at}"),
    }
}

fn cannot_assume(
    situation: &Situation<'_>,
    pipeline: &Pipeline,
    invoke_role: &Arn,
    trust: &str,
    assume: &str,
) -> Verdict {
    let (tools, dev) = (&situation.declared.tools.account, &situation.declared.dev.account);
    let left = if trust == "missing" || assume == "missing" {
        "What is missing is made again at the next look; if it goes missing again, find out who removes it".to_owned()
    } else {
        format!(
            "What is left: an explicit deny in another policy of the pipeline role, its permissions boundary, a service control \
             policy of the tools account, or a resource control policy of the dev account that denies sts:AssumeRole; allow sts:AssumeRole on {invoke_role} there"
        )
    };
    Verdict::Stalled {
        reason: Reason::PipelineRoleCannotAssume,
        message: format!(
            "pipeline role {} in tools account {tools} may not assume invoke role {invoke_role} in dev account {dev}. The invoke role's \
             trust policy is {trust}, the pipeline role's policy {} is {assume}. {left}",
            pipeline.role,
            names::assume_policy(situation.installation),
        ),
    }
}

/// The refusal is about a role of another action: a neighbour's, one of this object's older ones, or somebody else's.
fn refused_for_another(situation: &Situation<'_>, pipeline: &Pipeline, edit: &Edit<'_>, role: &Arn) -> Verdict {
    if *role == pipeline.role {
        return refused_for_its_own(situation, edit, role);
    }
    let place = action_with_role(&pipeline.declaration, role.as_str())
        .map_or_else(|| "an action".to_owned(), |(stage, action)| format!("action {action} of stage {stage}"));
    let neighbour = situation.others.assume.values().flatten().find(|user| user.has(role));
    let own = situation.inventory.0.iter().any(|item| item.holder == *role || item.entry.as_ref() == Some(role));
    let reader = &situation.declared.key;
    let whose = match neighbour {
        Some(user) => format!("{} made; its status says what it lacks", user.key.as_seen_by(reader)),
        None if own => "an older spec of this object made; it is corrected first".to_owned(),
        None => "this object did not make; repair that action's role, or remove the action".to_owned(),
    };
    let theirs = untold(situation).hides(role.as_str());
    let role = if theirs { "a role".to_owned() } else { role.to_string() };
    Verdict::Stalled {
        reason: Reason::PipelineRefused,
        message: format!(
            "CodePipeline refuses any update of pipeline {} in tools account {}, because its role {} may not assume {role}, \
             which {place} names and which {whose}",
            edit.name, situation.declared.tools.account, pipeline.role
        ),
    }
}

/// The refusal is about the role that the pipeline runs as.
fn refused_for_its_own(situation: &Situation<'_>, edit: &Edit<'_>, role: &Arn) -> Verdict {
    Verdict::Stalled {
        reason: Reason::PipelineRefused,
        message: format!(
            "CodePipeline refuses any update of pipeline {} in tools account {}, because it may not assume the pipeline's own role \
             {role}: the role is gone, or its trust policy does not name codepipeline.amazonaws.com; make it again, or give the \
             pipeline another role, and this continues automatically",
            edit.name, situation.declared.tools.account
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_whose_outcome_is_unknown_is_remembered_whatever_was_answered() {
        for (code, outcome_unknown, remembered) in [
            (None, true, true),
            (Some("InternalFailure"), true, true),
            (Some("ValidationException"), false, false),
            (None, false, false),
        ] {
            let error = AwsError {
                service: "codepipeline",
                operation: "UpdatePipeline",
                account: Some("111111111111".parse().unwrap()),
                resource: "pipeline release".to_owned(),
                caller: None,
                code: code.map(str::to_owned),
                message: String::new(),
                also_missing: None,
                request_id: None,
                kind: AwsErrorKind::Unavailable,
                outcome_unknown,
            };
            let expected = remembered.then(|| Some("8".to_owned()));
            assert_eq!(perhaps_made(&error, 7), expected, "{code:?} {outcome_unknown}");
        }
    }
}
