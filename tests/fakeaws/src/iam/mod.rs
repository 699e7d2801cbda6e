//! IAM: roles, their trust, policies, tags and boundary.

mod access;
mod account_details;
pub(crate) mod documents;
pub(crate) mod limits;
mod policies;
mod roles;
pub(crate) mod tags;

use crate::{
    error::ServiceError,
    state::{Caller, Role, World},
    wire::query::{Form, Xml, validation},
};

/// Answers one call. Authorisation comes before everything that would tell whether the role exists.
pub(crate) fn handle(world: &mut World, caller: &Caller, operation: &str, form: &Form) -> Result<Xml, ServiceError> {
    let handler = match operation {
        "CreateRole" => roles::create,
        "GetRole" => roles::get,
        "ListRoles" => roles::list,
        "GetAccountAuthorizationDetails" => account_details::get,
        "DeleteRole" => roles::delete,
        "UpdateRole" => roles::update,
        "UpdateAssumeRolePolicy" => roles::update_trust,
        "PutRolePermissionsBoundary" => roles::put_boundary,
        "DeleteRolePermissionsBoundary" => roles::delete_boundary,
        "TagRole" => tags::tag,
        "UntagRole" => tags::untag,
        "ListRoleTags" => tags::list,
        "PutRolePolicy" => policies::put_inline,
        "GetRolePolicy" => policies::get_inline,
        "ListRolePolicies" => policies::list_inline,
        "DeleteRolePolicy" => policies::delete_inline,
        "AttachRolePolicy" => policies::attach,
        "DetachRolePolicy" => policies::detach,
        "ListAttachedRolePolicies" => policies::list_attached,
        "GetPolicy" => policies::get_managed,
        "GetPolicyVersion" => policies::get_managed_version,
        other => {
            let text = format!("Could not find operation {other} for version 2010-05-08");
            return Err(ServiceError::new("InvalidAction", text));
        }
    };
    handler(world, caller, form)
}

fn no_such_role(name: &str) -> ServiceError {
    no_such_entity(format!("The role with name {name} cannot be found."))
}

fn no_such_entity(message: impl Into<String>) -> ServiceError {
    ServiceError::new("NoSuchEntity", message).with_status(404)
}

/// The role as reads show it now, which may be a moment ago.
fn read_role<'w>(world: &'w World, caller: &Caller, name: &str) -> Result<&'w Role, ServiceError> {
    let account = world.accounts.get(&caller.account);
    account.and_then(|account| account.role_as_of(name, world.read_time())).ok_or_else(|| no_such_role(name))
}

/// IAM's refusal to change a role that only AWS changes (IAM API reference, `UnmodifiableEntity`).
fn modifiable(role: &Role) -> Result<(), ServiceError> {
    if !role.is_protected() {
        return Ok(());
    }
    let name = &role.name;
    let text =
        format!("Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS");
    Err(ServiceError::new("UnmodifiableEntity", text))
}

/// Changes a role as it really is now. Nothing is written if the change is refused or changes nothing.
fn change_role(
    world: &mut World,
    caller: &Caller,
    name: &str,
    change: impl FnOnce(&mut Role) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    modifiable(present(world, caller, name)?)?;
    replace_role(world, caller, name, change)
}

/// Changes the tags of a role, which a service-linked role has as well (IAM API reference, `TagRole`). What the other roles
/// that only AWS changes answer is not established, so they refuse.
fn change_tags(
    world: &mut World,
    caller: &Caller,
    name: &str,
    change: impl FnOnce(&mut Role) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    let before = present(world, caller, name)?;
    if !before.is_service_linked() {
        modifiable(before)?;
    }
    replace_role(world, caller, name, change)
}

/// The role as it really is now.
fn present<'w>(world: &'w World, caller: &Caller, name: &str) -> Result<&'w Role, ServiceError> {
    let account = world.accounts.get(&caller.account);
    account.and_then(|account| account.role(name)).ok_or_else(|| no_such_role(name))
}

fn replace_role(
    world: &mut World,
    caller: &Caller,
    name: &str,
    change: impl FnOnce(&mut Role) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    let before = present(world, caller, name)?;
    let mut after = before.clone();
    change(&mut after)?;
    if after != *before {
        world.set_role(&caller.account, name, Some(after));
    }
    Ok(())
}

/// One page of a list, after `Marker` and `MaxItems` (1–1000, 100 if absent), with `most` items, however many were asked for:
/// IAM may return fewer (API reference, the lists).
fn page<T>(items: impl Iterator<Item = T>, form: &Form, most: usize) -> Result<(Vec<T>, Xml), ServiceError> {
    let number = |name: &str, default: usize| form.get(name).map_or(Ok(default), str::parse);
    let start = number("Marker", 0).map_err(|_| ServiceError::new("InvalidInput", "Invalid Marker."))?;
    let size = number("MaxItems", 100).ok().filter(|size| (1..=1000).contains(size)).ok_or_else(|| {
        validation("maxItems", "Member must have value greater than or equal to 1 and less than or equal to 1000")
    })?;
    let size = size.min(most);
    let mut items: Vec<T> = items.skip(start).take(size + 1).collect();
    let more = items.len() > size;
    items.truncate(size);
    let end = Xml::default().text("IsTruncated", more).optional("Marker", more.then_some(start + size));
    Ok((items, end))
}
