//! AWS errors as the controller sees them: by meaning, and in words for the person who must act.

use std::{error::Error, fmt};

use crate::domain::ids::{AccountId, Arn};

/// What an error means for the controller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AwsErrorKind {
    /// Fewer calls are asked for.
    Throttled,
    /// No answer, or a fault on AWS's side.
    Unavailable,
    /// The controller's role in the account cannot be assumed.
    AssumeRoleDenied,
    /// A permission is missing.
    AccessDenied {
        /// The IAM action, as AWS names it.
        action: String,
        /// The resource it was denied on, where AWS says.
        resource: Option<String>,
    },
    /// The process has no AWS credentials, or AWS does not accept them.
    NoCredentials,
    /// The session's token has expired; the next session is a new one.
    ExpiredToken,
    /// The credentials belong to another account.
    AccountMismatch {
        /// The account they belong to.
        found: String,
    },
    /// What is written to does not exist.
    NotFound,
    /// What is made exists.
    AlreadyExists,
    /// Something still hangs on what is deleted.
    DeleteConflict,
    /// Somebody else changes it at the same time.
    ConcurrentModification,
    /// A quota of the account.
    LimitExceeded,
    /// The quota of a policy's size.
    PolicySizeExceeded,
    /// A principal in a trust policy does not exist (yet).
    InvalidPrincipal,
    /// IAM refuses a document.
    MalformedPolicy,
    /// IAM refuses another value.
    InvalidInput,
    /// The pipeline role may not assume an action's role.
    PipelineCannotAssume {
        /// That action role.
        role: Arn,
    },
    /// CodePipeline refuses the pipeline.
    PipelineRefused,
    /// Anything else.
    Other,
}

/// An error of one call.
#[derive(Clone, Debug)]
pub struct AwsError {
    /// The service, for example `iam`.
    pub service: &'static str,
    /// The operation, for example `PutRolePolicy`.
    pub operation: &'static str,
    /// The account in which it was called.
    pub account: Option<AccountId>,
    /// What it was about.
    pub resource: String,
    /// ARN of the role or other identity that called; `None` before it is known.
    pub caller: Option<String>,
    /// AWS's code.
    pub code: Option<String>,
    /// AWS's message without the values that it quotes, or what happened instead of an answer.
    pub message: String,
    /// What it means.
    pub kind: AwsErrorKind,
    /// A change may have been made although the call failed: its answer was lost, late or unreadable, or was a fault of
    /// AWS's. False when the request was never sent or AWS refused it, and for calls that only read.
    pub outcome_unknown: bool,
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.as_ref().map_or_else(|| "AWS".to_owned(), |account| format!("account {account}"));
        let (service, operation, resource) = (self.service, self.operation, &self.resource);
        let said = match &self.code {
            Some(code) => format!("AWS says: {code}: {}", self.message),
            None => self.message.clone(),
        };
        match &self.kind {
            AwsErrorKind::AccessDenied { action, resource: on } => write!(
                f,
                "{account}: {} may not {action} on {}; allow it in that role's policies (deploy/iam in crossinvoke's \
                 repository has what it needs), and look for denies and boundaries. {said}",
                self.caller.as_deref().unwrap_or("the controller"),
                on.as_deref().unwrap_or(resource)
            ),
            AwsErrorKind::AssumeRoleDenied => write!(
                f,
                "{account}: the controller cannot assume {resource}; let that role's trust policy name the controller's identity \
                 (with the external id of the AwsAccount, if it asks for one), and let the controller's own policy allow sts:AssumeRole on it. {said}"
            ),
            AwsErrorKind::NoCredentials => write!(
                f,
                "{account}: the controller has no usable AWS credentials for {service} {operation}; give its ServiceAccount a role \
                 (IRSA or Pod Identity) or set AWS's environment variables. {said}"
            ),
            AwsErrorKind::AccountMismatch { found } => write!(
                f,
                "{account} is declared, but {resource} belongs to account {found}; correct accountID or roleARN of the AwsAccount. Nothing was written"
            ),
            AwsErrorKind::Throttled => {
                write!(f, "{account}: {service} {operation} was throttled; it is tried again more slowly. {said}")
            }
            AwsErrorKind::PolicySizeExceeded => write!(
                f,
                "{account}: {resource} has no room for the policy that {operation} writes; remove other inline policies of that role. {said}"
            ),
            AwsErrorKind::LimitExceeded => write!(
                f,
                "{account}: a quota stands in the way of {service} {operation} on {resource}; have it raised (Service Quotas) or remove what is not needed. {said}"
            ),
            AwsErrorKind::Unavailable => {
                write!(
                    f,
                    "{account}: {service} {operation} on {resource} got no usable answer; it is tried again. {said}"
                )
            }
            AwsErrorKind::DeleteConflict => write!(
                f,
                "{account}: {resource} cannot be deleted while something hangs on it; remove its policies and take it out of its instance profiles. {said}"
            ),
            kind => write!(f, "{account}: {service} {operation} on {resource} failed; {}. {said}", remedy(kind)),
        }
    }
}

