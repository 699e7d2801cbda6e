//! A release's life: the previous one with all that it left, upgraded, removed, installed again. What users made stays.

use crossinvoke_harness::{
    Bench, Context as _, Error, Helm, Kubectl, Release, Result, Scenario, chart, objects::all_conditions,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    by_helm,
    previous::{self, Left},
};
use crate::{
    kubernetes_rights,
    suite::{Case, own_bench},
    support::version as pipeline_version,
};

pub(super) fn scenarios() -> Vec<Case> {
    vec![own_bench("a_release_takes_over_what_the_previous_one_left_and_what_users_made_stays", async |controller| {
        previous::record().await?;
        let bench = Bench::without_crds(controller).await?;
        let left = Left::read()?;
        let setup = by_helm().seed(|_, seed| left.into_seed(seed));
        let scenario = Scenario::prepare(&bench, previous::NAME, setup).await?;
        scenario.run(async |scenario| life(scenario).await).await?;
        kubernetes_rights::note(bench.control_plane())
    })]
}

async fn life(scenario: &mut Scenario<'_>) -> Result<()> {
    let (helm, before) = (scenario.helm(), previous::aws_before(scenario).await?);
    scenario.apply(&scenario.credentials()).await?;
    previous::derives_the_same_id(scenario).await?;

    let release = scenario.release();
    helm.install(&release, &previous::previous_chart(), &[]).await?;
    until_kinds_are_served(&scenario.kubectl()).await?;
    Left::read()?.put_in_place(scenario).await?;

    let (made, in_aws) = (Made::find(scenario).await?, scenario.configuration()?);
    let versions = pipeline_version(scenario)?;
    helm.upgrade(&release, &chart(), &[]).await?;
    assert_eq!(Made::find(scenario).await?, made, "an upgrade does not touch what users made");
    charts_are(&helm, &scenario.kubectl(), &release, &version()?).await?;

    let mark = scenario.mark()?;
    scenario.start_installed_controller(&release).await?;
    for name in ["validate", "smoke"] {
        taken_over(scenario, name).await?;
    }
    assert_eq!(scenario.calls_since(mark)?.mutating(), 0, "all of it is found in place");
    scenario.assert_as_before(&in_aws)?;
    assert_eq!(pipeline_version(scenario)?, versions);
    // Under a running controller, which has put finalizers and status on the objects.
    helm.upgrade(&release, &chart(), &[]).await?;
    let running = Made::find(scenario).await?;
    assert_eq!(running.finalizers(), made.finalizers());
    scenario.controller()?.stop().await?;

    let said = helm.uninstall(&release).await?;
    assert!(said.contains("kept due to the resource policy"), "{said}");
    assert_eq!(Made::find(scenario).await?.identities(), running.identities(), "CRDs and objects stay");
    nothing_else_is_left(&scenario.kubectl(), &release).await?;

    // The way back: the kept CRDs are taken over, and the new controller removes what the old one made.
    let said = helm.install(&release, &chart(), &[]).await?;
    assert!(said.contains("To uninstall, in this order"), "the notes: {said}");
    scenario.start_installed_controller(&release).await?;
    for name in ["validate", "smoke"] {
        scenario.delete(name).await?;
        scenario.until_gone(name).await?;
    }
    scenario.assert_as_before(&before)?;
    derives_its_id(scenario, &helm).await?;
    scenario.assert_as_before(&before)
}

