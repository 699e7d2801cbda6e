//! A pipeline of type V2 as they are today, and what its members must be.

use fakeaws::RoleSeed;
use serde_json::{Value, json};

use super::support::{PIPELINE, PIPELINE_ROLE, call, declaration, refused, start_with_pipeline};
use crate::support::{REGION, TOOLS, trust};

const CHECKER: &str = "arn:aws:iam::111111111111:role/checker";

fn rule(name: &str, provider: &str, members: Value) -> Value {
    let mut rule = json!({"name": name, "ruleTypeId":
        {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"}});
    rule.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    rule
}

/// Everything that a declaration can have.
fn whole() -> Value {
    let mut whole = declaration();
    let store = whole.as_object_mut().unwrap().remove("artifactStore").unwrap();
    whole["artifactStores"] = json!({
        REGION: store,
        "eu-west-1": {"type": "S3", "location": "far", "encryptionKey": {"id": "alias/artifacts", "type": "KMS"}},
    });
    whole["pipelineType"] = json!("V2");
    whole["executionMode"] = json!("QUEUED");
    whole["variables"] =
        json!([{"name": "Suite", "defaultValue": "smoke", "description": "Which tests"}, {"name": "Ticket"}]);
    whole["triggers"] = json!([{"providerType": "CodeStarSourceConnection", "gitConfiguration": {
        "sourceActionName": "Fetch",
        "push": [
            {"branches": {"includes": ["main"], "excludes": ["wip/*"]}, "filePaths": {"includes": ["src/**"]}},
            {"tags": {"includes": ["v*"]}},
        ],
        "pullRequest": [{"events": ["OPEN", "UPDATED"], "branches": {"includes": ["main"]}}],
    }}]);
    let build = &mut whole["stages"][1];
    build["onFailure"] = json!({"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}});
    build["actions"].as_array_mut().unwrap().push(json!({
        "name": "Package",
        "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands", "version": "1"},
        "runOrder": 3,
        "commands": ["make package", "ls"],
        "environmentVariables": [
            {"name": "SUITE", "value": "#{variables.Suite}", "type": "PLAINTEXT"},
            {"name": "TOKEN", "value": "prod/token", "type": "SECRETS_MANAGER"},
        ],
        "inputArtifacts": [{"name": "source"}],
        "outputArtifacts": [{"name": "package", "files": ["dist/*.zip", "version.txt"]}],
        "outputVariables": ["VERSION"],
        "namespace": "packaging",
        "region": "us-east-1",
        "timeoutInMinutes": 30,
    }));
    let validate = &mut whole["stages"][2];
    validate["beforeEntry"] = json!({"conditions": [{"result": "SKIP", "rules": [
        rule("Weekday", "VariableCheck", json!({"configuration": {"Variable": "#{packaging.VERSION}", "Value": "1", "Operator": "NE"}})),
    ]}]});
    validate["onSuccess"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [
        rule("Ask", "LambdaInvoke", json!({
            "configuration": {"FunctionName": "checks", "UserParameters": "x".repeat(5000)},
            "roleArn": CHECKER, "region": "us-east-1", "timeoutInMinutes": 10,
        })),
        rule("Look", "Commands", json!({"commands": ["true"], "inputArtifacts": [{"name": "package"}]})),
    ]}]});
    validate["onFailure"] = json!({"result": "ROLLBACK", "conditions": [{"result": "ROLLBACK", "rules": [
        rule("Alarm", "CloudWatchAlarm", json!({"configuration": {"AlarmName": "errors", "WaitTime": "5"}})),
    ]}]});
    whole
}

async fn start() -> fakeaws::FakeAws {
    let aws = start_with_pipeline().await;
    aws.admin().put_role(TOOLS, "checker", RoleSeed::trusting(trust(json!({"AWS": PIPELINE_ROLE})))).unwrap();
    aws
}

#[tokio::test]
async fn a_pipeline_of_today_comes_back_as_it_was_sent() {
    let aws = start().await;
    let sent = whole();
    let (status, updated) = call(&aws, "UpdatePipeline", json!({"pipeline": sent})).await;
    assert_eq!(status, 200, "{updated}");
    let (_, read) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
    assert_eq!(read["pipeline"], updated["pipeline"]);
    // In every member, and in the order of the members; what AWS fills in aside.
    let read = &read["pipeline"];
    for member in ["artifactStores", "variables", "triggers", "executionMode", "pipelineType"] {
        assert_eq!(read[member].to_string(), sent[member].to_string());
    }
    for stage in 0..3 {
        for gate in ["beforeEntry", "onSuccess", "onFailure"] {
            assert_eq!(read["stages"][stage][gate].to_string(), sent["stages"][stage][gate].to_string());
        }
    }
    assert_eq!(read["stages"][1]["actions"][2].to_string(), sent["stages"][1]["actions"][2].to_string());
}

#[tokio::test]
async fn members_of_today_have_the_bounds_of_the_service_model() {
    let aws = start().await;
    let (validation, in_stage, structure, in_action) = (
        "ValidationException",
        "InvalidStageDeclarationException",
        "InvalidStructureException",
        "InvalidActionDeclarationException",
    );
    let package = "/stages/1/actions/2";
    let cases: Vec<(String, Value, &str, &str)> = vec![
        (format!("{package}/commands"), json!([]), validation, "commands' failed"),
        (format!("{package}/commands"), json!(vec!["true"; 51]), validation, "less than or equal to 50"),
        (format!("{package}/commands/0"), json!("x".repeat(1001)), validation, "less than or equal to 1000"),
        (format!("{package}/commands"), Value::Null, in_action, "Action 'Package' has no commands"),
        (format!("{package}/actionTypeId/category"), json!("Build"), in_action, "its category is not Compute"),
        (format!("{package}/environmentVariables/0/name"), json!("A-B"), validation, "[A-Za-z0-9_]+"),
        (format!("{package}/environmentVariables/0/value"), Value::Null, validation, "Member must not be null"),
        (format!("{package}/outputVariables"), json!(vec!["V"; 16]), validation, "less than or equal to 15"),
        (format!("{package}/outputArtifacts/0/files"), json!([]), validation, "greater than or equal to 1"),
        (format!("{package}/timeoutInMinutes"), json!(4), validation, "greater than or equal to 5"),
        ("/artifactStores/eu-west-1/encryptionKey/type".into(), json!("RSA"), validation, "enum value set: [KMS]"),
        ("/artifactStores/eu-west-1/location".into(), json!("a_b"), validation, "regular expression pattern"),
        ("/variables/0/defaultValue".into(), json!(""), validation, "greater than or equal to 1"),
        ("/variables".into(), json!(vec![json!({"name": "v"}); 51]), validation, "less than or equal to 50"),
        ("/triggers/0/gitConfiguration".into(), Value::Null, validation, "Member must not be null"),
        ("/triggers/0/gitConfiguration/sourceActionName".into(), json!("Compile"), structure, "not a source action"),
        (
            "/triggers/0/gitConfiguration/push/0/branches/includes".into(),
            json!([]),
            validation,
            "greater than or equal",
        ),
        ("/triggers/0/gitConfiguration/pullRequest/0/events/0".into(), json!("MERGED"), validation, "enum value set"),
        ("/stages/2/beforeEntry/conditions".into(), json!([]), validation, "greater than or equal to 1"),
        ("/stages/2/beforeEntry/conditions/0/result".into(), json!("ROLLBACK"), in_stage, "beforeEntry of stage"),
        ("/stages/2/onSuccess/conditions/0/result".into(), json!("RETRY"), in_stage, "onSuccess of stage"),
        ("/stages/2/onSuccess/conditions/0/rules/1/name".into(), json!("Ask"), in_stage, "used more than once"),
        ("/stages/2/onSuccess/conditions/0/rules/0/ruleTypeId/category".into(), json!("Act"), validation, "[Rule]"),
        ("/stages/1/onFailure/retryConfiguration/retryMode".into(), json!("ALL"), validation, "enum value set"),
        ("/stages/1/onFailure/result".into(), json!("FAIL"), in_stage, "its result is not RETRY"),
        ("/stages/0/onFailure".into(), json!({"result": "ROLLBACK"}), in_stage, "Rollback is not supported"),
        ("/executionMode".into(), json!("PARALLEL"), structure, "Rollback is not supported"),
        (
            "/stages/2/onSuccess/conditions/0/rules/0/roleArn".into(),
            json!("arn:aws:iam::111111111111:role/nobody"),
            structure,
            "is not authorized to perform AssumeRole on role arn:aws:iam::111111111111:role/nobody of rule Ask",
        ),
    ];
    for (pointer, value, code, text) in cases {
        let mut changed = whole();
        let (holder, member) = pointer.rsplit_once('/').unwrap();
        match changed.pointer_mut(holder).unwrap() {
            Value::Array(values) => values[member.parse::<usize>().unwrap()] = value,
            holder => holder[member] = value,
        }
        let (refused_as, message) = refused(&aws, &changed).await;
        assert_eq!(refused_as, code, "{pointer}: {message}");
        assert!(message.contains(text), "{pointer}: {message}, expected {text}");
    }
}

/// What a service keeps of members that a client does not know.
#[tokio::test]
async fn foreign_members_keep_every_digit_null_and_empty_object() {
    let aws = start().await;
    let foreign =
        r#"{"id":123456789012345678901234567890,"rate":1.10,"far":1E400,"none":null,"nothing":{},"list":[null,-0.50]}"#;
    let mut sent = whole();
    for place in ["", "/stages/1", "/stages/1/actions/2", "/stages/2/onSuccess", "/artifactStores/eu-west-1"] {
        sent.pointer_mut(place).unwrap()["fromTheFuture"] = json!("@@");
    }
    // Of a member that is known, null is as good as nothing.
    sent["stages"][1]["actions"][0]["namespace"] = Value::Null;
    let body = json!({"pipeline": sent}).to_string().replace("\"@@\"", foreign);
    let head = "content-type: application/x-amz-json-1.1\r\nx-amz-target: CodePipeline_20150709.";
    let (status, _, updated) = super::support::post(&aws, "/", &format!("{head}UpdatePipeline"), body.as_bytes()).await;
    let updated = String::from_utf8(updated).unwrap();
    assert_eq!(status, 200, "{updated}");
    let asked = json!({"name": PIPELINE}).to_string();
    let (_, _, read) = super::support::post(&aws, "/", &format!("{head}GetPipeline"), asked.as_bytes()).await;
    let read = String::from_utf8(read).unwrap();
    for answer in [&updated, &read] {
        assert_eq!(answer.matches(&format!("\"fromTheFuture\":{foreign}")).count(), 5, "{answer}");
        assert!(!answer.contains("namespace\":null"), "{answer}");
    }
    let kept = aws.admin().pipeline(TOOLS, REGION, PIPELINE).unwrap().unwrap();
    assert_eq!(kept["fromTheFuture"]["rate"], fakeaws::exact_number("1.10"));
    // As a seed or a person behind AWS's back would put it.
    let mut replaced = whole();
    replaced["rate"] = fakeaws::exact_number("1E400");
    aws.admin().replace_pipeline(TOOLS, REGION, replaced).unwrap();
    let (_, _, read) = super::support::post(&aws, "/", &format!("{head}GetPipeline"), asked.as_bytes()).await;
    assert!(String::from_utf8(read).unwrap().contains("\"rate\":1E400"));
}

/// A value that really is four asterisks is no secret: it means itself.
#[tokio::test]
async fn of_a_custom_action_only_the_secret_is_kept_behind_its_mask() {
    let aws = start().await;
    let mut custom = declaration();
    custom["stages"][1]["actions"].as_array_mut().unwrap().push(json!({
        "name": "Gate",
        "actionTypeId": {"category": "Test", "owner": "Custom", "provider": "Checklist", "version": "1"},
        "runOrder": 3,
        "configuration": {"ApiToken": "s3cr3t", "Banner": "****"},
    }));
    assert_eq!(call(&aws, "UpdatePipeline", json!({"pipeline": custom})).await.0, 200);
    let (_, read) = call(&aws, "GetPipeline", json!({"name": PIPELINE})).await;
    let mut read = read["pipeline"].clone();
    assert_eq!(read["stages"][1]["actions"][2]["configuration"], json!({"ApiToken": "****", "Banner": "****"}));
    let kept = || {
        let kept = aws.admin().pipeline(TOOLS, REGION, PIPELINE).unwrap().unwrap();
        kept["stages"][1]["actions"][2]["configuration"].clone()
    };
    assert_eq!(call(&aws, "UpdatePipeline", json!({"pipeline": read})).await.0, 200);
    assert_eq!(kept(), json!({"ApiToken": "s3cr3t", "Banner": "****"}));
    read["stages"][1]["name"] = json!("Renamed");
    assert_eq!(call(&aws, "UpdatePipeline", json!({"pipeline": read})).await.0, 200);
    assert_eq!(kept(), json!({"ApiToken": "****", "Banner": "****"}), "lost with the stage's name");
}
