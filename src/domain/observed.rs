//! What was read from AWS, as plain data. A resource that was not looked at is absent from its map; one that was looked
//! at and is not there is `None`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ids::{AccountId, Arn, PipelineName, Region, RoleName, RolePath};

/// One thing in AWS that we read and write as a whole.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Resource {
    /// A role of ours: its existence, trust policy, tags and boundary.
    InvokeRole {
        /// The dev account.
        account: AccountId,
        /// The role.
        role: RoleName,
    },
    /// One inline policy of ours, by name, on any role.
    RolePolicy {
        /// The account of the role.
        account: AccountId,
        /// The role.
        role: RoleName,
        /// The policy's name.
        policy: String,
    },
    /// A pipeline's declaration.
    Pipeline {
        /// The tools account.
        account: AccountId,
        /// The pipeline's region.
        region: Region,
        /// The pipeline.
        name: PipelineName,
    },
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InvokeRole { account, role } => write!(f, "role {role} in account {account}"),
            Self::RolePolicy { account, role, policy } => {
                write!(f, "inline policy {policy} of role {role} in account {account}")
            }
            Self::Pipeline { account, region, name } => write!(f, "pipeline {name} in account {account}, {region}"),
        }
    }
}

/// The function as Lambda describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Function {
    /// The function's ARN, unqualified.
    pub arn: Arn,
    /// Its execution role.
    pub role: Arn,
}

/// A pipeline as CodePipeline returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// The raw `pipeline` member.
    pub declaration: Value,
    /// Its version.
    pub version: i64,
    /// Its service role.
    pub role: Arn,
    /// Its ARN.
    pub arn: Arn,
}

/// A role that is, or would be, ours.
#[derive(Clone, Debug, PartialEq)]
pub struct InvokeRole {
    /// The role's ARN.
    pub arn: Arn,
    /// Its path.
    pub path: RolePath,
    /// Its trust policy.
    pub trust: Value,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its permissions boundary.
    pub boundary: Option<Arn>,
    /// P1: our inline policy on it.
    pub invoke_policy: Option<Value>,
    /// Names of its other inline policies; read for removal only.
    pub other_policies: Vec<String>,
    /// Managed policies attached to it; read for removal only.
    pub attached_policies: Vec<Arn>,
}

/// Everything one round looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The declared function; `None` when it does not exist or was not asked for.
    pub function: Option<Function>,
    /// Pipelines of the tools account and region.
    pub pipelines: BTreeMap<PipelineName, Option<Pipeline>>,
    /// Roles of the dev account.
    pub roles: BTreeMap<RoleName, Option<InvokeRole>>,
    /// P2 by the execution role's ARN.
    pub callback: BTreeMap<Arn, Option<Value>>,
    /// P3 by the pipeline role's ARN.
    pub assume: BTreeMap<Arn, Option<Value>>,
}

impl Observed {
    /// The pipeline if it was looked at and exists.
    #[must_use]
    pub fn pipeline(&self, name: &PipelineName) -> Option<&Pipeline> {
        self.pipelines.get(name)?.as_ref()
    }

    /// The role if it was looked at and exists.
    #[must_use]
    pub fn role(&self, name: &RoleName) -> Option<&InvokeRole> {
        self.roles.get(name)?.as_ref()
    }
}
