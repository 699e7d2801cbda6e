//! The examples, with the Application of docs/gitops/argocd.md.

use std::fs;

use crossinvoke_harness::{
    Accounts, ArgoCd, Bench, Context as _, Error, GitRepository, Result, Scenario, Setup,
    objects::{has_reason, message_of},
    repository,
    wait::{DEADLINE, until_object},
};
use jiff::Timestamp;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    CONTROLLER,
    application::{Application, resource},
};

/// An object that nobody protects.
const UNPROTECTED: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: unprotected}\n";

pub(crate) async fn life() -> Result<()> {
    let bench = Bench::start(CONTROLLER).await?;
    let argo = ArgoCd::start(bench.control_plane(), &json!({})).await?;
    let mut accounts = Accounts::of_demo();
    "choose-one".clone_into(&mut accounts.external_id);
    let scenario = Scenario::prepare(&bench, "payments", Setup::default().accounts(accounts)).await?;
    scenario.run(async |scenario| of_application(scenario, &argo).await).await
}

async fn of_application(scenario: &mut Scenario<'_>, argo: &ArgoCd) -> Result<()> {
    let before = scenario.configuration()?;
    scenario.start_controller().await?;
    let git = GitRepository::new()?;
    git.write("crossinvoke/accounts.yaml", &example("aws-accounts.yaml")?)?;
    git.write("crossinvoke/validate.yaml", &example("cross-account-invoke.yaml")?)?;
    git.write("crossinvoke/unprotected.yaml", UNPROTECTED)?;
    let first = git.commit("The examples")?;
    let application = documented(argo, &git)?;
    let application = Application::apply(&scenario.client, &scenario.kubectl(), argo, &application).await?;
    application.synced(&first, "Healthy").await?;
    in_waves(scenario).await?;

    check_now(scenario, argo).await?;
    broken(scenario, &git, &application).await?;
    a_broken_account(scenario, &git, &application).await?;
    pruned(scenario, &git, &application).await?;

    application.delete().await?;
    assert!(scenario.invokes().get_opt("validate").await.context("reading")?.is_none());
    assert_eq!(accounts(scenario).await?, ["dev-payments", "tools"], "the gates stay");
    scenario.assert_as_before(&before)
}

fn example(file: &str) -> Result<String> {
    let file = repository().join("examples").join(file);
    fs::read_to_string(&file).context(file.display())
}

/// The documented Application, with this repository and cluster.
pub(crate) fn documented(argo: &ArgoCd, git: &GitRepository) -> Result<Value> {
    let file = repository().join("docs/gitops/argocd.md");
    let text = fs::read_to_string(&file).context(file.display())?;
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.into_iter().find(|block| block.contains("kind: Application"));
    let block = block.ok_or_else(|| Error::new("docs/gitops/argocd.md has no Application"))?;
    let mut application: Value = serde_saphyr::from_str(block).context("the documented Application")?;
    application["spec"]["source"]["repoURL"] = json!(git.url());
    application["spec"]["destination"]["server"] = json!(argo.server);
    Ok(application)
}

/// The object came when both accounts had been entered.
async fn in_waves(scenario: &Scenario<'_>) -> Result<()> {
    let validate = scenario.invokes().get("validate").await.context("reading")?;
    let made = validate.creation_timestamp().ok_or_else(|| Error::new("no creationTimestamp"))?.0;
    for name in ["tools", "dev-payments"] {
        let account = scenario.aws_accounts().get(name).await.context("reading")?;
        assert!(has_reason(&account, "Converged"), "{account:?}");
        let conditions = account.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").unwrap();
        let since: Timestamp = ready["lastTransitionTime"].as_str().unwrap_or_default().parse().context("a time")?;
        assert!(since <= made, "{name} is ready since {since}, and the object came at {made}");
    }
    Ok(())
}

/// The action of both kinds, run by Argo CD's own Lua, makes the controller look.
async fn check_now(scenario: &Scenario<'_>, argo: &ArgoCd) -> Result<()> {
    for (api, name) in [(scenario.invokes(), "validate"), (scenario.aws_accounts(), "tools")] {
        let file = scenario.folder().join("object.json");
        let object = api.get(name).await.context("reading")?;
        fs::write(&file, serde_json::to_string(&object).context("the object")?).context("the object")?;
        let path = file.display().to_string();
        let listed = argo.resource_overrides(&["list-actions", &path]).await?;
        assert!(listed.contains("check-now") && listed.contains("false"), "{listed}");
        // It prints what the action changes, as a difference.
        let difference = argo.resource_overrides(&["run-action", &path, "check-now"]).await?;
        let line = difference.lines().find_map(|line| line.split_once("crossinvoke.dev/reconcile-requested-at: "));
        let (_, at) = line.ok_or_else(|| Error::new(format!("no annotation: {difference}")))?;
        let at = at.trim().trim_matches('"').to_owned();
        let requested = json!({"metadata": {"annotations": {"crossinvoke.dev/reconcile-requested-at": at}}});
        let requested = kube::api::Patch::Merge(requested);
        api.patch(name, &kube::api::PatchParams::default(), &requested).await.context("patching")?;
        let echoed = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| object.data["status"]["lastHandledReconcileAt"] == at.as_str())
        };
        until_object(&api, name, "the request is echoed", DEADLINE, echoed).await?;
    }
    Ok(())
}

