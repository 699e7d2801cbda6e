//! What the other existing objects need of the roles that this one shares with them.

use std::{collections::BTreeSet, sync::Arc};

use super::{caches::Caches, context::Context, evidence, gate_input, memory::Memory, sessions::Reads, unknown};
use crate::{
    domain::{
        gate::{self, Account, Input},
        ids::{AccountId, Arn, InstallationId, ObjectKey, PipelineName, RoleId, RoleName, StageName},
        inventory::{Inventory, Item, Part},
        observed::Observed,
        pipeline_edit,
        plan::{Others, Situation},
        policy,
        role_claims::Facet,
        shared_policy::{AssumeUser, Usage, WantedRole},
        spec::Declared,
    },
    engine::index::Neighbour,
};

/// One other object.
struct Other {
    key: ObjectKey,
    of: Arc<Neighbour>,
    /// What this process says that it has, or else its status. A tenant may have written that.
    claims: Arc<Inventory>,
    input: Input,
    /// Whether both accounts grant it today what it asks for.
    granted: bool,
}

impl Other {
    fn uid(&self) -> &str {
        &self.of.uid
    }

    fn declared(&self) -> Option<&Declared> {
        self.of.declared.as_ref()
    }
}

/// What this process knows of the objects.
pub(super) struct Known<'a> {
    pub(super) caches: &'a Caches,
    pub(super) memory: &'a Memory,
    pub(super) installation: &'a InstallationId,
}

impl<'a> Known<'a> {
    fn of(context: &'a Context) -> Self {
        Self { caches: &context.caches, memory: &context.memory, installation: &context.settings.installation }
    }
}

/// What the objects need of a role that claim nothing of it at the moment, where its assume policy names these: entries, and
/// whether any needs the callback policy.
pub(super) fn users(
    known: &Known<'_>,
    role: &RoleId,
    entries: &BTreeSet<Arn>,
    claiming: &BTreeSet<(String, Facet)>,
) -> (Vec<AssumeUser>, bool) {
    let roles = entries.iter().filter_map(Arn::role).chain([role.clone()]);
    let keys = roles.flat_map(|role| known.memory.objects_of_role(&role)).collect();
    let here = |declared: &Declared| declared.tools.account == role.account || declared.dev.account == role.account;
    let existing = existing(known, here, None, &keys);
    let but_claiming = |facet| {
        let claims = move |other: &&Other| claiming.contains(&(other.uid().to_owned(), facet));
        existing.iter().filter(move |other| !claims(other))
    };
    let assume = but_claiming(Facet::AssumePolicy).filter_map(|other| assume_user(known, other, role)).collect();
    let callback =
        but_claiming(Facet::CallbackPolicy).any(|other| callback_needs(known, &role.account, other).contains(role));
    (assume, callback)
}

/// Gathers them, and what AWS shows of entries that none of them asks for. What cannot be read fails nothing: it stays.
pub async fn gather(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    own_uid: &str,
    observed: &Observed,
) -> Others {
    let known = Known::of(context);
    let others = existing(&known, in_accounts_of(situation), Some(own_uid), &concerned(context, situation, observed));
    let mut gathered = Others::default();
    gathered.proof.released = context.memory.released();
    // The entries are in roles of the tools account: an object that this account grants nothing has no entry.
    let (tools, key) = (&situation.declared.tools.account, &situation.declared.key);
    let unknown = unknown::unknown((&context.caches, &context.memory), &gate_input::accounts(context), tools, key);
    gathered.proof.nothing_else_leaves = unknown.is_some();
    for other in &others {
        gathered.stages_made.extend(stages_made(context, other));
        // Of everybody else AWS tells, when a callback policy is about to go.
        gathered.callback.extend(callback_needs(&known, &situation.declared.dev.account, other));
    }
    let now = Context::now();
    for holder in &assume_holders(situation, observed) {
        gathered.room.extend(context.memory.room(holder, now).map(|room| (holder.clone(), room)));
        let users = others.iter().filter_map(|other| assume_user(&known, other, holder)).collect();
        gathered.assume.insert(holder.clone(), users);
    }
    evidence::of_entries(context, reads, situation, observed, &mut gathered).await;
    gathered
}

