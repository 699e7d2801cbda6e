//! Permissions boundaries are managed policies that exist.

use serde_json::json;

use crate::support::{DEV, DEV_ROOT, allow, decoded, iam, make_role, refusal, seed, start, trust};

const BOUNDARY: &str = "arn:aws:iam::222222222222:policy/teams/invoke";

#[tokio::test]
async fn a_boundary_that_does_not_exist_is_refused() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    aws.admin().put_managed_policy("arn:aws:iam::111111111111:policy/elsewhere", allow("*", "*")).unwrap();
    aws.admin().put_managed_policy("arn:aws-cn:iam::aws:policy/ReadOnlyAccess", allow("*", "*")).unwrap();
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    for boundary in [
        BOUNDARY,
        "arn:aws:iam::aws:policy/Nothing",
        "arn:aws:iam::111111111111:policy/elsewhere",
        "arn:aws-cn:iam::aws:policy/ReadOnlyAccess",
    ] {
        let create = iam.create_role().role_name("other").assume_role_policy_document(&document);
        let put = iam.put_role_permissions_boundary().role_name("made").permissions_boundary(boundary);
        let refusals = [refusal(create.permissions_boundary(boundary).send().await), refusal(put.send().await)];
        for (status, code, message) in refusals {
            assert_eq!((status, code.as_str()), (404, "NoSuchEntity"), "{boundary}");
            assert_eq!(message, format!("Scope ARN: {boundary} does not exist or is not attachable."));
        }
        let (_, code, message) = refusal(iam.get_policy().policy_arn(boundary).send().await);
        assert_eq!((code.as_str(), message), ("NoSuchEntity", format!("Policy {boundary} was not found.")));
        let attach = iam.attach_role_policy().role_name("made").policy_arn(boundary).send().await;
        assert_eq!(refusal(attach).1, "NoSuchEntity", "{boundary}");
    }
    assert_eq!(refusal(iam.get_role().role_name("other").send().await).1, "NoSuchEntity", "a refused role is not made");
    let put = iam.put_role_permissions_boundary().role_name("made").permissions_boundary("invoke");
    assert_eq!(refusal(put.send().await).1, "ValidationError");
}

#[tokio::test]
async fn a_boundary_is_a_policy_that_can_be_read() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    aws.admin().put_managed_policy(BOUNDARY, allow("lambda:*", "*")).unwrap();
    iam.put_role_permissions_boundary().role_name("made").permissions_boundary(BOUNDARY).send().await.unwrap();
    let answer = iam.get_policy().policy_arn(BOUNDARY).send().await.unwrap();
    let policy = answer.policy().unwrap();
    assert_eq!(policy.arn(), Some(BOUNDARY));
    assert_eq!((policy.policy_name(), policy.path()), (Some("invoke"), Some("/teams/")));
    assert!(policy.policy_id().unwrap().starts_with("ANPA"), "{policy:?}");
    assert_eq!((policy.attachment_count(), policy.permissions_boundary_usage_count()), (Some(0), Some(1)));
    assert!(policy.is_attachable());
    let version = iam.get_policy_version().policy_arn(BOUNDARY).version_id("v1").send().await.unwrap();
    assert_eq!(decoded(version.policy_version().unwrap().document().unwrap()), allow("lambda:*", "*"));
    assert!(aws.admin().remove_managed_policy(BOUNDARY).is_err(), "it is in use");
    iam.delete_role_permissions_boundary().role_name("made").send().await.unwrap();
    aws.admin().remove_managed_policy(BOUNDARY).unwrap();
    assert_eq!(refusal(iam.get_policy().policy_arn(BOUNDARY).send().await).1, "NoSuchEntity");
}

#[tokio::test]
async fn neither_a_seed_nor_an_admin_sets_a_boundary_that_does_not_exist() {
    let aws = start().await;
    assert!(aws.admin().set_boundary(DEV, "reader", Some(BOUNDARY)).is_err());
    let mut role = aws.admin().role(DEV, "reader").unwrap().unwrap();
    role.permissions_boundary = Some(BOUNDARY.to_owned());
    assert!(aws.admin().put_role(DEV, "reader", role).is_err());
    let mut seed = seed();
    seed.accounts.get_mut(DEV).unwrap().roles.get_mut("reader").unwrap().permissions_boundary =
        Some(BOUNDARY.to_owned());
    let error = fakeaws::FakeAws::start(seed).await.err().unwrap().to_string();
    assert!(error.contains(BOUNDARY), "{error}");
}
