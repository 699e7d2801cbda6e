//! Denials in AWS's words: who, what, on which resource by which name, and which policy denies.
//!
//! Sources: IAM User Guide, "Troubleshoot access denied error messages"; AWS Security Blog, "Enhanced access denied error
//! messages with policy ARNs"; how IAM names a role: reports of denied calls, such as hashicorp/terraform-provider-aws
//! runs ("iam:PutRolePolicy on resource: role NAME because no identity-based policy allows …").

use fakeaws::{ControlPolicy, FakeAws};
use serde_json::{Value, json};

use crate::support::{
    DEV, PLATFORM, READER, REGION, TOOLS, allow, assume, config, iam, key, post, refusal, start, sts, trust,
};

const READER_SESSION: &str = "arn:aws:sts::222222222222:assumed-role/reader/test-key";
const SCP: &str = "arn:aws:organizations::999999999999:policy/o-example/service_control_policy/p-guard";
const RCP: &str = "arn:aws:organizations::999999999999:policy/o-example/resource_control_policy/p-perimeter";

pub(crate) fn deny(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]})
}

fn deny_everybody(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"},
    ]})
}

/// The message of a refused call of IAM, from its raw form.
async fn iam_message(aws: &FakeAws, access_key: &str, form: &str) -> String {
    let headers = "content-type: application/x-www-form-urlencoded";
    let (status, _, body) = post(aws, (access_key, "iam"), "/", headers, form.as_bytes()).await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 403, "{form}: {body}");
    assert!(body.contains("<Code>AccessDenied</Code>"), "{form}: {body}");
    let (_, rest) = body.split_once("<Message>").unwrap();
    rest.split_once("</Message>").unwrap().0.to_owned()
}

#[tokio::test]
async fn iam_names_a_role_by_its_name_or_by_its_arn_as_the_call_has_it() {
    let aws = start().await;
    aws.admin().remove_inline_policy(DEV, "reader", "read").unwrap();
    let document = trust(json!({"AWS": "222222222222"})).to_string();
    let document = percent_encoding::utf8_percent_encode(&document, percent_encoding::NON_ALPHANUMERIC).to_string();
    let arn = "arn:aws:iam::222222222222:role/execution";
    let policy = "arn:aws:iam::222222222222:policy/boundary";
    let cases = [
        ("GetRole", "role execution", String::new()),
        ("DeleteRole", "role execution", String::new()),
        ("UpdateRole", "role execution", String::new()),
        ("UpdateAssumeRolePolicy", "role execution", format!("&PolicyDocument={document}")),
        ("ListRoleTags", "role execution", String::new()),
        ("PutRolePolicy", "role execution", "&PolicyName=p&PolicyDocument=x".to_owned()),
        ("GetRolePolicy", "role execution", "&PolicyName=p".to_owned()),
        ("DeleteRolePolicy", "role execution", "&PolicyName=p".to_owned()),
        ("ListRolePolicies", "role execution", String::new()),
        ("AttachRolePolicy", "role execution", format!("&PolicyArn={policy}")),
        ("DetachRolePolicy", "role execution", format!("&PolicyArn={policy}")),
        ("ListAttachedRolePolicies", "role execution", String::new()),
        ("TagRole", arn, "&Tags.member.1.Key=k&Tags.member.1.Value=v".to_owned()),
        ("UntagRole", arn, "&TagKeys.member.1=k".to_owned()),
        ("PutRolePermissionsBoundary", arn, format!("&PermissionsBoundary={policy}")),
        ("DeleteRolePermissionsBoundary", arn, String::new()),
        ("CreateRole", arn, format!("&AssumeRolePolicyDocument={document}")),
        ("ListRoles", "arn:aws:iam::222222222222:role/", String::new()),
        ("ListRoles", "arn:aws:iam::222222222222:role/teams/", "&PathPrefix=/teams/".to_owned()),
        ("GetPolicy", "policy arn:aws:iam::222222222222:policy/boundary", format!("&PolicyArn={policy}")),
        (
            "GetPolicyVersion",
            "policy arn:aws:iam::222222222222:policy/boundary",
            format!("&VersionId=v1&PolicyArn={policy}"),
        ),
    ];
    for (operation, resource, parameters) in cases {
        let form = format!("Action={operation}&Version=2010-05-08&RoleName=execution{parameters}");
        let message = iam_message(&aws, READER, &form).await;
        let action = format!("iam:{operation}");
        assert_eq!(
            message,
            format!(
                "User: {READER_SESSION} is not authorized to perform: {action} on resource: {resource} because no \
                 identity-based policy allows the {action} action"
            )
        );
    }
}