/// A broken object is Degraded with Ready's message, and the others stay as they are.
async fn broken(scenario: &Scenario<'_>, git: &GitRepository, application: &Application<'_>) -> Result<()> {
    let mut broken: Value = serde_saphyr::from_str(&example("cross-account-invoke.yaml")?).context("the example")?;
    broken["metadata"]["name"] = json!("broken");
    broken["spec"]["pipeline"]["name"] = json!("payments-missing");
    git.write("crossinvoke/broken.yaml", &broken.to_string())?;
    let status = application.synced(&git.commit("A pipeline that does not exist")?, "Degraded").await?;
    let found = scenario.until_reason("broken", "PipelineNotFound").await?;
    let health = &resource(&status, "CrossAccountInvoke", "broken")["health"];
    assert_eq!(health["status"], "Degraded", "{status}");
    assert_eq!(health["message"], message_of(&found, "Ready"), "{status}");
    assert_eq!(resource(&status, "CrossAccountInvoke", "validate")["health"]["status"], "Healthy", "{status}");

    git.remove("crossinvoke/broken.yaml")?;
    application.synced(&git.commit("Take it away")?, "Healthy").await?;
    assert!(scenario.invokes().get_opt("broken").await.context("reading")?.is_none(), "it is pruned");
    Ok(())
}

/// An account that cannot be entered holds back the wave behind it; the commit that mends it is taken while the sync is
/// being tried again.
async fn a_broken_account(scenario: &Scenario<'_>, git: &GitRepository, application: &Application<'_>) -> Result<()> {
    let good = example("aws-accounts.yaml")?;
    let mut late: Value = serde_saphyr::from_str(&example("cross-account-invoke.yaml")?).context("the example")?;
    late["metadata"]["name"] = json!("late");
    late["spec"]["stage"] = json!({"name": "Late", "position": {"after": "Build"}});
    git.write("crossinvoke/accounts.yaml", &good.replace("choose-one", "wrong"))?;
    git.write("crossinvoke/late.yaml", &late.to_string())?;
    git.commit("A wrong external id")?;
    application.refresh().await?;
    let held = |status: &Value| {
        let account = resource(status, "AwsAccount", "dev-payments");
        account["health"]["status"] == "Degraded"
            && account["health"]["message"].as_str().is_some_and(|it| it.contains("external id"))
            && status["operationState"]["retryCount"].as_i64() > Some(0)
    };
    application.until("the sync fails and is tried again", held).await?;
    assert!(scenario.invokes().get_opt("late").await.context("reading")?.is_none(), "the wave behind it waits");
    git.write("crossinvoke/accounts.yaml", &good)?;
    application.synced(&git.commit("The right external id")?, "Healthy").await?;
    scenario.until_reason("late", "Converged").await.map(drop)
}

/// What leaves Git is pruned, but for an account, which does not put the Application out of sync either.
async fn pruned(scenario: &Scenario<'_>, git: &GitRepository, application: &Application<'_>) -> Result<()> {
    let all = example("aws-accounts.yaml")?;
    let (tools, _) = all.split_once("---\n").ok_or_else(|| Error::new("two accounts were expected"))?;
    git.write("crossinvoke/accounts.yaml", tools)?;
    git.remove("crossinvoke/late.yaml")?;
    git.remove("crossinvoke/unprotected.yaml")?;
    let status = application.synced(&git.commit("Only what must go, goes")?, "Healthy").await?;
    assert_eq!(resource(&status, "AwsAccount", "dev-payments")["requiresPruning"], true, "{status}");
    assert_eq!(accounts(scenario).await?, ["dev-payments", "tools"]);
    assert!(scenario.invokes().get_opt("late").await.context("reading")?.is_none());
    let namespace = format!("--namespace={}", scenario.namespace);
    let left = ["get", "configmaps", "unprotected", &namespace, "--ignore-not-found", "--output=name"];
    assert_eq!(scenario.kubectl().run(&left).await?, "", "it is pruned");
    scenario.until_reason("validate", "Converged").await.map(drop)
}

async fn accounts(scenario: &Scenario<'_>) -> Result<Vec<String>> {
    let all = scenario.aws_accounts().list(&kube::api::ListParams::default()).await.context("listing")?;
    let mut names: Vec<String> = all.items.iter().map(kube::ResourceExt::name_any).collect();
    names.sort();
    Ok(names)
}
