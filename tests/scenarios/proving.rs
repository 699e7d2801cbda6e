//! What is shared loses an entry only on proof: its object releases it, or AWS shows that nothing stands behind it. And
//! nobody learns from it whose the other entries are.

use crossinvoke_harness::{
    Calls, Context as _, Result, Scenario, Setup,
    accounts::{CONTROLLER_ROLE, PIPELINE, PIPELINE_ROLE},
    objects::condition,
    wait::{DEADLINE, eventually},
};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{
        converge, entered, execution_role, invoke_role_name, message, patch_account, pipeline, pipeline_role,
        put_status, refused, repaired, role, stages,
    },
};

const UNWATCHED: &str = "a-namespace-that-is-no-longer-watched-keeps-its-path";
const STRANGERS: &str = "what-strangers-share-is-told-as-a-number";
const CONFLICT: &str = "a-conflict-tells-no-other-tenants-role";

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_namespace_that_is_no_longer_watched_keeps_its_path", || both(UNWATCHED), no_longer_watched),
        case("a_named_role_that_lost_its_grant_keeps_its_entry", named, named_role),
        case("an_entry_of_an_account_that_cannot_be_entered_stays", Setup::default, cannot_be_entered),
        case("a_role_that_lost_its_tags_blocks_deletion_and_keeps_its_path", quick, lost_tags),
        case("objects_that_nobody_granted_cost_the_account_nothing", quick, cost_nothing),
        case("a_function_that_cannot_be_read_blocks_no_neighbours_deletion", Setup::default, unreadable_function),
        case("a_role_whose_trust_was_emptied_keeps_its_callback_policy", Setup::default, emptied_trust),
        case("a_role_that_got_its_tags_back_keeps_its_callback_policy", Setup::default, tags_back),
        case("what_strangers_share_is_told_as_a_number", || both(STRANGERS), strangers),
        case("a_conflict_tells_no_other_tenants_role", || both(CONFLICT), conflict),
        case("an_object_that_nobody_granted_learns_nothing_of_a_pipeline", one_pipeline, learns_nothing),
        case("a_grant_revoked_before_a_restart_leads_to_removal", quick, revoked_and_restarted),
        case("a_full_inventory_stops_edits_and_not_deletion", quick, full_inventory),
    ]
}

fn quick() -> Setup {
    Setup::default().flags(["--idle-poll", "1s"])
}

/// The grant opens less than the controller's role may read in AWS.
fn one_pipeline() -> Setup {
    quick().aws_accounts(|tools, _| tools["spec"]["grants"][0]["pipelines"] = json!([PIPELINE]))
}

/// Whether a role of its own may be named.
fn named() -> Setup {
    Setup::default().aws_accounts(|_, dev| dev["spec"]["grants"][0]["allow"] = json!(["NamedRole"]))
}

fn other_namespace(namespace: &str) -> String {
    format!("{namespace}-other")
}

/// Two namespaces are granted the same and watched; the second one's rights come with [`second_namespace`].
fn both(namespace: &'static str) -> Setup {
    let other = other_namespace(namespace);
    Setup::default().without_controller().flags(["--watch-namespace", other.as_str()]).aws_accounts(
        move |tools, dev| {
            for account in [tools, dev] {
                account["spec"]["grants"][0]["namespaces"] = json!({"names": [namespace, other_namespace(namespace)]});
            }
        },
    )
}

/// Makes the second namespace and gives the controller the chart's rights there.
async fn second_namespace(scenario: &Scenario<'_>) -> Result<String> {
    let other = other_namespace(&scenario.namespace);
    scenario.kubectl().run(&["create", "namespace", &other]).await?;
    let mut release = scenario.release();
    release.values["watchNamespaces"] = json!([scenario.namespace, other]);
    let rights = scenario.helm().template(&release, &["templates/serviceaccount.yaml", "templates/rbac.yaml"]).await?;
    scenario.kubectl().apply(&rights).await?;
    Ok(other)
}

