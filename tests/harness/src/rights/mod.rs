//! The rights that deploy/iam ships, read the way AWS and Terraform would: each of the three renderings for the accounts
//! of a scenario.

mod cloudformation;
mod placeholders;
mod terraform;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use self::cloudformation::Stack;
use crate::{
    accounts::{Accounts, CONTROLLER_IDENTITY, CONTROLLER_ROLE},
    error::{Context as _, Result},
    tools::repository,
};

/// The boundary of the roles that the controller makes, as the template names it.
pub const BOUNDARY: &str = "crossinvoke-boundary";

/// What the names of pipelines begin with that the shipped rights cover here.
const PIPELINES: &str = "payments-*";
/// The functions that the shipped rights cover here.
const FUNCTIONS: &str = "MyFunction*";

/// One way in which the rights are shipped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rendering {
    /// A policy with placeholders.
    Policy,
    /// A CloudFormation template.
    CloudFormation,
    /// A Terraform module.
    Terraform,
}

impl Rendering {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Policy, Self::CloudFormation, Self::Terraform];
}

impl Accounts {
    /// The name of the shipped policy that the controller's role in the dev account has.
    #[must_use]
    pub fn dev_rights(&self) -> &'static str {
        match (self.bounded, self.bulk_reads) {
            (false, _) => "dev-without-boundary",
            (true, false) => "dev",
            (true, true) => "dev-bulk-reads",
        }
    }

    /// The same in the tools account.
    #[must_use]
    pub fn tools_rights(&self) -> &'static str {
        if self.bulk_reads { "tools-bulk-reads" } else { "tools" }
    }

    /// The ARN of the boundary that the dev account demands.
    #[must_use]
    pub fn boundary_arn(&self) -> String {
        self.iam_arn(&self.dev, &format!("policy/{BOUNDARY}"))
    }

    /// One of the shipped policies, by the name of its file, in one rendering, with the values of these accounts.
    ///
    /// # Errors
    /// If a file cannot be read, or asks for something that is not known here.
    pub fn rights(&self, name: &str, rendering: Rendering) -> Result<Value> {
        match rendering {
            Rendering::Policy => {
                let text = read(&format!("{name}.json"))?;
                let policy = serde_json::from_str(&text).context(name)?;
                placeholders::fill(&policy, &|placeholder| self.values_of(placeholder)).context(name)
            }
            Rendering::CloudFormation => self.stack(name)?.policy().context(name),
            Rendering::Terraform => {
                let text = read(&format!("terraform/{name}/main.tf"))?;
                let variables = read(&format!("terraform/{name}/variables.tf"))?;
                terraform::policy(self, &text, &variables, &self.terraform_variables(name)).context(name)
            }
        }
    }

    /// What a stack of a shipped template makes in its account.
    ///
    /// # Errors
    /// If the template cannot be read, or asks for something that is not known here.
    pub fn stack(&self, name: &str) -> Result<Stack> {
        let template = serde_saphyr::from_str(&read(&format!("cloudformation/{name}.yaml"))?).context(name)?;
        let account = match name {
            "controller" => &self.platform,
            "tools" | "tools-bulk-reads" => &self.tools,
            _ => &self.dev,
        };
        Stack::of(&template, &self.parameters(name), (&self.partition, account)).context(name)
    }

    /// The values of a placeholder.
    fn values_of(&self, placeholder: &str) -> Option<Vec<String>> {
        Some(match placeholder {
            "Partition" => vec![self.partition.clone()],
            "ToolsAccountId" => vec![self.tools.clone()],
            "DevAccountId" => vec![self.dev.clone()],
            "PipelineName" => vec![PIPELINES.to_owned()],
            "FunctionName" => vec![FUNCTIONS.to_owned()],
            "RolePath" => vec!["/crossinvoke/".to_owned()],
            "BoundaryArn" => vec![self.boundary_arn()],
            "ConnectionArn" => self.connection_arns().to_vec(),
            // As a user would narrow them who keeps such roles under one path.
            "PipelineRoleArn" | "CodeBuildRoleArn" => vec![self.iam_arn(&self.tools, "role/service-role/*")],
            "CloudFormationRoleArn" => vec![self.iam_arn(&self.tools, "role/payments-cloudformation")],
            "ExecutionRoleArn" => vec![self.iam_arn(&self.dev, "role/service-role/*")],
            _ => return None,
        })
    }

    /// The connections of the tools account, under both names of the service.
    fn connection_arns(&self) -> [String; 2] {
        ["codeconnections", "codestar-connections"]
            .map(|service| format!("arn:{}:{service}:*:{}:connection/*", self.partition, self.tools))
    }

    fn parameters(&self, name: &str) -> BTreeMap<&'static str, String> {
        let of = |placeholder: &str| self.values_of(placeholder).unwrap_or_default().join(",");
        let entered = [("ControllerArn", self.iam_arn(&self.platform, &format!("role/{CONTROLLER_IDENTITY}")))];
        let functions = format!("arn:{}:lambda:*:{}:function:{FUNCTIONS}", self.partition, self.dev);
        let mut parameters = match name {
            "controller" => {
                let roles = [&self.tools, &self.dev].map(|account| self.controller_role_arn(account));
                return BTreeMap::from([
                    ("AccountRoleArns", roles.join(",")),
                    ("RoleNames", CONTROLLER_IDENTITY.to_owned()),
                ]);
            }
            "boundary" => return BTreeMap::from([("FunctionArns", functions)]),
            "tools" | "tools-bulk-reads" => BTreeMap::from([
                ("PipelineArns", format!("arn:{}:codepipeline:*:{}:{PIPELINES}", self.partition, self.tools)),
                ("PipelineRoleArns", of("PipelineRoleArn")),
                ("CloudFormationRoleArns", of("CloudFormationRoleArn")),
                ("CodeBuildRoleArns", of("CodeBuildRoleArn")),
                ("ConnectionArns", of("ConnectionArn")),
            ]),
            _ => BTreeMap::from([
                ("FunctionArns", functions),
                ("ExecutionRoleArns", of("ExecutionRoleArn")),
                ("ExternalId", self.external_id.clone()),
            ]),
        };
        parameters.extend(entered);
        parameters
    }

    fn terraform_variables(&self, name: &str) -> BTreeMap<&'static str, Value> {
        let of = |placeholder: &str| json!(self.values_of(placeholder).unwrap_or_default());
        let entered = || json!(self.iam_arn(&self.platform, &format!("role/{CONTROLLER_IDENTITY}")));
        match name {
            "controller" => BTreeMap::from([("account_ids", json!([self.tools, self.dev]))]),
            "boundary" => BTreeMap::from([("function_names", of("FunctionName"))]),
            "tools" | "tools-bulk-reads" => BTreeMap::from([
                ("controller_arn", entered()),
                ("pipeline_names", of("PipelineName")),
                ("pipeline_role_arns", of("PipelineRoleArn")),
                ("cloudformation_role_arns", of("CloudFormationRoleArn")),
                ("codebuild_role_arns", of("CodeBuildRoleArn")),
                // One name is enough: the module adds the other.
                ("connection_arns", json!([self.connection_arns()[0]])),
            ]),
            _ => BTreeMap::from([
                ("controller_arn", entered()),
                ("external_id", json!(self.external_id)),
                ("function_names", of("FunctionName")),
                ("execution_role_arns", of("ExecutionRoleArn")),
            ]),
        }
    }

    /// The role that the controller assumes in an account, as the stack of these rights makes it.
    ///
    /// # Errors
    /// As [`Self::stack`].
    pub(crate) fn entrance(&self, name: &str) -> Result<fakeaws::RoleSeed> {
        let stack = self.stack(name)?;
        let mut role = fakeaws::RoleSeed::trusting(stack.trust().context(name)?);
        role.inline_policies.insert(CONTROLLER_ROLE.to_owned(), stack.policy().context(name)?);
        Ok(role)
    }
}

