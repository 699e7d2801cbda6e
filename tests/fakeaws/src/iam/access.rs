//! What each call of IAM is judged on: the resource, the name that a denial gives it, and the condition keys.
//!
//! Which call brings which key: Service Authorization Reference, "Actions, resources, and condition keys for AWS Identity
//! and Access Management". A key that is not listed for a call is not in its context: a statement that demands a
//! permissions boundary allows neither TagRole nor GetRolePolicy.

use super::limits;
use crate::{
    authorization::Context,
    error::ServiceError,
    state::{Caller, Role, World, authorize::Right},
    wire::query::Form,
};

/// Calls that bring the boundary that the role has, as `iam:PermissionsBoundary`. CreateRole and
/// PutRolePermissionsBoundary bring the one of the request.
const BRING_THE_BOUNDARY: [&str; 9] = [
    "iam:GetRole",
    "iam:DeleteRole",
    "iam:UpdateRole",
    "iam:UpdateAssumeRolePolicy",
    "iam:DeleteRolePermissionsBoundary",
    "iam:PutRolePolicy",
    "iam:DeleteRolePolicy",
    "iam:AttachRolePolicy",
    "iam:DetachRolePolicy",
];

/// Calls whose denials name the role by its ARN; the others name it as "role NAME". Seen in reports of denied calls:
/// ARNs for CreateRole, TagRole (also as part of CreateRole) and PutRolePermissionsBoundary, names for GetRole,
/// DeleteRole, UpdateRole, UpdateAssumeRolePolicy, ListRoleTags and the calls on inline and attached policies. UntagRole
/// and DeleteRolePermissionsBoundary are inferred from their counterparts.
const NAME_THE_ARN: [&str; 4] =
    ["iam:TagRole", "iam:UntagRole", "iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary"];

/// Authorises `iam:<operation>` on the role that the form names, and returns the name.
pub(super) fn on_role<'f>(
    world: &mut World,
    caller: &Caller,
    action: &str,
    form: &'f Form,
) -> Result<&'f str, ServiceError> {
    let name = form.require("RoleName")?;
    limits::name("roleName", name, 64)?;
    let found = judged_role(world, caller, name);
    let context = role_context(action, found.as_ref().map(|(_, role)| role), form);
    // A call on a role that does not exist is judged without a path, since IAM cannot know one.
    let arn = found.map(|(arn, _)| arn);
    let arn = arn.unwrap_or_else(|| format!("arn:{}:iam::{}:role/{name}", caller.partition, caller.account));
    let shown = if NAME_THE_ARN.contains(&action) { arn.clone() } else { format!("role {name}") };
    world.authorize_right(caller, Right { action, resource: &arn, shown: &shown, context })?;
    Ok(name)
}

/// The role that a call is judged on, with its ARN, if it exists or if reads still show it. Otherwise a lagging read
/// would be denied to a caller whose rights end at a path, and not answered.
fn judged_role(world: &World, caller: &Caller, name: &str) -> Option<(String, Role)> {
    let account = world.accounts.get(&caller.account)?;
    let role = account.role(name).or_else(|| account.role_as_of(name, world.read_time()))?;
    Some((account.role_arn(role), role.clone()))
}

fn role_context(action: &str, role: Option<&Role>, form: &Form) -> Context {
    let mut context = Context::default();
    match action {
        "iam:TagRole" => context.set_request_tags(&form.pairs("Tags")),
        "iam:UntagRole" => context.set_tag_keys(form.members("TagKeys")),
        _ => context.set_request_tags(&[]),
    }
    context.set_resource_tags(&role.map(|role| role.tags.clone()).unwrap_or_default());
    let present = role.and_then(|role| role.policies.boundary.as_deref());
    let boundary = match action {
        "iam:PutRolePermissionsBoundary" => form.get("PermissionsBoundary"),
        _ => present.filter(|_| BRING_THE_BOUNDARY.contains(&action)),
    };
    if let Some(boundary) = boundary {
        context.set("iam:PermissionsBoundary", boundary);
    }
    let policy = form.get("PolicyArn").filter(|_| matches!(action, "iam:AttachRolePolicy" | "iam:DetachRolePolicy"));
    if let Some(policy) = policy {
        context.set("iam:PolicyARN", policy);
    }
    context
}

/// Authorises CreateRole. A role that is made with tags needs `iam:TagRole` as well (IAM User Guide, "Tag IAM roles").
pub(super) fn to_create(world: &mut World, caller: &Caller, arn: &str, form: &Form) -> Result<(), ServiceError> {
    let pairs = form.pairs("Tags");
    let mut context = Context::default();
    context.set_request_tags(&pairs);
    context.set_resource_tags(&std::collections::BTreeMap::new());
    let to_tag = Some(context.clone()).filter(|_| !pairs.is_empty());
    if let Some(boundary) = form.get("PermissionsBoundary") {
        context.set("iam:PermissionsBoundary", boundary);
    }
    world.authorize_right(caller, Right { action: "iam:CreateRole", resource: arn, shown: arn, context })?;
    match to_tag {
        Some(context) => {
            world.authorize_right(caller, Right { action: "iam:TagRole", resource: arn, shown: arn, context })
        }
        None => Ok(()),
    }
}

/// Authorises ListRoles, which has no resource in policies, while its denials name the path prefix that was asked for.
pub(super) fn to_list_roles(world: &mut World, caller: &Caller, prefix: &str) -> Result<(), ServiceError> {
    let shown = format!("arn:{}:iam::{}:role{prefix}", caller.partition, caller.account);
    let mut context = Context::default();
    context.set_request_tags(&[]);
    world.authorize_right(caller, Right { action: "iam:ListRoles", resource: "*", shown: &shown, context })
}

/// Authorises GetAccountAuthorizationDetails, which has no resource in policies.
pub(super) fn to_read_the_account(world: &mut World, caller: &Caller) -> Result<(), ServiceError> {
    let mut context = Context::default();
    context.set_request_tags(&[]);
    let action = "iam:GetAccountAuthorizationDetails";
    world.authorize_right(caller, Right { action, resource: "*", shown: "*", context })
}

/// Authorises a read of a managed policy, which denials name as "policy ARN".
pub(super) fn on_policy(world: &mut World, caller: &Caller, action: &str, arn: &str) -> Result<(), ServiceError> {
    let mut context = Context::default();
    context.set_request_tags(&[]);
    world.authorize_right(caller, Right { action, resource: arn, shown: &format!("policy {arn}"), context })
}