/// Waits until an object of the second namespace has converged, and returns it.
async fn converged_there(scenario: &Scenario<'_>, namespace: &str, name: &str) -> Result<DynamicObject> {
    let api: kube::Api<DynamicObject> = kube::Api::namespaced_with(
        scenario.client.clone(),
        namespace,
        &crossinvoke_harness::objects::cross_account_invokes(),
    );
    eventually("the object of the second namespace converges", DEADLINE, async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        if crossinvoke_harness::objects::has_reason(&object, "Converged") { Ok(object) } else { Err(message(&object)) }
    })
    .await
}

fn in_namespace(mut invoke: Value, namespace: &str) -> Value {
    invoke["metadata"]["namespace"] = json!(namespace);
    invoke
}

fn assume_policy(scenario: &Scenario<'_>) -> Result<Value> {
    let name = format!("crossinvoke-{}-assume", scenario.installation_id);
    Ok(pipeline_role(scenario)?["inlinePolicies"][&name].clone())
}

/// Adds an entry to the assume policy by hand.
pub(crate) fn add_entry(scenario: &Scenario<'_>, entry: &str) -> Result<()> {
    let mut policy = assume_policy(scenario)?;
    let resource = &mut policy["Statement"][0]["Resource"];
    let mut entries = resource.as_array().cloned().unwrap_or_else(|| vec![resource.clone()]);
    entries.push(json!(entry));
    *resource = json!(entries);
    let name = format!("crossinvoke-{}-assume", scenario.installation_id);
    scenario.aws().put_inline_policy(&scenario.accounts.tools, PIPELINE_ROLE, &name, policy).context("an entry")
}

async fn no_longer_watched(scenario: &mut Scenario<'_>) -> Result<()> {
    let other = second_namespace(scenario).await?;
    scenario.start_controller().await?;
    converge(scenario, &scenario.invoke("here")).await?;
    scenario.apply(&in_namespace(scenario.invoke("there"), &other)).await?;
    let there = invoke_role_name(&converged_there(scenario, &other, "there").await?);
    let good = scenario.configuration()?;
    scenario.controller()?.stop().await?;
    scenario.set_flags([]);
    scenario.start_controller().await?;
    // A write of the shared policy is due, and nothing of the other namespace is known.
    let dev = scenario.accounts.dev.clone();
    add_entry(scenario, &format!("arn:aws:iam::{dev}:role/stray"))?;
    repaired(scenario, "here", "a stray entry", &good).await?;
    let here = scenario.until("here", "the entry is reported", |it| message(it).contains("keeps 1 entry")).await?;
    assert!(!here.data["status"].to_string().contains(&there), "{}", here.data["status"]);
    scenario.delete("here").await?;
    scenario.until_gone("here").await?;
    assert!(assume_policy(scenario)?.to_string().contains(&there), "its pipeline role may still assume its role");
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    assert!(!execution_role(scenario)?["inlinePolicies"][&callback].is_null(), "its function may still report");
    assert!(!role(scenario, &dev, &there)?.is_null());
    // Watched again it goes without a trace.
    scenario.controller()?.stop().await?;
    scenario.set_flags(["--watch-namespace", other.as_str()]);
    scenario.start_controller().await?;
    scenario.kubectl().run(&["delete", "crossaccountinvokes", "there", "--namespace", &other]).await?;
    assert!(assume_policy(scenario)?.is_null() && execution_role(scenario)?["inlinePolicies"][&callback].is_null());
    Ok(())
}

async fn named_role(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut with_name = scenario.invoke("named");
    with_name["spec"]["invokeRole"] = json!({"name": "chosen"});
    with_name["spec"]["action"] = json!({"name": "named"});
    // Under the path that the account imposes.
    converge(scenario, &with_name).await?;
    converge(scenario, &scenario.invoke("neighbour")).await?;
    let good = scenario.configuration()?;
    scenario.controller()?.stop().await?;
    patch_account(
        scenario,
        "dev",
        &json!({"spec": {"grants": [{"name": "functions",
        "namespaces": {"names": [scenario.namespace]}, "functions": ["MyFunction"],
        "callers": [scenario.accounts.tools]}]}}),
    )
    .await?;
    put_status(scenario, "named", json!(null)).await?;
    scenario.start_controller().await?;
    scenario.until_reason("named", "NotGranted").await?;
    add_entry(scenario, &format!("arn:aws:iam::{}:role/stray", scenario.accounts.dev))?;
    repaired(scenario, "neighbour", "a stray entry", &good).await?;
    scenario.delete("neighbour").await?;
    scenario.until_gone("neighbour").await?;
    let policy = assume_policy(scenario)?.to_string();
    assert!(policy.contains("/chosen") && !policy.contains("neighbour"), "{policy}");
    Ok(())
}

