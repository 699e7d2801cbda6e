//! What it means that CodePipeline refuses an update: whose role it names, and what is left to look for.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    context::Context,
    outcome::{Retry, Verdict},
    pass::Pass,
    pipeline_writer::Edit,
    sessions::Reads,
};
use crate::{
    api::Reason,
    aws::{AwsError, AwsErrorKind},
    domain::{
        ids::Arn,
        inventory::Part,
        names,
        observed::{Pipeline, Resource},
        pipeline_edit::action_with_role,
        plan::{PipelineGoal, Situation, untold},
        policy, retry,
        spec::Trust,
    },
};

/// `UpdatePipeline` checks that the pipeline role can assume every action's role, ours and other people's.
///
/// # Errors
/// T1 and P3 could not be read again.
pub async fn refused(
    pass: &Pass<'_>,
    reads: &Reads,
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
    let (trust, assume) = still_there(&reads.fresh(), situation, &pipeline.role, role).await?;
    Ok(cannot_assume(situation, pipeline, role, &in_words(trust, changed.trust), &in_words(assume, changed.assume)))
}

/// Whether T1 still trusts the pipeline role and P3 still names the invoke role. Both are read again, since somebody may
/// have removed one after it was read back.
async fn still_there(
    reads: &Reads,
    situation: &Situation<'_>,
    pipeline_role: &Arn,
    invoke_role: &Arn,
) -> Result<(bool, bool), AwsError> {
    let declared = situation.declared;
    let trusts = |trust: &Value| match declared.trust {
        Trust::AccountRoot => policy::trusts_whole_account(trust, &declared.tools.account),
        Trust::PipelineRole => policy::trusted_pipeline_roles(trust).is_some_and(|roles| roles.contains(pipeline_role)),
    };
    let role = reads.dev.get_role(&declared.role_name).await?;
    let Some(pipeline_role) = pipeline_role.role() else { return Ok((false, false)) };
    let name = names::assume_policy(situation.installation);
    let assume = reads.tools.get_role_policy(&pipeline_role.name, &name).await?;
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
    let goes = matches!(edit.goal, PipelineGoal::HoldsNone(_));
    // With another role CodePipeline checks again whether that one may assume the role of every action, ours too.
    let after = if goes { "" } else { ", which is put in again" };
    let declared = situation.declared;
    Verdict::Stalled {
        reason: Reason::PipelineRefused,
        message: format!(
            "CodePipeline refuses any update of pipeline {} in tools account {}, because it may not assume the pipeline's own role \
             {role}: the role is gone, or its trust policy does not name codepipeline.amazonaws.com; make it again, or give \
             the pipeline another role in an update that leaves out action {} of stage {}{after}; either way this continues \
             automatically",
            edit.name, declared.tools.account, declared.action, declared.stage
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
