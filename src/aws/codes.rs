//! The one table from AWS's codes to what they mean. Wire codes: IAM and STS leave out the `Exception` that the typed
//! names carry. Sources: the "Errors" sections of the operations in the API references of IAM, STS, CodePipeline and
//! Lambda, and their pages of common errors.

use super::{AwsErrorKind, error::DenyingPolicy};
use crate::domain::ids::Arn;

const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
];
const UNAVAILABLE: &[&str] = &[
    "ServiceFailure",
    "InternalFailure",
    "InternalError",
    "InternalServerError",
    "ServiceUnavailable",
    "ServiceException",
    "ServiceUnavailableException",
    "InternalServerException",
    "IDPCommunicationError",
    "RequestTimeout",
    "RequestTimeoutException",
];
const EXPIRED: &[&str] = &["ExpiredToken", "ExpiredTokenException"];
/// What AWS answers to the session of a role that was deleted, also where a role of that name was made since: the key is
/// not in its records any more (common errors of IAM and of Lambda).
const DEAD: &[&str] = &["InvalidClientTokenId", "UnrecognizedClientException"];
const NO_CREDENTIALS: &[&str] = &[
    "InvalidAccessKeyId",
    "AuthFailure",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
];
const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"];
/// What AssumeRole answers beside a denial when a role cannot be assumed as asked.
const NOT_ASSUMABLE: &[&str] =
    &["RegionDisabledException", "RegionDisabled", "PackedPolicyTooLarge", "ValidationError"];
const NOT_FOUND: &[&str] =
    &["NoSuchEntity", "ResourceNotFoundException", "PipelineNotFoundException", "PipelineVersionNotFoundException"];
const NO_SUCH_PIPELINE: &str = "does not have a pipeline with name";
const CONCURRENT: &[&str] = &[
    "ConcurrentModification",
    "ConcurrentModificationException",
    "EntityTemporarilyUnmodifiable",
    "ConflictException",
];

/// Whether credentials that get this answer are of no more use.
pub(super) fn ends_session(code: &str) -> bool {
    EXPIRED.contains(&code) || DEAD.contains(&code)
}

/// Whether this is the answer to a call that is one too many.
pub(super) fn is_throttling(code: &str) -> bool {
    THROTTLED.contains(&code)
}

/// Whether this is the answer to a call that lacks a right.
pub(super) fn is_denial(code: &str) -> bool {
    DENIED.contains(&code)
}

/// What a code means. Where a code stands for several things, the message decides.
pub(super) fn kind_of(service: &str, operation: &str, code: &str, message: &str) -> AwsErrorKind {
    let assuming = service == "sts" && operation == "AssumeRole";
    let is = |codes: &[&str]| codes.contains(&code);
    match () {
        () if is(THROTTLED) => AwsErrorKind::Throttled,
        () if is(UNAVAILABLE) => AwsErrorKind::Unavailable,
        // STS says it of the controller's own credentials, which a new session would only be refused with again.
        () if ends_session(code) && service != "sts" => AwsErrorKind::ExpiredToken,
        () if ends_session(code) || is(NO_CREDENTIALS) => AwsErrorKind::NoCredentials,
        () if assuming && (is(DENIED) || is(NOT_ASSUMABLE)) => AwsErrorKind::AssumeRoleDenied,
        () if is(DENIED) => denied(message, || format!("{service}:{operation}")),
        () if is_about_boundary(operation, code, message) => AwsErrorKind::InvalidBoundary,
        () if is(NOT_FOUND) => AwsErrorKind::NotFound,
        // CodePipeline has been seen to say it under the code of a malformed request.
        () if service == "codepipeline" && code == "ValidationException" && message.contains(NO_SUCH_PIPELINE) => {
            AwsErrorKind::NotFound
        }
        () if is(CONCURRENT) => AwsErrorKind::ConcurrentModification,
        () => kind_of_one(service, code, message),
    }
}