async fn cannot_be_entered(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    add_entry(scenario, "arn:aws:iam::999999999999:role/whose")?;
    scenario.touch("validate", "look").await?;
    let told = |it: &DynamicObject| message(it).contains("keeps 1 entry that no known object asks for");
    let object = scenario.until("validate", "the entry is reported", told).await?;
    assert!(!object.data["status"].to_string().contains("role/whose"), "{}", object.data["status"]);
    assert!(scenario.controller()?.log().iter().any(|line| line.contains("role/whose")), "the platform's log names it");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    assert!(assume_policy(scenario)?.to_string().contains("role/whose"));
    Ok(())
}

async fn lost_tags(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    let tags = role(scenario, &dev, &name)?["tags"].clone();
    for tag in ["crossinvoke.dev/installation", "crossinvoke.dev/owner"] {
        scenario.aws().remove_tag(&dev, &name, tag).context("a bot")?;
    }
    let bare = scenario.configuration()?;
    let (installation, owner) = (scenario.installation_id.clone(), format!("{}/validate", scenario.namespace));
    let (installation, owner) =
        (format!("crossinvoke.dev/installation={installation}"), format!("crossinvoke.dev/owner={owner}"));
    scenario.touch("validate", "look").await?;
    refused(scenario, "validate", "RoleConflict", &[&name, &installation, &owner, "put back the tags"]).await?;
    scenario.assert_as_before(&bare)?;
    scenario.delete("validate").await?;
    let action = format!("{PIPELINE}/Validate/validate");
    refused(scenario, "validate", "DeletionBlocked", &[&name, &action, &installation, &owner]).await?;
    scenario.assert_as_before(&bare)?;
    for (tag, value) in tags.as_object().cloned().unwrap_or_default() {
        scenario.aws().put_tag(&dev, &name, &tag, value.as_str().unwrap_or_default()).context("putting back")?;
    }
    scenario.touch("validate", "again").await?;
    scenario.until_gone("validate").await?;
    assert_eq!(stages(scenario)?, ["Source", "Build", "Deploy"]);
    assert!(role(scenario, &dev, &name)?.is_null() && assume_policy(scenario)?.is_null());
    Ok(())
}

async fn cost_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let dev = scenario.accounts.dev.clone();
    // Each names the account in its spec and, as a tenant who may write status, in its inventory.
    let claims: Vec<Value> = (0..40)
        .map(|number| {
            json!({"kind": "InvokeRole", "account": dev, "resource": format!("arn:aws:iam::{dev}:role/claimed-{number}"),
                "writtenAt": "2026-01-01T00:00:00Z", "readBack": true})
        })
        .collect();
    for number in 0..60 {
        let name = format!("hostile-{number}");
        let mut hostile = scenario.invoke(&name);
        hostile["spec"]["function"]["name"] = json!("Missing");
        hostile["metadata"]["finalizers"] = json!(["crossinvoke.dev/aws-resources"]);
        scenario.apply(&hostile).await?;
        if number < 5 {
            scenario.until_reason(&name, "NotGranted").await?;
            put_status(scenario, &name, json!({"inventory": claims})).await?;
        }
    }
    converge(scenario, &scenario.invoke("validate")).await?;
    let mark = scenario.mark()?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    let calls = scenario.calls_since(mark)?;
    // Its own role, once a look.
    assert!(calls.of("GetRole") <= 6 && calls.of("ListRoles") <= 3, "{calls}");
    assert!(calls.of("GetFunctionConfiguration") <= 6, "{calls}");
    // Nothing says that most of them ever had anything.
    let mark = scenario.mark()?;
    for number in 5..60 {
        scenario.delete(&format!("hostile-{number}")).await?;
    }
    for number in 5..60 {
        scenario.until_gone(&format!("hostile-{number}")).await?;
    }
    let reads = |calls: &Calls| {
        calls.0.iter().filter(|call| !["AssumeRole", "GetCallerIdentity"].contains(&call.operation.as_str())).count()
    };
    let calls = scenario.calls_since(mark)?;
    assert_eq!(reads(&calls), 0, "{calls}");
    // Of one that claims something the roles are read that it names, once, and its own; and nothing that is shared.
    let mark = scenario.mark()?;
    scenario.delete("hostile-0").await?;
    scenario.until_gone("hostile-0").await?;
    let calls = scenario.calls_since(mark)?;
    assert!(calls.of("GetRole") <= 41 && reads(&calls) == calls.of("GetRole"), "{calls}");
    for number in 1..5 {
        scenario.delete(&format!("hostile-{number}")).await?;
        scenario.until_gone(&format!("hostile-{number}")).await?;
    }
    scenario.assert_as_before(&before)
}

