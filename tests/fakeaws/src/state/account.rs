//! What one AWS account holds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::versioned::Versioned;
use crate::{codepipeline::Pipelines, lambda::Behaviour};

/// One account: global IAM, and regional functions and pipelines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Twelve digits.
    pub(crate) id: String,
    /// `aws`, `aws-cn`, `aws-us-gov`, `aws-eusc`, `aws-iso`, `aws-iso-b` or a later one.
    pub(crate) partition: String,
    /// The organization that it is in, such as `o-exampleorgid`.
    pub(crate) organization: Option<String>,
    /// Every service control policy that applies here, by ARN or name; none outside an organization.
    pub(crate) service_control_policies: BTreeMap<String, Value>,
    /// Every resource control policy that applies here, by ARN or name.
    pub(crate) resource_control_policies: BTreeMap<String, Value>,
    /// Roles by lower-case name: names are unique without regard to case, and over all paths (IAM User Guide, quotas).
    pub(crate) roles: BTreeMap<String, Versioned<Role>>,
    /// Users by name. There is no API for them: they come from the seed.
    pub(crate) users: BTreeMap<String, User>,
    /// Functions by region and name.
    pub(crate) functions: BTreeMap<String, BTreeMap<String, Function>>,
    /// The `CodePipeline` state of the account, over all regions.
    pub(crate) pipelines: Pipelines,
}

/// An IAM role. Documents are kept as given; the reordering happens when they are read over the wire.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Role {
    pub(crate) name: String,
    /// Begins and ends with a slash.
    pub(crate) path: String,
    /// `AROA…`; a recreated role has another one.
    pub(crate) id: String,
    pub(crate) created: Timestamp,
    pub(crate) description: Option<String>,
    /// Seconds, 3600..=43200.
    pub(crate) max_session_duration: u32,
    /// The trust policy with role and user principals replaced by their unique ids; [`super::World::shown_trust`]
    /// turns them back into ARNs where the role still lives.
    pub(crate) trust: Value,
    /// The trust policy came from a seed or an admin command, and is shown in the shape that it has there.
    pub(crate) keeps_trust_shape: bool,
    /// Only AWS may change it, wherever its path is; see [`Role::is_protected`].
    pub(crate) only_aws_modifies: bool,
    pub(crate) policies: Policies,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Role {
    /// Whether IAM refuses to change the role: service-linked roles (IAM User Guide, "Create a service-linked role"), the
    /// roles of IAM Identity Center (rebuy-de/aws-nuke #1028 shows their path and the refusal), and what a seed says.
    pub(crate) fn is_protected(&self) -> bool {
        self.only_aws_modifies || PROTECTED_PATHS.iter().any(|path| self.path.starts_with(path))
    }

    /// Whether it is linked to a service.
    pub(crate) fn is_service_linked(&self) -> bool {
        self.path.starts_with("/aws-service-role/")
    }
}

/// Paths under which AWS alone keeps roles.
pub(crate) const PROTECTED_PATHS: [&str; 2] = ["/aws-service-role/", "/aws-reserved/"];

/// The identity policies of a role or user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Policies {
    /// Inline policies by name.
    pub(crate) inline: BTreeMap<String, Value>,
    /// ARNs of managed policies.
    pub(crate) attached: Vec<String>,
    /// ARN of the managed policy that is the permissions boundary.
    pub(crate) boundary: Option<String>,
}

/// An IAM user: a name that a long-lived access key can belong to.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) path: String,
    /// `AIDA…`.
    pub(crate) id: String,
    pub(crate) policies: Policies,
}

/// A Lambda function: its configuration as far as it is looked up, and what it does.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Function {
    /// ARN of the execution role.
    pub(crate) role: String,
    #[serde(default = "python")]
    pub(crate) runtime: String,
    #[serde(default = "handler")]
    pub(crate) handler: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    /// Seconds.
    #[serde(default = "three_seconds")]
    pub(crate) timeout: u64,
    /// `Active`, `Inactive`, `Pending` or `Failed`.
    #[serde(default = "active", skip_serializing_if = "is_active")]
    pub(crate) state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state_reason: Option<String>,
    /// `Idle`, `Creating`, `SubnetOutOfIPAddresses`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state_reason_code: Option<String>,
    /// `Successful`, `InProgress` or `Failed`.
    #[serde(default = "successful", skip_serializing_if = "is_successful")]
    pub(crate) last_update_status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_update_status_reason: Option<String>,
    /// `{SubnetIds, SecurityGroupIds, VpcId}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_config: Option<Value>,
    /// When it will be active again, after it was woken by an invocation.
    #[serde(skip)]
    pub(crate) awake_at: Option<Timestamp>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) environment: BTreeMap<String, String>,
    /// Unique id of the role that Lambda's grant on the key of the environment is for.
    #[serde(skip)]
    pub(crate) grantee: Option<String>,
    /// Names of aliases.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) aliases: BTreeSet<String>,
    /// What it does when it is invoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) behaviour: Option<Behaviour>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
}

fn active() -> String {
    "Active".to_owned()
}

fn is_active(state: &String) -> bool {
    *state == active()
}

fn successful() -> String {
    "Successful".to_owned()
}

fn is_successful(status: &String) -> bool {
    *status == successful()
}

fn python() -> String {
    "python3.13".to_owned()
}

fn handler() -> String {
    "index.handler".to_owned()
}

fn three_seconds() -> u64 {
    3
}

impl Account {
    /// The ARN of this account's root principal.
    pub(crate) fn root_arn(&self) -> String {
        format!("arn:{}:iam::{}:root", self.partition, self.id)
    }

    /// The role of this name as it is now.
    pub(crate) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(&name.to_ascii_lowercase()).and_then(Versioned::current)
    }

    /// The role of this name as it was at `time`.
    pub(crate) fn role_as_of(&self, name: &str, time: Timestamp) -> Option<&Role> {
        self.roles.get(&name.to_ascii_lowercase()).and_then(|role| role.as_of(time))
    }

    /// The ARN of a role of this account, with its path.
    pub(crate) fn role_arn(&self, role: &Role) -> String {
        format!("arn:{}:iam::{}:role{}{}", self.partition, self.id, role.path, role.name)
    }

    /// The ARN of a user of this account, with its path.
    pub(crate) fn user_arn(&self, user: &User) -> String {
        format!("arn:{}:iam::{}:user{}{}", self.partition, self.id, user.path, user.name)
    }
}
