//! Who may do what to a pipeline, and which roles a pipeline may name.

use aws_sdk_codepipeline::Client;
use fakeaws::{FakeAws, Propagation, RoleSeed};
use serde_json::{Value, json};

use super::support::{INVOKE_ROLE, PIPELINE, PIPELINE_ROLE, client, declaration, start_with_pipeline, typed};
use crate::support::{DEV, TOOLS, TOOLS_ROOT, allow, assume, config, refusal, trust};

const ROOT: &str = "arn:aws:iam::111111111111:root";

fn root_if(condition: Value) -> Value {
    let mut document = trust(json!({"AWS": ROOT}));
    document["Statement"][0]["Condition"] = condition;
    document
}

/// `Ok`, or code and message of the error.
type Answered = Result<(), (String, String)>;

/// Sends the pipeline's declaration.
async fn update(client: &Client) -> Answered {
    let outcome = client.update_pipeline().pipeline(typed(&declaration())).send().await;
    if outcome.is_ok() {
        return Ok(());
    }
    let (_, code, message) = refusal(outcome);
    Err((code, message))
}

fn cannot_assume() -> Answered {
    let text =
        format!("Pipeline role {PIPELINE_ROLE} is not authorized to perform AssumeRole on action role {INVOKE_ROLE}");
    Err(("InvalidStructureException".to_owned(), text))
}

