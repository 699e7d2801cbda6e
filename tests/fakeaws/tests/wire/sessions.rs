//! Access keys, sessions and role assumption.

use aws_credential_types::Credentials;
use serde_json::json;

use crate::support::{
    CONTROLLER, DEV, DEV_ROOT, OPERATOR, READER, TOOLS, assume, config, lambda, refusal, start, sts, trust,
};

#[tokio::test]
async fn a_key_selects_the_account() {
    let aws = start().await;
    let root = sts(&aws, DEV_ROOT).get_caller_identity().send().await.unwrap();
    assert_eq!(root.account(), Some(DEV));
    assert_eq!(root.arn(), Some("arn:aws:iam::222222222222:root"));
    let role = sts(&aws, CONTROLLER).get_caller_identity().send().await.unwrap();
    assert_eq!(role.arn(), Some("arn:aws:sts::333333333333:assumed-role/controller/test-key"));
}

#[tokio::test]
async fn a_session_acts_in_the_account_of_its_role() {
    let aws = start().await;
    let client = aws_sdk_sts::Client::new(&config(&aws, assume(&aws, DEV).await));
    let identity = client.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some(DEV));
    assert_eq!(identity.arn(), Some("arn:aws:sts::222222222222:assumed-role/crossinvoke/session"));
    assert!(identity.user_id().unwrap().starts_with("AROA"));
    assert!(identity.user_id().unwrap().ends_with(":session"));
}

#[tokio::test]
async fn unknown_keys_and_wrong_tokens_are_invalid() {
    let aws = start().await;
    let (status, code, _) = refusal(sts(&aws, "AKIANOBODY").get_caller_identity().send().await);
    assert_eq!((status, code.as_str()), (403, "InvalidClientTokenId"));
    let (status, code, _) = refusal(lambda(&aws, "AKIANOBODY").list_functions().send().await);
    assert_eq!((status, code.as_str()), (403, "UnrecognizedClientException"));
    let session = assume(&aws, DEV).await;
    for token in [None, Some("another".to_owned())] {
        let forged = Credentials::new(session.access_key_id(), "x", token, None, "test");
        let client = aws_sdk_sts::Client::new(&config(&aws, forged));
        assert_eq!(refusal(client.get_caller_identity().send().await).1, "InvalidClientTokenId");
    }
}

#[tokio::test]
async fn a_session_expires_by_the_clock_of_the_double() {
    let aws = start().await;
    let session = assume(&aws, DEV).await;
    let iam = aws_sdk_iam::Client::new(&config(&aws, session.clone()));
    aws.admin().advance_clock(3590).unwrap();
    iam.get_role().role_name("execution").send().await.unwrap();
    aws.admin().advance_clock(20).unwrap();
    let (status, code, _) = refusal(iam.get_role().role_name("execution").send().await);
    assert_eq!((status, code.as_str()), (403, "ExpiredToken"));
    let lambda = aws_sdk_lambda::Client::new(&config(&aws, session));
    assert_eq!(refusal(lambda.list_functions().send().await).1, "ExpiredTokenException");
}

#[tokio::test]
async fn sessions_can_be_ended_at_once() {
    let aws = start().await;
    let iam = aws_sdk_iam::Client::new(&config(&aws, assume(&aws, DEV).await));
    aws.admin().expire_sessions().unwrap();
    assert_eq!(refusal(iam.get_role().role_name("execution").send().await).1, "ExpiredToken");
}

#[tokio::test]
async fn the_session_of_a_recreated_role_is_worth_nothing() {
    let aws = start().await;
    let session = assume(&aws, TOOLS).await;
    let mut role = aws.admin().configuration().unwrap()["accounts"][TOOLS]["roles"]["crossinvoke"].take();
    role["description"] = json!("again");
    aws.admin().remove_role(TOOLS, "crossinvoke").unwrap();
    aws.admin().put_role(TOOLS, "crossinvoke", serde_json::from_value(role).unwrap()).unwrap();
    let text = "The security token included in the request is invalid.";
    let client = aws_sdk_sts::Client::new(&config(&aws, session.clone()));
    let refused = refusal(client.get_caller_identity().send().await);
    assert_eq!(refused, (403, "InvalidClientTokenId".to_owned(), text.to_owned()));
    let client = aws_sdk_iam::Client::new(&config(&aws, session.clone()));
    let refused = refusal(client.get_role().role_name("pipeline").send().await);
    assert_eq!(refused, (403, "InvalidClientTokenId".to_owned(), text.to_owned()));
    // Services that speak JSON have another code for it.
    let client = aws_sdk_codepipeline::Client::new(&config(&aws, session.clone()));
    let refused = refusal(client.get_pipeline().name("release").send().await);
    assert_eq!(refused, (400, "UnrecognizedClientException".to_owned(), text.to_owned()));
    let client = aws_sdk_lambda::Client::new(&config(&aws, session));
    let refused = refusal(client.list_functions().send().await);
    assert_eq!(refused, (403, "UnrecognizedClientException".to_owned(), text.to_owned()));
    assume(&aws, TOOLS).await;
}

