//! IAM is eventually consistent: reads and judgements lag behind writes.

use fakeaws::Propagation;
use serde_json::json;

use crate::support::{CONTROLLER, DEV, DEV_ROOT, READER, TOOLS, allow, iam, make_role, refusal, start, sts, trust};

#[tokio::test]
async fn reads_show_the_state_before_a_recent_write() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let lag = Propagation { reads_milliseconds: 30_000, ..Propagation::default() };
    aws.admin().set_propagation(lag).unwrap();

    make_role(&iam, "made").await;
    assert_eq!(refusal(iam.get_role().role_name("made").send().await).1, "NoSuchEntity");
    let again = iam.create_role().role_name("made");
    let again = again.assume_role_policy_document(trust(json!({"AWS": "111111111111"})).to_string()).send().await;
    assert_eq!(refusal(again).1, "EntityAlreadyExists", "writes see the truth");
    aws.admin().advance_clock(31).unwrap();
    iam.get_role().role_name("made").send().await.unwrap();

    let policy = allow("s3:*", "*").to_string();
    iam.put_role_policy().role_name("made").policy_name("p").policy_document(policy).send().await.unwrap();
    assert_eq!(refusal(iam.get_role_policy().role_name("made").policy_name("p").send().await).1, "NoSuchEntity");
    let listed = iam.list_role_policies().role_name("made").send().await.unwrap();
    assert!(listed.policy_names().is_empty());
    aws.admin().advance_clock(31).unwrap();
    iam.get_role_policy().role_name("made").policy_name("p").send().await.unwrap();

    iam.delete_role_policy().role_name("made").policy_name("p").send().await.unwrap();
    iam.delete_role().role_name("made").send().await.unwrap();
    iam.get_role().role_name("made").send().await.unwrap();
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(refusal(iam.get_role().role_name("made").send().await).1, "NoSuchEntity");
}

#[tokio::test]
async fn other_roles_are_read_as_they_are() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let lag = Propagation { reads_milliseconds: 30_000, ..Propagation::default() };
    aws.admin().set_propagation(lag).unwrap();
    make_role(&iam, "made").await;
    iam.get_role().role_name("execution").send().await.unwrap();
}

/// A deleted role that reads still show is judged under its path, where the caller's rights may end.
#[tokio::test]
async fn a_role_that_is_still_shown_is_judged_under_its_path() {
    let aws = start().await;
    let (root, reader) = (iam(&aws, DEV_ROOT), iam(&aws, READER));
    let rights = allow("iam:GetRole", "arn:aws:iam::222222222222:role/teams/*");
    aws.admin().put_inline_policy(DEV, "reader", "read", rights).unwrap();
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let made = root.create_role().role_name("made").path("/teams/").assume_role_policy_document(document);
    made.send().await.unwrap();
    aws.admin().advance_clock(60).unwrap();
    let lag = Propagation { reads_milliseconds: 30_000, ..Propagation::default() };
    aws.admin().set_propagation(lag).unwrap();
    root.delete_role().role_name("made").send().await.unwrap();
    reader.get_role().role_name("made").send().await.unwrap();
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(refusal(reader.get_role().role_name("made").send().await).1, "AccessDenied");
}

#[tokio::test]
async fn assumption_is_judged_by_the_policies_of_a_while_ago() {
    let aws = start().await;
    let assume = || {
        let call = sts(&aws, CONTROLLER).assume_role().role_arn("arn:aws:iam::111111111111:role/crossinvoke");
        call.role_session_name("session").send()
    };
    let lag = Propagation { authorisation_milliseconds: 30_000, ..Propagation::default() };
    aws.admin().set_propagation(lag).unwrap();

    aws.admin().put_trust(TOOLS, "crossinvoke", trust(json!({"AWS": "222222222222"}))).unwrap();
    assume().await.unwrap();
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(refusal(assume().await).1, "AccessDenied");

    aws.admin().put_trust(TOOLS, "crossinvoke", trust(json!({"AWS": "333333333333"}))).unwrap();
    assert_eq!(refusal(assume().await).1, "AccessDenied");
    aws.admin().advance_clock(31).unwrap();
    assume().await.unwrap();

    aws.admin().remove_inline_policy("333333333333", "controller", "assume").unwrap();
    assume().await.unwrap();
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(refusal(assume().await).1, "AccessDenied");
}

#[tokio::test]
async fn reads_do_not_lag_with_authorisation() {
    let aws = start().await;
    let lag = Propagation { authorisation_milliseconds: 30_000, ..Propagation::default() };
    aws.admin().set_propagation(lag).unwrap();
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    iam.get_role().role_name("made").send().await.unwrap();
}
