//! What the other existing objects need of the roles that this one shares with them. Gathered while the roles' locks are
//! held, so that nobody's need changes before it has been honoured.

use std::{collections::BTreeSet, sync::Arc};

use kube::ResourceExt;

use super::{
    caches::key_of, context::Context, evidence, gate_input, sessions::Reads, status_inventory::read_inventory, unknown,
};
use crate::{
    api::CrossAccountInvoke,
    domain::{
        gate::{self, Account, Input},
        ids::{Arn, ObjectKey, RoleId, StageName},
        inventory::{Inventory, Item, Part},
        observed::Observed,
        plan::{Others, Situation},
        shared_policy::{AssumeUser, Usage, WantedRole},
        spec::Declared,
        validate::validate,
    },
};

/// One other object.
struct Other {
    key: ObjectKey,
    uid: String,
    /// What its status and this process say that it has. A tenant may have written the status.
    claims: Inventory,
    declared: Option<Declared>,
    input: Input,
    /// Whether both accounts grant it today what it asks for.
    granted: bool,
}

/// Gathers them, and what AWS shows of entries that none of them asks for. What cannot be read fails nothing: it stays.
pub async fn gather(
    context: &Context,
    reads: &Reads,
    situation: &Situation<'_>,
    own_uid: &str,
    observed: &Observed,
) -> Others {
    let (others, released) = existing(context, situation, own_uid);
    let mut gathered = Others::default();
    gathered.proof.released = released;
    // The entries are in roles of the tools account: an object that this account grants nothing has no entry.
    let (tools, key) = (&situation.declared.tools.account, &situation.declared.key);
    let unknown = unknown::unknown(context, &gate_input::accounts(context), tools, key);
    gathered.proof.nothing_else_leaves = unknown.is_some();
    for other in &others {
        gathered.stages_made.extend(stages_made(context, other));
        known_needs(context, situation, other, &mut gathered);
    }
    let now = Context::now();
    for holder in observed.assume.keys() {
        gathered.room.extend(context.memory.room(holder, now).map(|room| (holder.clone(), room)));
        let users = others.iter().filter_map(|other| assume_user(context, situation, other, holder)).collect();
        gathered.assume.insert(holder.clone(), users);
    }
    evidence::of_entries(context, reads, situation, observed, &mut gathered).await;
    gathered
}

/// The other objects of the same accounts, whatever their state: in a rebuilt cluster they have no finalizer yet, a
/// namespace may have lost its label for a moment, and what they need is in place all the same. And the keys of those
/// that need nothing any more.
fn existing(context: &Context, situation: &Situation<'_>, own_uid: &str) -> (Vec<Other>, BTreeSet<ObjectKey>) {
    let accounts = gate_input::accounts(context);
    let objects = context.caches.objects();
    let others = objects.iter().filter_map(|object| object.0.as_ref().ok());
    let others = others.filter(|object| object.uid().as_deref() != Some(own_uid));
    let (released, existing): (Vec<_>, Vec<_>) =
        others.partition(|object| context.memory.is_released(object.uid().as_deref().unwrap_or_default()));
    let existing = existing.into_iter().filter_map(|object| existing_one(context, situation, &accounts, object));
    (existing.collect(), released.into_iter().map(key_of).collect())
}

fn existing_one(
    context: &Context,
    situation: &Situation<'_>,
    accounts: &Arc<[Account]>,
    object: &CrossAccountInvoke,
) -> Option<Other> {
    let (key, uid) = (key_of(object), object.uid().unwrap_or_default());
    let declared = validate(&key, &object.spec, situation.installation).ok();
    // What this process recorded is younger than what the watch shows, and may hold less.
    let claims = context.memory.claims(&uid).unwrap_or_else(|| read_inventory(object));
    let claims = declared.as_ref().map_or_else(|| claims.clone(), |declared| claims.clone().within(declared));
    let ours = situation.declared;
    let here = declared.as_ref().is_none_or(|declared| {
        declared.tools.account == ours.tools.account || declared.dev.account == ours.dev.account
    });
    let input = gate_input::with_accounts(context, accounts.clone(), &key);
    let granted = here && declared.as_ref().is_some_and(|declared| gate::is_granted(declared, &input));
    here.then_some(Other { key, uid, claims, declared, input, granted })
}

