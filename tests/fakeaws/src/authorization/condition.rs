//! Conditions (IAM User Guide, "IAM JSON policy elements: Condition operators").

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Unjudged, pattern};

/// Who asks decides whether the absence of a key can be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asker {
    /// A role, a user or a root.
    Identity,
    /// An AWS service.
    Service,
}

/// How a value of the request is held against one value of the policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    Arn,
    Bool,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    /// Holds the values of the request against those of the policy.
    Compare { comparison: Comparison, negated: bool, if_exists: bool },
    /// Asks only whether the key is there.
    Null,
}

fn operator(name: &str) -> Option<Operator> {
    let (base, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |base| (base, true));
    let (comparison, negated) = match base {
        "StringEquals" => (Comparison::Equal, false),
        "StringNotEquals" => (Comparison::Equal, true),
        "StringEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, false),
        "StringLike" => (Comparison::Like, false),
        "StringNotLike" => (Comparison::Like, true),
        // ArnEquals and ArnLike behave the same: both know wildcards.
        "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
        "Bool" => (Comparison::Bool, false),
        "Null" if !if_exists => return Some(Operator::Null),
        _ => return None,
    };
    Some(Operator::Compare { comparison, negated, if_exists })
}

/// Whether a key is one of those that are modelled, in lower case. Any other is refused even if a request brings it:
/// a key that is judged in one call and refused in the next would make a test's outcome depend on its path.
fn is_known(key: &str) -> bool {
    matches!(key, "aws:principalarn" | "aws:principalaccount" | "sts:externalid" | "iam:passedtoservice")
}

/// Whether a known key that the request does not bring is known to be absent, so that its absence can be judged.
///
/// The keys of the principal come with every signed request of a role or user; what a service's own call brings is
/// not documented (IAM User Guide, "AWS global condition context keys").
fn is_absence_known(key: &str, asker: Asker) -> bool {
    matches!(key, "sts:externalid" | "iam:passedtoservice") || asker == Asker::Identity
}

/// Whether a statement's condition holds: all operators and all keys, any value of each.
///
/// # Errors
/// For an operator, key or value that is not modelled, whether or not the rest holds.
pub(super) fn holds(
    condition: Option<&Value>,
    context: &BTreeMap<String, Vec<String>>,
    asker: Asker,
) -> Result<bool, Unjudged> {
    let Some(condition) = condition else { return Ok(true) };
    let operators = condition.as_object().ok_or_else(|| Unjudged::new(format!("the condition {condition}")))?;
    let mut holds = true;
    for (name, keys) in operators {
        // Before its keys: an operator without any would hold, and a misspelled one would be an allow.
        let operator = operator(name).ok_or_else(|| Unjudged::new(format!("the condition operator {name}")))?;
        let keys = keys.as_object().ok_or_else(|| Unjudged::new(format!("the condition {name} {keys}")))?;
        for (key, wanted) in keys {
            let lower = key.to_ascii_lowercase();
            let present = context.get(&lower);
            if !is_known(&lower) || (present.is_none() && !is_absence_known(&lower, asker)) {
                return Err(Unjudged::new(format!("the condition key {key}")));
            }
            let wanted = values(key, wanted)?;
            holds &= one((name, operator), key, &wanted, present.map(Vec::as_slice))?;
        }
    }
    Ok(holds)
}

fn one(
    (name, operator): (&str, Operator),
    key: &str,
    wanted: &[String],
    present: Option<&[String]>,
) -> Result<bool, Unjudged> {
    let Operator::Compare { comparison, negated, if_exists } = operator else {
        return null(key, wanted, present.is_some());
    };
    // Values are looked at even if the key is absent: a malformed one is an error in any case.
    let mut found = false;
    for wanted in wanted {
        for value in present.unwrap_or(&[String::new()]) {
            found |= compare(comparison, wanted, value)
                .ok_or_else(|| Unjudged::new(format!("{name} of {key} with the value {wanted}")))?;
        }
    }
    Ok(match present {
        Some([_]) => found != negated,
        // Several values of one key need ForAllValues or ForAnyValue.
        Some(_) => return Err(Unjudged::new(format!("{name} of {key}, which has several values here"))),
        None => if_exists || negated,
    })
}

fn null(key: &str, wanted: &[String], is_present: bool) -> Result<bool, Unjudged> {
    let [wanted] = wanted else { return Err(Unjudged::new(format!("Null of {key} with several values"))) };
    match wanted.as_str() {
        "true" => Ok(!is_present),
        "false" => Ok(is_present),
        other => Err(Unjudged::new(format!("Null of {key} with the value {other}"))),
    }
}

/// `None` if the policy's value is not one that the operator takes.
fn compare(comparison: Comparison, wanted: &str, value: &str) -> Option<bool> {
    match comparison {
        Comparison::Equal => Some(wanted == value),
        Comparison::EqualIgnoringCase => Some(wanted.to_lowercase() == value.to_lowercase()),
        Comparison::Like => Some(pattern::matches(wanted, value)),
        Comparison::Arn => pattern::matches_arn(wanted, value),
        Comparison::Bool => matches!(wanted, "true" | "false").then(|| wanted == value.to_ascii_lowercase()),
    }
}

/// The values of a policy's condition as texts: `true` and `"true"` are the same.
fn values(key: &str, wanted: &Value) -> Result<Vec<String>, Unjudged> {
    let list = match wanted {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let texts: Option<Vec<String>> = list
        .iter()
        .map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            _ => None,
        })
        .collect();
    let texts = texts.filter(|texts| !texts.is_empty());
    let texts = texts.ok_or_else(|| Unjudged::new(format!("the condition value {wanted} of {key}")))?;
    match texts.iter().find(|text| text.contains("${")) {
        None => Ok(texts),
        Some(text) => Err(Unjudged::new(format!("the policy variable in {text}"))),
    }
}
