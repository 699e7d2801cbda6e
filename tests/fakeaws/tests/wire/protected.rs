//! Roles that only AWS changes (IAM API reference, `UnmodifiableEntity`; the text and the paths: rebuy-de/aws-nuke #331,
//! #441 and #1028).

use fakeaws::{FakeAws, RoleSeed};
use serde_json::json;

use crate::support::{DEV, DEV_ROOT, allow, iam, refusal, start, trust};

const SERVICE_LINKED: &str = "AWSServiceRoleForSupport";

fn put(aws: &FakeAws, name: &str, path: &str, only_aws_modifies: bool) {
    let role = RoleSeed {
        path: path.to_owned(),
        only_aws_modifies,
        ..RoleSeed::trusting(trust(json!({"Service": "support.amazonaws.com"})))
    };
    aws.admin().put_role(DEV, name, role).unwrap();
}

#[tokio::test]
async fn no_call_changes_a_role_that_only_aws_changes() {
    let aws = start().await;
    put(&aws, SERVICE_LINKED, "/aws-service-role/support.amazonaws.com/", false);
    put(&aws, "AWSReservedSSO_Admin_01b9b74ca528d470", "/aws-reserved/sso.amazonaws.com/", false);
    put(&aws, "stacksets-exec", "/", true);
    let before = aws.admin().configuration().unwrap();
    let iam = iam(&aws, DEV_ROOT);
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let policy = allow("s3:*", "*").to_string();
    let boundary = "arn:aws:iam::222222222222:policy/boundary";
    let tag = aws_sdk_iam::types::Tag::builder().key("k").value("v").build().unwrap();
    for name in [SERVICE_LINKED, "AWSReservedSSO_Admin_01b9b74ca528d470", "stacksets-exec"] {
        let put_policy = iam.put_role_policy().role_name(name).policy_name("p").policy_document(&policy);
        let update = iam.update_assume_role_policy().role_name(name).policy_document(&document);
        let set = iam.put_role_permissions_boundary().role_name(name).permissions_boundary(boundary);
        let mut refusals = vec![
            refusal(put_policy.send().await),
            refusal(iam.delete_role_policy().role_name(name).policy_name("p").send().await),
            refusal(iam.attach_role_policy().role_name(name).policy_arn(boundary).send().await),
            refusal(iam.detach_role_policy().role_name(name).policy_arn(boundary).send().await),
            refusal(update.send().await),
            refusal(iam.update_role().role_name(name).description("d").send().await),
            refusal(set.send().await),
            refusal(iam.delete_role_permissions_boundary().role_name(name).send().await),
            refusal(iam.delete_role().role_name(name).send().await),
        ];
        if name != SERVICE_LINKED {
            refusals.push(refusal(iam.tag_role().role_name(name).tags(tag.clone()).send().await));
            refusals.push(refusal(iam.untag_role().role_name(name).tag_keys("k").send().await));
        }
        for (status, code, message) in refusals {
            assert_eq!((status, code.as_str()), (400, "UnmodifiableEntity"), "{name}");
            let text = "Cannot perform the operation on the protected role";
            assert_eq!(message, format!("{text} '{name}' - this role is only modifiable by AWS"));
        }
        iam.get_role().role_name(name).send().await.unwrap();
        iam.list_role_policies().role_name(name).send().await.unwrap();
    }
    assert_eq!(aws.admin().configuration().unwrap(), before);
}

/// IAM API reference, `TagRole`: "The role can be a regular role or a service-linked role."
#[tokio::test]
async fn a_service_linked_role_takes_tags() {
    let aws = start().await;
    put(&aws, SERVICE_LINKED, "/aws-service-role/support.amazonaws.com/", false);
    let iam = iam(&aws, DEV_ROOT);
    let tag = aws_sdk_iam::types::Tag::builder().key("team").value("payments").build().unwrap();
    iam.tag_role().role_name(SERVICE_LINKED).tags(tag.clone()).send().await.unwrap();
    let tags = iam.list_role_tags().role_name(SERVICE_LINKED).send().await.unwrap();
    assert_eq!(tags.tags(), [tag]);
    iam.untag_role().role_name(SERVICE_LINKED).tag_keys("team").send().await.unwrap();
    let tags = iam.list_role_tags().role_name(SERVICE_LINKED).send().await.unwrap();
    assert!(tags.tags().is_empty(), "{tags:?}");
}

#[tokio::test]
async fn the_right_to_change_it_is_judged_first() {
    let aws = start().await;
    put(&aws, SERVICE_LINKED, "/aws-service-role/support.amazonaws.com/", false);
    let call = iam(&aws, crate::support::READER).delete_role().role_name(SERVICE_LINKED);
    assert_eq!(refusal(call.send().await).1, "AccessDenied");
}

#[tokio::test]
async fn no_caller_makes_a_role_where_only_aws_does() {
    let aws = start().await;
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let call = iam(&aws, DEV_ROOT).create_role().role_name("mine").path("/aws-service-role/mine/");
    let (status, _, message) = refusal(call.assume_role_policy_document(document).send().await);
    assert_eq!(status, 500, "{message}");
    assert!(message.contains("/aws-service-role/"), "{message}");
}