/// The roles whose assume policies are of interest: those that were read, and the pipeline's.
fn assume_holders(situation: &Situation<'_>, observed: &Observed) -> BTreeSet<RoleId> {
    let pipeline = observed.pipeline(&situation.declared.pipeline).and_then(|pipeline| pipeline.role.role());
    let pipeline = pipeline.filter(|role| role.account == situation.declared.tools.account);
    observed.assume.keys().cloned().chain(pipeline).collect()
}

/// The objects that what was read may be about: those on these pipelines, and those of the roles that the shared policies are
/// on, that they name, and that the pipelines' actions name. Whoever is not among them can neither explain nor need anything
/// of it.
fn concerned(context: &Context, situation: &Situation<'_>, observed: &Observed) -> BTreeSet<ObjectKey> {
    let mut roles = assume_holders(situation, observed);
    roles.extend(observed.callback.keys().cloned());
    let policies = observed.assume.values().flatten();
    roles.extend(policies.flat_map(policy::assume_entries_of_any_form).filter_map(|entry| entry.role()));
    let tools = &situation.declared.tools;
    let place = |name: &PipelineName| (tools.account.clone(), tools.region.clone(), name.clone());
    let mut keys = BTreeSet::new();
    for (name, read) in &observed.pipelines {
        let named = read.iter().flat_map(|read| pipeline_edit::roles_named(&read.declaration));
        roles.extend(named.filter_map(|role| role.role()));
        keys.extend(context.memory.index(|index| index.on_pipeline(&place(name)).cloned().collect::<Vec<_>>()));
    }
    keys.extend(roles.iter().flat_map(|role| context.memory.objects_of_role(role)));
    keys
}

/// Those of these objects that are in the same accounts, whatever their state: in a rebuilt cluster they have no finalizer
/// yet, a namespace may have lost its label for a moment, and what they need is in place all the same. Without those that
/// need nothing any more.
fn existing(
    known: &Known<'_>,
    here: impl Fn(&Declared) -> bool,
    own_uid: Option<&str>,
    keys: &BTreeSet<ObjectKey>,
) -> Vec<Other> {
    let accounts = known.caches.gate_accounts();
    let others = known.memory.neighbours(keys).into_iter().filter(|(_, of)| own_uid != Some(of.uid.as_str()));
    others.filter_map(|(key, of)| existing_one(known, &here, &accounts, key, of)).collect()
}

/// Whether an object stands behind an invoke role whose needs are known without a look at AWS.
pub(super) fn explain(context: &Context, situation: &Situation<'_>, own_uid: &str, role: &RoleId) -> bool {
    let keys = context.memory.objects_of_role(role);
    existing(&Known::of(context), in_accounts_of(situation), Some(own_uid), &keys).iter().any(|other| {
        let Some(declared) = other.declared().filter(|declared| is_of_dev(declared, situation)) else {
            return false;
        };
        let planned = context.memory.planned(other.uid());
        let is_derived =
            !declared.role_is_named && declared.dev.account == role.account && is_name(&declared.role_name, role);
        needs_are_known(other, &planned) && (is_derived || planned.roles(Part::InvokeRole).any(|known| known == *role))
    })
}

fn is_name(name: &RoleName, role: &RoleId) -> bool {
    name.as_str().eq_ignore_ascii_case(role.name.as_str())
}

fn is_of_dev(declared: &Declared, situation: &Situation<'_>) -> bool {
    declared.dev.account == situation.declared.dev.account
}

/// Whether this process, or the status under a grant of today, says which callback policies an object needs.
fn needs_are_known(other: &Other, planned: &Inventory) -> bool {
    let says = |of: &Inventory| of.of(Part::CallbackPolicy).next().is_some();
    says(planned) || (other.granted && says(&other.claims))
}

/// Whether an object is in one of the accounts of the one at hand.
fn in_accounts_of(situation: &Situation<'_>) -> impl Fn(&Declared) -> bool {
    let ours = situation.declared;
    move |declared| declared.tools.account == ours.tools.account || declared.dev.account == ours.dev.account
}