/// IAM cannot know the path of a role that does not exist: rights that end at a path do not cover such a role.
#[tokio::test]
async fn a_role_that_does_not_exist_is_judged_without_a_path() {
    let aws = start().await;
    let get = || iam(&aws, READER).get_role().role_name("gone").send();
    aws.admin()
        .put_inline_policy(DEV, "reader", "read", allow("iam:GetRole", "arn:aws:iam::222222222222:role/teams/*"))
        .unwrap();
    let (_, code, message) = refusal(get().await);
    assert_eq!(code, "AccessDenied");
    assert!(message.contains("iam:GetRole on resource: role gone because no identity-based policy"), "{message}");
    let right = aws.admin().calls().unwrap().pop().unwrap().authorised.pop().unwrap();
    assert_eq!(right.resource, "arn:aws:iam::222222222222:role/gone");
    let exact = allow("iam:GetRole", "arn:aws:iam::222222222222:role/gone");
    aws.admin().put_inline_policy(DEV, "reader", "read", exact).unwrap();
    assert_eq!(refusal(get().await).1, "NoSuchEntity");
}

#[tokio::test]
async fn a_passed_role_is_named_by_its_arn() {
    let aws = start().await;
    let client = aws_sdk_lambda::Client::new(&config(&aws, key(READER)));
    aws.admin().put_inline_policy(DEV, "reader", "create", allow("lambda:CreateFunction", "*")).unwrap();
    let call = client.create_function().function_name("f").role("arn:aws:iam::222222222222:role/execution");
    let code = aws_sdk_lambda::types::FunctionCode::builder().s3_bucket("b").s3_key("k").build();
    let call = call.runtime(aws_sdk_lambda::types::Runtime::Python313).handler("index.handler").code(code);
    let (_, code, message) = refusal(call.send().await);
    assert_eq!(code, "AccessDeniedException");
    assert_eq!(
        message,
        format!(
            "User: {READER_SESSION} is not authorized to perform: iam:PassRole on resource: \
             arn:aws:iam::222222222222:role/execution because no identity-based policy allows the iam:PassRole action"
        )
    );
}

/// The end of the message of a denied GetRole by the reader.
async fn reason(aws: &FakeAws) -> String {
    let (_, code, message) = refusal(iam(aws, READER).get_role().role_name("execution").send().await);
    assert_eq!(code, "AccessDenied");
    let head = format!("User: {READER_SESSION} is not authorized to perform: iam:GetRole on resource: role execution ");
    message.strip_prefix(&head).unwrap_or(&message).to_owned()
}

/// A name, what is done behind AWS's back, and the end of the message.
type Case = (&'static str, fn(&FakeAws), &'static str);

