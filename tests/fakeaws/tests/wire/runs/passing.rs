//! The way of a run: stages, actions side by side and one after the other, variables, regions, roles.

use aws_sdk_codepipeline::types::{PipelineExecutionStatus, PipelineVariable, StageExecutionStatus};
use fakeaws::{ActionOutcome, Behaviour};
use serde_json::json;

use super::support::{
    AT, EXECUTION_ROLE, FUNCTION_ARN, INVOKE_ROLE, PIPELINE, PIPELINE_ROLE, Runs, build, declaration, deploy, fail,
    invoke, release, source, stage, succeed, variables,
};
use crate::support::{DEV, REGION, TOOLS, allow, refusal};

const DONE: StageExecutionStatus = StageExecutionStatus::Succeeded;

fn named(stages: Vec<(&str, StageExecutionStatus)>) -> Vec<(String, StageExecutionStatus)> {
    stages.into_iter().map(|(name, status)| (name.to_owned(), status)).collect()
}

#[tokio::test]
async fn with_everything_in_place_the_run_passes() {
    let runs = Runs::release().await;
    runs.behave(succeed([("Report", "fine")]));
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    assert_eq!(runs.stages().await, named(vec![("Source", DONE), ("Validate", DONE), ("Deploy", DONE)]));
    let details = runs.details(&id).await;
    let names: Vec<&str> = details.iter().map(|detail| detail.action_name().unwrap()).collect();
    assert_eq!(names, ["Fetch", "Invoke", "Deploy"]);
    let invoked = &details[1];
    assert_eq!(invoked.output().unwrap().output_variables().unwrap()["Report"], "fine");
    assert_eq!(invoked.input().unwrap().role_arn(), Some(INVOKE_ROLE));
    let latest = runs.latest("Invoke").await.unwrap();
    assert_eq!(latest.action_execution_id(), invoked.action_execution_id());
    assert_eq!(latest.external_execution_id(), runs.invocations()[0]["requestId"].as_str());
}

#[tokio::test]
async fn every_hop_is_made_by_the_role_that_aws_makes_it_with() {
    let runs = Runs::release().await;
    runs.run().await;
    let hop = |operation: &str| {
        let call = runs.calls(operation).pop().unwrap();
        let (role, _) = call.caller.rsplit_once('/').unwrap();
        (role.to_owned(), call.resource.unwrap(), call.region, call.outcome)
    };
    let region = || REGION.to_owned();
    let sts = |account: &str, role: &str| format!("arn:aws:sts::{account}:assumed-role/{role}");
    assert_eq!(hop("AssumeRole"), (sts(TOOLS, "pipeline"), INVOKE_ROLE.to_owned(), region(), "OK".to_owned()));
    assert_eq!(hop("Invoke"), (sts(DEV, "invoke"), FUNCTION_ARN.to_owned(), region(), "OK".to_owned()));
    let called_back = hop("PutJobSuccessResult");
    assert_eq!(called_back, (sts(DEV, "execution"), "*".to_owned(), region(), "OK".to_owned()));
    // The rights of the caller that started the run are its own.
    let started = runs.calls("StartPipelineExecution").pop().unwrap();
    assert_eq!(started.authorised.len(), 1, "{started:?}");
}

