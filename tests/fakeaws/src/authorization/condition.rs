//! Conditions (IAM User Guide, "IAM JSON policy elements: Condition operators" and "Multivalued context keys").

use serde_json::Value;

use super::{
    Unjudged,
    context::{Context, is_modelled},
    pattern,
};

/// How a value of the request is held against one value of the policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    Arn,
    Bool,
}

/// Which of the values that a request has of one key have to fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Quantifier {
    /// There is one value.
    Single,
    /// `ForAllValues`: every value. None at all fits too.
    All,
    /// `ForAnyValue`: at least one.
    Any,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    /// Holds the values of the request against those of the policy.
    Compare { comparison: Comparison, negated: bool, if_exists: bool, quantifier: Quantifier },
    /// Asks only whether the key is there.
    Null,
}

fn operator(name: &str) -> Option<Operator> {
    let (quantifier, name) = match name.split_once(':') {
        None => (Quantifier::Single, name),
        Some(("ForAllValues", name)) => (Quantifier::All, name),
        Some(("ForAnyValue", name)) => (Quantifier::Any, name),
        Some(_) => return None,
    };
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
        "Null" if !if_exists && quantifier == Quantifier::Single => return Some(Operator::Null),
        _ => return None,
    };
    Some(Operator::Compare { comparison, negated, if_exists, quantifier })
}

/// What a condition comes to in one request.
#[derive(Debug)]
pub(super) enum Outcome {
    Holds,
    Fails,
    /// The request lacks a key that it may have on AWS, and every other key fits. It matters only if the rest of the
    /// statement fits too.
    Open(Unjudged),
}

/// Judges a statement's condition: all operators and all keys, any value of each.
///
/// # Errors
/// For an operator, key or value that is not modelled, whether or not the rest holds.
pub(super) fn judge(condition: Option<&Value>, context: &Context) -> Result<Outcome, Unjudged> {
    let Some(condition) = condition else { return Ok(Outcome::Holds) };
    let operators = condition.as_object().ok_or_else(|| Unjudged::new(format!("the condition {condition}")))?;
    let (mut holds, mut open) = (true, None);
    for (name, keys) in operators {
        // Before its keys: an operator without any would hold, and a misspelled one would be an allow.
        let operator = operator(name).ok_or_else(|| Unjudged::new(format!("the condition operator {name}")))?;
        let keys = keys.as_object().ok_or_else(|| Unjudged::new(format!("the condition {name} {keys}")))?;
        for (key, wanted) in keys {
            let lower = key.to_ascii_lowercase();
            if !is_modelled(&lower) {
                return Err(Unjudged::new(format!("the condition key {key}")));
            }
            let present = context.values(&lower);
            holds &= match one((name, operator), key, &values(key, wanted)?, present)? {
                Some(holds) if present.is_some() || context.is_known_absent(&lower) => holds,
                Some(_) => {
                    open = Some(Unjudged::new(format!("the condition key {key}")));
                    true
                }
                None => {
                    open = Some(Unjudged::new(format!("{name} of {key}, which has several values here")));
                    true
                }
            };
        }
    }
    Ok(match open {
        _ if !holds => Outcome::Fails,
        Some(open) => Outcome::Open(open),
        None => Outcome::Holds,
    })
}

/// Whether one key fits; `None` if it has several values and the operator takes one.
fn one(
    (name, operator): (&str, Operator),
    key: &str,
    wanted: &[String],
    present: Option<&[String]>,
) -> Result<Option<bool>, Unjudged> {
    let Operator::Compare { comparison, negated, if_exists, quantifier } = operator else {
        return null(key, wanted, present.is_some()).map(Some);
    };
    let fits = |value: &String| {
        wanted.iter().try_fold(negated, |fits, wanted| {
            let equal = compare(comparison, wanted, value)
                .ok_or_else(|| Unjudged::new(format!("{name} of {key} with the value {wanted}")))?;
            Ok(if equal { !negated } else { fits })
        })
    };
    let Some(present) = present else {
        // Values are looked at even if the key is absent: a malformed one is an error in any case.
        fits(&String::new())?;
        return Ok(Some(match quantifier {
            Quantifier::Single => if_exists || negated,
            Quantifier::All => true,
            Quantifier::Any => if_exists,
        }));
    };
    let fitting: Vec<bool> = present.iter().map(fits).collect::<Result<_, _>>()?;
    Ok(match (quantifier, fitting.as_slice()) {
        (Quantifier::Single, [fits]) => Some(*fits),
        (Quantifier::Single, _) => None,
        (Quantifier::All, fitting) => Some(fitting.iter().all(|fits| *fits)),
        (Quantifier::Any, fitting) => Some(fitting.iter().any(|fits| *fits)),
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
