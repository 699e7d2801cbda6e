//! A CloudFormation template, which also works as a StackSet: every account gets its own role of the same name.
//!
//! Only `Ref`, `Fn::Sub`, `Fn::If` and the like: StackSets with service-managed permissions take no transforms. A list
//! parameter therefore holds whole ARNs, in which `*` may stand for the account.

use serde_json::{Map, Value, json};

use super::{
    Boundary, Condition, List, ROLE_NAME, Resource, Statement, Subject, Values,
    policy::{Piece, one_or_many, pieces},
    statements::{lists, required, statements},
};

/// The parameter of a list: its name and its description.
fn parameter(list: List) -> (&'static str, &'static str) {
    match list {
        List::Accounts => (
            "AccountRoleArns",
            "The roles that the controller assumes, one in each account, such as arn:aws:iam::111111111111:role/crossinvoke",
        ),
        List::Pipelines => (
            "PipelineArns",
            "The pipelines that may be edited, such as arn:aws:codepipeline:*:111111111111:payments-*. In a StackSet, * may \
             stand for the account.",
        ),
        List::PipelineRoles => (
            "PipelineRoleArns",
            "The service roles of these pipelines, as narrow as you can name them, such as \
             arn:aws:iam::111111111111:role/service-role/payments-*. In a StackSet, * may stand for the account.",
        ),
        List::CloudFormationRoles => (
            "CloudFormationRoleArns",
            "The roles that these pipelines hand to CloudFormation (RoleArn of a CloudFormation action); empty if there are \
             none",
        ),
        List::CodeBuildRoles => (
            "CodeBuildRoleArns",
            "The roles that these pipelines hand to CodeBuild (the service roles of pipelines with Commands actions); empty \
             if there are none",
        ),
        List::Connections => (
            "ConnectionArns",
            "The connections that sources of these pipelines use, each as codeconnections and as codestar-connections ARN; \
             empty if there are none",
        ),
        List::Functions => (
            "FunctionArns",
            "The functions that may be invoked, such as arn:aws:lambda:*:222222222222:function:payments-*. In a StackSet, * \
             may stand for the account.",
        ),
        List::ExecutionRoles => (
            "ExecutionRoleArns",
            "The execution roles of these functions, as narrow as you can name them, such as \
             arn:aws:iam::222222222222:role/service-role/payments-*. In a StackSet, * may stand for the account.",
        ),
    }
}

/// A template, and its parameters that have no value yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template {
    /// It as YAML.
    pub text: String,
    /// What must be given when a stack is created from it.
    pub required: Vec<&'static str>,
}

/// The template of a subject.
#[must_use]
pub fn cloudformation(subject: Subject, values: &Values) -> Template {
    let statements = statements(subject, values.demands_boundary(), values.bulk_reads);
    let mut required: Vec<&str> = required(&statements, values).into_iter().map(|list| parameter(list).0).collect();
    if subject.is_entered() && values.controller.is_none() {
        required.push("ControllerArn");
    }
    let text = serde_saphyr::to_string(&template(subject, &statements, values)).expect("a template renders");
    Template { text, required }
}

fn template(subject: Subject, statements: &[Statement], values: &Values) -> Value {
    let creates_boundary = subject == Subject::Dev && values.demands_boundary();
    let lists = lists(statements);
    let mut template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description(subject),
        "Metadata": metadata(subject, &lists, creates_boundary),
        "Parameters": parameters(subject, &lists, values, creates_boundary),
    });
    let conditions = conditions(subject, &lists, creates_boundary);
    if !conditions.is_empty() {
        template["Conditions"] = Value::Object(conditions);
    }
    template["Resources"] = resources(subject, statements, creates_boundary);
    template["Outputs"] = outputs(subject, creates_boundary);
    template
}

fn description(subject: Subject) -> &'static str {
    match subject {
        Subject::Controller => "The rights of the controller crossinvoke itself: to assume its role in each account",
        Subject::Tools => "The role that the controller crossinvoke assumes in an account that has pipelines",
        Subject::Dev => "The role that the controller crossinvoke assumes in an account that has functions",
        Subject::Boundary => "The permissions boundary of the roles that the controller crossinvoke creates",
    }
}

fn metadata(subject: Subject, lists: &[List], creates_boundary: bool) -> Value {
    let group = |label: &str, names: Vec<&str>| json!({"Label": {"default": label}, "Parameters": names});
    let mut groups = vec![group("What it is about", lists.iter().map(|list| parameter(*list).0).collect())];
    match subject {
        Subject::Controller => groups.push(group("Who gets the rights", vec!["RoleNames"])),
        Subject::Tools | Subject::Dev => {
            groups.push(group("Who assumes the role", vec!["ControllerArn", "ExternalId", "AllowSessionTags"]));
        }
        Subject::Boundary => {}
    }
    let mut names = Vec::new();
    if subject.is_entered() {
        names.push("RoleName");
    } else if subject == Subject::Boundary {
        names.push("BoundaryName");
    }
    if subject == Subject::Dev {
        names.push("InvokeRolePath");
    }
    if creates_boundary {
        names.push("BoundaryArn");
    }
    if !names.is_empty() {
        groups.push(group("Names", names));
    }
    json!({"AWS::CloudFormation::Interface": {"ParameterGroups": groups}})
}

