//! A Terraform module of three files. It is parsed and evaluated in the tests; it was never applied.

use std::fmt::Write as _;

use super::{
    Boundary, Condition, List, ROLE_NAME, Resource, Statement, Subject, Values,
    policy::{Piece, pieces},
    statements::{lists, required, statements},
};

/// The variable of a list: its name and its description.
fn variable(list: List) -> (&'static str, &'static str) {
    match list {
        List::Accounts => ("account_ids", "The accounts that the controller enters"),
        List::Pipelines => ("pipeline_names", "The pipelines that may be edited; * stands for any characters"),
        List::PipelineRoles => {
            ("pipeline_role_arns", "The service roles of these pipelines, as narrow as you can name them")
        }
        List::CloudFormationRoles => (
            "cloudformation_role_arns",
            "The roles that these pipelines hand to CloudFormation (RoleArn of a CloudFormation action)",
        ),
        List::CodeBuildRoles => (
            "codebuild_role_arns",
            "The roles that these pipelines hand to CodeBuild (the service roles of pipelines with Commands actions)",
        ),
        List::Connections => ("connection_arns", "The connections that sources of these pipelines use"),
        List::Functions => ("function_names", "The functions that may be invoked; * stands for any characters"),
        List::ExecutionRoles => {
            ("execution_role_arns", "The execution roles of these functions, as narrow as you can name them")
        }
    }
}

/// A module, and its variables that have no value yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Module {
    /// Its files by name.
    pub files: [(&'static str, String); 3],
    /// What must be given when it is applied.
    pub required: Vec<&'static str>,
}

/// The module of a subject.
#[must_use]
pub fn terraform(subject: Subject, values: &Values) -> Module {
    let statements = statements(subject, values.demands_boundary(), values.bulk_reads);
    let creates_boundary = subject == Subject::Dev && values.demands_boundary();
    let mut required: Vec<&str> = required(&statements, values).into_iter().map(|list| variable(list).0).collect();
    if subject.is_entered() && values.controller.is_none() {
        required.push("controller_arn");
    }
    let files = [
        ("main.tf", main(subject, &statements, creates_boundary)),
        ("variables.tf", variables(subject, &statements, values, creates_boundary)),
        ("outputs.tf", outputs(subject, creates_boundary)),
    ];
    Module { files, required }
}

const PROVIDER: &str = r#"# This module is parsed and evaluated in crossinvoke's tests. It was never applied to an account.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_partition" "current" {}
"#;

const CALLER: &str = "
data \"aws_caller_identity\" \"current\" {}
";

const ENTERED_ROLE: &str = r#"
resource "aws_iam_role" "crossinvoke" {
  name = var.role_name

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.controller_arn }
      Action    = var.allow_session_tags ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]
      Condition = { for id in [var.external_id] : "StringEquals" => { "sts:ExternalId" = id } if id != null }
    }]
  })
}

resource "aws_iam_role_policy" "crossinvoke" {
  name   = "crossinvoke"
  role   = aws_iam_role.crossinvoke.id
  policy = local.policy
}
"#;

const CREATED_BOUNDARY: &str = r#"
resource "aws_iam_policy" "boundary" {
  count = var.boundary_arn == null ? 1 : 0

  name   = "${var.role_name}-boundary"
  policy = local.boundary_policy
}
"#;

const BOUNDARY: &str = r#"
resource "aws_iam_policy" "boundary" {
  name   = var.boundary_name
  policy = local.policy
}
"#;

const CONTROLLER: &str = r#"
resource "aws_iam_policy" "crossinvoke" {
  name   = "crossinvoke-controller"
  policy = local.policy
}

resource "aws_iam_role_policy_attachment" "crossinvoke" {
  for_each = toset(var.role_names)

  role       = each.value
  policy_arn = aws_iam_policy.crossinvoke.arn
}
"#;

