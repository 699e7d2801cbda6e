//! What differs from what was last seen in place is told in status, events and metrics, put right, and told as put right.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, PIPELINE, PIPELINE_ROLE},
    objects::condition,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, invoke_role_name, patch_account, pipeline, put_status, role, status_but_requests},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("drift_is_told_before_it_is_corrected_and_after", Setup::default, told_before_and_after),
        case("each_part_that_drifts_is_named_with_account_and_field", Setup::default, each_part_is_named),
        case("making_and_changing_the_declaration_is_no_drift", unbounded, declaring_is_no_drift),
        case("drift_on_a_busy_pipeline_waits_and_says_so", quick, busy_pipeline),
        case("a_policy_that_grants_goes_and_one_that_denies_is_reported", Setup::default, extra_policies),
        case("corrected_drift_is_forgotten_with_one_write", short_retention, forgotten_with_one_write),
        case("drift_that_cannot_be_corrected_has_failed", Setup::default, cannot_be_corrected),
        case("drift_outlives_the_process_that_found_it", Setup::default, outlives_the_process),
        case("a_wiped_status_is_no_drift", Setup::default, wiped_status),
        case("drift_is_told_although_somebody_edits_the_object_meanwhile", Setup::default, edited_meanwhile),
        case("what_cannot_be_compared_is_not_said_to_be_in_sync", Setup::default, not_compared),
    ]
}

fn quick() -> Setup {
    Setup::default().flags(["--idle-poll=1s"])
}

/// The account imposes a boundary only later.
fn unbounded() -> Setup {
    Setup::default().without_boundary()
}

fn short_retention() -> Setup {
    Setup::default().flags(["--drift-retention=4s"])
}

async fn until_drift(scenario: &Scenario<'_>, reason: &str) -> Result<DynamicObject> {
    let reached = |object: &DynamicObject| condition(object, "Drifted").is_some_and(|(_, seen)| seen == reason);
    scenario.until("validate", &format!("Drifted with reason {reason}"), reached).await
}

fn items(object: &DynamicObject) -> Vec<Value> {
    object.data["status"]["drift"]["items"].as_array().cloned().unwrap_or_default()
}

fn drift_message(object: &DynamicObject) -> String {
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let drifted = conditions.iter().find(|condition| condition["type"] == "Drifted");
    drifted.and_then(|drifted| drifted["message"].as_str()).unwrap_or_default().to_owned()
}

/// Reasons of the object's events, in no order.
async fn events(scenario: &Scenario<'_>) -> std::result::Result<Vec<Value>, String> {
    let namespace = format!("--namespace={}", scenario.namespace);
    let listed = scenario.kubectl().run(&["get", "events.v1.events.k8s.io", &namespace, "--output=json"]).await;
    let listed: Value = serde_json::from_str(&listed.map_err(|error| error.to_string())?).map_err(|e| e.to_string())?;
    let all = listed["items"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().filter(|event| event["regarding"]["name"] == "validate").collect())
}

/// Waits until there is exactly one event of the reason, and returns its note.
async fn only_event(scenario: &Scenario<'_>, reason: &str) -> Result<String> {
    eventually(&format!("one event {reason}"), DEADLINE, async || {
        let all = events(scenario).await?;
        match all.iter().filter(|event| event["reason"] == reason).collect::<Vec<_>>().as_slice() {
            [one] => Ok(one["note"].as_str().unwrap_or_default().to_owned()),
            _ => Err(format!("{all:?}")),
        }
    })
    .await
}

fn trusting(account: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{account}:root")}}]})
}

