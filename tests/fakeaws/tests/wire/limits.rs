//! Quotas and constraints of IAM.

use aws_sdk_iam::types::Tag;
use serde_json::json;

use crate::support::{DEV_ROOT, TOOLS_ROOT, allow, iam, make_role, refusal, start, trust};

/// A policy of exactly this many characters without white space.
fn policy_of(size: usize) -> String {
    let empty = allow("s3:GetObject", "arn:aws:s3:::").to_string();
    let filler = "a".repeat(size - empty.len());
    allow("s3:GetObject", &format!("arn:aws:s3:::{filler}")).to_string()
}

#[tokio::test]
async fn all_inline_policies_of_a_role_share_10240_characters() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "full").await;
    let put = |name: &str, document: String| {
        iam.put_role_policy().role_name("full").policy_name(name).policy_document(document).send()
    };
    put("a", policy_of(6000)).await.unwrap();
    let (status, code, message) = refusal(put("b", policy_of(4241)).await);
    assert_eq!((status, code.as_str()), (409, "LimitExceeded"));
    assert_eq!(message, "Maximum policy size of 10240 bytes exceeded for role full");
    put("b", policy_of(4240).replace(',', ",\n        ")).await.unwrap();
    assert_eq!(refusal(put("c", allow("s3:GetObject", "*").to_string()).await).1, "LimitExceeded");
    put("a", policy_of(1000)).await.unwrap();
    put("c", allow("s3:GetObject", "*").to_string()).await.unwrap();
}

#[tokio::test]
async fn a_trust_policy_has_2048_characters() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let mut document = trust(json!({"AWS": "111111111111"}));
    let sized = |document: &mut serde_json::Value, size: usize| {
        document["Statement"][0]["Sid"] = json!("");
        let rest = size - document.to_string().len();
        document["Statement"][0]["Sid"] = json!("a".repeat(rest));
        document.to_string()
    };
    let update = |text: String| iam.update_assume_role_policy().role_name("execution").policy_document(text).send();
    let (status, code, message) = refusal(update(sized(&mut document, 2049)).await);
    assert_eq!((status, code.as_str()), (409, "LimitExceeded"));
    assert_eq!(message, "Cannot exceed quota for ACLSizePerRole: 2048");
    update(sized(&mut document, 2048)).await.unwrap();
}

#[tokio::test]
async fn names_and_paths_are_bounded() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let make = |name: &str, path: Option<&str>| {
        let call = iam.create_role().role_name(name).assume_role_policy_document(&document);
        call.set_path(path.map(str::to_owned)).send()
    };
    for (name, path) in [("a".repeat(65).as_str(), None), ("a b", None), ("a", Some("x")), ("a", Some("/x"))] {
        assert_eq!(refusal(make(name, path).await).1, "ValidationError", "{name} {path:?}");
    }
    let long = format!("/{}/", "p".repeat(510));
    let role = make(&"a".repeat(64), Some(&long)).await.unwrap();
    assert!(role.role().unwrap().arn().ends_with(&format!(":role{long}{}", "a".repeat(64))));
    let call = iam.put_role_policy().role_name("execution").policy_name("p".repeat(129));
    let outcome = call.policy_document(allow("s3:*", "*").to_string()).send().await;
    assert_eq!(refusal(outcome).1, "ValidationError");
}

#[tokio::test]
async fn tags_are_bounded() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    let put = |tags: Vec<Tag>| iam.tag_role().role_name("execution").set_tags(Some(tags)).send();
    put((0..50).map(|n| tag(&format!("key{n}"), "")).collect()).await.unwrap();
    let (status, code, _) = refusal(put(vec![tag("one-more", "")]).await);
    assert_eq!((status, code.as_str()), (409, "LimitExceeded"));
    put(vec![tag("key1", "changed")]).await.unwrap();
    let refused = [
        (vec![tag(&"k".repeat(129), "")], "ValidationError"),
        (vec![tag("k", &"v".repeat(257))], "ValidationError"),
        (vec![tag("k!", "")], "ValidationError"),
        (vec![tag("aws:team", "")], "InvalidInput"),
        (vec![tag("Team", ""), tag("team", "")], "InvalidInput"),
    ];
    for (tags, expected) in refused {
        assert_eq!(refusal(put(tags.clone()).await).1, expected, "{tags:?}");
    }
}

#[tokio::test]
async fn role_names_are_unique_without_case_and_over_paths() {
    let aws = start().await;
    let iam = iam(&aws, TOOLS_ROOT);
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    for (name, path) in [("Pipeline", "/"), ("PIPELINE", "/service-role/"), ("pipeline", "/other/")] {
        let call = iam.create_role().role_name(name).path(path).assume_role_policy_document(&document);
        let (status, code, message) = refusal(call.send().await);
        assert_eq!((status, code.as_str()), (409, "EntityAlreadyExists"));
        assert_eq!(message, format!("Role with name {name} already exists."));
    }
}

#[tokio::test]
async fn a_role_has_ten_attached_policies() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "full").await;
    let attach = |n: usize| {
        let arn = format!("arn:aws:iam::222222222222:policy/p{n}");
        aws.admin().put_managed_policy(&arn, allow("s3:*", "*")).unwrap();
        iam.attach_role_policy().role_name("full").policy_arn(arn).send()
    };
    for n in 0..10 {
        attach(n).await.unwrap();
    }
    let (status, code, message) = refusal(attach(10).await);
    assert_eq!((status, code.as_str()), (409, "LimitExceeded"));
    assert_eq!(message, "Cannot exceed quota for PoliciesPerRole: 10");
    attach(9).await.unwrap();
}
