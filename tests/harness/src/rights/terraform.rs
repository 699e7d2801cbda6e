//! What Terraform makes of the locals of a module, by an HCL evaluator. Nothing is applied: no provider is at hand, so that
//! what the provider does with the values is not part of it.

#![allow(clippy::needless_pass_by_value, reason = "the evaluator hands arguments over by value")]

use std::collections::BTreeMap;

use hcl::{
    Body,
    eval::{Context, Evaluate as _, FuncArgs, FuncDef, ParamType},
};
use serde_json::{Value, json};

use crate::{
    accounts::Accounts,
    error::{Context as _, Error, Result},
};

/// The policy of a module with these variables.
pub(super) fn policy(
    accounts: &Accounts,
    main: &str,
    variables: &str,
    given: &BTreeMap<&'static str, Value>,
) -> Result<Value> {
    let (main, variables): (Body, Body) =
        (hcl::parse(main).context("main.tf")?, hcl::parse(variables).context("variables.tf")?);
    let account = if given.contains_key("pipeline_names") { &accounts.tools } else { &accounts.dev };
    let mut context = Context::new();
    for (name, function, parameters) in [
        ("length", length as fn(FuncArgs) -> std::result::Result<hcl::Value, String>, 1),
        ("jsonencode", jsonencode, 1),
        ("flatten", flatten, 1),
        ("replace", replace, 3),
    ] {
        let definition = (0..parameters).fold(FuncDef::builder(), |builder, _| builder.param(ParamType::Any));
        context.declare_func(name, definition.build(function));
    }
    context.declare_var("var", to_hcl(&values(&variables, given)?)?);
    let data = json!({
        "aws_partition": {"current": {"partition": accounts.partition}},
        "aws_caller_identity": {"current": {"account_id": account}},
    });
    context.declare_var("data", to_hcl(&data)?);
    let made = [json!({"arn": accounts.boundary_arn()})];
    context.declare_var("aws_iam_policy", to_hcl(&json!({"boundary": made}))?);
    let block = main.blocks().find(|block| block.identifier() == "locals");
    let locals = block.ok_or_else(|| Error::new("main.tf has no locals"))?;
    // In the order in which the file has them, each knows those before it.
    let mut known = json!({});
    for attribute in locals.body().attributes() {
        context.declare_var("local", to_hcl(&known)?);
        let value = attribute.expr().evaluate(&context).context(attribute.key())?;
        known[attribute.key()] = serde_json::to_value(value).context(attribute.key())?;
    }
    let text = known["policy"].as_str().ok_or_else(|| Error::new("main.tf has no local.policy"))?;
    serde_json::from_str(text).context("local.policy")
}

/// Values of all variables of the module.
fn values(variables: &Body, given: &BTreeMap<&'static str, Value>) -> Result<Value> {
    let mut values = json!({});
    for block in variables.blocks() {
        let name = block.labels().first().map(hcl::BlockLabel::as_str).unwrap_or_default();
        let default = block.body().attributes().find(|attribute| attribute.key() == "default");
        values[name] = match (given.get(name), default) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => {
                let value = default.expr().evaluate(&Context::new()).context(name)?;
                serde_json::to_value(value).context(name)?
            }
            (None, None) => return Err(Error::new(format!("variable {name} must have a value"))),
        };
    }
    match given.keys().find(|name| values[**name].is_null()) {
        Some(unknown) => Err(Error::new(format!("the module has no variable {unknown}"))),
        None => Ok(values),
    }
}

fn to_hcl(value: &Value) -> Result<hcl::Value> {
    hcl::to_value(value).context("a value")
}

fn length(arguments: FuncArgs) -> std::result::Result<hcl::Value, String> {
    arguments[0].as_array().map(|list| hcl::Value::from(list.len())).ok_or_else(|| "length of no list".to_owned())
}

fn jsonencode(arguments: FuncArgs) -> std::result::Result<hcl::Value, String> {
    serde_json::to_string(&arguments[0]).map(hcl::Value::from).map_err(|error| error.to_string())
}

fn flatten(arguments: FuncArgs) -> std::result::Result<hcl::Value, String> {
    let lists = arguments[0].as_array().ok_or_else(|| "flatten of no list".to_owned())?;
    let items = lists.iter().flat_map(|item| match item {
        hcl::Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    });
    Ok(hcl::Value::Array(items.collect()))
}

/// Without slashes around it, the second argument is a plain text.
fn replace(arguments: FuncArgs) -> std::result::Result<hcl::Value, String> {
    let text = |index: usize| arguments[index].as_str().ok_or_else(|| "replace of no text".to_owned());
    Ok(hcl::Value::from(text(0)?.replace(text(1)?, text(2)?)))
}
