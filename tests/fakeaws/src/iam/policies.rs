//! Inline policies, attached policies, and managed policies as far as they are read.

use super::{
    access::{on_policy, on_role},
    change_role,
    documents::{self, Kind},
    limits, no_such_entity, page, read_role,
};
use crate::{
    error::ServiceError,
    state::{Caller, World},
    wire::query::{Form, Xml},
};

pub(super) fn put_inline(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:PutRolePolicy", form)?;
    let policy = form.require("PolicyName")?;
    limits::name("policyName", policy, 128)?;
    let document = documents::parse("policyDocument", form.require("PolicyDocument")?, Kind::Identity)?;
    change_role(world, caller, name, |role| {
        role.policies.inline.insert(policy.to_owned(), document);
        limits::inline(&role.name, &role.policies.inline)
    })?;
    Ok(Xml::default())
}

fn no_such_policy(policy: &str) -> ServiceError {
    no_such_entity(format!("The role policy with name {policy} cannot be found."))
}

pub(super) fn get_inline(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:GetRolePolicy", form)?;
    let policy = form.require("PolicyName")?;
    let role = read_role(world, caller, name)?;
    let document = role.policies.inline.get(policy).ok_or_else(|| no_such_policy(policy))?;
    Ok(Xml::default()
        .text("RoleName", &role.name)
        .text("PolicyName", policy)
        .text("PolicyDocument", documents::returned(document)))
}

pub(super) fn list_inline(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:ListRolePolicies", form)?;
    let (names, end) = page(read_role(world, caller, name)?.policies.inline.keys(), form, usize::MAX)?;
    let mut answer = Xml::default().texts("PolicyNames", names);
    answer.append(&end);
    Ok(answer)
}

pub(super) fn delete_inline(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:DeleteRolePolicy", form)?;
    let policy = form.require("PolicyName")?;
    change_role(world, caller, name, |role| {
        role.policies.inline.remove(policy).map(|_| ()).ok_or_else(|| no_such_policy(policy))
    })?;
    Ok(Xml::default())
}

fn not_attachable(arn: &str) -> ServiceError {
    no_such_entity(format!("Policy {arn} does not exist or is not attachable."))
}

pub(super) fn attach(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:AttachRolePolicy", form)?;
    let arn = form.require("PolicyArn")?;
    limits::policy_arn("policyArn", arn)?;
    if world.attachable_policy(caller, arn).is_none() {
        return Err(not_attachable(arn));
    }
    change_role(world, caller, name, |role| {
        let attached = &mut role.policies.attached;
        if !attached.iter().any(|old| old == arn) {
            attached.push(arn.to_owned());
        }
        if attached.len() > limits::ATTACHED_POLICIES {
            let quota = limits::ATTACHED_POLICIES;
            return Err(limits::exceeded(format!("Cannot exceed quota for PoliciesPerRole: {quota}")));
        }
        Ok(())
    })?;
    Ok(Xml::default())
}

pub(super) fn detach(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:DetachRolePolicy", form)?;
    let arn = form.require("PolicyArn")?;
    change_role(world, caller, name, |role| {
        let attached = &mut role.policies.attached;
        let index = attached.iter().position(|old| old == arn);
        let index = index.ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))?;
        attached.remove(index);
        Ok(())
    })?;
    Ok(Xml::default())
}

pub(super) fn list_attached(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:ListAttachedRolePolicies", form)?;
    let (arns, end) = page(read_role(world, caller, name)?.policies.attached.iter(), form, usize::MAX)?;
    let members = arns.into_iter().map(|arn| {
        Xml::default().text("PolicyName", arn.rsplit('/').next().unwrap_or_default()).text("PolicyArn", arn)
    });
    let mut answer = Xml::default().list("AttachedPolicies", members);
    answer.append(&end);
    Ok(answer)
}

fn no_such_managed(arn: &str) -> ServiceError {
    no_such_entity(format!("Policy {arn} was not found."))
}

pub(super) fn get_managed(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let arn = form.require("PolicyArn")?;
    limits::policy_arn("policyArn", arn)?;
    on_policy(world, caller, "iam:GetPolicy", arn)?;
    if world.attachable_policy(caller, arn).is_none() {
        return Err(no_such_managed(arn));
    }
    let (_, path_and_name) = arn.split_once(":policy").ok_or_else(|| no_such_managed(arn))?;
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or_default();
    let (attached, boundaries) = world.uses_of_policy(&caller.account, arn);
    let policy = Xml::default()
        .text("PolicyName", name)
        .text("PolicyId", stable_id(arn))
        .text("Arn", arn)
        .text("Path", format_args!("{path}/"))
        .text("DefaultVersionId", "v1")
        .text("AttachmentCount", attached)
        .text("PermissionsBoundaryUsageCount", boundaries)
        .text("IsAttachable", true);
    Ok(Xml::default().nest("Policy", &policy))
}

/// The unique id of a managed policy. Policies are not made again here, so that the ARN can stand for it.
fn stable_id(arn: &str) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    arn.hash(&mut hasher);
    format!("ANPA{:017X}", hasher.finish())
}

pub(super) fn get_managed_version(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let arn = form.require("PolicyArn")?;
    limits::policy_arn("policyArn", arn)?;
    let version = form.require("VersionId")?;
    on_policy(world, caller, "iam:GetPolicyVersion", arn)?;
    let document = world.attachable_policy(caller, arn).ok_or_else(|| no_such_managed(arn))?;
    if version != "v1" {
        return Err(no_such_entity(format!("Policy {arn} version {version} does not exist or is not attachable.")));
    }
    let version = Xml::default()
        .text("Document", documents::returned(document))
        .text("VersionId", version)
        .text("IsDefaultVersion", true);
    Ok(Xml::default().nest("PolicyVersion", &version))
}
