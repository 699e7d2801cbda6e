//! An object is applied, converges, stays as it is, and goes without a trace.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::PIPELINE,
    objects::all_conditions,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use serde_json::json;

use crate::suite::{Case, case};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case(
            "create_rerun_and_delete_leave_aws_as_it_was",
            Setup::default,
            create_rerun_and_delete_leave_aws_as_it_was,
        ),
        case("what_is_under_way_is_told", Setup::default, what_is_under_way_is_told),
        case(
            "a_partition_that_came_late_is_one_like_the_others",
            || in_partition("aws-eusc", "eusc-de-east-1"),
            in_another_partition,
        ),
        case("china_is_a_partition_of_its_own", || in_partition("aws-cn", "cn-north-1"), in_another_partition),
        case(
            "gov_cloud_is_a_partition_of_its_own",
            || in_partition("aws-us-gov", "us-gov-west-1"),
            in_another_partition,
        ),
        case(
            "a_stage_that_exists_gets_the_action_and_keeps_its_own",
            Setup::default,
            a_stage_that_exists_gets_the_action_and_keeps_its_own,
        ),
    ]
}

async fn create_rerun_and_delete_leave_aws_as_it_was(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    // The accounts are counted below as if they were entered for this object: four calls, made once, beside the
    // look at the boundary, which is the account's own.
    crate::support::entered(scenario).await?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert!(calls.mutating() <= 6, "at most six calls change something:\n{calls}");
    // Before they are written, the two shared policies are read once more than for this object alone.
    assert!(calls.0.len() + 4 <= 23, "at most twenty-three calls in all:\n{calls}");
    assert_eq!(calls.of("GetPolicy"), 0, "what changes in an object asks nothing about its accounts:\n{calls}");
    // What is not so is not there, and the message stands once.
    assert_eq!(all_conditions(&object), ["Ready=True Converged", "Drifted=False InSync"]);
    let stages = &scenario.configuration()?["accounts"][&scenario.accounts.tools]["pipelines"]
        [&scenario.accounts.region][PIPELINE]["stages"];
    let names: Vec<&str> = stages.as_array().unwrap().iter().filter_map(|stage| stage["name"].as_str()).collect();
    assert_eq!(names, ["Source", "Build", "Validate", "Deploy"]);

    for which in ["tools", "dev"] {
        let account = scenario.aws_accounts().get(&format!("{}-{which}", scenario.namespace)).await;
        let status = account.context("reading the AwsAccount")?.data["status"].clone();
        assert_eq!(status["objects"], 1, "{status}");
        assert!(status["callerARN"].as_str().unwrap_or_default().contains(":assumed-role/crossinvoke/"), "{status}");
    }

    // Its events come after its last status: Made, PipelineUpdated, Ready.
    eventually("the event of its readiness", DEADLINE, async || {
        let written = scenario.kubernetes_writes().map_err(|error| error.to_string())?;
        let events = written.iter().filter(|write| write.contains("events")).count();
        if events == 3 { Ok(()) } else { Err(written.join("\n")) }
    })
    .await?;
    let written = scenario.kubernetes_writes()?.len();
    let metric = "crossinvoke_reconciles_total{kind=\"CrossAccountInvoke\"";
    let looks = scenario.controller()?.metric(metric).await?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "again").await?;
    let reads = scenario.reads_of_one_cycle(mark).await?;
    assert!(reads <= 8, "an in-sync cycle makes at most eight reads, not {reads}");
    let controller = scenario.controller()?;
    eventually("the cycle is over", DEADLINE, async || {
        let now = controller.metric(metric).await.map_err(|error| error.to_string())?;
        if now > looks { Ok(()) } else { Err(now.to_string()) }
    })
    .await?;
    assert_eq!(scenario.calls_since(mark)?.mutating(), 0, "a converged object causes no write in AWS");
    let after = scenario.kubernetes_writes()?;
    let (new, all) = (after.len() - written, after.join("\n"));
    assert_eq!(new, 1, "in Kubernetes only that the request for a look was handled:\n{all}");
    assert!(after.iter().any(|write| write.contains("\"subresource\":\"status\"")), "{all}");

    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn what_is_under_way_is_told(scenario: &mut Scenario<'_>) -> Result<()> {
    crate::support::entered(scenario).await?;
    let slow = |operation| Fault::next(operation, Effect::Delay { milliseconds: 3_000 });
    scenario.aws().fault(slow("CreateRole")).context("a slow call")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    crate::support::refused(scenario, "validate", "Progressing", &["writing role crossinvoke-", "more"]).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.aws().fault(slow("DeleteRole")).context("a slow call")?;
    scenario.delete("validate").await?;
    crate::support::refused(scenario, "validate", "Deleting", &["is being removed"]).await?;
    scenario.until_gone("validate").await
}

async fn a_stage_that_exists_gets_the_action_and_keeps_its_own(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["stage"] = json!({"name": "Deploy"});
    invoke["spec"]["action"] = json!({"name": "RunValidation", "runOrder": 2, "userParameters": "{\"suite\":\"smoke\"}", "variablesNamespace": "validation"});
    scenario.apply(&invoke).await?;
    scenario.until_reason("validate", "Converged").await?;
    let configuration = scenario.configuration()?;
    let stage = &configuration["accounts"][&scenario.accounts.tools]["pipelines"][&scenario.accounts.region][PIPELINE]
        ["stages"][2];
    assert_eq!(stage["actions"][1]["name"], "RunValidation");
    assert_eq!(stage["actions"][1]["configuration"]["UserParameters"], "{\"suite\":\"smoke\"}");
    assert_eq!(stage["actions"][1]["namespace"], "validation");
    assert_eq!(stage["actions"][1]["runOrder"], 2);
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

fn in_partition(partition: &'static str, region: &'static str) -> Setup {
    Setup::default().adjust_accounts(move |accounts| *accounts = accounts.clone().in_partition(partition, region))
}

/// Every ARN that is written is of the partition, and deletion leaves AWS as it was.
async fn in_another_partition(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    crate::support::converge(scenario, &scenario.invoke("validate")).await?;
    let after = scenario.configuration()?.to_string();
    assert!(!after.contains("arn:aws:iam::1") && !after.contains("arn:aws:iam::2"), "{after}");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}
