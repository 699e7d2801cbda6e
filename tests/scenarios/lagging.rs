//! Reads that lag behind our own writes, with several objects, lost answers and a killed process.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::PIPELINE,
    objects::has_reason,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault, Propagation};
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, message, pipeline, pipeline_role, refused, stages, version},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("objects_on_one_pipeline_do_not_undo_each_other_under_a_lag", Setup::default, not_undone),
        case("a_lost_answer_under_a_lag_makes_one_version", Setup::default, lost_answer),
        case("a_kill_under_a_lag_makes_one_version", Setup::default, killed),
        case("a_role_made_without_an_answer_goes_with_its_object", Setup::default, role_without_an_answer),
        case("a_policy_made_without_an_answer_goes_with_its_object", Setup::default, policy_without_an_answer),
        case(
            "an_update_that_outlives_its_reconcile_makes_one_version",
            || Setup::default().flags(["--aws-timeout", "3s"]),
            update_outlives_its_reconcile,
        ),
        case(
            "a_policy_that_is_applied_late_undoes_nobody_elses",
            || Setup::default().flags(["--aws-attempt-timeout=5s"]),
            applied_late,
        ),
        case(
            "what_a_policy_undid_that_was_applied_very_late_is_put_back",
            || Setup::default().flags(["--aws-attempt-timeout=1s"]),
            applied_very_late,
        ),
        case("a_stage_taken_away_and_made_again_goes_with_the_action", Setup::default, stage_made_again),
    ]
}

fn lag(scenario: &Scenario<'_>, milliseconds: u64) -> Result<()> {
    let lag = Propagation { reads_milliseconds: milliseconds, ..Propagation::default() };
    scenario.aws().set_propagation(lag).context("a lag")
}

async fn not_undone(scenario: &mut Scenario<'_>) -> Result<()> {
    let names = ["one", "two", "three"];
    for name in names {
        converge(scenario, &scenario.invoke(name)).await?;
    }
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    lag(scenario, 8_000)?;
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    scenario.aws().replace_pipeline(&tools, &region, without).context("removing the stage")?;
    // Everybody sees it gone, and nobody sees what the others then write.
    scenario.aws().advance_clock(9).context("time")?;
    let (mark, before) = (scenario.mark()?, version(scenario)?);
    for name in names {
        scenario.touch(name, "look").await?;
    }
    for name in names {
        let declared = |object: &kube::api::DynamicObject| {
            crossinvoke_harness::objects::has_reason(object, "Converged")
                && object.data["status"]["drift"]["lastCorrectedAt"].is_string()
        };
        scenario.until(name, "converged after its action was gone", declared).await?;
    }
    let actions = pipeline(scenario)?["stages"][2]["actions"].as_array().cloned().unwrap_or_default();
    assert_eq!(actions.len(), 3, "{actions:?}");
    let calls = scenario.calls_since(mark)?;
    // One version for those that come together, and none twice.
    let updates = calls.of("UpdatePipeline");
    assert!((1..=3).contains(&updates), "{calls}");
    assert_eq!(version(scenario)? - before, i64::try_from(updates).context("a count")?, "{calls}");
    Ok(())
}

/// A write is applied and its answer lost, and the object goes before the write is to be seen.
async fn without_an_answer(scenario: &mut Scenario<'_>, lost: Fault) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    scenario.aws().advance_clock(60).context("time")?;
    lag(scenario, 20_000)?;
    scenario.aws().fault(lost).context("dropping")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until("validate", "the answer is lost", |object| has_reason(object, "AwsUnavailable")).await?;
    scenario.delete("validate").await?;
    let unseen = |object: &kube::api::DynamicObject| message(object).contains("before our own write");
    scenario.until("validate", "deletion waits for what is not to be seen", unseen).await?;
    scenario.aws().advance_clock(20).context("time")?;
    scenario.touch("validate", "to be seen").await?;
    scenario.until_gone("validate").await?;
    scenario.aws().advance_clock(60).context("time")?;
    scenario.assert_as_before(&before)
}

async fn role_without_an_answer(scenario: &mut Scenario<'_>) -> Result<()> {
    without_an_answer(scenario, Fault::next("CreateRole", Effect::DropAfterApplying)).await
}

/// P3 is on somebody else's role, which stays.
async fn policy_without_an_answer(scenario: &mut Scenario<'_>) -> Result<()> {
    without_an_answer(scenario, Fault::next("PutRolePolicy", Effect::DropAfterApplying).containing("-assume")).await
}

/// The double answers, and applies, long after the reconcile that sent the update has run out of time.
async fn update_outlives_its_reconcile(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = version(scenario)?;
    scenario.aws().fault(Fault::next("UpdatePipeline", Effect::Delay { milliseconds: 15_000 })).context("slow")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until("validate", "it waits", |object| message(object).contains("updated together")).await?;
    scenario.until_reason("validate", "Converged").await?;
    let sent = scenario.controller()?.log();
    let sent: Vec<&String> = sent.iter().filter(|line| line.contains("updating pipeline")).collect();
    assert_eq!((sent.len(), version(scenario)? - before), (1, 1), "{sent:#?}");
    Ok(())
}

