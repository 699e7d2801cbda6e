//! What a tenant writes into spec, metadata or status reaches nothing of anybody else's; what changes while a reconcile
//! is under way stops its writes.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, PIPELINE, PIPELINE_ROLE},
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{
        converge, entered, execution_role, invoke_role_name, patch_account, pipeline, pipeline_role, put_status,
        refused, version,
    },
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("an_object_without_a_grant_takes_nothing_away", one_pipeline, takes_nothing_away),
        case("a_forged_record_adds_nothing_to_a_shared_policy", quick, adds_nothing),
        case("a_claimed_stage_is_nobodys_to_remove", Setup::default, claimed_stage),
        case("a_policy_under_our_name_on_our_role_is_seen", Setup::default, under_our_name),
        case("an_object_that_loses_its_grant_for_a_moment_keeps_its_path", Setup::default, keeps_its_path),
        case("an_object_without_a_grant_holds_no_account", Setup::default, holds_no_account),
        case("a_status_that_does_not_decode_stops_nobody", Setup::default, stops_nobody),
        case("objects_of_a_rebuilt_cluster_keep_what_they_need", Setup::default, rebuilt_cluster),
        case("a_role_made_anew_at_another_path_is_the_same_role", Setup::default, role_at_another_path),
        case("a_grant_revoked_during_a_reconcile_stops_its_writes", Setup::default, revoked_meanwhile),
        case("a_spec_changed_during_a_reconcile_is_not_written_any_more", Setup::default, changed_meanwhile),
    ]
}

fn quick() -> Setup {
    Setup::default().flags(["--idle-poll", "1s"])
}

/// The grant opens less than the controller's role may read in AWS.
fn one_pipeline() -> Setup {
    Setup::default().aws_accounts(|tools, _| tools["spec"]["grants"][0]["pipelines"] = json!([PIPELINE]))
}

/// An object that no grant covers, with our finalizer in it as if it had something.
fn hostile(scenario: &Scenario<'_>) -> Value {
    let mut object = scenario.invoke("hostile");
    object["metadata"]["finalizers"] = json!(["crossinvoke.dev/aws-resources"]);
    object["spec"]["pipeline"]["name"] = json!("not-granted");
    object["spec"]["function"]["name"] = json!("Missing");
    object
}

async fn takes_nothing_away(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("one")).await?;
    let good = scenario.configuration()?;
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    // Another path and other letters: IAM finds the role by its name all the same.
    let hostile = |scenario: &Scenario<'_>| {
        let mut object = hostile(scenario);
        object["spec"]["pipeline"]["name"] = json!("payments-of-others");
        object["spec"]["function"]["name"] = json!("MyFunctionThatIsMissing");
        object
    };
    let mut by_spec = hostile(scenario);
    by_spec["spec"]["function"]["executionRole"] = json!(format!("arn:aws:iam::{dev}:role/x/{EXECUTION_ROLE}"));
    scenario.apply(&by_spec).await?;
    scenario.until_reason("hostile", "NotGranted").await?;
    scenario.delete("hostile").await?;
    scenario.until_gone("hostile").await?;
    scenario.assert_as_before(&good)?;

    scenario.apply(&hostile(scenario)).await?;
    scenario.until_reason("hostile", "NotGranted").await?;
    let claim = |kind: &str, account: &str, role: &str| {
        let resource = format!("arn:aws:iam::{account}:role/x/{}", role.to_uppercase());
        json!({"kind": kind, "account": account, "resource": resource, "writtenAt": "2026-01-01T00:00:00Z", "readBack": true})
    };
    let claims = [claim("AssumePolicy", &tools, PIPELINE_ROLE), claim("CallbackPolicy", &dev, EXECUTION_ROLE)];
    put_status(scenario, "hostile", json!({"inventory": claims})).await?;
    scenario.delete("hostile").await?;
    scenario.until_gone("hostile").await?;
    scenario.assert_as_before(&good)
}

