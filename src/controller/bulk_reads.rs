//! Bulk reads as Kubernetes sees them: what objects want to know of an account, and what the account's status says.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{
    caches::{Caches, key_of},
    gate_input,
    status_inventory::read_inventory,
};
use crate::{
    api::{AwsAccount, BulkReadsReason, CrossAccountInvoke, Reads},
    aws::{Claimants, Claimed, Readers, Scanned},
    domain::{
        bulk_reads::{Listing, Mode, Why},
        gate,
        ids::{AccountId, InstallationId},
        inventory::Part,
        spec::Declared,
        validate::validate,
    },
};

/// Calls that read one invoke role: itself, the names of its inline policies, those attached, and P1.
const OF_AN_INVOKE_ROLE: u64 = 4;

/// What the objects in the caches want to know, as far as they are granted it: how an account is read is not decided by whoever
/// names it.
pub struct CachedClaims {
    /// The objects, accounts and namespaces.
    pub caches: Arc<Caches>,
    /// Whose they are.
    pub installation: InstallationId,
}

impl CachedClaims {
    fn granted(&self, object: &CrossAccountInvoke) -> Option<Declared> {
        let key = key_of(object);
        let declared = validate(&key, &object.spec, &self.installation).ok()?;
        gate::is_granted(&declared, &gate_input::of_caches(&self.caches, &key)).then_some(declared)
    }
}

impl Claimants for CachedClaims {
    fn claimed(&self, of: &Scanned) -> (Mode, Claimed) {
        let mode = if self.caches.asks_for_single_reads(of.account()) { Mode::Single } else { Mode::Auto };
        let keys = self.caches.naming(of.account().as_str());
        let objects: Vec<_> = keys.iter().filter_map(|key| self.caches.object(key)).collect();
        let objects = objects.iter().filter_map(|object| object.0.as_ref().ok());
        let objects = objects.filter(|object| object.metadata.deletion_timestamp.is_none());
        let objects = objects.filter_map(|object| Some((object, self.granted(object)?)));
        let claimed = match of {
            Scanned::Roles(account) => roles(objects, account),
            Scanned::Functions(account, region) => {
                let names: HashSet<String> = objects
                    .filter(|(_, declared)| declared.dev.account == *account && declared.dev.region == *region)
                    .map(|(_, declared)| declared.function.to_string())
                    .collect();
                Claimed { calls: names.len().try_into().unwrap_or(u64::MAX), names }
            }
        };
        (mode, claimed)
    }

    fn judged(&self, of: &Scanned) {
        self.caches.look_at_account(of.account());
    }
}

/// The roles that objects have something on, with the calls that read all of it.
fn roles<'o>(objects: impl Iterator<Item = (&'o CrossAccountInvoke, Declared)>, account: &AccountId) -> Claimed {
    let mut roles: BTreeMap<String, BTreeMap<Part, u64>> = BTreeMap::new();
    for (object, declared) in objects {
        for item in read_inventory(object).within(&declared).0 {
            let calls = match item.part {
                Part::InvokeRole => OF_AN_INVOKE_ROLE,
                Part::CallbackPolicy | Part::AssumePolicy => 1,
                Part::InvokePolicy | Part::PipelineAction => continue,
            };
            if let Some(role) = item.holder.role().filter(|role| role.account == *account) {
                roles.entry(role.name.as_str().to_ascii_lowercase()).or_default().insert(item.part, calls);
            }
        }
    }
    let calls = roles.values().flat_map(BTreeMap::values).sum();
    Claimed { names: roles.into_keys().collect(), calls }
}

/// What the condition `BulkReads` of the account says, as far as this process knows.
#[must_use]
pub fn told(account: &AwsAccount, readers: &Readers) -> Option<(BulkReadsReason, String)> {
    if account.spec.reads == Reads::Single {
        return Some((BulkReadsReason::SingleRequested, "spec.reads asks for single reads".to_owned()));
    }
    let id: AccountId = account.spec.account_id.parse().ok()?;
    let judged = readers.judged(&id);
    let which = |wanted: Result<(), Why>| -> Vec<String> {
        judged.iter().filter(|(_, judged)| *judged == wanted).map(|(of, _)| words(of)).collect()
    };
    let denied: Vec<&str> =
        judged.iter().filter(|(_, judged)| *judged == Err(Why::Denied)).map(|(of, _)| right(of)).collect();
    let (active, dear) = (which(Ok(())), which(Err(Why::NotCheaper)));
    if !denied.is_empty() {
        let text = format!(
            "the controller's role may not call {}, so what that shows is read one at a time; give it the rights that \
             crossinvoke iam --bulk-reads adds, or set spec.reads to Single",
            denied.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" and ")
        );
        return Some((BulkReadsReason::Denied, text));
    }
    if !active.is_empty() {
        let text = format!("{} are read at once, and singly what differs", active.join(" and "));
        return Some((BulkReadsReason::Active, text));
    }
    let text = format!("to read {} at once costs more than half of single reads", dear.join(" or "));
    (!dear.is_empty()).then_some((BulkReadsReason::NotCheaper, text))
}

fn words(of: &Scanned) -> String {
    match of {
        Scanned::Roles(_) => "all roles".to_owned(),
        Scanned::Functions(_, region) => format!("all functions in {region}"),
    }
}

fn right(of: &Scanned) -> &'static str {
    match of.listing() {
        Listing::Roles => "iam:GetAccountAuthorizationDetails",
        Listing::Functions => "lambda:ListFunctions",
    }
}
