//! Many objects on one pipeline: one version carries what all of them want, and no version harms a release.

use std::time::Instant;

use crossinvoke_harness::{
    Context as _, Mark, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, FUNCTION, PIPELINE, PIPELINE_ROLE},
    objects::has_reason,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Behaviour, Effect, Fault};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{
        converge, entered, failed_release, invoke_role_name, message, pipeline, pipeline_role, refused, stages, version,
    },
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("fifty_objects_on_one_pipeline_make_one_version", together, fifty_objects),
        case("objects_that_are_still_on_their_way_are_waited_for", one_at_a_time, still_on_their_way),
        case("one_that_cannot_be_folded_keeps_nobody_out", together, one_that_cannot),
        case("a_failed_release_is_held_for_whoever_retries_it", || quick("25s"), held),
        case("a_gate_that_had_been_closed_is_closed_while_held", || quick("1h"), closed_while_held),
        case("a_release_that_our_own_gate_stopped_holds_nothing", || quick("1h"), stopped_by_ours),
        case("a_console_save_between_read_and_write_is_brought_back", Setup::default, brought_back),
        case("an_update_in_flight_is_settled_before_the_process_ends", Setup::default, settled_at_the_end),
        case("a_role_that_is_being_made_is_answered_before_the_process_ends", Setup::default, role_settled_at_the_end),
        case("a_shared_policy_in_flight_is_settled_before_the_process_ends", a_second, policy_settled_at_the_end),
        case("a_lost_answer_leaves_one_shared_policy_for_all", a_second, policy_without_an_answer),
        case("what_only_waits_for_others_does_not_hold_up_the_end", collecting, ends_while_collecting),
        case("a_member_that_aws_fills_in_one_day_is_left_alone", Setup::default, filled_in),
        case("what_aws_keeps_otherwise_is_told_after_two_versions", Setup::default, kept_otherwise),
        case("a_long_history_costs_two_calls_a_check", || quick("1h"), long_history),
        case("executions_that_no_state_shows_are_looked_through_in_parts", parallel, looked_through),
    ]
}

fn together() -> Setup {
    // A slow machine may need longer than the usual half a minute for the access of fifty objects.
    Setup::default().without_controller().flags(["--collect=3s", "--collect-max=60s"])
}

fn one_at_a_time() -> Setup {
    Setup::default().without_controller().flags(["--collect=3s", "--collect-max=60s", "--concurrency=1"])
}

fn quick(hold: &str) -> Setup {
    let hold = format!("--hold-after-failure={hold}");
    Setup::default().flags(["--idle-poll=1s", hold.as_str()])
}

/// Claims on roles are collected for a second.
fn a_second() -> Setup {
    Setup::default().flags(["--collect=1s"])
}

fn collecting() -> Setup {
    Setup::default().flags(["--collect=30s"])
}

pub(crate) async fn all_converged(scenario: &Scenario<'_>, count: usize) -> Result<()> {
    eventually("all have converged", DEADLINE * 4, async || {
        let objects = scenario.invokes().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let current = |object: &&kube::api::DynamicObject| {
            object.data["status"]["observedGeneration"].as_i64() == object.metadata.generation
        };
        let ready = objects.iter().filter(current).filter(|object| has_reason(object, "Converged")).count();
        if ready == count { Ok(()) } else { Err(format!("{ready} of {count}")) }
    })
    .await
}

/// Writes of policies on a role.
fn writes_on(calls: &[fakeaws::Call], role: &str) -> usize {
    let writes = |operation: &str| matches!(operation, "PutRolePolicy" | "DeleteRolePolicy");
    let is_it = |call: &&fakeaws::Call| call.resource.as_deref().is_some_and(|of| of.ends_with(role));
    calls.iter().filter(|call| writes(&call.operation)).filter(is_it).count()
}

