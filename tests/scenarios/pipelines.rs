//! What other people have in a pipeline, and what they do to our action and stage there.

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, PIPELINE, PIPELINE_ROLE},
    objects::condition,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, message, pipeline, put_right, put_status, refused, stages},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_role_that_somebody_gave_our_action_is_drift_and_is_corrected", Setup::default, changed_role),
        case("a_role_that_cannot_be_read_may_be_anybodys", Setup::default, unreadable_role),
        case("among_other_actions_a_number_is_needed_and_the_place_is_told", Setup::default, run_order),
        case("an_action_taken_out_of_its_stage_gets_its_number_back", Setup::default, taken_out),
        case("a_number_does_not_come_back_into_a_stage_that_changed", Setup::default, changed_stage),
        case("output_variables_that_others_use_hold_the_object", Setup::default, variables),
        case("what_somebody_added_stays_and_a_renamed_stage_is_recognized", Setup::default, stage_of_ours),
        case("a_rule_that_names_our_role_keeps_the_role", Setup::default, rule_with_our_role),
        case("a_role_that_only_aws_may_change_is_told_as_such", Setup::default, unmodifiable),
        case("a_pipeline_that_is_not_there_is_told_whatever_the_code", Setup::default, no_such_pipeline),
        case("failures_that_differ_in_their_request_id_alone_are_one_status", Setup::default, request_ids),
    ]
}

/// Edits the pipeline as somebody else would.
fn edit(scenario: &Scenario<'_>, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut changed = pipeline(scenario)?;
    change(&mut changed);
    let (tools, region) = (&scenario.accounts.tools, &scenario.accounts.region);
    scenario.aws().replace_pipeline(tools, region, changed).map(drop).context("editing the pipeline")
}

