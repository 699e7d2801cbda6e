//! The life of a role.

use aws_sdk_iam::types::Tag;
use serde_json::json;

use crate::support::{DEV_ROOT, allow, iam, make_role, refusal, start, trust};

const BOUNDARY: &str = "arn:aws:iam::222222222222:policy/boundary";

#[tokio::test]
async fn a_role_keeps_what_it_was_made_with() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let tag = Tag::builder().key("team").value("payments").build().unwrap();
    iam.create_role()
        .role_name("made")
        .path("/crossinvoke/")
        .description("invoked from afar")
        .max_session_duration(7200)
        .permissions_boundary(BOUNDARY)
        .tags(tag.clone())
        .assume_role_policy_document(trust(json!({"AWS": "111111111111"})).to_string())
        .send()
        .await
        .unwrap();
    let answer = iam.get_role().role_name("made").send().await.unwrap();
    let role = answer.role().unwrap();
    assert_eq!(role.arn(), "arn:aws:iam::222222222222:role/crossinvoke/made");
    assert_eq!(role.path(), "/crossinvoke/");
    assert_eq!(role.description(), Some("invoked from afar"));
    assert_eq!(role.max_session_duration(), Some(7200));
    assert_eq!(role.permissions_boundary().unwrap().permissions_boundary_arn(), Some(BOUNDARY));
    assert_eq!(role.tags(), std::slice::from_ref(&tag));
    assert_eq!(iam.list_role_tags().role_name("made").send().await.unwrap().tags(), [tag]);
    let listed = iam.list_roles().path_prefix("/crossinvoke/").send().await.unwrap();
    assert_eq!(listed.roles().len(), 1);
    assert!(listed.roles()[0].tags().is_empty(), "ListRoles leaves out tags");
    assert!(listed.roles()[0].permissions_boundary().is_none(), "ListRoles leaves out the boundary");
}

#[tokio::test]
async fn a_role_can_be_changed() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    iam.update_role().role_name("made").description("new").max_session_duration(4000).send().await.unwrap();
    iam.put_role_permissions_boundary().role_name("made").permissions_boundary(BOUNDARY).send().await.unwrap();
    let tag = Tag::builder().key("team").value("payments").build().unwrap();
    iam.tag_role().role_name("made").tags(tag).send().await.unwrap();
    let answer = iam.get_role().role_name("made").send().await.unwrap();
    let role = answer.role().unwrap();
    assert_eq!((role.description(), role.max_session_duration()), (Some("new"), Some(4000)));
    assert_eq!(role.permissions_boundary().unwrap().permissions_boundary_arn(), Some(BOUNDARY));
    assert_eq!(role.tags().len(), 1);
    iam.delete_role_permissions_boundary().role_name("made").send().await.unwrap();
    iam.untag_role().role_name("made").tag_keys("team").send().await.unwrap();
    let answer = iam.get_role().role_name("made").send().await.unwrap();
    assert!(answer.role().unwrap().permissions_boundary().is_none());
    assert!(answer.role().unwrap().tags().is_empty());
    let again = iam.delete_role_permissions_boundary().role_name("made").send().await;
    assert_eq!(refusal(again).1, "NoSuchEntity");
}

#[tokio::test]
async fn a_role_goes_only_when_nothing_hangs_on_it() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    let policy = allow("s3:*", "*").to_string();
    iam.put_role_policy().role_name("made").policy_name("p").policy_document(policy).send().await.unwrap();
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam.attach_role_policy().role_name("made").policy_arn(arn).send().await.unwrap();
    let (status, code, message) = refusal(iam.delete_role().role_name("made").send().await);
    assert_eq!((status, code.as_str()), (409, "DeleteConflict"));
    assert_eq!(message, "Cannot delete entity, must delete policies first.");
    iam.delete_role_policy().role_name("made").policy_name("p").send().await.unwrap();
    let (_, code, message) = refusal(iam.delete_role().role_name("made").send().await);
    assert_eq!(code, "DeleteConflict");
    assert_eq!(message, "Cannot delete entity, must detach all policies first.");
    iam.detach_role_policy().role_name("made").policy_arn(arn).send().await.unwrap();
    iam.delete_role().role_name("made").send().await.unwrap();
    let (status, code, message) = refusal(iam.get_role().role_name("made").send().await);
    assert_eq!((status, code.as_str()), (404, "NoSuchEntity"));
    assert_eq!(message, "The role with name made cannot be found.");
}

#[tokio::test]
async fn what_is_not_there_is_no_such_entity() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let policy = || allow("s3:*", "*").to_string();
    let missing = iam.delete_role().role_name("nobody").send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
    let missing = iam.put_role_policy().role_name("nobody").policy_name("p").policy_document(policy()).send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
    let missing = iam.get_role_policy().role_name("execution").policy_name("p").send().await;
    assert_eq!(refusal(missing).2, "The role policy with name p cannot be found.");
    let missing = iam.delete_role_policy().role_name("execution").policy_name("p").send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
    let missing = iam.list_role_policies().role_name("nobody").send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
    let missing = iam.list_attached_role_policies().role_name("nobody").send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
    let unknown = "arn:aws:iam::222222222222:policy/unknown";
    let missing = iam.attach_role_policy().role_name("execution").policy_arn(unknown).send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
    let missing = iam.detach_role_policy().role_name("execution").policy_arn(unknown).send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
    let missing = iam.put_role_permissions_boundary().role_name("execution").permissions_boundary(unknown).send().await;
    assert_eq!(refusal(missing).1, "NoSuchEntity");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    for n in 0..5 {
        let call = iam.put_role_policy().role_name("execution").policy_name(format!("p{n}"));
        call.policy_document(allow("s3:*", "*").to_string()).send().await.unwrap();
    }
    let first = iam.list_role_policies().role_name("execution").max_items(3).send().await.unwrap();
    assert_eq!(first.policy_names(), ["p0", "p1", "p2"]);
    assert!(first.is_truncated());
    let rest = iam.list_role_policies().role_name("execution").marker(first.marker().unwrap()).send().await.unwrap();
    assert_eq!(rest.policy_names(), ["p3", "p4"]);
    assert!(!rest.is_truncated());
}

#[tokio::test]
async fn attached_policies_are_listed_by_arn() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    for _ in 0..2 {
        iam.attach_role_policy().role_name("execution").policy_arn(arn).send().await.unwrap();
    }
    let listed = iam.list_attached_role_policies().role_name("execution").send().await.unwrap();
    let listed: Vec<_> = listed.attached_policies().iter().map(|p| (p.policy_name(), p.policy_arn())).collect();
    assert_eq!(listed, [(Some("ReadOnlyAccess"), Some(arn))]);
}

#[tokio::test]
async fn a_role_that_is_made_again_has_another_unique_id() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let id = async || iam.get_role().role_name("made").send().await.unwrap().role().unwrap().role_id().to_owned();
    let first = make_role(&iam, "made").await.role_id().to_owned();
    assert_eq!(id().await, first);
    let update = iam.update_role().role_name("made").description("another").send();
    update.await.unwrap();
    assert_eq!(id().await, first, "a changed role is the same role");
    iam.delete_role().role_name("made").send().await.unwrap();
    make_role(&iam, "made").await;
    let second = id().await;
    assert!(first.starts_with("AROA") && second.starts_with("AROA"), "{first} {second}");
    assert_ne!(second, first);
}
