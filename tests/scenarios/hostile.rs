//! What the owner of a dev account can and cannot do. The sentences of docs/security.md name these scenarios.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::FUNCTION,
    objects::condition,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Behaviour, Effect, Fault};
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, repaired, role},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_function_that_checks_nothing_lets_every_release_pass", Setup::default, checks_nothing),
        case("a_trust_policy_changed_between_two_reads_is_put_right", Setup::default, changed_between_reads),
        case("a_dev_account_that_fights_for_its_role_changes_nothing_in_tools", Setup::default, fights),
    ]
}

/// The function is the gate: what it reports is taken, and nobody else looks.
async fn checks_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let (dev, region) = (scenario.accounts.dev.clone(), scenario.accounts.function_region.clone());
    let passed = Behaviour::Succeed { output_variables: [("checked".to_owned(), "everything".to_owned())].into() };
    scenario.aws().set_behaviour((&dev, &region, FUNCTION), passed).context("a function that lies")?;
    let execution = scenario.run_pipeline().await?;
    assert_eq!(execution.status, "Succeeded", "{execution}");
    assert!(execution.has_entered("Deploy"), "{execution}");
    scenario.touch("validate", "look").await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(condition(&object, "Drifted"), Some(("False", "InSync")), "nothing of ours tells it from a check");
    Ok(())
}

/// After the controller has read the role back, and before the pipeline is updated, somebody else is let in as well.
async fn changed_between_reads(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (dev, tools) = (scenario.accounts.dev.clone(), scenario.accounts.tools.clone());
    let slow = Effect::Delay { milliseconds: 4_000 };
    scenario.aws().fault(Fault::next("UpdatePipeline", slow)).context("a slow call")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    eventually("the role was read back", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("ListPipelineExecutions") > 0 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    let roles = scenario.configuration()?["accounts"][&dev]["roles"].clone();
    let made = roles.as_object().and_then(|roles| roles.keys().find(|name| name.starts_with("crossinvoke-"))).cloned();
    let made = made.expect("the invoke role");
    let ours = role(scenario, &dev, &made)?["trust"].clone();
    let mut theirs = ours.clone();
    theirs["Statement"][0]["Principal"]["AWS"] =
        json!([scenario.accounts.iam_arn(&tools, "root"), scenario.accounts.iam_arn(&dev, "root")]);
    scenario.aws().put_trust(&dev, &made, theirs).context("somebody else is trusted")?;
    let object = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(invoke_role_name(&object), made);
    scenario.touch("validate", "look").await?;
    eventually("only the pipeline is trusted", DEADLINE, async || {
        let trust = role(scenario, &dev, &made).map_err(|error| error.to_string())?["trust"].clone();
        if trust == ours { Ok(()) } else { Err(trust.to_string()) }
    })
    .await
}

/// As often as the trust policy is changed it is put right, and what happens in the dev account moves nothing in tools.
async fn fights(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (dev, tools, name) =
        (scenario.accounts.dev.clone(), scenario.accounts.tools.clone(), invoke_role_name(&object));
    let good = scenario.configuration()?;
    let mark = scenario.mark()?;
    for round in ["first", "second", "third"] {
        let everybody = json!({"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]});
        scenario.aws().put_trust(&dev, &name, everybody).context("everybody is trusted")?;
        repaired(scenario, "validate", round, &good).await?;
    }
    let calls = scenario.calls_since(mark)?;
    assert!(calls.of("UpdateAssumeRolePolicy") >= 3, "{calls}");
    assert!(!calls.0.iter().any(|call| call.mutating && call.account == tools), "{calls}");
    Ok(())
}
