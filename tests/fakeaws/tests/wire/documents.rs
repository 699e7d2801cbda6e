//! Documents: encoded and rearranged on the way out, checked on the way in.

use serde_json::json;

use crate::support::{DEV_ROOT, allow, decoded, iam, make_role, refusal, start, trust};

#[tokio::test]
async fn documents_come_back_encoded_rearranged_and_without_white_space() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    let given = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    {\"Sid\": \"A+b c\", \"Effect\": \"Allow\", \
                 \"Action\": [\"s3:GetObject\", \"s3:PutObject\"], \"Resource\": [\"*\"]}\n  ]\n}";
    iam.put_role_policy().role_name("made").policy_name("p").policy_document(given).send().await.unwrap();
    let answer = iam.get_role_policy().role_name("made").policy_name("p").send().await.unwrap();
    let returned = answer.policy_document();
    assert!(returned.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{returned}");
    assert!(returned.contains("A%2Bb%20c"), "a plus is a plus, a space is %20: {returned}");
    let text = percent_encoding::percent_decode_str(returned).decode_utf8().unwrap().into_owned();
    assert_eq!(
        text,
        "{\"Statement\":[{\"Resource\":\"*\",\"Action\":[\"s3:PutObject\",\"s3:GetObject\"],\"Effect\":\"Allow\",\
         \"Sid\":\"A+b c\"}],\"Version\":\"2012-10-17\"}"
    );
}

#[tokio::test]
async fn trust_policies_come_back_in_the_same_way() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let made = make_role(&iam, "made").await;
    let read = iam.get_role().role_name("made").send().await.unwrap();
    let read = read.role().unwrap().assume_role_policy_document().unwrap().to_owned();
    assert_eq!(made.assume_role_policy_document(), Some(read.as_str()));
    assert!(read.starts_with("%7B%22Statement%22%3A%5B%7B%22Action%22%3A%22sts%3AAssumeRole%22"), "{read}");
    assert_eq!(
        decoded(&read),
        trust(json!({"AWS": "arn:aws:iam::111111111111:root"})),
        "a bare account id is its root"
    );
}

#[tokio::test]
async fn malformed_documents_are_refused() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let statement =
        |statement: serde_json::Value| json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let identity = [
        ("{", "MalformedPolicyDocument"),
        ("", "ValidationError"),
        ("{\"Version\":\"2012-10-17\",\"Statement\":[],\"Id\":\"日本\"}", "ValidationError"),
        ("{\"Version\":\"2012-10-18\",\"Statement\":[]}", "MalformedPolicyDocument"),
        (&statement(json!({"Effect": "Allow", "Action": "*"})), "MalformedPolicyDocument"),
        (&statement(json!({"Effect": "allow", "Action": "*", "Resource": "*"})), "MalformedPolicyDocument"),
        (&statement(json!({"Effect": "Allow", "Action": "get", "Resource": "*"})), "MalformedPolicyDocument"),
        (&statement(json!({"Effect": "Allow", "Action": "*", "Resource": "bucket"})), "MalformedPolicyDocument"),
        (
            &statement(json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"})),
            "MalformedPolicyDocument",
        ),
    ];
    for (document, expected) in identity {
        let call = iam.put_role_policy().role_name("execution").policy_name("p").policy_document(document);
        assert_eq!(refusal(call.send().await).1, expected, "{document}");
    }
    let trusts = [
        statement(json!({"Effect": "Allow", "Action": "sts:AssumeRole"})),
        statement(json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}, "Resource": "*"})),
        statement(json!({"Effect": "Allow", "Action": "iam:GetRole", "Principal": {"AWS": "*"}})),
    ];
    for document in trusts {
        let call = iam.update_assume_role_policy().role_name("execution").policy_document(&document);
        assert_eq!(refusal(call.send().await).1, "MalformedPolicyDocument", "{document}");
    }
}

#[tokio::test]
async fn characters_up_to_ff_are_taken() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let document = allow("s3:GetObject", "arn:aws:s3:::straße/*").to_string();
    iam.put_role_policy().role_name("execution").policy_name("p").policy_document(document).send().await.unwrap();
    let answer = iam.get_role_policy().role_name("execution").policy_name("p").send().await.unwrap();
    assert_eq!(decoded(answer.policy_document()), allow("s3:GetObject", "arn:aws:s3:::straße/*"));
}

#[tokio::test]
async fn managed_policies_can_be_read() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let policy = iam.get_policy().policy_arn(arn).send().await.unwrap();
    let version = policy.policy().unwrap().default_version_id().unwrap();
    let answer = iam.get_policy_version().policy_arn(arn).version_id(version).send().await.unwrap();
    assert_eq!(decoded(answer.policy_version().unwrap().document().unwrap()), allow("iam:List*", "*"));
}