/// Its spec and its status name pipelines that nobody granted it.
async fn learns_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut asks = scenario.invoke("asks");
    asks["spec"]["pipeline"]["name"] = json!("payments-secret-by-spec");
    asks["metadata"]["finalizers"] = json!(["crossinvoke.dev/aws-resources"]);
    scenario.apply(&asks).await?;
    scenario.until_reason("asks", "NotGranted").await?;
    let claim = json!({"kind": "PipelineAction", "account": tools, "stage": "Validate", "action": "asks",
        "resource": format!("arn:aws:codepipeline:{region}:{tools}:payments-secret-by-status"),
        "writtenAt": "2026-01-01T00:00:00Z", "readBack": true});
    put_status(scenario, "asks", json!({"inventory": [claim]})).await?;
    let mark = scenario.mark()?;
    scenario.delete("asks").await?;
    refused(scenario, "asks", "Deleting", &["what exists in AWS because of this object is being looked for"]).await?;
    let object = scenario.invokes().get("asks").await.context("reading")?;
    for told in [message(&object), object.data["status"]["conditions"].to_string()] {
        assert!(!told.contains("secret-by") && !told.contains("not found"), "{told}");
    }
    scenario.until_gone("asks").await?;
    let calls = scenario.calls_since(mark)?;
    // Two looks at what its status names, and none at what its spec does.
    assert_eq!((calls.of("GetPipeline"), calls.of("GetFunctionConfiguration")), (2, 0), "{calls}");
    Ok(())
}

async fn revoked_and_restarted(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    scenario.controller()?.stop().await?;
    patch_account(scenario, "dev", &json!({"spec": {"grants": []}})).await?;
    scenario.start_controller().await?;
    scenario.until_reason("validate", "NotGranted").await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

/// Two tenants declare one action, and then somebody gives one's action the other's role.
async fn conflict(scenario: &mut Scenario<'_>) -> Result<()> {
    let other = second_namespace(scenario).await?;
    scenario.start_controller().await?;
    converge(scenario, &scenario.invoke("mine")).await?;
    scenario.apply(&in_namespace(scenario.invoke("theirs"), &other)).await?;
    let object = converged_there(scenario, &other, "theirs").await?;
    let theirs = object.data["status"]["devAccount"]["invokeRoleARN"].clone();
    scenario.apply(&scenario.invoke("theirs")).await?;
    refused(scenario, "theirs", "ActionConflict", &["another role of crossinvoke"]).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut changed = pipeline(scenario)?;
    let actions = changed["stages"][2]["actions"].as_array_mut().unwrap();
    actions.iter_mut().find(|action| action["name"] == "mine").unwrap()["roleArn"] = theirs.clone();
    scenario.aws().replace_pipeline(&tools, &region, changed).context("their role in my action")?;
    scenario.touch("mine", "look").await?;
    refused(scenario, "mine", "ActionConflict", &["another role of crossinvoke"]).await?;
    let told =
        |it: &DynamicObject| it.data["status"]["drift"]["items"].to_string().contains("another role of crossinvoke");
    scenario.until("mine", "the drift is told", told).await?;
    let theirs = theirs.as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default().to_owned();
    assert!(!theirs.is_empty());
    for name in ["mine", "theirs"] {
        let status = scenario.invokes().get(name).await.context("reading")?.data["status"].to_string();
        assert!(!status.contains(&theirs) && !status.contains(&other), "{status}");
    }
    let events =
        scenario.kubectl().run(&["get", "events", "--namespace", &scenario.namespace, "--output", "json"]).await?;
    assert!(!events.contains(&theirs) && !events.contains(&other), "{events}");
    Ok(())
}

/// A neighbour whose function is in a region that the controller may not read.
async fn unreadable_function(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let deny = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "lambda:*",
        "Resource": "arn:aws:lambda:eu-west-3:*:function:*"}]});
    scenario.aws().put_inline_policy(&scenario.accounts.dev, CONTROLLER_ROLE, "regions", deny).context("a region")?;
    let mut mistyped = scenario.invoke("mistyped");
    mistyped["spec"]["devAccount"]["region"] = json!("eu-west-3");
    scenario.apply(&mistyped).await?;
    scenario.until_reason("mistyped", "AccessDenied").await?;
    converge(scenario, &scenario.invoke("validate")).await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.aws().remove_inline_policy(&scenario.accounts.dev, CONTROLLER_ROLE, "regions").context("the region")?;
    scenario.assert_as_before(&before)
}

