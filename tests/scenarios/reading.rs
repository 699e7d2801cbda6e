//! Objects that this version cannot read, as a newer one may have left behind.

use crossinvoke_harness::{
    Bench, Context as _, Result, Scenario, Setup, accounts, objects,
    wait::{DEADLINE, eventually},
};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::{
    kubernetes_rights,
    suite::{Case, own_bench},
    support::{converge, entered, patch_account, pipeline, refused, repaired},
};

pub(crate) fn scenarios() -> Vec<Case> {
    // The kind is changed, which no other scenario may see.
    vec![
        own_bench("an_object_of_another_version_is_told_so_and_read_once_it_is_corrected", async |controller| {
            let bench = Bench::start(controller).await?;
            let scenario = Scenario::with(&bench, "reading", Setup::default().flags(["--stalled-retry", "2s"])).await?;
            scenario.run(async |scenario| another_version(scenario).await).await?;
            kubernetes_rights::note(bench.control_plane())
        }),
        own_bench("an_account_of_another_version_is_told_so_and_still_counts", async |controller| {
            let bench = Bench::start(controller).await?;
            let setup = Setup::default().flags(["--stalled-retry", "2s"]);
            let scenario = Scenario::with(&bench, "reading-accounts", setup).await?;
            scenario.run(async |scenario| account_of_another_version(scenario).await).await?;
            kubernetes_rights::note(bench.control_plane())
        }),
    ]
}

/// Gives an account a value that this version does not know.
async fn make_unreadable(scenario: &Scenario<'_>, which: &str) -> Result<()> {
    let later = json!({"spec": {"reads": "Later"}});
    eventually("the API server takes the changed kind's account", DEADLINE, async || {
        patch_account(scenario, which, &later).await.map_err(|error| error.to_string())
    })
    .await
    .map(drop)
}

async fn account_of_another_version(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    let good = scenario.configuration()?;
    let [dev, second] = ["dev", "again"].map(|which| format!("{}-{which}", scenario.namespace));
    let reads = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/reads/enum";
    let patch = json!([{"op": "add", "path": format!("{reads}/-"), "value": "Later"}]).to_string();
    let kubectl = scenario.kubectl();
    kubectl.run(&["patch", "crd", "awsaccounts.crossinvoke.dev", "--type=json", "--patch", &patch]).await?;
    make_unreadable(scenario, "dev").await?;

    let told = scenario.until_account_reason(&dev, "InvalidSpec").await?;
    let message = objects::message_of(&told, "Ready");
    assert!(message.contains("cannot be read by this version") && message.contains("Later"), "{message}");
    assert_eq!(objects::condition(&told, "Stalled"), Some(("True", "InvalidSpec")));
    assert_eq!(objects::condition(&told, "GrantsMatched"), Some(("True", "Matched")));
    assert!(told.data["status"]["installationID"].is_string(), "the rest of its status stays: {:?}", told.data);
    let said = format!("AwsAccount {dev} (account {}) cannot be read", scenario.accounts.dev);
    refused(scenario, "validate", "InvalidSpec", &[&said, "Later"]).await?;
    events(scenario, &dev, "Stalled", &["InvalidSpec", "Later"]).await?;
    scenario.assert_as_before(&good)?;

    // A second one of its id opens nothing in its place.
    let mut again = objects::dev_account(&scenario.accounts, &scenario.namespace);
    again["metadata"]["name"] = json!(second);
    scenario.apply(&again).await?;
    scenario.until_account_reason(&second, "DuplicateAccount").await?;
    refused(scenario, "validate", "DuplicateAccount", &[&dev, &second]).await?;
    scenario.aws_accounts().delete(&second, &DeleteParams::default()).await.context("deleting")?;
    refused(scenario, "validate", "InvalidSpec", &[&said]).await?;
    account_gone(scenario, &second).await?;

    // It is held for what its object has, also by a process that never read it.
    scenario.restart_controller().await?;
    scenario.aws_accounts().delete(&dev, &DeleteParams::default()).await.context("deleting")?;
    events(scenario, &dev, "InUse", &["still used by CrossAccountInvoke", "/validate"]).await?;
    events(scenario, &dev, "Stalled", &["InvalidSpec", "Later"]).await?;
    scenario.assert_as_before(&good)?;
    // One that can be read stands in for it.
    scenario.apply(&again).await?;
    account_gone(scenario, &dev).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.assert_as_before(&good)?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)?;
    // Nothing uses it any more, and so nothing holds it.
    make_unreadable(scenario, "again").await?;
    scenario.until_account_reason(&second, "InvalidSpec").await?;
    scenario.aws_accounts().delete(&second, &DeleteParams::default()).await.context("deleting")?;
    account_gone(scenario, &second).await
}

