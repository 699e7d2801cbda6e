//! Corrections of one pipeline keep their distance while somebody keeps undoing them, since each is a version.

use crossinvoke_harness::{Context as _, Result, Scenario, Setup, objects::condition};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, failed_release, message, pipeline, version},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("what_somebody_keeps_undoing_is_put_back_ever_later", spaced, ever_later),
        case("something_new_waits_for_no_correction", far_apart, something_new),
        case("a_gate_closed_while_held_keeps_the_distance_all_the_same", spaced_and_held, closed_in_its_time),
        case("versions_for_something_new_come_ever_later", paced, ever_further_apart),
    ]
}

/// Long enough that what is undone within a window is seen within it on a slow machine too.
const WINDOW: SignedDuration = SignedDuration::from_secs(30);

fn spaced() -> Setup {
    Setup::default().flags(["--correction-window=30s", "--correction-window-max=30s"])
}

fn far_apart() -> Setup {
    Setup::default().flags(["--correction-window=1h"])
}

fn spaced_and_held() -> Setup {
    let held = ["--idle-poll=1s", "--hold-after-failure=1h"];
    Setup::default().flags(["--correction-window=30s", "--correction-window-max=30s"].into_iter().chain(held))
}

/// A third of the usual collecting, and so are the distances that follow from it.
fn paced() -> Setup {
    Setup::default().flags(["--collect=1s"])
}

/// Somebody takes our action out, and the object is looked at.
async fn undo(scenario: &Scenario<'_>, what: &str) -> Result<()> {
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    scenario.hands().replace_pipeline(&scenario.accounts.tools, &scenario.accounts.region, without)?;
    scenario.touch("validate", what).await
}

async fn is_back(scenario: &Scenario<'_>, what: &str) -> Result<DynamicObject> {
    let handled = |object: &DynamicObject| object.data["status"]["lastHandledReconcileAt"] == what;
    let converged = |object: &DynamicObject| condition(object, "Ready").is_some_and(|(_, it)| it == "Converged");
    scenario.until("validate", "it is put back", |object| handled(object) && converged(object)).await
}

fn contested(object: &DynamicObject) -> Value {
    object.data["status"]["contested"][0].clone()
}

/// When the updates were sent.
fn updates(scenario: &Scenario<'_>) -> Result<Vec<Timestamp>> {
    let calls = scenario.aws().calls().context("the call log")?;
    Ok(calls.iter().filter(|call| call.operation == "UpdatePipeline").map(|call| call.time).collect())
}

async fn ever_later(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    undo(scenario, "first").await?;
    // The first correction waits for nothing.
    let object = is_back(scenario, "first").await?;
    let told = contested(&object);
    assert_eq!((&told["count"], &told["field"]), (&json!(1), &json!("action Validate/validate")), "{told}");
    assert!(told["nextCorrectionAt"].is_string(), "{told}");
    assert_eq!(condition(&object, "Contested"), None);

    let before = version(scenario)?;
    undo(scenario, "second").await?;
    let object = scenario.until_reason("validate", "WaitingForCorrectionWindow").await?;
    let said = message(&object);
    assert!(said.contains("the next correction is made at 20") && said.contains("Validate"), "{said}");
    assert_eq!(condition(&object, "Drifted"), Some(("True", "Correcting")));
    // Nobody gets round the window by ending the process.
    scenario.restart_controller().await?;
    let object = is_back(scenario, "second").await?;
    assert_eq!((contested(&object)["count"].clone(), version(scenario)?), (json!(2), before + 2));

    undo(scenario, "third").await?;
    scenario.until_reason("validate", "WaitingForCorrectionWindow").await?;
    let object = is_back(scenario, "third").await?;
    assert_eq!(condition(&object, "Contested"), Some(("True", "ActionUndone")));
    let sent = updates(scenario)?;
    let corrections: Vec<SignedDuration> = sent[1..].windows(2).map(|two| two[1].duration_since(two[0])).collect();
    assert_eq!(corrections.len(), 2, "{sent:?}");
    assert!(corrections.iter().all(|apart| *apart >= WINDOW), "{corrections:?}");
    let undone = scenario.controller()?.metric("crossinvoke_contested{resource=\"PipelineAction\"}").await?;
    assert!((undone - 1.0).abs() < f64::EPSILON, "{undone}");
    Ok(())
}

async fn something_new(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    undo(scenario, "first").await?;
    is_back(scenario, "first").await?;
    undo(scenario, "second").await?;
    scenario.until_reason("validate", "WaitingForCorrectionWindow").await?;
    // One version carries what is new, and the correction with it.
    let before = version(scenario)?;
    let mut other = scenario.invoke("other");
    other["spec"]["action"] = json!({"name": "other"});
    scenario.apply(&other).await?;
    scenario.until_reason("other", "Converged").await?;
    let object = is_back(scenario, "second").await?;
    assert_eq!((contested(&object)["count"].clone(), version(scenario)?), (json!(2), before + 1));
    Ok(())
}

/// The one exception from the hold is none from the distance of corrections.
async fn closed_in_its_time(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    undo(scenario, "first").await?;
    is_back(scenario, "first").await?;
    failed_release(scenario)?;
    undo(scenario, "second").await?;
    scenario.until_reason("validate", "WaitingForCorrectionWindow").await?;
    scenario.apply(&scenario.invoke("other")).await?;
    scenario.until_reason("other", "WaitingForRetryWindow").await?;
    is_back(scenario, "second").await?;
    let sent = updates(scenario)?;
    assert!(matches!(sent[..], [_, first, second] if second.duration_since(first) >= WINDOW), "{sent:?}");
    scenario.until_reason("other", "WaitingForRetryWindow").await.map(drop)
}

/// Each edit comes as soon as the one before it is in the pipeline.
async fn ever_further_apart(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let edited = |order: u8| {
        let mut edited = scenario.invoke("validate");
        edited["spec"]["action"] = json!({"runOrder": order});
        edited
    };
    for order in 2..5 {
        converge(scenario, &edited(order)).await?;
    }
    // What comes until the next one is due goes into it.
    scenario.apply(&scenario.invoke("other")).await?;
    scenario.apply(&edited(5)).await?;
    scenario.until_reason("other", "Converged").await?;
    converge(scenario, &edited(5)).await?;
    let sent = updates(scenario)?;
    let apart: Vec<i128> = sent.windows(2).map(|two| two[1].duration_since(two[0]).as_millis()).collect();
    // 3, 10, 30 and 60 s with 3 s, without what the calls themselves take.
    let due = [1_000, 3_333, 10_000, 20_000];
    assert_eq!(apart.len(), due.len(), "{apart:?}");
    assert!(apart.iter().zip(due).all(|(apart, due)| *apart > due * 9 / 10), "{apart:?}");
    // The distances that follow from 3 s are three times as long.
    assert!(apart[2] < 3 * due[2] && apart[3] < 3 * due[3], "{apart:?}");
    Ok(())
}
