//! Pipelines: the declaration goes through unharmed, in JSON 1.1 alone, and running executions are found.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{
    aws, dev_session, key, region,
    stub::{Answer, Asked, Stub},
    update,
};
use crate::{
    aws::{AwsErrorKind, CodePipeline, Known, raw_json::ReplaceBody},
    domain::{
        history::History,
        occupancy::{Occupancy, Standing},
        pipeline_edit::Json,
        stage_states::{ActionInProgress, Disabled, StageState},
    },
};

/// What no model of today knows, at every level; masked and empty values; numbers; an order that is nobody's.
const DECLARATION: &str = r##"{"version":7,"zeta":{"b":[],"a":{}},"roleArn":"arn:aws:iam::111111111111:role/service-role/R","name":"payments","artifactStore":{"type":"S3","location":"b","futureStore":null},"stages":[{"futureStage":[1,-2,1.10,1E400,123456789012345678901234567890,{"a":1,"a":2}],"name":"Source","actions":[{"name":"S","actionTypeId":{"category":"FutureCategory","owner":"ThirdParty","provider":"GitHub","version":"1","futureType":true},"runOrder":1,"configuration":{"OAuthToken":"****","Branch":"mäin / \"x\" \\ 漢"},"outputArtifacts":[{"name":"o","futureArtifact":""}],"inputArtifacts":[],"futureAction":"#{x}"}],"blockers":[]},{"name":"Build","actions":[]}],"pipelineType":"V3FUTURE","triggers":[{"futureTrigger":{}}]}"##;

fn answer(declaration: &str) -> String {
    format!(
        r#"{{"pipeline":{declaration},"metadata":{{"pipelineArn":"arn:aws:codepipeline:us-east-1:111111111111:payments"}}}}"#
    )
}

async fn pipelines(stub: &Stub) -> CodePipeline {
    dev_session(stub).await.codepipeline(&region())
}

