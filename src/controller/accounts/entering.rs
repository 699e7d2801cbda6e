//! Whether the controller can enter an account, and whether what the account imposes exists.

use super::super::{context::Context, gate_input, outcome::Verdict};
use crate::{
    api::{AwsAccount, Reason},
    aws::{AwsError, AwsErrorKind, Session, SessionKey},
    domain::{
        ids::{AccountId, Arn},
        plan::Blocker,
        same_account,
    },
};

/// Enters the account, and looks at what it imposes unless the last look still `holds`.
pub(super) async fn enter(account: &AwsAccount, context: &Context, holds: bool) -> (Reason, String, Option<String>) {
    let id = &account.spec.account_id;
    let accounts = gate_input::accounts(context);
    let counting = same_account::counting(&accounts, id);
    if counting.len() > 1 {
        let Blocker { reason, message } = same_account::duplicate(&counting, id);
        return (reason, message, None);
    }
    let Some(key) = session_key(account) else {
        return (Reason::InvalidSpec, "spec.accountID or spec.roleARN cannot be used; correct them".to_owned(), None);
    };
    let session = match context.aws.session(&key).await {
        Ok(session) => session,
        Err(error) => return failed(error, None),
    };
    let caller = Some(session.caller_arn().to_owned());
    let missing = if holds { Ok(None) } else { missing_boundary(account, context, &session).await };
    match missing {
        Ok(None) => (Reason::Converged, format!("account {id} is entered as {}", session.caller_arn()), caller),
        Ok(Some(boundary)) => {
            let message = format!(
                "spec.invokeRoles.permissionsBoundaryARN names {boundary}, which does not exist, so no role can be created in account \
                 {id}; create that policy, or correct the ARN"
            );
            (Reason::InvalidBoundary, message, caller)
        }
        Err(error) => failed(error, caller),
    }
}

fn failed(error: AwsError, caller: Option<String>) -> (Reason, String, Option<String>) {
    match Verdict::from(error) {
        Verdict::Reconciling { reason, message, .. } | Verdict::Stalled { reason, message } => {
            (reason, message, caller)
        }
        Verdict::Converged | Verdict::Released => (Reason::Progressing, String::new(), caller),
    }
}

fn boundary_of(account: &AwsAccount) -> Option<Arn> {
    account.spec.invoke_roles.as_ref()?.permissions_boundary_arn.as_ref()?.parse().ok()
}

/// The boundary that the account imposes, when AWS says that it does not exist. Without the right to look there is
/// nothing to say: `CreateRole`'s refusal says it on the object then.
async fn missing_boundary(account: &AwsAccount, context: &Context, session: &Session) -> Result<Option<Arn>, AwsError> {
    let Some(boundary) = boundary_of(account) else { return Ok(None) };
    let Ok(region) = session.home_region() else { return Ok(None) };
    match context.aws.readers().look(None, None).within(session, &region).policy_exists(&boundary).await {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some(boundary)),
        Err(error) if matches!(error.kind, AwsErrorKind::AccessDenied { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn session_key(account: &AwsAccount) -> Option<SessionKey> {
    let id: AccountId = account.spec.account_id.parse().ok()?;
    let role: Option<Arn> = match &account.spec.role_arn {
        Some(arn) => Some(arn.parse().ok()?),
        None => None,
    };
    Some(SessionKey { account: id, role, external_id: account.spec.external_id.clone() })
}
