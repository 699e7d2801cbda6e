//! What the other existing objects need of the roles that this one shares with them. Gathered while the roles' locks are
//! held, so that nobody's need changes before it has been honoured.

use std::{collections::BTreeSet, sync::Arc};

use kube::ResourceExt;

use super::{
    caches::key_of,
    context::Context,
    gate_input,
    outcome::{Retry, Verdict},
    pass::Halt,
    sessions::Sessions,
    status_inventory::read_inventory,
};
use crate::{
    api::CrossAccountInvoke,
    aws::AwsError,
    domain::{
        gate::{self, Account, Input},
        ids::{Arn, ObjectKey, RoleId, StageName},
        inventory::{Inventory, Item, Part},
        names,
        observed::Observed,
        plan::{Others, Situation},
        shared_policy::{AssumeUser, Usage, WantedRole},
        spec::Declared,
        validate::validate,
    },
};

/// What ends the wait for an object that does not decode.
pub const WAY_OUT: &str = "correct its spec, or remove by hand what its status lists, delete it and take off its finalizer \
                           crossinvoke.dev/aws-resources";

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

/// Gathers them. With `resolve`, a function that this process has not read yet is read, so that a callback policy is
/// deleted only when nobody needs it.
///
/// # Errors
/// Such a read failed.
pub async fn gather(
    context: &Context,
    sessions: &Sessions,
    situation: &Situation<'_>,
    own_uid: &str,
    observed: &Observed,
    resolve: bool,
) -> Result<Others, Halt> {
    let others = existing(context, situation, own_uid);
    let mut gathered = Others::default();
    for other in &others {
        gathered.stages_made.extend(stages_made(context, other));
    }
    for holder in observed.assume.keys() {
        let users = others.iter().filter_map(|other| assume_user(context, situation, other, holder)).collect();
        gathered.assume.insert(holder.clone(), users);
    }
    for other in others.iter().filter(|_| !observed.callback.is_empty()) {
        needed_for_callback(context, sessions, situation, other, resolve, &mut gathered).await?;
    }
    Ok(gathered)
}

/// Whether an object that does not decode stands in the way of shared writes; its name if so.
#[must_use]
pub fn undecodable(context: &Context) -> Option<String> {
    context.caches.objects().iter().find(|object| object.0.is_err()).map(|object| key_of(&**object).to_string())
}

/// The other objects of the same accounts, whatever their state: in a rebuilt cluster they have no finalizer yet, a
/// namespace may have lost its label for a moment, and what they need is in place all the same.
fn existing(context: &Context, situation: &Situation<'_>, own_uid: &str) -> Vec<Other> {
    let accounts = gate_input::accounts(context);
    let objects = context.caches.objects();
    let others = objects.iter().filter_map(|object| object.0.as_ref().ok());
    let others = others.filter_map(|object| existing_one(context, situation, own_uid, &accounts, object));
    others.collect()
}

fn existing_one(
    context: &Context,
    situation: &Situation<'_>,
    own_uid: &str,
    accounts: &Arc<[Account]>,
    object: &CrossAccountInvoke,
) -> Option<Other> {
    let (key, uid) = (key_of(object), object.uid().unwrap_or_default());
    if uid == own_uid || context.memory.is_released(&uid) {
        return None;
    }
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

/// Adds the execution roles whose callback policy an object needs.
async fn needed_for_callback(
    context: &Context,
    sessions: &Sessions,
    situation: &Situation<'_>,
    other: &Other,
    resolve: bool,
    gathered: &mut Others,
) -> Result<(), Halt> {
    let planned = context.memory.planned(&other.uid);
    if !other.granted && planned.0.is_empty() && !(resolve && owns_a_role(sessions, situation, other).await?) {
        // Whoever is granted nothing, and never was, may name any function and write any status.
        return Ok(());
    }
    gathered.callback.extend(planned.roles(Part::CallbackPolicy));
    gathered.callback.extend(other.claims.roles(Part::CallbackPolicy));
    let own = situation.declared;
    let declared = other.declared.as_ref().filter(|declared| declared.dev.account == own.dev.account);
    let Some(declared) = declared else { return Ok(()) };
    let function = (declared.dev.account.clone(), declared.dev.region.clone(), declared.function.clone());
    if let Some(role) = context.memory.execution_role(&function) {
        gathered.callback.extend(role.role());
        return Ok(());
    }
    if !resolve {
        return Ok(());
    }
    let found = sessions.dev_session.lambda(&declared.dev.region).get_function(&declared.function).await;
    let role = found.map_err(|error| untold(other, declared, &error))?.map(|function| function.role);
    context.memory.note_function(function, role.as_ref());
    gathered.callback.extend(role.and_then(|role| role.role()));
    Ok(())
}

/// Whether AWS has the object's invoke role: it was granted what it asks for once.
async fn owns_a_role(sessions: &Sessions, situation: &Situation<'_>, other: &Other) -> Result<bool, AwsError> {
    let own = situation.declared;
    let Some(declared) = other.declared.as_ref().filter(|declared| declared.dev.account == own.dev.account) else {
        return Ok(false);
    };
    let role = sessions.dev_iam.get_role(&declared.role_name).await?;
    Ok(role.is_some_and(|role| names::owned(&role.tags, situation.installation, &other.key)))
}

/// Without its function it cannot be told whether another object needs a policy that is about to go.
fn untold(other: &Other, declared: &Declared, error: &AwsError) -> Halt {
    let verdict = Verdict::from(error.clone());
    let (Verdict::Reconciling { reason, .. } | Verdict::Stalled { reason, .. }) = verdict else {
        return Halt::Verdict(verdict);
    };
    let message = format!(
        "whether CrossAccountInvoke {} still needs what is to be removed cannot be told, since its function {} in {} cannot be \
         looked up: {error}. Correct that object's spec.devAccount.region and spec.function, or delete it",
        other.key, declared.function, declared.dev.region
    );
    Halt::Verdict(Verdict::of(reason, message, Retry::Backoff))
}
