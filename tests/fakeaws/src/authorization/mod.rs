//! A pure evaluator of IAM policies. It shares no code with the controller.

use std::collections::BTreeMap;

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
    pub(crate) account: &'a str,
    pub(crate) arn: &'a str,
    pub(crate) session_arn: Option<&'a str>,
    pub(crate) service: Option<&'a str>,
}

/// An operator, key or construct that cannot be judged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("judge {0}")]
pub(crate) struct Unjudged(pub(crate) String);

mod eval;
pub(crate) use eval::{identity, trust};