fn parameters(subject: Subject, lists: &[List], values: &Values, creates_boundary: bool) -> Value {
    let mut parameters = Map::new();
    for list in lists {
        let (name, text) = parameter(*list);
        let mut list_parameter = json!({"Type": "CommaDelimitedList", "Description": text});
        let given = arns(*list, values);
        if !given.is_empty() || list.is_optional() {
            list_parameter["Default"] = json!(given.join(","));
        }
        parameters.insert(name.to_owned(), list_parameter);
    }
    if subject == Subject::Controller {
        let text =
            "The roles that get these rights, such as crossinvoke-controller; empty to attach the policy yourself";
        parameters
            .insert("RoleNames".to_owned(), json!({"Type": "CommaDelimitedList", "Description": text, "Default": ""}));
    }
    if subject.is_entered() {
        entered_parameters(&mut parameters, values);
    }
    if subject == Subject::Boundary {
        let text = "The name of the policy";
        parameters.insert(
            "BoundaryName".to_owned(),
            json!({"Type": "String", "Description": text, "Default": format!("{ROLE_NAME}-boundary")}),
        );
    }
    if subject == Subject::Dev {
        let path = values.role_path.as_ref().map_or("/crossinvoke/", |path| path.as_str());
        parameters.insert(
            "InvokeRolePath".to_owned(),
            json!({
                "Type": "String",
                "Description": "The path of the roles that the controller creates: spec.invokeRoles.path of the AwsAccount, or \
                                one above it",
                "Default": path,
                "AllowedPattern": "^/[A-Za-z0-9+=,.@_-]+/([A-Za-z0-9+=,.@_-]+/)*$",
            }),
        );
    }
    if creates_boundary {
        let given = if let Boundary::Named(arn) = &values.boundary { arn.as_str() } else { "" };
        parameters.insert(
            "BoundaryArn".to_owned(),
            json!({
                "Type": "String",
                "Description": "The permissions boundary that every role must have that the controller creates: \
                                spec.invokeRoles.permissionsBoundaryARN of the AwsAccount; empty to create one here",
                "Default": given,
            }),
        );
    }
    Value::Object(parameters)
}

fn entered_parameters(parameters: &mut Map<String, Value>, values: &Values) {
    let mut controller = json!({
        "Type": "String",
        "Description": "The controller's identity, such as arn:aws:iam::333333333333:role/crossinvoke-controller",
        "AllowedPattern": "^arn:aws(-[a-z0-9]+)*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$",
    });
    if let Some(arn) = &values.controller {
        controller["Default"] = json!(arn.as_str());
    }
    parameters.insert("ControllerArn".to_owned(), controller);
    let text =
        "The external id that the controller must give: spec.externalID of the AwsAccount; empty to ask for none";
    parameters.insert("ExternalId".to_owned(), json!({"Type": "String", "Description": text, "Default": ""}));
    let text = "Whether the controller's session has tags, as with EKS Pod Identity, which it passes on";
    parameters.insert(
        "AllowSessionTags".to_owned(),
        json!({"Type": "String", "Description": text, "Default": "false", "AllowedValues": ["true", "false"]}),
    );
    let text = "The name of the role, which is part of spec.roleARN of the AwsAccount";
    parameters.insert("RoleName".to_owned(), json!({"Type": "String", "Description": text, "Default": ROLE_NAME}));
}

/// The values of a list as ARNs. The account stands in them only if it was given.
fn arns(list: List, values: &Values) -> Vec<String> {
    let partition = values.partition.as_deref().unwrap_or("aws");
    let account = values.of(List::Accounts).first().map_or("*", String::as_str);
    let arn = |value: &String| {
        let filled = pieces(list.pattern()).into_iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Name("Partition") => partition,
            Piece::Name("Account") => account,
            Piece::Name(_) => value,
        });
        filled.collect()
    };
    values.of(list).iter().map(arn).collect()
}

fn has(list: List) -> String {
    format!("Has{}", parameter(list).0)
}

fn conditions(subject: Subject, lists: &[List], creates_boundary: bool) -> Map<String, Value> {
    let empty = |name: &str| json!({"Fn::Equals": [{"Fn::Join": ["", {"Ref": name}]}, ""]});
    let mut conditions = Map::new();
    for list in lists.iter().filter(|list| list.is_optional()) {
        conditions.insert(has(*list), json!({"Fn::Not": [empty(parameter(*list).0)]}));
    }
    if subject == Subject::Controller {
        conditions.insert("HasRoleNames".to_owned(), json!({"Fn::Not": [empty("RoleNames")]}));
    }
    if subject.is_entered() {
        let is = |name: &str, value: &str| json!({"Fn::Equals": [{"Ref": name}, value]});
        conditions.insert("HasExternalId".to_owned(), json!({"Fn::Not": [is("ExternalId", "")]}));
        conditions.insert("HasSessionTags".to_owned(), is("AllowSessionTags", "true"));
        if creates_boundary {
            conditions.insert("CreatesBoundary".to_owned(), is("BoundaryArn", ""));
        }
    }
    conditions
}

