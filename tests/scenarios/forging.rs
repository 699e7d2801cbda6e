//! A status that a tenant wrote: it takes no protection from anybody else, and none from the object itself.

use std::time::Duration;

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{CHECKS_ROLE, PIPELINE},
    objects::has_reason,
    wait::{DEADLINE, eventually},
};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, message, pipeline, put_status, refused, role},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_forged_record_makes_no_action_a_neighbours", one_pipeline, neighbour),
        case("a_forged_count_keeps_no_policy_on_a_role", one_pipeline, contested),
        case("a_forged_record_that_holds_an_account_is_named_with_the_way_out", one_pipeline, holds),
        case("a_forged_record_explains_no_changed_role", one_pipeline, changed_role),
        case("a_forged_version_holds_up_no_neighbour_after_a_restart", one_pipeline, version),
        case("a_forged_record_opens_nothing_while_an_account_goes", Setup::default, being_deleted),
    ]
}

/// The grant opens less than the controller's role may read in AWS.
fn one_pipeline() -> Setup {
    Setup::default().aws_accounts(|tools, _| tools["spec"]["grants"][0]["pipelines"] = json!([PIPELINE]))
}

/// An object that is granted nothing, with this inventory.
async fn forged_inventory(scenario: &Scenario<'_>, inventory: Value) -> Result<()> {
    let mut hostile = scenario.invoke("hostile");
    hostile["spec"]["pipeline"]["name"] = json!("payments-of-others");
    hostile["spec"]["function"]["name"] = json!("MyFunctionThatIsMissing");
    scenario.apply(&hostile).await?;
    let refused = scenario.until_reason("hostile", "NotGranted").await?;
    let mut status = refused.data["status"].clone();
    status["inventory"] = inventory;
    put_status(scenario, "hostile", status).await
}

/// The record of an entry of the pipeline role's assume policy.
fn entry(scenario: &Scenario<'_>, role: &str) -> Value {
    json!({"kind": "AssumePolicy", "account": scenario.accounts.tools, "resource": scenario.accounts.pipeline_role_arn(),
        "entry": role, "writtenAt": "2026-01-01T00:00:00Z", "readBack": true})
}

/// Asks for a look and waits for its answer.
async fn looked(scenario: &Scenario<'_>, name: &str, request: &str) -> Result<DynamicObject> {
    scenario.touch(name, request).await?;
    let answered = |object: &DynamicObject| object.data["status"]["lastHandledReconcileAt"] == json!(request);
    scenario.until(name, "the look that was asked for", answered).await
}

