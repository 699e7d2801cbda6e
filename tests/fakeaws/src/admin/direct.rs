//! Changes of state as somebody else would make them: unauthorised, uncounted, but with AWS's effects.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Command, ControlPolicy};
use crate::{
    codepipeline,
    iam::{
        documents::{self, Kind},
        tags,
    },
    lambda::{self, FunctionAt},
    snapshot::RoleSeed,
    state::{Function, Role, World, unique_id},
};

pub(super) fn change(world: &mut World, command: Command) -> Result<Value, String> {
    match command {
        Command::PutRole { account, name, role } => put_role(world, &account, &name, &role),
        Command::RemoveRole { account, name } => {
            find(world, &account, &name)?;
            world.set_role(&account, &name, None);
            Ok(json!({}))
        }
        Command::PutTrust { account, role, document } => {
            let trust = world.stored_trust(&document, true).map_err(|error| error.to_string())?;
            edit(world, &account, &role, |role| {
                role.trust = trust;
                role.keeps_trust_shape = true;
            })
        }
        Command::PutInlinePolicy { account, role, policy, document } => edit(world, &account, &role, |role| {
            role.policies.inline.insert(policy, document);
        }),
        Command::RemoveInlinePolicy { account, role, policy } => edit(world, &account, &role, |role| {
            role.policies.inline.remove(&policy);
        }),
        Command::PutTag { account, role, key, value } => edit(world, &account, &role, |role| {
            tags::add(&mut role.tags, &[(&key, &value)]);
        }),
        Command::RemoveTag { account, role, key } => edit(world, &account, &role, |role| {
            tags::remove(&mut role.tags, &[&key]);
        }),
        Command::SetBoundary { account, role, boundary } => {
            if let Some(arn) = boundary.as_ref().filter(|arn| !world.managed_policies.contains_key(*arn)) {
                return Err(format!("no managed policy {arn}"));
            }
            edit(world, &account, &role, |role| role.policies.boundary = boundary)
        }
        Command::AttachPolicy { account, role, arn } => edit(world, &account, &role, |role| {
            if !role.policies.attached.contains(&arn) {
                role.policies.attached.push(arn);
            }
        }),
        Command::DetachPolicy { account, role, arn } => {
            edit(world, &account, &role, |role| role.policies.attached.retain(|old| *old != arn))
        }
        Command::PutManagedPolicy { .. } | Command::RemoveManagedPolicy { .. } => change_managed_policy(world, command),
        Command::SetOrganization { .. } | Command::PutControlPolicy { .. } | Command::RemoveControlPolicy { .. } => {
            change_organization(world, command)
        }
        Command::PutKey { key, arn } => world.put_key(&key, &arn).map(|()| json!({})),
        other => change_regional(world, other),
    }
}

fn change_managed_policy(world: &mut World, command: Command) -> Result<Value, String> {
    match command {
        Command::PutManagedPolicy { arn, document } => {
            world.managed_policies.insert(arn, document);
        }
        // API reference, `DeletePolicy`: a policy that is attached, or is a boundary, cannot be deleted.
        Command::RemoveManagedPolicy { arn } => {
            let accounts: Vec<String> = world.accounts.keys().cloned().collect();
            if accounts.iter().any(|account| world.uses_of_policy(account, &arn) != (0, 0)) {
                return Err(format!("DeleteConflict: the managed policy {arn} is in use"));
            }
            world.managed_policies.remove(&arn).ok_or_else(|| format!("no managed policy {arn}"))?;
        }
        other => return Err(format!("{other:?} is not about a managed policy")),
    }
    Ok(json!({}))
}

/// What Organizations attaches to every account as soon as it has service control policies (Organizations User Guide,
/// "Service control policies").
const FULL_ACCESS: &str = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess";

fn change_organization(world: &mut World, command: Command) -> Result<Value, String> {
    match command {
        Command::SetOrganization { account, organization } => {
            known(world, &account)?;
            world.account_mut(&account).organization = organization;
        }
        Command::PutControlPolicy { account, kind, policy, document } => {
            known(world, &account)?;
            documents::check(&document, kind.grammar()).map_err(|error| error.to_string())?;
            let policies = kind.of(world, &account);
            if kind == ControlPolicy::Service && policies.is_empty() {
                let everything = json!({"Version": "2012-10-17", "Statement": [
                    {"Effect": "Allow", "Action": "*", "Resource": "*"},
                ]});
                policies.insert(FULL_ACCESS.to_owned(), everything);
            }
            policies.insert(policy, document);
        }
        Command::RemoveControlPolicy { account, kind, policy } => {
            known(world, &account)?;
            let removed = kind.of(world, &account).remove(&policy);
            removed.ok_or_else(|| format!("no policy {policy} on account {account}"))?;
        }
        other => return Err(format!("{other:?} is not about an organization")),
    }
    Ok(json!({}))
}