const BY_POLICY_TYPE: &[Case] = &[
    (
        "no identity policy",
        |aws| aws.admin().remove_inline_policy(DEV, "reader", "read").unwrap(),
        "because no identity-based policy allows the iam:GetRole action",
    ),
    (
        "an inline policy, which has no ARN",
        |aws| aws.admin().put_inline_policy(DEV, "reader", "no", deny("iam:*")).unwrap(),
        "with an explicit deny in an identity-based policy",
    ),
    (
        "a managed policy",
        |aws| {
            aws.admin().put_managed_policy("arn:aws:iam::222222222222:policy/no", deny("iam:*")).unwrap();
            aws.admin().attach_policy(DEV, "reader", "arn:aws:iam::222222222222:policy/no").unwrap();
        },
        "with an explicit deny in an identity-based policy: arn:aws:iam::222222222222:policy/no",
    ),
    (
        "a boundary that does not allow",
        |aws| {
            aws.admin().put_managed_policy("arn:aws:iam::222222222222:policy/b", allow("s3:*", "*")).unwrap();
            aws.admin().set_boundary(DEV, "reader", Some("arn:aws:iam::222222222222:policy/b")).unwrap();
        },
        "because no permissions boundary allows the iam:GetRole action",
    ),
    (
        "a boundary that denies",
        |aws| {
            aws.admin().put_managed_policy("arn:aws:iam::222222222222:policy/b", deny("iam:*")).unwrap();
            aws.admin().set_boundary(DEV, "reader", Some("arn:aws:iam::222222222222:policy/b")).unwrap();
        },
        "with an explicit deny in a permissions boundary: arn:aws:iam::222222222222:policy/b",
    ),
    (
        "a service control policy",
        |aws| aws.admin().put_control_policy(DEV, ControlPolicy::Service, SCP, deny("iam:Get*")).unwrap(),
        "with an explicit deny in a service control policy: \
         arn:aws:organizations::999999999999:policy/o-example/service_control_policy/p-guard",
    ),
    (
        "service control policies that do not allow",
        |aws| {
            let admin = aws.admin();
            admin.put_control_policy(DEV, ControlPolicy::Service, SCP, allow("s3:*", "*")).unwrap();
            let full = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess";
            admin.remove_control_policy(DEV, ControlPolicy::Service, full).unwrap();
        },
        "because no service control policy allows the iam:GetRole action",
    ),
];

#[tokio::test]
async fn a_denial_names_the_type_of_the_policy_and_its_arn_if_it_has_one() {
    for (name, change, expected) in BY_POLICY_TYPE {
        let aws = start().await;
        iam(&aws, READER).get_role().role_name("execution").send().await.unwrap();
        change(&aws);
        assert_eq!(reason(&aws).await, *expected, "{name}");
    }
}

#[tokio::test]
async fn a_session_policy_limits_the_session_and_not_the_role() {
    let aws = start().await;
    let session = async |policy: Value| {
        let call = sts(&aws, crate::support::CONTROLLER).assume_role().role_session_name("session");
        let call = call.role_arn("arn:aws:iam::111111111111:role/crossinvoke").policy(policy.to_string());
        let answer = call.send().await.unwrap();
        let issued = answer.credentials().unwrap().clone();
        let token = Some(issued.session_token().to_owned());
        let credentials = aws_credential_types::Credentials::new(issued.access_key_id(), "x", token, None, "test");
        aws_sdk_iam::Client::new(&config(&aws, credentials))
    };
    let get = async |client: aws_sdk_iam::Client| client.get_role().role_name("pipeline").send().await;
    get(session(allow("iam:GetRole", "*")).await).await.unwrap();
    let (_, _, message) = refusal(get(session(allow("s3:*", "*")).await).await);
    assert!(message.ends_with(" because no session policy allows the iam:GetRole action"), "{message}");
    let (_, _, message) = refusal(get(session(deny("iam:*")).await).await);
    assert!(message.ends_with(" with an explicit deny in a session policy"), "{message}");
    let whole = aws_sdk_iam::Client::new(&config(&aws, assume(&aws, TOOLS).await));
    get(whole).await.unwrap();
}

/// The message of an AssumeRole that the controller is denied, behind the role.
async fn assume_reason(aws: &FakeAws) -> String {
    let role = "arn:aws:iam::111111111111:role/crossinvoke";
    let call = sts(aws, crate::support::CONTROLLER).assume_role().role_arn(role).role_session_name("session");
    let (status, code, message) = refusal(call.send().await);
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    let head = format!(
        "User: arn:aws:sts::333333333333:assumed-role/controller/test-key is not authorized to perform: \
         sts:AssumeRole on resource: {role}"
    );
    message.strip_prefix(&head).unwrap_or(&message).to_owned()
}

