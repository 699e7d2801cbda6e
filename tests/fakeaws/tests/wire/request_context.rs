//! Which condition keys each call of IAM brings (Service Authorization Reference, "Actions, resources, and condition keys
//! for AWS Identity and Access Management"), held against statements of the reader that demand them.

use aws_sdk_iam::{Client, types::Tag};
use fakeaws::FakeAws;
use serde_json::{Value, json};

use crate::support::{DEV, DEV_ROOT, READER, allow, iam, refusal, start, trust};

const BOUNDARY: &str = "arn:aws:iam::222222222222:policy/boundary";
const OTHER_BOUNDARY: &str = "arn:aws:iam::222222222222:policy/other";

/// The reader may do everything of IAM under a condition.
fn only_if(aws: &FakeAws, condition: Value) {
    let mut policy = allow("iam:*", "*");
    policy["Statement"][0]["Condition"] = condition;
    aws.admin().put_inline_policy(DEV, "reader", "read", policy).unwrap();
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

/// The codes of all calls on the role `made`, by operation.
async fn calls_on_a_role(iam: &Client) -> Vec<(&'static str, String)> {
    let document = trust(json!({"AWS": "222222222222"})).to_string();
    let policy = allow("s3:*", "*").to_string();
    let name = "made";
    let mut outcomes: Vec<(&'static str, String)> = Vec::new();
    macro_rules! call {
        ($operation:literal, $call:expr) => {
            let code = match $call.send().await {
                Ok(_) => "OK".to_owned(),
                Err(error) => aws_sdk_iam::error::ProvideErrorMetadata::code(&error).unwrap_or_default().to_owned(),
            };
            outcomes.push(($operation, code));
        };
    }
    call!("GetRole", iam.get_role().role_name(name));
    call!("UpdateRole", iam.update_role().role_name(name).description("d"));
    call!("UpdateAssumeRolePolicy", iam.update_assume_role_policy().role_name(name).policy_document(&document));
    call!("PutRolePolicy", iam.put_role_policy().role_name(name).policy_name("p").policy_document(&policy));
    call!("GetRolePolicy", iam.get_role_policy().role_name(name).policy_name("p"));
    call!("ListRolePolicies", iam.list_role_policies().role_name(name));
    call!("DeleteRolePolicy", iam.delete_role_policy().role_name(name).policy_name("p"));
    call!("AttachRolePolicy", iam.attach_role_policy().role_name(name).policy_arn(OTHER_BOUNDARY));
    call!("ListAttachedRolePolicies", iam.list_attached_role_policies().role_name(name));
    call!("DetachRolePolicy", iam.detach_role_policy().role_name(name).policy_arn(OTHER_BOUNDARY));
    call!("TagRole", iam.tag_role().role_name(name).tags(tag("k", "v")));
    call!("ListRoleTags", iam.list_role_tags().role_name(name));
    call!("UntagRole", iam.untag_role().role_name(name).tag_keys("k"));
    outcomes
}

/// A role `made` with a boundary and a tag.
async fn with_role(aws: &FakeAws) {
    aws.admin().put_managed_policy(OTHER_BOUNDARY, allow("*", "*")).unwrap();
    let document = trust(json!({"AWS": "222222222222"})).to_string();
    let call = iam(aws, DEV_ROOT).create_role().role_name("made").assume_role_policy_document(document);
    call.permissions_boundary(BOUNDARY).tags(tag("Team", "payments")).send().await.unwrap();
}

fn refused(outcomes: Vec<(&'static str, String)>) -> Vec<&'static str> {
    outcomes.into_iter().filter(|(_, code)| code == "AccessDenied").map(|(operation, _)| operation).collect()
}

#[tokio::test]
async fn the_boundary_of_a_role_is_known_to_the_calls_that_list_it_and_to_no_other() {
    let aws = start().await;
    with_role(&aws).await;
    only_if(&aws, json!({"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}));
    let outcomes = calls_on_a_role(&iam(&aws, READER)).await;
    assert_eq!(
        refused(outcomes),
        ["GetRolePolicy", "ListRolePolicies", "ListAttachedRolePolicies", "TagRole", "ListRoleTags", "UntagRole"]
    );
    only_if(&aws, json!({"StringEquals": {"iam:PermissionsBoundary": OTHER_BOUNDARY}}));
    let outcomes = calls_on_a_role(&iam(&aws, READER)).await;
    assert_eq!(refused(outcomes).len(), 13, "another boundary is not the one that is demanded");
}

#[tokio::test]
async fn a_role_is_made_only_with_the_boundary_that_is_demanded() {
    let aws = start().await;
    aws.admin().put_managed_policy(OTHER_BOUNDARY, allow("*", "*")).unwrap();
    only_if(&aws, json!({"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}));
    let reader = iam(&aws, READER);
    let document = trust(json!({"AWS": "222222222222"})).to_string();
    let make = async |boundary: Option<&str>| {
        let call = reader.create_role().role_name("made").assume_role_policy_document(&document);
        call.set_permissions_boundary(boundary.map(str::to_owned)).send().await
    };
    assert_eq!(refusal(make(None).await).1, "AccessDenied");
    assert_eq!(refusal(make(Some(OTHER_BOUNDARY)).await).1, "AccessDenied");
    make(Some(BOUNDARY)).await.unwrap();
    // PutRolePermissionsBoundary brings the new one, so it cannot be changed; DeleteRolePermissionsBoundary brings the one
    // that is there, so a statement that demands it allows removing it.
    let put = |boundary: &str| reader.put_role_permissions_boundary().role_name("made").permissions_boundary(boundary);
    assert_eq!(refusal(put(OTHER_BOUNDARY).send().await).1, "AccessDenied");
    put(BOUNDARY).send().await.unwrap();
    reader.delete_role_permissions_boundary().role_name("made").send().await.unwrap();
    let policy = allow("s3:*", "*").to_string();
    let call = reader.put_role_policy().role_name("made").policy_name("p").policy_document(policy);
    assert_eq!(refusal(call.send().await).1, "AccessDenied", "the role has no boundary any more");
}

#[tokio::test]
async fn the_tags_of_a_role_are_known_to_every_call_on_it() {
    let aws = start().await;
    with_role(&aws).await;
    for key in ["aws:ResourceTag/team", "iam:ResourceTag/Team"] {
        only_if(&aws, json!({"StringEquals": {key: "payments"}}));
        assert_eq!(refused(calls_on_a_role(&iam(&aws, READER)).await), [""; 0], "{key}");
        only_if(&aws, json!({"StringEquals": {key: "Payments"}}));
        assert_eq!(refused(calls_on_a_role(&iam(&aws, READER)).await).len(), 13, "{key}");
    }
    // A role that does not exist has none.
    let document = trust(json!({"AWS": "222222222222"})).to_string();
    let call = iam(&aws, READER).create_role().role_name("other").assume_role_policy_document(document);
    assert_eq!(refusal(call.tags(tag("Team", "Payments")).send().await).1, "AccessDenied");
}

#[tokio::test]
async fn the_tags_of_a_request_are_known_to_the_calls_that_bring_them() {
    let aws = start().await;
    with_role(&aws).await;
    let reader = iam(&aws, READER);
    let document = trust(json!({"AWS": "222222222222"})).to_string();
    let make = async |tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(key, value)| tag(key, value)).collect();
        let call = reader.create_role().role_name("tagged").assume_role_policy_document(&document);
        call.set_tags(Some(tags)).send().await
    };
    let put = async |tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(key, value)| tag(key, value)).collect();
        reader.tag_role().role_name("made").set_tags(Some(tags)).send().await
    };
    only_if(&aws, json!({"StringEquals": {"aws:RequestTag/team": "payments"}}));
    for tags in [&[][..], &[("team", "other")], &[("stage", "payments")]] {
        assert_eq!(refusal(make(tags).await).1, "AccessDenied", "{tags:?}");
    }
    put(&[("Team", "payments"), ("stage", "prod")]).await.unwrap();
    make(&[("Team", "payments")]).await.unwrap();
    let get = reader.get_role().role_name("made").send().await;
    assert_eq!(refusal(get).1, "AccessDenied", "a call without tags has no tags");

    only_if(&aws, json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["team", "stage"]}}));
    put(&[("team", "x")]).await.unwrap();
    put(&[("team", "x"), ("stage", "y")]).await.unwrap();
    assert_eq!(refusal(put(&[("team", "x"), ("owner", "y")]).await).1, "AccessDenied");
    reader.get_role().role_name("made").send().await.unwrap();
    let untag = |key: &str| reader.untag_role().role_name("made").tag_keys(key).send();
    assert_eq!(refusal(untag("owner").await).1, "AccessDenied");
    untag("team").await.unwrap();

    only_if(&aws, json!({"ForAnyValue:StringEquals": {"aws:TagKeys": "team"}}));
    put(&[("team", "x"), ("owner", "y")]).await.unwrap();
    assert_eq!(refusal(put(&[("owner", "y")]).await).1, "AccessDenied");
    assert_eq!(refusal(reader.get_role().role_name("made").send().await).1, "AccessDenied");
}

#[tokio::test]
async fn the_policy_that_is_attached_is_known() {
    let aws = start().await;
    with_role(&aws).await;
    only_if(&aws, json!({"ArnEquals": {"iam:PolicyARN": OTHER_BOUNDARY}}));
    let reader = iam(&aws, READER);
    let attach = |arn: &str| reader.attach_role_policy().role_name("made").policy_arn(arn).send();
    assert_eq!(refusal(attach(BOUNDARY).await).1, "AccessDenied");
    attach(OTHER_BOUNDARY).await.unwrap();
    reader.detach_role_policy().role_name("made").policy_arn(OTHER_BOUNDARY).send().await.unwrap();
}

#[tokio::test]
async fn the_principal_is_known_with_its_tags_and_its_organization() {
    let aws = start().await;
    let get = || iam(&aws, READER).get_role().role_name("execution").send();
    for (key, value) in [
        ("aws:PrincipalArn", "arn:aws:iam::222222222222:role/reader"),
        ("aws:PrincipalAccount", DEV),
        ("aws:PrincipalTag/Team", "payments"),
        ("aws:PrincipalOrgID", "o-example"),
        ("aws:ResourceAccount", DEV),
        ("aws:ResourceOrgID", "o-example"),
    ] {
        aws.admin().set_organization(DEV, Some("o-example")).unwrap();
        aws.admin().put_tag(DEV, "reader", "team", "payments").unwrap();
        only_if(&aws, json!({"StringEquals": {key: value}}));
        get().await.unwrap();
        only_if(&aws, json!({"StringEquals": {key: "another"}}));
        assert_eq!(refusal(get().await).1, "AccessDenied", "{key}");
        aws.admin().set_organization(DEV, None).unwrap();
        aws.admin().remove_tag(DEV, "reader", "TEAM").unwrap();
        only_if(&aws, json!({"StringEquals": {key: value}}));
        let stays = matches!(key, "aws:PrincipalArn" | "aws:PrincipalAccount" | "aws:ResourceAccount");
        assert_eq!(get().await.is_ok(), stays, "{key} without tags and organization");
    }
}

/// A statement about roles is no obstacle to the calls of other services by the same role.
#[tokio::test]
async fn a_demand_on_roles_does_not_concern_functions() {
    let aws = start().await;
    only_if(&aws, json!({"StringEquals": {"aws:ResourceTag/team": "payments", "aws:RequestTag/team": "payments"}}));
    aws.admin().put_inline_policy(DEV, "reader", "functions", allow("lambda:*", "*")).unwrap();
    let client = crate::support::lambda(&aws, READER);
    client.get_function_configuration().function_name("MyFunction").send().await.unwrap();
}
