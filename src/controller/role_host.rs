//! What the roles' workers ask of the controller: whether a claim still holds, what the others need, what stands behind an
//! entry, and to wake an object.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    caches::Caches,
    context::{Context, session_key},
    current, evidence,
    memory::Memory,
    others::{self, Known},
    unknown,
};
use crate::{
    aws::{AccountReader, Aws},
    domain::{
        gate,
        ids::{Arn, InstallationId, ObjectKey, RoleId},
        observed::Resource,
        own_writes::{Earlier, State},
        role_claims::{Claim, Facet, Users},
        shared_policy::Behind,
    },
    engine::shown::Stands,
    shell::roles::{Became, Host, Looked, Place},
    telemetry::metrics::{Metrics, Permitted, ROLE},
};

/// Reads behind entries of one pass; what was not read stays.
const READS: usize = 20;

/// Answers from the caches and from memory, and asks AWS only what stands behind entries.
pub(super) struct RoleHost {
    caches: Arc<Caches>,
    memory: Arc<Memory>,
    installation: InstallationId,
    aws: Aws,
    metrics: Arc<Metrics>,
    /// What was remembered of policies before the writes that are in flight, and what these make of them.
    sending: Mutex<HashMap<Place, (Earlier, State, State)>>,
}

impl RoleHost {
    /// A host for this installation's workers.
    #[must_use]
    pub(super) fn new(
        caches: Arc<Caches>,
        memory: Arc<Memory>,
        installation: InstallationId,
        aws: Aws,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { caches, memory, installation, aws, metrics, sending: Mutex::default() }
    }

    fn resource(&self, (role, facet): &Place) -> Resource {
        let policy = facet.policy(&self.installation);
        Resource::RolePolicy { account: role.account.clone(), role: role.name.clone(), policy }
    }
}

impl Host for RoleHost {
    fn now(&self) -> Timestamp {
        Context::exact_now()
    }

    fn holds(&self, claim: &Claim) -> bool {
        current::holds(&self.caches, &self.installation, &claim.basis)
    }

    fn users(&self, role: &RoleId, entries: &BTreeSet<Arn>, claiming: &BTreeSet<(String, Facet)>) -> Users {
        let known = Known { caches: &self.caches, memory: &self.memory, installation: &self.installation };
        let accounts = self.caches.gate_accounts();
        let nobody = ObjectKey { namespace: String::new(), name: String::new() };
        let withheld = unknown::unknown((&self.caches, &self.memory), &accounts, &role.account, &nobody).is_some();
        let (assume, callback) = others::users(&known, role, entries, claiming);
        Users { assume, callback, released: self.memory.released(), withheld }
    }

    fn behind(&self, entries: BTreeSet<Arn>, reads: AccountReader) -> Looked {
        let (aws, memory, installation) = (self.aws.clone(), self.memory.clone(), self.installation.clone());
        let input = gate::Input { accounts: self.caches.gate_accounts(), namespace_labels: None };
        // One that belongs to an object that is not known here stays, whatever a new look says.
        let stays = |behind: &Behind| matches!(behind, Behind::Ours(Some(of)) if self.caches.object(of).is_none());
        let now = Context::now();
        let known: BTreeMap<Arn, Behind> = entries
            .iter()
            .filter_map(|entry| Some((entry.clone(), memory.behind(entry, now)?.1)))
            .filter(|(_, behind)| stays(behind))
            .collect();
        Box::pin(async move {
            let mut found = known;
            let unread: Vec<Arn> = entries.into_iter().filter(|entry| !found.contains_key(entry)).collect();
            // At the same time: an account that answers slowly holds up the others no longer than one call.
            let looks = unread.iter().take(READS).map(|entry| look(&aws, &input, &installation, entry, &reads));
            for (entry, behind) in unread.iter().zip(join_all(looks).await) {
                tracing::info!(%entry, ?behind, "no object asks for an entry of an assume policy");
                memory.note_behind(entry, &behind, Context::now());
                found.insert(entry.clone(), behind);
            }
            // Without an answer they stay.
            found.extend(unread.into_iter().skip(READS).map(|entry| (entry, Behind::Unknown)));
            found
        })
    }

    fn stands(&self, role: &RoleId, stands: Stands, until: Option<Instant>) {
        self.metrics.targets().worker(ROLE, &role.target(), &role.account, stands, until);
    }

    fn refused(&self) {
        self.metrics.targets().permitted(ROLE, Permitted::Refused, 1);
    }

    fn late(&self, claims: usize) {
        self.metrics.targets().permitted(ROLE, Permitted::Late, claims);
    }

    fn sends(&self, place: &Place, claims: usize, before: State, after: State) {
        self.metrics.targets().permitted(ROLE, Permitted::Given, claims);
        let resource = self.resource(place);
        let earlier =
            self.memory.own_writes(|writes| writes.note_sent(&resource, before.clone(), after.clone(), Context::now()));
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        sending.insert(place.clone(), (earlier, before, after));
    }

    fn sent(&self, place: &Place, became: Became) {
        let sent = self.sending.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
        let (Some((earlier, before, after)), resource) = (sent, self.resource(place)) else { return };
        self.memory.own_writes(|writes| match became {
            Became::Written => writes.note_write(&resource, before, after, Context::now()),
            Became::Refused => writes.take_back(&resource, earlier),
            Became::Fault => writes.note_fault(&resource),
            Became::Unknown => {}
        });
    }

    fn too_large(&self, role: &RoleId, size: usize) {
        self.memory.note_refused_size(role, size, Context::now());
    }

    fn read(&self, place: &Place, state: &State) {
        let resource = self.resource(place);
        self.memory.own_writes(|writes| writes.note_read(&resource, state));
    }

    fn wake(&self, object: &ObjectKey) {
        self.caches.look_at(object);
    }
}

/// Reads the role behind an entry, in whichever account it is.
async fn look(
    aws: &Aws,
    input: &gate::Input,
    installation: &InstallationId,
    entry: &Arn,
    reads: &AccountReader,
) -> Behind {
    let Some(role) = entry.role() else { return Behind::Nothing };
    let found = async {
        let access = gate::way_into(input, &role.account).map_err(|blocker| blocker.message)?;
        let session = aws.session(&session_key(&access)).await.map_err(|error| error.to_string())?;
        reads.within(&session).get_role(&role.name).await.map_err(|error| error.to_string())
    };
    evidence::behind(entry, found.await, installation)
}