async fn fifty_objects(scenario: &mut Scenario<'_>) -> Result<()> {
    let names: Vec<String> = (0..50).map(|number| format!("check-{number:02}")).collect();
    for name in &names {
        scenario.apply(&scenario.invoke(name)).await?;
    }
    let before = pipeline(scenario)?;
    // Claims on roles are collected for ten seconds at most, in which a slow machine does not get to all objects.
    let writes_since = |begun: Instant| 3 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap_or_default();
    let (mark, begun) = (scenario.mark()?, Instant::now());
    scenario.start_controller().await?;
    all_converged(scenario, names.len()).await?;
    let at_most = writes_since(begun);
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("UpdatePipeline"), version(scenario)?), (1, 2), "created: {calls}");
    let (assume, callback) = (writes_on(&calls.0, PIPELINE_ROLE), writes_on(&calls.0, EXECUTION_ROLE));
    assert!(
        assume <= at_most && callback <= at_most,
        "{assume} writes of the assume policy, {callback} of the callback policy"
    );
    let mark = scenario.mark()?;
    for name in &names[..20] {
        let mut invoke = scenario.invoke(name);
        invoke["spec"]["action"] = json!({"runOrder": 2});
        scenario.apply(&invoke).await?;
    }
    all_converged(scenario, names.len()).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("UpdatePipeline"), version(scenario)?), (1, 3), "edited: {calls}");
    let (mark, begun) = (scenario.mark()?, Instant::now());
    scenario
        .invokes()
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .context("deleting all")?;
    for name in &names {
        scenario.until_gone(name).await?;
    }
    let (calls, at_most) = (scenario.calls_since(mark)?, writes_since(begun));
    assert_eq!((calls.of("UpdatePipeline"), version(scenario)?), (1, 4), "deleted: {calls}");
    let (assume, callback) = (writes_on(&calls.0, PIPELINE_ROLE), writes_on(&calls.0, EXECUTION_ROLE));
    assert!(
        assume <= at_most && callback <= at_most,
        "{assume} writes of the assume policy, {callback} of the callback policy"
    );
    assert_eq!(pipeline(scenario)?, before);
    Ok(())
}

/// Each needs longer than the collecting lasts without another claim, and all are told first that their accounts are not
/// held yet.
async fn still_on_their_way(scenario: &mut Scenario<'_>) -> Result<()> {
    let names = ["one", "two", "three", "four"];
    for name in names {
        scenario.apply(&scenario.invoke(name)).await?;
    }
    let slow = Fault::next("GetFunctionConfiguration", Effect::Delay { milliseconds: 4_000 });
    scenario.aws().fault(slow.always()).context("a slow function")?;
    let mark = scenario.mark()?;
    scenario.start_controller().await?;
    all_converged(scenario, names.len()).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("UpdatePipeline"), version(scenario)?), (1, 2), "{calls}");
    Ok(())
}

async fn one_that_cannot(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut nowhere = scenario.invoke("nowhere");
    nowhere["spec"]["stage"] = json!({"name": "No-Such-Stage"});
    for invoke in [scenario.invoke("one"), nowhere, scenario.invoke("two")] {
        scenario.apply(&invoke).await?;
    }
    let mark = scenario.mark()?;
    scenario.start_controller().await?;
    scenario.until_reason("one", "Converged").await?;
    scenario.until_reason("two", "Converged").await?;
    refused(scenario, "nowhere", "StageNotFound", &["No-Such-Stage"]).await?;
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 1);
    Ok(())
}

async fn held(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let id = failed_release(scenario)?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let told = [id.as_str(), "Failed in stage Build", "this goes on at 20", "stage Validate made"];
    refused(scenario, "validate", "WaitingForRetryWindow", &told).await?;
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 0);
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 1);
    Ok(())
}

