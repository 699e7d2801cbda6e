//! What was read from AWS, as plain data. A resource that was not looked at is absent from its map; one that was looked
//! at and is not there is `None`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    ids::{AccountId, ActionName, Arn, PipelineName, Region, RoleId, RoleName, RolePath, StageName},
    pipeline_edit::{Json, Placed},
};

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
    /// A managed policy that is attached to a role of ours.
    AttachedPolicy {
        /// The account of the role.
        account: AccountId,
        /// The role.
        role: RoleName,
        /// The managed policy.
        policy: Arn,
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

impl Resource {
    /// The role that it is, or is on.
    #[must_use]
    pub fn role(&self) -> Option<&RoleName> {
        match self {
            Self::InvokeRole { role, .. } | Self::RolePolicy { role, .. } | Self::AttachedPolicy { role, .. } => {
                Some(role)
            }
            Self::Pipeline { .. } => None,
        }
    }

    /// The account that holds it.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        match self {
            Self::InvokeRole { account, .. }
            | Self::RolePolicy { account, .. }
            | Self::AttachedPolicy { account, .. }
            | Self::Pipeline { account, .. } => account,
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InvokeRole { account, role } => write!(f, "role {role} in account {account}"),
            Self::RolePolicy { account, role, policy } => {
                write!(f, "inline policy {policy} of role {role} in account {account}")
            }
            Self::AttachedPolicy { account, role, policy } => {
                write!(f, "managed policy {policy} on role {role} in account {account}")
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
    pub declaration: Arc<Json>,
    /// Its version.
    pub version: i64,
    /// Its service role.
    pub role: Arn,
    /// Its ARN.
    pub arn: Arn,
    /// Whether this is `UpdatePipeline`'s own answer, which no read has shown yet.
    pub unread: bool,
}

/// An action in the place of ours under another role, and what AWS shows of how it came there.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleChange {
    /// The pipeline.
    pub pipeline: Arn,
    /// The action's stage.
    pub stage: StageName,
    /// The action.
    pub action: ActionName,
    /// The action as an earlier version of the pipeline had it.
    pub earlier: Json,
    /// The tags of the role that it names now.
    pub named_now: NamedRole,
}

/// Our action, which is not in its stage any more.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenOut {
    /// The pipeline.
    pub pipeline: Arn,
    /// The action's stage.
    pub stage: StageName,
    /// The action.
    pub action: ActionName,
    /// The action as an earlier version of the pipeline had it, and what stood beside it.
    pub earlier: Placed,
}

/// A role that an action names, as far as it can be looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NamedRole {
    /// The action names none.
    None,
    /// It does not exist, as its account says.
    Missing,
    /// Whose it is cannot be told: it may not be read, its account cannot be entered, or an object that is not known may
    /// claim it.
    Hidden,
    /// Its tags.
    Tags(BTreeMap<String, String>),
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
    /// Every other policy on it.
    pub extra_policies: Vec<ExtraPolicy>,
}

/// A policy on our role that we did not write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExtraPolicy {
    /// Which one.
    pub name: ExtraPolicyName,
    /// Whether it allows anything. One that only denies, as incident response attaches it to revoke sessions, takes
    /// nothing from anybody else and is left alone. True for a role that is being removed: everything has to go then.
    pub grants: bool,
    /// Whether it denies anything, which goes with it when it is removed for what it allows.
    pub denies: bool,
}

/// How such a policy hangs on the role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ExtraPolicyName {
    /// An inline policy of this name.
    Inline(String),
    /// A managed policy.
    Attached(Arn),
}

impl std::fmt::Display for ExtraPolicyName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(name) => write!(f, "inline policy {name}"),
            Self::Attached(arn) => write!(f, "managed policy {arn}"),
        }
    }
}

/// Everything one round looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The declared function; `None` when it does not exist or was not asked for.
    pub function: Option<Function>,
    /// Pipelines of the tools account and region.
    pub pipelines: BTreeMap<PipelineName, Option<Pipeline>>,
    /// Those of them that were not found, and that no second look has confirmed to be gone.
    pub doubted: BTreeSet<PipelineName>,
    /// Roles of the dev account.
    pub roles: BTreeMap<RoleName, Option<InvokeRole>>,
    /// P2 by execution role.
    pub callback: BTreeMap<RoleId, Option<Value>>,
    /// P3 by pipeline role.
    pub assume: BTreeMap<RoleId, Option<Value>>,
    /// Actions in places of ours that name another role now.
    pub role_changes: Vec<RoleChange>,
    /// The declared action where it is missing in its stage, as it was there.
    pub taken_out: Option<TakenOut>,
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
