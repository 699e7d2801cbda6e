//! A release's life: installed from the previous chart, upgraded, removed, installed again. What users made stays.

use crossinvoke_harness::{
    Bench, Context as _, Helm, Kubectl, Release, Result, Scenario, chart, objects::has_reason, repository,
};
use kube::{ResourceExt, api::DynamicObject};
use serde_json::{Value, json};

use super::by_helm;
use crate::{
    kubernetes_rights,
    suite::{Case, own_bench},
    support::entered,
};

pub(super) fn scenarios() -> Vec<Case> {
    vec![own_bench("a_release_is_upgraded_from_the_previous_chart_and_what_users_made_stays", async |controller| {
        let bench = Bench::without_crds(controller).await?;
        let scenario = Scenario::prepare(&bench, "upgrading", by_helm()).await?;
        scenario.run(async |scenario| life(scenario).await).await?;
        kubernetes_rights::note(bench.control_plane())
    })]
}

async fn life(scenario: &mut Scenario<'_>) -> Result<()> {
    let (helm, before) = (scenario.helm(), scenario.configuration()?);
    scenario.apply(&scenario.credentials()).await?;

    // The installation id is left to be derived: an upgrade that changed it would lose everything in AWS.
    let release = all_namespaces(scenario);
    helm.install(&of_previous(scenario), &repository().join("tests/chart/previous/crossinvoke"), &[]).await?;
    until_kinds_are_served(&scenario.kubectl()).await?;
    scenario.start_installed_controller(&release).await?;
    converge(scenario).await?;
    scenario.controller()?.stop().await?;

    let made = Made::find(scenario).await?;
    helm.upgrade(&release, &chart(), &[]).await?;
    assert_eq!(Made::find(scenario).await?, made, "an upgrade does not touch what users made");
    charts_are(&helm, &scenario.kubectl(), &release, &version()?).await?;

    let mark = scenario.mark()?;
    scenario.start_installed_controller(&release).await?;
    scenario.touch("validate", "after-the-upgrade").await?;
    scenario.reads_of_one_cycle(mark).await?;
    assert_eq!(scenario.calls_since(mark)?.mutating(), 0, "the same installation finds all of it in place");
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
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

/// The scenario's release of this chart, for all namespaces and without an installation id.
fn all_namespaces(scenario: &Scenario<'_>) -> Release {
    let mut release = scenario.release();
    release.values["watchNamespaces"] = json!([]);
    release.values["installationID"] = json!("");
    release
}

/// The same with the values of the previous chart.
fn of_previous(scenario: &Scenario<'_>) -> Release {
    let mut release = scenario.release();
    let secret = |key: &str| json!({"name": key, "valueFrom": {"secretKeyRef": {"name": "aws", "key": key}}});
    release.values = json!({
        "image": {"repository": "registry.example.com/crossinvoke"},
        "env": [
            {"name": "AWS_ENDPOINT_URL", "value": scenario.aws_endpoint()},
            {"name": "AWS_REGION", "value": scenario.accounts.region},
            secret("AWS_ACCESS_KEY_ID"),
            secret("AWS_SECRET_ACCESS_KEY"),
        ],
    });
    release
}

async fn converge(scenario: &Scenario<'_>) -> Result<()> {
    scenario.apply(&crossinvoke_harness::objects::tools_account(&scenario.accounts, &scenario.namespace)).await?;
    scenario.apply(&crossinvoke_harness::objects::dev_account(&scenario.accounts, &scenario.namespace)).await?;
    entered(scenario).await?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let object = scenario.until_reason("validate", "Converged").await?;
    assert!(has_reason(&object, "Converged"));
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
        let found =
            Self { definitions: metadata.map(|it| (it["name"].to_string(), it["uid"].to_string())).collect(), objects };
        assert_eq!((found.definitions.len(), found.objects.len()), (2, 3), "two kinds; an invoke and two accounts");
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