async fn adds_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("one")).await?;
    let mut two = scenario.invoke("two");
    converge(scenario, &two).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let busy = scenario.aws().put_execution((&tools, &region, PIPELINE), None, "InProgress", None).context("a run")?;
    // Kept from converging, it repeats what its status says at every look.
    two["spec"]["action"] = json!({"runOrder": 2});
    scenario.apply(&two).await?;
    let waiting = scenario.until_reason("two", "WaitingForIdlePipeline").await?;
    let mut status = waiting.data["status"].clone();
    let mut forged = status["inventory"].as_array().cloned().unwrap_or_default();
    let theirs = forged.iter().find(|item| item["kind"] == "AssumePolicy").cloned().unwrap_or_default();
    let stranger = "arn:aws:iam::999999999999:role/Admin";
    forged.push(json!({"kind": "AssumePolicy", "account": tools, "resource": theirs["resource"], "entry": stranger,
        "writtenAt": theirs["writtenAt"], "readBack": true}));
    status["inventory"] = json!(forged);
    put_status(scenario, "two", status).await?;
    scenario.touch("two", "look").await?;
    let carries = |object: &kube::api::DynamicObject| object.data["status"]["inventory"].to_string().contains(stranger);
    scenario.until("two", "the forged record is carried along", carries).await?;
    // The other object writes the shared policy meanwhile.
    let name = format!("crossinvoke-{}-assume", scenario.installation_id);
    let mut stray = pipeline_role(scenario)?["inlinePolicies"][&name].clone();
    let nobodys = format!("arn:aws:iam::{}:role/stray", scenario.accounts.dev);
    stray["Statement"][0]["Resource"].as_array_mut().unwrap().push(json!(nobodys));
    scenario.aws().put_inline_policy(&tools, PIPELINE_ROLE, &name, stray).context("a stray entry")?;
    scenario.touch("one", "look").await?;
    eventually("one puts the shared policy right", DEADLINE, async || {
        let policy = pipeline_role(scenario).map_err(|error| error.to_string())?["inlinePolicies"][&name].to_string();
        if policy.contains("/stray") { Err(policy) } else { Ok(()) }
    })
    .await?;
    let policy = pipeline_role(scenario)?["inlinePolicies"][&name].to_string();
    assert!(!policy.contains(stranger), "{policy}");
    scenario.aws().put_execution((&tools, &region, PIPELINE), Some(&busy), "Succeeded", None).context("ending")?;
    scenario.until_reason("two", "Converged").await?;
    let policy = pipeline_role(scenario)?["inlinePolicies"][&name].to_string();
    assert!(!policy.contains(stranger), "{policy}");
    Ok(())
}

async fn holds_no_account(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    scenario.apply(&hostile(scenario)).await?;
    scenario.until_reason("hostile", "NotGranted").await?;
    let name = format!("{}-dev", scenario.namespace);
    let api = scenario.aws_accounts();
    api.delete(&name, &DeleteParams::default()).await.context("deleting the AwsAccount")?;
    eventually("the account goes", DEADLINE, async || match api.get_opt(&name).await {
        Ok(None) => Ok(()),
        Ok(Some(account)) => Err(format!("{:?}", account.metadata.finalizers)),
        Err(error) => Err(error.to_string()),
    })
    .await
}

async fn stops_nobody(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("one")).await?;
    let item = json!({"kind": "CallbackPolicy", "account": scenario.accounts.dev, "resource": "no ARN",
        "writtenAt": "9999-12-31T23:59:59Z"});
    put_status(scenario, "one", json!({"inventory": [item]})).await?;
    // A shared policy is written for another object although the clock of that status does not exist.
    converge(scenario, &scenario.invoke("two")).await?;
    scenario.until_reason("one", "Converged").await?;
    for name in ["one", "two"] {
        scenario.delete(name).await?;
        scenario.until_gone(name).await?;
    }
    Ok(())
}

