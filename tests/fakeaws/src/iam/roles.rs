//! Roles: life, trust and boundary.

use super::{
    access::{on_role, to_create, to_list_roles},
    change_role,
    documents::{self, Kind},
    limits, modifiable, no_such_entity, no_such_role, page, read_role, tags,
};
use crate::{
    error::ServiceError,
    state::{Account, Caller, PROTECTED_PATHS, Policies, Role, World, unique_id},
    wire::query::{Form, Xml},
};

pub(super) fn create(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = form.require("RoleName")?;
    limits::name("roleName", name, 64)?;
    let path = form.get("Path").unwrap_or("/");
    limits::path(path)?;
    let arn = format!("arn:{}:iam::{}:role{path}{name}", caller.partition, caller.account);
    to_create(world, caller, &arn, form)?;
    if let Some(reserved) = PROTECTED_PATHS.iter().find(|reserved| path.starts_with(**reserved)) {
        // What IAM answers here is not established.
        return Err(ServiceError::unsupported(format!("CreateRole under {reserved}")));
    }
    let pairs = form.pairs("Tags");
    limits::tags(&pairs)?;
    let mut role_tags = std::collections::BTreeMap::new();
    tags::add(&mut role_tags, &pairs);
    limits::tag_count(&role_tags)?;
    let trust = trust(world, form.require("AssumeRolePolicyDocument")?, "assumeRolePolicyDocument")?;
    let boundary = form.get("PermissionsBoundary").map(|arn| boundary(world, caller, arn)).transpose()?;
    let description = form.get("Description");
    description.map_or(Ok(()), limits::description)?;
    let account = world.account_mut(&caller.account);
    if account.role(name).is_some() {
        let text = format!("Role with name {name} already exists.");
        return Err(ServiceError::new("EntityAlreadyExists", text).with_status(409));
    }
    if account.roles.values().filter(|role| role.current().is_some()).count() >= limits::ROLES {
        return Err(limits::exceeded(format!("Cannot exceed quota for RolesPerAccount: {}", limits::ROLES)));
    }
    let role = Role {
        name: name.to_owned(),
        path: path.to_owned(),
        id: unique_id("AROA"),
        created: world.now(),
        description: description.map(str::to_owned),
        max_session_duration: form.get("MaxSessionDuration").map_or(Ok(3600), limits::max_session_duration)?,
        trust,
        keeps_trust_shape: false,
        only_aws_modifies: false,
        policies: Policies { boundary, ..Policies::default() },
        tags: role_tags,
    };
    world.set_role(&caller.account, name, Some(role.clone()));
    Ok(Xml::default().nest("Role", &described(world, caller, &role, true)))
}

/// Parses, checks and stores-by-id a trust policy of a request.
fn trust(world: &World, text: &str, member: &str) -> Result<serde_json::Value, ServiceError> {
    let document = documents::parse(member, text, Kind::Trust)?;
    limits::trust(&document)?;
    world.stored_trust(&document, false)
}

/// The policy of a boundary: a managed policy of AWS or of the role's own account (API reference,
/// `PutRolePermissionsBoundary`). The text of the refusal: seen in reports of failed stacks.
fn boundary(world: &World, caller: &Caller, arn: &str) -> Result<String, ServiceError> {
    limits::policy_arn("permissionsBoundary", arn)?;
    let refused = || no_such_entity(format!("Scope ARN: {arn} does not exist or is not attachable."));
    world.attachable_policy(caller, arn).map(|_| arn.to_owned()).ok_or_else(refused)
}

/// The XML of a role. Lists leave out tags and boundary (API reference, `ListRoles`).
fn described(world: &World, caller: &Caller, role: &Role, whole: bool) -> Xml {
    let arn = world.accounts.get(&caller.account).map(|account| account.role_arn(role)).unwrap_or_default();
    let xml = Xml::default()
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", arn)
        .text("CreateDate", role.created.strftime("%Y-%m-%dT%H:%M:%SZ"))
        .text("AssumeRolePolicyDocument", shown_trust(world, role))
        .optional("Description", role.description.as_deref())
        .text("MaxSessionDuration", role.max_session_duration);
    if !whole {
        return xml;
    }
    let xml = match &role.policies.boundary {
        Some(arn) => xml.nest("PermissionsBoundary", &shown_boundary(arn)),
        None => xml,
    };
    if role.tags.is_empty() { xml } else { xml.list("Tags", role.tags.iter().map(tags::member)) }
}

