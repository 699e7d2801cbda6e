//! What AWS shows of an action in a place of ours that names another role than ours, or that somebody took out: how an
//! earlier version of the pipeline had it, and whose the role is that it names now. Looked for only where that is so.

use super::{context::Context, evidence, gate_input, sessions::Reads, unknown};
use crate::{
    aws::{AwsError, AwsErrorKind},
    domain::{
        ids::Arn,
        observed::{NamedRole, Observed, RoleChange, TakenOut},
        pipeline_edit::{self, Placed},
        plan::{self, Situation, Suspect},
    },
};

/// Adds to what was observed what an earlier version shows of such actions.
///
/// # Errors
/// As AWS answers.
pub async fn look(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    uid: &str,
    observed: &mut Observed,
) -> Result<(), AwsError> {
    for suspect in plan::suspects(situation, observed) {
        let Some(earlier) = earlier(context, reads, uid, &suspect).await? else { continue };
        let named_now = named(context, reads, situation, suspect.named_now.as_deref()).await?;
        let Suspect { arn: pipeline, stage, action, .. } = suspect;
        let earlier = earlier.action;
        observed.role_changes.push(RoleChange { pipeline, stage, action, earlier, named_now });
    }
    Ok(())
}

/// Adds to what was observed how the declared action was before somebody took it out of its stage.
///
/// # Errors
/// As AWS answers.
pub async fn look_for_taken_out(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    uid: &str,
    observed: &mut Observed,
) -> Result<(), AwsError> {
    let Some(suspect) = plan::taken_out(situation, observed) else { return Ok(()) };
    let earlier = earlier(context, reads, uid, &suspect).await?;
    let Suspect { arn: pipeline, stage, action, .. } = suspect;
    observed.taken_out = earlier.map(|earlier| TakenOut { pipeline, stage, action, earlier });
    Ok(())
}

/// The action as this process last read it in place, or as the version has it in which it was last seen there.
async fn earlier(context: &Context, reads: &Reads, uid: &str, suspect: &Suspect) -> Result<Option<Placed>, AwsError> {
    let place = (suspect.arn.clone(), suspect.stage.clone(), suspect.action.clone());
    let remembered = context.memory.action_in_place(uid, &place);
    let version = suspect.version.and_then(|version| i32::try_from(version).ok());
    let Some(version) = version.filter(|_| remembered.is_none()) else { return Ok(remembered) };
    let read = reads.tools.get_version(&suspect.pipeline, version).await?;
    Ok(read.and_then(|read| pipeline_edit::placed(&read.declaration, suspect.stage.as_str(), suspect.action.as_str())))
}

/// Whose the role is that an action names now. Where that cannot be told it may be anybody's: another account than the two
/// of this object is entered as its `AwsAccount` says, and an object whose needs are not known may claim any role.
async fn named(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    role: Option<&str>,
) -> Result<NamedRole, AwsError> {
    let Some(arn) = role else { return Ok(NamedRole::None) };
    let Some(role) = arn.parse::<Arn>().ok().and_then(|role| role.role()) else { return Ok(NamedRole::Hidden) };
    let declared = situation.declared;
    let accounts = gate_input::accounts(context);
    if let Some(unknown) =
        unknown::unknown((&context.caches, &context.memory), &accounts, &declared.tools.account, &declared.key)
    {
        tracing::warn!(role = %arn, "whose role an action names cannot be told: {unknown}");
        return Ok(NamedRole::Hidden);
    }
    let account = match evidence::account(context, reads, situation, &role.account).await {
        Ok(account) => account,
        Err(error) => {
            tracing::warn!(role = %arn, "whose role an action names cannot be read: {error}");
            return Ok(NamedRole::Hidden);
        }
    };
    let is_own = [&declared.tools.account, &declared.dev.account].contains(&&role.account);
    match account.get_role(&role.name).await {
        Ok(Some(read)) => Ok(NamedRole::Tags(read.tags)),
        Ok(None) => Ok(NamedRole::Missing),
        Err(error) if !is_own || matches!(error.kind, AwsErrorKind::AccessDenied { .. }) => {
            tracing::warn!(role = %arn, "whose role an action names cannot be read: {error}");
            Ok(NamedRole::Hidden)
        }
        Err(error) if plan::untold(situation).hides(arn) => {
            tracing::warn!(role = %arn, "whose role an action names cannot be read: {error}");
            Err(AwsError { resource: "the role that an action of the pipeline names".to_owned(), ..error })
        }
        Err(error) => Err(error),
    }
}