async fn closed_while_held(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    failed_release(scenario)?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    scenario.aws().replace_pipeline(&tools, &region, without).context("removing the stage")?;
    // A new one waits, and takes no lift.
    scenario.apply(&scenario.invoke("second")).await?;
    refused(scenario, "second", "WaitingForRetryWindow", &[]).await?;
    scenario.touch("validate", "look").await?;
    eventually("the gate is closed again", DEADLINE, async || {
        let stages = stages(scenario).map_err(|error| error.to_string())?;
        if stages.contains(&"Validate".to_owned()) { Ok(()) } else { Err(format!("{stages:?}")) }
    })
    .await?;
    let actions = pipeline(scenario)?["stages"][2]["actions"].clone();
    assert_eq!(actions.as_array().map(Vec::len), Some(1), "{actions}");
    refused(scenario, "second", "WaitingForRetryWindow", &[]).await
}

async fn stopped_by_ours(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let (dev, region) = (scenario.accounts.dev.clone(), scenario.accounts.function_region.clone());
    let fails = Behaviour::Fail { message: "not today".to_owned(), failure_type: "JobFailed".to_owned() };
    scenario.aws().set_behaviour((&dev, &region, FUNCTION), fails).context("a function that stops releases")?;
    let execution = scenario.run_pipeline().await?;
    assert_eq!(execution.status, "Failed");
    let mut edited = scenario.invoke("validate");
    edited["spec"]["action"] = json!({"runOrder": 3});
    scenario.apply(&edited).await?;
    eventually("it is edited at once", DEADLINE, async || {
        let order =
            pipeline(scenario).map_err(|error| error.to_string())?["stages"][2]["actions"][0]["runOrder"].clone();
        if order == 3 { Ok(()) } else { Err(order.to_string()) }
    })
    .await
}