#[tokio::test]
async fn a_failure_stops_the_run_with_its_message() {
    let runs = Runs::release().await;
    runs.behave(fail("the smoke test found nothing"));
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    let expected = ("Failed".to_owned(), "JobFailed: the smoke test found nothing".to_owned());
    assert_eq!(runs.outcome("Invoke").await, expected);
    assert_eq!(runs.stages().await, named(vec![("Source", DONE), ("Validate", StageExecutionStatus::Failed)]));
    assert_eq!(runs.details(&id).await.len(), 2, "nothing is deployed");
    runs.behave(Behaviour::default());
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn actions_of_one_run_order_run_side_by_side() {
    let stages = vec![source(), stage("Build", vec![build("One", 1), build("Two", 1), build("Three", 2)]), deploy()];
    let runs = Runs::of(declaration(stages)).await;
    runs.set("Build", "One", ActionOutcome::Hold {});
    runs.set("Build", "Two", ActionOutcome::Hold {});
    let id = runs.run().await;
    let state = async |action: &str| runs.outcome(action).await.0;
    assert_eq!((state("One").await.as_str(), state("Two").await.as_str()), ("InProgress", "InProgress"));
    assert_eq!(state("Three").await, "");
    runs.set("Build", "One", ActionOutcome::default());
    assert_eq!((state("One").await.as_str(), state("Three").await.as_str()), ("Succeeded", ""));
    runs.set("Build", "Two", ActionOutcome::default());
    assert_eq!((state("Three").await.as_str(), state("Deploy").await.as_str()), ("Succeeded", "Succeeded"));
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn one_failed_action_fails_its_stage_when_the_others_have_ended() {
    let stages = vec![source(), stage("Build", vec![build("One", 1), build("Two", 1), build("Three", 2)]), deploy()];
    let runs = Runs::of(declaration(stages)).await;
    let failure = ActionOutcome::Fail { code: "JobFailed".to_owned(), message: "does not compile".to_owned() };
    runs.set("Build", "One", failure);
    runs.set("Build", "Two", ActionOutcome::Hold {});
    let id = runs.run().await;
    assert_eq!(runs.outcome("One").await.1, "JobFailed: does not compile");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
    runs.set("Build", "Two", ActionOutcome::default());
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    assert_eq!(runs.details(&id).await.len(), 3, "neither the third build nor the deployment has begun");
}

#[tokio::test]
async fn variables_are_resolved_where_the_action_begins() {
    let mut pipeline = release();
    pipeline["pipelineType"] = json!("V2");
    pipeline["variables"] = json!([{"name": "Suite", "defaultValue": "smoke"}]);
    pipeline["stages"][1]["actions"][0]["configuration"]["UserParameters"] =
        json!("#{SourceVariables.CommitId} #{variables.Suite} #{codepipeline.PipelineExecutionId} #{plain}");
    pipeline["stages"][2]["actions"][0]["configuration"]["ObjectKey"] = json!("#{Checks.Report}");
    let runs = Runs::of(pipeline).await;
    let outcome = ActionOutcome::Succeed { output_variables: variables([("CommitId", "c0ffee")]) };
    runs.set("Source", "Fetch", outcome);
    runs.behave(succeed([("Report", "report-1")]));
    let given = PipelineVariable::builder().name("Suite").value("full").build().unwrap();
    let start = runs.client.start_pipeline_execution().name(PIPELINE).variables(given).send().await.unwrap();
    runs.aws.settled().await;
    let id = start.pipeline_execution_id().unwrap();
    let details = runs.details(id).await;
    let input = details[1].input().unwrap();
    let resolved = &input.resolved_configuration().unwrap()["UserParameters"];
    assert_eq!(resolved, &format!("c0ffee full {id} #{{plain}}"));
    assert!(input.configuration().unwrap()["UserParameters"].starts_with("#{SourceVariables.CommitId}"));
    let deployed = details[2].input().unwrap();
    assert_eq!(deployed.resolved_configuration().unwrap()["ObjectKey"], "report-1");
    let execution = runs.client.get_pipeline_execution().pipeline_name(PIPELINE).pipeline_execution_id(id);
    let execution = execution.send().await.unwrap();
    let shown = &execution.pipeline_execution().unwrap().variables()[0];
    assert_eq!((shown.name(), shown.resolved_value()), (Some("Suite"), Some("full")));

    let unknown = PipelineVariable::builder().name("Unknown").value("1").build().unwrap();
    let refused = runs.client.start_pipeline_execution().name(PIPELINE).variables(unknown).send().await;
    assert_eq!(refusal(refused).1, "ValidationException");
}

#[tokio::test]
async fn a_variable_that_nothing_produced_fails_the_action() {
    let mut pipeline = release();
    pipeline["stages"][2]["actions"][0]["configuration"]["ObjectKey"] = json!("#{Checks.Report}");
    let runs = Runs::of(pipeline).await;
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
    let (_, error) = runs.outcome("Deploy").await;
    assert_eq!(error, "ConfigurationError: The variable #{Checks.Report} in 'ObjectKey' cannot be resolved");
}

#[tokio::test]
async fn the_function_is_that_of_the_actions_region() {
    let mut pipeline = release();
    pipeline["stages"][1]["actions"][0]["region"] = json!("eu-west-1");
    pipeline.as_object_mut().unwrap().remove("artifactStore");
    let store = json!({"type": "S3", "location": "artifacts"});
    pipeline["artifactStores"] = json!({REGION: store, "eu-west-1": store});
    let runs = Runs::of(pipeline).await;
    let anywhere = allow("lambda:InvokeFunction", "*");
    runs.aws.admin().put_inline_policy(DEV, "invoke", "invoke", anywhere).unwrap();
    runs.run().await;
    let arn = FUNCTION_ARN.replace(REGION, "eu-west-1");
    assert_eq!(runs.outcome("Invoke").await.1, format!("ConfigurationError: Function not found: {arn}"));
    runs.aws.admin().put_function(DEV, "eu-west-1", "MyFunction", json!({"role": EXECUTION_ROLE})).unwrap();
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let called_back = runs.calls("PutJobSuccessResult").pop().unwrap();
    assert_eq!(called_back.region, "eu-west-1", "the job is where the function is");
    let details = runs.details(&id).await;
    assert_eq!(details[1].input().unwrap().region(), Some("eu-west-1"));
}

#[tokio::test]
async fn without_a_role_of_its_own_an_action_invokes_as_the_pipeline_role() {
    let mut pipeline = release();
    pipeline["stages"][1]["actions"][0].as_object_mut().unwrap().remove("roleArn");
    let runs = Runs::of(pipeline).await;
    runs.run().await;
    let arn = FUNCTION_ARN.replace(DEV, TOOLS);
    let (_, error) = runs.outcome("Invoke").await;
    assert!(error.starts_with("PermissionError: User: arn:aws:sts::111111111111:assumed-role/pipeline/"), "{error}");
    assert!(
        error.contains(&format!("is not authorized to perform: lambda:InvokeFunction on resource: {arn}")),
        "{error}"
    );

    let admin = runs.aws.admin();
    admin.put_inline_policy(TOOLS, "pipeline", "invoke", allow("lambda:InvokeFunction", &arn)).unwrap();
    admin.put_inline_policy(TOOLS, "pipeline", "list", allow("lambda:ListFunctions", "*")).unwrap();
    let mut role = fakeaws::RoleSeed::trusting(crate::support::trust(json!({"Service": "lambda.amazonaws.com"})));
    role.inline_policies.insert("callback".to_owned(), super::support::callback_policy());
    admin.put_role(TOOLS, "execution", role).unwrap();
    let role = EXECUTION_ROLE.replace(DEV, TOOLS);
    admin.put_function(TOOLS, REGION, "MyFunction", json!({"role": role})).unwrap();
    let id = runs.run().await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    assert_eq!(runs.calls("AssumeRole").len(), 0);
}

#[tokio::test]
async fn codepipeline_must_be_able_to_assume_the_pipeline_role() {
    let runs = Runs::release().await;
    runs.aws.admin().put_trust(TOOLS, "pipeline", crate::support::trust(json!({"AWS": TOOLS}))).unwrap();
    runs.run().await;
    let text = format!("PermissionError: CodePipeline is not authorized to perform AssumeRole on role {PIPELINE_ROLE}");
    assert_eq!(runs.outcome("Invoke").await, ("Failed".to_owned(), text));
}

#[tokio::test]
async fn what_is_not_known_of_aws_is_refused() {
    let mut pipeline = release();
    pipeline["stages"][1]["actions"][0]["configuration"]["FunctionName"] = json!(FUNCTION_ARN);
    let runs = Runs::of(pipeline).await;
    runs.run().await;
    assert!(runs.outcome("Invoke").await.1.contains("fakeaws cannot do this: a FunctionName that is no plain name"));
}

#[tokio::test]
async fn a_repeated_request_starts_nothing() {
    let runs = Runs::release().await;
    let start = async |token: &str| {
        let call = runs.client.start_pipeline_execution().name(PIPELINE).client_request_token(token);
        call.send().await.unwrap().pipeline_execution_id().unwrap().to_owned()
    };
    let first = start("one").await;
    assert_eq!(start("one").await, first);
    assert_ne!(start("two").await, first);
}

#[tokio::test]
async fn only_actions_that_the_double_does_not_run_can_be_held() {
    let runs =
        Runs::of(declaration(vec![source(), stage("Validate", vec![invoke(), super::support::approve()])])).await;
    let set = |stage: &str, action: &str| {
        let outcome = runs.aws.admin().set_action(AT, (stage, action), ActionOutcome::Hold {});
        outcome.map_err(|error| error.to_string())
    };
    assert!(set("Validate", "Invoke").unwrap_err().contains("behaviour"));
    assert!(set("Validate", "Approve").unwrap_err().contains("PutApprovalResult"));
    assert!(set("Source", "Nothing").unwrap_err().contains("no action Nothing"));
    set("Source", "Fetch").unwrap();
    let id = runs.run().await;
    assert_eq!(runs.details(&id).await.len(), 1, "a source can be held");
}