async fn lost_answer(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    lag(scenario, 6_000)?;
    scenario.aws().drop_next("UpdatePipeline").context("dropping")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("UpdatePipeline"), version(scenario)?), (1, 2), "{calls}");
    Ok(())
}

async fn killed(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    lag(scenario, 8_000)?;
    // What was made so far is to be seen.
    scenario.aws().advance_clock(9).context("time")?;
    let mark = scenario.mark()?;
    invoke["spec"]["action"] = json!({"runOrder": 4});
    scenario.apply(&invoke).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.kill_and_restart_controller().await?;
    for look in ["one", "two", "three"] {
        scenario.touch("validate", look).await?;
    }
    scenario
        .until("validate", "looked at under the lag", |object| {
            object.data["status"]["conditions"].to_string().contains("AWS still shows")
        })
        .await?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("UpdatePipeline"), version(scenario)?), (1, 3), "{calls}");
    Ok(())
}

/// The first write of the assume policy is applied so late that nobody waits for its answer. Meanwhile another object
/// comes, which shares that policy, and is told this. Returns once both entries are there after that.
async fn late(scenario: &mut Scenario<'_>, milliseconds: u64, told: &str) -> Result<()> {
    entered(scenario).await?;
    let policy = format!("crossinvoke-{}-assume", scenario.installation_id);
    let slow = Fault::next("PutRolePolicy", Effect::Delay { milliseconds }).containing(&policy);
    scenario.aws().fault(slow).context("a late write")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("late")).await?;
    scenario.until_reason("late", "AwsUnavailable").await?;
    scenario.apply(&scenario.invoke("other")).await?;
    let roles = [
        invoke_role_name(&scenario.until_reason("late", "Converged").await?),
        invoke_role_name(&scenario.until_reason("other", told).await?),
    ];
    let least = i64::try_from(milliseconds).context("a time")?;
    eventually("both entries are there after the late write", DEADLINE * 2, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let begin = calls.0.iter().find(|call| call.operation == "CreateRole").map(|call| call.time);
        let is_late = |call: &&fakeaws::Call| {
            let here = call.operation == "PutRolePolicy" && call.account == scenario.accounts.tools;
            here && begin.is_some_and(|begin| call.time.duration_since(begin).as_millis() >= i128::from(least))
        };
        let applied = calls.0.iter().any(|call| is_late(&call));
        let found = pipeline_role(scenario).map_err(|error| error.to_string())?["inlinePolicies"][&policy].to_string();
        let both = roles.iter().all(|role| found.contains(role.as_str()));
        if applied && both { Ok(()) } else { Err(format!("{applied} {found}")) }
    })
    .await
}

async fn applied_late(scenario: &mut Scenario<'_>) -> Result<()> {
    let mark = scenario.mark()?;
    late(scenario, 9_000, "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    let writes =
        calls.0.iter().filter(|call| call.operation == "PutRolePolicy" && call.account == scenario.accounts.tools);
    assert_eq!(writes.count(), 2, "nothing was undone, and nothing put back: {calls}");
    Ok(())
}

async fn applied_very_late(scenario: &mut Scenario<'_>) -> Result<()> {
    // While the write may yet undo its access, its action is not placed.
    late(scenario, 15_000, "AwsUnavailable").await?;
    refused(scenario, "other", "AwsUnavailable", &["may yet undo", "assume"]).await?;
    assert!(!pipeline(scenario)?.to_string().contains("\"other\""));
    Ok(())
}

async fn stage_made_again(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut with_theirs = pipeline(scenario)?;
    let theirs = json!({"name": "Validate", "actions": [{"name": "Manual", "runOrder": 1, "actionTypeId":
        {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}}]});
    with_theirs["stages"].as_array_mut().unwrap().insert(2, theirs);
    scenario.aws().replace_pipeline(&tools, &region, with_theirs).context("a stage of theirs")?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["action"] = json!({"runOrder": 1});
    converge(scenario, &invoke).await?;
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    scenario.aws().replace_pipeline(&tools, &region, without).context("taking it away")?;
    scenario.touch("validate", "look").await?;
    let again = |object: &kube::api::DynamicObject| {
        object.data["status"]["inventory"].to_string().contains("stageMade")
            && crossinvoke_harness::objects::has_reason(object, "Converged")
    };
    scenario.until("validate", "the stage is of our making", again).await?;
    assert_eq!(stages(scenario)?, ["Source", "Build", "Validate", "Deploy"]);
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    assert!(!pipeline(scenario)?.to_string().contains("Validate"), "{PIPELINE}");
    scenario.assert_as_before(&before)
}
