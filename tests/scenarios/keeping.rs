//! What the platform, a person or a bot puts on an invoke role beside what we wrote: tags, policies, a boundary, another
//! spelling of the trust policy.

use std::collections::BTreeSet;

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    objects::condition,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, message, patch_account, refused, repaired, role},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("tags_of_the_platform_are_on_every_role", tagging, tags_of_the_platform),
        case("a_tag_that_changes_its_case_is_one_call", tagging, a_tag_that_changes_its_case),
        case("what_an_incident_left_on_a_role_is_kept_as_far_as_it_denies", tolerating, after_an_incident),
        case("a_policy_that_returns_is_removed_three_times_and_then_stays", Setup::default, a_policy_that_returns),
        case("a_refused_removal_has_failed_and_the_object_is_ready", Setup::default, a_refused_removal),
        case("a_boundary_that_does_not_exist_is_named_on_account_and_object", boundary_gone, a_missing_boundary),
        case("a_boundary_that_goes_is_found_by_the_next_regular_look", looking_often, a_boundary_that_goes),
        case("a_trust_policy_in_another_spelling_is_left_alone", Setup::default, another_spelling),
    ]
}

/// The account imposes a tag and lets objects set another one, in two spellings.
fn tagging() -> Setup {
    Setup::default().aws_accounts(|_, dev| {
        let roles = &mut dev["spec"]["invokeRoles"];
        roles["tags"] = json!({"CostCenter": "4711"});
        roles["allowedTagKeys"] = json!(["team", "Team"]);
    })
}

fn tolerating() -> Setup {
    Setup::default().aws_accounts(|_, dev| {
        dev["spec"]["invokeRoles"]["toleratedPolicies"] = json!(["org-audit-*", "arn:aws:iam::aws:policy/CloudWatch*"]);
    })
}

fn looking_often() -> Setup {
    Setup::default().flags(["--account-interval", "2s", "--account-retry", "1s"])
}

/// The boundary that the account imposes is not there.
fn boundary_gone() -> Setup {
    Setup::default().seed(|accounts, seed| {
        seed.managed_policies.remove(&accounts.boundary_arn()).expect("the boundary");
    })
}

fn policy(effects: &[&str]) -> Value {
    let statement = |effect: &&str| json!({"Effect": effect, "Action": "s3:*", "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": effects.iter().map(statement).collect::<Vec<_>>()})
}

/// Waits until the invoke role is as described.
async fn until_role(
    scenario: &Scenario<'_>,
    name: &str,
    what: &str,
    reached: impl Fn(&Value) -> bool,
) -> Result<Value> {
    eventually(what, DEADLINE, async || {
        let role = role(scenario, &scenario.accounts.dev, name).map_err(|error| error.to_string())?;
        if reached(&role) { Ok(role) } else { Err(role.to_string()) }
    })
    .await
}