async fn brought_back(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    scenario.aws().fault(Fault::next("UpdatePipeline", Effect::Delay { milliseconds: 4_000 })).context("slow")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    updating(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut saved = pipeline(scenario)?;
    saved["variables"][0]["description"] = json!("as the console has it");
    scenario.aws().replace_pipeline(&tools, &region, saved).context("a console save")?;
    scenario.until_reason("validate", "Converged").await?;
    let holds_both = |declaration: &Value| {
        declaration["variables"][0]["description"] == "as the console has it"
            && declaration["stages"][2]["name"] == "Validate"
    };
    eventually("both edits are there", DEADLINE, async || {
        let declaration = pipeline(scenario).map_err(|error| error.to_string())?;
        if holds_both(&declaration) { Ok(()) } else { Err(declaration.to_string()) }
    })
    .await
}

/// Waits until the update of the pipeline is under way.
async fn updating(scenario: &mut Scenario<'_>) -> Result<()> {
    let controller = scenario.controller()?;
    eventually("the update is under way", DEADLINE, async || {
        if controller.log().iter().any(|line| line.contains("updating pipeline")) {
            return Ok(());
        }
        Err("not yet".to_owned())
    })
    .await
}

async fn settled_at_the_end(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    scenario.aws().fault(Fault::next("UpdatePipeline", Effect::Delay { milliseconds: 3_000 })).context("slow")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    updating(scenario).await?;
    scenario.controller()?.stop().await?;
    assert_eq!(version(scenario)?, 2, "the process waited for the answer");
    scenario.start_controller().await?;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!((scenario.calls_since(mark)?.of("UpdatePipeline"), version(scenario)?), (1, 2));
    Ok(())
}

/// It takes longer than reconciles may go on.
async fn role_settled_at_the_end(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    scenario.aws().fault(Fault::next("CreateRole", Effect::Delay { milliseconds: 4_000 })).context("slow")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let controller = scenario.controller()?;
    eventually("the role is being made", DEADLINE, async || {
        let is_it = |line: &String| line.contains("writing") && line.contains("create role");
        if controller.log().iter().any(is_it) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    scenario.controller()?.stop().await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("CreateRole"), calls.of("PutRolePolicy")), (1, 0), "answered, and nothing begun after it");
    scenario.start_controller().await?;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(scenario.calls_since(mark)?.of("CreateRole"), 1);
    Ok(())
}

/// The entries of the assume policy, as one text.
fn assume(scenario: &Scenario<'_>) -> Result<String> {
    let name = format!("crossinvoke-{}-assume", scenario.installation_id);
    Ok(pipeline_role(scenario)?["inlinePolicies"][name].to_string())
}

/// Whether the assume policy names the roles of all these objects, and how often it was written since.
async fn all_in_one_policy(scenario: &mut Scenario<'_>, names: &[&str], mark: Mark) -> Result<usize> {
    let mut roles = Vec::new();
    for name in names {
        roles.push(invoke_role_name(&scenario.until_reason(name, "Converged").await?));
    }
    let policy = assume(scenario)?;
    assert!(roles.iter().all(|role| policy.contains(role.as_str())), "{roles:?} in {policy}");
    Ok(writes_on(&scenario.calls_since(mark)?.0, PIPELINE_ROLE))
}

async fn policy_settled_at_the_end(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let slow = Fault::next("PutRolePolicy", Effect::Delay { milliseconds: 3_000 }).containing("-assume");
    scenario.aws().fault(slow).context("slow")?;
    let (mark, names) = (scenario.mark()?, ["one", "two", "three"]);
    for name in names {
        scenario.apply(&scenario.invoke(name)).await?;
    }
    let controller = scenario.controller()?;
    eventually("the write is under way", DEADLINE, async || {
        let is_it = |line: &&String| line.contains("writing shared policy") && line.contains("-assume");
        if controller.log().iter().any(|line| is_it(&line)) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    scenario.controller()?.stop().await?;
    assert!(assume(scenario)?.contains("Allow"), "the process waited for the answer");
    scenario.start_controller().await?;
    let writes = all_in_one_policy(scenario, &names, mark).await?;
    // Who came too late for the first write is in the next process's.
    assert!(writes <= 2, "{writes} writes");
    Ok(())
}

async fn policy_without_an_answer(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let lost = Fault::next("PutRolePolicy", Effect::DropAfterApplying).containing("-assume");
    scenario.aws().fault(lost).context("dropping")?;
    let (mark, names) = (scenario.mark()?, ["one", "two", "three"]);
    for name in names {
        scenario.apply(&scenario.invoke(name)).await?;
    }
    let writes = all_in_one_policy(scenario, &names, mark).await?;
    assert!(writes <= 2, "{writes} writes");
    Ok(())
}

async fn ends_while_collecting(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let made = |calls: &crossinvoke_harness::Calls| calls.of("PutRolePolicy") >= 3;
    eventually("the access is in place", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if made(&calls) { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    scenario.controller()?.stop().await?;
    assert_eq!(version(scenario)?, 1);
    Ok(())
}

async fn filled_in(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    scenario.aws().keep_actions_as(Some(json!({"defaultOfTomorrow": {"retries": 2}}))).context("a default")?;
    let mark = scenario.mark()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    let mut edited = scenario.invoke("validate");
    edited["spec"]["action"] = json!({"runOrder": 3});
    converge(scenario, &edited).await?;
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 2, "one for each spec");
    assert_eq!(pipeline(scenario)?["stages"][2]["actions"][0]["defaultOfTomorrow"], json!({"retries": 2}));
    Ok(())
}

/// CodePipeline adds a setting to what we declare as a whole.
async fn kept_otherwise(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let kept = json!({"configuration": {"SettingOfTomorrow": "on"}});
    scenario.aws().keep_actions_as(Some(kept)).context("another answer")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let told = ["shows each time something else than was sent", "action Validate/validate: configuration"];
    refused(scenario, "validate", "PipelineRefused", &told).await?;
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 2);
    for look in ["one", "two", "three"] {
        scenario.touch("validate", look).await?;
        let handled = |object: &kube::api::DynamicObject| object.data["status"]["lastHandledReconcileAt"] == look;
        scenario.until("validate", "it is looked at", handled).await?;
        refused(scenario, "validate", "PipelineRefused", &told).await?;
    }
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 2, "not a version for each look");
    // Nobody else on the pipeline is kept out, and another spec is tried.
    scenario.aws().keep_actions_as(None).context("the end of it")?;
    converge(scenario, &scenario.invoke("other")).await?;
    let mut edited = scenario.invoke("validate");
    edited["spec"]["action"] = json!({"runOrder": 3});
    converge(scenario, &edited).await.map(drop)
}

async fn long_history(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let of = (tools.as_str(), region.as_str(), PIPELINE);
    for _ in 0..15_000 {
        scenario.aws().put_execution(of, None, "Succeeded", None).context("a finished execution")?;
    }
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("ListPipelineExecutions"), calls.of("GetPipelineState")), (1, 1), "{calls}");
    // A run that waits for long is far beyond the first page, and the state shows it.
    let id = scenario.aws().put_execution(of, None, "InProgress", Some("Deploy")).context("a run")?;
    for _ in 0..150 {
        scenario.aws().put_execution(of, None, "Superseded", None).context("a finished execution")?;
    }
    let mark = scenario.mark()?;
    let mut edited = scenario.invoke("validate");
    edited["spec"]["action"] = json!({"runOrder": 3});
    scenario.apply(&edited).await?;
    refused(scenario, "validate", "WaitingForIdlePipeline", &[&id]).await?;
    scenario.until("validate", "it waits", |object| message(object).contains(&id)).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.of("UpdatePipeline"), 0);
    assert!(calls.of("ListPipelineExecutions") <= calls.of("GetPipelineState"), "{calls}");
    Ok(())
}

