//! Tag keys are unique without regard to case (IAM User Guide, "Tags for AWS Identity and Access Management resources").

use aws_sdk_iam::{Client, types::Tag};
use serde_json::json;

use crate::support::{DEV, DEV_ROOT, iam, make_role, refusal, seed, start, trust};

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

async fn tags(iam: &Client) -> Vec<(String, String)> {
    let answer = iam.get_role().role_name("made").send().await.unwrap();
    let tags = answer.role().unwrap().tags().iter();
    tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

#[tokio::test]
async fn another_spelling_replaces_the_key_and_the_old_spelling_removes_it() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    for (key, value) in [("team", "a"), ("Team", "b"), ("other", "c")] {
        iam.tag_role().role_name("made").tags(tag(key, value)).send().await.unwrap();
    }
    assert_eq!(tags(&iam).await, [("Team".to_owned(), "b".to_owned()), ("other".to_owned(), "c".to_owned())]);
    iam.untag_role().role_name("made").tag_keys("team").send().await.unwrap();
    assert_eq!(tags(&iam).await, [("other".to_owned(), "c".to_owned())]);
}

#[tokio::test]
async fn two_spellings_in_one_request_are_refused() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let both = vec![tag("Team", "a"), tag("team", "b")];
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let create = iam.create_role().role_name("made").assume_role_policy_document(document);
    let (status, code, message) = refusal(create.set_tags(Some(both.clone())).send().await);
    assert_eq!((status, code.as_str()), (400, "InvalidInput"));
    assert_eq!(message, "Duplicate tag keys found. Please note that Tag keys are case insensitive.");
    assert_eq!(refusal(iam.get_role().role_name("made").send().await).1, "NoSuchEntity");
    make_role(&iam, "made").await;
    let put = iam.tag_role().role_name("made").set_tags(Some(both)).send().await;
    assert_eq!(refusal(put).2, "Duplicate tag keys found. Please note that Tag keys are case insensitive.");
}

#[tokio::test]
async fn tags_that_are_set_behind_the_api_follow_the_same_rule() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    aws.admin().put_tag(DEV, "made", "team", "a").unwrap();
    aws.admin().put_tag(DEV, "made", "TEAM", "b").unwrap();
    assert_eq!(tags(&iam).await, [("TEAM".to_owned(), "b".to_owned())]);
    aws.admin().remove_tag(DEV, "made", "team").unwrap();
    assert_eq!(tags(&iam).await, []);
    let mut seed = seed();
    let both = [("team", "a"), ("Team", "b")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    seed.accounts.get_mut(DEV).unwrap().roles.get_mut("reader").unwrap().tags = both.into();
    let error = fakeaws::FakeAws::start(seed).await.err().unwrap().to_string();
    assert!(error.contains("Duplicate tag keys"), "{error}");
}