/// Without an installation id in the values each process derives the same one, and finds what the one before made.
async fn derives_its_id(scenario: &mut Scenario<'_>, helm: &Helm) -> Result<()> {
    scenario.controller()?.stop().await?;
    // The previous release's accounts had no boundary, without which today's rights let no role be created.
    let boundary = json!({"spec": {"invokeRoles": {"permissionsBoundaryARN": scenario.accounts.boundary_arn()}}});
    let accounts = scenario.aws_accounts();
    let all = accounts.list(&ListParams::default()).await.context("the accounts")?;
    let dev = all.items.iter().find(|account| account.data["spec"]["accountID"] == scenario.accounts.dev.as_str());
    let dev = dev.map(ResourceExt::name_any).ok_or_else(|| Error::new("no dev account"))?;
    accounts.patch(&dev, &PatchParams::default(), &Patch::Merge(boundary)).await.context("the boundary")?;
    let mut release = scenario.release();
    release.values["installationID"] = json!("");
    helm.upgrade(&release, &chart(), &[]).await?;
    scenario.start_installed_controller(&release).await?;
    // The installation before still reports the accounts, so only the object tells that it converged.
    scenario.apply(&scenario.invoke("validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.controller()?.stop().await?;
    let mark = scenario.mark()?;
    scenario.start_installed_controller(&release).await?;
    scenario.touch("validate", "by the next process").await?;
    let handled = |object: &DynamicObject| object.data["status"]["lastHandledReconcileAt"] == "by the next process";
    scenario.until("validate", "the request is handled", handled).await?;
    assert_eq!(scenario.calls_since(mark)?.mutating(), 0, "the same installation finds all of it in place");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await
}

/// Waits until the controller has answered a request for a look, and finds everything in place.
async fn taken_over(scenario: &Scenario<'_>, name: &str) -> Result<()> {
    scenario.touch(name, "after-the-upgrade").await?;
    let answered = |object: &DynamicObject| object.data["status"]["lastHandledReconcileAt"] == "after-the-upgrade";
    let object = scenario.until(name, "it is looked at", answered).await?;
    assert_eq!(all_conditions(&object), ["Ready=True Converged", "Drifted=False InSync"]);
    Ok(())
}

pub(super) async fn until_kinds_are_served(kubectl: &Kubectl) -> Result<()> {
    kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await.map(drop)
}

/// What stays whatever happens to the release: the CRDs' identities, and the objects of both kinds as they are.
#[derive(Debug, PartialEq)]
struct Made {
    definitions: Vec<(String, String)>,
    objects: Vec<DynamicObject>,
}

impl Made {
    async fn find(scenario: &Scenario<'_>) -> Result<Self> {
        let list = scenario.kubectl().run(&["get", "crd", "--output=json"]).await?;
        let list: Value = serde_json::from_str(&list).context("the CRDs")?;
        let metadata = list["items"].as_array().into_iter().flatten().map(|item| &item["metadata"]);
        let all = kube::api::ListParams::default();
        let mut objects = scenario.invokes().list(&all).await.context("listing")?.items;
        objects.extend(scenario.aws_accounts().list(&all).await.context("listing")?.items);
        for spec in objects.iter_mut().filter_map(|it| it.data["spec"].as_object_mut()) {
            // The schema's default of a field that the previous release does not know.
            spec.remove("reads");
        }
        let found =
            Self { definitions: metadata.map(|it| (it["name"].to_string(), it["uid"].to_string())).collect(), objects };
        assert_eq!((found.definitions.len(), found.objects.len()), (2, 4), "two kinds; two invokes and two accounts");
        Ok(found)
    }

    fn finalizers(&self) -> Vec<&[String]> {
        let finalizers: Vec<_> = self.objects.iter().map(ResourceExt::finalizers).collect();
        assert!(finalizers.iter().all(|finalizers| finalizers.len() == 1), "{finalizers:?}");
        finalizers
    }

    /// What an object is whatever its status: that may be written at any time.
    fn identities(&self) -> Vec<(&str, &Value)> {
        let objects = self.objects.iter().map(|it| (it.metadata.uid.as_deref().unwrap_or_default(), &it.data["spec"]));
        objects.chain(self.definitions.iter().map(|(_, uid)| (uid.as_str(), &Value::Null))).collect()
    }
}

fn version() -> Result<String> {
    let file = chart().join("Chart.yaml");
    let text = std::fs::read_to_string(&file).context(file.display())?;
    let chart: Value = serde_saphyr::from_str(&text).context(file.display())?;
    Ok(chart["version"].as_str().unwrap_or_default().to_owned())
}

/// The release is deployed from this version of the chart, and so are the CRDs.
async fn charts_are(helm: &Helm, kubectl: &Kubectl, release: &Release, version: &str) -> Result<()> {
    let namespace = format!("--namespace={}", release.namespace);
    let list = helm.run(&["list", &namespace, "--output=json"]).await?;
    let list: Value = serde_json::from_str(&list).context("the releases")?;
    let expected = json!(format!("crossinvoke-{version}"));
    assert_eq!((&list[0]["status"], &list[0]["chart"]), (&json!("deployed"), &expected), "{list}");
    let list = kubectl.run(&["get", "crd", "--output=json"]).await?;
    let list: Value = serde_json::from_str(&list).context("the CRDs")?;
    for definition in list["items"].as_array().unwrap() {
        assert_eq!(definition["metadata"]["labels"]["helm.sh/chart"], expected, "a CRD is upgraded with the chart");
    }
    Ok(())
}

/// Of the kinds that the chart renders only the CRDs (and AwsAccounts) outlive the release.
async fn nothing_else_is_left(kubectl: &Kubectl, release: &Release) -> Result<()> {
    let ours = format!("--selector=app.kubernetes.io/instance={}", release.name);
    let kinds = "deployments,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings";
    let left = kubectl.run(&["get", kinds, &ours, "--all-namespaces", "--output=name"]).await?;
    assert_eq!(left, "", "left behind");
    Ok(())
}