/// A pipeline in PARALLEL mode, whose state shows no executions.
fn parallel() -> Setup {
    quick("1h").seed(|accounts, seed| {
        let tools = seed.accounts.get_mut(&accounts.tools);
        if let Some(pipelines) = tools.and_then(|tools| tools.pipelines.get_mut(&accounts.region)) {
            pipelines[PIPELINE]["executionMode"] = json!("PARALLEL");
            // There is no rollback in this mode.
            for stage in pipelines[PIPELINE]["stages"].as_array_mut().into_iter().flatten() {
                stage.as_object_mut().map(|stage| stage.remove("onFailure"));
            }
        }
    })
}

async fn looked_through(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let of = (tools.as_str(), region.as_str(), PIPELINE);
    let waits = scenario.aws().put_execution(of, None, "InProgress", Some("Deploy")).context("a run")?;
    for _ in 0..5_000 {
        scenario.aws().put_execution(of, None, "Succeeded", None).context("a finished execution")?;
    }
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "WaitingForIdlePipeline", &["does not show", "some at a time"]).await?;
    scenario.until("validate", "the run is found", |object| message(object).contains(&waits)).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.of("UpdatePipeline"), 0, "{calls}");
    // Each check has its first page; the third one finds the run on page 51.
    let (pages, checks) = (calls.of("ListPipelineExecutions"), calls.of("GetPipelineState"));
    assert!(checks >= 3 && pages > 50 && pages <= 50 + 2 * checks, "{pages} pages in {checks} checks: {calls}");
    let mark = scenario.mark()?;
    scenario.aws().put_execution(of, Some(&waits), "Succeeded", None).context("it ends")?;
    scenario.until_reason("validate", "Converged").await?;
    // All others are over: they are not looked through once more.
    let calls = scenario.calls_since(mark)?;
    let (pages, checks) = (calls.of("ListPipelineExecutions"), calls.of("GetPipelineState"));
    assert!(calls.of("UpdatePipeline") == 1 && pages <= 3 * checks, "{pages} pages in {checks} checks: {calls}");
    Ok(())
}
