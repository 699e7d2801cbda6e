//! What holds an object until its things are out of AWS: our finalizer, and its kind. What asks for a look.

use crossinvoke_harness::{
    Bench, Context as _, Result, Scenario, Setup, process,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    kubernetes_rights,
    suite::{Case, case, own_bench},
    support::{converge, finalizers, refused},
};

const FINALIZER: &str = "crossinvoke.dev/aws-resources";

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_finalizer_that_is_taken_off_is_put_back_at_once", Setup::default, put_back),
        case("an_object_that_goes_without_its_finalizer_is_reported", Setup::default, left_behind),
        case("only_a_request_asks_for_a_look", Setup::default, only_a_request),
        own_bench("an_object_stays_when_its_kind_is_deleted", async |controller| {
            let bench = Bench::start(controller).await?;
            let setup = Setup::default().flags(["--stalled-retry", "1s"]);
            let scenario = Scenario::with(&bench, "kind-deleted", setup).await?;
            scenario.run(async |scenario| kind_deleted(scenario).await).await?;
            kubernetes_rights::note(bench.control_plane())
        }),
        own_bench("an_account_stays_when_its_kind_is_deleted", async |controller| {
            let bench = Bench::start(controller).await?;
            let scenario = Scenario::with(&bench, "account-kind-deleted", Setup::default()).await?;
            scenario.run(async |scenario| account_kind_deleted(scenario).await).await?;
            kubernetes_rights::note(bench.control_plane())
        }),
    ]
}

/// The gates stay with their objects: without them nothing could be taken out of AWS.
async fn account_kind_deleted(scenario: &mut Scenario<'_>) -> Result<()> {
    let kind = "awsaccounts.crossinvoke.dev";
    let account = format!("{}-dev", scenario.namespace);
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    let made = scenario.configuration()?;
    let kubectl = scenario.kubectl();
    kubectl.run(&["delete", "crd", kind, "--wait=false"]).await?;
    let told = async |reason: &str, parts: &[&str]| {
        let selector = format!("--field-selector=reason={reason},regarding.name={account}");
        let arguments = ["get", "events.events.k8s.io", "--namespace=default", &selector, "--output=json"];
        eventually(&format!("an event {reason}"), DEADLINE, async || {
            let text = kubectl.run(&arguments).await.map_err(|error| error.to_string())?;
            let events: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let notes: Vec<&str> =
                events["items"].as_array().into_iter().flatten().filter_map(|event| event["note"].as_str()).collect();
            // Told once, and not at each look.
            let [note] = notes[..] else { return Err(format!("{notes:?}")) };
            if parts.iter().all(|part| note.contains(part)) { Ok(()) } else { Err(note.to_owned()) }
        })
        .await
    };
    let confirm = format!("kubectl annotate crd {kind} crossinvoke.dev/confirm-removal=true");
    let finalizer = format!("crossinvoke.dev/in-use-{}", scenario.installation_id);
    told("DeletionBlocked", &[&confirm, &finalizer, "save it"]).await?;
    scenario.assert_as_before(&made)?;

    kubectl.run(&["annotate", "crd", kind, "crossinvoke.dev/confirm-removal=true"]).await?;
    told("InUse", &["still used by CrossAccountInvoke", "/validate"]).await?;
    let held = scenario.aws_accounts().get(&account).await.context("the account")?;
    assert_eq!(held.metadata.finalizers.unwrap_or_default(), [finalizer]);
    scenario.assert_as_before(&made)?;
    // An account that goes still lets the controller in for what it made there.
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)?;
    kubectl.run(&["wait", "--for=delete", &format!("crd/{kind}"), "--timeout=90s"]).await.map(drop)
}

async fn take_off(scenario: &Scenario<'_>) -> Result<()> {
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    scenario.invokes().patch("validate", &PatchParams::default(), &none).await.context("no finalizer")?;
    Ok(())
}

