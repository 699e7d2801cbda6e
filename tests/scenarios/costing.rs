//! What it costs to make objects, counted: each call of AWS and each write to Kubernetes has a reason.

use std::{collections::BTreeMap, time::Instant};

use crossinvoke_harness::{
    Calls, Result, Scenario, Setup,
    wait::{DEADLINE, eventually},
};

use crate::{
    folding::all_converged,
    suite::{Case, case},
    support::entered,
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("what_one_object_costs_to_make", Setup::default, one_object),
        case("objects_that_are_made_together_are_looked_at_once", together, made_together),
        case("objects_that_wait_for_their_turn_share_what_is_read_meanwhile", one_at_a_time, waiting_objects),
    ]
}

fn together() -> Setup {
    Setup::default().without_controller().flags(["--collect=2s", "--collect-max=60s"])
}

fn one_at_a_time() -> Setup {
    Setup::default().without_controller().flags(["--concurrency=1", "--collect=1s"])
}

/// The calls but for those of the accounts, which all objects share.
fn calls_of_objects(calls: &crossinvoke_harness::Calls) -> BTreeMap<&str, usize> {
    calls.by_operation().into_iter().filter(|(operation, _)| !OF_ACCOUNTS.contains(operation)).collect()
}

/// Those that open sessions, and that look whether the boundary exists.
const OF_ACCOUNTS: [&str; 3] = ["AssumeRole", "GetCallerIdentity", "GetPolicy"];

async fn one_object(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    let expected = BTreeMap::from([
        ("GetFunctionConfiguration", 1),
        // To be planned on, and by the pipeline's worker.
        ("GetPipeline", 2),
        // Before it is made, and when it is read back.
        ("GetRole", 2),
        // The invoke policy when it is read back; callback and assume policy each before and after the write.
        ("GetRolePolicy", 5),
        ("CreateRole", 1),
        ("PutRolePolicy", 3),
        ("GetPipelineState", 1),
        ("ListPipelineExecutions", 1),
        ("UpdatePipeline", 1),
    ]);
    assert_eq!(calls_of_objects(&calls), expected, "{calls}");
    // That it is looked at, the finalizer, the record, and what came of it. The audit log may lag.
    let expected = [r#""update""#, r#""patch""#, r#""update""#, r#""update""#];
    eventually("each write has its reason", DEADLINE, async || {
        let writes = scenario.kubernetes_writes().map_err(|error| error.to_string())?;
        let of_object = writes.iter().filter(|write| write.contains("\"crossaccountinvokes\""));
        let verbs: Vec<&str> = of_object.map(|write| write.split(' ').next().unwrap_or_default()).collect();
        if verbs == expected { Ok(()) } else { Err(format!("{verbs:?}")) }
    })
    .await
}

/// The calls of a controller that starts when `count` objects are there, until all have converged.
async fn calls_to_make(scenario: &mut Scenario<'_>, count: usize) -> Result<Calls> {
    for number in 0..count {
        scenario.apply(&scenario.invoke(&format!("check-{number:02}"))).await?;
    }
    let mark = scenario.mark()?;
    scenario.start_controller().await?;
    all_converged(scenario, count).await?;
    scenario.calls_since(mark)
}

/// While they wait for each other their accounts change, and each finds in the assume policy what others wanted after it.
async fn made_together(scenario: &mut Scenario<'_>) -> Result<()> {
    let calls = calls_to_make(scenario, 24).await?;
    // Only a role that is there when a look begins is asked for its policies.
    assert!(calls.of("ListRolePolicies") <= 1, "second looks: {calls}");
    assert_eq!(calls.of("UpdatePipeline"), 1, "{calls}");
    Ok(())
}

async fn waiting_objects(scenario: &mut Scenario<'_>) -> Result<()> {
    let begun = Instant::now();
    let calls = calls_to_make(scenario, 8).await?;
    // Nobody accepts what was asked more than ten seconds before its look.
    let too_old = usize::try_from(begun.elapsed().as_secs() / 10).unwrap_or_default();
    let found = calls.0.iter().filter(|call| call.operation == "GetPipeline").count();
    let versions = calls.of("UpdatePipeline");
    // What one alone has asked for is not kept for a second one. Each version is read once by whoever writes it, and where
    // a permit ran out on a busy machine once for each check.
    let late =
        scenario.controller()?.metric(r#"crossinvoke_permits_total{kind="pipeline",outcome="late"}"#).await? > 0.0;
    let writers = if late { calls.of("GetPipelineState") } else { versions };
    assert!(calls.of("ListRolePolicies") <= 1, "second looks: {calls}");
    assert!(
        found <= 2 + writers + too_old,
        "{found} reads of the pipeline for {versions} versions (late: {late}): {calls}"
    );
    Ok(())
}
