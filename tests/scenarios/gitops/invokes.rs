//! Every state of a CrossAccountInvoke.

use crossinvoke_harness::{
    Context as _, Result, Scenario,
    accounts::PIPELINE,
    objects::{condition, has_reason, message_of},
};
use fakeaws::{Effect, Fault};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::{
    create_boundary,
    verdicts::{State, check},
};
use crate::support::{foreign_action, invoke_role_name, pipeline, put_status};

const PROGRESSING: (&str, &str) = ("Progressing", "InProgress");
const HEALTHY: (&str, &str) = ("Healthy", "Current");
const DEGRADED: (&str, &str) = ("Degraded", "Failed");
const TERMINATING: (&str, &str) = ("Progressing", "Terminating");

pub(super) async fn states(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut states = Vec::new();
    first(scenario, &mut states).await?;
    differing(scenario, &mut states).await?;
    unseen(scenario, &mut states).await?;
    stalled(scenario, &mut states).await?;
    contested(scenario, &mut states).await?;
    going(scenario, &mut states).await?;
    check(scenario, "CrossAccountInvoke", &states).await
}

/// From no status at all, and an account that lacks something, to the edit after convergence.
async fn first(scenario: &mut Scenario<'_>, states: &mut Vec<State>) -> Result<()> {
    scenario.apply(&scenario.invoke("validate")).await?;
    let new = scenario.invokes().get("validate").await.context("reading")?;
    states.push(State::before_a_look("no-status", &new));
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;

    scenario.start_controller().await?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let refused = scenario.until_reason("validate", "InvalidBoundary").await?;
    states.push(State::of("invalid-boundary", &refused, DEGRADED).saying(scenario.accounts.boundary_arn()));
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;

    create_boundary(scenario).await?;
    let slow = Effect::Delay { milliseconds: 3_000 };
    scenario.aws().fault(Fault::next("GetPipeline", slow)).context("a slow call")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    states.push(State::of("first-look", &scenario.until_reason("validate", "Progressing").await?, PROGRESSING));
    states.push(State::of("converged", &scenario.until_reason("validate", "Converged").await?, HEALTHY));

    scenario.controller()?.stop().await?;
    let longer = Patch::Merge(json!({"spec": {"interval": "20m"}}));
    let edited = scenario.invokes().patch("validate", &PatchParams::default(), &longer).await.context("editing")?;
    assert_eq!(condition(&edited, "Ready"), Some(("True", "Converged")), "of the generation before");
    states.push(State::before_a_look("not-looked-at-since-the-edit", &edited));
    scenario.start_controller().await?;
    scenario.until_reason("validate", "Converged").await.map(drop)
}

/// Drift that waits, and drift that was corrected.
async fn differing(scenario: &mut Scenario<'_>, states: &mut Vec<State>) -> Result<()> {
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut changed = pipeline(scenario)?;
    changed["stages"][2]["actions"][0]["configuration"]["UserParameters"] = json!("theirs");
    let aws = scenario.aws().clone();
    aws.replace_pipeline(&tools, &region, changed).context("changing P4")?;
    let running = busy(scenario)?;
    scenario.touch("validate", "a change").await?;
    let waits = scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    states.push(State::of("drifted", &waits, PROGRESSING).saying(format!("Correcting: {}", of(&waits, "Drifted"))));
    idle(scenario, &running)?;
    let corrected = |object: &DynamicObject| {
        has_reason(object, "Converged") && condition(object, "Drifted") == Some(("False", "Corrected"))
    };
    states.push(State::of("corrected", &scenario.until("validate", "it is corrected", corrected).await?, HEALTHY));
    Ok(())
}

/// While looks fail, and when they have failed for long.
async fn unseen(scenario: &mut Scenario<'_>, states: &mut Vec<State>) -> Result<()> {
    let throttled = Fault::next("GetPipeline", Effect::Throttle).always();
    scenario.aws().fault(throttled).context("throttling")?;
    scenario.touch("validate", "look").await?;
    let failing = |object: &DynamicObject| condition(object, "Reconciling").is_some();
    let failing = scenario.until("validate", "looks fail", failing).await?;
    let state = State::of("looks-fail", &failing, ("Healthy", "InProgress"));
    states.push(state.saying(format!("Throttled: {}", of(&failing, "Reconciling"))));

    // Three intervals of 20 minutes have passed since the last complete look, of which a new process knows from the status.
    scenario.controller()?.stop().await?;
    let mut written = failing.data["status"].clone();
    let checked: Timestamp = serde_json::from_value(written["lastCheckedAt"].take()).context("the last look")?;
    written["lastCheckedAt"] = json!((checked - SignedDuration::from_mins(61)).to_string());
    put_status(scenario, "validate", written).await?;
    scenario.start_controller().await?;
    states.push(State::of("not-checked", &scenario.until_reason("validate", "NotChecked").await?, PROGRESSING));
    scenario.aws().clear_faults().context("healing")?;
    scenario.touch("validate", "look again").await?;
    scenario.until_reason("validate", "Converged").await.map(drop)
}