/// What to do about an error for which its name is enough.
fn remedy(kind: &AwsErrorKind) -> &'static str {
    match kind {
        AwsErrorKind::PipelineRefused => {
            "CodePipeline finds the pipeline as a whole at fault: correct what it names, or the field of this object that it is about"
        }
        AwsErrorKind::PipelineCannotAssume { .. } => {
            "let the pipeline's role assume that role, or take the action out that names it"
        }
        AwsErrorKind::MalformedPolicy | AwsErrorKind::InvalidInput => {
            "IAM does not take a value that comes from this object or its AwsAccount: correct the name, tag, path or boundary it is about"
        }
        AwsErrorKind::InvalidPrincipal => {
            "a principal that the trust policy names is not known to IAM: wait a minute or two if it is new, otherwise make it"
        }
        AwsErrorKind::AlreadyExists => "it is there although reads do not show it yet: it is read again by itself",
        AwsErrorKind::NotFound => {
            "what is to be written to is not there: if the role of the function or pipeline was deleted, make it again or give them another one"
        }
        AwsErrorKind::ExpiredToken => "the session has ended early: a new one is opened by itself",
        AwsErrorKind::ConcurrentModification => "somebody else is changing it: it is tried again by itself",
        _ => "it is tried again by itself; if it stays so, look up what AWS says",
    }
}

impl Error for AwsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: AwsErrorKind) -> AwsError {
        AwsError {
            service: "iam",
            operation: "CreateRole",
            account: Some("222222222222".parse().unwrap()),
            resource: "role x".to_owned(),
            caller: Some("arn:aws:iam::222222222222:role/crossinvoke".to_owned()),
            code: Some("AccessDenied".to_owned()),
            message: "no".to_owned(),
            kind,
            outcome_unknown: false,
        }
    }

    #[test]
    fn a_denied_call_tells_who_may_not_do_what_on_what() {
        let on = Some("arn:aws:iam::222222222222:role/x".to_owned());
        let denied = error(AwsErrorKind::AccessDenied { action: "iam:CreateRole".to_owned(), resource: on });
        assert_eq!(
            denied.to_string(),
            "account 222222222222: arn:aws:iam::222222222222:role/crossinvoke may not iam:CreateRole on \
             arn:aws:iam::222222222222:role/x; allow it in that role's policies (deploy/iam in crossinvoke's repository \
             has what it needs), and look for denies and boundaries. AWS says: AccessDenied: no"
        );
    }

    #[test]
    fn every_error_names_its_account_what_to_do_and_what_aws_said() {
        for kind in [
            AwsErrorKind::Throttled,
            AwsErrorKind::Unavailable,
            AwsErrorKind::AssumeRoleDenied,
            AwsErrorKind::NoCredentials,
            AwsErrorKind::LimitExceeded,
            AwsErrorKind::PolicySizeExceeded,
            AwsErrorKind::DeleteConflict,
            AwsErrorKind::PipelineRefused,
            AwsErrorKind::MalformedPolicy,
            AwsErrorKind::InvalidInput,
            AwsErrorKind::InvalidPrincipal,
            AwsErrorKind::AlreadyExists,
            AwsErrorKind::NotFound,
            AwsErrorKind::ExpiredToken,
            AwsErrorKind::ConcurrentModification,
            AwsErrorKind::Other,
        ] {
            let text = error(kind).to_string();
            let before_aws = text.trim_end_matches(". AWS says: AccessDenied: no");
            assert!(before_aws.contains("; ") || before_aws.contains(": "), "what to do is missing: {text}");
            let remedies = [
                "it is tried again",
                "correct",
                "let ",
                "give ",
                "remove",
                "wait",
                "make it",
                "by itself",
                "have it raised",
            ];
            assert!(remedies.iter().any(|remedy| before_aws.contains(remedy)), "what to do is missing: {text}");
            assert!(text.starts_with("account 222222222222: "), "{text}");
            assert!(text.ends_with(". AWS says: AccessDenied: no"), "{text}");
        }
    }
}
