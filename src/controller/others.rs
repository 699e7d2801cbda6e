//! What the other existing objects need of the roles that this one shares with them. Gathered while the roles' locks are
//! held, so that nobody's need changes before it has been honoured.

use std::{collections::BTreeSet, sync::Arc};

use kube::ResourceExt;

use super::{
    caches::key_of,
    context::{Context, FINALIZER},
    gate_input::gate_input,
    sessions::Sessions,
    status_inventory::read_inventory,
};
use crate::{
    api::CrossAccountInvoke,
    aws::AwsError,
    domain::{
        gate,
        ids::{Arn, StageName},
        inventory::{Inventory, Part},
        observed::Observed,
        plan::{Others, Situation},
        shared_policy::{AssumeUser, Usage},
        spec::Declared,
        validate::validate,
    },
};

/// One other object.
struct Other {
    object: Arc<super::caches::Guarded>,
    uid: String,
    inventory: Inventory,
    declared: Option<Declared>,
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
) -> Result<Others, AwsError> {
    let others = existing(context, situation, own_uid);
    let mut gathered = Others::default();
    for other in &others {
        for item in other.inventory.of(Part::PipelineAction).filter(|item| item.stage_made) {
            let stage: Option<StageName> = item.action.as_ref().map(|(stage, _)| stage.clone());
            gathered.stages_made.extend(stage.map(|stage| (item.holder.clone(), stage)));
        }
    }
    for holder in observed.assume.keys() {
        let users = others.iter().filter_map(|other| assume_user(context, situation, other, holder)).collect();
        gathered.assume.insert(holder.clone(), users);
    }
    for other in others.iter().filter(|_| !observed.callback.is_empty()) {
        gathered.callback.extend(callback_holders(context, sessions, situation, other, resolve).await?);
    }
    Ok(gathered)
}

/// Whether an object that does not decode stands in the way of shared writes; its name if so.
#[must_use]
pub fn undecodable(context: &Context) -> Option<String> {
    context.caches.objects().iter().find(|object| object.0.is_err()).map(|object| key_of(&**object).to_string())
}

/// The other objects that may have something in AWS: those with our finalizer, or of which this process has recorded
/// something that the watch does not show yet.
fn existing(context: &Context, situation: &Situation<'_>, own_uid: &str) -> Vec<Other> {
    let mut others = Vec::new();
    for object in context.caches.objects() {
        let uid = object.uid().unwrap_or_default();
        let Ok(decoded) = &object.0 else { continue };
        let recorded = context.memory.recorded(&uid);
        let may_have_something = recorded.is_some() || decoded.finalizers().iter().any(|name| name == FINALIZER);
        if uid == own_uid || context.memory.is_released(&uid) || !may_have_something {
            continue;
        }
        let declared = validate(&key_of(decoded), &decoded.spec, situation.installation).ok();
        let inventory = read_inventory(decoded).union(&recorded.unwrap_or_default());
        let inventory =
            declared.as_ref().map_or_else(|| inventory.clone(), |declared| inventory.clone().within(declared));
        others.push(Other { object: object.clone(), uid, inventory, declared });
    }
    others
}

fn assume_user(context: &Context, situation: &Situation<'_>, other: &Other, holder: &Arn) -> Option<AssumeUser> {
    let decoded: &CrossAccountInvoke = other.object.0.as_ref().ok()?;
    let recorded: BTreeSet<Arn> = other.inventory.entries(Part::AssumePolicy, holder);
    let written_here = context.memory.recorded_entries(&other.uid, Part::AssumePolicy, holder);
    let seen = other.inventory.of(Part::AssumePolicy).filter(|item| item.holder == *holder && item.digest.is_some());
    let verified: BTreeSet<Arn> = seen.filter_map(|item| item.entry.clone()).collect();
    let declared =
        other.declared.as_ref().filter(|declared| declared.tools.account == situation.declared.tools.account);
    let Some(declared) = declared else {
        // Without a valid spec, or of another tools account: only what is recorded under this very role counts.
        return (!recorded.is_empty()).then(|| AssumeUser {
            key: key_of(decoded),
            usage: Usage::DoesNot,
            invoke_role: None,
            granted: false,
            recorded,
            written_here,
            verified,
        });
    };
    let pipeline = (declared.tools.account.clone(), declared.tools.region.clone(), declared.pipeline.clone());
    let usage = match context.memory.pipeline_role(&pipeline) {
        Some(role) if role == *holder => Usage::Uses,
        Some(_) => Usage::DoesNot,
        None => Usage::Unknown,
    };
    let input = gate_input(context, declared);
    let path = gate::role_path(&input, situation.installation, &declared.dev.account);
    let granted = gate::gate(declared, &input, situation.installation).is_ok();
    Some(AssumeUser {
        key: declared.key.clone(),
        usage,
        invoke_role: Some(Arn::of_own_role(holder.partition(), &declared.dev.account, &path, &declared.role_name)),
        granted,
        recorded,
        written_here,
        verified,
    })
}

async fn callback_holders(
    context: &Context,
    sessions: &Sessions,
    situation: &Situation<'_>,
    other: &Other,
    resolve: bool,
) -> Result<BTreeSet<Arn>, AwsError> {
    let mut holders: BTreeSet<Arn> = other.inventory.of(Part::CallbackPolicy).map(|item| item.holder.clone()).collect();
    let declared = other.declared.as_ref().filter(|declared| declared.dev.account == situation.declared.dev.account);
    let Some(declared) = declared else { return Ok(holders) };
    let function = (declared.dev.account.clone(), declared.dev.region.clone(), declared.function.clone());
    match context.memory.execution_role(&function) {
        Some(role) => {
            holders.insert(role);
        }
        None if resolve => {
            let lambda = sessions.dev_session.lambda(&declared.dev.region);
            let role = lambda.get_function(&declared.function).await?.map(|function| function.role);
            context.memory.note_function(function, role.as_ref());
            holders.extend(role);
        }
        None => {}
    }
    Ok(holders)
}
