//! Deletion ends, in the right order, from any half-made state, and never takes what is not ours.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, PIPELINE, PIPELINE_ROLE},
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{
        converge, entered, finalizers, foreign_action, invoke_role_name, patch_account, pipeline, put_status, refused,
        repaired, stages,
    },
};

/// The writes of a creation, in their order.
const WRITES: [(&str, u64); 5] =
    [("CreateRole", 1), ("PutRolePolicy", 1), ("PutRolePolicy", 2), ("PutRolePolicy", 3), ("UpdatePipeline", 1)];

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case(
            "every_half_made_state_is_deleted_without_a_trace",
            quick,
            every_half_made_state_is_deleted_without_a_trace,
        ),
        case("a_failing_deletion_goes_on_where_it_stopped", quick, a_failing_deletion_goes_on_where_it_stopped),
        case(
            "a_stage_that_would_be_empty_blocks_and_says_the_way_out",
            quick,
            a_stage_that_would_be_empty_blocks_and_says_the_way_out,
        ),
        case("a_role_that_another_action_names_stays", quick, a_role_that_another_action_names_stays),
        case("what_hangs_on_our_role_goes_with_it", quick, what_hangs_on_our_role_goes_with_it),
        case(
            "removal_goes_on_when_a_grant_is_revoked_and_nothing_else_does",
            quick,
            removal_goes_on_when_a_grant_is_revoked_and_nothing_else_does,
        ),
        case(
            "an_account_in_use_stays_until_its_objects_are_gone",
            quick,
            an_account_in_use_stays_until_its_objects_are_gone,
        ),
        case("an_account_being_deleted_keeps_what_is_in_place", quick, an_account_being_deleted_keeps_what_is_in_place),
        case(
            "a_wiped_status_is_no_obstacle_and_a_forged_one_no_weapon",
            quick,
            a_wiped_status_is_no_obstacle_and_a_forged_one_no_weapon,
        ),
        case("what_may_not_be_read_and_never_was_in_place_holds_nothing_up", out_of_sight, never_in_place),
        case("what_may_not_be_read_and_may_be_in_place_stays_with_a_way_out", out_of_sight, may_be_in_place),
        case(
            "what_was_taken_away_by_hand_does_not_stop_deletion",
            quick,
            what_was_taken_away_by_hand_does_not_stop_deletion,
        ),
    ]
}

/// Both accounts grant more than the controller's role in them may read.
fn out_of_sight() -> Setup {
    quick().aws_accounts(|tools, dev| {
        tools["spec"]["grants"][0]["pipelines"] = json!(["*"]);
        dev["spec"]["grants"][0]["functions"] = json!(["*"]);
    })
}

/// The spec of an object, but for a pipeline or a function that the controller's role may not read.
fn elsewhere(invoke: &Value, part: &str) -> Value {
    let mut changed = invoke.clone();
    changed["spec"][part] = json!({"name": "out-of-sight"});
    changed
}