async fn is_back(scenario: &Scenario<'_>) -> Result<()> {
    eventually("the finalizer is back", DEADLINE, async || {
        let now = finalizers(scenario, "validate").await.map_err(|error| error.to_string())?;
        if now == [FINALIZER] { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await
}

async fn put_back(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    // The look that is under way takes long, and the finalizer does not wait for it.
    scenario.aws().fault(Fault::next("GetPipeline", Effect::Delay { milliseconds: 8_000 })).context("a slow call")?;
    let mark = scenario.mark()?;
    take_off(scenario).await?;
    is_back(scenario).await?;
    assert_eq!(scenario.calls_since(mark)?.of("GetRolePolicy"), 0, "the look is not over");

    // One that was taken off while no controller ran is put back although AWS cannot be looked at.
    scenario.controller()?.stop().await?;
    take_off(scenario).await?;
    let denied = Fault::next("GetPipeline", Effect::fail("AccessDeniedException", "no", 400));
    scenario.aws().fault(denied.always()).context("a denial")?;
    scenario.start_controller().await?;
    is_back(scenario).await?;
    scenario.aws().clear_faults().context("healing")?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn left_behind(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let role = object.data["status"]["devAccount"]["invokeRoleARN"].as_str().unwrap_or_default().to_owned();
    let made = scenario.configuration()?;
    // A controller that stands still meanwhile puts the finalizer back too late.
    let controller = scenario.controller()?.id();
    process::pause(controller)?;
    take_off(scenario).await?;
    scenario.invokes().delete("validate", &DeleteParams::default()).await.context("deleting")?;
    scenario.until_gone("validate").await?;
    process::resume(controller)?;
    let kubectl = scenario.kubectl();
    let namespace = format!("--namespace={}", scenario.namespace);
    let events = ["get", "events.events.k8s.io", &namespace, "--output=json"];
    let event = eventually("the event", DEADLINE, async || {
        let text = kubectl.run(&events).await.map_err(|error| error.to_string())?;
        let all: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let found = all["items"].as_array().and_then(|all| all.iter().find(|event| event["reason"] == "LeftBehind"));
        found.cloned().ok_or(text)
    })
    .await?;
    assert_eq!((event["type"].as_str(), event["regarding"]["name"].as_str()), (Some("Warning"), Some("validate")));
    assert!(event["note"].as_str().is_some_and(|note| note.contains(&role)), "{event}");
    let log = scenario.controller()?.log();
    assert!(log.iter().any(|line| line.contains("without its finalizer") && line.contains(&role)), "{log:?}");
    scenario.assert_as_before(&made)
}

async fn only_a_request(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    request(scenario, "first").await?;
    // A look asks AWS before it answers the request, so what it asked is complete when the request is handled.
    let mark = scenario.mark()?;
    request(scenario, "second").await?;
    let one_look = scenario.calls_since(mark)?.of("GetPipeline");
    let mark = scenario.mark()?;
    // Another annotation changes the object and nothing more: the request behind it is the only look.
    for value in ["a", "b", "c"] {
        annotate(scenario, json!({"look": value})).await?;
    }
    request(scenario, "third").await?;
    assert_eq!((one_look > 0, scenario.calls_since(mark)?.of("GetPipeline")), (true, one_look));
    let account = scenario.aws_accounts();
    let name = format!("{}-dev", scenario.namespace);
    let flux = Patch::Merge(json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}));
    account.patch(&name, &PatchParams::default(), &flux).await.context("annotating")?;
    eventually("the account's request is handled", DEADLINE, async || match account.get(&name).await {
        Ok(object) if object.data["status"]["lastHandledReconcileAt"] == "now" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    Ok(())
}

async fn annotate(scenario: &Scenario<'_>, annotations: Value) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    scenario.invokes().patch("validate", &PatchParams::default(), &patch).await.context("annotating").map(drop)
}

/// Asks for a look and waits until it is over.
async fn request(scenario: &Scenario<'_>, value: &str) -> Result<()> {
    annotate(scenario, json!({"crossinvoke.dev/reconcile-requested-at": value})).await?;
    let is = |object: &kube::api::DynamicObject| object.data["status"]["lastHandledReconcileAt"] == value;
    scenario.until("validate", "the request is handled", is).await.map(drop)
}

async fn kind_deleted(scenario: &mut Scenario<'_>) -> Result<()> {
    let kind = "crossaccountinvokes.crossinvoke.dev";
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    let made = scenario.configuration()?;
    let policy = scenario.helm().template(&scenario.release(), &["templates/crds-protection.yaml"]).await?;
    let kubectl = scenario.kubectl();
    kubectl.apply(&policy).await?;
    let confirm = format!("kubectl annotate crd {kind} crossinvoke.dev/confirm-removal=true");
    eventually("the policy takes effect", DEADLINE, async || {
        match kubectl.run(&["delete", "crd", kind, "--dry-run=server"]).await {
            Err(error) if error.to_string().contains(&confirm) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    for target in [kind, "awsaccounts.crossinvoke.dev", "--all"] {
        let refused = kubectl.run(&["delete", "crd", target, "--wait=false"]).await;
        assert!(
            refused.is_err_and(|error| error.to_string().contains("deletes every object of this kind")),
            "{target}"
        );
    }
    // A collection that is deleted at once names no object.
    let collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let request = http::Request::delete(collection).body(Vec::new()).context("a request")?;
    assert!(
        scenario.client.request_text(request).await.is_err_and(|error| error.to_string().contains("confirm-removal"))
    );

    // In a cluster without the policy the kind goes, and the object stays all the same.
    kubectl.run(&["delete", "validatingadmissionpolicybinding", "crds.crossinvoke.dev"]).await?;
    eventually("the kind may be deleted", DEADLINE, async || {
        kubectl.run(&["delete", "crd", kind, "--wait=false"]).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    refused(scenario, "validate", "DeletionBlocked", &[&confirm, "apply the objects again"]).await?;
    scenario.assert_as_before(&made)?;
    kubectl.run(&["annotate", "crd", kind, "crossinvoke.dev/confirm-removal=true"]).await?;
    kubectl.run(&["wait", "--for=delete", &format!("crd/{kind}"), "--timeout=60s"]).await?;
    scenario.assert_as_before(&before)
}
