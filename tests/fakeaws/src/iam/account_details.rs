//! `GetAccountAuthorizationDetails`, as far as it tells of roles.

use super::{access::to_read_the_account, documents, page, roles, tags};
use crate::{
    error::ServiceError,
    state::{Caller, Role, World},
    wire::query::{Form, Xml, validation},
};

/// The types of entity that `Filter` takes (service model, `EntityType`).
const ENTITIES: [&str; 5] = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];

/// Every role of the account with all that hangs on it, a page at a time.
///
/// The members are those of `RoleDetail` in the service model, which has neither description nor session duration. Lists
/// are there when they are empty too (getmoto/moto #5803 shows AWS's answer for users). For the boundary see
/// [`crate::BulkAnswers`].
pub(super) fn get(world: &mut World, caller: &Caller, form: &Form) -> Result<Xml, ServiceError> {
    to_read_the_account(world, caller)?;
    let filter = form.members("Filter");
    if filter.iter().any(|entity| !ENTITIES.contains(entity)) {
        let rule = format!("Member must satisfy enum value set: [{}]", ENTITIES.join(", "));
        return Err(validation("filter", &rule));
    }
    if filter != ["Role"] {
        return Err(ServiceError::unsupported("GetAccountAuthorizationDetails of anything but roles"));
    }
    let time = world.bulk_read_time();
    let bulk = &world.knobs.bulk_answers;
    let roles = world.accounts.get(&caller.account).into_iter().flat_map(|account| account.roles.values());
    let roles = roles.filter_map(|role| role.as_of(time)).filter(|role| !bulk.lacking.contains(&role.name));
    let (roles, end) = page(roles, form, bulk.page.unwrap_or(usize::MAX))?;
    let mut answer = Xml::default().list("RoleDetailList", roles.into_iter().map(|role| detailed(world, caller, role)));
    answer.append(&end);
    Ok(answer)
}

fn detailed(world: &World, caller: &Caller, role: &Role) -> Xml {
    let arn = world.accounts.get(&caller.account).map(|account| account.role_arn(role)).unwrap_or_default();
    let inline = role.policies.inline.iter().map(|(name, document)| {
        Xml::default().text("PolicyName", name).text("PolicyDocument", documents::returned(document))
    });
    let attached = role.policies.attached.iter().map(|arn| {
        Xml::default().text("PolicyName", arn.rsplit('/').next().unwrap_or_default()).text("PolicyArn", arn)
    });
    let xml = Xml::default()
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", arn)
        .text("CreateDate", role.created.strftime("%Y-%m-%dT%H:%M:%SZ"))
        .text("AssumeRolePolicyDocument", roles::shown_trust(world, role))
        .list("InstanceProfileList", [])
        .list("RolePolicyList", inline)
        .list("AttachedManagedPolicies", attached)
        .list("Tags", role.tags.iter().map(tags::member))
        .nest("RoleLastUsed", &Xml::default());
    let shown = role.policies.boundary.as_ref().filter(|_| world.knobs.bulk_answers.with_boundaries);
    match shown {
        Some(arn) => xml.nest("PermissionsBoundary", &roles::shown_boundary(arn)),
        None => xml,
    }
}