/// A version that no pipeline has makes the reads of the object stale that says it, and of no other.
async fn version(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("victim")).await?;
    let without = pipeline(scenario)?;
    let mut hostile = scenario.invoke("hostile");
    hostile["spec"]["stage"] = json!({"name": "Validate"});
    hostile["spec"]["action"] = json!({"name": "Other", "runOrder": 2});
    let mut status = converge(scenario, &hostile).await?.data["status"].clone();
    scenario.controller()?.stop().await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let actions = |pipeline: &Value| -> Vec<Value> {
        let stages = pipeline["stages"].as_array().unwrap().iter();
        let validate = stages.filter(|stage| stage["name"] == "Validate");
        validate.flat_map(|stage| stage["actions"].as_array().unwrap().clone()).collect()
    };
    let gate = actions(&without).first().unwrap()["name"].clone();
    let mut open = pipeline(scenario)?;
    for stage in open["stages"].as_array_mut().unwrap() {
        stage["actions"].as_array_mut().unwrap().retain(|action| action["name"] != gate);
    }
    scenario.aws().replace_pipeline(&tools, &region, open).context("the gate is taken out")?;
    status["toolsAccount"]["pipelineVersion"] = json!(999_999);
    put_status(scenario, "hostile", status).await?;
    scenario.start_controller().await?;
    // What was written lately is waited for until two minutes have passed.
    eventually("the gate is closed again", Duration::from_secs(45), async || {
        let found = actions(&pipeline(scenario).map_err(|error| format!("{error:?}"))?);
        if found.iter().any(|action| action["name"] == gate) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// The digest of an action that never was is no proof of it.
async fn being_deleted(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    let name = format!("{}-dev", scenario.namespace);
    let delete = kube::api::DeleteParams::default();
    scenario.aws_accounts().delete(&name, &delete).await.context("deleting the AwsAccount")?;
    invoke["spec"]["action"] = json!({"name": "Renamed"});
    scenario.apply(&invoke).await?;
    let object = scenario.until_reason("validate", "NotGranted").await?;
    let before = pipeline(scenario)?;
    let mut status = object.data["status"].clone();
    let inventory = status["inventory"].as_array_mut().unwrap();
    let mut action = inventory.iter().find(|item| item["kind"] == "PipelineAction").unwrap().clone();
    action["action"] = json!("Renamed");
    inventory.push(action);
    put_status(scenario, "validate", status).await?;
    looked(scenario, "validate", "with the forged record").await?;
    refused(scenario, "validate", "NotGranted", &[&name, "is being deleted and opens nothing new"]).await?;
    scenario.restart_controller().await?;
    looked(scenario, "validate", "by the next process").await?;
    refused(scenario, "validate", "NotGranted", &[&name, "is being deleted and opens nothing new"]).await?;
    assert_eq!(pipeline(scenario)?, before);
    Ok(())
}

/// A deployment does not become a gate because a status names its role: the number is still asked for.
async fn neighbour(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let role = scenario.accounts.iam_arn(&tools, &format!("role/{CHECKS_ROLE}"));
    let mut with = pipeline(scenario)?;
    let deploy = json!({"name": "Ship", "runOrder": 1, "roleArn": role, "region": region,
        "actionTypeId": {"category": "Deploy", "owner": "AWS", "provider": "CloudFormation", "version": "1"},
        "configuration": {"ActionMode": "DELETE_ONLY", "StackName": "x",
            "RoleArn": scenario.accounts.iam_arn(&tools, "role/payments-cloudformation")},
        "inputArtifacts": [], "outputArtifacts": []});
    with["stages"].as_array_mut().unwrap().push(json!({"name": "Prod", "actions": [deploy]}));
    scenario.aws().replace_pipeline(&tools, &region, with).context("a stage that deploys")?;
    let before = pipeline(scenario)?;
    let mut victim = scenario.invoke("victim");
    victim["spec"]["stage"] = json!({"name": "Prod"});
    scenario.apply(&victim).await?;
    refused(scenario, "victim", "InvalidPosition", &["set spec.action.runOrder"]).await?;

    forged_inventory(scenario, json!([entry(scenario, &role)])).await?;
    let seen = looked(scenario, "victim", "again").await?;
    assert!(has_reason(&seen, "InvalidPosition"), "{}", message(&seen));
    assert_eq!(pipeline(scenario)?, before);
    Ok(())
}

/// A changed role is corrected although the status of an object without a grant names the role that is there now.
async fn changed_role(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("victim")).await?;
    looked(scenario, "victim", "seen in place").await?;
    let good = pipeline(scenario)?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let role = scenario.accounts.iam_arn(&tools, &format!("role/{CHECKS_ROLE}"));
    forged_inventory(scenario, json!([entry(scenario, &role)])).await?;
    let mut changed = good.clone();
    changed["stages"][2]["actions"][0]["roleArn"] = json!(role);
    scenario.aws().replace_pipeline(&tools, &region, changed).context("another role")?;
    let seen = looked(scenario, "victim", "again").await?;
    assert!(has_reason(&seen, "Converged"), "{}", message(&seen));
    assert_eq!(pipeline(scenario)?["stages"], good["stages"]);
    Ok(())
}

/// What a status alone says was removed three times today has never been removed by anybody.
async fn contested(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (dev, name) = (scenario.accounts.dev.clone(), invoke_role_name(&object));
    let mut status = object.data["status"].clone();
    let now = status["conditions"][0]["lastTransitionTime"].clone();
    status["contested"] = json!([{"account": dev, "resource": status["devAccount"]["invokeRoleARN"],
        "field": "inline policy evil", "count": 3, "firstAt": now, "lastAt": now}]);
    put_status(scenario, "validate", status).await?;
    let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    scenario.hands().put_inline_policy(&dev, &name, "evil", all).context("a policy that allows everything")?;
    let seen = looked(scenario, "validate", "again").await?;
    let found = role(scenario, &dev, &name)?;
    assert!(found["inlinePolicies"]["evil"].is_null(), "{found} {}", message(&seen));
    Ok(())
}

/// What may really be there must not be left behind, so the account is held; the event names who to look at.
async fn holds(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let dev = scenario.accounts.dev.clone();
    let forged = json!([{"kind": "InvokeRole", "account": dev, "resource": format!("arn:aws:iam::{dev}:role/x"),
        "writtenAt": "2026-01-01T00:00:00Z"}]);
    forged_inventory(scenario, forged).await?;
    let (api, name) = (scenario.aws_accounts(), format!("{}-dev", scenario.namespace));
    api.delete(&name, &kube::api::DeleteParams::default()).await.context("deleting the AwsAccount")?;
    let in_use = format!("--field-selector=reason=InUse,regarding.name={name}");
    let arguments = ["get", "events.events.k8s.io", "--namespace=default", &in_use, "--output=json"];
    let named = format!("{}/hostile (granted nothing here; only its status", scenario.namespace);
    let kubectl = scenario.kubectl();
    eventually("an event names the object and the way out", DEADLINE, async || {
        let said = kubectl.run(&arguments).await.map_err(|error| error.to_string())?;
        if said.contains(&named) && said.contains("delete them first") { Ok(()) } else { Err(said) }
    })
    .await?;
    scenario.delete("hostile").await?;
    eventually("the account goes", DEADLINE, async || match api.get_opt(&name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}