fn status_of<'a>(object: &'a DynamicObject, list: &str) -> &'a [Value] {
    object.data["status"].pointer(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

async fn tags_of_the_platform(scenario: &mut Scenario<'_>) -> Result<()> {
    let mark = scenario.mark()?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
    let object = converge(scenario, &invoke).await?;
    let name = invoke_role_name(&object);
    let tags = role(scenario, &scenario.accounts.dev, &name)?["tags"].clone();
    assert_eq!((&tags["CostCenter"], &tags["team"]), (&json!("4711"), &json!("payments")));
    assert_eq!(scenario.calls_since(mark)?.of("TagRole"), 0, "a rule on aws:RequestTag must see them in CreateRole");

    let good = scenario.configuration()?;
    scenario.aws().put_tag(&scenario.accounts.dev, &name, "CostCenter", "0").context("a tag")?;
    repaired(scenario, "validate", "an imposed tag", &good).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    let items = status_of(&object, "/drift/items");
    assert!(items.iter().any(|item| item["field"] == "tag CostCenter"), "{items:?}");

    patch_account(scenario, "dev", &json!({"spec": {"invokeRoles": {"tags": {"CostCenter": "4712"}}}})).await?;
    until_role(scenario, &name, "the new value", |role| role["tags"]["CostCenter"] == "4712").await?;
    // What is no longer imposed is a tag like any other.
    patch_account(scenario, "dev", &json!({"spec": {"invokeRoles": {"tags": {"CostCenter": null, "Env": "dev"}}}}))
        .await?;
    let left = until_role(scenario, &name, "another tag", |role| role["tags"]["Env"] == "dev").await?;
    assert_eq!(left["tags"]["CostCenter"], "4712");
    Ok(())
}

async fn a_tag_that_changes_its_case(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
    let object = converge(scenario, &invoke).await?;
    let name = invoke_role_name(&object);
    let mark = scenario.mark()?;
    invoke["spec"]["invokeRole"] = json!({"tags": {"Team": "payments"}});
    scenario.apply(&invoke).await?;
    let tagged = until_role(scenario, &name, "the new spelling", |role| role["tags"]["Team"] == "payments").await?;
    scenario.until_reason("validate", "Converged").await?;
    assert!(tagged["tags"]["team"].is_null(), "IAM knows one key: {tagged}");
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("TagRole"), calls.of("UntagRole")), (1, 0), "{calls}");

    invoke["spec"]["invokeRole"] = json!({"tags": {"Team": "payments", "team": "payments"}});
    scenario.apply(&invoke).await?;
    refused(scenario, "validate", "InvalidSpec", &["spec.invokeRole.tags", "Team and team"]).await
}

async fn after_an_incident(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev, aws) = (invoke_role_name(&object), scenario.accounts.dev.clone(), scenario.aws().clone());
    let quarantine = format!("arn:aws:iam::{dev}:policy/incident/quarantine-deny");
    let (sessions, logs) =
        ("arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy");
    for (arn, effect) in [(quarantine.as_str(), "Deny"), (sessions, "Allow"), (logs, "Allow")] {
        aws.put_managed_policy(arn, policy(&[effect])).context("a managed policy")?;
        aws.attach_policy(&dev, &name, arn).context("attaching")?;
    }
    for (inline, effects) in [
        ("AWSRevokeOlderSessions", ["Deny"].as_slice()),
        ("org-baseline", &["Deny", "Allow"]),
        ("org-audit-1", &["Allow"]),
    ] {
        aws.put_inline_policy(&dev, &name, inline, policy(effects)).context("an inline policy")?;
    }
    scenario.touch("validate", "look").await?;
    let reported = |object: &DynamicObject| condition(object, "Drifted") == Some(("True", "Reported"));
    let object = scenario.until("validate", "the denials are reported", reported).await?;
    assert_eq!(condition(&object, "Ready"), Some(("True", "Converged")));
    let told: BTreeSet<(&str, &str)> = status_of(&object, "/drift/items")
        .iter()
        .map(|item| (item["field"].as_str().unwrap(), item["handling"].as_str().unwrap()))
        .collect();
    let (attached, quarantined) = (format!("managed policy {sessions}"), format!("managed policy {quarantine}"));
    let expected = BTreeSet::from([
        ("inline policy AWSRevokeOlderSessions", "Reported"),
        ("inline policy org-baseline", "Corrected"),
        (attached.as_str(), "Corrected"),
        (quarantined.as_str(), "Reported"),
    ]);
    assert_eq!(told, expected, "what the platform tolerates is no difference");
    let baseline = status_of(&object, "/drift/items").iter().find(|item| item["field"] == "inline policy org-baseline");
    let observed = baseline.unwrap()["observed"].as_str().unwrap();
    assert!(observed.contains("what it denies goes with it"), "{observed}");

    let left = role(scenario, &dev, &name)?;
    let inline: BTreeSet<&String> = left["inlinePolicies"].as_object().unwrap().keys().collect();
    assert!(
        inline.iter().any(|name| *name == "AWSRevokeOlderSessions") && inline.iter().any(|name| *name == "org-audit-1"),
        "{inline:?}"
    );
    assert!(!inline.iter().any(|name| *name == "org-baseline"), "{inline:?}");
    let stays: BTreeSet<&str> = left["attachedPolicies"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(stays, BTreeSet::from([quarantine.as_str(), logs]));
    // All of it has to go before the role can.
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    assert!(role(scenario, &dev, &name)?.is_null());
    Ok(())
}