/// The stages that an object says were made for it: what this process planned, and what its status says of the very stage
/// that its spec names under a grant of today. Anybody's word would let them have a stage removed that a person made.
fn stages_made(context: &Context, other: &Other) -> Vec<(Arn, StageName)> {
    let granted = other.declared.as_ref().filter(|_| other.granted);
    let is_named = |item: &&Item| {
        granted.is_some_and(|declared| {
            item.holder.resource() == declared.pipeline.as_str()
                && item.action.as_ref().is_some_and(|(stage, _)| *stage == declared.stage)
        })
    };
    let planned = context.memory.planned(&other.uid);
    let of = |item: &Item| item.action.as_ref().map(|(stage, _)| (item.holder.clone(), stage.clone()));
    let made = |item: &&Item| item.stage_made;
    let claimed = other.claims.of(Part::PipelineAction).filter(is_named);
    planned.of(Part::PipelineAction).chain(claimed).filter(made).filter_map(of).collect()
}

fn assume_user(context: &Context, situation: &Situation<'_>, other: &Other, holder: &RoleId) -> Option<AssumeUser> {
    let recorded: BTreeSet<Arn> = other.claims.entries(Part::AssumePolicy, holder);
    let planned_here = context.memory.planned_entries(&other.uid, Part::AssumePolicy, holder);
    let of_holder = |arn: &Arn| arn.role().as_ref() == Some(holder);
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
    let declared =
        other.declared.as_ref().filter(|declared| declared.tools.account == situation.declared.tools.account);
    let Some(declared) = declared else {
        // Without a valid spec, or of another tools account: only what is recorded under this very role counts.
        return (!user.recorded.is_empty()).then_some(user);
    };
    let pipeline = (declared.tools.account.clone(), declared.tools.region.clone(), declared.pipeline.clone());
    let usage = match context.memory.pipeline_role(&pipeline) {
        Some(role) if of_holder(&role) => Usage::Uses,
        Some(_) => Usage::DoesNot,
        None => Usage::Unknown,
    };
    let path = gate::role_path(&other.input, situation.installation, &declared.dev.account);
    let role = RoleId { account: declared.dev.account.clone(), name: declared.role_name.clone() };
    // A given name may be anybody's; a derived one is this object's.
    let invoke_role = (other.granted || !declared.role_is_named).then_some(WantedRole { role, path });
    Some(AssumeUser { usage, invoke_role, granted: other.granted, ..user })
}

/// Adds the execution roles whose callback policy an object needs, as far as this process or a granted object's status
/// says so. Of everybody else AWS tells, when a callback policy is about to go: an object that is granted nothing may
/// name any function and write any status.
fn known_needs(context: &Context, situation: &Situation<'_>, other: &Other, gathered: &mut Others) {
    let planned = context.memory.planned(&other.uid);
    if !other.granted && planned.0.is_empty() {
        return;
    }
    gathered.callback.extend(planned.roles(Part::CallbackPolicy));
    gathered.callback.extend(other.claims.roles(Part::CallbackPolicy));
    let says = |of: &Inventory| of.of(Part::CallbackPolicy).next().is_some();
    let is_known = says(&planned) || (other.granted && says(&other.claims));
    let own = situation.declared;
    let Some(declared) = other.declared.as_ref().filter(|declared| declared.dev.account == own.dev.account) else {
        return;
    };
    let function = (declared.dev.account.clone(), declared.dev.region.clone(), declared.function.clone());
    gathered.callback.extend(context.memory.execution_role(&function).and_then(|role| role.role()));
    if is_known {
        gathered.explained.extend(planned.roles(Part::InvokeRole));
        if !declared.role_is_named {
            gathered
                .explained
                .insert(RoleId { account: declared.dev.account.clone(), name: declared.role_name.clone() });
        }
    }
}