/// What somebody has to mend.
async fn stalled(scenario: &mut Scenario<'_>, states: &mut Vec<State>) -> Result<()> {
    let mut stalled = scenario.invoke("stalled");
    stalled["spec"]["pipeline"]["name"] = json!("payments-missing");
    scenario.apply(&stalled).await?;
    states.push(State::of("stalled", &scenario.until_reason("stalled", "PipelineNotFound").await?, DEGRADED));
    scenario.delete("stalled").await?;
    scenario.until_gone("stalled").await
}

/// A policy that comes back after each removal. It is remembered for a day, so what needs no such note comes before.
async fn contested(scenario: &mut Scenario<'_>, states: &mut Vec<State>) -> Result<()> {
    let (aws, object) = (scenario.aws().clone(), scenario.until_reason("validate", "Converged").await?);
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    let statement = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]});
    for time in ["once", "twice", "three times", "four times"] {
        aws.put_inline_policy(&dev, &name, "audit", policy.clone()).context("an inline policy")?;
        scenario.touch("validate", time).await?;
        let handled = |object: &DynamicObject| object.data["status"]["lastHandledReconcileAt"] == time;
        scenario.until("validate", time, handled).await?;
    }
    let contested = |object: &DynamicObject| condition(object, "Contested").is_some();
    let contested = scenario.until("validate", "the policy stays", contested).await?;
    let state = State::of("contested", &contested, HEALTHY);
    let state = state.saying(format!("Reported: {}", of(&contested, "Drifted")));
    states.push(state.saying(format!("PolicyReturns: {}", of(&contested, "Contested"))));
    aws.remove_inline_policy(&dev, &name, "audit").context("taking the policy away")
}

/// Deletion that waits, and deletion that somebody has to unblock.
async fn going(scenario: &mut Scenario<'_>, states: &mut Vec<State>) -> Result<()> {
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let object = scenario.invokes().get("validate").await.context("reading")?;
    let role = object.data["status"]["devAccount"]["invokeRoleARN"].as_str().unwrap_or_default().to_owned();
    let running = busy(scenario)?;
    scenario.delete("validate").await?;
    let waits = scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    states.push(State::of("deleting", &waits, TERMINATING).saying("Being deleted: "));
    let mut used = pipeline(scenario)?;
    used["stages"][3]["actions"].as_array_mut().unwrap().push(foreign_action("ByHand", &role));
    scenario.aws().replace_pipeline(&tools, &region, used).context("another user of the role")?;
    idle(scenario, &running)?;
    let blocked = scenario.until_reason("validate", "DeletionBlocked").await?;
    states.push(State::of("deletion-blocked", &blocked, TERMINATING).saying("Deploy/ByHand"));
    let mut free = pipeline(scenario)?;
    free["stages"][2]["actions"].as_array_mut().unwrap().retain(|action| action["name"] != "ByHand");
    scenario.aws().replace_pipeline(&tools, &region, free).context("freeing the role")?;
    scenario.touch("validate", "again").await?;
    scenario.until_gone("validate").await
}

/// Starts an execution of the pipeline.
fn busy(scenario: &Scenario<'_>) -> Result<String> {
    let (tools, region) = (scenario.accounts.tools.as_str(), scenario.accounts.region.as_str());
    scenario.aws().put_execution((tools, region, PIPELINE), None, "InProgress", None).context("an execution")
}

/// Ends it.
fn idle(scenario: &Scenario<'_>, running: &str) -> Result<()> {
    let (tools, region) = (scenario.accounts.tools.as_str(), scenario.accounts.region.as_str());
    let ended = scenario.aws().put_execution((tools, region, PIPELINE), Some(running), "Succeeded", None);
    ended.context("its end").map(drop)
}

fn of(object: &DynamicObject, kind: &str) -> String {
    message_of(object, kind)
}
