//! Policy documents: what IAM accepts, how it counts them, and the shape in which it gives them back.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::{error::ServiceError, wire::query::validation};

/// IAM returns documents encoded after RFC 3986 (API reference, `GetRole`).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a document is for; the grammars differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// An inline policy of a role, a service control policy, or a session policy.
    Identity,
    /// A trust policy.
    Trust,
    /// A resource control policy.
    ResourceControl,
}

/// Parses a document as IAM would take it.
///
/// # Errors
/// `ValidationError` for characters outside tab, LF, CR and U+0020–U+00FF (service model, `policyDocumentType`);
/// `MalformedPolicyDocument` for what the grammar forbids.
pub(crate) fn parse(member: &str, text: &str, kind: Kind) -> Result<Value, ServiceError> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    if text.is_empty() || !text.chars().all(allowed) {
        let rule = "Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+";
        return Err(validation(member, rule));
    }
    let document: Value = serde_json::from_str(text).map_err(|_| {
        malformed(if kind == Kind::Trust { "This policy contains invalid Json" } else { "Syntax errors in policy." })
    })?;
    check(&document, kind)?;
    Ok(document)
}

/// Checks the grammar of a document (IAM User Guide, "Grammar of the IAM JSON policy language").
pub(crate) fn check(document: &Value, kind: Kind) -> Result<(), ServiceError> {
    let members = document.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
    if let Some(unknown) = members.keys().find(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement")) {
        return Err(malformed(format!("Syntax error: unknown element {unknown}")));
    }
    if !matches!(members.get("Version").map(Value::as_str), None | Some(Some("2012-10-17" | "2008-10-17"))) {
        return Err(malformed("The policy must contain a valid version string"));
    }
    let statements = match members.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        _ => return Err(malformed("Syntax errors in policy.")),
    };
    let mut sids = std::collections::BTreeSet::new();
    for statement in statements {
        let statement = statement.as_object().ok_or_else(|| malformed("Syntax errors in policy."))?;
        if statement.get("Sid").and_then(Value::as_str).is_some_and(|sid| !sid.is_empty() && !sids.insert(sid)) {
            return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
        }
        check_statement(statement, kind)?;
    }
    Ok(())
}

fn check_statement(statement: &Map<String, Value>, kind: Kind) -> Result<(), ServiceError> {
    let has = |element: &str| statement.contains_key(element);
    if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(malformed("Syntax errors in policy."));
    }
    if has("Action") == has("NotAction") {
        return Err(malformed("Policy statement must contain actions."));
    }
    for action in texts(statement.get("Action").or_else(|| statement.get("NotAction"))) {
        if action != "*" && !action.contains(':') {
            return Err(malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
        }
        if kind == Kind::Trust && !action.to_ascii_lowercase().starts_with("sts:") {
            return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
        }
    }
    match kind {
        Kind::Trust if has("Resource") || has("NotResource") => Err(malformed("Has prohibited field Resource")),
        Kind::Trust if !has("Principal") && !has("NotPrincipal") => Err(malformed("Missing required field Principal")),
        // Organizations User Guide, "RCP syntax".
        Kind::ResourceControl if statement.get("Effect").and_then(Value::as_str) != Some("Deny") => {
            Err(malformed("a resource control policy holds Deny statements only"))
        }
        Kind::ResourceControl if statement.get("Principal").and_then(Value::as_str) != Some("*") => {
            Err(malformed("the principal of a resource control policy is *"))
        }
        Kind::ResourceControl if has("NotAction") || has("Resource") == has("NotResource") => {
            Err(malformed("a resource control policy has Action, and either Resource or NotResource"))
        }
        Kind::Trust | Kind::ResourceControl => Ok(()),
        Kind::Identity if has("Principal") || has("NotPrincipal") => {
            Err(malformed("Policy document should not specify a principal."))
        }
        Kind::Identity if has("Resource") == has("NotResource") => {
            Err(malformed("Policy statement must contain resources."))
        }
        Kind::Identity => {
            let mut resources = texts(statement.get("Resource").or_else(|| statement.get("NotResource")));
            match resources.find(|resource| *resource != "*" && !resource.starts_with("arn:")) {
                Some(resource) => Err(malformed(format!("Resource {resource} must be in ARN format or \"*\"."))),
                None => Ok(()),
            }
        }
    }
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let values = match value {
        Some(Value::Array(values)) => values.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    values.iter().filter_map(Value::as_str)
}

fn malformed(message: impl Into<String>) -> ServiceError {
    ServiceError::new("MalformedPolicyDocument", message)
}

/// The size that counts against the quotas: characters without white space (IAM User Guide, quotas).
pub(crate) fn size(document: &Value) -> usize {
    document.to_string().chars().filter(|c| !c.is_whitespace()).count()
}

/// The document as IAM gives it back: rearranged, without white space, URL-encoded.
pub(crate) fn returned(document: &Value) -> String {
    encoded(&rearranged(document))
}

/// The document in the shape that it has, without white space, URL-encoded.
pub(crate) fn encoded(document: &Value) -> String {
    utf8_percent_encode(&document.to_string(), RESERVED).to_string()
}

/// The same meaning in another order, and one-element lists of strings as plain strings: a reader that compares text
/// sees a difference that is none.
fn rearranged(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().rev().map(|(key, value)| (key.clone(), rearranged(value))).collect())
        }
        Value::Array(values) => match values.as_slice() {
            [Value::String(only)] => Value::String(only.clone()),
            values => Value::Array(values.iter().rev().map(rearranged).collect()),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Lists as sets, members by name, one-element lists of strings as the string: what a comparison by meaning sees.
    fn meaning(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let members: BTreeMap<_, _> =
                    members.iter().map(|(key, value)| (key.clone(), meaning(value))).collect();
                Value::Object(members.into_iter().collect())
            }
            Value::Array(values) => {
                let mut values: Vec<Value> = values.iter().map(meaning).collect();
                values.sort_by_key(Value::to_string);
                match values.as_slice() {
                    [only @ Value::String(_)] => only.clone(),
                    _ => Value::Array(values),
                }
            }
            other => other.clone(),
        }
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf = "[ -~\u{a0}-\u{ff}\\n\\t]{0,12}".prop_map(Value::from);
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[A-Za-z:]{1,8}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_returned_document_means_what_was_given(document in documents()) {
            let returned = returned(&document);
            prop_assert!(returned.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            let text = percent_encoding::percent_decode_str(&returned).decode_utf8().unwrap().into_owned();
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&text, &read.to_string());
            prop_assert_eq!(meaning(&read), meaning(&document));
        }
    }

    #[test]
    fn white_space_does_not_count() {
        let compact = json!({"Version": "2012-10-17", "Statement": []});
        assert_eq!(size(&compact), r#"{"Version":"2012-10-17","Statement":[]}"#.len());
        assert_eq!(size(&json!({"Id": "a b\u{a0}c"})), r#"{"Id":"abc"}"#.len());
    }
}