async fn rebuilt_cluster(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut roles = Vec::new();
    for name in ["one", "two", "three"] {
        roles.push(invoke_role_name(&converge(scenario, &scenario.invoke(name)).await?));
    }
    let good = scenario.configuration()?;
    scenario.controller()?.stop().await?;
    // The objects as Git has them: without our finalizer, without a status; one of them cannot converge any more.
    for name in ["one", "two", "three"] {
        put_status(scenario, name, json!(null)).await?;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        scenario.invokes().patch(name, &PatchParams::default(), &patch).await.context("no finalizer")?;
    }
    let other = format!("arn:aws:iam::{}:role/other", scenario.accounts.dev);
    let patch = Patch::Merge(json!({"spec": {"function": {"executionRole": other}}}));
    scenario.invokes().patch("two", &PatchParams::default(), &patch).await.context("a mismatch")?;
    let mark = scenario.mark()?;
    scenario.start_controller().await?;
    for name in ["one", "three"] {
        scenario.until_reason(name, "Converged").await?;
    }
    scenario.until_reason("two", "ExecutionRoleMismatch").await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.mutating(), 0, "{calls}");
    scenario.delete("one").await?;
    scenario.until_gone("one").await?;
    let id = &scenario.installation_id;
    let assume = pipeline_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-assume")].to_string();
    assert!(assume.contains(&roles[1]) && assume.contains(&roles[2]) && !assume.contains(&roles[0]), "{assume}");
    assert!(!execution_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-callback")].is_null());
    assert_ne!(scenario.configuration()?, good, "one is gone");
    Ok(())
}

async fn role_at_another_path(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let (dev, region) = (scenario.accounts.dev.clone(), scenario.accounts.region.clone());
    let function = crossinvoke_harness::accounts::FUNCTION;
    let mut moved = scenario.aws().role(&dev, EXECUTION_ROLE).context("reading")?.unwrap();
    "/elsewhere/".clone_into(&mut moved.path);
    moved.inline_policies.clear();
    scenario.aws().remove_role(&dev, EXECUTION_ROLE).context("removing")?;
    scenario.aws().put_role(&dev, EXECUTION_ROLE, moved).context("making it anew")?;
    let mut changed = scenario.configuration()?["accounts"][&dev]["functions"][&region][function].clone();
    let role = format!("arn:aws:iam::{dev}:role/elsewhere/{EXECUTION_ROLE}");
    changed["role"] = json!(role);
    scenario.aws().put_function(&dev, &region, function, changed).context("the function")?;
    // The shipped policy is for the execution roles that an installation names.
    let allow =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:*", "Resource": role}]});
    scenario.aws().put_inline_policy(&dev, "crossinvoke", "moved", allow).context("the controller's right")?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "look").await?;
    let now = |object: &kube::api::DynamicObject| {
        object.data["status"]["devAccount"]["executionRoleARN"] == role.as_str()
            && crossinvoke_harness::objects::has_reason(object, "Converged")
    };
    scenario.until("validate", "converged with the moved role", now).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("PutRolePolicy"), calls.of("DeleteRolePolicy")), (1, 0), "{calls}");
    Ok(())
}