async fn a_policy_that_returns(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev, aws) = (invoke_role_name(&object), scenario.accounts.dev.clone(), scenario.aws().clone());
    let put = |inline: &str| aws.put_inline_policy(&dev, &name, inline, policy(&["Allow"])).context("an inline policy");
    for time in ["once", "twice", "three times"] {
        put("audit")?;
        scenario.touch("validate", time).await?;
        until_role(scenario, &name, &format!("audit is gone {time}"), |role| role["inlinePolicies"]["audit"].is_null())
            .await?;
        scenario.until_reason("validate", "Converged").await?;
    }
    put("audit")?;
    scenario.touch("validate", "four times").await?;
    let stays = |object: &DynamicObject| condition(object, "Drifted") == Some(("True", "Reported"));
    let object = scenario.until("validate", "the policy is reported", stays).await?;
    assert_eq!(condition(&object, "Contested"), Some(("True", "PolicyReturns")));
    assert_eq!(condition(&object, "Ready"), Some(("True", "Converged")));
    let contested = status_of(&object, "/contested");
    assert_eq!(
        (contested.len(), &contested[0]["count"], &contested[0]["field"]),
        (1, &json!(3), &json!("inline policy audit"))
    );

    let metric = "crossinvoke_contested{resource=\"InvokeRole\"}";
    assert!((scenario.controller()?.metric(metric).await? - 1.0).abs() < f64::EPSILON);
    let namespace = format!("--namespace={}", scenario.namespace);
    let events = scenario.kubectl().run(&["get", "events", &namespace, "--field-selector=reason=Contested"]).await?;
    assert_eq!(events.lines().filter(|line| line.contains("inline policy audit")).count(), 1, "{events}");

    // Another process takes nobody's word that it was removed three times: it tries once. Another policy is counted by
    // itself.
    scenario.restart_controller().await?;
    until_role(scenario, &name, "it is gone once more", |role| role["inlinePolicies"]["audit"].is_null()).await?;
    put("audit")?;
    put("other")?;
    scenario.touch("validate", "after the restart").await?;
    let left =
        until_role(scenario, &name, "the other one is gone", |role| role["inlinePolicies"]["other"].is_null()).await?;
    assert!(!left["inlinePolicies"]["audit"].is_null(), "{left}");
    let counted = |object: &DynamicObject| status_of(object, "/contested").len() == 2;
    let object = scenario.until("validate", "both are counted", counted).await?;
    assert_eq!(condition(&object, "Contested"), Some(("True", "PolicyReturns")));
    Ok(())
}

async fn a_refused_removal(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, dev, aws) = (invoke_role_name(&object), scenario.accounts.dev.clone(), scenario.aws().clone());
    let denial = format!(
        "User: x is not authorized to perform: iam:DetachRolePolicy on resource: role {name} with an explicit deny in a service \
         control policy"
    );
    aws.fault(Fault::next("DetachRolePolicy", Effect::fail("AccessDenied", &denial, 403)).always())
        .context("a fault")?;
    let granting = format!("arn:aws:iam::{dev}:policy/grants");
    aws.put_managed_policy(&granting, policy(&["Allow"])).context("a managed policy")?;
    aws.attach_policy(&dev, &name, &granting).context("attaching")?;
    scenario.touch("validate", "look").await?;
    let failed = |object: &DynamicObject| {
        let items = status_of(object, "/drift/items");
        items.iter().any(|item| item["handling"] == "Failed")
            && condition(object, "Ready") == Some(("True", "Converged"))
    };
    let object = scenario.until("validate", "the removal has failed", failed).await?;
    let conditions = status_of(&object, "/conditions").to_vec();
    let drifted = conditions.iter().find(|condition| condition["type"] == "Drifted").unwrap();
    let said = drifted["message"].as_str().unwrap();
    assert!(
        said.contains("service control policy of the organization denies it") && said.contains(&granting),
        "{said}"
    );

    // Each look tries again and says nothing else.
    let mark = scenario.mark()?;
    scenario.touch("validate", "again").await?;
    eventually("it is tried again", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("DetachRolePolicy") > 0 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    aws.clear_faults().context("no faults")?;
    scenario.touch("validate", "once more").await?;
    let corrected =
        |object: &DynamicObject| condition(object, "Drifted").is_some_and(|(_, reason)| reason == "Corrected");
    let object = scenario.until("validate", "it is gone", corrected).await?;
    let ready =
        |conditions: &[Value]| conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap();
    let (before, after) = (ready(&conditions), ready(status_of(&object, "/conditions")));
    assert_eq!(before["lastTransitionTime"], after["lastTransitionTime"], "the object stayed ready");
    Ok(())
}