async fn told_before_and_after(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    assert_eq!(condition(&object, "Drifted"), Some(("False", "InSync")));
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    // The correction is held up, so that what is told before it can be looked at.
    scenario.aws().fault(Fault::next("UpdateAssumeRolePolicy", Effect::Throttle).always()).context("a fault")?;
    scenario.aws().put_trust(&dev, &name, trusting(&scenario.accounts.platform)).context("changing T1")?;
    scenario.touch("validate", "look").await?;

    let object = until_drift(scenario, "Correcting").await?;
    assert_eq!(condition(&object, "Drifted").map(|(status, _)| status), Some("True"));
    let pipeline_role = scenario.accounts.pipeline_role_arn();
    let sentence = format!("trust policy of role {name} in {dev} no longer trusted pipeline role {pipeline_role}");
    assert_eq!(drift_message(&object), format!("{sentence}; being corrected"));
    let found = items(&object);
    assert_eq!(found.len(), 1, "{found:?}");
    let item = &found[0];
    let arn = &object.data["status"]["devAccount"]["invokeRoleARN"];
    assert_eq!((&item["account"], &item["resource"], &item["field"]), (&json!(dev), arn, &json!("trustPolicy")));
    assert_eq!((&item["kind"], &item["handling"]), (&json!("Modified"), &json!("Waiting")));
    assert!(item["observed"].as_str().unwrap().contains(&scenario.accounts.platform), "{item}");
    assert!(item["since"].is_string() && item["correctedAt"].is_null(), "{item}");
    let namespace = format!("--namespace={}", scenario.namespace);
    let table = scenario.kubectl().run(&["get", "crossaccountinvokes", "validate", &namespace]).await?;
    assert!(table.contains("DRIFT") && table.contains("Correcting"), "{table}");
    let open = scenario.controller()?.metric("crossinvoke_drift_found_total{resource=\"InvokeRole\"").await?;
    assert!((open - 1.0).abs() < f64::EPSILON, "found once, however often it was looked at: {open}");

    scenario.aws().clear_faults().context("no faults")?;
    scenario.touch("validate", "look again").await?;
    let object = until_drift(scenario, "Corrected").await?;
    assert_eq!(condition(&object, "Drifted").map(|(status, _)| status), Some("False"));
    let message = drift_message(&object);
    assert!(message.starts_with(&format!("{sentence}; corrected at 20")), "{message}");
    let kept = items(&object);
    assert_eq!((kept.len(), &kept[0]["handling"]), (1, &json!("Corrected")), "{kept:?}");
    assert!(kept[0]["correctedAt"].is_string());
    assert_eq!(kept[0]["since"], item["since"]);
    assert!(only_event(scenario, "Drifted").await?.contains(&sentence));
    assert!(only_event(scenario, "Corrected").await?.contains(&sentence));
    let corrected = scenario.controller()?.metric("crossinvoke_drift_corrected_total{resource=\"InvokeRole\"").await?;
    assert!((corrected - 1.0).abs() < f64::EPSILON, "{corrected}");

    // Looking again writes nothing and tells nothing.
    let status = status_but_requests(&object);
    let mark = scenario.mark()?;
    scenario.touch("validate", "and again").await?;
    scenario.reads_of_one_cycle(mark).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(status_but_requests(&object), status);
    only_event(scenario, "Drifted").await.map(drop)
}

/// Takes one equal item out of the known ones, if there is one.
fn take(known: &mut Vec<Value>, item: &Value) -> bool {
    let at = known.iter().position(|other| other == item);
    at.inspect(|&at| drop(known.remove(at))).is_some()
}

/// Breaks something behind the controller's back, and waits until that one thing is told as corrected.
async fn told(
    scenario: &Scenario<'_>,
    what: &str,
    breaking: impl FnOnce() -> Result<()>,
) -> Result<Vec<(String, String, String)>> {
    let before = items(&scenario.until_reason("validate", "Converged").await?);
    breaking().context(what)?;
    scenario.touch("validate", what).await?;
    // Corrected twice within a second, an item is there twice.
    let new_ones = move |object: &DynamicObject| {
        let mut known = before.clone();
        items(object).into_iter().filter(|item| !take(&mut known, item)).collect::<Vec<Value>>()
    };
    let object = scenario
        .until("validate", &format!("{what} is told as corrected"), |object| {
            let new = new_ones(object);
            !new.is_empty()
                && new.iter().all(|item| item["handling"] == "Corrected")
                && condition(object, "Ready").is_some_and(|(status, _)| status == "True")
        })
        .await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let new = new_ones(&object).into_iter();
    let mut new: Vec<_> = new.map(|item| (text(&item["account"]), text(&item["field"]), text(&item["kind"]))).collect();
    new.sort();
    Ok(new)
}

