//! The principals that a trust statement names (IAM User Guide, "AWS JSON policy elements: Principal").

use serde_json::Value;

use super::{
    Principal, Unjudged,
    statement::{Statement, texts},
};

/// How a statement names who asks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Match {
    /// Not at all.
    None,
    /// As one of an account, a service, or everybody.
    Account,
    /// Itself.
    Principal,
}

/// How the statement names the principal; the closest of all ways counts.
pub(super) fn matches(statement: &Statement<'_>, who: &Principal<'_>) -> Result<Match, Unjudged> {
    match statement.principal {
        Some(Value::String(text)) if text == "*" => everybody(who),
        Some(Value::Object(kinds)) if !kinds.is_empty() => {
            let mut closest = Match::None;
            for (kind, values) in kinds {
                for value in texts(values, "the principal")? {
                    closest = closest.max(one(kind, value, who)?);
                }
            }
            Ok(closest)
        }
        other => Err(Unjudged::new(format!("the principal {}", other.unwrap_or(&Value::Null)))),
    }
}

fn one(kind: &str, value: &str, who: &Principal<'_>) -> Result<Match, Unjudged> {
    match kind {
        "AWS" => aws(value, who),
        "Service" => Ok(if who.service == Some(value) { Match::Account } else { Match::None }),
        // Nobody here comes through SAML or OpenID Connect: those have AssumeRole operations of their own.
        "Federated" => Ok(Match::None),
        kind => Err(Unjudged::new(format!("the principal type {kind}"))),
    }
}

fn everybody(who: &Principal<'_>) -> Result<Match, Unjudged> {
    if who.service.is_some() { Err(Unjudged::new("the principal * for a service")) } else { Ok(Match::Account) }
}

fn aws(value: &str, who: &Principal<'_>) -> Result<Match, Unjudged> {
    if value == "*" {
        return everybody(who);
    }
    // What is left of a role or user that was deleted: nobody who lives has that id as its name.
    if value.starts_with("AROA") || value.starts_with("AIDA") {
        return Ok(Match::None);
    }
    if value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(if who.account == value { Match::Account } else { Match::None });
    }
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, resource] = parts[..] else {
        return Err(Unjudged::new(format!("the principal {value}")));
    };
    if value.contains(['*', '?']) {
        return Err(Unjudged::new(format!("the wildcard in the principal {value}")));
    }
    let same_account = who.account == account && who.arn.split(':').nth(1) == Some(partition);
    match service {
        "iam" if resource == "root" => Ok(if same_account { Match::Account } else { Match::None }),
        "iam" if resource.starts_with("role/") || resource.starts_with("user/") => {
            Ok(if who.arn == value { Match::Principal } else { Match::None })
        }
        "sts" if resource.starts_with("assumed-role/") => {
            Ok(if who.session_arn == Some(value) { Match::Principal } else { Match::None })
        }
        _ => Err(Unjudged::new(format!("the principal {value}"))),
    }
}