#[tokio::test]
async fn the_external_id_of_a_trust_policy_counts() {
    let aws = start().await;
    let arn = "arn:aws:iam::222222222222:role/crossinvoke";
    for external_id in [None, Some("another".to_owned())] {
        let call = sts(&aws, CONTROLLER).assume_role().role_arn(arn).role_session_name("session");
        let (status, code, message) = refusal(call.set_external_id(external_id).send().await);
        assert_eq!((status, code.as_str()), (403, "AccessDenied"));
        assert_eq!(
            message,
            "User: arn:aws:sts::333333333333:assumed-role/controller/test-key is not authorized to perform: \
             sts:AssumeRole on resource: arn:aws:iam::222222222222:role/crossinvoke"
        );
    }
}

#[tokio::test]
async fn both_halves_must_allow_an_assumption_across_accounts() {
    let aws = start().await;
    let assume = || {
        let call = sts(&aws, CONTROLLER).assume_role().role_session_name("session");
        call.role_arn("arn:aws:iam::111111111111:role/crossinvoke").send()
    };
    assume().await.unwrap();
    let caller = json!({"AWS": "arn:aws:iam::333333333333:role/controller"});
    aws.admin().put_trust(TOOLS, "crossinvoke", trust(json!({"AWS": "222222222222"}))).unwrap();
    assert_eq!(refusal(assume().await).1, "AccessDenied", "the trust policy names another account");
    aws.admin().put_trust(TOOLS, "crossinvoke", trust(caller)).unwrap();
    assume().await.unwrap();
    aws.admin().remove_inline_policy("333333333333", "controller", "assume").unwrap();
    assert_eq!(refusal(assume().await).1, "AccessDenied", "the caller's policies do not allow it");
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_denied_like_any_other() {
    let aws = start().await;
    let call = sts(&aws, CONTROLLER).assume_role().role_session_name("session");
    let outcome = call.role_arn("arn:aws:iam::222222222222:role/elsewhere/crossinvoke").send().await;
    assert_eq!(refusal(outcome).1, "AccessDenied");
}

#[tokio::test]
async fn constraints_of_assume_role() {
    let aws = start().await;
    let cases = [
        ("s", 3600, "roleSessionName"),
        ("session with spaces", 3600, "roleSessionName"),
        ("session", 899, "durationSeconds"),
        // Role chaining: 3,600 seconds at most, even where the role's own maximum is higher.
        ("session", 3601, "role chaining"),
        ("session", 7201, "MaxSessionDuration"),
    ];
    for (name, seconds, part) in cases {
        let call = sts(&aws, CONTROLLER).assume_role().role_arn("arn:aws:iam::222222222222:role/crossinvoke");
        let call = call.external_id("secret-handshake").role_session_name(name).duration_seconds(seconds);
        let (status, code, message) = refusal(call.send().await);
        assert_eq!((status, code.as_str()), (400, "ValidationError"), "{name} {seconds}");
        assert!(message.contains(part), "{name} {seconds}: {message}");
    }
    let call = sts(&aws, CONTROLLER).assume_role().role_arn("arn:aws:iam::222222222222:role/crossinvoke");
    let outcome = call.external_id("x").role_session_name("session").send().await;
    assert!(refusal(outcome).2.contains("externalId"));
}

#[tokio::test]
async fn the_root_user_assumes_no_role() {
    let aws = start().await;
    let call = sts(&aws, DEV_ROOT).assume_role().role_arn("arn:aws:iam::222222222222:role/reader");
    assert_eq!(refusal(call.role_session_name("session").send().await).1, "AccessDenied");
}

#[tokio::test]
async fn a_trust_policy_that_names_the_account_needs_the_callers_policy_in_the_same_account_too() {
    let aws = start().await;
    let assume = || {
        let call = sts(&aws, READER).assume_role().role_arn("arn:aws:iam::222222222222:role/target");
        call.role_session_name("session").send()
    };
    let target = |principal: &str| fakeaws::RoleSeed::trusting(trust(json!({"AWS": principal})));
    aws.admin().put_role(DEV, "target", target(DEV)).unwrap();
    assert_eq!(refusal(assume().await).1, "AccessDenied");
    aws.admin().put_role(DEV, "target", target("arn:aws:iam::222222222222:role/reader")).unwrap();
    assume().await.unwrap();
    aws.admin().set_boundary(DEV, "reader", Some("arn:aws:iam::222222222222:policy/boundary")).unwrap();
    assert_eq!(refusal(assume().await).1, "AccessDenied", "a trust policy does not lift the boundary");
}

#[tokio::test]
async fn a_user_is_a_principal_and_may_have_a_session_longer_than_an_hour() {
    let aws = start().await;
    let user = "arn:aws:iam::333333333333:user/operator";
    assert_eq!(sts(&aws, OPERATOR).get_caller_identity().send().await.unwrap().arn(), Some(user));
    aws.admin().put_trust(DEV, "crossinvoke", trust(json!({"AWS": user}))).unwrap();
    let call = sts(&aws, OPERATOR).assume_role().role_arn("arn:aws:iam::222222222222:role/crossinvoke");
    call.role_session_name("session").duration_seconds(7200).send().await.unwrap();
}