fn resources(subject: Subject, policy: &[Statement], creates_boundary: bool) -> Value {
    let document = document(policy);
    let managed = |name: Value, document: &Value| json!({"Type": "AWS::IAM::ManagedPolicy", "Properties": {"ManagedPolicyName": name, "PolicyDocument": document}});
    match subject {
        Subject::Controller => {
            let mut policy = managed(json!("crossinvoke-controller"), &document);
            policy["Properties"]["Roles"] = if_else("HasRoleNames", &json!({"Ref": "RoleNames"}), &nothing());
            json!({"Policy": policy})
        }
        Subject::Boundary => json!({"Boundary": managed(json!({"Ref": "BoundaryName"}), &document)}),
        Subject::Tools | Subject::Dev => {
            let mut resources = json!({"Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": {"Ref": "RoleName"},
                    "Description": description(subject),
                    "AssumeRolePolicyDocument": trust(),
                    "Policies": [{"PolicyName": ROLE_NAME, "PolicyDocument": document}],
                },
            }});
            if creates_boundary {
                let document = self::document(&statements(Subject::Boundary, true, false));
                let mut boundary = managed(json!({"Fn::Sub": "${RoleName}-boundary"}), &document);
                boundary["Condition"] = json!("CreatesBoundary");
                resources["Boundary"] = boundary;
            }
            resources
        }
    }
}

fn trust() -> Value {
    let actions = if_else("HasSessionTags", &json!(["sts:AssumeRole", "sts:TagSession"]), &json!("sts:AssumeRole"));
    let external_id = json!({"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}});
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": {"Ref": "ControllerArn"}},
            "Action": actions,
            "Condition": if_else("HasExternalId", &external_id, &nothing()),
        }],
    })
}

fn document(statements: &[Statement]) -> Value {
    let statements: Vec<Value> = statements.iter().map(statement).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(of: &Statement) -> Value {
    let resource = match of.resources {
        Resource::Each(list) => json!({"Ref": parameter(list).0}),
        Resource::Fixed(texts) => one_or_many(&texts.iter().map(|text| substituted(text)).collect::<Vec<_>>()),
    };
    let mut rendered =
        json!({"Sid": of.sid, "Effect": of.effect.name(), "Action": one_or_many(&of.actions), "Resource": resource});
    if let Some(condition) = of.condition {
        let value = match condition {
            Condition::PassedToService(service) => json!(service),
            Condition::PermissionsBoundary => boundary_arn(),
        };
        rendered["Condition"] = json!({"StringEquals": {condition.key(): value}});
    }
    match of.resources {
        Resource::Each(list) if list.is_optional() => if_else(&has(list), &rendered, &nothing()),
        _ => rendered,
    }
}

fn substituted(text: &'static str) -> Value {
    let pieces = pieces(text);
    if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
        return json!(text);
    }
    let text: String = pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Name("Partition") => "${AWS::Partition}",
            Piece::Name("Account") => "${AWS::AccountId}",
            Piece::Name("RoleName") => "${RoleName}",
            Piece::Name(_) => "${InvokeRolePath}",
        })
        .collect();
    json!({"Fn::Sub": text})
}

fn boundary_arn() -> Value {
    // The Ref of a managed policy is its ARN.
    if_else("CreatesBoundary", &json!({"Ref": "Boundary"}), &json!({"Ref": "BoundaryArn"}))
}

fn outputs(subject: Subject, creates_boundary: bool) -> Value {
    let output = |text: &str, value: Value| json!({"Description": text, "Value": value});
    match subject {
        Subject::Controller => json!({"PolicyArn": output("The policy", json!({"Ref": "Policy"}))}),
        Subject::Boundary => json!({"BoundaryArn": output(
            "spec.invokeRoles.permissionsBoundaryARN of the AwsAccount",
            json!({"Ref": "Boundary"}),
        )}),
        Subject::Tools | Subject::Dev => {
            let role = json!({"Fn::GetAtt": ["Role", "Arn"]});
            let mut outputs = json!({"RoleArn": output("spec.roleARN of the AwsAccount", role)});
            if creates_boundary {
                let text = "spec.invokeRoles.permissionsBoundaryARN of the AwsAccount";
                outputs["BoundaryArn"] = output(text, boundary_arn());
            }
            outputs
        }
    }
}

fn if_else(condition: &str, then: &Value, otherwise: &Value) -> Value {
    json!({"Fn::If": [condition, then, otherwise]})
}

fn nothing() -> Value {
    json!({"Ref": "AWS::NoValue"})
}