async fn a_missing_boundary(scenario: &mut Scenario<'_>) -> Result<()> {
    let (account, dev) = (format!("{}-dev", scenario.namespace), scenario.accounts.dev.clone());
    let boundary = &scenario.accounts.boundary_arn();
    let object = scenario.until_account_reason(&account, "InvalidBoundary").await?;
    let said = message(&object);
    assert!(said.contains(boundary) && said.contains("permissionsBoundaryARN"), "{said}");
    assert_eq!(condition(&object, "Stalled"), Some(("True", "InvalidBoundary")));
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "InvalidBoundary", &[boundary, &dev, "permissionsBoundaryARN"]).await?;
    scenario.aws().put_managed_policy(boundary, policy(&["Allow"])).context("the boundary")?;
    patch_account(scenario, "dev", &json!({"metadata": {"labels": {"look": "again"}}})).await?;
    entered(scenario).await?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await.map(|_| ())
}

/// Nobody asks for a look, and no object changes.
async fn a_boundary_that_goes(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (account, boundary) = (format!("{}-dev", scenario.namespace), scenario.accounts.boundary_arn());
    scenario.aws().remove_managed_policy(&boundary).context("taking the boundary away")?;
    let object = scenario.until_account_reason(&account, "InvalidBoundary").await?;
    assert!(message(&object).contains(&boundary), "{}", message(&object));
    assert_eq!(condition(&object, "Stalled"), Some(("True", "InvalidBoundary")));
    scenario.aws().put_managed_policy(&boundary, policy(&["Allow"])).context("putting the boundary back")?;
    entered(scenario).await
}

async fn another_spelling(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (name, accounts) = (invoke_role_name(&object), scenario.accounts.clone());
    let good = scenario.configuration()?;
    let (tools, pipeline_role) = (&accounts.tools, accounts.pipeline_role_arn());
    let root = accounts.iam_arn(tools, "root");
    let statement = json!({"Sid": "PipelineRole", "Effect": "Allow", "Principal": {"AWS": [tools]},
        "Action": ["STS:AssumeRole"], "Condition": {"ArnEquals": {"AWS:PrincipalARN": [pipeline_role]}}});
    let document = |statement: &Value| json!({"Version": "2012-10-17", "Id": "Trust", "Statement": statement});
    let mark = scenario.mark()?;
    scenario.aws().put_trust(&accounts.dev, &name, document(&statement)).context("the same in another spelling")?;
    scenario.touch("validate", "look").await?;
    scenario.reads_of_one_cycle(mark).await?;
    scenario.touch("validate", "look again").await?;
    let second = scenario.mark()?;
    scenario.reads_of_one_cycle(second).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.mutating(), 0, "{calls}");

    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = statement.clone();
        change(&mut changed);
        document(&changed)
    };
    let mut old = document(&statement);
    old["Version"] = json!("2008-10-17");
    let pattern = accounts.iam_arn(tools, "role/*");
    for (what, trust) in [
        ("the older version", old),
        ("a pattern", with(&|it| it["Condition"] = json!({"ArnLike": {"aws:PrincipalArn": pattern}}))),
        (
            "a second principal",
            with(&|it| it["Principal"] = json!({"AWS": [&root, accounts.iam_arn(&accounts.dev, "root")]})),
        ),
        ("the id of a deleted role", with(&|it| it["Principal"] = json!({"AWS": [&root, "AROAEXAMPLEDELETED01"]}))),
    ] {
        scenario.aws().put_trust(&accounts.dev, &name, trust).context(what)?;
        repaired(scenario, "validate", what, &good).await?;
    }
    Ok(())
}
