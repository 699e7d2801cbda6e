//! Each part of a grant that is missing is named, and changes of grants and labels take effect at once.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup, objects,
    wait::{DEADLINE, eventually},
};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, patch_account, refused},
};

/// A change of the AwsAccounts (tools, dev), of the spec, and what the refusal must name.
type Missing = (fn(&mut Value, &mut Value), fn(&mut Value), &'static [&'static str]);

const MISSING: [Missing; 11] = [
    (|tools, _| tools["spec"]["grants"] = json!([]), |_| {}, &["-tools", "namespace"]),
    (|_, dev| dev["spec"]["grants"][0]["namespaces"] = json!({"names": ["other"]}), |_| {}, &["-dev", "namespace"]),
    (
        |tools, _| tools["spec"]["grants"][0]["pipelines"] = json!(["other-*"]),
        |_| {},
        &["pipelines", "payments-release", "other-*"],
    ),
    (|_, dev| dev["spec"]["grants"][0]["functions"] = json!(["Other"]), |_| {}, &["functions", "MyFunction"]),
    (
        |tools, _| tools["spec"]["grants"][0]["regions"] = json!(["eu-west-1"]),
        |_| {},
        &["-tools", "us-east-1", "regions", "eu-west-1"],
    ),
    (
        |_, dev| dev["spec"]["grants"][0]["regions"] = json!(["eu-west-1", "eu-north-1"]),
        |_| {},
        &["-dev", "us-east-1", "regions", "eu-west-1, eu-north-1"],
    ),
    (
        |_, dev| dev["spec"]["invokeRoles"]["tags"] = json!({"CostCenter": "4711"}),
        |spec| spec["invokeRole"] = json!({"tags": {"costcenter": "0"}}),
        &["-dev", "costcenter", "CostCenter"],
    ),
    (|_, dev| dev["spec"]["grants"][0]["callers"] = json!(["999999999999"]), |_| {}, &["callers", "999999999999"]),
    (|_, _| {}, |spec| spec["invokeRole"] = json!({"name": "mine"}), &["NamedRole", "spec.invokeRole.name"]),
    (|_, _| {}, |spec| spec["invokeRole"] = json!({"trust": "AccountRoot"}), &["AccountRootTrust"]),
    (|_, _| {}, |spec| spec["invokeRole"] = json!({"tags": {"owner": "me"}}), &["owner", "allowedTagKeys"]),
];

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("each_missing_part_of_a_grant_is_named", Setup::default, each_missing_part_of_a_grant_is_named),
        case("accounts_of_two_partitions_are_refused", Setup::default, accounts_of_two_partitions_are_refused),
        case("two_accounts_of_one_id_open_nothing", Setup::default, two_accounts_of_one_id_open_nothing),
        case("either_of_two_accounts_of_one_id_can_be_deleted", retrying, either_of_two_can_be_deleted),
        case("a_namespace_label_opens_and_closes_the_gate", by_label, a_namespace_label_opens_and_closes_the_gate),
        case("what_an_account_imposes_is_on_every_role", imposing, what_an_account_imposes_is_on_every_role),
    ]
}

async fn each_missing_part_of_a_grant_is_named(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    for (index, (accounts, change, parts)) in MISSING.into_iter().enumerate() {
        let mut tools = objects::tools_account(&scenario.accounts, &scenario.namespace);
        let mut dev = objects::dev_account(&scenario.accounts, &scenario.namespace);
        accounts(&mut tools, &mut dev);
        scenario.apply(&tools).await?;
        scenario.apply(&dev).await?;
        let name = format!("missing-{index}");
        let mut invoke = scenario.invoke(&name);
        change(&mut invoke["spec"]);
        scenario.apply(&invoke).await?;
        refused(scenario, &name, "NotGranted", parts).await?;
        scenario.delete(&name).await?;
        scenario.until_gone(&name).await?;
    }
    scenario.assert_as_before(&before)
}

async fn accounts_of_two_partitions_are_refused(scenario: &mut Scenario<'_>) -> Result<()> {
    let dev = &scenario.accounts.dev;
    let role = format!("arn:aws-eusc:iam::{dev}:role/crossinvoke");
    patch_account(scenario, "dev", &json!({"spec": {"roleARN": role}})).await?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "InvalidSpec", &["-tools is in partition aws", "-dev in aws-eusc", "one partition"])
        .await?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["function"]["executionRole"] = json!(format!("arn:aws-cn:iam::{dev}:role/f"));
    scenario.apply(&invoke).await?;
    patch_account(scenario, "dev", &json!({"spec": {"roleARN": scenario.accounts.controller_role_arn(dev)}})).await?;
    let says = |object: &kube::api::DynamicObject| crate::support::message(object).contains("executionRole in aws-cn");
    scenario.until("validate", "the execution role's partition is named", says).await.map(|_| ())
}

async fn two_accounts_of_one_id_open_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut second = objects::dev_account(&scenario.accounts, &scenario.namespace);
    second["metadata"]["name"] = json!(format!("{}-again", scenario.namespace));
    scenario.apply(&second).await?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let names = [format!("{}-again", scenario.namespace), format!("{}-dev", scenario.namespace)];
    refused(scenario, "validate", "DuplicateAccount", &[&names[0], &names[1]]).await?;
    scenario.until_account_reason(&names[0], "DuplicateAccount").await?;
    let delete = kube::api::DeleteParams::default();
    scenario.aws_accounts().delete(&names[0], &delete).await.context("deleting one")?;
    scenario.until_reason("validate", "Converged").await.map(|_| ())
}

fn retrying() -> Setup {
    Setup::default().flags(["--stalled-retry", "2s"])
}

