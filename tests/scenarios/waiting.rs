//! Running executions, propagation, throttling, lost answers: states to wait out, not errors.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::PIPELINE,
    objects::condition,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault, Propagation};

use crate::{
    suite::{Case, case},
    support::{converge, entered, message, pipeline, refused, stages, version},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_running_execution_is_never_cancelled", quick, a_running_execution_is_never_cancelled),
        case("what_a_running_execution_waits_for_is_told", quick, what_a_running_execution_waits_for_is_told),
        case("iam_that_has_not_spread_yet_is_tried_again", Setup::default, iam_that_has_not_spread_yet_is_tried_again),
        case(
            "a_role_that_stays_refused_says_what_is_left",
            short_propagation,
            a_role_that_stays_refused_says_what_is_left,
        ),
        case("what_went_missing_meanwhile_is_said_to_be_missing", short_propagation, went_missing),
        case("stale_reads_cause_no_second_write", Setup::default, stale_reads_cause_no_second_write),
        case("throttling_and_faults_are_waited_out", Setup::default, throttling_and_faults_are_waited_out),
        case("after_a_lost_answer_the_next_read_decides", Setup::default, after_a_lost_answer_the_next_read_decides),
        case(
            "members_and_secrets_that_nobody_knows_survive",
            Setup::default,
            members_and_secrets_that_nobody_knows_survive,
        ),
    ]
}

async fn a_running_execution_is_never_cancelled(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    // Between two stages no stage is running, and the execution is in progress all the same.
    let id = scenario
        .aws()
        .put_execution((&tools, &region, PIPELINE), None, "InProgress", None)
        .context("starting an execution")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "WaitingForIdlePipeline", &[&id, PIPELINE, &tools]).await?;
    scenario.aws().put_execution((&tools, &region, PIPELINE), Some(&id), "Stopping", None).context("stopping")?;
    scenario.until("validate", "the message says Stopping", |object| message(object).contains("Stopping")).await?;
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 0);
    scenario.aws().put_execution((&tools, &region, PIPELINE), Some(&id), "Succeeded", None).context("ending")?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.of("UpdatePipeline"), 1);
    let last = calls.0.iter().position(|call| call.operation == "UpdatePipeline").unwrap();
    assert_eq!(calls.0[last - 1].operation, "ListPipelineExecutions", "the last call before the write");
    // Deletion waits just the same.
    let id = scenario
        .aws()
        .put_execution((&tools, &region, PIPELINE), None, "InProgress", Some("Build"))
        .context("starting another")?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "WaitingForIdlePipeline", &[&id, "which runs action Build of stage Build;"]).await?;
    assert!(stages(scenario)?.contains(&"Validate".to_owned()));
    scenario.aws().put_execution((&tools, &region, PIPELINE), Some(&id), "Succeeded", None).context("ending")?;
    scenario.until_gone("validate").await
}

async fn what_a_running_execution_waits_for_is_told(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let root = scenario.accounts.iam_arn(&scenario.accounts.tools, "root");
    let id = scenario.start_execution().await?;
    scenario.settled().await;
    scenario.apply(&scenario.invoke("validate")).await?;
    let running = format!("has execution {id} InProgress");
    let approval =
        format!("{running}, which waits for approval action Approve of stage Build; an update would cancel it");
    refused(scenario, "validate", "WaitingForIdlePipeline", &[&approval]).await?;
    // It is asked for at each look, and no look that finds the same is worth a write.
    let before = scenario.invokes().get("validate").await.context("reading")?;
    let mark = scenario.mark()?;
    eventually("three more looks", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("GetPipelineState") >= 3 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    let after = scenario.invokes().get("validate").await.context("reading")?;
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);

    scenario.disable_transition("Deploy", "Freeze until Monday (see the calendar)").await?;
    scenario.approve().await?;
    let closed = format!(
        "{running}, which waits before stage Deploy, the transition into which is disabled by {root} with the reason \
         \"Freeze until Monday (see the calendar)\"; an update would cancel it"
    );
    refused(scenario, "validate", "WaitingForIdlePipeline", &[&closed]).await?;

    // Where it may not be asked for, the wait is told as it is, and ends as it does.
    let denied = Effect::fail("AccessDeniedException", "not authorized to perform: codepipeline:GetPipelineState", 400);
    scenario.aws().fault(Fault::next("GetPipelineState", denied).always()).context("a denial")?;
    refused(scenario, "validate", "WaitingForIdlePipeline", &[&format!("{running}; an update would cancel it")])
        .await?;
    scenario.enable_transition("Deploy").await?;
    scenario.settled().await;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(scenario.execution(&id).await?.status, "Succeeded");
    Ok(())
}

async fn iam_that_has_not_spread_yet_is_tried_again(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let lag = Propagation { authorisation_milliseconds: 5_000, ..Propagation::default() };
    scenario.aws().set_propagation(lag).context("a lag")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "IamPropagating", &["may assume"]).await?;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(version(scenario)?, 2, "refused tries make no version");
    Ok(())
}