/// A boundary as IAM describes it.
pub(super) fn shown_boundary(arn: &str) -> Xml {
    Xml::default().text("PermissionsBoundaryType", "Policy").text("PermissionsBoundaryArn", arn)
}

/// The trust policy as IAM gives it back: principals by their ARNs, URL-encoded, and rearranged if it was written over the
/// API. What a seed holds keeps its shape, which may be any that IAM was ever given.
pub(super) fn shown_trust(world: &World, role: &Role) -> String {
    let trust = world.shown_trust(&role.trust);
    if role.keeps_trust_shape { documents::encoded(&trust) } else { documents::returned(&trust) }
}

pub(super) fn get(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:GetRole", form)?;
    let role = read_role(world, caller, name)?;
    Ok(Xml::default().nest("Role", &described(world, caller, role, true)))
}

pub(super) fn list(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let prefix = form.get("PathPrefix").unwrap_or("/");
    to_list_roles(world, caller, prefix)?;
    let time = world.read_time();
    let roles = world.accounts.get(&caller.account).into_iter().flat_map(|account| account.roles.values());
    let roles = roles.filter_map(|role| role.as_of(time)).filter(|role| role.path.starts_with(prefix));
    let (roles, end) = page(roles, form, usize::MAX)?;
    let mut answer = Xml::default().list("Roles", roles.into_iter().map(|role| described(world, caller, role, false)));
    answer.append(&end);
    Ok(answer)
}

/// API reference, `DeleteRole`: inline policies must be deleted and managed ones detached before.
pub(super) fn delete(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:DeleteRole", form)?;
    let account = world.accounts.get(&caller.account);
    let role = account.and_then(|account: &Account| account.role(name)).ok_or_else(|| no_such_role(name))?;
    modifiable(role)?;
    let conflict = |text: &str| Err(ServiceError::new("DeleteConflict", text).with_status(409));
    if !role.policies.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    if !role.policies.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    world.set_role(&caller.account, name, None);
    Ok(Xml::default())
}

pub(super) fn update(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:UpdateRole", form)?;
    let description = form.get("Description");
    description.map_or(Ok(()), limits::description)?;
    let duration = form.get("MaxSessionDuration").map(limits::max_session_duration).transpose()?;
    change_role(world, caller, name, |role| {
        if let Some(description) = description {
            role.description = Some(description.to_owned());
        }
        role.max_session_duration = duration.unwrap_or(role.max_session_duration);
        Ok(())
    })?;
    Ok(Xml::default())
}

pub(super) fn update_trust(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:UpdateAssumeRolePolicy", form)?;
    let trust = trust(world, form.require("PolicyDocument")?, "policyDocument")?;
    change_role(world, caller, name, |role| {
        role.trust = trust;
        role.keeps_trust_shape = false;
        Ok(())
    })?;
    Ok(Xml::default())
}

pub(super) fn put_boundary(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:PutRolePermissionsBoundary", form)?;
    let boundary = boundary(world, caller, form.require("PermissionsBoundary")?)?;
    change_role(world, caller, name, |role| {
        role.policies.boundary = Some(boundary);
        Ok(())
    })?;
    Ok(Xml::default())
}

pub(super) fn delete_boundary(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    let name = on_role(world, caller, "iam:DeleteRolePermissionsBoundary", form)?;
    change_role(world, caller, name, |role| {
        let absent = || no_such_entity(format!("Role {name} has no permissions boundary."));
        role.policies.boundary.take().map(|_| ()).ok_or_else(absent)
    })?;
    Ok(Xml::default())
}
