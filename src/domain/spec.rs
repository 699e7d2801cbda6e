//! A `CrossAccountInvoke` after validation: every value typed, every default filled in.

use std::{collections::BTreeMap, time::Duration};

use super::{
    ids::{AccountId, ActionName, Arn, FunctionName, ObjectKey, PipelineName, Region, RoleName, RolePath, StageName},
    pipeline_edit::Position,
};

/// Who the invoke role trusts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trust {
    /// The tools account's root principal, narrowed to the pipeline's service role by `aws:PrincipalArn`; it survives a
    /// recreated pipeline role, where a role principal would turn into a dead unique id.
    PipelineRole,
    /// Every principal of the tools account that may `sts:AssumeRole`, as in AWS's walkthrough. Needs a grant.
    AccountRoot,
}

/// An account and the region that matters in it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Location {
    /// The account.
    pub account: AccountId,
    /// The region of the pipeline or of the function.
    pub region: Region,
}

/// What the object declares.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Declared {
    /// The object.
    pub key: ObjectKey,
    /// Where the pipeline is.
    pub tools: Location,
    /// Where the function is.
    pub dev: Location,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage that holds the action.
    pub stage: StageName,
    /// Where the stage goes when it is missing.
    pub position: Option<Position>,
    /// The action.
    pub action: ActionName,
    /// 1–999; `None` where the object leaves it open.
    pub run_order: Option<u16>,
    /// At most 1000 characters; `None` when empty.
    pub user_parameters: Option<String>,
    /// Namespace of the output variables.
    pub variables_namespace: Option<String>,
    /// The function.
    pub function: FunctionName,
    /// What Lambda must say the execution role is, when the object names one.
    pub execution_role: Option<Arn>,
    /// The invoke role's name: given or derived.
    pub role_name: RoleName,
    /// Whether the object gave the name, which needs a grant.
    pub role_is_named: bool,
    /// Tags beside the ownership tags.
    pub tags: BTreeMap<String, String>,
    /// Who is trusted.
    pub trust: Trust,
    /// How often AWS is compared with the declaration.
    pub interval: Duration,
}

/// How the controller enters one account, from the one `AwsAccount` that names it.
#[derive(Clone, Eq, PartialEq)]
pub struct Access {
    /// The account.
    pub account: AccountId,
    /// The `AwsAccount`'s name.
    pub object: String,
    /// The role to assume; `None` for the controller's own identity.
    pub role: Option<Arn>,
    /// The external id that goes with it.
    pub external_id: Option<String>,
}

impl std::fmt::Debug for Access {
    // The external id is half a credential and stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("account", &self.account).field("object", &self.object).finish_non_exhaustive()
    }
}

/// What the two `AwsAccount`s allow and impose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Granted {
    /// The way into the tools account.
    pub tools: Access,
    /// The way into the dev account.
    pub dev: Access,
    /// The path of every role made there.
    pub role_path: RolePath,
    /// The boundary of every role made there.
    pub boundary: Option<Arn>,
    /// Tag keys that objects may set; such a key that is no longer declared is removed from the role.
    pub allowed_tag_keys: Vec<String>,
    /// Tags of every role made there.
    pub imposed_tags: BTreeMap<String, String>,
    /// Names and ARNs of policies that may be on a role besides ours; * stands for any characters.
    pub tolerated_policies: Vec<String>,
    /// Whether both accounts grant the object today what it asks for. Removal goes on without.
    pub today: bool,
    /// Which account is being deleted, in words: what is in place is kept so, and nothing new is made.
    pub closing: Option<String>,
}
