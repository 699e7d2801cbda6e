//! Trust policies of a seed come back in the shape that they have there: whatever IAM was once given may be read.

use serde_json::{Value, json};

use crate::support::{DEV, DEV_ROOT, TOOLS, decoded, iam, start, sts};

const PIPELINE: &str = "arn:aws:iam::111111111111:role/service-role/pipeline";

async fn read(iam: &aws_sdk_iam::Client, role: &str) -> (String, Value) {
    let answer = iam.get_role().role_name(role).send().await.unwrap();
    let text = answer.role().unwrap().assume_role_policy_document().unwrap().to_owned();
    let document = decoded(&text);
    (text, document)
}

/// Each shape, with what IAM makes of it: account ids become their roots, and nothing else changes.
fn shapes() -> Vec<(&'static str, Value, Value)> {
    let root = "arn:aws:iam::111111111111:root";
    let statement = |principal: Value, action: Value, condition: Value| json!({"Effect": "Allow", "Principal": principal, "Action": action, "Condition": condition});
    let by_arn = json!({"ArnEquals": {"aws:PrincipalArn": PIPELINE}});
    let plain = || statement(json!({"AWS": root}), json!("sts:AssumeRole"), by_arn.clone());
    let document = |statements: Value| json!({"Version": "2012-10-17", "Statement": statements});
    let same = |name: &'static str, document: Value| (name, document.clone(), document);
    vec![
        same("one statement as an object", document(plain())),
        same("one statement in a list", document(json!([plain()]))),
        (
            "a list of one account id",
            document(statement(json!({"AWS": [TOOLS]}), json!("sts:AssumeRole"), by_arn.clone())),
            document(statement(json!({"AWS": [root]}), json!("sts:AssumeRole"), by_arn.clone())),
        ),
        (
            "an account id",
            document(json!([statement(json!({"AWS": TOOLS}), json!("sts:AssumeRole"), by_arn.clone())])),
            document(json!([plain()])),
        ),
        same("an action in capitals in a list", {
            document(statement(json!({"AWS": root}), json!(["STS:AssumeRole"]), by_arn.clone()))
        }),
        same("a condition key in capitals with a list of one", {
            let condition = json!({"ArnEquals": {"AWS:PrincipalARN": [PIPELINE]}});
            document(json!([statement(json!({"AWS": root}), json!("sts:AssumeRole"), condition)]))
        }),
        same("an id and a statement id", {
            let mut with_sid = plain();
            with_sid["Sid"] = json!("One");
            json!({"Version": "2012-10-17", "Id": "mine", "Statement": [with_sid]})
        }),
        same("an older version", json!({"Version": "2008-10-17", "Statement": plain()})),
        same("a pattern", {
            let condition = json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/*"}});
            document(json!([statement(json!({"AWS": root}), json!("sts:AssumeRole"), condition)]))
        }),
        same("a second principal that is gone", {
            document(statement(
                json!({"AWS": [root, "AROAABCDEFGHIJKLMNOPQ"]}),
                json!("sts:AssumeRole"),
                by_arn.clone(),
            ))
        }),
    ]
}

#[tokio::test]
async fn a_seeded_trust_policy_keeps_its_shape_and_is_judged_by_its_meaning() {
    for (name, given, expected) in shapes() {
        let aws = start().await;
        let mut configuration = aws.admin().configuration().unwrap();
        configuration["accounts"][DEV]["roles"]["invoked"] = json!({"trust": given});
        configuration["keys"] = json!({"AKIADEVROOT": format!("arn:aws:iam::{DEV}:root"), "AKIAPIPELINE": PIPELINE});
        let aws = fakeaws::FakeAws::start(serde_json::from_value(configuration).unwrap()).await.unwrap();
        let (text, document) = read(&iam(&aws, DEV_ROOT), "invoked").await;
        assert_eq!(document, expected, "{name}");
        // Encoded after RFC 3986, without white space.
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{name}: {text}");
        assert!(!text.contains("%20"), "{name}: {text}");
        let call = sts(&aws, "AKIAPIPELINE").assume_role().role_arn(format!("arn:aws:iam::{DEV}:role/invoked"));
        call.role_session_name("session").send().await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

#[tokio::test]
async fn a_trust_policy_that_is_written_over_the_api_is_rearranged_again() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    let given = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": [TOOLS]}, "Action": ["sts:AssumeRole"]},
    ]});
    aws.admin().put_role(DEV, "invoked", fakeaws::RoleSeed::trusting(given.clone())).unwrap();
    let root = "arn:aws:iam::111111111111:root";
    let mut kept = given.clone();
    kept["Statement"][0]["Principal"]["AWS"] = json!([root]);
    assert_eq!(read(&iam, "invoked").await.1, kept);
    iam.update_assume_role_policy().role_name("invoked").policy_document(given.to_string()).send().await.unwrap();
    let (_, document) = read(&iam, "invoked").await;
    assert_eq!(document["Statement"][0]["Principal"]["AWS"], json!(root));
    assert_eq!(document["Statement"][0]["Action"], json!("sts:AssumeRole"));
}