#[tokio::test]
async fn the_pipeline_role_must_be_able_to_assume_each_action_role() {
    let by_arn = |arn: &str| json!({"ArnEquals": {"aws:PrincipalArn": arn}});
    let cases: Vec<(&str, Value, Answered)> = vec![
        ("the whole tools account", trust(json!({"AWS": ROOT})), Ok(())),
        ("the pipeline role", trust(json!({"AWS": PIPELINE_ROLE})), Ok(())),
        ("the pipeline role by condition", root_if(by_arn(PIPELINE_ROLE)), Ok(())),
        ("another role", root_if(by_arn("arn:aws:iam::111111111111:role/crossinvoke")), cannot_assume()),
        ("another account", trust(json!({"AWS": DEV})), cannot_assume()),
        (
            "an external id, which CodePipeline cannot send",
            root_if(json!({"StringEquals": {"sts:ExternalId": "x"}})),
            cannot_assume(),
        ),
    ];
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    for (name, document, expected) in cases {
        aws.admin().put_trust(DEV, "invoke", document).unwrap();
        assert_eq!(update(&client).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_trust_that_cannot_be_judged_is_a_500_that_names_it() {
    let aws = start_with_pipeline().await;
    let cases = [
        ("sts:RoleSessionName", json!({"StringLike": {"sts:RoleSessionName": "*"}})),
        ("aws:SourceArn", json!({"ArnLike": {"aws:SourceArn": "arn:aws:codepipeline:*:*:*"}})),
        ("aws:SourceAccount", json!({"StringEquals": {"aws:SourceAccount": "111111111111"}})),
    ];
    for (key, condition) in cases {
        aws.admin().put_trust(DEV, "invoke", root_if(condition)).unwrap();
        let outcome = client(&aws, TOOLS_ROOT).update_pipeline().pipeline(typed(&declaration())).send().await;
        let (status, _, message) = refusal(outcome);
        assert_eq!(status, 500, "{key}");
        assert!(message.contains(key), "{message}");
    }
}

#[tokio::test]
async fn the_pipeline_roles_own_policies_count_too() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    let admin = aws.admin();
    admin.put_inline_policy(TOOLS, "pipeline", "assume", allow("sts:AssumeRole", INVOKE_ROLE)).unwrap();
    assert_eq!(update(&client).await, Ok(()));
    let mut deny = allow("sts:*", "*");
    deny["Statement"][0]["Effect"] = json!("Deny");
    admin.put_inline_policy(TOOLS, "pipeline", "deny", deny).unwrap();
    assert_eq!(update(&client).await, cannot_assume(), "an explicit deny");
    admin.remove_inline_policy(TOOLS, "pipeline", "deny").unwrap();
    admin.put_managed_policy("arn:aws:iam::111111111111:policy/b", allow("s3:*", "*")).unwrap();
    admin.set_boundary(TOOLS, "pipeline", Some("arn:aws:iam::111111111111:policy/b")).unwrap();
    assert_eq!(update(&client).await, cannot_assume(), "a boundary");
    admin.set_boundary(TOOLS, "pipeline", None).unwrap();
    admin.remove_inline_policy(TOOLS, "pipeline", "assume").unwrap();
    assert_eq!(update(&client).await, cannot_assume(), "no policy");
    admin.put_inline_policy(TOOLS, "pipeline", "assume", allow("sts:AssumeRole", INVOKE_ROLE)).unwrap();
    assert_eq!(update(&client).await, Ok(()));
    admin.remove_role(DEV, "invoke").unwrap();
    assert_eq!(update(&client).await, cannot_assume(), "no role");
}

#[tokio::test]
async fn a_change_of_iam_reaches_codepipeline_after_the_lag() {
    let aws = start_with_pipeline().await;
    let client = client(&aws, TOOLS_ROOT);
    aws.admin().put_trust(DEV, "invoke", trust(json!({"AWS": DEV}))).unwrap();
    aws.admin().advance_clock(60).unwrap();
    let lag = Propagation { authorisation_milliseconds: 30_000, ..Propagation::default() };
    aws.admin().set_propagation(lag).unwrap();
    aws.admin().put_trust(DEV, "invoke", trust(json!({"AWS": ROOT}))).unwrap();
    assert_eq!(update(&client).await, cannot_assume());
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(update(&client).await, Ok(()));
    aws.admin().remove_inline_policy(TOOLS, "pipeline", "assume").unwrap();
    assert_eq!(update(&client).await, Ok(()));
    aws.admin().advance_clock(31).unwrap();
    assert_eq!(update(&client).await, cannot_assume());
}

#[tokio::test]
async fn codepipeline_must_be_able_to_assume_the_pipeline_role() {
    let aws = start_with_pipeline().await;
    aws.admin().put_trust(TOOLS, "pipeline", trust(json!({"Service": "lambda.amazonaws.com"}))).unwrap();
    let text = format!("CodePipeline is not authorized to perform AssumeRole on role {PIPELINE_ROLE}");
    let expected = Err(("InvalidStructureException".to_owned(), text));
    assert_eq!(update(&client(&aws, TOOLS_ROOT)).await, expected);
}

async fn session(aws: &FakeAws) -> Client {
    Client::new(&config(aws, assume(aws, TOOLS).await))
}

#[tokio::test]
async fn an_update_needs_the_right_to_update_and_to_pass_the_pipeline_role() {
    let aws = start_with_pipeline().await;
    let client = session(&aws).await;
    let arn = format!("arn:aws:codepipeline:us-east-1:111111111111:{PIPELINE}");
    let who = "User: arn:aws:sts::111111111111:assumed-role/crossinvoke/session is not authorized to perform:";
    let denied = |action: &str, resource: &str| {
        let why = format!("because no identity-based policy allows the {action} action");
        Err(("AccessDeniedException".to_owned(), format!("{who} {action} on resource: {resource} {why}")))
    };
    // The seed gives this role every right of IAM and none of CodePipeline.
    let admin = aws.admin();
    assert_eq!(update(&client).await, denied("codepipeline:UpdatePipeline", &arn));
    admin.put_inline_policy(TOOLS, "crossinvoke", "update", allow("codepipeline:UpdatePipeline", &arn)).unwrap();
    assert_eq!(update(&client).await, Ok(()));
    admin.remove_inline_policy(TOOLS, "crossinvoke", "roles").unwrap();
    assert_eq!(update(&client).await, denied("iam:PassRole", PIPELINE_ROLE));
    let pass = |service: &str| {
        let mut policy = allow("iam:PassRole", PIPELINE_ROLE);
        policy["Statement"][0]["Condition"] = json!({"StringEquals": {"iam:PassedToService": service}});
        policy
    };
    admin.put_inline_policy(TOOLS, "crossinvoke", "pass", pass("lambda.amazonaws.com")).unwrap();
    assert_eq!(update(&client).await, denied("iam:PassRole", PIPELINE_ROLE));
    admin.put_inline_policy(TOOLS, "crossinvoke", "pass", pass("codepipeline.amazonaws.com")).unwrap();
    assert_eq!(update(&client).await, Ok(()));
    let calls = admin.calls().unwrap();
    let rights = calls.last().unwrap().authorised.iter().map(|right| (right.action.as_str(), right.resource.as_str()));
    let expected = [("codepipeline:UpdatePipeline", arn.as_str()), ("iam:PassRole", PIPELINE_ROLE)];
    assert_eq!(rights.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn every_operation_is_judged_before_it_tells_what_exists() {
    let aws = start_with_pipeline().await;
    let client = session(&aws).await;
    let id = "00000000-0000-0000-0000-000000000000";
    let codes = [
        refusal(client.get_pipeline().name("nothing").send().await).1,
        refusal(client.get_pipeline_state().name("nothing").send().await).1,
        refusal(client.delete_pipeline().name("nothing").send().await).1,
        refusal(client.list_pipelines().send().await).1,
        refusal(client.list_pipeline_executions().pipeline_name("nothing").send().await).1,
        refusal(client.start_pipeline_execution().name("nothing").send().await).1,
        refusal(client.create_pipeline().pipeline(typed(&declaration())).send().await).1,
        refusal(client.stop_pipeline_execution().pipeline_name("nothing").pipeline_execution_id(id).send().await).1,
        refusal(client.get_pipeline_execution().pipeline_name("nothing").pipeline_execution_id(id).send().await).1,
    ];
    assert!(codes.iter().all(|code| code == "AccessDeniedException"), "{codes:?}");
}

#[tokio::test]
async fn a_role_of_another_account_cannot_be_passed() {
    let aws = start_with_pipeline().await;
    let mut foreign = declaration();
    foreign["roleArn"] = json!(INVOKE_ROLE);
    let outcome = client(&aws, TOOLS_ROOT).update_pipeline().pipeline(typed(&foreign)).send().await;
    let (_, code, message) = refusal(outcome);
    assert_eq!((code.as_str(), message.as_str()), ("AccessDeniedException", "Cross-account pass role is not allowed."));
}

/// The rights that an update of this declaration was judged by, beside the one on the pipeline.
async fn judged(aws: &FakeAws, declaration: &Value) -> Vec<(String, String)> {
    let (status, answer) = super::support::call(aws, "UpdatePipeline", json!({"pipeline": declaration})).await;
    assert_eq!(status, 200, "{answer}");
    let calls = aws.admin().calls().unwrap();
    let rights = calls.last().unwrap().authorised.iter().skip(1);
    rights.map(|right| (right.action.clone(), right.resource.clone())).collect()
}

fn connected(arn: &str) -> Value {
    let mut declaration = declaration();
    let source = &mut declaration["stages"][0]["actions"][0];
    source["actionTypeId"] =
        json!({"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"});
    source["configuration"] = json!({"ConnectionArn": arn, "FullRepositoryId": "o/r", "BranchName": "main"});
    declaration
}

#[tokio::test]
async fn an_update_needs_the_right_to_pass_each_connection_of_a_source() {
    let aws = start_with_pipeline().await;
    let pair = |action: &str, resource: &str| (action.to_owned(), resource.to_owned());
    for service in ["codestar-connections", "codeconnections"] {
        let arn = format!("arn:aws:{service}:us-east-1:111111111111:connection/0f1e2d3c");
        let expected = [
            pair("iam:PassRole", PIPELINE_ROLE),
            pair("codestar-connections:PassConnection", &arn),
            pair("codeconnections:PassConnection", &arn),
        ];
        assert_eq!(judged(&aws, &connected(&arn)).await, expected);
        // The connection is unchanged, and is asked for all the same.
        assert_eq!(judged(&aws, &connected(&arn)).await, expected);
    }
}

#[tokio::test]
async fn a_connection_that_may_not_be_passed_is_named_in_the_refusal() {
    let aws = start_with_pipeline().await;
    let (admin, arn) = (aws.admin(), "arn:aws:codestar-connections:us-east-1:111111111111:connection/0f1e2d3c");
    admin.put_inline_policy(TOOLS, "crossinvoke", "update", allow("codepipeline:*", "*")).unwrap();
    let mut pipeline = typed(&declaration());
    pipeline.stages[0].actions[0].action_type_id.as_mut().unwrap().owner = "AWS".into();
    pipeline.stages[0].actions[0].action_type_id.as_mut().unwrap().provider = "CodeStarSourceConnection".to_owned();
    let configuration = pipeline.stages[0].actions[0].configuration.as_mut().unwrap();
    configuration.insert("ConnectionArn".to_owned(), arn.to_owned());
    let client = session(&aws).await;
    let update = async || {
        let outcome = client.update_pipeline().pipeline(pipeline.clone()).send().await;
        if outcome.is_ok() { String::new() } else { refusal(outcome).2 }
    };
    let denied = |action: &str| {
        format!(
            "User: arn:aws:sts::111111111111:assumed-role/crossinvoke/session is not authorized to perform: {action} on \
             resource: {arn} because no identity-based policy allows the {action} action"
        )
    };
    assert_eq!(update().await, denied("codestar-connections:PassConnection"));
    admin.put_inline_policy(TOOLS, "crossinvoke", "old", allow("codestar-connections:PassConnection", arn)).unwrap();
    assert_eq!(update().await, denied("codeconnections:PassConnection"));
    admin.put_inline_policy(TOOLS, "crossinvoke", "new", allow("codeconnections:PassConnection", arn)).unwrap();
    assert_eq!(update().await, "");
}

#[tokio::test]
async fn an_update_needs_the_right_to_pass_roles_to_cloudformation_and_codebuild() {
    let aws = start_with_pipeline().await;
    let (stack, builder) = ("arn:aws:iam::111111111111:role/stack", "arn:aws:iam::111111111111:role/builder");
    aws.admin().put_role(TOOLS, "builder", RoleSeed::trusting(trust(json!({"AWS": PIPELINE_ROLE})))).unwrap();
    let action = |name: &str, [category, provider]: [&str; 2], members: Value| {
        let mut action = json!({"name": name, "actionTypeId":
            {"category": category, "owner": "AWS", "provider": provider, "version": "1"}});
        action.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        action
    };
    let mut declaration = declaration();
    declaration["stages"].as_array_mut().unwrap().push(json!({"name": "Out", "actions": [
        action("Stack", ["Deploy", "CloudFormation"], json!({"configuration": {"RoleArn": stack}})),
        // A role of another account is passed there, and not by whoever updates the pipeline.
        action("Far", ["Deploy", "CloudFormation"],
            json!({"configuration": {"RoleArn": "arn:aws:iam::222222222222:role/stack"}, "roleArn": INVOKE_ROLE})),
        action("Pack", ["Compute", "Commands"], json!({"commands": ["make"]})),
        action("Image", ["Build", "ECRBuildAndPublish"], json!({"roleArn": builder})),
        action("Plain", ["Build", "CodeBuild"], json!({"configuration": {"ProjectName": "p"}})),
    ]}));
    aws.admin().clear_calls().unwrap();
    let pair = |resource: &str| ("iam:PassRole".to_owned(), resource.to_owned());
    let expected = [pair(PIPELINE_ROLE), pair(stack), pair(PIPELINE_ROLE), pair(builder)];
    assert_eq!(judged(&aws, &declaration).await, expected);
    // By service: the same role is passed twice.
    let pass = |services: &[&str]| {
        let mut policy = allow("iam:PassRole", "*");
        policy["Statement"][0]["Condition"] = json!({"StringEquals": {"iam:PassedToService": services}});
        policy
    };
    let admin = aws.admin();
    admin.remove_inline_policy(TOOLS, "crossinvoke", "roles").unwrap();
    admin.put_inline_policy(TOOLS, "crossinvoke", "update", allow("codepipeline:*", "*")).unwrap();
    let arn = "arn:aws:iam::111111111111:role/crossinvoke".to_owned();
    admin.run(fakeaws::Command::PutKey { key: "AKIACROSSINVOKE".to_owned(), arn }).unwrap();
    let services = ["codepipeline.amazonaws.com", "cloudformation.amazonaws.com", "codebuild.amazonaws.com"];
    for (granted, denied) in [(1, Some(stack)), (2, Some(PIPELINE_ROLE)), (3, None)] {
        admin.put_inline_policy(TOOLS, "crossinvoke", "pass", pass(&services[..granted])).unwrap();
        let body = json!({"pipeline": declaration}).to_string();
        let head = "x-amz-target: CodePipeline_20150709.UpdatePipeline\r\ncontent-type: application/x-amz-json-1.1";
        let caller = ("AKIACROSSINVOKE", "codepipeline");
        let (status, _, body) = crate::support::post(&aws, caller, "/", head, body.as_bytes()).await;
        let body = String::from_utf8(body).unwrap();
        match denied {
            Some(role) => assert!(body.contains(&format!("iam:PassRole on resource: {role} because")), "{body}"),
            None => assert_eq!(status, 200, "{body}"),
        }
    }
}
