//! What AWS shows of an action in a place of ours that names another role than ours: how an earlier version of the
//! pipeline had it, and whose the role is that it names now. Looked for only where such an action stands.

use super::{context::Context, sessions::Sessions};
use crate::{
    aws::{AwsError, AwsErrorKind},
    domain::{
        ids::Arn,
        observed::{NamedRole, Observed, RoleChange},
        pipeline_edit,
        plan::{self, Situation},
    },
};

/// Adds to what was observed what an earlier version shows of such actions.
///
/// # Errors
/// As AWS answers.
pub async fn look(
    context: &Context,
    sessions: &Sessions,
    situation: &Situation<'_>,
    uid: &str,
    observed: &mut Observed,
) -> Result<(), AwsError> {
    for suspect in plan::suspects(situation, observed) {
        let place = (suspect.arn.clone(), suspect.stage.clone(), suspect.action.clone());
        let mut earlier = context.memory.action_in_place(uid, &place);
        let version = suspect.version.and_then(|version| i32::try_from(version).ok());
        if let Some(version) = version.filter(|_| earlier.is_none()) {
            let read = sessions.codepipeline.get_version(&suspect.pipeline, version).await?;
            earlier = read.and_then(|read| {
                pipeline_edit::action_at(&read.declaration, suspect.stage.as_str(), suspect.action.as_str()).cloned()
            });
        }
        let Some(earlier) = earlier else { continue };
        let named_now = named(sessions, situation, suspect.named_now.as_deref()).await?;
        let (pipeline, stage, action) = place;
        observed.role_changes.push(RoleChange { pipeline, stage, action, earlier, named_now });
    }
    Ok(())
}

async fn named(sessions: &Sessions, situation: &Situation<'_>, role: Option<&str>) -> Result<NamedRole, AwsError> {
    let Some(role) = role else { return Ok(NamedRole::None) };
    let Some(role) = role.parse::<Arn>().ok().and_then(|role| role.role()) else { return Ok(NamedRole::OutOfSight) };
    let iam = if role.account == situation.declared.dev.account {
        &sessions.dev_iam
    } else if role.account == situation.declared.tools.account {
        &sessions.tools_iam
    } else {
        return Ok(NamedRole::OutOfSight);
    };
    match iam.get_role(&role.name).await {
        Ok(Some(read)) => Ok(NamedRole::Tags(read.tags)),
        Ok(None) => Ok(NamedRole::OutOfSight),
        Err(error) if matches!(error.kind, AwsErrorKind::AccessDenied { .. }) => Ok(NamedRole::Hidden),
        Err(error) => Err(error),
    }
}
