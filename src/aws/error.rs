//! AWS errors as the controller sees them: by meaning, and in words for the person who must act.

use std::{error::Error, fmt};

use super::CertificateFault;
use crate::domain::{
    ids::{AccountId, Arn},
    request_id,
};

/// What an error means for the controller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AwsErrorKind {
    /// Fewer calls are asked for.
    Throttled,
    /// No answer, or a fault on AWS's side.
    Unavailable,
    /// The certificate of an endpoint is not trusted.
    CertificateNotTrusted {
        /// The endpoint's host.
        host: String,
        /// What has to change.
        fault: CertificateFault,
    },
    /// The controller's role in the account cannot be assumed.
    AssumeRoleDenied,
    /// A permission is missing.
    AccessDenied {
        /// Whom AWS names as the one that may not.
        who: Option<String>,
        /// The IAM action, as AWS names it.
        action: String,
        /// The resource it was denied on, where AWS says: an ARN, or `role NAME`.
        resource: Option<String>,
        /// The kind of policy that denies.
        by: DenyingPolicy,
        /// Whether a Deny statement denies, and not only the lack of an Allow.
        explicit: bool,
    },
    /// A permissions boundary does not exist or cannot be one.
    InvalidBoundary,
    /// The process has no AWS credentials, or AWS does not accept them.
    NoCredentials,
    /// AWS no longer takes the session: its token has expired, or the role that it is of was deleted. The next session is
    /// a new one.
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
    /// CodePipeline's answer is there and cannot be read.
    PipelineUnreadable,
    /// Only AWS itself may change the role.
    Unmodifiable,
    /// The last look before a write was too long ago when it was to be sent; it was not.
    PermitExpired,
    /// A write was not sent, since it would have gone where nothing permits it.
    NotPermitted,
    /// Anything else.
    Other,
}

/// The kind of policy that denied a call, as AWS names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DenyingPolicy {
    /// A policy of the caller's role.
    Identity,
    /// The permissions boundary of the caller's role.
    PermissionsBoundary,
    /// A service control policy of the organization.
    ServiceControlPolicy,
    /// A resource control policy of the organization.
    ResourceControlPolicy,
    /// The policy of the caller's session.
    SessionPolicy,
    /// AWS does not say, or names a kind that is not known here.
    Unknown,
}

impl DenyingPolicy {
    /// Whether what denies may be that no policy of the role allows it under the conditions of the call.
    fn may_lack_an_allow(self, explicit: bool) -> bool {
        !explicit && matches!(self, Self::Identity | Self::Unknown)
    }

    /// What to do about it: an Allow in the role's policies helps only where that is what is missing.
    fn remedy(self, explicit: bool) -> &'static str {
        match (self, explicit) {
            (Self::Identity, false) => {
                "allow it in that role's policies (deploy/iam in crossinvoke's repository has what it needs)"
            }
            (Self::Identity, true) => "a policy of that role denies it: remove that Deny",
            (Self::PermissionsBoundary, _) => {
                "the permissions boundary of that role denies it: let the boundary allow it, or give the role another one"
            }
            (Self::ServiceControlPolicy, _) => {
                "a service control policy of the organization denies it: let whoever administers the organization exempt that role"
            }
            (Self::ResourceControlPolicy, _) => {
                "a resource control policy of the organization denies it: let whoever administers the organization exempt that role or resource"
            }
            (Self::SessionPolicy, _) => {
                "the policy of its session denies it: correct what passes that policy when it opens the session"
            }
            (Self::Unknown, _) => {
                "allow it in that role's policies (deploy/iam in crossinvoke's repository has what it needs), and look for \
                 denies, its permissions boundary and policies of the organization"
            }
        }
    }
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
    /// What may be missing besides an Allow, where the caller knows more of the account than AWS says.
    pub also_missing: Option<String>,
    /// The id that AWS gave the call, to ask its support with.
    pub request_id: Option<String>,
    /// What it means.
    pub kind: AwsErrorKind,
    /// A change may have been made although the call failed: its answer was lost, late or unreadable, or was a fault of
    /// AWS's. False when the request was never sent or AWS refused it, and for calls that only read.
    pub outcome_unknown: bool,
}

