//! Principals in trust policies: stored by unique id, shown as ARNs while the principal lives.
//!
//! IAM User Guide, "AWS JSON policy elements: Principal": a role's ARN is turned into its unique id when the policy is
//! saved; when the role is deleted the id is what is shown, and a role recreated under the name does not restore it.

use serde_json::{Map, Value};

use super::World;
use crate::error::ServiceError;

/// How names of services end in the partitions (botocore, `endpoints.json`: `dnsSuffix`).
const SERVICE_DOMAINS: [&str; 7] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
];

impl World {
    /// The trust policy as it is kept: ARNs of roles and users become unique ids, bare account ids become root ARNs.
    ///
    /// # Errors
    /// `MalformedPolicyDocument` "Invalid principal in policy" for a principal that does not exist. Unique ids of the
    /// dead are let through only when `keep_dead` (a seed may describe an account with a broken trust).
    pub(crate) fn stored_trust(&self, document: &Value, keep_dead: bool) -> Result<Value, ServiceError> {
        map_principals(document, &mut |kind, value| {
            let stored = match kind {
                "AWS" => self.stored_principal(value, keep_dead),
                "Service" if !SERVICE_DOMAINS.iter().any(|domain| value.ends_with(domain)) => None,
                _ => Some(value.to_owned()),
            };
            stored.ok_or_else(|| {
                ServiceError::new(
                    "MalformedPolicyDocument",
                    format!("Invalid principal in policy: \"{kind}\":\"{value}\""),
                )
            })
        })
    }

    /// The trust policy as it is shown and judged now.
    pub(crate) fn shown_trust(&self, stored: &Value) -> Value {
        map_principals::<std::convert::Infallible>(stored, &mut |_, value| {
            Ok(self.arn_of_unique_id(value).unwrap_or_else(|| value.to_owned()))
        })
        .unwrap_or_else(|never| match never {})
    }

    fn stored_principal(&self, value: &str, keep_dead: bool) -> Option<String> {
        if value == "*" {
            return Some(value.to_owned());
        }
        if value.starts_with("AROA") || value.starts_with("AIDA") {
            return (keep_dead || self.arn_of_unique_id(value).is_some()).then(|| value.to_owned());
        }
        if let Some(account) = self.accounts.get(value) {
            return Some(account.root_arn());
        }
        let parts: Vec<&str> = value.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = parts[..] else { return None };
        let account = self.accounts.get(account).filter(|account| account.partition == partition)?;
        if service == "sts" {
            return resource.starts_with("assumed-role/").then(|| value.to_owned());
        }
        if service != "iam" {
            return None;
        }
        if resource == "root" {
            return Some(value.to_owned());
        }
        let name = resource.rsplit('/').next()?;
        if resource.starts_with("role/") {
            return account.role(name).filter(|role| account.role_arn(role) == value).map(|role| role.id.clone());
        }
        account.users.get(name).filter(|user| account.user_arn(user) == value).map(|user| user.id.clone())
    }
}

/// Rewrites every principal of every statement; the rest of the document stays as it is.
fn map_principals<E>(document: &Value, change: &mut impl FnMut(&str, &str) -> Result<String, E>) -> Result<Value, E> {
    let mut document = document.clone();
    let statements = match document.get_mut("Statement") {
        Some(Value::Array(statements)) => statements.as_mut_slice(),
        Some(statement) => std::slice::from_mut(statement),
        None => &mut [],
    };
    for statement in statements {
        for element in ["Principal", "NotPrincipal"] {
            match statement.get_mut(element) {
                Some(Value::Object(principals)) => map_object(principals, change)?,
                Some(Value::String(text)) if text != "*" => *text = change("AWS", text)?,
                _ => {}
            }
        }
    }
    Ok(document)
}

fn map_object<E>(
    principals: &mut Map<String, Value>,
    change: &mut impl FnMut(&str, &str) -> Result<String, E>,
) -> Result<(), E> {
    for (kind, values) in principals {
        let values = match values {
            Value::Array(values) => values.as_mut_slice(),
            one => std::slice::from_mut(one),
        };
        for value in values {
            if let Value::String(text) = value {
                *text = change(kind, text)?;
            }
        }
    }
    Ok(())
}
