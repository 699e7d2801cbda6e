//! What several objects rest on is read once for all of them, and what one finds is known to all at once.

use crossinvoke_harness::{
    Calls, Context as _, Result, Scenario, Setup,
    wait::{DEADLINE, eventually},
};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, entered, pipeline, stages},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("twenty_objects_in_sync_read_their_pipeline_once_an_interval", together, twenty_in_sync),
        case("what_one_look_finds_is_known_to_all_at_once", Setup::default, known_to_all),
        case("what_another_had_read_is_read_again_before_it_is_drift", Setup::default, read_again),
        case("a_look_that_is_asked_for_reads_everything_anew", Setup::default, asked_for),
    ]
}

fn together() -> Setup {
    Setup::default().without_controller().flags(["--collect=3s", "--collect-max=60s"])
}

/// An object that looks at AWS that often.
fn every(scenario: &Scenario<'_>, name: &str, interval: &str) -> Value {
    let mut invoke = scenario.invoke(name);
    invoke["spec"]["interval"] = json!(interval);
    invoke
}

fn of_tools(scenario: &Scenario<'_>, calls: &Calls, operation: &str) -> usize {
    let of = calls.0.iter().filter(|call| call.operation == operation && call.account == scenario.accounts.tools);
    of.count()
}

async fn twenty_in_sync(scenario: &mut Scenario<'_>) -> Result<()> {
    let names: Vec<String> = (0..20).map(|number| format!("check-{number:02}")).collect();
    for name in &names {
        scenario.apply(&every(scenario, name, "10s")).await?;
    }
    scenario.start_controller().await?;
    crate::folding::all_converged(scenario, names.len()).await?;
    // One look each, after which all know what there is.
    looks(scenario, scenario.mark()?, names.len()).await?;
    let mark = scenario.mark()?;
    looks(scenario, mark, names.len() * 4).await?;
    let calls = scenario.calls_since(mark)?;
    let count = calls.of("GetRole");
    // Four cycles, of which a slow machine may make some more.
    let at_most = count / 8;
    for (what, found) in [
        ("pipeline", of_tools(scenario, &calls, "GetPipeline")),
        ("assume policy", of_tools(scenario, &calls, "GetRolePolicy")),
        ("function", calls.of("GetFunctionConfiguration")),
    ] {
        assert!((1..=at_most).contains(&found), "{what}: {found} of {count} looks: {calls}");
    }
    assert_eq!(calls.mutating(), 0, "{calls}");
    let held = scenario.controller()?.metric(HELD).await?;
    assert!(held >= f64::from(u32::try_from(count / 2).unwrap_or(u32::MAX)), "{held} of {count} looks");
    Ok(())
}

const HELD: &str = r#"crossinvoke_aws_readings_total{source="held",operation="GetPipeline"} "#;

/// Waits until objects have looked at AWS that often: each reads its own role at every look.
async fn looks(scenario: &Scenario<'_>, mark: crossinvoke_harness::Mark, count: usize) -> Result<()> {
    eventually("all have looked", DEADLINE * 3, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let found = calls.of("GetRole");
        if found >= count { Ok(()) } else { Err(format!("{found} of {count} looks")) }
    })
    .await
}

/// Two objects, one after the other: the second one's version is the last, and nobody has read the pipeline since.
async fn two(scenario: &Scenario<'_>, interval_of_second: &str) -> Result<()> {
    entered(scenario).await?;
    converge(scenario, &every(scenario, "first", "1h")).await?;
    let mut second = every(scenario, "second", interval_of_second);
    second["spec"]["stage"] = json!({"name": "Second", "position": {"after": "Build"}});
    converge(scenario, &second).await.map(drop)
}

/// Asks for a look, and waits until it is over.
async fn asked(scenario: &Scenario<'_>, name: &str, value: &str) -> Result<()> {
    scenario.touch(name, value).await?;
    let answered = |object: &DynamicObject| object.data["status"]["lastHandledReconcileAt"] == value;
    scenario.until(name, "the look is answered", answered).await.map(drop)
}

/// Takes the second object's stage out, as a person would in the console.
fn without_second(scenario: &Scenario<'_>) -> Result<Value> {
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Second");
    Ok(without)
}

fn save(scenario: &Scenario<'_>, declaration: Value) -> Result<()> {
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    scenario.aws().replace_pipeline(&tools, &region, declaration).context("a console save").map(drop)
}

async fn known_to_all(scenario: &mut Scenario<'_>) -> Result<()> {
    two(scenario, "1h").await?;
    for name in ["first", "second"] {
        asked(scenario, name, "know").await?;
    }
    save(scenario, without_second(scenario)?)?;
    asked(scenario, "first", "find").await?;
    eventually("the other one puts its stage back", DEADLINE, async || {
        let stages = stages(scenario).map_err(|error| error.to_string())?;
        if stages.contains(&"Second".to_owned()) { Ok(()) } else { Err(format!("{stages:?}")) }
    })
    .await?;
    scenario.until_reason("second", "Converged").await.map(drop)
}

/// The first object reads that the second one's stage is gone. Nobody wakes the second one, since no earlier reading is
/// kept after our own update; until its next look the stage is back.
async fn read_again(scenario: &mut Scenario<'_>) -> Result<()> {
    two(scenario, "40s").await?;
    let complete = pipeline(scenario)?;
    save(scenario, without_second(scenario)?)?;
    asked(scenario, "first", "find").await?;
    save(scenario, complete)?;
    let mark = scenario.mark()?;
    let role = crate::support::invoke_role_name(&scenario.invokes().get("second").await.context("reading")?);
    let of_role = |call: &fakeaws::Call| call.resource.as_ref().is_some_and(|resource| resource.contains(&role));
    eventually("the second one looks twice", DEADLINE * 2, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let found = calls.0.iter().filter(|call| call.operation == "GetRole" && of_role(call)).count();
        if found >= 2 { Ok(()) } else { Err(format!("{found} looks")) }
    })
    .await?;
    let object = scenario.until_reason("second", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.mutating(), 0, "{calls}");
    // Its own read, after it had seen what the other one had read, and that of the other one, which it wakes: what that one had
    // read has turned out otherwise.
    assert!((1..=2).contains(&calls.of("GetPipeline")), "{calls}");
    let drift = &object.data["status"]["drift"];
    assert!(drift["items"].as_array().is_none_or(Vec::is_empty), "{drift}");
    Ok(())
}

async fn asked_for(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("first")).await?;
    converge(scenario, &scenario.invoke("second")).await?;
    for name in ["first", "second", "first"] {
        let mark = scenario.mark()?;
        asked(scenario, name, &format!("{name}-{}", mark_of(scenario)?)).await?;
        let calls = scenario.calls_since(mark)?;
        let found = [
            of_tools(scenario, &calls, "GetPipeline"),
            of_tools(scenario, &calls, "GetRolePolicy"),
            calls.of("GetFunctionConfiguration"),
        ];
        assert_eq!(found, [1, 1, 1], "{calls}");
    }
    Ok(())
}

/// A value that is new every time.
fn mark_of(scenario: &Scenario<'_>) -> Result<usize> {
    Ok(scenario.aws().calls().context("the call log")?.len())
}