fn existing_one(
    known: &Known<'_>,
    here: &impl Fn(&Declared) -> bool,
    accounts: &Arc<[Account]>,
    key: ObjectKey,
    of: Arc<Neighbour>,
) -> Option<Other> {
    let declared = of.declared.as_ref();
    if !declared.is_none_or(here) {
        return None;
    }
    // What this process recorded is younger than what the watch shows, and may hold less.
    let claims = known.memory.claims(&of.uid).unwrap_or_else(|| of.recorded.clone());
    let claims = declared.into_iter().fold(claims, Inventory::shared_within);
    let input = Input { accounts: accounts.clone(), namespace_labels: known.caches.namespace_labels(&key.namespace) };
    let granted = declared.is_some_and(|declared| gate::is_granted(declared, &input));
    Some(Other { key, of, claims, input, granted })
}

/// The stages that an object says were made for it: what this process planned, and what its status says of the very stage
/// that its spec names under a grant of today. Anybody's word would let them have a stage removed that a person made.
fn stages_made(context: &Context, other: &Other) -> Vec<(Arn, StageName)> {
    let granted = other.declared().filter(|_| other.granted);
    let is_named = |item: &&Item| {
        granted.is_some_and(|declared| {
            item.holder.resource() == declared.pipeline.as_str()
                && item.action.as_ref().is_some_and(|(stage, _)| *stage == declared.stage)
        })
    };
    let planned = context.memory.planned(other.uid());
    let of = |item: &Item| item.action.as_ref().map(|(stage, _)| (item.holder.clone(), stage.clone()));
    let made = |item: &&Item| item.stage_made;
    let claimed = other.claims.of(Part::PipelineAction).filter(is_named);
    planned.of(Part::PipelineAction).chain(claimed).filter(made).filter_map(of).collect()
}

fn assume_user(known: &Known<'_>, other: &Other, holder: &RoleId) -> Option<AssumeUser> {
    let recorded: BTreeSet<Arn> = other.claims.entries(Part::AssumePolicy, holder);
    let planned_here = known.memory.planned_entries(other.uid(), Part::AssumePolicy, holder);
    let of_holder = |arn: &Arn| arn.is_of(holder);
    let seen = other.claims.of(Part::AssumePolicy).filter(|item| of_holder(&item.holder) && item.digest.is_some());
    let user = AssumeUser {
        key: other.key.clone(),
        usage: Usage::DoesNot,
        invoke_role: None,
        granted: false,
        verified: seen.filter_map(|item| item.entry.clone()).collect(),
        recorded,
        planned_here,
    };
    let declared = other.declared().filter(|declared| declared.tools.account == holder.account);
    let Some(declared) = declared else {
        // Without a valid spec, or of another tools account: only what is recorded under this very role counts.
        return (!user.recorded.is_empty()).then_some(user);
    };
    let pipeline = (declared.tools.account.clone(), declared.tools.region.clone(), declared.pipeline.clone());
    let usage = match known.memory.pipeline_role(&pipeline) {
        Some(role) if of_holder(&role) => Usage::Uses,
        Some(_) => Usage::DoesNot,
        None => Usage::Unknown,
    };
    let path = gate::role_path(&other.input, known.installation, &declared.dev.account);
    let role = RoleId { account: declared.dev.account.clone(), name: declared.role_name.clone() };
    // A given name may be anybody's; a derived one is this object's.
    let invoke_role = (other.granted || !declared.role_is_named).then_some(WantedRole { role, path });
    Some(AssumeUser { usage, invoke_role, granted: other.granted, ..user })
}

/// The execution roles whose callback policy an object needs, as far as this process or a granted object's status says so. An
/// object that is granted nothing may name any function and write any status.
fn callback_needs(known: &Known<'_>, dev: &AccountId, other: &Other) -> BTreeSet<RoleId> {
    let planned = known.memory.planned(other.uid());
    if !other.granted && planned.0.is_empty() {
        return BTreeSet::new();
    }
    let mut needs: BTreeSet<RoleId> = planned.roles(Part::CallbackPolicy).collect();
    needs.extend(other.claims.roles(Part::CallbackPolicy));
    if let Some(declared) = other.declared().filter(|declared| declared.dev.account == *dev) {
        let function = (declared.dev.account.clone(), declared.dev.region.clone(), declared.function.clone());
        needs.extend(known.memory.execution_role(&function).and_then(|role| role.role()));
    }
    needs
}