/// An object goes as a person may let it go: its finalizer is taken off, and everything of it stays in AWS. Returns its role.
async fn left_behind(scenario: &mut Scenario<'_>) -> Result<String> {
    converge(scenario, &scenario.invoke("one")).await?;
    let role = invoke_role_name(&converge(scenario, &scenario.invoke("left")).await?);
    scenario.controller()?.stop().await?;
    let off = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    scenario.invokes().patch("left", &kube::api::PatchParams::default(), &off).await.context("the finalizer off")?;
    scenario.delete("left").await?;
    scenario.start_controller().await?;
    entered(scenario).await?;
    scenario.touch("one", "after the restart").await?;
    let looked = |it: &DynamicObject| it.data["status"]["lastHandledReconcileAt"] == json!("after the restart");
    scenario.until("one", "looked at after the restart", looked).await?;
    Ok(role)
}

/// Somebody takes an action out of the pipeline, which CodePipeline would otherwise check at every update.
fn take_out(scenario: &Scenario<'_>, action: &str) -> Result<()> {
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut without = pipeline(scenario)?;
    without["stages"][2]["actions"].as_array_mut().unwrap().retain(|it| it["name"] != action);
    scenario.aws().replace_pipeline(&tools, &region, without).context("an action out").map(drop)
}

fn callback_policy(scenario: &Scenario<'_>) -> Result<Value> {
    let name = format!("crossinvoke-{}-callback", scenario.installation_id);
    Ok(execution_role(scenario)?["inlinePolicies"][&name].clone())
}

async fn emptied_trust(scenario: &mut Scenario<'_>) -> Result<()> {
    let left = left_behind(scenario).await?;
    take_out(scenario, "left")?;
    let nobody = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]});
    scenario.hands().put_trust(&scenario.accounts.dev, &left, nobody)?;
    scenario.delete("one").await?;
    scenario.until_gone("one").await?;
    assert!(!callback_policy(scenario)?.is_null(), "{left} needs it once its trust policy is back");
    Ok(())
}

async fn tags_back(scenario: &mut Scenario<'_>) -> Result<()> {
    let left = left_behind(scenario).await?;
    take_out(scenario, "left")?;
    let (dev, tag) = (scenario.accounts.dev.clone(), "crossinvoke.dev/installation");
    // The next process has not seen it with its tag.
    scenario.controller()?.stop().await?;
    scenario.aws().remove_tag(&dev, &left, tag).context("a tag")?;
    scenario.start_controller().await?;
    entered(scenario).await?;
    scenario.delete("one").await?;
    scenario.until_gone("one").await?;
    assert!(callback_policy(scenario)?.is_null(), "it is nobody's role without its tag");
    scenario.hands().put_tag(&dev, &left, tag, &scenario.installation_id)?;
    converge(scenario, &scenario.invoke("three")).await?;
    scenario.delete("three").await?;
    scenario.until_gone("three").await?;
    assert!(!callback_policy(scenario)?.is_null(), "{left} has its tag again and needs it");
    Ok(())
}

