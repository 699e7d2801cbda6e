//! Every call is judged by the caller's identity policies, before anything tells what exists.

use serde_json::json;

use crate::support::{
    DEV, DEV_ROOT, PLATFORM, READER, allow, assume, config, iam, lambda, make_role, refusal, start, trust,
};

#[tokio::test]
async fn a_denied_call_names_caller_action_and_resource() {
    let aws = start().await;
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let call = iam(&aws, READER).create_role().role_name("made").path("/p/").assume_role_policy_document(document);
    let (status, code, message) = refusal(call.send().await);
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert_eq!(
        message,
        "User: arn:aws:sts::222222222222:assumed-role/reader/test-key is not authorized to perform: iam:CreateRole on \
         resource: arn:aws:iam::222222222222:role/p/made because no identity-based policy allows the iam:CreateRole \
         action"
    );
    let (status, code, message) = refusal(lambda(&aws, READER).list_functions().send().await);
    assert_eq!((status, code.as_str()), (403, "AccessDeniedException"));
    assert!(message.contains("lambda:ListFunctions on resource: * because"), "{message}");
}

#[tokio::test]
async fn authorisation_comes_before_existence() {
    let aws = start().await;
    assert_eq!(refusal(iam(&aws, READER).delete_role().role_name("nobody").send().await).1, "AccessDenied");
    assert_eq!(refusal(iam(&aws, READER).get_role().role_name("nobody").send().await).1, "NoSuchEntity");
    let outcome = lambda(&aws, READER).get_function().function_name("nobody").send().await;
    assert_eq!(refusal(outcome).1, "AccessDeniedException");
}

#[tokio::test]
async fn an_explicit_deny_wins() {
    let aws = start().await;
    let deny = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
    aws.admin().put_inline_policy(DEV, "crossinvoke", "incident", deny).unwrap();
    let iam = aws_sdk_iam::Client::new(&config(&aws, assume(&aws, DEV).await));
    let (_, code, message) = refusal(iam.get_role().role_name("execution").send().await);
    assert_eq!(code, "AccessDenied");
    assert!(message.ends_with("with an explicit deny in an identity-based policy"), "{message}");
}

#[tokio::test]
async fn a_permissions_boundary_caps_identity_policies() {
    let aws = start().await;
    let iam_of = async || aws_sdk_iam::Client::new(&config(&aws, assume(&aws, DEV).await));
    let root = iam(&aws, DEV_ROOT);
    let boundary = "arn:aws:iam::222222222222:policy/boundary";
    root.put_role_permissions_boundary().role_name("crossinvoke").permissions_boundary(boundary).send().await.unwrap();
    let iam = iam_of().await;
    iam.get_role().role_name("execution").send().await.unwrap();
    let (_, code, message) = refusal(iam.list_roles().send().await);
    assert_eq!(code, "AccessDenied");
    assert!(message.ends_with("because no permissions boundary allows the iam:ListRoles action"), "{message}");
}

#[tokio::test]
async fn attached_policies_count() {
    let aws = start().await;
    let reader = iam(&aws, READER);
    assert_eq!(refusal(reader.list_roles().send().await).1, "AccessDenied");
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam(&aws, DEV_ROOT).attach_role_policy().role_name("reader").policy_arn(arn).send().await.unwrap();
    reader.list_roles().send().await.unwrap();
}

#[tokio::test]
async fn making_a_role_with_tags_needs_the_right_to_tag() {
    let aws = start().await;
    aws.admin().put_inline_policy(DEV, "reader", "create", allow("iam:CreateRole", "*")).unwrap();
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let tag = aws_sdk_iam::types::Tag::builder().key("k").value("v").build().unwrap();
    let call = || iam(&aws, READER).create_role().role_name("made").assume_role_policy_document(&document);
    let (_, _, message) = refusal(call().tags(tag).send().await);
    assert!(message.contains("iam:TagRole"), "{message}");
    call().send().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_judged_is_a_500_that_names_it() {
    let aws = start().await;
    let mut policy = allow("iam:*", "*");
    policy["Statement"][0]["Condition"] = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}});
    aws.admin().put_inline_policy(DEV, "reader", "strange", policy).unwrap();
    let (status, code, message) = refusal(iam(&aws, READER).delete_role().role_name("execution").send().await);
    assert_eq!((status, code.as_str()), (500, "InternalFailure"));
    assert!(message.contains("IpAddress") || message.contains("SourceIp"), "{message}");
}

#[tokio::test]
async fn the_call_log_says_what_each_call_was_judged_as() {
    let aws = start().await;
    let iam = aws_sdk_iam::Client::new(&config(&aws, assume(&aws, DEV).await));
    make_role(&iam, "made").await;
    let policy = allow("s3:*", "*").to_string();
    iam.put_role_policy().role_name("made").policy_name("p").policy_document(policy).send().await.unwrap();
    let calls = aws.admin().calls().unwrap();
    let rights: Vec<_> = calls
        .iter()
        .flat_map(|call| {
            call.authorised.iter().map(|right| (call.account.as_str(), right.action.as_str(), right.resource.as_str()))
        })
        .collect();
    assert_eq!(
        rights,
        [
            (PLATFORM, "sts:AssumeRole", "arn:aws:iam::222222222222:role/crossinvoke"),
            (DEV, "iam:CreateRole", "arn:aws:iam::222222222222:role/made"),
            (DEV, "iam:PutRolePolicy", "arn:aws:iam::222222222222:role/made"),
        ]
    );
    assert_eq!(calls.iter().map(|call| call.mutating).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(calls[1].caller, "arn:aws:sts::222222222222:assumed-role/crossinvoke/session");
}