impl AwsError {
    /// Whether nothing was sent, since the permit had run out.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.kind == AwsErrorKind::PermitExpired
    }

    /// Whether nothing came back of a change: AWS may apply it later than anybody waits.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.outcome_unknown && self.code.is_none() && self.kind == AwsErrorKind::Unavailable
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.as_ref().map_or_else(|| "AWS".to_owned(), |account| format!("account {account}"));
        let (service, operation, resource) = (self.service, self.operation, &self.resource);
        let said = match &self.code {
            Some(code) => format!("AWS says: {code}: {}", self.message),
            None => self.message.clone(),
        };
        // Last, so that a message without it is the same sentence.
        let said = said + &self.request_id.as_deref().map(request_id::suffix).unwrap_or_default();
        match &self.kind {
            AwsErrorKind::AccessDenied { who, action, resource: on, by, explicit } => write!(
                f,
                "{account}: {} may not {action} on {}; {}{}. {said}",
                // The role that people edit, and not its session, which AWS names.
                self.caller.as_deref().or(who.as_deref()).unwrap_or("the controller"),
                on.as_deref().unwrap_or(resource),
                self.also_missing
                    .as_ref()
                    .filter(|_| by.may_lack_an_allow(*explicit))
                    .map(|missing| format!("{missing}, or "))
                    .unwrap_or_default(),
                by.remedy(*explicit)
            ),
            AwsErrorKind::CertificateNotTrusted { host, fault } => write!(
                f,
                "{account}: {service} {operation} on {resource} was not sent, because the certificate of {host} is not trusted \
                 ({said}); {}",
                trusted_once(*fault)
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
            AwsErrorKind::PipelineUnreadable => write!(
                f,
                "{account}: what CodePipeline returns for {resource} cannot be read, and nothing is changed in it; look at it with \
                 `aws codepipeline get-pipeline` and correct what is unusual there. {said}"
            ),
            AwsErrorKind::Unmodifiable => write!(
                f,
                "{account}: {resource} is a role that only AWS may change (a service-linked or reserved role), so it cannot get the \
                 policy that it needs; give the pipeline or function that runs as it a role of your own. {said}"
            ),
            kind => write!(f, "{account}: {service} {operation} on {resource} failed; {}. {said}", remedy(kind)),
        }
    }
}

/// What to do about a certificate that is not trusted.
fn trusted_once(fault: CertificateFault) -> &'static str {
    match fault {
        CertificateFault::Authority => {
            "mount the certificates of the authority that signed it, beside all others that are needed, and name that file \
             in SSL_CERT_FILE (extraVolumes, extraVolumeMounts and extraEnv of the chart); the controller reads it when it starts"
        }
        CertificateFault::Certificate => "renew that certificate",
        CertificateFault::Time => "renew that certificate, or correct the clock of the node or of the endpoint",
        CertificateFault::Name => {
            "give the endpoint a certificate for that name, or correct AWS_ENDPOINT_URL or the proxy that answers in its place"
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
        AwsErrorKind::InvalidBoundary => {
            "the permissions boundary does not exist or cannot be attached: correct spec.invokeRoles.permissionsBoundaryARN of the AwsAccount, or create that policy"
        }
        AwsErrorKind::InvalidPrincipal => {
            "a principal that the trust policy names is not known to IAM: wait a minute or two if it is new, otherwise make it"
        }
        AwsErrorKind::AlreadyExists => "it is there although reads do not show it yet: it is read again automatically",
        AwsErrorKind::NotFound => {
            "what is to be written to is not there: if the role of the function or pipeline was deleted, make it again or give them another one"
        }
        AwsErrorKind::ExpiredToken => "the session has ended early: a new one is opened automatically",
        AwsErrorKind::PermitExpired => "nothing was sent: what it rests on is looked at again automatically",
        AwsErrorKind::NotPermitted => {
            "nothing was sent: it is tried again automatically, and if it stays so, crossinvoke itself is at fault"
        }
        AwsErrorKind::ConcurrentModification => "somebody else is changing it: it is tried again automatically",
        _ => "it is tried again automatically; if it stays so, look up what AWS says",
    }
}

