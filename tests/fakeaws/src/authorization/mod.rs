//! A pure evaluator of IAM policies. It shares no code with the controller, so that a wrong reading of IAM on one side
//! does not excuse itself on the other.
//!
//! Sources: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements" (Action, Resource, Principal,
//! Condition, condition operators) and "AWS global condition context keys".
//!
//! A document is read whole before it is judged: a statement that cannot be judged makes the document an error, even
//! if another statement of it allows or denies, since a wrong guess would let a test pass that AWS would fail.

mod condition;
mod context;
mod denial;
mod pattern;
mod principal;
mod statement;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::{
    condition::Outcome,
    principal::Match,
    statement::{Effect, Kind, Statement},
};
pub(crate) use self::{
    context::Context,
    denial::{Denial, PolicyType},
};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Such as `iam:GetRole`.
    pub(crate) action: &'a str,
    /// An ARN, or `*`.
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
}

/// A policy that counts for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    /// Inline policies have none.
    pub(crate) arn: Option<&'a str>,
    pub(crate) document: &'a Value,
}

/// Everything that counts for a request, trust policies aside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies<'a> {
    /// Of the account that owns the resource. They only deny: `RCPFullAWSAccess` cannot be detached, and other resource
    /// control policies hold no Allow (Organizations User Guide, "RCP syntax").
    pub(crate) resource_control: Vec<Policy<'a>>,
    /// Of the caller's account; `None` if there are none, as outside an organization.
    pub(crate) service_control: Option<Vec<Policy<'a>>>,
    /// `None` for the root user, who is allowed everything that nothing else takes away.
    pub(crate) identity: Option<Vec<Policy<'a>>>,
    pub(crate) boundary: Option<Policy<'a>>,
    /// `None` for a session without session policies.
    pub(crate) session: Option<Vec<Policy<'a>>>,
    /// A policy of the resource names the caller itself, in the caller's own account: no identity policy has to allow it
    /// as well. Denies and the boundary still count (IAM User Guide, "Evaluating effective permissions with boundaries").
    pub(crate) is_granted_by_resource: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Decision {
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

/// Why a request is denied by all policies that count for it; `None` if it is allowed.
///
/// An explicit deny of any policy wins. Then every type of policy that is there has to allow: they only take away from
/// each other (IAM User Guide, "Policy evaluation logic").
///
/// # Errors
/// If any statement of any document cannot be judged.
pub(crate) fn denial(policies: &Policies<'_>, request: &Request<'_>) -> Result<Option<Denial>, Unjudged> {
    let mut types = vec![(PolicyType::ResourceControl, policies.resource_control.clone(), false)];
    let boundary = policies.boundary.map(|boundary| vec![boundary]);
    for (policy, attached, must_allow) in [
        (PolicyType::ServiceControl, &policies.service_control, true),
        (PolicyType::Identity, &policies.identity, !policies.is_granted_by_resource),
        (PolicyType::PermissionsBoundary, &boundary, true),
        (PolicyType::Session, &policies.session, true),
    ] {
        types.extend(attached.clone().map(|attached| (policy, attached, must_allow)));
    }
    let (mut explicit, mut implicit) = (None, None);
    for (policy, attached, must_allow) in types {
        let mut decision = Decision::ImplicitDeny;
        for one in attached {
            let said = document(one.document, policy, request)?;
            if said == Decision::ExplicitDeny && explicit.is_none() {
                explicit = Some(Denial { policy, is_explicit: true, arn: one.arn.map(str::to_owned) });
            }
            decision = stronger(decision, said);
        }
        if must_allow && decision == Decision::ImplicitDeny && implicit.is_none() {
            implicit = Some(Denial::implicit(policy));
        }
    }
    Ok(explicit.or(implicit))
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
    let mut decision = TrustDecision::ImplicitDeny;
    for statement in statement::read(document, Kind::Trust)? {
        // Both sides are judged before they are joined: what cannot be judged must not hide behind a mismatch.
        let named = principal::matches(&statement, principal)?;
        let applies = applies(&statement, request)?;
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

fn document(document: &Value, policy: PolicyType, request: &Request<'_>) -> Result<Decision, Unjudged> {
    let kind = if policy == PolicyType::ResourceControl { Kind::ResourceControl } else { Kind::Identity };
    let mut decision = Decision::ImplicitDeny;
    for statement in statement::read(document, kind)? {
        if applies(&statement, request)? {
            let said = if statement.effect == Effect::Deny { Decision::ExplicitDeny } else { Decision::Allow };
            decision = stronger(decision, said);
        }
    }
    Ok(decision)
}

/// Whether action, resource and condition of a statement fit the request.
fn applies(statement: &Statement<'_>, request: &Request<'_>) -> Result<bool, Unjudged> {
    let condition = condition::judge(statement.condition, request.context)?;
    let action = statement.action.fits(|pattern| pattern::matches_ignoring_case(pattern, request.action));
    let resource =
        statement.resource.as_ref().is_none_or(|r| r.fits(|pattern| pattern::matches(pattern, request.resource)));
    match condition {
        _ if !action || !resource => Ok(false),
        Outcome::Holds => Ok(true),
        Outcome::Fails => Ok(false),
        Outcome::Open(unjudged) => Err(unjudged),
    }
}

/// An explicit deny wins over an allow, an allow over silence.
fn stronger(one: Decision, other: Decision) -> Decision {
    match (one, other) {
        (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
        (Decision::Allow, _) | (_, Decision::Allow) => Decision::Allow,
        _ => Decision::ImplicitDeny,
    }
}