const BY_ASSUMPTION: &[Case] = &[
    (
        "the caller's half is missing",
        |aws| aws.admin().remove_inline_policy(PLATFORM, "controller", "assume").unwrap(),
        "",
    ),
    (
        "the role's half is missing",
        |aws| aws.admin().put_trust(TOOLS, "crossinvoke", trust(json!({"AWS": DEV}))).unwrap(),
        "",
    ),
    ("the role is gone", |aws| aws.admin().remove_role(TOOLS, "crossinvoke").unwrap(), ""),
    (
        "a policy of the caller denies",
        |aws| aws.admin().put_inline_policy(PLATFORM, "controller", "no", deny("sts:*")).unwrap(),
        " with an explicit deny in an identity-based policy",
    ),
    (
        "the trust policy denies",
        |aws| {
            let mut document = trust(json!({"AWS": "arn:aws:iam::333333333333:role/controller"}));
            let mut no = document["Statement"][0].clone();
            no["Effect"] = json!("Deny");
            document["Statement"].as_array_mut().unwrap().push(no);
            aws.admin().put_trust(TOOLS, "crossinvoke", document).unwrap();
        },
        " with an explicit deny in the role trust policy",
    ),
    (
        "the caller's boundary does not allow",
        |aws| {
            aws.admin().put_managed_policy("arn:aws:iam::333333333333:policy/b", allow("s3:*", "*")).unwrap();
            aws.admin().set_boundary(PLATFORM, "controller", Some("arn:aws:iam::333333333333:policy/b")).unwrap();
        },
        " because no permissions boundary allows the sts:AssumeRole action",
    ),
    (
        "the organization limits the caller",
        |aws| aws.admin().put_control_policy(PLATFORM, ControlPolicy::Service, SCP, deny("sts:*")).unwrap(),
        " with an explicit deny in a service control policy",
    ),
    (
        "another organization limits the role",
        |aws| {
            aws.admin().set_organization(TOOLS, Some("o-example")).unwrap();
            aws.admin().set_organization(PLATFORM, Some("o-other")).unwrap();
            aws.admin().put_control_policy(TOOLS, ControlPolicy::Resource, RCP, deny_everybody("sts:*")).unwrap();
        },
        " with an explicit deny in a resource control policy",
    ),
    (
        "the own organization limits the role",
        |aws| {
            aws.admin().set_organization(TOOLS, Some("o-example")).unwrap();
            aws.admin().set_organization(PLATFORM, Some("o-example")).unwrap();
            aws.admin().put_control_policy(TOOLS, ControlPolicy::Resource, RCP, deny_everybody("sts:*")).unwrap();
        },
        " with an explicit deny in a resource control policy: \
         arn:aws:organizations::999999999999:policy/o-example/resource_control_policy/p-perimeter",
    ),
];

#[tokio::test]
async fn sts_says_which_policy_denies_but_not_which_half_is_missing() {
    for (name, change, expected) in BY_ASSUMPTION {
        let aws = start().await;
        assume(&aws, TOOLS).await;
        change(&aws);
        assert_eq!(assume_reason(&aws).await, *expected, "{name}");
    }
}

#[tokio::test]
async fn the_other_services_have_codes_of_their_own_for_the_same_words() {
    let aws = start().await;
    aws.admin().put_control_policy(DEV, ControlPolicy::Service, SCP, deny("lambda:*")).unwrap();
    let client = crate::support::lambda(&aws, crate::support::DEV_ROOT);
    let (status, code, message) = refusal(client.get_function_configuration().function_name("MyFunction").send().await);
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    assert_eq!(
        message,
        format!(
            "User: arn:aws:iam::222222222222:root is not authorized to perform: lambda:GetFunctionConfiguration on \
             resource: arn:aws:lambda:{REGION}:222222222222:function:MyFunction with an explicit deny in a service \
             control policy: {SCP}"
        )
    );
    // Nothing can take away GetCallerIdentity (STS API reference).
    sts(&aws, crate::support::DEV_ROOT).get_caller_identity().send().await.unwrap();
    aws.admin().put_control_policy(DEV, ControlPolicy::Service, SCP, deny("*")).unwrap();
    sts(&aws, crate::support::DEV_ROOT).get_caller_identity().send().await.unwrap();
}
