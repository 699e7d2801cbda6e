//! AwsAccounts as values of the chart, from the first install in a cluster that does not know the kind.

use crossinvoke_harness::{
    Bench, Context as _, Release, Result, Scenario, chart, objects,
    wait::{DEADLINE, eventually},
};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use super::{by_helm, releases::until_kinds_are_served};
use crate::{
    kubernetes_rights,
    suite::{Case, own_bench},
};

pub(super) fn scenarios() -> Vec<Case> {
    vec![own_bench("aws_accounts_of_the_values_live_with_the_release_and_stay", async |controller| {
        let bench = Bench::without_crds(controller).await?;
        let scenario = Scenario::prepare(&bench, "aws-accounts", by_helm()).await?;
        scenario.run(async |scenario| life(scenario).await).await?;
        kubernetes_rights::note(bench.control_plane())
    })]
}

async fn life(scenario: &mut Scenario<'_>) -> Result<()> {
    let (helm, before) = (scenario.helm(), scenario.configuration()?);
    scenario.apply(&scenario.credentials()).await?;
    let mut release = with_accounts(scenario);

    // The first install says what to do, and has done nothing.
    let error = helm.install(&release, &chart(), &[]).await.unwrap_err().to_string();
    assert!(error.contains("run this once with --set awsAccounts=null"), "{error}");
    assert_eq!(scenario.kubectl().run(&["get", "crd", "--output=name"]).await?, "");
    // What it said, done.
    helm.install(&release, &chart(), &["--set", "awsAccounts=null"]).await?;
    until_kinds_are_served(&scenario.kubectl()).await?;
    helm.upgrade(&release, &chart(), &[]).await?;
    let made = scenario.kubectl().run(&["get", "crd,awsaccounts", "--output=json"]).await?;
    let made: Value = serde_json::from_str(&made).context("what must stay")?;
    let made = made["items"].as_array().cloned().unwrap_or_default();
    assert_eq!(made.len(), 4, "two kinds and two accounts");
    for annotations in made.iter().map(|it| &it["metadata"]["annotations"]) {
        assert_eq!(annotations["helm.sh/resource-policy"], "keep", "Helm does not delete it");
        assert_eq!(annotations["argocd.argoproj.io/sync-options"], "Prune=false,Delete=false", "nor does Argo CD");
        assert_eq!(annotations["argocd.argoproj.io/compare-options"], "IgnoreExtraneous", "or report it");
    }

    scenario.start_installed_controller(&release).await?;
    crate::support::converge(scenario, &scenario.invoke("validate")).await?;

    // A changed grant reaches the object, beside the controller's finalizer and status.
    release.values["awsAccounts"][0]["spec"]["grants"][0]["pipelines"] = json!(["payments-*", "orders-*"]);
    helm.upgrade(&release, &chart(), &[]).await?;
    let name = format!("{}-tools", scenario.namespace);
    let tools = scenario.until_account_reason(&name, "Converged").await?;
    assert_eq!(tools.data["spec"]["grants"][0]["pipelines"], json!(["payments-*", "orders-*"]));
    assert_eq!(tools.finalizers().len(), 1, "{:?}", tools.finalizers());

    // The API server checks the spec that the schema of the values leaves to it.
    let mut typo = release.clone();
    typo.values["awsAccounts"][0]["spec"]["rolARN"] = json!("arn:aws:iam::111111111111:role/crossinvoke");
    let error = helm.upgrade(&typo, &chart(), &[]).await.unwrap_err().to_string();
    assert!(error.contains(".spec.rolARN: field not declared in schema"), "{error}");

    // One that is taken off the list stays until it is deleted, which waits for who uses it.
    release.values["awsAccounts"] = json!([]);
    helm.upgrade(&release, &chart(), &[]).await?;
    let accounts = scenario.aws_accounts().list(&ListParams::default()).await.context("listing")?.items;
    assert!(accounts.len() == 2 && accounts.iter().all(|account| account.metadata.deletion_timestamp.is_none()));

    scenario.kubectl().run(&["delete", "awsaccount", &name, "--wait=false"]).await?;
    eventually("it is told who uses it", DEADLINE, async || {
        let notes = in_use(scenario, &name).await.map_err(|error| error.to_string())?;
        if notes.iter().any(|note| note.contains("/validate")) { Ok(()) } else { Err(format!("{notes:?}")) }
    })
    .await?;
    let again = "crossinvoke.dev/reconcile-requested-at=again";
    scenario.kubectl().run(&["annotate", "awsaccount", &name, again]).await?;

    // The order of the notes leaves nothing but the CRDs.
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.kubectl().run(&["delete", "awsaccounts", "--all", "--timeout=60s"]).await?;
    let notes = in_use(scenario, &name).await?;
    assert_eq!(notes.len(), 1, "the same is told once, however often it was looked at: {notes:?}");
    scenario.controller()?.stop().await?;
    helm.uninstall(&release).await?;
    let left = scenario.kubectl().run(&["get", "crd", "--output=name"]).await?;
    assert_eq!(left.lines().count(), 2, "{left}");
    scenario.assert_as_before(&before)
}

/// What events say of who uses the account. Those about objects without a namespace are in this one.
async fn in_use(scenario: &Scenario<'_>, account: &str) -> Result<Vec<String>> {
    let selector = format!("--field-selector=reason=InUse,regarding.name={account}");
    let arguments = ["get", "events.events.k8s.io", "--namespace=default", &selector, "--output=json"];
    let list: Value = serde_json::from_str(&scenario.kubectl().run(&arguments).await?).context("events")?;
    let notes = list["items"].as_array().into_iter().flatten().map(|event| event["note"].to_string());
    Ok(notes.collect())
}

/// The scenario's release with its two accounts among the values.
fn with_accounts(scenario: &Scenario<'_>) -> Release {
    let mut release = scenario.release();
    let accounts = [
        objects::tools_account(&scenario.accounts, &scenario.namespace),
        objects::dev_account(&scenario.accounts, &scenario.namespace),
    ];
    let value = |account: &Value| json!({"name": account["metadata"]["name"], "spec": account["spec"]});
    release.values["awsAccounts"] = accounts.iter().map(value).collect();
    release
}
