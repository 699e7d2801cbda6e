//! AWS errors, classified by code in one table, through the whole source chain: a failed `AssumeRole` arrives inside a
//! dispatch failure and must not pass for a network fault.

use std::{error::Error, fmt};

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

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
    /// The process has no AWS credentials.
    NoCredentials,
    /// The session's token has expired.
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
    /// AWS's code.
    pub code: Option<String>,
    /// AWS's message, or what happened instead of an answer.
    pub message: String,
    /// What it means.
    pub kind: AwsErrorKind,
}

/// What a call is about; an error's first half.
#[derive(Clone, Debug)]
pub struct Call {
    /// The service.
    pub service: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// The account.
    pub account: Option<AccountId>,
    /// What it is about.
    pub resource: String,
}

impl Call {
    /// An error of this call.
    #[must_use]
    pub fn failed(&self, kind: AwsErrorKind, code: Option<String>, message: String) -> AwsError {
        let Self { service, operation, account, resource } = self.clone();
        AwsError { service, operation, account, resource, code, message, kind }
    }

    /// Classifies what the SDK returned.
    #[must_use]
    pub fn classify<E, R>(&self, error: &SdkError<E, R>) -> AwsError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        if let Some(inner) = in_chain::<AwsError>(error) {
            return inner.clone();
        }
        if let Some(CredentialsError::CredentialsNotLoaded(_)) = in_chain::<CredentialsError>(error) {
            return self.failed(AwsErrorKind::NoCredentials, None, chain_text(error));
        }
        if let Some(answered) = error.as_service_error() {
            let code = answered.code().unwrap_or_default();
            let message = answered.message().unwrap_or_default();
            return self.failed(
                kind_of(self.service, self.operation, code, message),
                Some(code.to_owned()),
                message.to_owned(),
            );
        }
        // No answer: a timeout, a lost connection, or an answer that is none.
        self.failed(AwsErrorKind::Unavailable, None, chain_text(error))
    }
}

/// The table: AWS codes to what they mean.
#[must_use]
pub fn kind_of(service: &str, operation: &str, code: &str, message: &str) -> AwsErrorKind {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown" => AwsErrorKind::Throttled,
        "ServiceFailure"
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "ServiceException"
        | "ServiceUnavailableException"
        | "InternalServerException"
        | "RequestTimeout"
        | "RequestTimeoutException" => AwsErrorKind::Unavailable,
        "ExpiredToken" | "ExpiredTokenException" => AwsErrorKind::ExpiredToken,
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => AwsErrorKind::NoCredentials,
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" => {
            if service == "sts" && operation == "AssumeRole" {
                AwsErrorKind::AssumeRoleDenied
            } else {
                let (action, resource) = denied(message);
                AwsErrorKind::AccessDenied {
                    action: action.unwrap_or_else(|| format!("{service}:{operation}")),
                    resource,
                }
            }
        }
        "RegionDisabledException" | "PackedPolicyTooLarge" if service == "sts" => AwsErrorKind::AssumeRoleDenied,
        "NoSuchEntity"
        | "ResourceNotFoundException"
        | "PipelineNotFoundException"
        | "PipelineVersionNotFoundException" => AwsErrorKind::NotFound,
        "EntityAlreadyExists" => AwsErrorKind::AlreadyExists,
        "DeleteConflict" => AwsErrorKind::DeleteConflict,
        "ConcurrentModification" | "ConcurrentModificationException" => AwsErrorKind::ConcurrentModification,
        "LimitExceeded" | "LimitExceededException" => {
            if message.contains("Maximum policy size") || message.contains("ACLSizePerRole") {
                AwsErrorKind::PolicySizeExceeded
            } else {
                AwsErrorKind::LimitExceeded
            }
        }
        "MalformedPolicyDocument" if message.contains("Invalid principal") => AwsErrorKind::InvalidPrincipal,
        "MalformedPolicyDocument" => AwsErrorKind::MalformedPolicy,
        "InvalidStructureException" => match refused_role(message) {
            Some(role) => AwsErrorKind::PipelineCannotAssume { role },
            None => AwsErrorKind::PipelineRefused,
        },
        "InvalidStageDeclarationException"
        | "InvalidActionDeclarationException"
        | "InvalidBlockerDeclarationException"
        | "InvalidTagsException" => AwsErrorKind::PipelineRefused,
        "ValidationException" if service == "codepipeline" => AwsErrorKind::PipelineRefused,
        _ => AwsErrorKind::Other,
    }
}

/// Takes "… is not authorized to perform: ACTION on resource: RESOURCE because …" apart.
fn denied(message: &str) -> (Option<String>, Option<String>) {
    let word_after = |marker: &str| {
        let rest = message.split_once(marker)?.1.trim_start();
        let word = rest.split_whitespace().next()?.trim_end_matches([',', '.']);
        (!word.is_empty()).then(|| word.to_owned())
    };
    (word_after("not authorized to perform:"), word_after("on resource:"))
}

/// Takes the action role out of "Pipeline role … is not authorized to perform AssumeRole on action role ARN".
fn refused_role(message: &str) -> Option<Arn> {
    let rest = message.split_once("not authorized to perform AssumeRole on")?.1;
    rest.split_whitespace().find_map(|word| word.trim_matches(['.', ',', '"', '\'']).parse().ok())
}

