//! What is allowed, statement by statement.

use super::{Placeholder, Subject, Values};

/// One Allow or Deny.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// Its name in the policy.
    pub sid: &'static str,
    /// Whether it allows.
    pub effect: Effect,
    /// What is allowed or denied.
    pub actions: Vec<&'static str>,
    /// On what.
    pub resources: Resource,
    /// Under which condition.
    pub condition: Option<Condition>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, strum::IntoStaticStr)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever else allows.
    Deny,
}

impl Effect {
    /// Its name in a policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What a statement is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resource {
    /// Texts in which `${Partition}`, `${Account}`, `${RolePath}` and `${RoleName}` stand for the account's own.
    Fixed(&'static [&'static str]),
    /// Each value of a list.
    Each(List),
}

/// The condition of a statement; both are `StringEquals`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The service that a role is passed to.
    PassedToService(&'static str),
    /// The role has this boundary, or the call gives it this boundary.
    PermissionsBoundary,
}

impl Condition {
    /// The condition key.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::PassedToService(_) => "iam:PassedToService",
            Self::PermissionsBoundary => "iam:PermissionsBoundary",
        }
    }
}

/// Things that a person names, one or many.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum List {
    /// Accounts that the controller enters.
    Accounts,
    /// Pipelines that may be edited.
    Pipelines,
    /// Service roles of these pipelines.
    PipelineRoles,
    /// Roles that these pipelines hand to CloudFormation.
    CloudFormationRoles,
    /// Roles that these pipelines hand to CodeBuild.
    CodeBuildRoles,
    /// Connections that sources of these pipelines use.
    Connections,
    /// Functions that may be looked up and invoked.
    Functions,
    /// Execution roles of these functions.
    ExecutionRoles,
}

impl List {
    /// What stands in a policy while no value is given.
    #[must_use]
    pub fn placeholders(self) -> &'static [Placeholder] {
        match self {
            Self::Accounts => &[Placeholder::ToolsAccountId, Placeholder::DevAccountId],
            Self::Pipelines => &[Placeholder::PipelineName],
            Self::PipelineRoles => &[Placeholder::PipelineRoleArn],
            Self::CloudFormationRoles => &[Placeholder::CloudFormationRoleArn],
            Self::CodeBuildRoles => &[Placeholder::CodeBuildRoleArn],
            Self::Connections => &[Placeholder::ConnectionArn],
            Self::Functions => &[Placeholder::FunctionName],
            Self::ExecutionRoles => &[Placeholder::ExecutionRoleArn],
        }
    }

    /// The resource of one value, which stands where `${Value}` is.
    #[must_use]
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Accounts => "arn:${Partition}:iam::${Value}:role/crossinvoke",
            Self::Pipelines => "arn:${Partition}:codepipeline:*:${Account}:${Value}",
            Self::Functions => "arn:${Partition}:lambda:*:${Account}:function:${Value}",
            _ => "${Value}",
        }
    }

    /// Whether an account may have no such thing; its statement is then left out of templates and modules.
    #[must_use]
    pub fn is_optional(self) -> bool {
        matches!(self, Self::CloudFormationRoles | Self::CodeBuildRoles | Self::Connections)
    }
}

const READ_ROLES: &[&str] = &["arn:${Partition}:iam::${Account}:role/*"];
const INVOKE_ROLES: &[&str] = &["arn:${Partition}:iam::${Account}:role${RolePath}*"];
const MANAGED_POLICIES: &[&str] = &["arn:${Partition}:iam::${Account}:policy/*", "arn:${Partition}:iam::aws:policy/*"];

/// The role that the controller assumes. Names of roles are unique over all paths.
const ITSELF: &[&str] =
    &["arn:${Partition}:iam::${Account}:role/${RoleName}", "arn:${Partition}:iam::${Account}:role/*/${RoleName}"];

fn allow(sid: &'static str, actions: &[&'static str], resources: Resource) -> Statement {
    Statement { sid, effect: Effect::Allow, actions: actions.to_vec(), resources, condition: None }
}

/// What a person names may cover the controller's own role, and no rendering can tell that of every list.
fn never_on_itself() -> Statement {
    let actions = [
        "iam:AttachRolePolicy",
        "iam:DeleteRole",
        "iam:DeleteRolePermissionsBoundary",
        "iam:DeleteRolePolicy",
        "iam:DetachRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
        "iam:TagRole",
        "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
    ];
    Statement { effect: Effect::Deny, ..allow("NeverOnItself", &actions, Resource::Fixed(ITSELF)) }
}

fn pass(sid: &'static str, roles: List, service: &'static str) -> Statement {
    let condition = Some(Condition::PassedToService(service));
    Statement { condition, ..allow(sid, &["iam:PassRole"], Resource::Each(roles)) }
}