async fn revoked_meanwhile(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let delay = Effect::Delay { milliseconds: 4_000 };
    scenario.aws().fault(Fault::next("GetFunctionConfiguration", delay)).context("a slow call")?;
    let mark = scenario.mark()?;
    scenario.apply(&scenario.invoke("validate")).await?;
    // The gate has been passed once this call was made; the slow one comes right after it.
    eventually("the reconcile is under way", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("GetPipeline") > 0 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    patch_account(scenario, "dev", &json!({"spec": {"grants": []}})).await?;
    scenario.until_reason("validate", "NotGranted").await?;
    let calls = scenario.calls_since(mark)?;
    assert!(calls.of("GetFunctionConfiguration") > 0 && calls.mutating() == 0, "{calls}");
    Ok(())
}

async fn changed_meanwhile(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    let before = version(scenario)?;
    let delay = Effect::Delay { milliseconds: 4_000 };
    scenario.aws().fault(Fault::next("ListPipelineExecutions", delay)).context("a slow call")?;
    let mark = scenario.mark()?;
    invoke["spec"]["action"] = json!({"runOrder": 5});
    scenario.apply(&invoke).await?;
    eventually("the writer is about to write", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        // The second read is the one under the pipeline's lock.
        if calls.of("GetPipeline") >= 2 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    invoke["spec"]["action"] = json!({"runOrder": 6});
    scenario.apply(&invoke).await?;
    scenario.until_reason("validate", "Converged").await?;
    assert_eq!(pipeline(scenario)?["stages"][2]["actions"][0]["runOrder"], 6);
    assert_eq!(version(scenario)?, before + 1, "what nobody declares any more was not written");
    Ok(())
}

/// A stage that a person made holds our action alone; somebody's status says that we made it.
async fn claimed_stage(scenario: &mut Scenario<'_>) -> Result<()> {
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut with_theirs = pipeline(scenario)?;
    let theirs = json!({"name": "Gate", "actions": [{"name": "Manual", "runOrder": 1, "actionTypeId":
        {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}}]});
    with_theirs["stages"].as_array_mut().unwrap().insert(2, theirs);
    scenario.aws().replace_pipeline(&tools, &region, with_theirs).context("a stage of theirs")?;
    let mut invoke = scenario.invoke("one");
    invoke["spec"]["stage"] = json!({"name": "Gate"});
    invoke["spec"]["action"] = json!({"runOrder": 1});
    converge(scenario, &invoke).await?;
    let mut alone = pipeline(scenario)?;
    alone["stages"][2]["actions"].as_array_mut().unwrap().retain(|action| action["name"] == "one");
    scenario.aws().replace_pipeline(&tools, &region, alone).context("leaving it alone")?;
    scenario.apply(&hostile(scenario)).await?;
    scenario.until_reason("hostile", "NotGranted").await?;
    let pipeline_arn = format!("arn:aws:codepipeline:{region}:{tools}:{PIPELINE}");
    put_status(
        scenario,
        "hostile",
        json!({"inventory": [{"kind": "PipelineAction", "account": tools, "resource": pipeline_arn, "stage": "Gate",
            "action": "x", "stageMade": true, "writtenAt": "2026-01-01T00:00:00Z"}]}),
    )
    .await?;
    scenario.delete("one").await?;
    refused(scenario, "one", "DeletionBlocked", &["Gate", "which crossinvoke did not make"]).await?;
    assert!(pipeline(scenario)?.to_string().contains("\"Gate\""));
    Ok(())
}

async fn under_our_name(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    for part in ["callback", "assume"] {
        let policy = format!("crossinvoke-{}-{part}", scenario.installation_id);
        scenario.aws().put_inline_policy(&dev, &name, &policy, wide.clone()).context("a back door")?;
    }
    scenario.touch("validate", "look").await?;
    eventually("both are taken off", DEADLINE, async || {
        let role = crate::support::role(scenario, &dev, &name).map_err(|error| error.to_string())?;
        let policies = role["inlinePolicies"].as_object().map_or(0, serde_json::Map::len);
        if policies == 1 { Ok(()) } else { Err(role.to_string()) }
    })
    .await
}

/// In a rebuilt cluster (no finalizer, no status) one object's grant is missing for the moment.
async fn keeps_its_path(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut roles = Vec::new();
    for name in ["one", "two"] {
        roles.push(invoke_role_name(&converge(scenario, &scenario.invoke(name)).await?));
    }
    let good = scenario.configuration()?;
    scenario.controller()?.stop().await?;
    for name in ["one", "two"] {
        put_status(scenario, name, json!(null)).await?;
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        scenario.invokes().patch(name, &PatchParams::default(), &patch).await.context("no finalizer")?;
    }
    let tagged = Patch::Merge(json!({"spec": {"invokeRole": {"tags": {"not-allowed": "x"}}}}));
    scenario.invokes().patch("two", &PatchParams::default(), &tagged).await.context("not granted")?;
    scenario.start_controller().await?;
    scenario.until_reason("two", "NotGranted").await?;
    scenario.until_reason("one", "Converged").await?;
    scenario.assert_as_before(&good)?;
    scenario.delete("one").await?;
    scenario.until_gone("one").await?;
    let id = &scenario.installation_id;
    let assume = pipeline_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-assume")].to_string();
    assert!(assume.contains(&roles[1]) && !assume.contains(&roles[0]), "{assume}");
    assert!(!execution_role(scenario)?["inlinePolicies"][format!("crossinvoke-{id}-callback")].is_null());
    Ok(())
}