fn in_chain<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn chain_text(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = self.account.as_ref().map_or_else(|| "AWS".to_owned(), |account| format!("account {account}"));
        let (service, operation, resource) = (self.service, self.operation, &self.resource);
        let said = match &self.code {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        };
        match &self.kind {
            AwsErrorKind::AccessDenied { action, resource: on } => write!(
                f,
                "{account}: the controller may not {action} on {}; allow it in the policies of its role there \
                 (deploy/iam in crossinvoke's repository has what it needs), and look for denies and boundaries. AWS says: {said}",
                on.as_deref().unwrap_or(resource)
            ),
            AwsErrorKind::AssumeRoleDenied => write!(
                f,
                "{account}: the controller cannot assume {resource}; let that role's trust policy name the controller's identity \
                 (with the external id of the AwsAccount, if it asks for one), and let the controller's own policy allow sts:AssumeRole on it. AWS says: {said}"
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
                write!(f, "{account}: {service} {operation} was throttled; it is tried again more slowly ({said})")
            }
            AwsErrorKind::PolicySizeExceeded => write!(
                f,
                "{account}: {resource} has no room for the policy that {operation} writes; remove other inline policies of that role. AWS says: {said}"
            ),
            _ => write!(f, "{account}: {service} {operation} on {resource} failed: {said}"),
        }
    }
}

impl Error for AwsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_meaning() {
        use AwsErrorKind as K;
        let role: Arn = "arn:aws:iam::222222222222:role/crossinvoke/x/validate".parse().unwrap();
        let cannot = format!(
            "Pipeline role arn:aws:iam::111111111111:role/R is not authorized to perform AssumeRole on action role {role}"
        );
        let denied = "User: arn:aws:sts::222222222222:assumed-role/crossinvoke/s is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::222222222222:role/x because no identity-based policy allows the iam:CreateRole action";
        let table: &[(&str, &str, &str, &str, K)] = &[
            ("iam", "GetRole", "Throttling", "Rate exceeded", K::Throttled),
            ("codepipeline", "GetPipeline", "ThrottlingException", "Rate exceeded", K::Throttled),
            ("lambda", "GetFunctionConfiguration", "TooManyRequestsException", "", K::Throttled),
            ("iam", "GetRole", "ServiceFailure", "", K::Unavailable),
            ("iam", "GetRole", "NoSuchEntity", "", K::NotFound),
            ("codepipeline", "UpdatePipeline", "PipelineNotFoundException", "", K::NotFound),
            ("iam", "CreateRole", "EntityAlreadyExists", "", K::AlreadyExists),
            ("iam", "DeleteRole", "DeleteConflict", "", K::DeleteConflict),
            ("iam", "CreateRole", "ConcurrentModification", "", K::ConcurrentModification),
            (
                "iam",
                "PutRolePolicy",
                "LimitExceeded",
                "Maximum policy size of 10240 bytes exceeded for role R",
                K::PolicySizeExceeded,
            ),
            (
                "iam",
                "UpdateAssumeRolePolicy",
                "LimitExceeded",
                "Cannot exceed quota for ACLSizePerRole: 2048",
                K::PolicySizeExceeded,
            ),
            ("iam", "CreateRole", "LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", K::LimitExceeded),
            (
                "iam",
                "CreateRole",
                "MalformedPolicyDocument",
                "Invalid principal in policy: \"AWS\":\"arn\"",
                K::InvalidPrincipal,
            ),
            ("iam", "CreateRole", "MalformedPolicyDocument", "Syntax errors in policy.", K::MalformedPolicy),
            (
                "iam",
                "CreateRole",
                "AccessDenied",
                denied,
                K::AccessDenied {
                    action: "iam:CreateRole".to_owned(),
                    resource: Some("arn:aws:iam::222222222222:role/x".to_owned()),
                },
            ),
            (
                "lambda",
                "GetFunctionConfiguration",
                "AccessDeniedException",
                "no",
                K::AccessDenied { action: "lambda:GetFunctionConfiguration".to_owned(), resource: None },
            ),
            ("sts", "AssumeRole", "AccessDenied", denied, K::AssumeRoleDenied),
            ("sts", "GetCallerIdentity", "ExpiredToken", "", K::ExpiredToken),
            ("codepipeline", "GetPipeline", "ExpiredTokenException", "", K::ExpiredToken),
            ("sts", "AssumeRole", "InvalidClientTokenId", "", K::NoCredentials),
            ("codepipeline", "UpdatePipeline", "InvalidStructureException", &cannot, K::PipelineCannotAssume { role }),
            (
                "codepipeline",
                "UpdatePipeline",
                "InvalidStructureException",
                "Pipeline has only 1 stage(s).",
                K::PipelineRefused,
            ),
            ("codepipeline", "UpdatePipeline", "InvalidActionDeclarationException", "", K::PipelineRefused),
            ("codepipeline", "UpdatePipeline", "ValidationException", "", K::PipelineRefused),
            ("codepipeline", "UpdatePipeline", "LimitExceededException", "", K::LimitExceeded),
            ("iam", "GetRole", "SomethingNew", "", K::Other),
        ];
        for (service, operation, code, message, expected) in table {
            assert_eq!(kind_of(service, operation, code, message), *expected, "{code} {message}");
        }
    }

    #[test]
    fn a_denied_call_tells_what_to_allow_where() {
        let call = Call {
            service: "iam",
            operation: "CreateRole",
            account: Some("222222222222".parse().unwrap()),
            resource: "role x".to_owned(),
        };
        let kind = AwsErrorKind::AccessDenied { action: "iam:CreateRole".to_owned(), resource: None };
        let text = call.failed(kind, Some("AccessDenied".to_owned()), "no".to_owned()).to_string();
        assert!(
            text.starts_with("account 222222222222: the controller may not iam:CreateRole on role x; allow it"),
            "{text}"
        );
    }
}