fn main(subject: Subject, of: &[Statement], creates_boundary: bool) -> String {
    let mut text = PROVIDER.to_owned();
    // The controller's own policy names the accounts that it enters, and not the one that it is in.
    let account = if subject == Subject::Controller { "" } else { CALLER };
    text += account;
    text += "\nlocals {\n";
    if !account.is_empty() {
        text += "  account_id = data.aws_caller_identity.current.account_id\n";
    }
    text += "  partition  = data.aws_partition.current.partition\n";
    if creates_boundary {
        text += "\n  boundary_arn = var.boundary_arn == null ? aws_iam_policy.boundary[0].arn : var.boundary_arn\n";
    }
    text += &policy("policy", of);
    if creates_boundary {
        text += &policy("boundary_policy", &statements(Subject::Boundary, true, false));
    }
    text += "}\n";
    text += match subject {
        Subject::Controller => CONTROLLER,
        Subject::Boundary => BOUNDARY,
        Subject::Tools | Subject::Dev => ENTERED_ROLE,
    };
    if creates_boundary {
        text += CREATED_BOUNDARY;
    }
    if subject == Subject::Controller { text.replace("  partition  =", "  partition =") } else { text }
}

/// A local value with the policy as JSON. Statements about things that the account does not have are left out.
fn policy(name: &str, statements: &[Statement]) -> String {
    let mut text =
        format!("\n  {name} = jsonencode({{\n    Version = \"2012-10-17\"\n    Statement = [for statement in [\n");
    for of in statements {
        text += &statement(of);
    }
    text += "    ] : statement if length(statement.Resource) > 0]\n  })\n";
    text
}

fn statement(of: &Statement) -> String {
    let list = |indent: &str, values: &[String]| match values {
        [one] => format!("[{one}]"),
        many => {
            let separator = format!(",\n{indent}  ");
            format!("[\n{indent}  {},\n{indent}]", many.join(&separator))
        }
    };
    let indent = " ".repeat(8);
    let actions: Vec<String> = of.actions.iter().map(|action| quoted(action)).collect();
    let resource = match of.resources {
        Resource::Each(one) => each(one),
        Resource::Fixed(texts) => list(&indent, &texts.iter().map(|text| interpolated(text, "")).collect::<Vec<_>>()),
    };
    let mut attributes = vec![
        ("Sid", quoted(of.sid)),
        ("Effect", quoted(of.effect.name())),
        ("Action", list(&indent, &actions)),
        ("Resource", resource),
    ];
    if let Some(condition) = of.condition {
        let value = match condition {
            Condition::PassedToService(service) => quoted(service),
            Condition::PermissionsBoundary => "local.boundary_arn".to_owned(),
        };
        attributes.push(("Condition", format!("{{ StringEquals = {{ {} = {value} }} }}", quoted(condition.key()))));
    }
    format!("      {{\n{}      }},\n", aligned(&indent, &attributes))
}

/// The resources of a list, as an expression.
fn each(list: List) -> String {
    let name = variable(list).0;
    match list {
        // The service was renamed, and a pipeline may hold either name.
        List::Connections => {
            let renamed = |from: &str, to: &str| format!("replace(arn, \":{from}:\", \":{to}:\")");
            let (one, other) = (
                renamed("codestar-connections", "codeconnections"),
                renamed("codeconnections", "codestar-connections"),
            );
            let indent = " ".repeat(8);
            format!("flatten([for arn in var.{name} : [\n{indent}  {one},\n{indent}  {other},\n{indent}]])")
        }
        List::Accounts | List::Pipelines | List::Functions => {
            format!("[for value in var.{name} : {}]", interpolated(list.pattern(), "${value}"))
        }
        _ => format!("var.{name}"),
    }
}

/// A text with its names as Terraform's expressions.
fn interpolated(text: &'static str, value: &str) -> String {
    let text: String = pieces(text)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Name("Partition") => "${local.partition}",
            Piece::Name("Account") => "${local.account_id}",
            Piece::Name("RoleName") => "${var.role_name}",
            Piece::Name("RolePath") => "${var.invoke_role_path}",
            Piece::Name(_) => value,
        })
        .collect();
    quoted(&text)
}

/// Values have been checked, or are ours: none holds a quote or a backslash.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Attributes as `terraform fmt` aligns them: the equals signs of neighbouring lines; what takes several lines ends a
/// group.
fn aligned(indent: &str, attributes: &[(&str, String)]) -> String {
    let mut text = String::new();
    let mut rest = attributes;
    while !rest.is_empty() {
        let group = rest.iter().position(|(_, value)| value.contains('\n')).unwrap_or(rest.len()).max(1);
        let (now, later) = rest.split_at(group);
        let width = now.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in now {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{indent}{name:width$} = {value}");
        }
        rest = later;
    }
    text
}

