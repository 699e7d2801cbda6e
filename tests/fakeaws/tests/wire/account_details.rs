//! The bulk read of all roles of an account.

use aws_sdk_iam::types::{EntityType, RoleDetail};
use fakeaws::{BulkAnswers, FakeAws, Fault, Propagation, RateLimit};
use serde_json::json;

use crate::support::{DEV, DEV_ROOT, READER, TOOLS_ROOT, allow, decoded, iam, make_role, refusal, start, trust};

const BOUNDARY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

/// All roles, by pages of so many.
async fn roles(aws: &FakeAws, access_key: &str, size: i32) -> (Vec<RoleDetail>, usize) {
    let (mut found, mut pages, mut marker) = (Vec::new(), 0, None);
    loop {
        let call = iam(aws, access_key).get_account_authorization_details().filter(EntityType::Role);
        let page = call.max_items(size).set_marker(marker).send().await.unwrap();
        found.extend(page.role_detail_list().iter().cloned());
        pages += 1;
        marker = page.marker().map(str::to_owned);
        assert_eq!(page.is_truncated(), marker.is_some());
        if marker.is_none() {
            return (found, pages);
        }
    }
}

async fn role(aws: &FakeAws, name: &str) -> Option<RoleDetail> {
    roles(aws, DEV_ROOT, 1000).await.0.into_iter().find(|role| role.role_name() == Some(name))
}

/// Everything that single reads show is there, in the same words, and nothing that AWS does not list.
#[tokio::test]
async fn a_role_is_shown_with_all_that_hangs_on_it() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    iam.put_role_policy()
        .role_name("made")
        .policy_name("p")
        .policy_document(allow("s3:*", "*").to_string())
        .send()
        .await
        .unwrap();
    iam.attach_role_policy().role_name("made").policy_arn(BOUNDARY).send().await.unwrap();
    let tag = aws_sdk_iam::types::Tag::builder().key("team").value("payments").build().unwrap();
    iam.tag_role().role_name("made").tags(tag).send().await.unwrap();
    let alone = iam.get_role().role_name("made").send().await.unwrap().role.unwrap();
    let found = role(&aws, "made").await.unwrap();
    assert_eq!((found.path(), found.arn(), found.role_id()), (Some("/"), Some(alone.arn()), Some(alone.role_id())));
    assert_eq!(found.assume_role_policy_document(), alone.assume_role_policy_document());
    let inline = iam.get_role_policy().role_name("made").policy_name("p").send().await.unwrap();
    let [policy] = found.role_policy_list() else { panic!("{found:?}") };
    assert_eq!((policy.policy_name(), policy.policy_document()), (Some("p"), Some(inline.policy_document())));
    assert_eq!(decoded(policy.policy_document().unwrap()), decoded(inline.policy_document()));
    let [attached] = found.attached_managed_policies() else { panic!("{found:?}") };
    assert_eq!((attached.policy_name(), attached.policy_arn()), (Some("ReadOnlyAccess"), Some(BOUNDARY)));
    assert_eq!(found.tags(), alone.tags());
    assert!(found.instance_profile_list().is_empty() && found.role_last_used().is_some(), "{found:?}");
}

#[tokio::test]
async fn boundaries_are_left_out_unless_told_otherwise() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    iam.put_role_permissions_boundary().role_name("made").permissions_boundary(BOUNDARY).send().await.unwrap();
    assert_eq!(role(&aws, "made").await.unwrap().permissions_boundary(), None);
    aws.admin().set_bulk_answers(BulkAnswers { with_boundaries: true, ..BulkAnswers::default() }).unwrap();
    let alone = iam.get_role().role_name("made").send().await.unwrap().role.unwrap();
    let found = role(&aws, "made").await.unwrap();
    assert!(alone.permissions_boundary().is_some());
    assert_eq!(found.permissions_boundary(), alone.permissions_boundary());
}