impl Error for AwsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::conditions;

    fn error(kind: AwsErrorKind) -> AwsError {
        AwsError {
            service: "iam",
            operation: "CreateRole",
            account: Some("222222222222".parse().unwrap()),
            resource: "role x".to_owned(),
            caller: Some("arn:aws:iam::222222222222:role/crossinvoke".to_owned()),
            code: Some("AccessDenied".to_owned()),
            message: "no".to_owned(),
            also_missing: None,
            request_id: None,
            kind,
            outcome_unknown: false,
        }
    }

    #[test]
    fn a_denied_call_tells_who_may_not_do_what_on_what() {
        let on = Some("arn:aws:iam::222222222222:role/x".to_owned());
        let denied = |by, explicit| {
            let (who, action, resource) = (None, "iam:CreateRole".to_owned(), on.clone());
            error(AwsErrorKind::AccessDenied { who, action, resource, by, explicit }).to_string()
        };
        assert_eq!(
            denied(DenyingPolicy::Identity, false),
            "account 222222222222: arn:aws:iam::222222222222:role/crossinvoke may not iam:CreateRole on \
             arn:aws:iam::222222222222:role/x; allow it in that role's policies (deploy/iam in crossinvoke's repository \
             has what it needs). AWS says: AccessDenied: no"
        );
        // Who reads "allow it" where a boundary or the organization denies looks in the wrong place.
        for (by, explicit, named, allow) in [
            (DenyingPolicy::Identity, true, "remove that Deny", false),
            (DenyingPolicy::PermissionsBoundary, false, "permissions boundary of that role denies it", false),
            (DenyingPolicy::ServiceControlPolicy, true, "service control policy of the organization denies it", false),
            (
                DenyingPolicy::ResourceControlPolicy,
                true,
                "resource control policy of the organization denies it",
                false,
            ),
            (DenyingPolicy::SessionPolicy, false, "policy of its session denies it", false),
            (DenyingPolicy::Unknown, false, "policies of the organization", true),
        ] {
            let text = denied(by, explicit);
            assert!(text.contains(named), "{text}");
            assert_eq!(text.contains("allow it in that role's policies"), allow, "{text}");
        }
    }

    #[test]
    fn what_else_may_be_missing_is_told_only_where_an_allow_is() {
        let denied = |by, explicit| {
            let kind = AwsErrorKind::AccessDenied {
                who: None,
                action: "iam:CreateRole".to_owned(),
                resource: None,
                by,
                explicit,
            };
            AwsError { also_missing: Some("name the boundary".to_owned()), ..error(kind) }.to_string()
        };
        for (by, explicit, told) in [
            (DenyingPolicy::Identity, false, true),
            (DenyingPolicy::Unknown, false, true),
            (DenyingPolicy::Identity, true, false),
            (DenyingPolicy::Unknown, true, false),
            (DenyingPolicy::PermissionsBoundary, false, false),
            (DenyingPolicy::ServiceControlPolicy, false, false),
            (DenyingPolicy::ResourceControlPolicy, true, false),
            (DenyingPolicy::SessionPolicy, false, false),
        ] {
            let text = denied(by, explicit);
            assert_eq!(text.contains("on role x; name the boundary, or allow it in"), told, "{text}");
            assert_eq!(text.contains("name the boundary"), told, "{text}");
        }
    }

    #[test]
    fn the_request_id_is_the_last_word() {
        let with_id =
            |id: &str| AwsError { request_id: Some(id.to_owned()), ..error(AwsErrorKind::Throttled) }.to_string();
        let text = with_id("6f5b0c3e-0001");
        assert!(text.ends_with(" (request id 6f5b0c3e-0001)"), "{text}");
        assert_eq!(request_id::removed(&text), error(AwsErrorKind::Throttled).to_string());
        assert!(conditions::is_same_message(&text, &with_id("6f5b0c3e-0002")));
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
            AwsErrorKind::PipelineUnreadable,
            AwsErrorKind::Unmodifiable,
            AwsErrorKind::MalformedPolicy,
            AwsErrorKind::InvalidInput,
            AwsErrorKind::InvalidBoundary,
            AwsErrorKind::InvalidPrincipal,
            AwsErrorKind::AlreadyExists,
            AwsErrorKind::NotFound,
            AwsErrorKind::ExpiredToken,
            AwsErrorKind::ConcurrentModification,
            AwsErrorKind::PermitExpired,
            AwsErrorKind::NotPermitted,
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
                "automatically",
                "have it raised",
            ];
            assert!(remedies.iter().any(|remedy| before_aws.contains(remedy)), "what to do is missing: {text}");
            assert!(text.starts_with("account 222222222222: "), "{text}");
            assert!(text.ends_with(". AWS says: AccessDenied: no"), "{text}");
        }
    }

    #[test]
    fn an_untrusted_certificate_names_its_host_and_what_has_to_change() {
        for (fault, remedy) in [
            (
                CertificateFault::Authority,
                "name that file in SSL_CERT_FILE (extraVolumes, extraVolumeMounts and extraEnv",
            ),
            (CertificateFault::Time, "correct the clock"),
            (CertificateFault::Certificate, "renew that certificate"),
            (CertificateFault::Name, "correct AWS_ENDPOINT_URL"),
        ] {
            let kind = AwsErrorKind::CertificateNotTrusted { host: "iam.example:8443".to_owned(), fault };
            let text = AwsError { code: None, message: "UnknownIssuer".to_owned(), ..error(kind) }.to_string();
            let begins = "account 222222222222: iam CreateRole on role x was not sent, because the certificate of \
                          iam.example:8443 is not trusted (UnknownIssuer); ";
            assert!(text.starts_with(begins) && text.contains(remedy), "{text}");
        }
    }
}
