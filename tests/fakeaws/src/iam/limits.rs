//! Quotas and constraints (IAM User Guide, "IAM and AWS STS quotas"; IAM service model).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::documents;
use crate::{error::ServiceError, wire::query::validation};

/// Characters of all inline policies of a role together, white space not counted.
pub(crate) const INLINE_POLICIES: usize = 10_240;
/// Characters of a trust policy, white space not counted.
pub(crate) const TRUST_POLICY: usize = 2_048;
/// Managed policies attached to a role.
pub(crate) const ATTACHED_POLICIES: usize = 10;
/// Tags of a role.
pub(crate) const TAGS: usize = 50;
/// Roles of an account.
pub(crate) const ROLES: usize = 1_000;

/// A quota that would be exceeded.
pub(crate) fn exceeded(message: impl Into<String>) -> ServiceError {
    ServiceError::new("LimitExceeded", message).with_status(409)
}

/// The name of a role or policy.
pub(crate) fn name(member: &str, name: &str, longest: usize) -> Result<(), ServiceError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(validation(member, "Member must satisfy regular expression pattern: [\\w+=,.@-]+"));
    }
    if name.len() > longest {
        return Err(validation(member, &format!("Member must have length less than or equal to {longest}")));
    }
    Ok(())
}

/// A role's path.
pub(crate) fn path(path: &str) -> Result<(), ServiceError> {
    let framed = path == "/" || (path.len() > 2 && path.starts_with('/') && path.ends_with('/'));
    if framed && path.len() <= 512 && path.bytes().all(|byte| (0x21..=0x7f).contains(&byte)) {
        return Ok(());
    }
    let text = "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
                characters and/or / characters.";
    Err(ServiceError::new("ValidationError", text))
}

/// The ARN of a managed policy (service model, `arnType`).
pub(crate) fn policy_arn(member: &str, arn: &str) -> Result<(), ServiceError> {
    if arn.len() < 20 {
        return Err(validation(member, "Member must have length greater than or equal to 20"));
    }
    Ok(())
}

/// A role's description.
pub(crate) fn description(text: &str) -> Result<(), ServiceError> {
    if text.chars().count() > 1000 {
        return Err(validation("description", "Member must have length less than or equal to 1000"));
    }
    Ok(())
}

/// The maximal session duration of a role, in seconds.
pub(crate) fn max_session_duration(text: &str) -> Result<u32, ServiceError> {
    text.parse().ok().filter(|seconds| (3600..=43200).contains(seconds)).ok_or_else(|| {
        let rule = "Member must have value greater than or equal to 3600 and less than or equal to 43200";
        validation("maxSessionDuration", rule)
    })
}

/// The size of a trust policy.
pub(crate) fn trust(document: &Value) -> Result<(), ServiceError> {
    if documents::size(document) > TRUST_POLICY {
        return Err(exceeded(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY}")));
    }
    Ok(())
}

/// The size of all inline policies of a role.
pub(crate) fn inline(role: &str, policies: &BTreeMap<String, Value>) -> Result<(), ServiceError> {
    if policies.values().map(documents::size).sum::<usize>() > INLINE_POLICIES {
        return Err(exceeded(format!("Maximum policy size of {INLINE_POLICIES} bytes exceeded for role {role}")));
    }
    Ok(())
}

/// Tags of one request, as they would be added.
pub(crate) fn tags(pairs: &[(&str, &str)]) -> Result<(), ServiceError> {
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    let mut seen = BTreeSet::new();
    for (key, value) in pairs {
        if !(1..=128).contains(&key.chars().count()) || !key.chars().all(allowed) {
            let rule = "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{1,128}";
            return Err(validation("tags.1.member.key", rule));
        }
        if value.chars().count() > 256 || !value.chars().all(allowed) {
            let rule = "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]{0,256}";
            return Err(validation("tags.1.member.value", rule));
        }
        if key.to_lowercase().starts_with("aws:") {
            return Err(ServiceError::new("InvalidInput", "Tag keys cannot start with the reserved prefix aws:."));
        }
        if !seen.insert(key.to_lowercase()) {
            let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(ServiceError::new("InvalidInput", text));
        }
    }
    Ok(())
}

/// The number of tags that a role would have.
pub(crate) fn tag_count(tags: &BTreeMap<String, String>) -> Result<(), ServiceError> {
    if tags.len() > TAGS {
        return Err(exceeded("The number of tags has reached the maximum limit."));
    }
    Ok(())
}