async fn a_role_that_stays_refused_says_what_is_left(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let tools = scenario.accounts.tools.clone();
    let deny = serde_json::json!({"Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": "*"}]});
    let role = crossinvoke_harness::accounts::PIPELINE_ROLE;
    scenario.aws().put_inline_policy(&tools, role, "deny", deny).context("a deny")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let parts =
        ["trust policy is in place since", "-assume is in place since", "explicit deny", "service control policy"];
    refused(scenario, "validate", "PipelineRoleCannotAssume", &parts).await?;
    scenario.aws().remove_inline_policy(&tools, role, "deny").context("lifting the deny")?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await?;
    Ok(())
}

async fn stale_reads_cause_no_second_write(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let lag = Propagation { reads_milliseconds: 7_000, ..Propagation::default() };
    scenario.aws().set_propagation(lag).context("a lag")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("CreateRole"), calls.of("PutRolePolicy"), calls.of("UpdatePipeline")), (1, 3, 1), "{calls}");
    // A deletion that starts at once sees stale reads too, and leaves nothing behind.
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    assert_eq!(version(scenario)?, 3);
    let lines = format!("{:?}", scenario.configuration()?["accounts"][&scenario.accounts.dev]["roles"]);
    assert!(!lines.contains("crossinvoke.dev/owner"), "{lines}");
    Ok(())
}

async fn throttling_and_faults_are_waited_out(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let aws = scenario.aws().clone();
    aws.fault(Fault::next("GetRole", Effect::Throttle).times(4)).context("throttling")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Throttled").await?;
    scenario.until_reason("validate", "Converged").await?;
    // Nothing is known to be wrong then, and what fails is reported.
    aws.fault(Fault::next("GetPipeline", Effect::fail("InternalFailure", "busy", 500)).times(1000))
        .context("failing")?;
    scenario.touch("validate", "look").await?;
    scenario
        .until("validate", "looks fail", |object| {
            condition(object, "Reconciling") == Some(("True", "AwsUnavailable"))
                && condition(object, "Ready") == Some(("True", "Converged"))
        })
        .await?;
    aws.clear_faults().context("healing")?;
    scenario.until("validate", "looks succeed", |object| condition(object, "Reconciling").is_none()).await?;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(version(scenario)?, 2);
    Ok(())
}

async fn after_a_lost_answer_the_next_read_decides(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let aws = scenario.aws().clone();
    aws.drop_next("CreateRole").context("dropping")?;
    aws.drop_next("PutRolePolicy").context("dropping")?;
    aws.drop_next("UpdatePipeline").context("dropping")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(version(scenario)?, 2, "one version more, not two:\n{calls}");
    assert_eq!((calls.of("CreateRole"), calls.of("UpdatePipeline")), (1, 1), "{calls}");
    Ok(())
}

async fn members_and_secrets_that_nobody_knows_survive(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut odd = pipeline(scenario)?;
    odd["futureMember"] = serde_json::json!({"a": [1, 2.5, null, {"b": "****"}]});
    odd["stages"][1]["onFuture"] = serde_json::json!({"result": "MAYBE", "rules": []});
    odd["stages"][0]["actions"][0]["configuration"]["OAuthToken"] = serde_json::json!("secret-token");
    odd["stages"][2]["actions"][0]["futureFlag"] = serde_json::json!(true);
    scenario.aws().replace_pipeline(&tools, &region, odd).context("an odd pipeline")?;
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    let mut now = pipeline(scenario)?;
    now["stages"].as_array_mut().unwrap().remove(2);
    assert_eq!(now, before["accounts"][&tools]["pipelines"][&region][PIPELINE]);
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

/// CodePipeline looks at the role after T1 and P3 were read back, and somebody was faster.
async fn went_missing(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let dev = scenario.accounts.dev.clone();
    let delay = Effect::Delay { milliseconds: 6_000 };
    scenario.aws().fault(Fault::next("UpdatePipeline", delay)).context("a slow call")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    eventually("the update is about to be looked at", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("ListPipelineExecutions") > 0 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    let roles = scenario.configuration()?["accounts"][&dev]["roles"].clone();
    let made = roles.as_object().and_then(|roles| roles.keys().find(|name| name.starts_with("crossinvoke-"))).cloned();
    let nobody = serde_json::json!({"Version": "2012-10-17", "Statement": []});
    scenario.aws().put_trust(&dev, &made.unwrap_or_default(), nobody).context("nobody is trusted")?;
    let parts = ["trust policy is missing", "-assume is in place since", "made again at the next look"];
    refused(scenario, "validate", "PipelineRoleCannotAssume", &parts).await?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await.map(drop)
}

fn quick() -> Setup {
    Setup::default().flags(["--idle-poll", "1s"])
}

fn short_propagation() -> Setup {
    Setup::default().flags(["--iam-propagation-timeout", "3s"])
}