/// "Scope ARN: … does not exist or is not attachable"; of a role both operations say that it "cannot be found".
fn is_about_boundary(operation: &str, code: &str, message: &str) -> bool {
    matches!(operation, "CreateRole" | "PutRolePermissionsBoundary")
        && matches!(code, "NoSuchEntity" | "PolicyNotAttachable")
        && message.contains("not attachable")
}

/// Codes that stand for one thing each.
fn kind_of_one(service: &str, code: &str, message: &str) -> AwsErrorKind {
    match code {
        "EntityAlreadyExists" => AwsErrorKind::AlreadyExists,
        "UnmodifiableEntity" | "UnmodifiableEntityException" => AwsErrorKind::Unmodifiable,
        "DeleteConflict" => AwsErrorKind::DeleteConflict,
        "LimitExceeded" | "LimitExceededException" => {
            if message.contains("Maximum policy size") || message.contains("ACLSizePerRole") {
                AwsErrorKind::PolicySizeExceeded
            } else {
                AwsErrorKind::LimitExceeded
            }
        }
        "MalformedPolicyDocument" if message.contains("Invalid principal") => AwsErrorKind::InvalidPrincipal,
        "MalformedPolicyDocument" => AwsErrorKind::MalformedPolicy,
        "ValidationError" | "InvalidInput" if service == "iam" => AwsErrorKind::InvalidInput,
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

/// Takes "User: WHO is not authorized to perform: ACTION on resource: RESOURCE because no KIND policy allows …" (or "with
/// an explicit deny in a KIND policy") apart (IAM User Guide, access denied messages). A role is `role NAME` there where it
/// is what the call names, and an ARN elsewhere.
fn denied(message: &str, called: impl FnOnce() -> String) -> AwsErrorKind {
    let after = |marker: &str| Some(message.split_once(marker)?.1.trim_start());
    let word_after = |marker: &str| {
        let word = after(marker)?.split_whitespace().next()?.trim_end_matches([',', '.']);
        (!word.is_empty()).then(|| word.to_owned())
    };
    let reason = [" because ", " with an explicit deny", ". ", "\n"];
    let resource = after("on resource:").map(|rest| {
        let end = reason.iter().filter_map(|marker| rest.find(marker)).min().unwrap_or(rest.len());
        rest[..end].trim_end_matches([',', '.', ' ']).to_owned()
    });
    AwsErrorKind::AccessDenied {
        who: word_after("User:"),
        action: word_after("not authorized to perform:").unwrap_or_else(called),
        resource: resource.filter(|resource| !resource.is_empty()),
        by: denying_policy(message),
        explicit: message.contains("explicit deny"),
    }
}

/// The kind of policy that AWS names as the one that denies.
fn denying_policy(message: &str) -> DenyingPolicy {
    let kinds = [
        ("permissions boundary", DenyingPolicy::PermissionsBoundary),
        ("service control policy", DenyingPolicy::ServiceControlPolicy),
        ("resource control policy", DenyingPolicy::ResourceControlPolicy),
        ("session policy", DenyingPolicy::SessionPolicy),
        ("identity-based policy", DenyingPolicy::Identity),
    ];
    // Only behind these words: names of resources may hold anything.
    let because = ["because no ", "with an explicit deny in a ", "with an explicit deny in an "];
    let kind_after = |marker: &&str| {
        let rest = message.split_once(*marker)?.1;
        kinds.iter().find(|(name, _)| rest.starts_with(name)).map(|(_, kind)| *kind)
    };
    because.iter().find_map(kind_after).unwrap_or(DenyingPolicy::Unknown)
}

/// Takes the action role out of "Pipeline role … is not authorized to perform AssumeRole on action role ARN".
fn refused_role(message: &str) -> Option<Arn> {
    let rest = message.split_once("not authorized to perform AssumeRole on")?.1;
    let mut words = rest.split_whitespace().map(|word| word.trim_matches(['.', ',', ';', ')', '"', '\'']));
    words.find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIED: &str = "User: arn:aws:sts::222222222222:assumed-role/crossinvoke/s is not authorized to perform: \
        iam:CreateRole on resource: arn:aws:iam::222222222222:role/x because no identity-based policy allows the \
        iam:CreateRole action";

    fn check(table: &[(&str, &str, &str, &str, AwsErrorKind)]) {
        for (service, operation, code, message, expected) in table {
            assert_eq!(kind_of(service, operation, code, message), *expected, "{service} {operation} {code} {message}");
        }
    }

    fn denied_to(
        who: Option<&str>,
        action: &str,
        resource: Option<&str>,
        by: DenyingPolicy,
        explicit: bool,
    ) -> AwsErrorKind {
        let text = |text: &str| text.to_owned();
        AwsErrorKind::AccessDenied {
            who: who.map(text),
            action: text(action),
            resource: resource.map(text),
            by,
            explicit,
        }
    }

    #[test]
    fn a_denial_is_taken_apart_into_who_what_where_and_which_policy() {
        use DenyingPolicy as By;
        const WHO: &str = "arn:aws:sts::222222222222:assumed-role/crossinvoke/s";
        let on_role = "on resource: role crossinvoke-validate-x4";
        for (rest, resource, by, explicit) in [
            (
                format!("{on_role} because no identity-based policy allows the iam:PutRolePolicy action"),
                Some("role crossinvoke-validate-x4"),
                By::Identity,
                false,
            ),
            (
                format!("{on_role} with an explicit deny in an identity-based policy: arn:aws:iam::222222222222:policy/p"),
                Some("role crossinvoke-validate-x4"),
                By::Identity,
                true,
            ),
            (
                "on resource: arn:aws:iam::222222222222:role/because-no-session-policy because no permissions boundary \
                 allows the iam:PutRolePolicy action"
                    .to_owned(),
                Some("arn:aws:iam::222222222222:role/because-no-session-policy"),
                By::PermissionsBoundary,
                false,
            ),
            (
                format!("{on_role} with an explicit deny in a permissions boundary"),
                Some("role crossinvoke-validate-x4"),
                By::PermissionsBoundary,
                true,
            ),
            (
                format!("{on_role} with an explicit deny in a service control policy"),
                Some("role crossinvoke-validate-x4"),
                By::ServiceControlPolicy,
                true,
            ),
            (
                format!("{on_role} because no service control policy allows the iam:PutRolePolicy action"),
                Some("role crossinvoke-validate-x4"),
                By::ServiceControlPolicy,
                false,
            ),
            (
                format!("{on_role} with an explicit deny in a resource control policy"),
                Some("role crossinvoke-validate-x4"),
                By::ResourceControlPolicy,
                true,
            ),
            (
                format!("{on_role} because no session policy allows the iam:PutRolePolicy action"),
                Some("role crossinvoke-validate-x4"),
                By::SessionPolicy,
                false,
            ),
            (
                format!("{on_role} because no VPC endpoint policy allows the iam:PutRolePolicy action"),
                Some("role crossinvoke-validate-x4"),
                By::Unknown,
                false,
            ),
            (format!("{on_role}."), Some("role crossinvoke-validate-x4"), By::Unknown, false),
            (String::new(), None, By::Unknown, false),
        ] {
            let message = format!("User: {WHO} is not authorized to perform: iam:PutRolePolicy {rest}");
            let expected = denied_to(Some(WHO), "iam:PutRolePolicy", resource, by, explicit);
            assert_eq!(kind_of("iam", "PutRolePolicy", "AccessDenied", &message), expected, "{message}");
        }
    }

    #[test]
    fn codes_of_any_service() {
        use AwsErrorKind as K;
        check(&[
            ("iam", "GetRole", "Throttling", "Rate exceeded", K::Throttled),
            ("codepipeline", "GetPipeline", "ThrottlingException", "Rate exceeded", K::Throttled),
            ("lambda", "GetFunctionConfiguration", "TooManyRequestsException", "", K::Throttled),
            ("iam", "GetRole", "RequestLimitExceeded", "", K::Throttled),
            ("iam", "GetRole", "ServiceFailure", "", K::Unavailable),
            ("iam", "GetRole", "ServiceUnavailable", "", K::Unavailable),
            ("codepipeline", "GetPipeline", "InternalFailure", "", K::Unavailable),
            ("lambda", "GetFunctionConfiguration", "ServiceException", "", K::Unavailable),
            ("iam", "GetRole", "ExpiredToken", "", K::ExpiredToken),
            ("codepipeline", "GetPipeline", "ExpiredTokenException", "", K::ExpiredToken),
            ("iam", "GetRole", "InvalidClientTokenId", "", K::ExpiredToken),
            ("lambda", "GetFunctionConfiguration", "UnrecognizedClientException", "", K::ExpiredToken),
            ("codepipeline", "GetPipeline", "InvalidSignatureException", "Signature expired", K::NoCredentials),
            ("iam", "GetRole", "SomethingNew", "", K::Other),
        ]);
    }

    #[test]
    fn codes_of_iam() {
        use AwsErrorKind as K;
        check(&[("iam", "CreateRole", "ValidationError", "Value at 'tags'", K::InvalidInput)]);
        let (size, acl) = ("Maximum policy size of 10240 bytes exceeded for role R", "ACLSizePerRole");
        let acl = format!("Cannot exceed quota for {acl}: 2048");
        check(&[
            ("iam", "GetRole", "NoSuchEntity", "", K::NotFound),
            ("iam", "PutRolePermissionsBoundary", "NoSuchEntity", "The role with name r cannot be found.", K::NotFound),
            (
                "iam",
                "CreateRole",
                "NoSuchEntity",
                "Scope ARN: arn:aws:iam::222222222222:policy/gone does not exist or is not attachable.",
                K::InvalidBoundary,
            ),
            // Of a policy that is attached it says the same of another thing.
            ("iam", "AttachRolePolicy", "NoSuchEntity", "Policy p does not exist or is not attachable.", K::NotFound),
            ("iam", "CreateRole", "EntityAlreadyExists", "", K::AlreadyExists),
            ("iam", "DeleteRole", "DeleteConflict", "", K::DeleteConflict),
            ("iam", "CreateRole", "ConcurrentModification", "", K::ConcurrentModification),
            ("iam", "PutRolePolicy", "LimitExceeded", size, K::PolicySizeExceeded),
            ("iam", "UpdateAssumeRolePolicy", "LimitExceeded", &acl, K::PolicySizeExceeded),
            ("iam", "CreateRole", "LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000", K::LimitExceeded),
            (
                "iam",
                "CreateRole",
                "MalformedPolicyDocument",
                "Invalid principal in policy: \"AWS\":\"arn\"",
                K::InvalidPrincipal,
            ),
            ("iam", "CreateRole", "MalformedPolicyDocument", "Syntax errors in policy.", K::MalformedPolicy),
            ("iam", "PutRolePolicy", "UnmodifiableEntity", "", K::Unmodifiable),
            (
                "iam",
                "CreateRole",
                "AccessDenied",
                DENIED,
                denied_to(
                    Some("arn:aws:sts::222222222222:assumed-role/crossinvoke/s"),
                    "iam:CreateRole",
                    Some("arn:aws:iam::222222222222:role/x"),
                    DenyingPolicy::Identity,
                    false,
                ),
            ),
            // With iam:PassRole it is another action than the one that was called.
            (
                "codepipeline",
                "UpdatePipeline",
                "AccessDeniedException",
                "User: u is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/p",
                denied_to(Some("u"), "iam:PassRole", Some("arn:aws:iam::1:role/p"), DenyingPolicy::Unknown, false),
            ),
            (
                "lambda",
                "GetFunctionConfiguration",
                "AccessDeniedException",
                "no",
                denied_to(None, "lambda:GetFunctionConfiguration", None, DenyingPolicy::Unknown, false),
            ),
        ]);
    }

    #[test]
    fn codes_of_sts() {
        use AwsErrorKind as K;
        check(&[
            ("sts", "AssumeRole", "AccessDenied", DENIED, K::AssumeRoleDenied),
            ("sts", "AssumeRole", "RegionDisabledException", "", K::AssumeRoleDenied),
            ("sts", "AssumeRole", "PackedPolicyTooLarge", "", K::AssumeRoleDenied),
            ("sts", "AssumeRole", "ValidationError", "", K::AssumeRoleDenied),
            ("sts", "AssumeRole", "ExpiredToken", "", K::NoCredentials),
            ("sts", "GetCallerIdentity", "ExpiredToken", "", K::NoCredentials),
            ("sts", "AssumeRole", "InvalidClientTokenId", "", K::NoCredentials),
            ("sts", "AssumeRole", "SignatureDoesNotMatch", "", K::NoCredentials),
            ("sts", "AssumeRole", "Throttling", "", K::Throttled),
            ("sts", "AssumeRoleWithWebIdentity", "IDPCommunicationError", "", K::Unavailable),
        ]);
    }

    #[test]
    fn codes_of_codepipeline_and_lambda() {
        use AwsErrorKind as K;
        let role: Arn = "arn:aws-cn:iam::222222222222:role/crossinvoke/x/validate".parse().unwrap();
        let cannot = |tail: &str| format!("Pipeline role arn:aws:iam::1:role/R is not authorized to perform {tail}");
        let documented = cannot(&format!("AssumeRole on action role {role}"));
        let in_brackets = cannot(&format!("AssumeRole on role {role} (Service: AWSCodePipeline)."));
        let with_a_stop = cannot(&format!("AssumeRole on action role {role}."));
        let of_nobody = cannot("AssumeRole on action role x");
        let nobodys = "Account '111111111111' does not have a pipeline with name 'payments'";
        let update = |code: &'static str, message, kind| ("codepipeline", "UpdatePipeline", code, message, kind);
        check(&[
            update("InvalidStructureException", documented.as_str(), K::PipelineCannotAssume { role: role.clone() }),
            update("InvalidStructureException", in_brackets.as_str(), K::PipelineCannotAssume { role: role.clone() }),
            update("InvalidStructureException", with_a_stop.as_str(), K::PipelineCannotAssume { role }),
            update("InvalidStructureException", of_nobody.as_str(), K::PipelineRefused),
            update("InvalidStructureException", "Pipeline has only 1 stage(s).", K::PipelineRefused),
            update("InvalidActionDeclarationException", "", K::PipelineRefused),
            update("InvalidStageDeclarationException", "", K::PipelineRefused),
            update("InvalidBlockerDeclarationException", "", K::PipelineRefused),
            update("ValidationException", "", K::PipelineRefused),
            update("LimitExceededException", "", K::LimitExceeded),
            update("PipelineNotFoundException", "", K::NotFound),
            update("ConcurrentModificationException", "", K::ConcurrentModification),
            update("ConflictException", "", K::ConcurrentModification),
            ("codepipeline", "GetPipeline", "PipelineVersionNotFoundException", "", K::NotFound),
            ("codepipeline", "GetPipeline", "PipelineNotFoundException", nobodys, K::NotFound),
            ("codepipeline", "GetPipeline", "ValidationException", nobodys, K::NotFound),
            ("codepipeline", "ListPipelineExecutions", "ValidationException", nobodys, K::NotFound),
            ("codepipeline", "GetPipeline", "ValidationException", "1 validation error detected", K::PipelineRefused),
            ("lambda", "GetFunctionConfiguration", "ValidationException", nobodys, K::Other),
            ("lambda", "GetFunctionConfiguration", "ResourceNotFoundException", "", K::NotFound),
        ]);
    }
}