#[tokio::test]
async fn roles_come_in_pages_that_may_be_shorter_than_asked_for() {
    let aws = start().await;
    let there = roles(&aws, DEV_ROOT, 1000).await.0.len();
    let client = iam(&aws, DEV_ROOT);
    for n in 0..120 {
        make_role(&client, &format!("r{n:03}")).await;
    }
    let all = there + 120;
    let default = client.get_account_authorization_details().filter(EntityType::Role).send().await.unwrap();
    assert_eq!((default.role_detail_list().len(), default.is_truncated()), (100, true));
    let (found, pages) = roles(&aws, DEV_ROOT, 50).await;
    assert_eq!((found.len(), pages), (all, all.div_ceil(50)));
    aws.admin().set_bulk_answers(BulkAnswers { page: Some(7), ..BulkAnswers::default() }).unwrap();
    let (found, pages) = roles(&aws, DEV_ROOT, 50).await;
    assert_eq!((found.len(), pages), (all, all.div_ceil(7)));
    for size in [0, 1001] {
        let call = client.get_account_authorization_details().filter(EntityType::Role).max_items(size);
        let (status, code, message) = refusal(call.send().await);
        assert_eq!((status, code.as_str()), (400, "ValidationError"), "{message}");
    }
    let call = client.get_account_authorization_details().filter(EntityType::Role).marker("later");
    assert_eq!(refusal(call.send().await).1, "InvalidInput");
}

#[tokio::test]
async fn entities_are_filtered_by_known_types_and_only_roles_are_told() {
    let aws = start().await;
    let client = iam(&aws, DEV_ROOT);
    let call = client.get_account_authorization_details().filter(EntityType::from("Pipeline"));
    assert_eq!(refusal(call.send().await).1, "ValidationError");
    for filter in [Some(EntityType::User), None] {
        let call = client.get_account_authorization_details().set_filter(filter.map(|filter| vec![filter]));
        let (status, _, message) = refusal(call.send().await);
        assert!(status == 500 && message.contains("anything but roles"), "{message}");
    }
}

#[tokio::test]
async fn it_needs_its_own_right_over_everything() {
    let aws = start().await;
    let read = || iam(&aws, READER).get_account_authorization_details().filter(EntityType::Role).send();
    for (resource, allowed) in [("arn:aws:iam::222222222222:role/*", false), ("*", true)] {
        let right = allow("iam:GetAccountAuthorizationDetails", resource);
        aws.admin().put_inline_policy(DEV, "reader", "bulk", right).unwrap();
        let outcome = read().await;
        assert_eq!(outcome.is_ok(), allowed, "{resource}: {outcome:?}");
        if !allowed {
            let (status, code, message) = refusal(outcome);
            assert_eq!((status, code.as_str()), (403, "AccessDenied"));
            let said = "is not authorized to perform: iam:GetAccountAuthorizationDetails on resource: * because no";
            assert!(message.contains(said), "{message}");
        }
    }
}

#[tokio::test]
async fn it_lags_as_reads_do_and_further_if_told_so() {
    let aws = start().await;
    aws.admin().set_propagation(Propagation { reads_milliseconds: 30_000, ..Propagation::default() }).unwrap();
    make_role(&iam(&aws, DEV_ROOT), "made").await;
    assert!(role(&aws, "made").await.is_none());
    aws.admin().advance_clock(31).unwrap();
    assert!(role(&aws, "made").await.is_some());
    aws.admin().set_bulk_answers(BulkAnswers { lag_milliseconds: 60_000, ..BulkAnswers::default() }).unwrap();
    assert!(role(&aws, "made").await.is_none());
    aws.admin().advance_clock(60).unwrap();
    assert!(role(&aws, "made").await.is_some());
    aws.admin().put_trust(DEV, "made", trust(json!({"AWS": "222222222222"}))).unwrap();
    let shown = decoded(role(&aws, "made").await.unwrap().assume_role_policy_document().unwrap());
    assert_eq!(shown["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::111111111111:root");
    let lacking = ["made".to_owned()].into();
    aws.admin().set_bulk_answers(BulkAnswers { lacking, ..BulkAnswers::default() }).unwrap();
    assert!(role(&aws, "made").await.is_none());
}

#[tokio::test]
async fn it_is_throttled_and_counted_as_other_calls_are() {
    let aws = start().await;
    let read = |key: &'static str| iam(&aws, key).get_account_authorization_details().filter(EntityType::Role).send();
    aws.admin().fault(Fault::next("GetAccountAuthorizationDetails", fakeaws::Effect::Throttle)).unwrap();
    assert_eq!(refusal(read(DEV_ROOT).await).1, "Throttling");
    aws.admin().set_rate_limit(Some(RateLimit { burst: 1.0, per_second: 0.01 })).unwrap();
    read(DEV_ROOT).await.unwrap();
    assert_eq!(refusal(read(DEV_ROOT).await).1, "Throttling");
    read(TOOLS_ROOT).await.unwrap();
    assert_eq!(aws.admin().counters().unwrap()[DEV]["iam:GetAccountAuthorizationDetails"], 3);
}