pub(crate) async fn each_part_is_named(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["action"] = json!({"userParameters": "{\"suite\":\"smoke\"}"});
    let object = converge(scenario, &invoke).await?;
    let (name, id) = (invoke_role_name(&object), scenario.installation_id.clone());
    let (tools, dev, region) =
        (scenario.accounts.tools.clone(), scenario.accounts.dev.clone(), scenario.accounts.region.clone());
    let aws = scenario.hands();
    let own = |part: &str| format!("crossinvoke-{id}-{part}");
    let policy = |part: &str| format!("inline policy {}", own(part));
    let row = |account: &str, field: &str, kind: &str| (account.to_owned(), field.to_owned(), kind.to_owned());

    let removed = told(scenario, "T1 removed", || aws.remove_role(&dev, &name)).await?;
    assert_eq!(removed, [row(&dev, &policy("invoke"), "Missing"), row(&dev, "role", "Missing")]);
    let removed = told(scenario, "P1 removed", || aws.remove_inline_policy(&dev, &name, &own("invoke"))).await?;
    assert_eq!(removed, [row(&dev, &policy("invoke"), "Missing")]);
    let callback = own("callback");
    let removed = told(scenario, "P2 removed", || aws.remove_inline_policy(&dev, EXECUTION_ROLE, &callback)).await?;
    assert_eq!(removed, [row(&dev, &policy("callback"), "Missing")]);
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let widened =
        told(scenario, "P3 widened", || aws.put_inline_policy(&tools, PIPELINE_ROLE, &own("assume"), wide)).await?;
    assert_eq!(widened, [row(&tools, &policy("assume"), "Modified")]);
    let mut changed = pipeline(scenario)?;
    changed["stages"][2]["actions"][0]["configuration"]["UserParameters"] = json!("someone's secret");
    let replaced = told(scenario, "P4 changed", || aws.replace_pipeline(&tools, &region, changed)).await?;
    assert_eq!(replaced, [row(&tools, "configuration.UserParameters", "Modified")]);
    let object = scenario.until_reason("validate", "Converged").await?;
    assert!(!object.data["status"].to_string().contains("secret"), "only lengths are shown");
    let log = scenario.controller()?.log().join("\n");
    assert!(!log.contains("someone's secret"), "nor in logs");
    Ok(())
}