/// The statements of a policy. `demand_boundary`: roles are created and given rights only under the boundary;
/// `bulk_reads`: a whole account may be read with few calls.
#[must_use]
pub fn statements(subject: Subject, demand_boundary: bool, bulk_reads: bool) -> Vec<Statement> {
    let mut statements = match subject {
        Subject::Controller => {
            vec![allow("EnterTheAccounts", &["sts:AssumeRole"], Resource::Each(List::Accounts))]
        }
        Subject::Tools => tools(),
        Subject::Dev => dev(demand_boundary),
        Subject::Boundary => boundary(),
    };
    // Neither action supports a resource (Service Authorization Reference).
    let bulk: &[&str] = match subject {
        Subject::Tools => &["iam:GetAccountAuthorizationDetails"],
        Subject::Dev => &["iam:GetAccountAuthorizationDetails", "lambda:ListFunctions"],
        Subject::Controller | Subject::Boundary => &[],
    };
    if bulk_reads && !bulk.is_empty() {
        statements.push(allow("BulkReads", bulk, Resource::Fixed(&["*"])));
    }
    statements
}

/// The lists that statements are about, each once.
pub(super) fn lists(statements: &[Statement]) -> Vec<List> {
    let mut lists: Vec<List> = statements
        .iter()
        .filter_map(|statement| match statement.resources {
            Resource::Each(list) => Some(list),
            Resource::Fixed(_) => None,
        })
        .collect();
    lists.sort_unstable();
    lists.dedup();
    lists
}

/// Those of them that every account has, and that have no value yet.
pub(super) fn required(statements: &[Statement], values: &Values) -> Vec<List> {
    lists(statements).into_iter().filter(|list| !list.is_optional() && values.of(*list).is_empty()).collect()
}

fn tools() -> Vec<Statement> {
    vec![
        allow(
            "PipelineActions",
            &[
                "codepipeline:GetPipeline",
                "codepipeline:GetPipelineState",
                "codepipeline:ListPipelineExecutions",
                "codepipeline:UpdatePipeline",
            ],
            Resource::Each(List::Pipelines),
        ),
        allow(
            "AssumePolicyOnPipelineRoles",
            &["iam:DeleteRolePolicy", "iam:PutRolePolicy"],
            Resource::Each(List::PipelineRoles),
        ),
        // IAM judges a read of a role that does not exist by its name without a path. Whose a role is that an action names
        // is told by its tags.
        allow("ReadRoles", &["iam:GetRole", "iam:GetRolePolicy"], Resource::Fixed(READ_ROLES)),
        // UpdatePipeline sends the whole pipeline, so it needs what the pipeline's own parts need (Service Authorization
        // Reference, UpdatePipeline).
        pass("KeepPipelineRoles", List::PipelineRoles, "codepipeline.amazonaws.com"),
        pass("KeepCloudFormationRoles", List::CloudFormationRoles, "cloudformation.amazonaws.com"),
        pass("KeepCodeBuildRoles", List::CodeBuildRoles, "codebuild.amazonaws.com"),
        allow(
            "KeepConnections",
            &["codeconnections:PassConnection", "codestar-connections:PassConnection"],
            Resource::Each(List::Connections),
        ),
        never_on_itself(),
    ]
}

fn dev(demand_boundary: bool) -> Vec<Statement> {
    let granting = &["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"];
    let (sid, condition) = if demand_boundary {
        ("GrantToInvokeRolesUnderTheBoundary", Some(Condition::PermissionsBoundary))
    } else {
        ("GrantToInvokeRoles", None)
    };
    vec![
        allow("ReadFunctions", &["lambda:GetFunctionConfiguration"], Resource::Each(List::Functions)),
        Statement { condition, ..allow(sid, granting, Resource::Fixed(INVOKE_ROLES)) },
        allow(
            "KeepInvokeRoles",
            &[
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:TagRole",
                "iam:UntagRole",
                "iam:UpdateAssumeRolePolicy",
            ],
            Resource::Fixed(INVOKE_ROLES),
        ),
        // A role of that name may exist under another path, and one that is gone is judged without its path.
        allow(
            "ReadRoles",
            &["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"],
            Resource::Fixed(READ_ROLES),
        ),
        // Which roles may still need the callback policy. It supports no resource (Service Authorization Reference).
        allow("ListRoles", &["iam:ListRoles"], Resource::Fixed(&["*"])),
        // Whether an attached policy grants anything, and whether the boundary exists.
        allow("ReadManagedPolicies", &["iam:GetPolicy", "iam:GetPolicyVersion"], Resource::Fixed(MANAGED_POLICIES)),
        allow(
            "CallbackPolicyOnExecutionRoles",
            &["iam:DeleteRolePolicy", "iam:PutRolePolicy"],
            Resource::Each(List::ExecutionRoles),
        ),
        never_on_itself(),
    ]
}

fn boundary() -> Vec<Statement> {
    vec![
        allow("InvokeFunctions", &["lambda:InvokeFunction"], Resource::Each(List::Functions)),
        // It supports no resource (Service Authorization Reference).
        allow("ListFunctions", &["lambda:ListFunctions"], Resource::Fixed(&["*"])),
    ]
}
