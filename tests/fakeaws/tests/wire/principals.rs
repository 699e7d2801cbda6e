//! Principals of trust policies: unique ids behind ARNs (IAM User Guide, "AWS JSON policy elements: Principal", IAM
//! role principals).

use serde_json::{Value, json};

use crate::support::{DEV_ROOT, TOOLS_ROOT, decoded, iam, make_role, refusal, start, trust};

async fn shown_principal(iam: &aws_sdk_iam::Client, role: &str) -> Value {
    let answer = iam.get_role().role_name(role).send().await.unwrap();
    let mut document = decoded(answer.role().unwrap().assume_role_policy_document().unwrap());
    document["Statement"][0]["Principal"]["AWS"].take()
}

#[tokio::test]
async fn a_deleted_role_shows_up_as_its_unique_id_and_a_recreated_one_does_not_restore_it() {
    let aws = start().await;
    let (dev, tools) = (iam(&aws, DEV_ROOT), iam(&aws, TOOLS_ROOT));
    let id = make_role(&tools, "caller").await.role_id().to_owned();
    let arn = "arn:aws:iam::111111111111:role/caller";
    let document = trust(json!({"AWS": arn})).to_string();
    dev.create_role().role_name("invoked").assume_role_policy_document(&document).send().await.unwrap();
    assert_eq!(shown_principal(&dev, "invoked").await, json!(arn));

    tools.delete_role().role_name("caller").send().await.unwrap();
    assert_eq!(shown_principal(&dev, "invoked").await, json!(id));
    assert!(id.starts_with("AROA"));
    make_role(&tools, "caller").await;
    assert_eq!(shown_principal(&dev, "invoked").await, json!(id));

    dev.update_assume_role_policy().role_name("invoked").policy_document(&document).send().await.unwrap();
    assert_eq!(shown_principal(&dev, "invoked").await, json!(arn));
}

#[tokio::test]
async fn a_quick_recreate_without_a_read_in_between_breaks_the_trust_too() {
    let aws = start().await;
    let (dev, tools) = (iam(&aws, DEV_ROOT), iam(&aws, TOOLS_ROOT));
    let id = make_role(&tools, "caller").await.role_id().to_owned();
    let document = trust(json!({"AWS": ["arn:aws:iam::111111111111:role/caller", "111111111111"]})).to_string();
    dev.create_role().role_name("invoked").assume_role_policy_document(document).send().await.unwrap();
    tools.delete_role().role_name("caller").send().await.unwrap();
    make_role(&tools, "caller").await;
    assert_eq!(shown_principal(&dev, "invoked").await, json!(["arn:aws:iam::111111111111:root", id]));
}

#[tokio::test]
async fn principals_that_do_not_exist_are_refused() {
    let aws = start().await;
    let dev = iam(&aws, DEV_ROOT);
    let unknown = [
        json!({"AWS": "arn:aws:iam::111111111111:role/nobody"}),
        // Without its path the ARN is another one.
        json!({"AWS": "arn:aws:iam::111111111111:role/pipeline"}),
        json!({"AWS": "arn:aws:iam::111111111111:role/*"}),
        json!({"AWS": "arn:aws-cn:iam::111111111111:root"}),
        json!({"AWS": "999999999999"}),
        json!({"AWS": "AROAAAAAAAAAAAAAAAAAA"}),
        json!({"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:user/nobody"]}),
        json!({"Service": "codepipeline"}),
    ];
    for principal in unknown {
        let document = trust(principal.clone()).to_string();
        let create = dev.create_role().role_name("invoked").assume_role_policy_document(&document).send().await;
        let (status, code, message) = refusal(create);
        assert_eq!((status, code.as_str()), (400, "MalformedPolicyDocument"), "{principal}");
        assert!(message.starts_with("Invalid principal in policy: "), "{principal}: {message}");
        let update = dev.update_assume_role_policy().role_name("execution").policy_document(document).send().await;
        assert_eq!(refusal(update).1, "MalformedPolicyDocument", "{principal}");
    }
    let call = dev.get_role().role_name("invoked").send().await;
    assert_eq!(refusal(call).1, "NoSuchEntity", "a refused role is not made");
}

#[tokio::test]
async fn condition_values_are_left_alone() {
    let aws = start().await;
    let (dev, tools) = (iam(&aws, DEV_ROOT), iam(&aws, TOOLS_ROOT));
    make_role(&tools, "caller").await;
    let mut document = trust(json!({"AWS": "arn:aws:iam::111111111111:root"}));
    let condition = json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/caller"}});
    document["Statement"][0]["Condition"] = condition.clone();
    dev.create_role().role_name("invoked").assume_role_policy_document(document.to_string()).send().await.unwrap();
    tools.delete_role().role_name("caller").send().await.unwrap();
    let answer = dev.get_role().role_name("invoked").send().await.unwrap();
    let shown = decoded(answer.role().unwrap().assume_role_policy_document().unwrap());
    assert_eq!(shown["Statement"][0]["Condition"], condition);
}
