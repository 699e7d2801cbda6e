//! What the status says, and when it is written.

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::EXECUTION_ROLE,
    objects::{all_conditions, condition, message_of},
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, entered, put_status, status_but_requests},
};

const LOOKS: &str = "crossinvoke_reconciles_total{kind=\"CrossAccountInvoke\"";

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("the_first_status_says_that_work_has_begun", Setup::default, the_first_status_says_that_work_has_begun),
        case("the_status_comes_before_its_events_and_throttling_makes_none", Setup::default, events_come_last),
        case("one_throttled_look_leaves_ready_true", Setup::default, one_throttled_look_leaves_ready_true),
        case(
            "what_was_not_looked_at_for_three_intervals_is_unknown",
            Setup::default,
            what_was_not_looked_at_for_three_intervals_is_unknown,
        ),
        case("a_look_alone_is_recorded_once_an_hour", Setup::default, a_look_alone_is_recorded_once_an_hour),
    ]
}

async fn the_first_status_says_that_work_has_begun(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let slow = |operation| Fault::next(operation, Effect::Delay { milliseconds: 3_000 });
    scenario.aws().fault(slow("GetPipeline")).context("a slow call")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let object =
        scenario.until("validate", "a status", |object| object.data["status"]["conditions"].is_array()).await?;
    assert_eq!(all_conditions(&object), ["Ready=Unknown Progressing", "Reconciling=True Progressing"]);
    assert_eq!(object.data["status"]["observedGeneration"], 1);
    assert_eq!(object.data["status"]["lastCheckedAt"], json!(null), "nothing was looked at yet");
    scenario.aws().fault(slow("AssumeRole")).context("a slow call")?;
    let mut account = crossinvoke_harness::objects::tools_account(&scenario.accounts, &scenario.namespace);
    account["metadata"]["name"] = json!(format!("{}-slow", scenario.namespace));
    account["spec"]["accountID"] = json!("777777777777");
    account["spec"]["roleARN"] = json!("arn:aws:iam::777777777777:role/crossinvoke");
    scenario.apply(&account).await?;
    let account = scenario.until_account_reason(&format!("{}-slow", scenario.namespace), "Progressing").await?;
    let expected = ["Ready=Unknown Progressing", "Reconciling=True Progressing", "GrantsMatched=True Matched"];
    assert_eq!(all_conditions(&account), expected);
    let object = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(all_conditions(&object), ["Ready=True Converged", "Drifted=False InSync"]);
    checked_at(&object).map(drop)
}

/// Reasons of the object's events, in the order in which they were sent.
async fn events(scenario: &Scenario<'_>) -> Result<Vec<String>> {
    let namespace = format!("--namespace={}", scenario.namespace);
    let of_object = "--field-selector=involvedObject.kind=CrossAccountInvoke";
    let listed = scenario.kubectl().run(&["get", "events", &namespace, of_object, "--output=json"]).await?;
    let listed: Value = serde_json::from_str(&listed).context("events")?;
    let reasons = listed["items"].as_array().into_iter().flatten().filter_map(|event| event["reason"].as_str());
    let mut reasons: Vec<String> = reasons.map(str::to_owned).collect();
    reasons.sort();
    Ok(reasons)
}

