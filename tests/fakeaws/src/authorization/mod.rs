//! A pure evaluator of IAM policies. It shares no code with the controller, so that a wrong reading of IAM on one side
//! does not excuse itself on the other.
//!
//! Sources: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements" (Action, Resource, Principal,
//! Condition, condition operators) and "AWS global condition context keys".
//!
//! A document is read whole before it is judged: a statement that cannot be judged makes the document an error, even
//! if another statement of it allows or denies, since a wrong guess would let a test pass that AWS would fail.

mod condition;
mod pattern;
mod principal;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use self::{
    condition::Asker,
    principal::Match,
    statement::{Effect, Kind, Statement},
};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Such as `iam:GetRole`.
    pub(crate) action: &'a str,
    /// An ARN, or `*`.
    pub(crate) resource: &'a str,
    /// Condition keys in lower case.
    pub(crate) context: &'a BTreeMap<String, Vec<String>>,
}

/// The outcome over identity policies and boundary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    Allow,
    ImplicitDeny,
    ExplicitDeny,
}

/// The outcome of a trust policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TrustDecision {
    /// Through the account (or a service, or `*`): the caller's identity policies must allow it too.
    AllowAccount,
    /// Names the principal itself: enough alone in the same account.
    AllowPrincipal,
    ImplicitDeny,
    ExplicitDeny,
}

impl TrustDecision {
    /// Either kind of allow.
    pub(crate) fn is_allowed(self) -> bool {
        matches!(self, Self::AllowAccount | Self::AllowPrincipal)
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Principal<'a> {
    /// Twelve digits; empty for a service.
    pub(crate) account: &'a str,
    /// ARN of the role or user with its path, or of the account's root; empty for a service.
    pub(crate) arn: &'a str,
    /// `arn:…:sts::…:assumed-role/…/…`, for a role's session.
    pub(crate) session_arn: Option<&'a str>,
    /// Such as `codepipeline.amazonaws.com`, for a service.
    pub(crate) service: Option<&'a str>,
}

/// An operator, key or construct that cannot be judged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("judge {0}")]
pub(crate) struct Unjudged(pub(crate) String);

impl Unjudged {
    fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// Judges a request by identity policies and a permissions boundary. The boundary only ever takes away.
///
/// # Errors
/// If any statement of any document cannot be judged.
pub(crate) fn identity(
    policies: &[&Value],
    boundary: Option<&Value>,
    request: &Request<'_>,
) -> Result<Decision, Unjudged> {
    let mut decision = Decision::ImplicitDeny;
    for policy in policies {
        decision = stronger(decision, document(policy, request)?);
    }
    let Some(boundary) = boundary else { return Ok(decision) };
    Ok(match (decision, document(boundary, request)?) {
        (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
        (Decision::Allow, Decision::Allow) => Decision::Allow,
        _ => Decision::ImplicitDeny,
    })
}

/// Judges a request by the trust policy of a role.
///
/// # Errors
/// If any statement of the document cannot be judged.
pub(crate) fn trust(
    document: &Value,
    principal: &Principal<'_>,
    request: &Request<'_>,
) -> Result<TrustDecision, Unjudged> {
    let asker = if principal.service.is_some() { Asker::Service } else { Asker::Identity };
    let mut decision = TrustDecision::ImplicitDeny;
    for statement in statement::read(document, Kind::Trust)? {
        // Both sides are judged before they are joined: what cannot be judged must not hide behind a mismatch.
        let named = principal::matches(&statement, principal)?;
        let applies = applies(&statement, request, asker)?;
        if !applies || named == Match::None {
            continue;
        }
        decision = match (decision, statement.effect, named) {
            (TrustDecision::ExplicitDeny, ..) | (_, Effect::Deny, _) => TrustDecision::ExplicitDeny,
            (TrustDecision::AllowPrincipal, ..) | (_, _, Match::Principal) => TrustDecision::AllowPrincipal,
            _ => TrustDecision::AllowAccount,
        };
    }
    Ok(decision)
}

fn document(document: &Value, request: &Request<'_>) -> Result<Decision, Unjudged> {
    let mut decision = Decision::ImplicitDeny;
    for statement in statement::read(document, Kind::Identity)? {
        if applies(&statement, request, Asker::Identity)? {
            let said = if statement.effect == Effect::Deny { Decision::ExplicitDeny } else { Decision::Allow };
            decision = stronger(decision, said);
        }
    }
    Ok(decision)
}

/// Whether action, resource and condition of a statement fit the request.
fn applies(statement: &Statement<'_>, request: &Request<'_>, asker: Asker) -> Result<bool, Unjudged> {
    let condition = condition::holds(statement.condition, request.context, asker)?;
    let action = statement.action.fits(|pattern| pattern::matches_ignoring_case(pattern, request.action));
    let resource =
        statement.resource.as_ref().is_none_or(|r| r.fits(|pattern| pattern::matches(pattern, request.resource)));
    Ok(condition && action && resource)
}

/// An explicit deny wins over an allow, an allow over silence.
fn stronger(one: Decision, other: Decision) -> Decision {
    match (one, other) {
        (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
        (Decision::Allow, _) | (_, Decision::Allow) => Decision::Allow,
        _ => Decision::ImplicitDeny,
    }
}