async fn never_in_place(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    for (part, action) in [("pipeline", "codepipeline:GetPipeline"), ("function", "lambda:GetFunctionConfiguration")] {
        let invoke = scenario.invoke(part);
        converge(scenario, &invoke).await?;
        scenario.apply(&elsewhere(&invoke, part)).await?;
        refused(scenario, part, "AccessDenied", &[action, "out-of-sight"]).await?;
        scenario.delete(part).await?;
        scenario.until_gone(part).await?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

async fn may_be_in_place(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    // Another process did not see what was in place before: it takes the spec's word, and says the way out.
    for (part, account, action, back) in [
        ("pipeline", &tools, "codepipeline:GetPipeline", "set spec.pipeline.name back to payments-release"),
        ("function", &dev, "lambda:GetFunctionConfiguration", "set spec.function.name back to MyFunction"),
    ] {
        let invoke = scenario.invoke(part);
        converge(scenario, &invoke).await?;
        let in_place = scenario.configuration()?;
        scenario.apply(&elsewhere(&invoke, part)).await?;
        scenario.restart_controller().await?;
        refused(scenario, part, "AccessDenied", &[action]).await?;
        scenario.delete(part).await?;
        refused(scenario, part, "AccessDenied", &[account, action, "out-of-sight", "grant that right", back]).await?;
        scenario.assert_as_before(&in_place)?;
        scenario.apply(&invoke).await?;
        scenario.until_gone(part).await?;
        scenario.assert_as_before(&before)?;
    }
    // What is in place stays while it may not be read, however little the status says.
    for restart in [false, true] {
        converge(scenario, &scenario.invoke("validate")).await?;
        let in_place = scenario.configuration()?;
        let text = "User: arn:aws:sts::111111111111:assumed-role/crossinvoke/x is not authorized to perform:                     codepipeline:GetPipeline on resource: arn:aws:codepipeline:us-east-1:111111111111:payments-release                     because no identity-based policy allows the codepipeline:GetPipeline action";
        let denied = Effect::fail("AccessDeniedException", text, 400);
        scenario.aws().fault(Fault::next("GetPipeline", denied).always()).context("a right that is gone")?;
        if restart {
            scenario.controller()?.stop().await?;
        }
        put_status(scenario, "validate", json!({})).await?;
        scenario.delete("validate").await?;
        if restart {
            scenario.start_controller().await?;
        }
        refused(scenario, "validate", "AccessDenied", &[&tools, PIPELINE, "grant that right"]).await?;
        scenario.assert_as_before(&in_place)?;
        scenario.aws().clear_faults().context("the right is back")?;
        scenario.touch("validate", "the right is back").await?;
        scenario.until_gone("validate").await?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

async fn every_half_made_state_is_deleted_without_a_trace(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    for (index, (operation, nth)) in WRITES.into_iter().enumerate() {
        let name = format!("half-{index}");
        let fault = Fault::next(operation, Effect::fail("AccessDenied", "not now", 403)).nth(nth).always();
        scenario.aws().fault(fault).context("a fault")?;
        scenario.apply(&scenario.invoke(&name)).await?;
        scenario.until_reason(&name, "AccessDenied").await?;
        scenario.aws().clear_faults().context("clearing")?;
        scenario.delete(&name).await?;
        scenario.until_gone(&name).await?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

async fn a_failing_deletion_goes_on_where_it_stopped(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    for (index, operation) in ["UpdatePipeline", "DeleteRolePolicy", "DeleteRole"].into_iter().enumerate() {
        let name = format!("stuck-{index}");
        converge(scenario, &scenario.invoke(&name)).await?;
        let effect = match operation {
            // An update that fails with a 5xx status may have been made, and is waited for.
            "UpdatePipeline" => Effect::Throttle,
            _ => Effect::fail("ServiceFailure", "busy", 500),
        };
        scenario.aws().fault(Fault::next(operation, effect).times(2)).context("fault")?;
        scenario.delete(&name).await?;
        scenario.until_gone(&name).await?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

async fn a_stage_that_would_be_empty_blocks_and_says_the_way_out(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["stage"] = json!({"name": "Deploy"});
    invoke["spec"]["action"] = json!({"runOrder": 1});
    converge(scenario, &invoke).await?;
    let mut alone = pipeline(scenario)?;
    alone["stages"][2]["actions"].as_array_mut().unwrap().retain(|action| action["name"] == "validate");
    scenario.aws().replace_pipeline(&tools, &region, alone).context("leaving it alone")?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "DeletionBlocked", &["Deploy", PIPELINE, "add another action"]).await?;
    let mut again = pipeline(scenario)?;
    let theirs = json!({"name": "Manual", "runOrder": 1, "actionTypeId":
        {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}});
    again["stages"][2]["actions"].as_array_mut().unwrap().push(theirs);
    scenario.aws().replace_pipeline(&tools, &region, again).context("adding an action")?;
    scenario.touch("validate", "again").await?;
    scenario.until_gone("validate").await
}

async fn a_role_that_another_action_names_stays(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let role = object.data["status"]["devAccount"]["invokeRoleARN"].as_str().unwrap_or_default().to_owned();
    let mut used = pipeline(scenario)?;
    used["stages"][3]["actions"].as_array_mut().unwrap().push(foreign_action("ByHand", &role));
    scenario.aws().replace_pipeline(&tools, &region, used).context("another user of the role")?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "DeletionBlocked", &["Deploy/ByHand", &tools]).await?;
    let dev = &scenario.configuration()?["accounts"][&scenario.accounts.dev]["roles"];
    assert!(!dev[invoke_role_name(&object)].is_null());
    let mut free = pipeline(scenario)?;
    for stage in free["stages"].as_array_mut().unwrap() {
        stage["actions"].as_array_mut().unwrap().retain(|action| action["name"] != "ByHand");
    }
    scenario.aws().replace_pipeline(&tools, &region, free).context("freeing the role")?;
    scenario.touch("validate", "again").await?;
    scenario.until_gone("validate").await
}

async fn what_hangs_on_our_role_goes_with_it(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    let deny = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
    scenario.aws().put_inline_policy(&dev, &name, "AWSRevokeOlderSessions", deny).context("a policy")?;
    scenario
        .aws()
        .run(fakeaws::Command::AttachPolicy {
            account: dev.clone(),
            role: name,
            arn: "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole".to_owned(),
        })
        .context("attaching")?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn removal_goes_on_when_a_grant_is_revoked_and_nothing_else_does(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    patch_account(scenario, "dev", &json!({"spec": {"grants": [{"name": "functions",
        "namespaces": {"names": [scenario.namespace]}, "functions": ["Other"], "callers": [scenario.accounts.tools]}]}}))
    .await?;
    refused(scenario, "validate", "NotGranted", &["MyFunction", "functions"]).await?;
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    let role = crossinvoke_harness::accounts::EXECUTION_ROLE;
    scenario.aws().remove_inline_policy(&scenario.accounts.dev, role, &callback).context("drift")?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "look").await?;
    patch_account(
        scenario,
        "tools",
        &json!({"metadata": {"annotations": {"crossinvoke.dev/reconcile-requested-at": "again"}}}),
    )
    .await?;
    scenario.until_reason("validate", "NotGranted").await?;
    assert_eq!(scenario.calls_since(mark)?.mutating(), 0, "without a grant nothing is put right");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn an_account_in_use_stays_until_its_objects_are_gone(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let name = format!("{}-dev", scenario.namespace);
    let api = scenario.aws_accounts();
    api.delete(&name, &kube::api::DeleteParams::default()).await.context("deleting the AwsAccount")?;
    let kubectl = scenario.kubectl();
    let named = format!("{}/validate", scenario.namespace);
    eventually("an event names the object", DEADLINE, async || {
        let arguments = ["get", "events", "--all-namespaces", "--output=json"];
        let events = kubectl.run(&arguments).await.map_err(|error| error.to_string())?;
        if events.contains(&named) { Ok(()) } else { Err("no such event".to_owned()) }
    })
    .await?;
    assert!(api.get_opt(&name).await.context("reading")?.is_some(), "it is held");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    eventually("the account goes", DEADLINE, async || match api.get_opt(&name).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err("still there".to_owned()),
        Err(error) => Err(error.to_string()),
    })
    .await
}

/// What is in place there works on: drift is corrected, by the next process as well, and nothing new is made.
async fn an_account_being_deleted_keeps_what_is_in_place(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    let good = scenario.configuration()?;
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    let (name, api) = (format!("{}-dev", scenario.namespace), scenario.aws_accounts());
    api.delete(&name, &kube::api::DeleteParams::default()).await.context("deleting the AwsAccount")?;
    let policy = |which: &str| format!("crossinvoke-{}-{which}", scenario.installation_id);
    let (callback, assume) = (policy("callback"), policy("assume"));
    scenario.hands().remove_inline_policy(&dev, EXECUTION_ROLE, &callback).context("P2 away")?;
    repaired(scenario, "validate", "the callback policy", &good).await?;
    scenario.restart_controller().await?;
    // A process that follows one in the middle of a correction must have seen all of it in place first.
    scenario.touch("validate", "by the next process").await?;
    let handled =
        |object: &kube::api::DynamicObject| object.data["status"]["lastHandledReconcileAt"] == "by the next process";
    scenario.until("validate", "the next process has looked", handled).await?;
    scenario.hands().remove_inline_policy(&tools, PIPELINE_ROLE, &assume).context("P3 away")?;
    repaired(scenario, "validate", "the assume policy", &good).await?;
    let mut open = pipeline(scenario)?;
    open["stages"].as_array_mut().unwrap().remove(2);
    scenario.hands().replace_pipeline(&tools, &scenario.accounts.region, open).context("P4 away")?;
    repaired(scenario, "validate", "the action", &good).await?;

    scenario.apply(&scenario.invoke("another")).await?;
    refused(scenario, "another", "NotGranted", &[name.as_str(), "is being deleted and opens nothing new"]).await?;
    invoke["spec"]["action"] = json!({"name": "Renamed"});
    scenario.apply(&invoke).await?;
    refused(scenario, "validate", "NotGranted", &[name.as_str(), "is being deleted and opens nothing new"]).await?;
    scenario.assert_as_before(&good)?;
    for object in ["another", "validate"] {
        scenario.delete(object).await?;
        scenario.until_gone(object).await?;
    }
    eventually("the account goes", DEADLINE, async || match api.get_opt(&name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

async fn a_wiped_status_is_no_obstacle_and_a_forged_one_no_weapon(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    put_status(scenario, "validate", json!(null)).await?;
    scenario.until_reason("validate", "Converged").await?;
    let forged: Vec<_> = [
        ("InvokeRole", &scenario.accounts.dev, scenario.accounts.controller_role_arn(&scenario.accounts.dev), None),
        ("CallbackPolicy", &scenario.accounts.dev, scenario.accounts.execution_role_arn(), None),
        ("AssumePolicy", &scenario.accounts.tools, scenario.accounts.pipeline_role_arn(), Some("arn:aws:iam::999999999999:role/admin")),
        ("PipelineAction", &scenario.accounts.tools, format!("arn:aws:codepipeline:us-east-1:{}:{PIPELINE}", scenario.accounts.tools), None),
    ]
    .into_iter()
    .map(|(kind, account, resource, entry)| {
        json!({"kind": kind, "account": account, "resource": resource, "entry": entry, "stage": "Deploy", "action": "Deploy", "stageMade": true,
            "writtenAt": "2026-01-01T00:00:00Z"})
    })
    .collect();
    let good = scenario.configuration()?;
    put_status(scenario, "validate", json!({"inventory": forged})).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.assert_as_before(&good)?;
    put_status(scenario, "validate", json!({"inventory": forged})).await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    assert_eq!(stages(scenario)?, ["Source", "Build", "Deploy"]);
    scenario.assert_as_before(&before)
}

async fn what_was_taken_away_by_hand_does_not_stop_deletion(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    assert!(!finalizers(scenario, "validate").await?.is_empty());
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let function = crossinvoke_harness::accounts::FUNCTION;
    scenario.controller()?.stop().await?;
    scenario.aws().remove_pipeline(&tools, &region, PIPELINE).context("removing the pipeline")?;
    scenario.aws().remove_function(&scenario.accounts.dev, &region, function).context("removing the function")?;
    scenario.delete("validate").await?;
    scenario.start_controller().await?;
    scenario.until_gone("validate").await?;
    let left = scenario.configuration()?["accounts"].to_string();
    assert!(
        !left.contains(&invoke_role_name(&object)) && !left.contains("-callback\"") && !left.contains("-assume\""),
        "{left}"
    );
    Ok(())
}

fn quick() -> Setup {
    Setup::default().flags(["--idle-poll", "1s"])
}
