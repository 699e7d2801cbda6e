//! Whose needs are not known: of an object that does not decode, and of all objects of namespaces that cannot be listed
//! or watched. While they may share something in an account, nothing shared is removed there.

use super::{caches::Caches, context::Context, gate_input, memory::Memory, outcome::Verdict};
use crate::{
    api::Reason,
    domain::{
        gate::{self, Account},
        ids::{AccountId, ObjectKey},
        observed::Observed,
        plan::{Phase, Plan, Situation, withhold_removals},
    },
};

/// What ends the wait for an object that does not decode.
pub const WAY_OUT: &str = "correct its spec, or remove by hand what its status lists, delete it and take off its finalizer \
                           crossinvoke.dev/aws-resources";

/// Takes out of a plan what must wait. Says for what it waits, and in which phase last.
pub fn withhold(
    context: &Context,
    situation: &Situation<'_>,
    observed: &Observed,
    plan: &mut Plan,
) -> Option<(Phase, String)> {
    let declared = situation.declared;
    let accounts = gate_input::accounts(context);
    let [tools, dev] = [&declared.tools.account, &declared.dev.account]
        .map(|id| (id, unknown((&context.caches, &context.memory), &accounts, id, &declared.key)));
    let of = |account: &AccountId| [&tools, &dev].into_iter().find(|(id, _)| *id == account);
    let is_unknown = |account: &AccountId| of(account).is_some_and(|(_, unknown)| unknown.is_some());
    let withheld = withhold_removals(plan, observed, &declared.tools.region, is_unknown);
    // The last phase: what this object itself has to let go of is in the later ones.
    let (phase, account) = withheld.last()?;
    of(account).and_then(|(_, unknown)| unknown.clone()).map(|unknown| (*phase, unknown))
}

/// What the verdict of a plan is of which nothing is left but what waits.
#[must_use]
pub fn waits(unknown: &str, deleting: bool) -> Verdict {
    let message = format!("nothing that other objects may share is removed, since {unknown}");
    if deleting {
        let message = format!("{message}. Deletion then continues automatically");
        return Verdict::Stalled { reason: Reason::DeletionBlocked, message };
    }
    Verdict::progressing(message, super::outcome::Retry::Backoff)
}

/// Whether an account is granted to a namespace whose objects are not all known; which, and what to do.
#[must_use]
pub fn unknown(
    (caches, memory): (&Caches, &Memory),
    accounts: &[Account],
    account: &AccountId,
    reader: &ObjectKey,
) -> Option<String> {
    if caches.all_unlistable() {
        let cannot = "the objects of all namespaces cannot be listed or watched and what they need is not known: grant the controller \
                      list and watch of crossaccountinvokes";
        return Some(cannot.to_owned());
    }
    let accounts: Vec<&Account> = accounts.iter().filter(|known| known.id == account.as_str()).collect();
    let concerns = |namespace: &str| {
        let labels = caches.namespace_labels(namespace);
        // One that cannot be read may grant something to any.
        let grants = |spec| gate::grants_anything(spec, namespace, labels.as_ref());
        accounts.iter().any(|account| account.spec.as_ref().map_or(true, grants))
    };
    if let Some(namespace) = caches.unlistable().into_iter().find(|namespace| concerns(namespace)) {
        tracing::warn!(%namespace, "nothing shared is removed in account {account} while this namespace cannot be listed");
        let whose = if namespace == reader.namespace { "this namespace" } else { "another namespace" };
        return Some(format!(
            "{whose} cannot be listed or watched and what its objects need is not known: grant the controller list and watch there, or \
             take the namespace out of watchNamespaces; the controller's log names it"
        ));
    }
    let unreadable: Vec<ObjectKey> = memory.index(|index| index.unreadable().cloned().collect());
    let key = unreadable.into_iter().find(|key| concerns(&key.namespace))?;
    tracing::warn!(object = %key, "nothing shared is removed in account {account} while this object does not decode");
    Some(format!("{} does not decode and what it needs is not known: {WAY_OUT}", key.as_seen_by(reader)))
}