fn read(file: &str) -> Result<String> {
    let path = repository().join("deploy/iam").join(file);
    std::fs::read_to_string(&path).context(format_args!("reading {}", path.display()))
}

/// A policy with what does not change its meaning made alike: single values are lists, lists are sorted.
#[must_use]
pub fn normalised(policy: &Value) -> Value {
    let list = |value: &Value| {
        let mut values: Vec<String> = match value {
            Value::Array(values) => values.iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect(),
            one => vec![one.as_str().unwrap_or_default().to_owned()],
        };
        values.sort_unstable();
        json!(values)
    };
    let mut policy = policy.clone();
    for statement in policy["Statement"].as_array_mut().into_iter().flatten() {
        for member in ["Action", "Resource"] {
            statement[member] = list(&statement[member]);
        }
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_template_and_module_grant_the_same() {
        let china = Accounts::of_demo().in_partition("aws-cn", "cn-north-1");
        for accounts in [Accounts::of_demo(), china] {
            for name in
                ["controller", "tools", "tools-bulk-reads", "dev", "dev-bulk-reads", "dev-without-boundary", "boundary"]
            {
                let [policy, template, module] = Rendering::ALL.map(|rendering| {
                    let policy =
                        accounts.rights(name, rendering).unwrap_or_else(|error| panic!("{rendering:?}: {error}"));
                    normalised(&policy)
                });
                assert_eq!(policy, template, "{name}.json and its CloudFormation template");
                assert_eq!(policy, module, "{name}.json and its Terraform module");
                assert!(!policy.to_string().contains("${"), "{policy}");
            }
        }
    }

    #[test]
    fn what_an_account_does_not_have_is_left_out_of_template_and_module() {
        let accounts = Accounts::of_demo();
        let template: Value = serde_saphyr::from_str(&read("cloudformation/tools.yaml").unwrap()).unwrap();
        let mut parameters = accounts.parameters("tools");
        let mut variables = accounts.terraform_variables("tools");
        for optional in ["CloudFormationRoleArns", "CodeBuildRoleArns", "ConnectionArns"] {
            parameters.remove(optional);
        }
        for optional in ["cloudformation_role_arns", "codebuild_role_arns", "connection_arns"] {
            variables.remove(optional);
        }
        let stack = Stack::of(&template, &parameters, ("aws", &accounts.tools)).unwrap();
        let text = |file: &str| read(&format!("terraform/tools/{file}")).unwrap();
        let module = terraform::policy(&accounts, &text("main.tf"), &text("variables.tf"), &variables).unwrap();
        let shipped = accounts.rights("tools", Rendering::Policy).unwrap();
        let mut expected = normalised(&shipped);
        let optional = ["KeepCloudFormationRoles", "KeepCodeBuildRoles", "KeepConnections"];
        let statements = expected["Statement"].as_array_mut().unwrap();
        statements.retain(|statement| !optional.iter().any(|sid| statement["Sid"] == *sid));
        assert_eq!(normalised(&stack.policy().unwrap()), expected);
        assert_eq!(normalised(&module), expected);
    }

    #[test]
    fn the_template_makes_the_boundary_or_takes_the_one_that_is_named() {
        let accounts = Accounts::of_demo();
        let made = accounts.stack("dev").unwrap();
        let boundary = made.boundary().unwrap();
        assert_eq!(normalised(&boundary), normalised(&accounts.rights("boundary", Rendering::Policy).unwrap()));
        let template: Value = serde_saphyr::from_str(&read("cloudformation/dev.yaml").unwrap()).unwrap();
        let mut parameters = accounts.parameters("dev");
        let named = "arn:aws:iam::222222222222:policy/theirs";
        parameters.insert("BoundaryArn", named.to_owned());
        let stack = Stack::of(&template, &parameters, ("aws", &accounts.dev)).unwrap();
        assert!(stack.boundary().is_none());
        assert!(stack.policy().unwrap().to_string().contains(named));
    }

    #[test]
    fn the_linter_of_cloudformation_has_nothing_to_say() {
        let pins = include_str!("../../cloudformation/requirements.txt");
        let python = fakeaws::virtual_environment("cloudformation-venv", pins).unwrap();
        let templates = repository().join("deploy/iam/cloudformation");
        let files: Vec<_> = std::fs::read_dir(&templates).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 7, "{files:?}");
        // Every region that StackSets reach, not only the default one.
        let lint = ["--regions", "ALL_REGIONS", "--include-checks", "I", "--"];
        let output =
            std::process::Command::new(python.with_file_name("cfn-lint")).args(lint).args(&files).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn the_role_trusts_the_controller_with_the_external_id() {
        let accounts = Accounts::of_demo();
        let identity = accounts.iam_arn(&accounts.platform, "role/crossinvoke-controller");
        let trust = accounts.stack("dev").unwrap().trust().unwrap();
        let expected = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": identity}, "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": accounts.external_id}},
        }]});
        assert_eq!(trust, expected);
        let trust = accounts.stack("tools").unwrap().trust().unwrap();
        assert!(trust["Statement"][0]["Condition"].is_null(), "{trust}");
    }
}
