//! Why a request is denied, in AWS's words.
//!
//! Sources: IAM User Guide, "Troubleshoot access denied error messages" (the phrase of each policy type); AWS Security
//! Blog, "Enhanced access denied error messages with policy ARNs" (the ARN behind an explicit deny).

/// The types of policies, in the order in which AWS evaluates them (IAM User Guide, "How AWS enforcement code logic
/// evaluates requests to allow or deny access"). If several types deny, AWS names one of them and does not say which;
/// here it is the first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum PolicyType {
    ResourceControl,
    ServiceControl,
    RoleTrust,
    Identity,
    PermissionsBoundary,
    Session,
}

impl PolicyType {
    fn phrase(self) -> (&'static str, &'static str) {
        match self {
            Self::ResourceControl => ("a resource control policy", "resource control policy"),
            Self::ServiceControl => ("a service control policy", "service control policy"),
            Self::RoleTrust => ("the role trust policy", "role trust policy"),
            Self::Identity => ("an identity-based policy", "identity-based policy"),
            Self::PermissionsBoundary => ("a permissions boundary", "permissions boundary"),
            Self::Session => ("a session policy", "session policy"),
        }
    }
}

/// Why a request is denied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Denial {
    /// What kind of policy denies, or does not allow.
    pub(crate) policy: PolicyType,
    /// A statement denies; otherwise none allows.
    pub(crate) is_explicit: bool,
    /// The ARN of the policy that denies, if it has one: inline policies have none.
    pub(crate) arn: Option<String>,
}

impl Denial {
    /// No policy of this type allows the request.
    pub(crate) fn implicit(policy: PolicyType) -> Self {
        Self { policy, is_explicit: false, arn: None }
    }

    /// The end of the message. AWS adds the ARN of the policy for callers of its own account or organization.
    pub(crate) fn reason(&self, action: &str, with_arn: bool) -> String {
        let (one, none) = self.policy.phrase();
        match self.arn.as_deref().filter(|_| with_arn) {
            _ if !self.is_explicit => format!("because no {none} allows the {action} action"),
            Some(arn) => format!("with an explicit deny in {one}: {arn}"),
            None => format!("with an explicit deny in {one}"),
        }
    }
}
