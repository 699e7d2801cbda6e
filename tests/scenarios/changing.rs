//! A spec that changes: the new works before the old goes, and nothing of the old stays.

use crossinvoke_harness::{Context as _, Result, Scenario, Setup, accounts::PIPELINE};
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, patch_account, pipeline, role, stages},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("an_action_renamed_while_it_waits_leaves_no_trace", Setup::default, renamed_while_it_waits),
        case("tags_of_others_stay_when_their_keys_are_allowed", Setup::default, tags_of_others),
        case(
            "another_stage_action_function_and_role_leave_nothing_of_the_old",
            two_functions,
            another_stage_action_function_and_role_leave_nothing_of_the_old,
        ),
        case(
            "another_pipeline_gets_the_action_before_the_old_one_loses_it",
            Setup::default,
            another_pipeline_gets_the_action_before_the_old_one_loses_it,
        ),
    ]
}

async fn another_stage_action_function_and_role_leave_nothing_of_the_old(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    let old = invoke_role_name(&converge(scenario, &invoke).await?);
    invoke["spec"]["stage"] = json!({"name": "Check", "position": {"before": "Deploy"}});
    invoke["spec"]["action"] = json!({"name": "Other"});
    converge(scenario, &invoke).await?;
    assert_eq!(stages(scenario)?, ["Source", "Build", "Check", "Deploy"], "the stage we made went with its action");
    invoke["spec"]["function"] = json!({"name": "MyFunction2"});
    converge(scenario, &invoke).await?;
    invoke["spec"]["invokeRole"] = json!({"name": "named"});
    converge(scenario, &invoke).await?;
    let action = pipeline(scenario)?["stages"][2]["actions"][0].clone();
    assert!(action["roleArn"].as_str().unwrap_or_default().ends_with("/named"), "{action}");
    assert_eq!(action["configuration"]["FunctionName"], "MyFunction2");
    crossinvoke_harness::wait::eventually("the old role goes", crossinvoke_harness::wait::DEADLINE, async || {
        let text = scenario.configuration().map_err(|error| error.to_string())?.to_string();
        if text.contains(&old) { Err(text) } else { Ok(()) }
    })
    .await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn another_pipeline_gets_the_action_before_the_old_one_loses_it(scenario: &mut Scenario<'_>) -> Result<()> {
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut second = pipeline(scenario)?;
    second["name"] = json!("payments-second");
    scenario.aws().replace_pipeline(&tools, &region, second).context("a second pipeline")?;
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    let mark = scenario.mark()?;
    invoke["spec"]["pipeline"] = json!({"name": "payments-second"});
    scenario.apply(&invoke).await?;
    crossinvoke_harness::wait::eventually("the old action goes", crossinvoke_harness::wait::DEADLINE, async || {
        let stages = stages(scenario).map_err(|error| error.to_string())?;
        if stages.len() == 3 { Ok(()) } else { Err(stages.join(", ")) }
    })
    .await?;
    let updated: Vec<_> = scenario
        .calls_since(mark)?
        .0
        .into_iter()
        .filter(|call| call.operation == "UpdatePipeline")
        .filter_map(|call| call.resource)
        .collect();
    assert!(updated[0].ends_with("payments-second") && updated[1].ends_with(PIPELINE), "{updated:?}");
    scenario.until_reason("validate", "Converged").await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

fn two_functions() -> Setup {
    Setup::default()
        .aws_accounts(|_, dev| {
            dev["spec"]["grants"][0]["functions"] = json!(["MyFunction*"]);
            dev["spec"]["grants"][0]["allow"] = json!(["NamedRole"]);
        })
        .seed(|accounts, seed| {
            if let Some(dev) = seed.accounts.get_mut(&accounts.dev) {
                let mut role = dev.roles[crossinvoke_harness::accounts::EXECUTION_ROLE].clone();
                role.attached_policies.clear();
                dev.roles.insert("second-function".to_owned(), role);
                let role = accounts.iam_arn(&accounts.dev, "role/service-role/second-function");
                dev.functions[&accounts.function_region]["MyFunction2"] = json!({"role": role});
            }
        })
}

/// While a pipeline is busy, what was never written is not remembered either.
async fn renamed_while_it_waits(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let at = (tools.as_str(), region.as_str(), PIPELINE);
    let id = scenario.aws().put_execution(at, None, "InProgress", None).context("a run")?;
    let mut invoke = scenario.invoke("validate");
    for name in ["First", "Second", "Third"] {
        invoke["spec"]["action"] = json!({"name": name});
        scenario.apply(&invoke).await?;
        scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    }
    let object = scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    let inventory = object.data["status"]["inventory"].as_array().cloned().unwrap_or_default();
    let actions: Vec<_> = inventory.iter().filter_map(|item| item["action"].as_str()).collect();
    assert_eq!(actions, ["Third"]);
    scenario.aws().put_execution(at, Some(&id), "Succeeded", None).context("ending")?;
    scenario.touch("validate", "go on").await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn tags_of_others(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
    let object = converge(scenario, &invoke).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    scenario.aws().put_tag(&dev, &name, "cost", "42").context("somebody's tag")?;
    patch_account(scenario, "dev", &json!({"spec": {"invokeRoles": {"allowedTagKeys": ["team", "cost"]}}})).await?;
    invoke["spec"]["invokeRole"] = json!({"tags": {}});
    scenario.apply(&invoke).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    let tags = role(scenario, &dev, &name)?["tags"].clone();
    assert_eq!((&tags["cost"], &tags["team"]), (&json!("42"), &json!(null)), "{tags}");
    assert!(object.data["status"]["drift"].is_null(), "{}", object.data["status"]);
    Ok(())
}
