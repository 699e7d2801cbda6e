//! The rights that the controller's identities need in AWS: data, with one rendering for each way to create them.
//!
//! `statements` holds what is allowed, `values` what a person fills in; `policy`, `cloudformation` and `terraform` render
//! the same statements. The files in `deploy/iam` are renderings without values.

mod cloudformation;
mod policy;
mod statements;
mod terraform;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;

pub use self::{
    cloudformation::{Template, cloudformation},
    policy::{Rendered, policy},
    statements::{Condition, Effect, List, Resource, Statement, statements},
    terraform::{Module, terraform},
    values::{Boundary, Given, Unusable, Values},
};

/// The role that the controller assumes in an account, unless a template is told otherwise.
const ROLE_NAME: &str = "crossinvoke";

/// Whose rights.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The controller's own identity, in the account of its cluster.
    Controller,
    /// The role that the controller assumes in an account that has pipelines.
    Tools,
    /// The role that the controller assumes in an account that has functions.
    Dev,
    /// The permissions boundary of the roles that the controller creates in a dev account.
    Boundary,
}

impl Subject {
    /// Its name on the command line and in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Tools => "tools",
            Self::Dev => "dev",
            Self::Boundary => "boundary",
        }
    }

    /// Whether it is a role that the controller assumes.
    fn is_entered(self) -> bool {
        matches!(self, Self::Tools | Self::Dev)
    }

    /// The placeholder of the account's id.
    fn account_placeholder(self) -> Placeholder {
        match self {
            Self::Controller | Self::Tools => Placeholder::ToolsAccountId,
            Self::Dev | Self::Boundary => Placeholder::DevAccountId,
        }
    }
}

/// What stands in a policy for a value that was not given, as `${Name}`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, strum::IntoStaticStr)]
pub enum Placeholder {
    /// Such as `aws`.
    Partition,
    /// The account that has pipelines.
    ToolsAccountId,
    /// The account that has functions.
    DevAccountId,
    /// A pipeline's name.
    PipelineName,
    /// A pipeline's service role.
    PipelineRoleArn,
    /// A connection that a pipeline's source uses.
    ConnectionArn,
    /// A role that a pipeline hands to CloudFormation.
    CloudFormationRoleArn,
    /// A role that a pipeline hands to CodeBuild.
    CodeBuildRoleArn,
    /// A function's name.
    FunctionName,
    /// A function's execution role.
    ExecutionRoleArn,
    /// The path of the roles that the controller creates.
    RolePath,
    /// The permissions boundary of these roles.
    BoundaryArn,
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: &'static str = self.into();
        write!(f, "${{{name}}}")
    }
}
