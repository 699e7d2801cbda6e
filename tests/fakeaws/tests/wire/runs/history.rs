//! What can be read of runs: ListActionExecutions, and the double's own history.

use aws_sdk_codepipeline::types::{ActionExecutionFilter, LatestInPipelineExecutionFilter, StartTimeRange};
use fakeaws::Behaviour;
use serde_json::json;

use super::support::{PIPELINE, Runs, fail, succeed};
use crate::support::{DEV, REGION, TOOLS, refusal};

#[tokio::test]
async fn action_executions_come_newest_first_in_pages_and_of_one_execution() {
    let runs = Runs::release().await;
    let [first, second] = [runs.run().await, runs.run().await];
    let list = || runs.client.list_action_executions().pipeline_name(PIPELINE);
    let all = list().send().await.unwrap();
    let shown: Vec<(&str, &str)> = all
        .action_execution_details()
        .iter()
        .map(|detail| (detail.pipeline_execution_id().unwrap(), detail.action_name().unwrap()))
        .collect();
    let of = |id| [(id, "Deploy"), (id, "Invoke"), (id, "Fetch")];
    assert_eq!(shown, [of(second.as_str()), of(first.as_str())].concat());
    let page = list().max_results(4).send().await.unwrap();
    assert_eq!(page.action_execution_details().len(), 4);
    let rest = list().max_results(4).set_next_token(page.next_token().map(str::to_owned)).send().await.unwrap();
    assert_eq!((rest.action_execution_details().len(), rest.next_token()), (2, None));
    assert_eq!(rest.action_execution_details(), &all.action_execution_details()[4..]);
    assert_eq!(runs.details(&first).await.len(), 3);

    assert_eq!(refusal(list().max_results(101).send().await).1, "ValidationException");
    assert_eq!(refusal(list().next_token("made-up").send().await).1, "InvalidNextTokenException");
    let unknown = ActionExecutionFilter::builder().pipeline_execution_id("00000000").build();
    assert_eq!(refusal(list().filter(unknown).send().await).1, "PipelineExecutionNotFoundException");
    let nothing = runs.client.list_action_executions().pipeline_name("nothing").send().await;
    assert_eq!(refusal(nothing).1, "PipelineNotFoundException");
}

#[tokio::test]
async fn the_latest_attempts_can_be_told_from_all() {
    let runs = Runs::release().await;
    runs.behave(fail("no"));
    let id = runs.run().await;
    runs.behave(Behaviour::default());
    let retry = runs.client.retry_stage_execution().pipeline_name(PIPELINE).stage_name("Validate");
    let mode = aws_sdk_codepipeline::types::StageRetryMode::FailedActions;
    retry.pipeline_execution_id(&id).retry_mode(mode).send().await.unwrap();
    runs.aws.settled().await;
    let count = async |range: StartTimeRange| {
        let latest = LatestInPipelineExecutionFilter::builder().pipeline_execution_id(&id).start_time_range(range);
        let filter = ActionExecutionFilter::builder().latest_in_pipeline_execution(latest.build().unwrap()).build();
        let call = runs.client.list_action_executions().pipeline_name(PIPELINE).filter(filter);
        call.send().await.unwrap().action_execution_details().len()
    };
    assert_eq!((count(StartTimeRange::All).await, count(StartTimeRange::Latest).await), (4, 3));
}

#[tokio::test]
async fn secrets_are_masked_in_what_an_action_was_given() {
    let mut pipeline = super::support::release();
    let source = &mut pipeline["stages"][0]["actions"][0];
    source["actionTypeId"] = json!({"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"});
    source["configuration"] = json!({"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "ghp_secret"});
    let runs = Runs::of(pipeline).await;
    let id = runs.run().await;
    let details = runs.details(&id).await;
    let input = details[0].input().unwrap();
    assert_eq!(input.configuration().unwrap()["OAuthToken"], "****");
    assert_eq!(input.resolved_configuration().unwrap()["OAuthToken"], "****");
    assert_eq!(input.resolved_configuration().unwrap()["Branch"], "main");
    let history = runs.aws.admin().snapshot().unwrap()["history"].to_string();
    assert!(!history.contains("ghp_secret"));
}

#[tokio::test]
async fn the_history_shows_stages_actions_and_what_functions_did() {
    let runs = Runs::release().await;
    runs.behave(succeed([("Report", "fine")]));
    let passed = runs.run().await;
    runs.behave(fail("no"));
    runs.run().await;
    let history = runs.aws.admin().snapshot().unwrap()["history"]["accounts"].take();
    let executions = &history[TOOLS]["pipelines"][REGION][PIPELINE]["executions"];
    assert_eq!((&executions[0]["id"], &executions[0]["status"]), (&json!(passed), &json!("Succeeded")));
    let invoke = &executions[0]["stages"][1]["actions"][0];
    assert_eq!((&invoke["name"], &invoke["status"]), (&json!("Invoke"), &json!("Succeeded")));
    assert_eq!(invoke["outputVariables"], json!({"Report": "fine"}));
    let failed = &executions[1]["stages"][1]["actions"][0];
    assert_eq!(failed["error"], json!({"code": "JobFailed", "message": "no"}));
    let invocations = &history[DEV]["functions"][REGION]["MyFunction"];
    assert_eq!(invocations[1]["deliveries"][0]["log"], "PutJobFailureResult: OK");
    assert!(!history.to_string().contains("fakeaws-token"), "events hold credentials and are not shown");
}

#[tokio::test]
async fn what_a_function_does_is_part_of_the_configuration() {
    let runs = Runs::release().await;
    runs.behave(fail("no"));
    let configuration = runs.aws.admin().configuration().unwrap();
    let function = &configuration["accounts"][DEV]["functions"][REGION]["MyFunction"];
    assert_eq!(function["behaviour"], json!({"type": "fail", "message": "no", "failureType": "JobFailed"}));
    let mut seed: fakeaws::Seed = serde_json::from_value(configuration.clone()).unwrap();
    seed.keys = crate::support::seed().keys;
    let again = fakeaws::FakeAws::start(seed).await.unwrap();
    assert_eq!(again.admin().configuration().unwrap(), configuration);
}