async fn events_come_last(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let all = ["Made", "PipelineUpdated", "Ready"];
    eventually("both events", DEADLINE, async || {
        let found = events(scenario).await.map_err(|error| error.to_string())?;
        if found == all { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await?;
    // Nothing about the object is written after its events: they can hold up no status.
    let writes = scenario.kubernetes_writes()?;
    let is_status = |write: &String| write.contains("crossaccountinvokes") && write.contains("status");
    let last_status = writes.iter().rposition(is_status).ok_or_else(|| Error::new("no status"))?;
    let first_event = writes.iter().position(|write| write.contains("\"events\""));
    let first_event = first_event.ok_or_else(|| Error::new("no event"))?;
    assert!(last_status < first_event, "{writes:#?}");

    // A second throttled look is in the status; that it is over, and that looks succeed again, is nobody's news.
    scenario.aws().fault(Fault::next("GetPipeline", Effect::Throttle).times(1000)).context("throttling")?;
    scenario.touch("validate", "look").await?;
    let failing = |object: &DynamicObject| condition(object, "Reconciling") == Some(("True", "Throttled"));
    scenario.until("validate", "the second failed look is reported", failing).await?;
    scenario.aws().clear_faults().context("healing")?;
    let healed = |object: &DynamicObject| condition(object, "Reconciling").is_none();
    scenario.until("validate", "looks succeed", healed).await?;
    // The next transition shows that nothing was sent in between.
    scenario
        .aws()
        .remove_inline_policy(&scenario.accounts.dev, EXECUTION_ROLE, &callback(scenario))
        .context("drift")?;
    scenario.touch("validate", "drift").await?;
    eventually("the events of the correction", DEADLINE, async || {
        let found = events(scenario).await.map_err(|error| error.to_string())?;
        if found == ["Corrected", "Drifted", "Made", "Made", "PipelineUpdated", "Ready"] {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
}

fn callback(scenario: &Scenario<'_>) -> String {
    format!("crossinvoke-{}-callback", scenario.installation_id)
}

async fn one_throttled_look_leaves_ready_true(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = converge(scenario, &scenario.invoke("validate")).await?;
    // Both attempts of one look.
    scenario.aws().fault(Fault::next("GetPipeline", Effect::Throttle).times(2)).context("throttling")?;
    let mark = scenario.mark()?;
    let looks = scenario.controller()?.metric(LOOKS).await?;
    scenario.touch("validate", "look").await?;
    scenario.reads_of_one_cycle(mark).await?;
    looked(scenario, looks + 2.0).await?;
    let after = scenario.invokes().get("validate").await.context("reading")?;
    assert_eq!(status_but_requests(&after), status_but_requests(&before), "one failed look, and one that succeeded");

    scenario.aws().fault(Fault::next("GetPipeline", Effect::Throttle).times(1000)).context("throttling")?;
    scenario.touch("validate", "look again").await?;
    let failing = |object: &DynamicObject| condition(object, "Reconciling").is_some();
    let object = scenario.until("validate", "the second failed look is reported", failing).await?;
    let expected = ["Ready=True Converged", "Reconciling=True Throttled", "Drifted=False InSync"];
    assert_eq!(all_conditions(&object), expected);
    assert_eq!(message_of(&object, "Ready"), message_of(&before, "Ready"));
    assert!(message_of(&object, "Reconciling").contains("GetPipeline was throttled"), "{:?}", object.data["status"]);
    let ready = scenario.controller()?.metric("crossinvoke_objects{readiness=\"ready\"").await?;
    assert!((ready - 1.0).abs() < f64::EPSILON, "it counts as ready");
    scenario.aws().clear_faults().context("healing")?;
    let healed = |object: &DynamicObject| condition(object, "Reconciling").is_none();
    let object = scenario.until("validate", "looks succeed", healed).await?;
    assert_eq!(all_conditions(&object), ["Ready=True Converged", "Drifted=False InSync"]);
    assert!(checked_at(&object)? >= checked_at(&before)?);
    Ok(())
}

async fn what_was_not_looked_at_for_three_intervals_is_unknown(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["interval"] = json!("10s");
    converge(scenario, &invoke).await?;
    scenario.aws().fault(Fault::next("GetPipeline", Effect::Throttle).times(1000)).context("throttling")?;
    let failing = |object: &DynamicObject| condition(object, "Reconciling") == Some(("True", "Throttled"));
    let object = scenario.until("validate", "looks fail", failing).await?;
    let last = checked_at(&object)?;
    // The time of the last look is in the status, so that another process goes on from there.
    scenario.restart_controller().await?;
    let object = scenario.until_reason("validate", "NotChecked").await?;
    let expected = ["Ready=Unknown NotChecked", "Reconciling=True NotChecked", "Drifted=Unknown NotCompared"];
    assert_eq!(all_conditions(&object), expected);
    assert_eq!(checked_at(&object)?, last);
    assert!(message_of(&object, "Ready").contains(&format!("last compared completely at {last}: ")));
    let since = object.data["status"]["conditions"][0]["lastTransitionTime"].as_str().unwrap_or_default();
    let since: Timestamp = since.parse().context("a time")?;
    assert!(since.duration_since(last) >= SignedDuration::from_secs(30), "{last} {since}");
    scenario.aws().clear_faults().context("healing")?;
    scenario.touch("validate", "look").await?;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(events(scenario).await?, ["Made", "PipelineUpdated", "Ready"], "AWS answers again: nobody has to know");
    Ok(())
}

async fn a_look_alone_is_recorded_once_an_hour(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let now = checked_at(&object)?;
    let ago = |minutes: i64| (now - SignedDuration::from_mins(minutes)).to_string();
    let mut status = object.data["status"].clone();
    for (at, is_kept) in [(ago(50), true), (ago(61), false), (ago(-600), false)] {
        status["lastCheckedAt"] = json!(at);
        let looks = scenario.controller()?.metric(LOOKS).await?;
        // Somebody else's write of the status asks for a look.
        put_status(scenario, "validate", status.clone()).await?;
        looked(scenario, looks + 1.0).await?;
        let seen = |object: &DynamicObject| (object.data["status"]["lastCheckedAt"] == json!(at)) == is_kept;
        scenario.until("validate", &format!("{at} is kept: {is_kept}"), seen).await?;
    }
    Ok(())
}

/// When the status says that everything was last looked at.
fn checked_at(object: &DynamicObject) -> Result<Timestamp> {
    let at = object.data["status"]["lastCheckedAt"].as_str().ok_or_else(|| Error::new("no lastCheckedAt"))?;
    at.parse().context("lastCheckedAt")
}

/// Waits until so many reconciles are over.
async fn looked(scenario: &mut Scenario<'_>, count: f64) -> Result<()> {
    let controller = scenario.controller()?;
    eventually("the looks are over", DEADLINE, async || {
        let now = controller.metric(LOOKS).await.map_err(|error| error.to_string())?;
        if now >= count { Ok(()) } else { Err(now.to_string()) }
    })
    .await
}
