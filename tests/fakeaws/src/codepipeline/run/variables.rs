//! Variables: `#{codepipeline.PipelineExecutionId}`, `#{variables.name}` and `#{namespace.key}` in the configuration of
//! actions (User Guide, "Variables reference").

use std::collections::BTreeMap;

use serde_json::Value;

use super::execution::{Execution, Failure};
use crate::{
    codepipeline::declaration::{list, text},
    error::ServiceError,
};

/// The pipeline's variables as an execution has them: the defaults, and over them what it was started with.
///
/// # Errors
/// `ValidationException` for a variable that the pipeline does not declare, or one that has no value.
pub(crate) fn of_pipeline(declaration: &Value, given: &[Value]) -> Result<BTreeMap<String, String>, ServiceError> {
    let invalid = |message: String| ServiceError::new("ValidationException", message);
    let declared = list(declaration, "variables");
    let mut values = BTreeMap::new();
    for variable in declared {
        if let Some(default) = variable.get("defaultValue").and_then(Value::as_str) {
            values.insert(text(variable, "name").to_owned(), default.to_owned());
        }
    }
    for variable in given {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        if !declared.iter().any(|declared| text(declared, "name") == name) {
            return Err(invalid(format!("The pipeline has no variable with the name '{name}'")));
        }
        if value.is_empty() {
            return Err(invalid(format!("The value of the variable '{name}' is empty")));
        }
        values.insert(name.to_owned(), value.to_owned());
    }
    match declared.iter().map(|variable| text(variable, "name")).find(|name| !values.contains_key(*name)) {
        None => Ok(values),
        Some(name) => Err(invalid(format!("The variable '{name}' has no default value and was given none"))),
    }
}

/// A configuration with its variables resolved.
///
/// # Errors
/// Why the action fails: a reference to what is not there, or a value that has become too long.
pub(super) fn resolved(
    declaration: &Value,
    execution: &Execution,
    configuration: &Value,
) -> Result<BTreeMap<String, String>, Failure> {
    let invalid = |message: String| Failure::new("ConfigurationError", message);
    let mut resolved = BTreeMap::new();
    for (key, value) in configuration.as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let replaced = replace(value, |namespace, name| lookup(declaration, execution, namespace, name))
            .map_err(|reference| invalid(format!("The variable {reference} in '{key}' cannot be resolved")))?;
        resolved.insert(key.clone(), replaced);
    }
    // User Guide, "Quotas": a configuration with its variables resolved has 100 KB at most.
    if resolved.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > 100 * 1024 {
        return Err(invalid("The resolved configuration of the action is larger than 100 KB".to_owned()));
    }
    Ok(resolved)
}

fn lookup(declaration: &Value, execution: &Execution, namespace: &str, name: &str) -> Option<String> {
    match namespace {
        "codepipeline" if name == "PipelineExecutionId" => Some(execution.id.clone()),
        "codepipeline" => None,
        "variables" if !list(declaration, "variables").is_empty() => execution.variables.get(name).cloned(),
        _ => execution.outputs().get(namespace).and_then(|variables| variables.get(name).cloned()),
    }
}

/// Replaces every `#{namespace.key}`; anything else stays as it is. The error is the reference that has no value.
fn replace(text: &str, value: impl Fn(&str, &str) -> Option<String>) -> Result<String, String> {
    let allowed = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "@-_".contains(c));
    let mut replaced = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("#{") {
        replaced.push_str(before);
        let reference = after.split_once('}').and_then(|(inside, behind)| {
            let (namespace, name) = inside.split_once('.')?;
            (allowed(namespace) && allowed(name)).then_some((namespace, name, behind))
        });
        if let Some((namespace, name, behind)) = reference {
            replaced.push_str(&value(namespace, name).ok_or_else(|| format!("#{{{namespace}.{name}}}"))?);
            rest = behind;
        } else {
            replaced.push_str("#{");
            rest = after;
        }
    }
    replaced.push_str(rest);
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_replaced_and_everything_else_is_kept() {
        let value = |namespace: &str, name: &str| (namespace == "n").then(|| format!("<{name}>"));
        let of = |text: &str| replace(text, value);
        assert_eq!(of("a #{n.k}#{n.l} b"), Ok("a <k><l> b".to_owned()));
        for kept in ["", "#", "#{", "#{n}", "#{n.}", "#{n.k", "#{n k.l}", "${n.k}", "#{n.a.b}"] {
            assert_eq!(of(kept), Ok(kept.to_owned()));
        }
        assert_eq!(of("#{#{n.k}}"), Ok("#{<k>}".to_owned()));
        assert_eq!(of("x #{m.k}"), Err("#{m.k}".to_owned()));
    }

    #[test]
    fn an_execution_has_a_value_for_every_variable_of_the_pipeline_and_no_other() {
        let declaration = json!({"variables": [{"name": "a", "defaultValue": "1"}, {"name": "b"}]});
        let of = |given: Value| of_pipeline(&declaration, given.as_array().unwrap());
        let values = of(json!([{"name": "b", "value": "2"}])).unwrap();
        assert_eq!(values, BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]));
        assert_eq!(of(json!([{"name": "a", "value": "3"}, {"name": "b", "value": "2"}])).unwrap()["a"], "3");
        for (given, named) in [
            (json!([]), "'b'"),
            (json!([{"name": "b", "value": ""}]), "'b'"),
            (json!([{"name": "b", "value": "2"}, {"name": "c", "value": "3"}]), "'c'"),
        ] {
            let error = of(given).unwrap_err();
            assert!(error.code == "ValidationException" && error.message.contains(named), "{error}");
        }
    }
}
