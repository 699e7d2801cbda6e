//! The SDK's client, twice: what reads cannot write, and what writes takes a permit.

use aws_sdk_iam::{
    Client,
    operation::{
        get_account_authorization_details::builders::GetAccountAuthorizationDetailsFluentBuilder,
        get_policy::builders::GetPolicyFluentBuilder, get_policy_version::builders::GetPolicyVersionFluentBuilder,
        get_role::builders::GetRoleFluentBuilder, get_role_policy::builders::GetRolePolicyFluentBuilder,
        list_attached_role_policies::builders::ListAttachedRolePoliciesFluentBuilder,
        list_role_policies::builders::ListRolePoliciesFluentBuilder, list_roles::builders::ListRolesFluentBuilder,
    },
    types::Tag,
};

use super::absent;
use crate::{
    aws::{AwsError, AwsErrorKind, Turn, call::Call, permitted::Spent},
    domain::plan::NewRole,
    engine::role::{Change, Write},
};

/// What a role is for, as people see it in the console.
const DESCRIPTION: &str = "Lets a CodePipeline in another account invoke a function; kept by crossinvoke";

/// The calls that only read.
#[derive(Clone, Debug)]
pub(super) struct Reads(Client);

/// The calls that change something: each with one attempt.
#[derive(Clone, Debug)]
pub(super) struct Writes(Client);

macro_rules! reads {
    ($($call:ident -> $builder:ty),+ $(,)?) => {
        impl Reads {
            pub(super) fn new(client: Client) -> Self {
                Self(client)
            }

            $(pub(super) fn $call(&self) -> $builder {
                self.0.$call()
            })+
        }
    };
}

reads! {
    get_account_authorization_details -> GetAccountAuthorizationDetailsFluentBuilder,
    get_policy -> GetPolicyFluentBuilder,
    get_policy_version -> GetPolicyVersionFluentBuilder,
    get_role -> GetRoleFluentBuilder,
    get_role_policy -> GetRolePolicyFluentBuilder,
    list_attached_role_policies -> ListAttachedRolePoliciesFluentBuilder,
    list_role_policies -> ListRolePoliciesFluentBuilder,
    list_roles -> ListRolesFluentBuilder,
}

impl Writes {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Sends what was permitted. What is gone already is deleted.
    pub(super) async fn send(&self, call: &Call, turn: &Turn, write: Spent<Write>) -> Result<(), AwsError> {
        let Write { role, change } = write.into_inner();
        let (iam, role) = (&self.0, role.name.as_str());
        match change {
            Change::Create(new) => self.create(call, turn, role, new).await,
            Change::SetTrust(trust) => {
                let request = iam.update_assume_role_policy().role_name(role).policy_document(trust.to_string());
                call.send_in(turn, request.send()).await.map(drop)
            }
            Change::SetTags(set) => {
                let request = iam.tag_role().role_name(role).set_tags(Some(tags(call, set)?));
                call.send_in(turn, request.send()).await.map(drop)
            }
            Change::RemoveTags(keys) => {
                let request = iam.untag_role().role_name(role).set_tag_keys(Some(keys));
                call.send_in(turn, request.send()).await.map(drop)
            }
            Change::SetBoundary(boundary) => {
                let request = iam.put_role_permissions_boundary().role_name(role);
                let request = request.permissions_boundary(boundary.as_str());
                call.send_in(turn, request.send()).await.map(drop)
            }
            Change::PutPolicy(policy, document) => {
                let request = iam.put_role_policy().role_name(role).policy_name(policy);
                call.send_in(turn, request.policy_document(document.to_string()).send()).await.map(drop)
            }
            Change::DeletePolicy(policy) => {
                let request = iam.delete_role_policy().role_name(role).policy_name(policy);
                absent(call.send_in(turn, request.send()).await).map(drop)
            }
            Change::Detach(policy) => {
                let request = iam.detach_role_policy().role_name(role).policy_arn(policy.as_str());
                absent(call.send_in(turn, request.send()).await).map(drop)
            }
            Change::Delete => absent(call.send_in(turn, iam.delete_role().role_name(role).send()).await).map(drop),
        }
    }

    async fn create(&self, call: &Call, turn: &Turn, role: &str, new: NewRole) -> Result<(), AwsError> {
        let request = self
            .0
            .create_role()
            .role_name(role)
            .path(new.path.as_str())
            .assume_role_policy_document(new.trust.to_string())
            .set_tags(Some(tags(call, new.tags)?))
            .set_permissions_boundary(new.boundary.as_ref().map(ToString::to_string))
            .description(DESCRIPTION);
        call.send_in(turn, request.send()).await.map(drop)
    }
}

/// The operation that makes a change.
pub(super) fn operation(change: &Change) -> &'static str {
    match change {
        Change::Create(_) => "CreateRole",
        Change::SetTrust(_) => "UpdateAssumeRolePolicy",
        Change::SetTags(_) => "TagRole",
        Change::RemoveTags(_) => "UntagRole",
        Change::SetBoundary(_) => "PutRolePermissionsBoundary",
        Change::PutPolicy(..) => "PutRolePolicy",
        Change::DeletePolicy(_) => "DeleteRolePolicy",
        Change::Detach(_) => "DetachRolePolicy",
        Change::Delete => "DeleteRole",
    }
}

fn tags(call: &Call, tags: impl IntoIterator<Item = (String, String)>) -> Result<Vec<Tag>, AwsError> {
    tags.into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| call.failed(AwsErrorKind::Other, format!("a tag cannot be sent: {error}")))
}