impl ControlPolicy {
    fn grammar(self) -> Kind {
        match self {
            Self::Service => Kind::Identity,
            Self::Resource => Kind::ResourceControl,
        }
    }

    fn of<'w>(self, world: &'w mut World, account: &str) -> &'w mut BTreeMap<String, Value> {
        let account = world.account_mut(account);
        match self {
            Self::Service => &mut account.service_control_policies,
            Self::Resource => &mut account.resource_control_policies,
        }
    }
}

fn change_regional(world: &mut World, command: Command) -> Result<Value, String> {
    match command {
        Command::PutFunction { account, region, name, function } => {
            known(world, &account)?;
            let mut function: Function = serde_json::from_value(function).map_err(|error| error.to_string())?;
            function.grant(world);
            world.account_mut(&account).functions.entry(region).or_default().insert(name, function);
            Ok(json!({}))
        }
        Command::RemoveFunction { account, region, name } => {
            known(world, &account)?;
            let functions = world.account_mut(&account).functions.entry(region.clone()).or_default();
            let removed = functions.remove(&name).map(|_| json!({}));
            removed.ok_or_else(|| format!("no function {name} in {region} of account {account}"))
        }
        Command::SetBehaviour { account, region, name, behaviour } => {
            known(world, &account)?;
            let functions = world.account_mut(&account).functions.entry(region.clone()).or_default();
            let function = functions.get_mut(&name);
            let function = function.ok_or_else(|| format!("no function {name} in {region} of account {account}"))?;
            function.behaviour = Some(behaviour);
            Ok(json!({}))
        }
        Command::DeliverAgain { account, region, name } => {
            known(world, &account)?;
            lambda::deliver_again(world, &FunctionAt { account, region, name }).map(|()| json!({}))
        }
        other => change_pipelines(world, other),
    }
}

fn change_pipelines(world: &mut World, command: Command) -> Result<Value, String> {
    match command {
        Command::ReplacePipeline { account, region, declaration } => {
            known(world, &account)?;
            codepipeline::admin(world, &account, &region, "replace-pipeline", &json!({"declaration": declaration}))
        }
        Command::RemovePipeline { account, region, name } => {
            known(world, &account)?;
            codepipeline::admin(world, &account, &region, "remove-pipeline", &json!({"name": name}))
        }
        Command::PutExecution { account, region, name, status, id, stage } => {
            known(world, &account)?;
            let arguments = json!({"name": name, "status": status, "id": id, "stage": stage});
            codepipeline::admin(world, &account, &region, "put-execution", &arguments)
        }
        Command::SetStartedExecutions { account, region, name, status } => {
            known(world, &account)?;
            let arguments = json!({"name": name, "status": status});
            codepipeline::admin(world, &account, &region, "set-started-executions", &arguments)
        }
        Command::SetAction { account, region, name, stage, action, outcome } => {
            known(world, &account)?;
            let arguments = json!({"name": name, "stage": stage, "action": action, "outcome": outcome});
            codepipeline::admin(world, &account, &region, "set-action", &arguments)
        }
        Command::SetRule { account, region, name, stage, condition, rule, outcome } => {
            known(world, &account)?;
            let arguments = json!({
                "name": name, "stage": stage, "condition": condition, "rule": rule, "outcome": outcome,
            });
            codepipeline::admin(world, &account, &region, "set-rule", &arguments)
        }
        other => Err(format!("{other:?} is not a change of state")),
    }
}

fn known(world: &World, account: &str) -> Result<(), String> {
    if world.accounts.contains_key(account) { Ok(()) } else { Err(format!("no account {account}")) }
}

fn find<'w>(world: &'w World, account: &str, role: &str) -> Result<&'w Role, String> {
    known(world, account)?;
    let found = world.accounts.get(account).and_then(|account| account.role(role));
    found.ok_or_else(|| format!("no role {role} in account {account}"))
}

fn edit(world: &mut World, account: &str, name: &str, change: impl FnOnce(&mut Role)) -> Result<Value, String> {
    let mut role = find(world, account, name)?.clone();
    change(&mut role);
    world.set_role(account, name, Some(role));
    Ok(json!({}))
}

fn put_role(world: &mut World, account: &str, name: &str, seed: &RoleSeed) -> Result<Value, String> {
    known(world, account)?;
    let old = find(world, account, name).ok().filter(|old| old.path == seed.path);
    let (created, id) = old.map_or_else(|| (world.now(), unique_id("AROA")), |old| (old.created, old.id.clone()));
    let mut role = seed.to_role(name, created, id)?;
    role.trust = world.stored_trust(&role.trust, true).map_err(|error| error.to_string())?;
    if let Some(arn) = role.policies.boundary.as_ref().filter(|arn| !world.managed_policies.contains_key(*arn)) {
        return Err(format!("no managed policy {arn}"));
    }
    world.set_role(account, name, Some(role));
    Ok(json!({}))
}