async fn strangers(scenario: &mut Scenario<'_>) -> Result<()> {
    let other = second_namespace(scenario).await?;
    scenario.start_controller().await?;
    converge(scenario, &scenario.invoke("mine")).await?;
    scenario.apply(&in_namespace(scenario.invoke("theirs"), &other)).await?;
    let theirs = invoke_role_name(&converged_there(scenario, &other, "theirs").await?);
    scenario.touch("mine", "once they are in place").await?;
    // A look that is still under way would find the drift, and then whoever comes first puts it right.
    let looked = |it: &DynamicObject| it.data["status"]["lastHandledReconcileAt"] == "once they are in place";
    scenario
        .until("mine", "the look is over", |it| looked(it) && crossinvoke_harness::objects::has_reason(it, "Converged"))
        .await?;
    let good = scenario.configuration()?;
    // All entries but mine go, and one comes that nobody asks for.
    let name = format!("crossinvoke-{}-assume", scenario.installation_id);
    let mut policy = assume_policy(scenario)?;
    let entries = policy["Statement"][0]["Resource"].as_array().cloned().unwrap_or_default();
    let mut left: Vec<Value> = entries.into_iter().filter(|entry| !entry.to_string().contains(&theirs)).collect();
    left.push(json!(format!("arn:aws:iam::{}:role/stray", scenario.accounts.dev)));
    policy["Statement"][0]["Resource"] = json!(left);
    scenario.aws().put_inline_policy(&scenario.accounts.tools, PIPELINE_ROLE, &name, policy).context("drift")?;
    repaired(scenario, "mine", "the entries of both", &good).await?;
    let corrected = |it: &DynamicObject| condition(it, "Drifted").is_some_and(|(_, reason)| reason == "Corrected");
    let object = scenario.until("mine", "the drift is corrected", corrected).await?;
    let status = object.data["status"].to_string();
    assert!(
        status.contains("1 entry of another object") && status.contains("entries that no object asks for"),
        "{status}"
    );
    let events =
        scenario.kubectl().run(&["get", "events", "--namespace", &scenario.namespace, "--output", "json"]).await?;
    for told in [status, events] {
        assert!(!told.contains(&theirs) && !told.contains("role/stray") && !told.contains(&other), "{told}");
    }
    Ok(())
}

async fn full_inventory(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    let object = converge(scenario, &invoke).await?;
    let (tools, dev, region) =
        (scenario.accounts.tools.clone(), scenario.accounts.dev.clone(), scenario.accounts.region.clone());
    let busy = scenario.aws().put_execution((&tools, &region, PIPELINE), None, "InProgress", None).context("a run")?;
    invoke["spec"]["action"] = json!({"runOrder": 2});
    scenario.apply(&invoke).await?;
    let waiting = scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    // What two hundred edits would have left.
    let mut status = waiting.data["status"].clone();
    let mut items = status["inventory"].as_array().cloned().unwrap_or_default();
    let role = object.data["status"]["devAccount"]["invokeRoleARN"].clone();
    for number in items.len()..200 {
        items.push(json!({"kind": "InvokePolicy", "account": dev, "resource": role,
            "entry": format!("arn:aws:lambda:{region}:{dev}:function:older-{number}"),
            "writtenAt": "2026-01-01T00:00:00Z", "readBack": true}));
    }
    status["inventory"] = json!(items);
    put_status(scenario, "validate", status).await?;
    invoke["spec"]["action"] = json!({"name": "another"});
    scenario.apply(&invoke).await?;
    refused(scenario, "validate", "InventoryFull", &["200", "delete the object"]).await?;
    scenario.delete("validate").await?;
    scenario.aws().put_execution((&tools, &region, PIPELINE), Some(&busy), "Succeeded", None).context("ending")?;
    scenario.until_gone("validate").await?;
    assert_eq!(pipeline(scenario)?["stages"].as_array().map(Vec::len), Some(3));
    scenario.assert_as_before(&before)
}