#[tokio::test]
async fn a_declaration_comes_and_goes_byte_for_byte_but_for_the_edit() {
    let stub = Stub::start(|asked| match asked.operation.as_str() {
        "GetPipeline" => Answer::json(&answer(DECLARATION)),
        _ => Answer::json(&format!(r#"{{"pipeline":{}}}"#, DECLARATION.replace(r#""version":7"#, r#""version":8"#))),
    })
    .await;
    let pipelines = pipelines(&stub).await;
    let mut read = pipelines.get_pipeline(&"payments".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((read.version, read.role.as_str()), (7, "arn:aws:iam::111111111111:role/service-role/R"));
    assert_eq!(read.arn.unwrap().as_str(), "arn:aws:codepipeline:us-east-1:111111111111:payments");
    let stages = std::sync::Arc::make_mut(&mut read.declaration).get_mut("stages").and_then(Json::as_list_mut).unwrap();
    stages[1].get_mut("actions").and_then(Json::as_list_mut).unwrap().push(json!({"name": "Ours"}).into());
    let written = update(&pipelines, &read.declaration).await.unwrap();
    assert_eq!((written.version, written.arn), (8, None));
    let asked = stub.one("UpdatePipeline");
    let edited = DECLARATION.replace(r#""name":"Build","actions":[]"#, r#""name":"Build","actions":[{"name":"Ours"}]"#);
    assert_ne!(edited, DECLARATION);
    assert_eq!(asked.body, format!(r#"{{"pipeline":{edited}}}"#));
    assert_eq!(asked.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(asked.headers["content-length"], asked.body.len().to_string());
    assert_eq!(asked.headers["x-amz-target"], "CodePipeline_20150709.UpdatePipeline");
}

#[tokio::test]
async fn an_answer_in_another_protocol_is_refused() {
    let stub =
        Stub::start(|_| Answer::Reply { status: 200, kind: "application/cbor", body: answer(DECLARATION) }).await;
    let pipelines = pipelines(&stub).await;
    let read = pipelines.get_pipeline(&"payments".parse().unwrap()).await.unwrap_err();
    assert!(read.to_string().contains("application/cbor"), "{read}");
    assert!(!read.outcome_unknown);
    let declaration = Json::parse(DECLARATION).unwrap();
    let written = update(&pipelines, &declaration).await.unwrap_err();
    assert_eq!((written.kind, written.outcome_unknown), (AwsErrorKind::Other, true));
}

#[tokio::test]
async fn a_request_in_another_protocol_is_not_sent() {
    let stub = Stub::start(|asked| Answer::error(asked, 400, "Refused", "no")).await;
    let session = dev_session(&stub).await;
    let config = session.clients.writing(&region());
    let subject = session.clients.subject().clone();
    // IAM speaks the Query protocol, which stands for any that is not JSON 1.1.
    let client = aws_sdk_iam::Client::new(&config);
    let request = client.delete_role().role_name("r").customize().interceptor(ReplaceBody::new("{}".to_owned()));
    let error = subject.call("iam", "DeleteRole", "role r").classify(&request.send().await.unwrap_err());
    assert_eq!((&error.kind, error.outcome_unknown), (&AwsErrorKind::Other, false), "{error:?}");
    assert!(error.to_string().contains("not application/x-amz-json-1.1; nothing is sent"), "{error}");
    assert_eq!(stub.count("DeleteRole"), 0);
}

#[tokio::test]
async fn a_pipeline_that_does_not_exist_is_absent() {
    let stub = Stub::start(|asked| Answer::error(asked, 400, "PipelineNotFoundException", "no pipeline")).await;
    let (aws, observed) = aws(&stub);
    let session = aws.session(&key("111111111111")).await.unwrap();
    let pipelines = session.codepipeline(&region());
    assert_eq!(pipelines.get_pipeline(&"p".parse().unwrap()).await.unwrap(), None);
    assert_eq!(observed.all().last().unwrap(), "codepipeline GetPipeline PipelineNotFoundException");
    // On a write it is an error, although CodePipeline's model does not list it there.
    let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r"}).into();
    assert_eq!(update(&pipelines, &declaration).await.unwrap_err().kind, AwsErrorKind::NotFound);
}

#[tokio::test]
async fn settings_of_a_pipeline_are_not_quoted_in_errors() {
    let stub = Stub::start(|asked| {
        let message = "Action configuration 'ghp_0123456789' of main is wrong: \"{\\\"k\\\":1}\" / ghp_0123456789x";
        Answer::error(asked, 400, "InvalidActionDeclarationException", message)
    })
    .await;
    let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r", "stages": [{"actions": [
        {"configuration": {"OAuthToken": "ghp_0123456789", "Branch": "main"},
         "environmentVariables": [{"name": "n", "value": "{\\\"k\\\":1}"}]},
    ]}]})
    .into();
    let error = update(&pipelines(&stub).await, &declaration).await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::PipelineRefused);
    assert_eq!(error.message, "Action configuration '…' of main is wrong: \"…\" / ghp_0123456789x");
}

/// What something is called is in everybody's sight: a setting of the same text hides nothing.
#[tokio::test]
async fn names_are_told_even_where_a_setting_has_the_same_text() {
    let stub = Stub::start(|asked| {
        let message =
            "Stage Deployment, action production in eu-west-1: arn:aws:codeconnections:x:1:connection/c, hunter22";
        Answer::error(asked, 400, "InvalidStructureException", message)
    })
    .await;
    let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r",
        "variables": [{"name": "Stage", "defaultValue": "Deployment"}, {"name": "X", "defaultValue": "hunter22"}],
        "stages": [{"name": "Deployment", "actions": [{"name": "production", "region": "eu-west-1", "configuration":
            {"Environment": "production", "Region": "eu-west-1", "ConnectionArn":
             "arn:aws:codeconnections:x:1:connection/c"}}]}]})
    .into();
    let error = update(&pipelines(&stub).await, &declaration).await.unwrap_err();
    assert_eq!(
        error.message,
        "Stage Deployment, action production in eu-west-1: arn:aws:codeconnections:x:1:connection/c, …"
    );
}

