//! Which objects hold an account: it stays until nothing of theirs can be left in it.

use std::sync::Arc;

use kube::ResourceExt;

use super::super::{
    caches::{Guarded, key_of},
    context::{Context, FINALIZER},
    gate_input,
    status_inventory::read_inventory,
};
use crate::{
    api::AwsAccountSpec,
    domain::{
        gate::{self, Account},
        ids::AccountId,
        inventory::Inventory,
        validate::validate,
    },
};

/// How many objects name an account; one that does not decode may name any.
pub(super) fn naming(context: &Context, spec: &AwsAccountSpec) -> i64 {
    let id: Result<AccountId, _> = spec.account_id.parse();
    let count = id.map_or(0, |id| context.memory.index(|index| index.count_in_account(&id)));
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The objects that may have something in an account; its `AwsAccount` may not decode.
pub(super) fn holding(context: &Context, account: &str, spec: Option<&AwsAccountSpec>) -> Vec<String> {
    let accounts = gate_input::accounts(context);
    let holding = context.caches.naming(account).into_iter().filter_map(|key| {
        let object = context.caches.object(&key)?;
        match holds(context, &accounts, &object, account)? {
            // Of one that cannot be read nobody knows what it grants.
            Hold::Says if spec.is_none() => Some(key.to_string()),
            Hold::Uses => Some(key.to_string()),
            Hold::Says => Some(format!("{key} (granted nothing here; only its status says that it has something)")),
        }
    });
    let mut holding: Vec<String> = holding.collect();
    // What is in a namespace that cannot be listed may have something in an account that it is granted.
    let unlistable = context.caches.unlistable().into_iter().filter(|namespace| {
        let labels = context.caches.namespace_labels(namespace);
        spec.is_none_or(|spec| gate::grants_anything(spec, namespace, labels.as_ref()))
    });
    holding.extend(unlistable.map(|namespace| format!("{namespace}/* (the namespace cannot be listed or watched)")));
    if context.caches.all_unlistable() {
        holding.push("*/* (objects cannot be listed or watched)".to_owned());
    }
    holding.sort_unstable();
    holding
}

/// How an object holds an account.
enum Hold {
    /// It may have something there.
    Uses,
    /// Its status alone says so, and a tenant may have written it. What is really there must not be left behind, so it
    /// holds all the same.
    Says,
}

/// Whether an object may have something in the account: its inventory says so, or it is granted what it asks for and has
/// our finalizer. The finalizer alone says nothing: anybody may write it into an object that nobody grants anything.
fn holds(context: &Context, accounts: &Arc<[Account]>, object: &Guarded, account: &str) -> Option<Hold> {
    let uid = object.uid().unwrap_or_default();
    if context.memory.is_finished(&uid) {
        return None;
    }
    let held = object.finalizers().iter().any(|name| name == FINALIZER);
    let Ok(decoded) = &object.0 else { return held.then_some(Hold::Uses) };
    let key = key_of(decoded);
    let input = gate_input::with_accounts(context, accounts.clone(), &key);
    let declared = validate(&key, &decoded.spec, &context.settings.installation);
    let granted = declared.is_ok_and(|declared| gate::is_granted(&declared, &input));
    let names = |inventory: &Inventory| inventory.0.iter().any(|item| item.holder.account() == account);
    if held && granted {
        return Some(Hold::Uses);
    }
    let claims = read_inventory(decoded).union(&context.memory.claims(&uid).unwrap_or_default());
    let is_ours = granted || names(&context.memory.planned(&uid));
    names(&claims).then_some(if is_ours { Hold::Uses } else { Hold::Says })
}