/// What the message says to do leads out, whichever of them is deleted and whatever is in place.
async fn either_of_two_can_be_deleted(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    let [first, second] = ["dev", "again"].map(|which| format!("{}-{which}", scenario.namespace));
    converge(scenario, &scenario.invoke("validate")).await?;
    let good = scenario.configuration()?;
    let made = |name: &str| {
        let mut account = objects::dev_account(&scenario.accounts, &scenario.namespace);
        account["metadata"]["name"] = json!(name);
        account
    };
    for (added, deleted, stays) in [(&second, &second, &first), (&second, &first, &second)] {
        scenario.apply(&made(added)).await?;
        refused(scenario, "validate", "DuplicateAccount", &[&first, &second]).await?;
        for name in [&first, &second] {
            scenario.until_account_reason(name, "DuplicateAccount").await?;
        }
        delete_account(scenario, deleted).await?;
        until_account_gone(scenario, deleted).await?;
        scenario.until_account_reason(stays, "Converged").await?;
        scenario.until_reason("validate", "Converged").await?;
        scenario.assert_as_before(&good)?;
    }
    // Of several that all go the oldest stays until nothing is left.
    scenario.apply(&made(&first)).await?;
    refused(scenario, "validate", "DuplicateAccount", &[&first, &second]).await?;
    scenario.until_account_reason(&first, "DuplicateAccount").await?;
    // A running controller may see one go before the other, and then rightly takes the second for the one that stays.
    scenario.controller()?.stop().await?;
    delete_account(scenario, &second).await?;
    delete_account(scenario, &first).await?;
    scenario.start_controller().await?;
    until_account_gone(scenario, &first).await?;
    let oldest = scenario.aws_accounts().get(&second).await.context("the oldest")?;
    assert!(oldest.metadata.deletion_timestamp.is_some());
    scenario.assert_as_before(&good)?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    until_account_gone(scenario, &second).await?;
    scenario.assert_as_before(&before)
}

async fn delete_account(scenario: &Scenario<'_>, name: &str) -> Result<()> {
    scenario.aws_accounts().delete(name, &kube::api::DeleteParams::default()).await.context("deleting one").map(drop)
}

async fn until_account_gone(scenario: &Scenario<'_>, name: &str) -> Result<()> {
    eventually("the account goes", DEADLINE, async || match scenario.aws_accounts().get_opt(name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .map(drop)
}

async fn a_namespace_label_opens_and_closes_the_gate(scenario: &mut Scenario<'_>) -> Result<()> {
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "NotGranted", &["namespace"]).await?;
    let namespace = scenario.namespace.clone();
    scenario.kubectl().run(&["label", "namespace", &namespace, "team=payments"]).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.kubectl().run(&["label", "namespace", &namespace, "team-"]).await?;
    refused(scenario, "validate", "NotGranted", &["namespace"]).await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await
}

async fn what_an_account_imposes_is_on_every_role(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"trust": "AccountRoot", "tags": {"team": "payments"}});
    let object = converge(scenario, &invoke).await?;
    let role = crate::support::role(scenario, &scenario.accounts.dev, &crate::support::invoke_role_name(&object))?;
    assert_eq!(role["path"], "/teams/");
    assert_eq!(role["permissionsBoundary"], scenario.accounts.boundary_arn());
    assert_eq!(role["tags"]["team"], "payments");
    assert!(role["trust"]["Statement"][0]["Condition"].is_null());
    let taken = fakeaws::Command::SetBoundary {
        account: scenario.accounts.dev.clone(),
        role: crate::support::invoke_role_name(&object),
        boundary: None,
    };
    let good = scenario.configuration()?;
    scenario.aws().run(taken).context("taking the boundary off")?;
    crate::support::repaired(scenario, "validate", "the boundary", &good).await?;
    invoke["spec"].as_object_mut().unwrap().remove("invokeRole");
    scenario.apply(&invoke).await?;
    let name = crate::support::invoke_role_name(&object);
    crossinvoke_harness::wait::eventually(
        "trust and tags follow the spec",
        crossinvoke_harness::wait::DEADLINE,
        async || {
            let role =
                crate::support::role(scenario, &scenario.accounts.dev, &name).map_err(|error| error.to_string())?;
            let narrowed = !role["trust"]["Statement"][0]["Condition"].is_null() && role["tags"]["team"].is_null();
            if narrowed { Ok(()) } else { Err(role.to_string()) }
        },
    )
    .await?;
    patch_account(scenario, "dev", &json!({"metadata": {"labels": {"seen": "yes"}}})).await?;
    scenario.until_reason("validate", "Converged").await.map(|_| ())
}

fn by_label() -> Setup {
    Setup::default().aws_accounts(|tools, dev| {
        for account in [tools, dev] {
            account["spec"]["grants"][0]["namespaces"] = json!({"selector": {"matchLabels": {"team": "payments"}}});
        }
    })
}

fn imposing() -> Setup {
    Setup::default()
        .aws_accounts(|_, dev| {
            dev["spec"]["grants"][0]["allow"] = json!(["AccountRootTrust"]);
            dev["spec"]["invokeRoles"]["path"] = json!("/teams/");
        })
        .seed(|accounts, seed| {
            // As deploy/iam/README.md says: another path is put into the policy.
            let rights = seed.accounts.get_mut(&accounts.dev).and_then(|dev| dev.roles.get_mut("crossinvoke"));
            for document in rights.into_iter().flat_map(|role| role.inline_policies.values_mut()) {
                let text = document.to_string().replace("role/crossinvoke/*", "role/teams/*");
                *document = serde_json::from_str(&text).unwrap_or_default();
            }
        })
}
