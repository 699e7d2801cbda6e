//! How an account goes: held while objects use it, unless another one of its id stands in for it.

use kube::{Resource, ResourceExt};

use super::{
    super::{
        caches::GuardedAccount,
        context::Context,
        gate_input,
        reconcile::{Error, conflict},
        runner::Next,
    },
    NAMES_MAX, UNTIL_RELEASED,
    entering::session_key,
    holding::holding,
    publish,
    recording::record,
    set_finalizers,
};
use crate::{
    api::{AwsAccount, Reason, annotation},
    cluster::kind,
    domain::{account_status, gate, same_account},
};

/// An account that goes, or that is no longer this installation's business, is let go once nothing of it is in use.
pub(super) async fn leave(
    account: &GuardedAccount,
    context: &Context,
    finalizer: &str,
    held: bool,
) -> Result<Next, Error> {
    if !held {
        context.metrics.forget_account(&account.name_any());
        return tell_of_other_holders(account, context).await;
    }
    let goes = account.meta().deletion_timestamp.is_some();
    if goes && stays_for_its_kind(account, context, finalizer).await? {
        return Ok(Next::After(UNTIL_RELEASED));
    }
    let Some(id) = account.account_id() else {
        tell(account, context, "InUse", "Deletion waits: spec.accountID cannot be read; correct it".to_owned()).await;
        return Ok(Next::After(UNTIL_RELEASED));
    };
    let accounts = gate_input::accounts(context);
    let successor = same_account::successor(&accounts, id, &account.name_any()).filter(|_| goes);
    let spec = account.0.as_ref().ok().map(|account| &account.spec);
    let holding = if successor.is_some() { Vec::new() } else { holding(context, id, spec) };
    if holding.is_empty() {
        if let Some(successor) = successor {
            tracing::info!("this AwsAccount goes, and {} stands in for it", successor.name);
        }
        set_finalizers(account, context, |finalizers| finalizers.retain(|name| name != finalizer)).await?;
        if let Some(key) = account.0.as_ref().ok().and_then(session_key) {
            context.aws.forget(&key).await;
        }
        return Ok(Next::OnChange);
    }
    if goes {
        let note = format!("Deletion waits: still used by CrossAccountInvoke {}; delete them first", named(&holding));
        tell(account, context, "InUse", note).await;
    }
    Ok(Next::After(UNTIL_RELEASED))
}

/// Whether an account that grants nothing here is held all the same: another one of its id goes, and without either nobody
/// could remove what is in AWS.
pub(super) fn takes_over(account: &AwsAccount, context: &Context) -> bool {
    if account.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let accounts = gate_input::accounts(context);
    same_account::to_be_succeeded(&accounts, &account.spec.account_id)
        .any(|going| !holding(context, &going.id, going.spec.as_ref().ok()).is_empty())
}

/// Whether an account that is being deleted stays because its kind goes, or because that cannot be told.
async fn stays_for_its_kind(account: &GuardedAccount, context: &Context, finalizer: &str) -> Result<bool, Error> {
    let name = kind::name_of::<AwsAccount>();
    let (what, note) = match kind::going_unconfirmed::<AwsAccount>(&context.client).await {
        Ok(since) if kind::takes_along(since, account) => (
            "KindGoes",
            format!(
                "this AwsAccount is being deleted because its kind {name} is, and stays. To let it go: kubectl annotate crd {name} \
                 {}=true. To keep its grants: save it (kubectl get awsaccounts -o yaml), take off the finalizer {finalizer}, and \
                 when the kind is gone install it and apply the AwsAccount again",
                annotation::CONFIRM_REMOVAL
            ),
        ),
        Ok(_) => return Ok(false),
        Err(kube::Error::Api(status)) if status.code == 403 => (
            "KindUnknown",
            format!(
                "the controller may not get the CustomResourceDefinition {name}, so it is not known whether this AwsAccount goes \
                 because its kind goes, and it stays; grant it get on that customresourcedefinition, as the chart does"
            ),
        ),
        Err(error) => return Err(Error::Kubernetes(Box::new(error))),
    };
    if context.memory.is_untold(&account.uid().unwrap_or_default(), what) {
        tracing::warn!("{note}");
        publish(account, context, ("DeletionBlocked", "Delete"), note).await;
    }
    Ok(true)
}

/// An account that this installation has let go may be held by another one, which may not exist any more.
async fn tell_of_other_holders(account: &GuardedAccount, context: &Context) -> Result<Next, Error> {
    let own = context.settings.installation.as_str();
    let Some(deleted) = account.meta().deletion_timestamp.as_ref() else { return Ok(Next::OnChange) };
    let (conditions, reporter) = match &account.0 {
        Ok(account) => account
            .status
            .as_ref()
            .map_or((&[][..], None), |status| (status.conditions.as_slice(), status.installation_id.as_deref())),
        Err(invalid) => (invalid.conditions.as_slice(), invalid.reported.0.as_deref()),
    };
    let sees = reporter == Some(own) || context.caches.watches_everything() || grants_us_anything(account, context);
    let told = account_status::held_by_others(own, &account.name_any(), account.finalizers()).filter(|_| sees);
    let Some(message) = told else { return Ok(Next::OnChange) };
    // Most often it lets go at the same time.
    let waited = Context::now().duration_since(deleted.0).unsigned_abs();
    if waited < UNTIL_RELEASED {
        return Ok(Next::After(UNTIL_RELEASED.saturating_sub(waited)));
    }
    if !record(account, conditions, context, (Reason::DeletionBlocked, &message)).await? {
        return Ok(conflict(context, &account.uid().unwrap_or_default()));
    }
    tell(account, context, "DeletionBlocked", message).await;
    Ok(Next::OnChange)
}

fn grants_us_anything(account: &GuardedAccount, context: &Context) -> bool {
    let namespaces = context.caches.watched_namespaces();
    let grants = |spec| namespaces.iter().any(|(name, labels)| gate::grants_anything(spec, name, Some(labels)));
    account.0.as_ref().is_ok_and(|account| grants(&account.spec))
}

/// As many names as fit an event, and how many more there are.
fn named(objects: &[String]) -> String {
    let mut length = 0;
    let shown = objects.iter().take_while(|name| {
        length += name.len() + 2;
        length <= NAMES_MAX
    });
    let shown: Vec<&str> = shown.map(String::as_str).collect();
    let more = match objects.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

/// Tells once what an account that goes waits for.
async fn tell(account: &GuardedAccount, context: &Context, what: &'static str, note: String) {
    if context.memory.is_untold(&account.uid().unwrap_or_default(), what) {
        tracing::info!("{note}");
        publish(account, context, (what, "Delete"), note).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_as_many_objects_as_it_can_hold() {
        let objects: Vec<String> = (0..20).map(|n| format!("payments/{}{n:02}", "o".repeat(89))).collect();
        let text = named(&objects);
        assert!(text.len() < 900 && text.ends_with("and 13 more"), "{text}");
        assert_eq!(named(&objects[..2]), format!("{}, {}", objects[0], objects[1]));
        assert_eq!(named(&["n".repeat(1000)]), " and 1 more");
    }
}
