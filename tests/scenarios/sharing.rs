//! Several objects on one pipeline, role and function never hurt each other.

use crossinvoke_harness::{Context as _, Result, Scenario, Setup, accounts::PIPELINE_ROLE, objects::condition};
use kube::api::DynamicObject;
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{
        converge, entered, execution_role, invoke_role_name, pipeline, pipeline_role, put_status, refused, repaired,
        stages,
    },
};

const NAMES: [&str; 3] = ["one", "two", "three"];

/// CodePipeline refuses any update while a role in the pipeline cannot be assumed, whoever's action names it.
async fn neighbours_role(scenario: &mut Scenario<'_>) -> Result<()> {
    let one = converge(scenario, &scenario.invoke("one")).await?;
    let mut two = scenario.invoke("two");
    converge(scenario, &two).await?;
    let role = invoke_role_name(&one);
    let nobody = json!({"Version": "2012-10-17", "Statement": []});
    scenario.aws().put_trust(&scenario.accounts.dev, &role, nobody).context("nobody is trusted")?;
    two["spec"]["action"] = json!({"runOrder": 2});
    scenario.apply(&two).await?;
    let neighbour = format!("CrossAccountInvoke {}/one made", scenario.namespace);
    refused(scenario, "two", "PipelineRefused", &[&role, "action one of stage Validate", &neighbour]).await?;
    scenario.touch("one", "look").await?;
    // It says Converged until it has looked.
    let corrected = |object: &DynamicObject| condition(object, "Drifted") == Some(("False", "Corrected"));
    scenario.until("one", "its drift is corrected", corrected).await?;
    scenario.touch("two", "again").await?;
    scenario.until_reason("two", "Converged").await.map(drop)
}

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case(
            "three_at_once_and_one_deleted_leaves_two_whole",
            Setup::default,
            three_at_once_and_one_deleted_leaves_two_whole,
        ),
        case(
            "a_wiped_status_of_one_costs_the_other_nothing",
            Setup::default,
            a_wiped_status_of_one_costs_the_other_nothing,
        ),
        case("a_refusal_for_a_neighbours_role_names_the_neighbour", Setup::default, neighbours_role),
        case(
            "a_stray_entry_in_a_shared_policy_goes_and_the_others_stay",
            Setup::default,
            a_stray_entry_in_a_shared_policy_goes_and_the_others_stay,
        ),
    ]
}

async fn three_at_once_and_one_deleted_leaves_two_whole(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    for name in NAMES {
        scenario.apply(&scenario.invoke(name)).await?;
    }
    let mut roles = Vec::new();
    for name in NAMES {
        roles.push(invoke_role_name(&scenario.until_reason(name, "Converged").await?));
    }
    let actions = pipeline(scenario)?["stages"][2]["actions"].as_array().cloned().unwrap_or_default();
    assert_eq!(actions.len(), 3, "one stage, three actions");
    let mark = scenario.mark()?;
    scenario.delete("two").await?;
    scenario.until_gone("two").await?;
    let calls = scenario.calls_since(mark)?;
    let removed: Vec<String> = calls
        .0
        .iter()
        .filter(|call| call.operation.starts_with("Delete"))
        .filter_map(|call| call.resource.clone())
        .collect();
    assert!(removed.iter().all(|resource| resource.ends_with(&roles[1])), "only its own role: {removed:?}");
    let id = &scenario.installation_id;
    let assume = pipeline_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-assume")].to_string();
    assert!(assume.contains(&roles[0]) && assume.contains(&roles[2]) && !assume.contains(&roles[1]), "{assume}");
    assert!(!execution_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-callback")].is_null());
    for name in ["one", "three"] {
        scenario.touch(name, "look").await?;
        scenario.until_reason(name, "Converged").await?;
    }
    // The last two go together: whoever is last cleans up for both, the stage included.
    scenario.delete("one").await?;
    scenario.delete("three").await?;
    scenario.until_gone("one").await?;
    scenario.until_gone("three").await?;
    assert_eq!(stages(scenario)?, ["Source", "Build", "Deploy"]);
    scenario.assert_as_before(&before)
}

async fn a_wiped_status_of_one_costs_the_other_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("one")).await?;
    converge(scenario, &scenario.invoke("two")).await?;
    let good = scenario.configuration()?;
    // Nobody remembers anything: no status, and a new process.
    scenario.controller()?.stop().await?;
    for name in ["one", "two"] {
        put_status(scenario, name, json!(null)).await?;
    }
    let mark = scenario.mark()?;
    scenario.start_controller().await?;
    for name in ["one", "two"] {
        scenario.until_reason(name, "Converged").await?;
    }
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.mutating(), 0, "a wiped status causes no write:\n{calls}");
    scenario.assert_as_before(&good)?;
    // One puts the shared policy right while the other one's needs are known from AWS alone.
    scenario.controller()?.stop().await?;
    for name in ["one", "two"] {
        put_status(scenario, name, json!(null)).await?;
    }
    scenario.start_controller().await?;
    scenario.delete("one").await?;
    scenario.until_gone("one").await?;
    let id = &scenario.installation_id;
    assert!(!execution_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-callback")].is_null());
    assert!(!pipeline_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-assume")].is_null());
    scenario.until_reason("two", "Converged").await?;
    Ok(())
}

async fn a_stray_entry_in_a_shared_policy_goes_and_the_others_stay(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("one")).await?;
    converge(scenario, &scenario.invoke("two")).await?;
    let good = scenario.configuration()?;
    let id = scenario.installation_id.clone();
    let name = format!("crossinvoke-{id}-assume");
    let mut stray = pipeline_role(scenario)?["inlinePolicies"][&name].clone();
    let resource = &mut stray["Statement"][0]["Resource"];
    // Whether a role stands behind it can be read: none does.
    let role = format!("arn:aws:iam::{}:role/stray", scenario.accounts.dev);
    resource.as_array_mut().unwrap().push(json!(role));
    scenario.aws().put_inline_policy(&scenario.accounts.tools, PIPELINE_ROLE, &name, stray).context("a stray entry")?;
    repaired(scenario, "one", "a stray entry", &good).await?;
    Ok(())
}