#[tokio::test]
async fn a_pipeline_that_cannot_be_read_is_told_with_the_place() {
    let whole = |declaration: &str| format!(r#"{{"pipeline":{declaration}}}"#);
    for (body, place) in [
        ("{\"pipeline\":{\"name\":\"hush\",}}".to_owned(), "line 1 column 28"),
        ("{\"pipeline\":{\"name\":\"hush".to_owned(), "column 25"),
        ("{}".to_owned(), "no usable pipeline"),
        (whole(r#"{"roleArn":"arn:aws:iam::1:role/r"}"#), "no usable pipeline.version"),
        (whole(r#"{"version":1E400,"roleArn":"arn:aws:iam::1:role/r"}"#), "no usable pipeline.version"),
        (whole(r#"{"version":1}"#), "no usable pipeline.roleArn"),
    ] {
        let answer = body.clone();
        let stub = Stub::start(move |_| Answer::json(&answer)).await;
        let pipelines = pipelines(&stub).await;
        let error = pipelines.get_pipeline(&"payments".parse().unwrap()).await.unwrap_err();
        assert_eq!((&error.kind, error.outcome_unknown), (&AwsErrorKind::PipelineUnreadable, false), "{body}");
        let text = error.to_string();
        assert!(text.contains(place) && text.contains("aws codepipeline get-pipeline"), "{body}: {text}");
        assert!(!text.contains("hush"), "nothing of it is quoted: {text}");
        // An update that is answered like this has been made.
        let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r"}).into();
        let error = update(&pipelines, &declaration).await.unwrap_err();
        assert_eq!((error.kind, error.outcome_unknown), (AwsErrorKind::PipelineUnreadable, true), "{body}");
    }
}

#[tokio::test]
async fn an_earlier_version_is_asked_for_by_its_number() {
    let stub = Stub::start(|asked| {
        if asked.body.contains("\"version\":6") {
            return Answer::json(&answer(DECLARATION).replace(r#""version":7"#, r#""version":6"#));
        }
        Answer::error(asked, 400, "PipelineVersionNotFoundException", "Pipeline does not have version")
    })
    .await;
    let pipelines = pipelines(&stub).await;
    let name = "payments".parse().unwrap();
    assert_eq!(pipelines.get_version(&name, 6).await.unwrap().unwrap().version, 6);
    assert_eq!(pipelines.get_version(&name, 5).await.unwrap(), None);
}

#[tokio::test]
async fn our_role_is_found_in_a_refusal_even_where_a_setting_holds_it() {
    let role = "arn:aws:iam::222222222222:role/crossinvoke/x/r";
    let stub = Stub::start(move |asked| {
        let message = format!(
            "Pipeline role arn:aws:iam::1:role/r is not authorized to perform AssumeRole on action role {role}"
        );
        Answer::error(asked, 400, "InvalidStructureException", &message)
    })
    .await;
    let declaration =
        json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r", "stages": [{"configuration": {"RoleArn": role}}]})
            .into();
    let error = update(&pipelines(&stub).await, &declaration).await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::PipelineCannotAssume { role: role.parse().unwrap() });
}

fn page(statuses: &[&str], next: Option<&str>) -> Answer {
    let runs: Vec<Value> = statuses
        .iter()
        .enumerate()
        .map(|(number, status)| json!({"pipelineExecutionId": format!("{status}-{number}"), "status": status}))
        .collect();
    Answer::json(&json!({"pipelineExecutionSummaries": runs, "nextToken": next}))
}

/// Answers the state without a stage, and pages of executions.
fn executions(
    pages: impl Fn(Option<&str>) -> Answer + Send + Sync + 'static,
    state: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
    move |asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        if body["name"] == "p" {
            return state(asked);
        }
        assert_eq!((body["pipelineName"].as_str(), body["maxResults"].as_i64()), (Some("p"), Some(100)));
        pages(body["nextToken"].as_str())
    }
}

fn no_stages(_: &Asked) -> Answer {
    Answer::json(&json!({"stageStates": []}))
}

/// A check of a pipeline of which this is known.
async fn check(stub: &Stub, mode: &str, history: History) -> (Occupancy, History) {
    let declaration: Json = json!({"executionMode": mode}).into();
    let known = Known { declaration: &declaration, history, oldest: "2026-01-01T00:00:00Z".parse().unwrap() };
    let pipelines = pipelines(stub).await;
    pipelines.occupancy(&pipelines.turn().await, &"p".parse().unwrap(), known).await.unwrap()
}

async fn occupancy(stub: &Stub, mode: &str) -> Occupancy {
    check(stub, mode, History::default()).await.0
}

fn unfinished(occupancy: &Occupancy) -> Vec<&str> {
    occupancy.executions.iter().filter(|it| it.is_unfinished()).map(|it| it.id.as_str()).collect()
}

#[tokio::test]
async fn however_many_executions_are_over_a_check_is_one_state_and_one_page() {
    let over = ["Succeeded", "Failed", "Stopped", "Cancelled", "Superseded"];
    for mode in ["QUEUED", "SUPERSEDED"] {
        let stub = Stub::start(executions(move |_| page(&over, Some("more")), no_stages)).await;
        let found = occupancy(&stub, mode).await;
        assert_eq!(unfinished(&found), Vec::<&str>::new());
        assert_eq!((stub.count("GetPipelineState"), stub.count("ListPipelineExecutions")), (1, 1), "{mode}");
        let standing: Vec<Standing> = found.executions.iter().map(|it| it.standing).collect();
        let (retry, over) = (Standing::Retryable, Standing::Over);
        assert_eq!(standing, [over, retry, retry, over, over]);
    }
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_that_of_a_run() {
    for status in ["InProgress", "Stopping", "SomethingNew"] {
        let stub = Stub::start(executions(move |_| page(&["Failed", status], None), no_stages)).await;
        assert_eq!(unfinished(&occupancy(&stub, "QUEUED").await), [format!("{status}-1")]);
    }
}

#[tokio::test]
async fn without_a_state_the_executions_are_looked_through_once() {
    let denied = |asked: &Asked| {
        Answer::error(
            asked,
            400,
            "AccessDeniedException",
            "User: u is not authorized to perform: codepipeline:GetPipelineState on resource: r",
        )
    };
    let old = json!({"pipelineExecutionSummaries": [{"pipelineExecutionId": "old", "status": "Succeeded",
        "startTime": 1_600_000_000}], "nextToken": "4"});
    for (mode, is_denied) in [("PARALLEL", false), ("QUEUED", true)] {
        let old = old.clone();
        let pages = move |token: Option<&str>| match token {
            None => page(&["Succeeded"], Some("2")),
            Some("2") => page(&["Succeeded"], Some("3")),
            Some("3") => Answer::json(&old),
            _ => panic!("nothing older can still be running"),
        };
        let stub =
            Stub::start(executions(pages, move |asked| if is_denied { denied(asked) } else { no_stages(asked) })).await;
        let (found, history) = check(&stub, mode, History::default()).await;
        assert!(unfinished(&found).is_empty() && !found.not_looked_through);
        // Three pages back, and the first one again, since a run may have started meanwhile.
        assert_eq!(stub.count("ListPipelineExecutions"), 4, "{mode}");
        let (found, _) = check(&stub, mode, history).await;
        assert!(unfinished(&found).is_empty() && !found.not_looked_through);
        assert_eq!(stub.count("ListPipelineExecutions"), 5, "{mode}");
    }
}

#[tokio::test]
async fn where_a_token_has_ended_older_executions_are_looked_through_from_the_start() {
    let pages = |token: Option<&str>| match token {
        None => page(&["Succeeded"], Some("2")),
        Some("2") => page(&["Failed"], Some("3")),
        Some("3") => page(&["Superseded"], None),
        _ => panic!("there is no more"),
    };
    let (answers, has_ended) = (executions(pages, no_stages), AtomicBool::new(true));
    let stub = Stub::start(move |asked| {
        if asked.body.contains(r#""nextToken":"3""#) && has_ended.swap(false, Ordering::Relaxed) {
            return Answer::error(asked, 400, "InvalidNextTokenException", "The token is not valid");
        }
        answers(asked)
    })
    .await;
    let (found, history) = check(&stub, "PARALLEL", History::default()).await;
    assert!(found.not_looked_through && history == History::default());
    let (found, history) = check(&stub, "PARALLEL", history).await;
    assert!(!found.not_looked_through && history != History::default());
}

#[tokio::test]
async fn an_old_run_ends_the_search() {
    let pages = |token: Option<&str>| match token {
        None => page(&["Succeeded"], Some("2")),
        Some("2") => page(&["Failed", "InProgress"], Some("3")),
        _ => panic!("it was found"),
    };
    let stub = Stub::start(executions(pages, no_stages)).await;
    assert_eq!(unfinished(&occupancy(&stub, "PARALLEL").await), ["InProgress-1"]);
}

/// A state as the API reference describes it, with what this SDK does not know yet.
fn state() -> Value {
    let run = |id: &str, status: &str| json!({"pipelineExecutionId": id, "status": status, "type": "STANDARD"});
    let action = |name: &str, status: &str| {
        json!({"actionName": name, "latestExecution": {"status": status,
        "lastStatusChange": 1_700_000_000.5}})
    };
    let mut approval = action("Approve", "InProgress");
    approval["latestExecution"]["token"] = json!("1a2b3c-secret-token");
    json!({"pipelineName": "p", "pipelineVersion": 3, "futureMember": {}, "stageStates": [
        {"stageName": "Source", "latestExecution": run("a", "Succeeded"), "actionStates": [action("S", "Succeeded")]},
        {"stageName": "Build", "latestExecution": run("b", "InProgress"), "inboundExecution": run("d", "InProgress"),
            "inboundExecutions": [run("c", "InProgress"), run("d", "InProgress")],
            "inboundTransitionState": {"enabled": true, "lastChangedBy": "x"},
            "actionStates": [action("B", "Succeeded"), approval, action("T", "InProgress"), {"actionName": "New"}]},
        {"stageName": "Deploy", "latestExecution": run("e", "Odd"), "inboundTransitionState": {"enabled": false,
            "lastChangedBy": "arn:aws:iam::1:user/alice", "disabledReason": "token ab12cd34 leaked",
            "lastChangedAt": 1_700_000_000}, "actionStates": [action("D", "Odd")]},
        {"stageName": "After"},
    ]})
}

#[tokio::test]
async fn a_state_tells_who_is_where_and_neither_tokens_nor_settings() {
    let declaration: Json = json!({"stages": [{"actions": [{"configuration": {"Token": "ab12cd34"}}]}]}).into();
    let stub = Stub::start(|_| Answer::json(&state())).await;
    let pipelines = pipelines(&stub).await;
    let shown = pipelines.state(&pipelines.turn().await, &"p".parse().unwrap(), &declaration).await.unwrap();
    let stage = |name: &str| StageState { name: name.to_owned(), ..StageState::default() };
    let action = |name: &str, is_approval| ActionInProgress { name: name.to_owned(), is_approval };
    let expected = [
        stage("Source"),
        StageState {
            inside: Some("b".to_owned()),
            inbound: ["d", "c", "d"].map(str::to_owned).into(),
            in_progress: vec![action("Approve", true), action("T", false)],
            ..stage("Build")
        },
        StageState {
            inside: Some("e".to_owned()),
            disabled: Some(Disabled {
                by: "arn:aws:iam::1:user/alice".to_owned(),
                reason: "token … leaked".to_owned(),
            }),
            ..stage("Deploy")
        },
        stage("After"),
    ];
    assert_eq!(shown, expected);
    assert!(!format!("{shown:?}").contains("secret-token"));
    assert_eq!(stub.one("GetPipelineState").headers["content-type"], "application/x-amz-json-1.1");
}
