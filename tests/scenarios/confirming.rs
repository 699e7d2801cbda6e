//! Looks that only see confirmed what the last whole one found: they hide nothing.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::PIPELINE_ROLE,
    wait::{DEADLINE, eventually},
};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, invoke_role_name, put_right},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("what_changes_after_confirmed_looks_is_found_unasked", forgetting_drift_soon, found_unasked),
        case("an_object_without_its_neighbour_is_looked_at_anew", forgetting_drift_soon, neighbour_goes),
    ]
}

/// What was told of drift keeps looks from being confirmed: it is forgotten at once.
fn forgetting_drift_soon() -> Setup {
    Setup::default().flags(["--drift-retention=1s"])
}

const CONFIRMED: &str = r#"crossinvoke_looks_in_place_total{kind="confirmed"} "#;
const WHOLE: &str = r#"crossinvoke_looks_in_place_total{kind="whole"} "#;

fn often(scenario: &Scenario<'_>, name: &str) -> Value {
    let mut invoke = scenario.invoke(name);
    invoke["spec"]["interval"] = json!("10s");
    invoke
}

/// Waits for so many more looks of this kind.
async fn more(scenario: &mut Scenario<'_>, kind: &str, count: f64) -> Result<()> {
    let controller = scenario.controller()?;
    let before = controller.metric(kind).await?;
    eventually(kind, DEADLINE * 2, async || {
        let now = controller.metric(kind).await.map_err(|error| error.to_string())?;
        if now >= before + count { Ok(()) } else { Err(format!("{now}, and {before} before")) }
    })
    .await
}

async fn found_unasked(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut tagged = often(scenario, "validate");
    tagged["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
    let object = converge(scenario, &tagged).await?;
    let role = invoke_role_name(&object);
    let good = scenario.configuration()?;
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    let policy = |part: &str| format!("crossinvoke-{}-{part}", scenario.accounts.installation_id);
    let (invoke, assume) = (policy("invoke"), policy("assume"));
    let anything = json!({"Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    // A policy that was removed is counted for a day, in which no look is confirmed: it comes last.
    for what in ["P1", "a tag", "P3", "another policy"] {
        more(scenario, CONFIRMED, 1.0).await?;
        let aws = scenario.aws();
        match what {
            "P1" => aws.remove_inline_policy(&dev, &role, &invoke),
            "a tag" => aws.put_tag(&dev, &role, "team", "other"),
            "P3" => aws.remove_inline_policy(&tools, PIPELINE_ROLE, &assume),
            _ => aws.put_inline_policy(&dev, &role, "anything", anything.clone()),
        }
        .context(what)?;
        put_right(scenario, "validate", what, &good).await?;
    }
    Ok(())
}

/// Two objects share a pipeline and its role. While nothing happens to them their looks are confirmed, though a namespace comes
/// and gets a label; once one goes, the next look at the other one is a whole one.
async fn neighbour_goes(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &often(scenario, "first")).await?;
    let mut second = often(scenario, "second");
    second["spec"]["stage"] = json!({"name": "Second", "position": {"after": "Build"}});
    converge(scenario, &second).await?;
    more(scenario, CONFIRMED, 4.0).await?;
    let before = scenario.controller()?.metric(WHOLE).await?;
    let elsewhere = format!("{}-2", scenario.namespace);
    scenario.kubectl().run(&["create", "namespace", &elsewhere]).await?;
    scenario.kubectl().run(&["label", "namespace", &elsewhere, "team=other"]).await?;
    more(scenario, CONFIRMED, 4.0).await?;
    assert!(scenario.controller()?.metric(WHOLE).await? <= before, "nothing had happened to them");
    scenario.delete("second").await?;
    scenario.until_gone("second").await?;
    more(scenario, WHOLE, 1.0).await?;
    more(scenario, CONFIRMED, 1.0).await?;
    scenario.until_reason("first", "Converged").await.map(drop)
}