/// One variable; without a default it must be given.
fn declared(name: &str, description: &str, kind: &str, default: Option<String>) -> String {
    let mut attributes = vec![("description", quoted(description)), ("type", kind.to_owned())];
    attributes.extend(default.map(|default| ("default", default)));
    format!("variable \"{name}\" {{\n{}}}\n", aligned("  ", &attributes))
}

fn variables(subject: Subject, statements: &[Statement], values: &Values, creates_boundary: bool) -> String {
    let mut blocks: Vec<String> = lists(statements)
        .into_iter()
        .map(|list| {
            let (name, description) = variable(list);
            let given = values.of(list);
            let given = (!given.is_empty() || list.is_optional())
                .then(|| format!("[{}]", given.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")));
            declared(name, description, "list(string)", given)
        })
        .collect();
    if subject == Subject::Controller {
        let text = "The roles that get these rights; empty to attach the policy yourself";
        blocks.push(declared("role_names", text, "list(string)", Some("[]".to_owned())));
    }
    if subject.is_entered() {
        let controller = values.controller.as_ref().map(|arn| quoted(arn.as_str()));
        blocks.push(declared("controller_arn", "The controller's identity", "string", controller));
        let text = "The external id that the controller must give: spec.externalID of the AwsAccount";
        blocks.push(declared("external_id", text, "string", Some("null".to_owned())));
        let text = "Whether the controller's session has tags, as with EKS Pod Identity, which it passes on";
        blocks.push(declared("allow_session_tags", text, "bool", Some("false".to_owned())));
        let text = "The name of the role, which is part of spec.roleARN of the AwsAccount";
        blocks.push(declared("role_name", text, "string", Some(quoted(ROLE_NAME))));
    }
    if subject == Subject::Boundary {
        let name = Some(quoted("crossinvoke-boundary"));
        blocks.push(declared("boundary_name", "The name of the policy", "string", name));
    }
    if subject == Subject::Dev {
        let path = values.role_path.as_ref().map_or("/crossinvoke/", |path| path.as_str());
        blocks.push(role_path_variable(path));
    }
    if creates_boundary {
        let text = "The boundary that every role must have that the controller creates; null to create one here";
        let named = if let Boundary::Named(arn) = &values.boundary { quoted(arn.as_str()) } else { "null".to_owned() };
        blocks.push(declared("boundary_arn", text, "string", Some(named)));
    }
    blocks.join("\n")
}

/// Under `/` every role of the account would be one of the controller's.
fn role_path_variable(path: &str) -> String {
    format!(
        r#"variable "invoke_role_path" {{
  description = "The path of the roles that the controller creates: spec.invokeRoles.path of the AwsAccount, or one above it"
  type        = string
  default     = "{path}"

  validation {{
    condition     = can(regex("^/[A-Za-z0-9+=,.@_-]+/([A-Za-z0-9+=,.@_-]+/)*$", var.invoke_role_path))
    error_message = "It must be a path that only the controller's roles have, such as /crossinvoke/."
  }}
}}
"#
    )
}

fn outputs(subject: Subject, creates_boundary: bool) -> String {
    let output = |name: &str, description: &str, value: &str| {
        format!("output \"{name}\" {{\n  description = \"{description}\"\n  value       = {value}\n}}\n")
    };
    let boundary = "spec.invokeRoles.permissionsBoundaryARN of the AwsAccount";
    match subject {
        Subject::Controller => output("policy_arn", "The policy", "aws_iam_policy.crossinvoke.arn"),
        Subject::Boundary => output("boundary_arn", boundary, "aws_iam_policy.boundary.arn"),
        Subject::Tools | Subject::Dev => {
            let role = output("role_arn", "spec.roleARN of the AwsAccount", "aws_iam_role.crossinvoke.arn");
            let boundary = creates_boundary.then(|| output("boundary_arn", boundary, "local.boundary_arn"));
            boundary.map_or_else(|| role.clone(), |boundary| format!("{role}\n{boundary}"))
        }
    }
}
