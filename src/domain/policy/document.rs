//! The canonical form of an IAM policy document: what it means, in one spelling.
//!
//! IAM returns documents reordered, with one-element arrays as strings and without whitespace (IAM User Guide, policy
//! grammar), so they are compared in this form and never as text. What this code does not know is kept as it is and so
//! makes a difference.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Brings a document into its canonical form. Never fails: what is not a policy document stays what it is.
#[must_use]
pub(super) fn canonical_value(document: &Value) -> Value {
    let Some(members) = document.as_object() else { return sorted(document) };
    let mut result = Map::new();
    for (name, value) in ordered(members) {
        match name.as_str() {
            "Statement" => {
                let mut statements: Vec<Value> = as_list(value).iter().map(statement).collect();
                statements.sort_by_key(Value::to_string);
                statements.dedup();
                result.insert(name, Value::Array(statements));
            }
            // An id is a name; it decides nothing.
            "Id" => {}
            _ => {
                result.insert(name, sorted(value));
            }
        }
    }
    Value::Object(result)
}

fn statement(statement: &Value) -> Value {
    let Some(members) = statement.as_object() else { return sorted(statement) };
    let mut result = Map::new();
    for (name, value) in ordered(members) {
        let canonical = match name.as_str() {
            // A statement id is a name; it decides nothing.
            "Sid" => continue,
            // IAM compares action names without regard to case.
            "Action" | "NotAction" => set(value, str::to_ascii_lowercase),
            "Resource" | "NotResource" => set(value, str::to_owned),
            "Principal" | "NotPrincipal" => principal(value),
            "Condition" => match condition(value) {
                Value::Object(empty) if empty.is_empty() => continue,
                condition => condition,
            },
            _ => sorted(value),
        };
        result.insert(name, canonical);
    }
    Value::Object(result)
}

/// `"*"` is `{"AWS": "*"}`; a bare account id is that account's root.
fn principal(value: &Value) -> Value {
    let Some(types) = value.as_object() else {
        return match value.as_str() {
            Some("*") => json!({"AWS": ["*"]}),
            _ => sorted(value),
        };
    };
    let mut result = Map::new();
    for (kind, value) in ordered(types) {
        let canonical = set(value, |text| if kind == "AWS" { account_of(text) } else { text.to_owned() });
        result.insert(kind, canonical);
    }
    Value::Object(result)
}

/// `arn:<partition>:iam::<id>:root` and `<id>` are the same principal.
fn account_of(principal: &str) -> String {
    let parts: Vec<&str> = principal.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, "root"] => (*account).to_owned(),
        _ => principal.to_owned(),
    }
}

/// Operators and keys without regard to case; values as sets, booleans and numbers as their text.
fn condition(value: &Value) -> Value {
    let Some(operators) = value.as_object() else { return sorted(value) };
    let mut result: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for (operator, keys) in operators {
        let Some(keys) = keys.as_object() else { return sorted(value) };
        let entry = result.entry(operator.to_ascii_lowercase()).or_default();
        for (key, values) in keys {
            let values =
                entry.entry(key.to_ascii_lowercase()).or_default().iter().cloned().chain(texts(values)).collect();
            entry.insert(key.to_ascii_lowercase(), unique(values));
        }
    }
    result.retain(|_, keys| !keys.is_empty());
    json!(result)
}

fn set(value: &Value, spell: impl Fn(&str) -> String) -> Value {
    let all_text = as_list(value).iter().all(Value::is_string);
    if !all_text {
        return sorted(value);
    }
    json!(unique(as_list(value).iter().filter_map(Value::as_str).map(spell).collect()))
}

fn texts(value: &Value) -> Vec<String> {
    as_list(value).iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

fn unique(mut values: Vec<String>) -> Vec<String> {
    values.sort_unstable();
    values.dedup();
    values
}

/// A value on its own is a list of one.
pub(super) fn as_list(value: &Value) -> &[Value] {
    value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
}

fn ordered(members: &Map<String, Value>) -> BTreeMap<String, &Value> {
    members.iter().map(|(name, value)| (name.clone(), value)).collect()
}

/// The same value with the members of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(ordered(members).into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