async fn account_gone(scenario: &Scenario<'_>, name: &str) -> Result<()> {
    eventually("the account goes", DEADLINE, async || match scenario.aws_accounts().get_opt(name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .map(drop)
}

/// Waits for the one event of this reason about an account.
async fn events(scenario: &Scenario<'_>, account: &str, reason: &str, parts: &[&str]) -> Result<()> {
    let selector = format!("--field-selector=reason={reason},regarding.name={account}");
    let arguments = ["get", "events.events.k8s.io", "--namespace=default", &selector, "--output=json"];
    eventually(&format!("one event {reason}"), DEADLINE, async || {
        let text = scenario.kubectl().run(&arguments).await.map_err(|error| error.to_string())?;
        let events: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let all: Vec<&Value> = events["items"].as_array().into_iter().flatten().collect();
        let [event] = all[..] else { return Err(format!("{all:?}")) };
        let note = event["note"].as_str().unwrap_or_default();
        let told = event["type"] == "Warning" && parts.iter().all(|part| note.contains(part));
        if told { Ok(()) } else { Err(event.to_string()) }
    })
    .await
    .map(drop)
}

async fn another_version(scenario: &Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let trust = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/invokeRole/properties/trust/enum";
    let patch = json!([{"op": "add", "path": format!("{trust}/-"), "value": "Everybody"}]).to_string();
    let kind = "crossaccountinvokes.crossinvoke.dev";
    scenario.kubectl().run(&["patch", "crd", kind, "--type=json", "--patch", &patch]).await?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"trust": "Everybody"});
    eventually("the API server takes the changed kind's object", DEADLINE, async || {
        scenario.apply(&invoke).await.map_err(|error| error.to_string())
    })
    .await?;
    refused(scenario, "validate", "InvalidSpec", &["cannot be read by this version", "Everybody"]).await?;
    // While its needs are not known the others gain what they need, and nothing that may be shared is removed.
    converge(scenario, &scenario.invoke("other")).await?;
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    let complete = scenario.configuration()?;
    let role = accounts::EXECUTION_ROLE;
    scenario.aws().remove_inline_policy(&scenario.accounts.dev, role, &callback).context("drift")?;
    repaired(scenario, "other", "the callback policy", &complete).await?;
    somebody_may_claim_it(scenario).await?;
    converge(scenario, &scenario.invoke("short-lived")).await?;
    scenario.delete("short-lived").await?;
    let waits = ["validate does not decode", "correct its spec", "continues automatically"];
    refused(scenario, "short-lived", "DeletionBlocked", &waits).await?;
    scenario.apply(&objects::cross_account_invoke(&scenario.accounts, &scenario.namespace, "validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.until_gone("short-lived").await?;
    scenario.until_reason("other", "Converged").await?;
    scenario.apply(&invoke).await?;
    scenario.delete("validate").await?;
    let way_out = ["cannot be read", "take off its finalizer crossinvoke.dev/aws-resources"];
    refused(scenario, "validate", "DeletionBlocked", &way_out).await
}

/// A role that an action names now may be the one that the unknown object claims.
async fn somebody_may_claim_it(scenario: &Scenario<'_>) -> Result<()> {
    let complete = scenario.configuration()?;
    let give = |role: Value| -> Result<Value> {
        let mut changed = pipeline(scenario)?;
        let before = std::mem::replace(&mut changed["stages"][2]["actions"][0]["roleArn"], role);
        scenario.hands().replace_pipeline(&scenario.accounts.tools, &scenario.accounts.region, changed)?;
        Ok(before)
    };
    let other = format!("arn:aws:iam::{}:role/other", scenario.accounts.tools);
    let own = give(json!(other))?;
    let theirs = scenario.configuration()?;
    scenario.touch("other", "somebody may claim its role").await?;
    refused(scenario, "other", "ActionConflict", &[&other]).await?;
    scenario.assert_as_before(&theirs)?;
    give(own)?;
    repaired(scenario, "other", "the role", &complete).await
}
