//! `crossinvoke iam`: the rights of the controller's identities, as a policy, a CloudFormation template or a Terraform
//! module.

use std::fmt;

use clap::{Args, ValueEnum};

use crate::domain::rights::{Given, Subject, Unusable, Values, cloudformation, policy, terraform};

/// Options of `iam`.
#[derive(Args, Clone, Debug)]
pub struct Iam {
    /// Whose rights.
    #[arg(long = "for", value_enum)]
    pub subject: For,
    /// The AWS partition. Default: aws.
    #[arg(long, value_name = "PARTITION")]
    pub partition: Option<String>,
    /// The account; with --for controller each account that it enters, given several times.
    #[arg(long = "account-id", value_name = "ID")]
    pub account_ids: Vec<String>,
    /// The controller's identity, which the role trusts (templates and modules).
    #[arg(long, value_name = "ARN")]
    pub controller_arn: Option<String>,
    /// The path of the roles that the controller creates: spec.invokeRoles.path of the AwsAccount, or one above it.
    /// Default: /crossinvoke/.
    #[arg(long, value_name = "PATH")]
    pub role_path: Option<String>,
    /// The permissions boundary that every role must have that the controller creates:
    /// spec.invokeRoles.permissionsBoundaryARN of the AwsAccount.
    #[arg(long, value_name = "ARN", conflicts_with = "without_boundary")]
    pub boundary_arn: Option<String>,
    /// Demand no boundary. Whoever gets hold of the controller's pod can then give a role of the account any right.
    #[arg(long)]
    pub without_boundary: bool,
    /// A pipeline that may be edited; * stands for any characters. May be given several times.
    #[arg(long = "pipeline", value_name = "NAME")]
    pub pipelines: Vec<String>,
    /// A service role of these pipelines; * stands for any characters. May be given several times.
    #[arg(long = "pipeline-role-arn", value_name = "ARN")]
    pub pipeline_role_arns: Vec<String>,
    /// A role that these pipelines hand to CloudFormation. May be given several times.
    #[arg(long = "cloudformation-role-arn", value_name = "ARN")]
    pub cloudformation_role_arns: Vec<String>,
    /// A role that these pipelines hand to CodeBuild: the service roles of pipelines with Commands actions. May be given
    /// several times.
    #[arg(long = "codebuild-role-arn", value_name = "ARN")]
    pub codebuild_role_arns: Vec<String>,
    /// A connection that a source of these pipelines uses. May be given several times.
    #[arg(long = "connection-arn", value_name = "ARN")]
    pub connection_arns: Vec<String>,
    /// A function that may be invoked; * stands for any characters. May be given several times.
    #[arg(long = "function", value_name = "NAME")]
    pub functions: Vec<String>,
    /// An execution role of these functions; * stands for any characters. May be given several times.
    #[arg(long = "execution-role-arn", value_name = "ARN")]
    pub execution_role_arns: Vec<String>,
    /// Also allow reading all roles and functions of the account at once, which costs less where many objects use it. The
    /// controller then sees every role and every function's environment variables; nothing but what its objects name is kept.
    #[arg(long)]
    pub bulk_reads: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value_t = Output::Policy)]
    pub output: Output,
}

/// Whose rights are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum For {
    /// The controller's own identity.
    Controller,
    /// The role that it assumes in an account that has pipelines.
    Tools,
    /// The role that it assumes in an account that has functions.
    Dev,
    /// The permissions boundary of the roles that it creates there.
    Boundary,
}

impl From<For> for Subject {
    fn from(subject: For) -> Self {
        match subject {
            For::Controller => Self::Controller,
            For::Tools => Self::Tools,
            For::Dev => Self::Dev,
            For::Boundary => Self::Boundary,
        }
    }
}

/// How they are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// The policy as JSON.
    Policy,
    /// A CloudFormation template, for a stack or a StackSet.
    Cloudformation,
    /// A Terraform module: its files one after another.
    Terraform,
}

/// What is printed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Printed {
    /// To stdout.
    pub text: String,
    /// Placeholders, parameters or variables that have no value yet.
    pub missing: Vec<String>,
}

impl Iam {
    /// Renders what was asked for.
    ///
    /// # Errors
    /// For a value that cannot be used.
    pub fn render(&self) -> Result<Printed, Unusable> {
        let subject = self.subject.into();
        let values = Values::new(subject, &self.given())?;
        Ok(match self.output {
            Output::Policy => {
                let rendered = policy(subject, &values);
                Printed { text: format!("{:#}\n", rendered.document), missing: texts(rendered.missing) }
            }
            Output::Cloudformation => {
                let template = cloudformation(subject, &values);
                Printed { text: template.text, missing: texts(template.required) }
            }
            Output::Terraform => {
                let module = terraform(subject, &values);
                let files = module.files.map(|(name, text)| format!("# {name}\n\n{text}"));
                Printed { text: files.join("\n"), missing: texts(module.required) }
            }
        })
    }