async fn declaring_is_no_drift(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    invoke["spec"]["action"] = json!({"name": "Run", "runOrder": 3, "userParameters": "one"});
    invoke["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
    scenario.apply(&invoke).await?;
    scenario.until_reason("validate", "Converged").await?;
    let boundary = scenario.accounts.boundary_arn();
    let everything = json!({"Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    scenario.aws().put_managed_policy(&boundary, everything).context("a policy")?;
    let roles = json!({"spec": {"invokeRoles": {"permissionsBoundaryARN": boundary}}});
    patch_account(scenario, "dev", &roles).await?;
    let (dev, installation) = (scenario.accounts.dev.clone(), scenario.installation_id.clone());
    let name = invoke_role_name(&scenario.until_reason("validate", "Converged").await?);
    eventually("the boundary is set", DEADLINE, async || {
        let role = role(scenario, &dev, &name).map_err(|error| error.to_string())?;
        if role["permissionsBoundary"] == boundary.as_str() { Ok(()) } else { Err(role.to_string()) }
    })
    .await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(condition(&object, "Drifted"), Some(("False", "InSync")), "{installation}");
    assert!(object.data["status"]["drift"].is_null(), "{}", object.data["status"]);
    let all = events(scenario).await.map_err(crossinvoke_harness::Error::new)?;
    assert!(!all.iter().any(|event| event["reason"] == "Drifted"), "{all:?}");
    Ok(())
}

async fn busy_pipeline(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["action"] = json!({"runOrder": 1});
    converge(scenario, &invoke).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut changed = pipeline(scenario)?;
    changed["stages"][2]["actions"][0]["runOrder"] = json!(9);
    scenario.aws().replace_pipeline(&tools, &region, changed).context("changing P4")?;
    let busy = |id: Option<&str>, status: &str| {
        scenario.aws().put_execution((&tools, &region, PIPELINE), id, status, None).context("an execution")
    };
    busy(None, "InProgress")?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "look").await?;
    let object = scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    assert_eq!(condition(&object, "Drifted"), Some(("True", "Correcting")));
    let found = items(&object);
    assert_eq!((found.len(), &found[0]["field"], &found[0]["handling"]), (1, &json!("runOrder"), &json!("Waiting")));
    assert_eq!((&found[0]["desired"], &found[0]["observed"]), (&json!("1"), &json!("9")));
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 0);
    // While it waits, more is done by hand, and then all of it taken away. A change of the pipeline ends its executions,
    // so from here on it is the update that does not get through.
    scenario.aws().fault(Fault::next("UpdatePipeline", Effect::Throttle).always()).context("a fault")?;
    let mut further = pipeline(scenario)?;
    further["stages"][2]["actions"][0]["configuration"]["FunctionName"] = json!("Evil");
    scenario.aws().replace_pipeline(&tools, &region, further).context("changing more of P4")?;
    scenario.touch("validate", "look at more").await?;
    let two = |object: &DynamicObject| items(object).len() == 2;
    scenario.until("validate", "the second difference is told", two).await?;
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    scenario.aws().replace_pipeline(&tools, &region, without).context("removing P4")?;
    scenario.touch("validate", "look at nothing").await?;
    let three = |object: &DynamicObject| {
        let found = items(object);
        found.len() == 3 && found.iter().all(|item| item["handling"] == "Waiting")
    };
    let object = scenario.until("validate", "its removal is told, and nothing as corrected", three).await?;
    assert_eq!(condition(&object, "Drifted"), Some(("True", "Correcting")));
    scenario.aws().clear_faults().context("no faults")?;
    scenario.touch("validate", "go on").await?;
    let object = until_drift(scenario, "Corrected").await?;
    assert!(items(&object).iter().all(|item| item["handling"] == "Corrected"), "{:?}", items(&object));
    Ok(())
}

async fn extra_policies(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    let statement = |effect: &str| json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": "*", "Resource": "*"}]});
    let (granting, denying) =
        (format!("arn:aws:iam::{dev}:policy/grants"), format!("arn:aws:iam::{dev}:policy/denies"));
    let aws = scenario.aws().clone();
    aws.put_managed_policy(&granting, statement("Allow")).context("a policy")?;
    aws.put_managed_policy(&denying, statement("Deny")).context("a policy")?;
    aws.put_inline_policy(&dev, &name, "AWSRevokeOlderSessions", statement("Deny")).context("a revocation")?;
    aws.put_inline_policy(&dev, &name, "more", statement("Allow")).context("an inline policy")?;
    aws.attach_policy(&dev, &name, &granting).context("attaching")?;
    aws.attach_policy(&dev, &name, &denying).context("attaching")?;
    scenario.touch("validate", "look").await?;
    let object = until_drift(scenario, "Reported").await?;
    assert_eq!(
        condition(&object, "Ready"),
        Some(("True", "Converged")),
        "a denial is reported and keeps nobody waiting"
    );
    let mut told: Vec<(String, String)> = items(&object)
        .iter()
        .map(|item| (item["field"].as_str().unwrap().to_owned(), item["handling"].as_str().unwrap().to_owned()))
        .collect();
    told.sort();
    let expected = [
        ("inline policy AWSRevokeOlderSessions".to_owned(), "Reported"),
        ("inline policy more".to_owned(), "Corrected"),
        (format!("managed policy {denying}"), "Reported"),
        (format!("managed policy {granting}"), "Corrected"),
    ];
    assert_eq!(told, expected.map(|(field, handling)| (field, handling.to_owned())));
    let left = role(scenario, &dev, &name)?;
    assert_eq!(left["attachedPolicies"], json!([denying]));
    assert!(left["inlinePolicies"]["more"].is_null() && !left["inlinePolicies"]["AWSRevokeOlderSessions"].is_null());
    // Deletion takes the denials along: the role goes as a whole.
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    assert!(role(scenario, &dev, &name)?.is_null());
    Ok(())
}

async fn forgotten_with_one_write(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    scenario.aws().put_trust(&dev, &name, trusting(&scenario.accounts.platform)).context("changing T1")?;
    scenario.touch("validate", "look").await?;
    let corrected = until_drift(scenario, "Corrected").await?;
    // Every version of the object from here on, so that a second write would be seen.
    let parameters = kube::api::WatchParams::default().fields("metadata.name=validate");
    let version = corrected.metadata.resource_version.clone().unwrap_or_default();
    let mut watch = Box::pin(scenario.invokes().watch(&parameters, &version).await.context("watching")?);
    let next = async {
        use futures::TryStreamExt as _;
        watch.try_next().await
    };
    let next = tokio::time::timeout(DEADLINE, next).await.context("a change in time")?.context("watching")?;
    let Some(kube::api::WatchEvent::Modified(object)) = next else {
        return Err(crossinvoke_harness::Error::new(format!("not a change: {next:?}")));
    };
    assert_eq!(condition(&object, "Drifted"), Some(("False", "InSync")), "the first write after it");
    assert!(items(&object).is_empty());
    let drift = &object.data["status"]["drift"];
    assert!(drift["lastDetectedAt"].is_string() && drift["lastCorrectedAt"].is_string(), "{drift}");
    Ok(())
}

async fn cannot_be_corrected(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    let denied = Effect::fail("AccessDenied", "User: x is not authorized to perform: iam:UpdateAssumeRolePolicy", 403);
    scenario.aws().fault(Fault::next("UpdateAssumeRolePolicy", denied).always()).context("a fault")?;
    scenario.aws().put_trust(&dev, &name, trusting(&scenario.accounts.platform)).context("changing T1")?;
    scenario.touch("validate", "look").await?;
    let object = scenario.until_reason("validate", "AccessDenied").await?;
    assert_eq!(condition(&object, "Drifted"), Some(("True", "Correcting")));
    assert_eq!(items(&object)[0]["handling"], "Failed");
    assert!(only_event(scenario, "Stalled").await?.contains("AccessDenied"));
    // A process that comes after knows the age of what was found before it.
    scenario.restart_controller().await?;
    let controller = scenario.controller()?;
    eventually("the age of the oldest", DEADLINE, async || {
        let age = controller.metric("crossinvoke_drift_oldest_uncorrected_seconds").await;
        let age = age.map_err(|error| error.to_string())?;
        if age >= 1.0 { Ok(()) } else { Err(age.to_string()) }
    })
    .await?;
    scenario.aws().clear_faults().context("no faults")?;
    scenario.touch("validate", "again").await?;
    until_drift(scenario, "Corrected").await.map(drop)
}

async fn outlives_the_process(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    scenario.aws().fault(Fault::next("UpdateAssumeRolePolicy", Effect::Throttle).always()).context("a fault")?;
    scenario.aws().put_trust(&dev, &name, trusting(&scenario.accounts.platform)).context("changing T1")?;
    scenario.touch("validate", "look").await?;
    let found = items(&until_drift(scenario, "Correcting").await?);
    scenario.controller()?.kill()?;
    scenario.aws().clear_faults().context("no faults")?;
    scenario.start_controller().await?;
    let object = until_drift(scenario, "Corrected").await?;
    let kept = items(&object);
    assert_eq!((kept.len(), &kept[0]["since"]), (1, &found[0]["since"]), "{kept:?}");
    // What changed while no controller ran is drift as well: the digests are in the status.
    scenario.controller()?.kill()?;
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    scenario.aws().remove_inline_policy(&dev, EXECUTION_ROLE, &callback).context("removing P2")?;
    scenario.start_controller().await?;
    let field = format!("inline policy {callback}");
    let there = |object: &DynamicObject| {
        items(object).iter().any(|item| item["field"] == field.as_str() && item["handling"] == "Corrected")
    };
    scenario.until("validate", "P2 is told as corrected", there).await.map(drop)
}

async fn wiped_status(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let mark = scenario.mark()?;
    put_status(scenario, "validate", json!({})).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(condition(&object, "Drifted"), Some(("False", "InSync")));
    assert_eq!(scenario.calls_since(mark)?.mutating(), 0);
    Ok(())
}

/// The record before the correction meets a newer object, and everything is done again on that.
async fn edited_meanwhile(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    scenario.aws().put_trust(&dev, &name, trusting(&scenario.accounts.platform)).context("changing T1")?;
    let delay = Effect::Delay { milliseconds: 3_000 };
    scenario.aws().fault(Fault::next("GetRole", delay)).context("a slow call")?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "look").await?;
    eventually("the look is under way", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("GetFunctionConfiguration") > 0 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    scenario.touch("validate", "meanwhile").await?;
    let object = until_drift(scenario, "Corrected").await?;
    assert_eq!(items(&object).len(), 1, "{:?}", items(&object));
    only_event(scenario, "Drifted").await?;
    only_event(scenario, "Corrected").await.map(drop)
}

async fn not_compared(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev) = (invoke_role_name(&object), scenario.accounts.dev.clone());
    // Its stage and the anchor are gone: it cannot be put right, and the rest is looked at all the same.
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    without["stages"][1]["name"] = json!("Compile");
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    scenario.aws().replace_pipeline(&tools, &region, without).context("renaming the anchor")?;
    scenario.aws().put_trust(&dev, &name, trusting(&scenario.accounts.platform)).context("changing T1")?;
    scenario.touch("validate", "look").await?;
    let object = scenario.until_reason("validate", "StageNotFound").await?;
    let told: Vec<Value> = items(&object).iter().map(|item| item["field"].clone()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.contains(&json!("action")) && told.contains(&json!("trustPolicy")), "{told:?}");
    assert!(items(&object).iter().all(|item| item["handling"] == "Failed"));
    assert_eq!(condition(&object, "Drifted"), Some(("True", "Correcting")));
    // Where nothing can be looked at, nothing is claimed.
    let other = scenario.invoke("other");
    converge_after(scenario, &other).await
}

/// An object that was in sync and is granted nothing any more.
async fn converge_after(scenario: &mut Scenario<'_>, invoke: &Value) -> Result<()> {
    let mut elsewhere = invoke.clone();
    elsewhere["spec"]["stage"] = json!({"name": "Deploy"});
    elsewhere["spec"]["action"] = json!({"runOrder": 1});
    scenario.apply(&elsewhere).await?;
    scenario.until_reason("other", "Converged").await?;
    patch_account(scenario, "dev", &json!({"spec": {"grants": []}})).await?;
    let object = scenario.until_reason("other", "NotGranted").await?;
    assert_eq!(condition(&object, "Drifted"), Some(("Unknown", "NotCompared")));
    Ok(())
}
