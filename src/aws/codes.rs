//! The one table from AWS's codes to what they mean. Wire codes: IAM and STS leave out the `Exception` that the typed
//! names carry. Sources: the "Errors" sections of the operations in the API references of IAM, STS, CodePipeline and
//! Lambda, and their pages of common errors.

use super::AwsErrorKind;
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
const NO_CREDENTIALS: &[&str] = &[
    "InvalidClientTokenId",
    "UnrecognizedClientException",
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
const CONCURRENT: &[&str] = &[
    "ConcurrentModification",
    "ConcurrentModificationException",
    "EntityTemporarilyUnmodifiable",
    "ConflictException",
];

/// What a code means. Where a code stands for several things, the message decides.
pub(super) fn kind_of(service: &str, operation: &str, code: &str, message: &str) -> AwsErrorKind {
    let assuming = service == "sts" && operation == "AssumeRole";
    let is = |codes: &[&str]| codes.contains(&code);
    match () {
        () if is(THROTTLED) => AwsErrorKind::Throttled,
        () if is(UNAVAILABLE) => AwsErrorKind::Unavailable,
        // STS says it of the controller's own credentials, which a new session would only be refused with again.
        () if is(EXPIRED) && service != "sts" => AwsErrorKind::ExpiredToken,
        () if is(EXPIRED) || is(NO_CREDENTIALS) => AwsErrorKind::NoCredentials,
        () if assuming && (is(DENIED) || is(NOT_ASSUMABLE)) => AwsErrorKind::AssumeRoleDenied,
        () if is(DENIED) => {
            let (action, resource) = denied(message);
            AwsErrorKind::AccessDenied { action: action.unwrap_or_else(|| format!("{service}:{operation}")), resource }
        }
        () if is(NOT_FOUND) => AwsErrorKind::NotFound,
        () if is(CONCURRENT) => AwsErrorKind::ConcurrentModification,
        () => kind_of_one(service, code, message),
    }
}

/// Codes that stand for one thing each.
fn kind_of_one(service: &str, code: &str, message: &str) -> AwsErrorKind {
    match code {
        "EntityAlreadyExists" => AwsErrorKind::AlreadyExists,
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

/// Takes "… is not authorized to perform: ACTION on resource: RESOURCE because …" apart.
fn denied(message: &str) -> (Option<String>, Option<String>) {
    let word_after = |marker: &str| {
        let word = message.split_once(marker)?.1.split_whitespace().next()?.trim_end_matches([',', '.']);
        (!word.is_empty()).then(|| word.to_owned())
    };
    (word_after("not authorized to perform:"), word_after("on resource:"))
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

    fn denied_to(action: &str, resource: Option<&str>) -> AwsErrorKind {
        AwsErrorKind::AccessDenied { action: action.to_owned(), resource: resource.map(str::to_owned) }
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
            ("iam", "GetRole", "InvalidClientTokenId", "", K::NoCredentials),
            ("lambda", "GetFunctionConfiguration", "UnrecognizedClientException", "", K::NoCredentials),
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
            ("iam", "PutRolePolicy", "UnmodifiableEntity", "", K::Other),
            (
                "iam",
                "CreateRole",
                "AccessDenied",
                DENIED,
                denied_to("iam:CreateRole", Some("arn:aws:iam::222222222222:role/x")),
            ),
            // With iam:PassRole it is another action than the one that was called.
            (
                "codepipeline",
                "UpdatePipeline",
                "AccessDeniedException",
                "User: u is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/p",
                denied_to("iam:PassRole", Some("arn:aws:iam::1:role/p")),
            ),
            (
                "lambda",
                "GetFunctionConfiguration",
                "AccessDeniedException",
                "no",
                denied_to("lambda:GetFunctionConfiguration", None),
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
            ("lambda", "GetFunctionConfiguration", "ResourceNotFoundException", "", K::NotFound),
        ]);
    }
}
