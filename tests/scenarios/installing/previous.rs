//! What the previous release left: objects and AWS as its own binary and chart made them, recorded in
//! tests/chart/previous/state.json. `PREVIOUS_CONTROLLER=BINARY` records it anew; CONTRIBUTING.md says how.

use std::{fs, path::PathBuf};

use crossinvoke_harness::{
    Bench, Context as _, Error, Result, Scenario, accounts, chart, environment, objects, repository,
    wait::{DEADLINE, eventually},
};
use fakeaws::{AccountSeed, FakeAws, Seed};
use kube::{
    Api,
    api::{DynamicObject, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{by_helm, releases::until_kinds_are_served};
use crate::support::{converge, pipeline, version};

/// The scenario whose accounts the record is about.
pub(super) const NAME: &str = "upgrading";

/// What was recorded.
pub(super) struct Left {
    objects: Vec<Value>,
    /// The accounts of the AWS double.
    pub(super) aws: Value,
    version: i64,
}

impl Left {
    pub(super) fn read() -> Result<Self> {
        let text = fs::read_to_string(file()).context(file().display())?;
        let mut all: Value = serde_json::from_str(&text).context(file().display())?;
        let objects = all["objects"].as_array().cloned().unwrap_or_default();
        let version = all["pipelineVersion"].as_i64().ok_or_else(|| Error::new("no pipelineVersion"))?;
        Ok(Self { objects, aws: all["aws"].take(), version })
    }

    /// Puts into a seed what the previous release had made in AWS. The controller's own roles are those of today.
    pub(super) fn into_seed(mut self, seed: &mut Seed) {
        for (id, account) in &mut seed.accounts {
            let left: AccountSeed = serde_json::from_value(self.aws[id].take()).expect("it was recorded from a double");
            let own = |name: &str| [accounts::CONTROLLER_ROLE, accounts::CONTROLLER_IDENTITY].contains(&name);
            account.roles.retain(|name, _| own(name));
            account.roles.extend(left.roles.into_iter().filter(|(name, _)| !own(name)));
            (account.functions, account.pipelines) = (left.functions, left.pipelines);
        }
    }

    /// Puts the objects in place, with finalizers and status, and the pipeline at its version.
    pub(super) async fn put_in_place(&self, scenario: &Scenario<'_>) -> Result<()> {
        for object in &self.objects {
            let mut manifest = object.clone();
            manifest.as_object_mut().and_then(|members| members.remove("status"));
            scenario.apply(&manifest).await?;
            let object: DynamicObject = serde_json::from_value(object.clone()).context("a recorded object")?;
            put_status(&api_of(scenario, &object), &object).await?;
        }
        while version(scenario)? < self.version {
            let (tools, region) = (&scenario.accounts.tools, &scenario.accounts.region);
            scenario.aws().replace_pipeline(tools, region, pipeline(scenario)?).context("another version")?;
        }
        assert_eq!(version(scenario)?, self.version);
        Ok(())
    }
}

fn file() -> PathBuf {
    repository().join("tests/chart/previous/state.json")
}

/// The previous chart.
pub(super) fn previous_chart() -> PathBuf {
    repository().join("tests/chart/previous/crossinvoke")
}

fn api_of(scenario: &Scenario<'_>, object: &DynamicObject) -> Api<DynamicObject> {
    let is_account = object.types.as_ref().is_some_and(|types| types.kind == "AwsAccount");
    if is_account { scenario.aws_accounts() } else { scenario.invokes() }
}

async fn put_status(api: &Api<DynamicObject>, object: &DynamicObject) -> Result<()> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let mut now = api.get(&name).await.context("reading")?;
    now.data["status"] = object.data["status"].clone();
    let written = api.replace_status(&name, &PostParams::default(), &now).await.context("the recorded status")?;
    assert_eq!(written.data["status"], object.data["status"], "the kinds of the previous chart take it as it is");
    Ok(())
}

/// AWS of the scenario before anything of ours was made.
pub(super) async fn aws_before(scenario: &Scenario<'_>) -> Result<Value> {
    let untouched = FakeAws::start(scenario.accounts.seed()?).await.context("another AWS double")?;
    untouched.admin().configuration().context("the snapshot")
}

/// Records what the previous release leaves, if its binary is given.
pub(super) async fn record() -> Result<()> {
    let Some(controller) = environment("PREVIOUS_CONTROLLER") else { return Ok(()) };
    let bench = Bench::without_crds(controller).await?;
    let scenario = Scenario::prepare(&bench, NAME, by_helm()).await?;
    scenario
        .run(async |scenario| {
            let release = scenario.release();
            scenario.apply(&scenario.credentials()).await?;
            scenario.helm().install(&release, &previous_chart(), &[]).await?;
            until_kinds_are_served(&scenario.kubectl()).await?;
            scenario.start_installed_controller(&release).await?;
            let (accounts, namespace) = (scenario.accounts.clone(), scenario.namespace.clone());
            scenario.apply(&objects::tools_account(&accounts, &namespace)).await?;
            scenario.apply(&objects::dev_account(&accounts, &namespace)).await?;
            converge(scenario, &scenario.invoke("validate")).await?;
            // Two share the policies, and one says all that there is to say.
            let mut smoke = scenario.invoke("smoke");
            smoke["spec"]["stage"] = json!({"name": "Smoke", "position": {"before": "Deploy"}});
            smoke["spec"]["action"] = json!({"name": "RunSmokeTests", "runOrder": 1, "variablesNamespace": "smoke",
                "userParameters": "{\"suite\": \"smoke\"}"});
            smoke["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
            converge(scenario, &smoke).await?;
            // The first look of the other one after that.
            scenario.touch("validate", "again").await?;
            scenario.until_reason("validate", "Converged").await?;
            write(scenario).await
        })
        .await
}

async fn write(scenario: &mut Scenario<'_>) -> Result<()> {
    let count = |account: DynamicObject| account.data["status"]["objects"] == 2;
    for which in ["tools", "dev"] {
        let name = format!("{}-{which}", scenario.namespace);
        eventually("both objects are counted", DEADLINE, async || {
            let account = scenario.aws_accounts().get(&name).await.map_err(|error| error.to_string())?;
            if count(account) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await?;
    }
    scenario.controller()?.stop().await?;
    let all = ListParams::default();
    let mut objects = scenario.aws_accounts().list(&all).await.context("listing")?.items;
    objects.extend(scenario.invokes().list(&all).await.context("listing")?.items);
    let mut recorded = Vec::new();
    for object in objects {
        let metadata = json!({"name": object.metadata.name, "finalizers": object.metadata.finalizers});
        let mut metadata = metadata;
        if let Some(namespace) = &object.metadata.namespace {
            metadata["namespace"] = json!(namespace);
        }
        let (kind, data) = (object.types.map(|types| types.kind), object.data);
        let kind = kind.filter(|kind| !kind.is_empty());
        let kind = kind.unwrap_or_else(|| {
            if metadata["namespace"].is_null() { "AwsAccount" } else { "CrossAccountInvoke" }.to_owned()
        });
        recorded.push(json!({"apiVersion": "crossinvoke.dev/v1alpha1", "kind": kind, "metadata": metadata,
            "spec": data["spec"], "status": data["status"]}));
    }
    let aws = scenario.configuration()?["accounts"].clone();
    let state = json!({"objects": recorded, "pipelineVersion": version(scenario)?, "aws": aws});
    let text = serde_json::to_string_pretty(&state).context("the state")? + "\n";
    fs::write(file(), text).context(file().display())
}

/// What the arguments of a chart's container derive the installation id from.
pub(super) async fn derived_from(scenario: &Scenario<'_>, of: &std::path::Path) -> Result<Vec<String>> {
    let mut release = scenario.release();
    release.values["installationID"] = json!("");
    let chart = of.display().to_string();
    let values = scenario.folder().join("values.json");
    fs::write(&values, release.values.to_string()).context("values")?;
    let values = format!("--values={}", values.display());
    let namespace = format!("--namespace={}", release.namespace);
    let arguments = ["template", &release.name, &chart, &namespace, &values, "--show-only=templates/deployment.yaml"];
    let rendered = scenario.helm().run(&arguments).await?;
    let rendered: Value = serde_saphyr::from_str(&rendered).context("the Deployment")?;
    let arguments = rendered["spec"]["template"]["spec"]["containers"][0]["args"].as_array().cloned();
    let arguments = arguments.unwrap_or_default().into_iter().filter_map(|it| it.as_str().map(str::to_owned));
    Ok(arguments.filter(|it| it.starts_with("--release-") || it.starts_with("--installation-")).collect())
}

/// The chart of this checkout derives the installation id from what the previous one does.
pub(super) async fn derives_the_same_id(scenario: &Scenario<'_>) -> Result<()> {
    let (was, is) = (derived_from(scenario, &previous_chart()).await?, derived_from(scenario, &chart()).await?);
    assert!(!was.is_empty() && was == is, "an upgrade that changed it would lose everything in AWS: {was:?} {is:?}");
    Ok(())
}