    fn given(&self) -> Given {
        Given {
            partition: self.partition.clone(),
            account_ids: self.account_ids.clone(),
            controller_arn: self.controller_arn.clone(),
            role_path: self.role_path.clone(),
            boundary_arn: self.boundary_arn.clone(),
            without_boundary: self.without_boundary,
            pipelines: self.pipelines.clone(),
            pipeline_role_arns: self.pipeline_role_arns.clone(),
            cloudformation_role_arns: self.cloudformation_role_arns.clone(),
            codebuild_role_arns: self.codebuild_role_arns.clone(),
            connection_arns: self.connection_arns.clone(),
            functions: self.functions.clone(),
            execution_role_arns: self.execution_role_arns.clone(),
            bulk_reads: self.bulk_reads,
        }
    }
}

fn texts(values: impl IntoIterator<Item = impl fmt::Display>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// The files in `deploy/iam`, and the options that they are rendered with.
    const SHIPPED: [(&str, &str); 7] = [
        ("controller", "--for controller"),
        ("tools", "--for tools"),
        ("tools-bulk-reads", "--for tools --bulk-reads"),
        ("dev", "--for dev --role-path ${RolePath}"),
        ("dev-bulk-reads", "--for dev --role-path ${RolePath} --bulk-reads"),
        ("dev-without-boundary", "--for dev --role-path ${RolePath} --without-boundary"),
        ("boundary", "--for boundary"),
    ];

    fn parsed(options: &str) -> Iam {
        let arguments = ["crossinvoke", "iam"].into_iter().chain(options.split_whitespace());
        let Command::Iam(iam) = Cli::try_parse_from(arguments).unwrap().command else { panic!("not iam") };
        *iam
    }

    fn rendered(options: &str) -> Printed {
        parsed(options).render().unwrap()
    }

    #[test]
    fn the_shipped_files_are_what_the_command_prints() {
        #[allow(clippy::disallowed_methods, reason = "how all golden files are written")]
        let write = std::env::var("UPDATE_GOLDENS").is_ok_and(|value| value == "1");
        for (name, options) in SHIPPED {
            let options = format!("{options} --partition ${{Partition}}");
            let module = Values::new(parsed(&options).subject.into(), &parsed(&options).given())
                .map(|values| terraform(parsed(&options).subject.into(), &values))
                .unwrap();
            let mut files = vec![
                (format!("{name}.json"), rendered(&options).text),
                (format!("cloudformation/{name}.yaml"), rendered(&format!("{options} --output cloudformation")).text),
            ];
            files.extend(module.files.map(|(file, text)| (format!("terraform/{name}/{file}"), text)));
            for (file, text) in files {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/iam").join(&file);
                if write {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(&path, &text).unwrap();
                }
                let shipped = std::fs::read_to_string(&path).unwrap_or_default();
                assert!(shipped == text, "deploy/iam/{file} is stale: run make iam");
            }
        }
    }

    #[test]
    fn given_values_leave_nothing_to_fill_in() {
        let printed = rendered(
            "--for dev --account-id 222222222222 --function payments-* --function MyFunction \
             --boundary-arn arn:aws:iam::222222222222:policy/crossinvoke-boundary \
             --execution-role-arn arn:aws:iam::222222222222:role/service-role/payments-*",
        );
        assert_eq!(printed.missing, [""; 0]);
        let policy: serde_json::Value = serde_json::from_str(&printed.text).unwrap();
        let functions =
            ["MyFunction", "payments-*"].map(|name| format!("arn:aws:lambda:*:222222222222:function:{name}"));
        assert_eq!(policy["Statement"][0]["Resource"], serde_json::json!(functions));
        assert_eq!(policy["Statement"][1]["Resource"], "arn:aws:iam::222222222222:role/crossinvoke/*");
        let boundary = "arn:aws:iam::222222222222:policy/crossinvoke-boundary";
        let condition = serde_json::json!({"StringEquals": {"iam:PermissionsBoundary": boundary}});
        assert_eq!(policy["Statement"][1]["Condition"], condition);
    }

    #[test]
    fn what_is_missing_stays_and_is_listed() {
        let printed = rendered("--for tools --account-id 111111111111 --pipeline payments-release");
        let missing = ["${PipelineRoleArn}", "${ConnectionArn}", "${CloudFormationRoleArn}", "${CodeBuildRoleArn}"];
        assert_eq!(printed.missing, missing);
        for placeholder in missing {
            assert!(printed.text.contains(placeholder), "{placeholder}");
        }
        let template = rendered("--for dev --output cloudformation --function MyFunction");
        assert_eq!(template.missing, ["ExecutionRoleArns", "ControllerArn"]);
        assert!(template.text.contains("arn:aws:lambda:*:*:function:MyFunction"), "{}", template.text);
        let module = rendered(
            "--for tools --output terraform --pipeline payments-release --pipeline-role-arn \
            arn:aws:iam::111111111111:role/service-role/r --controller-arn arn:aws:iam::333333333333:role/c",
        );
        assert_eq!(module.missing, [""; 0]);
        assert!(module.text.contains("default     = [\"payments-release\"]"), "{}", module.text);
    }

    #[test]
    fn a_boundary_and_none_cannot_be_asked_for_together() {
        let arguments = ["crossinvoke", "iam", "--for", "dev", "--without-boundary", "--boundary-arn", "x"];
        assert_eq!(Cli::try_parse_from(arguments).unwrap_err().exit_code(), 2);
    }
}
