//! The chart as an Application, with labels as what Argo CD knows its own by: the chart's own label is then one of them,
//! and so even CustomResourceDefinitions would be pruned.

use std::{fs, path::Path};

use crossinvoke_harness::{ArgoCd, Bench, Context as _, Error, GitRepository, Result, Scenario, Setup, chart, objects};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::{CONTROLLER, application::Application};

pub(crate) async fn pruning() -> Result<()> {
    let bench = Bench::without_crds(CONTROLLER).await?;
    let by_label = json!({"application.resourceTrackingMethod": "label"});
    let argo = ArgoCd::start(bench.control_plane(), &by_label).await?;
    let setup = Setup::default().without_controller().without_rights();
    let scenario = Scenario::prepare(&bench, "chart_in_argo_cd", setup).await?;
    scenario.run(async |scenario| of_chart(scenario, &argo).await).await
}

async fn of_chart(scenario: &mut Scenario<'_>, argo: &ArgoCd) -> Result<()> {
    let before = scenario.configuration()?;
    scenario.apply(&scenario.credentials()).await?;
    let git = GitRepository::new()?;
    copy(&chart(), &git.folder().join("chart"))?;
    let commit = git.commit("The chart")?;
    let account = |object: Value| json!({"name": object["metadata"]["name"], "spec": object["spec"]});
    let tools = account(objects::tools_account(&scenario.accounts, &scenario.namespace));
    let dev = account(objects::dev_account(&scenario.accounts, &scenario.namespace));
    let release = scenario.release();
    let mut values = release.values.clone();
    values["awsAccounts"] = json!([tools, dev]);
    let with = |values: &Value| json!({"releaseName": release.name, "valuesObject": values});
    let application = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": release.name, "namespace": crossinvoke_harness::ARGOCD,
            "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {
            "project": "default",
            "source": {"repoURL": git.url(), "path": "chart", "targetRevision": "main", "helm": with(&values)},
            "destination": {"server": argo.server, "namespace": release.namespace},
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": true},
                "retry": {"limit": -1, "refresh": true, "backoff": {"duration": "5s", "factor": 1}},
                "syncOptions": ["ServerSideApply=true"],
            },
        },
    });
    let application = Application::apply(&scenario.client, &scenario.kubectl(), argo, &application).await?;
    // No kubelet starts the pod, so the Application's health says nothing.
    application.synced(&commit, "").await?;
    scenario.start_installed_controller(&release).await?;
    for which in ["tools", "dev"] {
        scenario.until_account_reason(&format!("{}-{which}", scenario.namespace), "Converged").await?;
    }
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    let (made, in_aws) = (identities(scenario).await?, scenario.configuration()?);
    assert_eq!(made.len(), 6, "two kinds, the policy that keeps them with its binding, and two accounts: {made:?}");
    assert_eq!(aggregated_roles(scenario).await?.lines().count(), 2);

    values["crds"] = json!({"install": false});
    values["awsAccounts"] = json!([tools]);
    values["rbac"] = json!({"aggregateToDefaultRoles": false});
    application.change(&json!({"spec": {"source": {"helm": with(&values)}}})).await?;
    let without = |status: &Value| {
        let at = &status["operationState"]["syncResult"]["source"]["helm"]["valuesObject"];
        at["crds"]["install"] == false
            && status["operationState"]["phase"] == "Succeeded"
            && status["sync"]["status"] == "Synced"
            && status["sync"]["comparedTo"]["source"]["helm"]["valuesObject"]["crds"]["install"] == false
    };
    application.until("synced without CRDs and one account", without).await?;
    assert_eq!(aggregated_roles(scenario).await?, "", "what nobody protects is pruned");
    assert_eq!(identities(scenario).await?, made, "CRDs, their policy and accounts stay");
    still_refused(scenario).await?;
    scenario.assert_as_before(&in_aws)?;

    // The controller takes out of AWS what it made before the Application goes.
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    application.delete().await?;
    assert_eq!(identities(scenario).await?, made, "neither do they go with the Application");
    still_refused(scenario).await?;
    scenario.assert_as_before(&before)
}

/// The policy still keeps the kinds from being deleted.
async fn still_refused(scenario: &Scenario<'_>) -> Result<()> {
    let delete = ["delete", "crd", "crossaccountinvokes.crossinvoke.dev", "--dry-run=server"];
    let Err(error) = scenario.kubectl().run(&delete).await else { return Err(Error::new("the kind may be deleted")) };
    assert!(error.to_string().contains("crossinvoke.dev/confirm-removal=true"), "{error}");
    Ok(())
}

/// Names and UIDs of our kinds, of the policy that keeps them, and of the accounts.
async fn identities(scenario: &Scenario<'_>) -> Result<Vec<(String, String)>> {
    let kinds = "crd,validatingadmissionpolicy,validatingadmissionpolicybinding";
    let list = scenario.kubectl().run(&["get", kinds, "--output=json"]).await?;
    let list: Value = serde_json::from_str(&list).context("the CRDs and policies")?;
    let metadata = list["items"].as_array().into_iter().flatten().map(|item| &item["metadata"]);
    let ours = metadata.filter(|it| it["name"].as_str().is_some_and(|name| name.ends_with(".crossinvoke.dev")));
    let mut found: Vec<_> = ours.map(|it| (it["name"].to_string(), it["uid"].to_string())).collect();
    let accounts = scenario.aws_accounts().list(&kube::api::ListParams::default()).await.context("listing")?;
    found.extend(accounts.items.iter().map(|it| (it.name_any(), it.uid().unwrap_or_default())));
    Ok(found)
}

/// ClusterRoles of the release that nobody protects.
async fn aggregated_roles(scenario: &Scenario<'_>) -> Result<String> {
    let of_release = "--selector=app.kubernetes.io/instance=crossinvoke,rbac.authorization.k8s.io/aggregate-to-edit";
    scenario.kubectl().run(&["get", "clusterroles", of_release, "--output=name"]).await
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).context(to.display())?;
    for entry in fs::read_dir(from).context(from.display())? {
        let entry = entry.context(from.display())?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(|error| Error::of(target.display(), error))?;
        }
    }
    Ok(())
}