/// Notes of the object's events of this reason.
async fn events(scenario: &Scenario<'_>, reason: &str) -> Result<Vec<String>> {
    let namespace = format!("--namespace={}", scenario.namespace);
    let listed = scenario.kubectl().run(&["get", "events.v1.events.k8s.io", &namespace, "--output=json"]).await?;
    let listed: Value = serde_json::from_str(&listed).map_err(|error| Error::new(error.to_string()))?;
    let all = listed["items"].as_array().cloned().unwrap_or_default();
    let named = all.into_iter().filter(|event| event["reason"] == reason);
    Ok(named.map(|event| event["note"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Waits until this many events of the reason exist, and returns their notes.
async fn until_events(scenario: &Scenario<'_>, reason: &str, count: usize) -> Result<Vec<String>> {
    eventually(&format!("{count} events {reason}"), DEADLINE, async || {
        let found = events(scenario, reason).await.map_err(|error| error.to_string())?;
        if found.len() == count { Ok(found) } else { Err(format!("{found:?}")) }
    })
    .await
}

fn corrected_roles(object: &DynamicObject) -> usize {
    let items = object.data["status"]["drift"]["items"].as_array().cloned().unwrap_or_default();
    items.iter().filter(|item| item["field"] == "roleArn" && item["handling"] == "Corrected").count()
}

async fn changed_role(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    scenario.touch("validate", "the version is recorded").await?;
    let has_version = |object: &DynamicObject| {
        let items = object.data["status"]["inventory"].as_array().cloned().unwrap_or_default();
        items.iter().any(|item| item["kind"] == "PipelineAction" && item["pipelineVersion"].is_i64())
    };
    scenario.until("validate", "the version is recorded", has_version).await?;
    let good = scenario.configuration()?;
    edit(scenario, |pipeline| {
        drop(pipeline["stages"][2]["actions"][0].as_object_mut().unwrap().remove("roleArn"));
    })?;
    scenario.touch("validate", "the role is gone").await?;
    put_right(scenario, "validate", "the action's role", &good).await?;
    let object = scenario.until("validate", "told as corrected", |object| corrected_roles(object) == 1).await?;
    let (status, reason) = condition(&object, "Drifted").unwrap_or_default();
    assert_eq!((status, reason), ("False", "Corrected"));
    let told = until_events(scenario, "Drifted", 1).await?;
    assert!(told[0].contains("runs since then did not ask the function in the dev account"), "{told:?}");

    // Another process has not read the version before, but AWS still has it.
    scenario.controller()?.stop().await?;
    let other = format!("arn:aws:iam::{}:role/other", scenario.accounts.tools);
    edit(scenario, |pipeline| pipeline["stages"][2]["actions"][0]["roleArn"] = json!(other))?;
    scenario.start_controller().await?;
    put_right(scenario, "validate", "the action's role again", &good).await?;
    let object = scenario.until("validate", "told again", |object| corrected_roles(object) == 2).await?;
    let items = object.data["status"]["drift"]["items"].to_string();
    assert!(items.contains(&other) && items.contains("Modified"), "{items}");

    // Where more than the role differs it is another action.
    edit(scenario, |pipeline| {
        let action = &mut pipeline["stages"][2]["actions"][0];
        (action["roleArn"], action["configuration"]["FunctionName"]) = (json!(other), json!("Theirs"));
    })?;
    let theirs = scenario.configuration()?;
    scenario.touch("validate", "another action").await?;
    refused(scenario, "validate", "ActionConflict", &["Validate", &other]).await?;
    scenario.assert_as_before(&theirs)
}

/// A role of an account that cannot be entered.
async fn unreadable_role(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let good = scenario.configuration()?;
    let name = |role: &Value| -> Result<()> {
        edit(scenario, |pipeline| pipeline["stages"][2]["actions"][0]["roleArn"] = role.clone())
    };
    let own = pipeline(scenario)?["stages"][2]["actions"][0]["roleArn"].clone();
    let of_third = format!("arn:aws:iam::{}:role/other", scenario.accounts.platform);
    name(&json!(of_third))?;
    let theirs = scenario.configuration()?;
    scenario.touch("validate", "a role out of sight").await?;
    let way_out = "if it is this object's, put its roleArn back";
    refused(scenario, "validate", "ActionConflict", &["Validate", &of_third, way_out]).await?;
    scenario.assert_as_before(&theirs)?;
    name(&own)?;
    scenario.touch("validate", "put back").await?;
    put_right(scenario, "validate", "the role", &good).await
}

async fn taken_out(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["stage"] = json!({"name": "Deploy"});
    invoke["spec"]["action"] = json!({"runOrder": 2});
    converge(scenario, &invoke).await?;
    invoke["spec"]["action"] = json!({});
    scenario.apply(&invoke).await?;
    scenario.until_reason("validate", "Converged").await?;
    let good = scenario.configuration()?;
    let take_out = || {
        edit(scenario, |pipeline| {
            pipeline["stages"][2]["actions"].as_array_mut().unwrap().retain(|action| action["name"] != "validate");
        })
    };
    take_out()?;
    scenario.touch("validate", "taken out").await?;
    put_right(scenario, "validate", "our action", &good).await?;

    // Another process has not read the version before, but AWS still has it.
    scenario.controller()?.stop().await?;
    edit(scenario, |pipeline| {
        pipeline["stages"][2]["actions"].as_array_mut().unwrap().retain(|action| action["name"] != "validate");
    })?;
    scenario.start_controller().await?;
    put_right(scenario, "validate", "our action again", &good).await?;

    // Where neither tells that it ever was there, its number is nobody's to guess.
    scenario.controller()?.stop().await?;
    edit(scenario, |pipeline| {
        pipeline["stages"][2]["actions"].as_array_mut().unwrap().retain(|action| action["name"] != "validate");
    })?;
    put_status(scenario, "validate", json!({})).await?;
    scenario.start_controller().await?;
    refused(scenario, "validate", "InvalidPosition", &["stage Deploy has Deploy (1): set spec.action.runOrder"]).await
}

/// The pipeline's own deployment takes our action out and closes up the numbers of the others.
async fn changed_stage(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let manual = |name: &str, number: u32| {
        json!({"name": name, "runOrder": number, "configuration": {}, "inputArtifacts": [], "outputArtifacts": [],
            "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}})
    };
    let prod = json!({"name": "Prod", "actions": [manual("Prepare", 1), manual("Ship", 3)]});
    edit(scenario, |pipeline| pipeline["stages"].as_array_mut().unwrap().push(prod))?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["stage"] = json!({"name": "Prod"});
    invoke["spec"]["action"] = json!({"runOrder": 2});
    converge(scenario, &invoke).await?;
    invoke["spec"]["action"] = json!({});
    converge(scenario, &invoke).await?;
    for process in ["this one", "the next"] {
        let placed = pipeline(scenario)?;
        if process == "the next" {
            scenario.controller()?.stop().await?;
        }
        let closed_up = [manual("Prepare", 1), manual("Ship", 2)];
        edit(scenario, |pipeline| pipeline["stages"][3]["actions"] = json!(closed_up))?;
        let theirs = scenario.configuration()?;
        if process == "the next" {
            scenario.start_controller().await?;
        }
        scenario.touch("validate", process).await?;
        let said = "stage Prod has Prepare (1) and Ship (2), and had Prepare (1) and Ship (3) when action validate was number 2";
        refused(scenario, "validate", "InvalidPosition", &[said, "set spec.action.runOrder"]).await?;
        scenario.assert_as_before(&theirs)?;
        // As it was before, it gets its number back.
        let open = [manual("Prepare", 1), manual("Ship", 3)];
        edit(scenario, |pipeline| pipeline["stages"][3]["actions"] = json!(open))?;
        scenario.touch("validate", &format!("put back for {process}")).await?;
        scenario.until_reason("validate", "Converged").await?;
        assert_eq!(pipeline(scenario)?["stages"], placed["stages"]);
    }
    Ok(())
}

async fn run_order(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["stage"] = json!({"name": "Deploy"});
    scenario.apply(&invoke).await?;
    refused(scenario, "validate", "InvalidPosition", &["stage Deploy has Deploy (1): set spec.action.runOrder"])
        .await?;
    scenario.assert_as_before(&before)?;

    invoke["spec"]["action"] = json!({"runOrder": 1});
    scenario.apply(&invoke).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    let sentence = "Deploy/validate runs in parallel with Deploy/Deploy";
    assert!(message(&object).contains(sentence), "{}", message(&object));
    assert!(until_events(scenario, "RunsInParallel", 1).await?[0].starts_with(sentence));

    // Without a number it keeps the one that it has; and what was told is not told again, by this process or the next.
    invoke["spec"]["action"] = json!({});
    scenario.apply(&invoke).await?;
    edit(scenario, |pipeline| {
        for action in pipeline["stages"][2]["actions"].as_array_mut().unwrap() {
            if action["name"] == "validate" {
                action["runOrder"] = json!(7);
            }
        }
    })?;
    scenario.touch("validate", "moved behind").await?;
    let behind = |object: &DynamicObject| message(object).contains("runs after every Deploy action");
    let object = scenario.until("validate", "its new place is told", behind).await?;
    assert!(!message(&object).contains(sentence), "{}", message(&object));
    assert_eq!(condition(&object, "Drifted"), Some(("False", "InSync")));
    until_events(scenario, "RunsAfterDeploy", 1).await?;
    scenario.restart_controller().await?;
    entered(scenario).await?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "look").await?;
    scenario.reads_of_one_cycle(mark).await?;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(events(scenario, "RunsAfterDeploy").await?.len(), 1);
    assert_eq!(events(scenario, "RunsInParallel").await?.len(), 1);
    Ok(())
}

async fn variables(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["action"] = json!({"variablesNamespace": "BuildOutput"});
    scenario.apply(&invoke).await?;
    refused(scenario, "validate", "InvalidSpec", &["BuildOutput", "the name of an artifact of action Build/Build"])
        .await?;
    invoke["spec"]["action"] = json!({"userParameters": "#{Nobody.CommitId}"});
    scenario.apply(&invoke).await?;
    refused(scenario, "validate", "InvalidSpec", &["spec.action.userParameters", "namespace Nobody"]).await?;
    scenario.assert_as_before(&before)?;

    invoke["spec"]["action"] = json!({"variablesNamespace": "validation", "userParameters": "#{variables.Suite}"});
    converge(scenario, &invoke).await?;
    edit(scenario, |pipeline| {
        let approval = json!({"name": "Approve", "runOrder": 2,
            "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
            "configuration": {"CustomData": "decided: #{validation.decision}"}});
        pipeline["stages"][3]["actions"].as_array_mut().unwrap().push(approval);
    })?;
    let mut other = invoke.clone();
    other["spec"]["action"]["variablesNamespace"] = json!("other");
    scenario.apply(&other).await?;
    refused(scenario, "validate", "InvalidSpec", &["Deploy/Approve", "#{validation.…}"]).await?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "DeletionBlocked", &["Deploy/Approve", "#{validation.…}"]).await?;
    edit(scenario, |pipeline| {
        pipeline["stages"][3]["actions"].as_array_mut().unwrap().retain(|action| action["name"] != "Approve");
    })?;
    scenario.touch("validate", "nobody uses it").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn stage_of_ours(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    edit(scenario, |pipeline| pipeline["stages"][2]["name"] = json!("Checks"))?;
    let renamed = scenario.configuration()?;
    scenario.touch("validate", "renamed").await?;
    refused(scenario, "validate", "StageNotFound", &["Validate", "set spec.stage.name to Checks"]).await?;
    scenario.assert_as_before(&renamed)?;
    invoke["spec"]["stage"]["name"] = json!("Checks");
    scenario.apply(&invoke).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.assert_as_before(&renamed)?;

    edit(scenario, |pipeline| pipeline["stages"][2]["onFailure"] = json!({"result": "ROLLBACK"}))?;
    let with_condition = scenario.configuration()?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "DeletionBlocked", &["Checks", "onFailure", "or add another action"]).await?;
    scenario.assert_as_before(&with_condition)?;
    edit(scenario, |pipeline| drop(pipeline["stages"][2].as_object_mut().unwrap().remove("onFailure")))?;
    scenario.touch("validate", "taken out").await?;
    scenario.until_gone("validate").await?;
    assert_eq!(stages(scenario)?, ["Source", "Build", "Deploy"]);
    scenario.assert_as_before(&before)
}

async fn rule_with_our_role(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let invoke_role = object.data["status"]["devAccount"]["invokeRoleARN"].clone();
    edit(scenario, |pipeline| {
        let rule = json!({"name": "Ask", "roleArn": invoke_role, "configuration": {"FunctionName": "MyFunction"},
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"}});
        pipeline["stages"][3]["onSuccess"]["conditions"][0]["rules"].as_array_mut().unwrap().push(rule);
    })?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "DeletionBlocked", &["Deploy/Ask (onSuccess)"]).await?;
    let held = scenario.configuration()?;
    assert!(!held["accounts"][&scenario.accounts.dev]["roles"][invoke_role_name(&object)].is_null());
    edit(scenario, |pipeline| {
        drop(pipeline["stages"][2]["onSuccess"]["conditions"][0]["rules"].as_array_mut().unwrap().pop());
    })?;
    scenario.touch("validate", "nobody names it").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

/// The pipeline's role, or the function's: it is named with its account, and what to choose instead.
async fn unmodifiable(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    for (account, name) in [(&dev, EXECUTION_ROLE), (&tools, PIPELINE_ROLE)] {
        let role = scenario.aws().role(account, name).context("the role")?.ok_or_else(|| Error::new("no role"))?;
        let protected = fakeaws::RoleSeed { only_aws_modifies: true, ..role.clone() };
        scenario.aws().put_role(account, name, protected).context("a role that only AWS changes")?;
        let object = format!("with-{}", if *account == tools { "pipeline-role" } else { "execution-role" });
        scenario.apply(&scenario.invoke(&object)).await?;
        let named = format!("role {name}");
        let parts = [account.as_str(), named.as_str(), "only AWS may change", "role of your own"];
        refused(scenario, &object, "RoleUnmodifiable", &parts).await?;
        scenario.delete(&object).await?;
        scenario.until_gone(&object).await?;
        scenario.aws().put_role(account, name, role).context("an ordinary role")?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

async fn no_such_pipeline(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let text = format!("Account '{}' does not have a pipeline with name '{PIPELINE}'", scenario.accounts.tools);
    let fault = Fault::next("GetPipeline", Effect::fail("ValidationException", text, 400)).always();
    scenario.aws().fault(fault).context("a fault")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "PipelineNotFound", &[PIPELINE]).await
}

async fn request_ids(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let fault = |id: u8| {
        let text = format!("no (Service: AWSCodePipeline; Status Code: 400; Request ID: 77aa-{id}; Proxy: null)");
        Fault::next("GetPipeline", Effect::fail("InvalidStructureException", text, 400)).always()
    };
    scenario.aws().fault(fault(1)).context("a fault")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let object = scenario.until_reason("validate", "PipelineRefused").await?;
    let said = message(&object);
    assert!(!said.contains("77aa"), "AWS's own mention of it is taken out: {said}");
    scenario.aws().clear_faults().context("no faults")?;
    scenario.aws().fault(fault(2)).context("another fault")?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "again").await?;
    eventually("another look", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("GetPipeline") >= 1 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    scenario.touch("validate", "and again").await?;
    let object = scenario.until_reason("validate", "PipelineRefused").await?;
    assert_eq!(message(&object), said);
    assert_eq!(events(scenario, "Stalled").await?.len(), 1);
    Ok(())
}
