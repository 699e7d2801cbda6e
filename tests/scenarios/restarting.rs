//! The process ends anywhere and another one goes on.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    objects::{condition, message_of},
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use kube::api::{DeleteParams, DynamicObject};
use serde_json::Value;

use crate::{
    suite::{Case, case},
    support::{converge, entered, version},
};

const WRITES: [(&str, u64); 5] =
    [("CreateRole", 1), ("PutRolePolicy", 1), ("PutRolePolicy", 2), ("PutRolePolicy", 3), ("UpdatePipeline", 1)];

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case(
            "a_process_killed_at_any_write_is_continued_by_the_next",
            Setup::default,
            a_process_killed_at_any_write_is_continued_by_the_next,
        ),
        case("a_restart_in_peace_writes_nothing", Setup::default, a_restart_in_peace_writes_nothing),
        case("a_deletion_survives_a_kill", Setup::default, a_deletion_survives_a_kill),
        case("one_start_with_a_wrong_installation_id_leaves_no_drift", Setup::default, another_installation_id),
    ]
}

async fn a_process_killed_at_any_write_is_continued_by_the_next(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    for (index, (operation, nth)) in WRITES.into_iter().enumerate() {
        let name = format!("killed-{index}");
        let versions = version(scenario)?;
        // The write is applied, its answer never comes, and the process is killed while it waits for more.
        scenario.aws().fault(Fault::next(operation, Effect::DropAfterApplying).nth(nth)).context("a fault")?;
        let mark = scenario.mark()?;
        scenario.apply(&scenario.invoke(&name)).await?;
        eventually("the write is made", DEADLINE, async || {
            let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
            let made = u64::try_from(calls.of(operation)).unwrap_or_default();
            if made >= nth { Ok(()) } else { Err(calls.to_string()) }
        })
        .await?;
        scenario.kill_and_restart_controller().await?;
        scenario.until_reason(&name, "Converged").await?;
        assert_eq!(version(scenario)?, versions + 1, "{operation} {nth}: one version more, not two");
        scenario.delete(&name).await?;
        scenario.until_gone(&name).await?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

async fn a_restart_in_peace_writes_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let mark = scenario.mark()?;
    scenario.restart_controller().await?;
    scenario.reads_of_one_cycle(mark).await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.mutating(), 0, "{calls}");
    let after = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(after.metadata.resource_version, object.metadata.resource_version, "no Kubernetes write");
    Ok(())
}

async fn a_deletion_survives_a_kill(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    for (index, operation) in ["UpdatePipeline", "DeleteRolePolicy", "DeleteRole"].into_iter().enumerate() {
        let name = format!("killed-{index}");
        converge(scenario, &scenario.invoke(&name)).await?;
        scenario.aws().fault(Fault::next(operation, Effect::DropAfterApplying)).context("a fault")?;
        let mark = scenario.mark()?;
        scenario.delete(&name).await?;
        eventually("the write is made", DEADLINE, async || {
            let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
            if calls.of(operation) > 0 { Ok(()) } else { Err(calls.to_string()) }
        })
        .await?;
        scenario.kill_and_restart_controller().await?;
        scenario.until_gone(&name).await?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

async fn another_installation_id(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    let good = scenario.configuration()?;
    let right = scenario.installation_id.clone();
    scenario.controller()?.stop().await?;
    "wrong".clone_into(&mut scenario.installation_id);
    scenario.start_controller().await?;
    scenario.until_reason("validate", "ActionConflict").await?;
    scenario.controller()?.stop().await?;
    scenario.installation_id = right;
    scenario.start_controller().await?;
    let in_sync = |it: &DynamicObject| {
        condition(it, "Ready").is_some_and(|(_, reason)| reason == "Converged")
            && condition(it, "Drifted").is_some_and(|(status, _)| status == "False")
    };
    let object = scenario.until("validate", "in sync", in_sync).await?;
    assert!(!object.data["status"].to_string().contains("crossinvoke-wrong"), "{}", object.data["status"]);
    assert_eq!(scenario.controller()?.metric("crossinvoke_drift_oldest_uncorrected_seconds").await?.to_string(), "0");
    scenario.assert_as_before(&good)?;
    what_it_left_holds_no_account_in_silence(scenario, &before).await
}

/// The finalizers of the wrong installation stay on the accounts. Whoever deletes one is told what to do.
async fn what_it_left_holds_no_account_in_silence(scenario: &Scenario<'_>, before: &Value) -> Result<()> {
    let (api, name) = (scenario.aws_accounts(), format!("{}-dev", scenario.namespace));
    let wrong = "crossinvoke.dev/in-use-wrong";
    api.delete(&name, &DeleteParams::default()).await.context("deleting")?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(before)?;
    let blocked = scenario.until_account_reason(&name, "DeletionBlocked").await?;
    assert_eq!(blocked.metadata.finalizers.clone().unwrap_or_default(), [wrong]);
    assert_eq!(condition(&blocked, "Stalled"), Some(("True", "DeletionBlocked")));
    let message = message_of(&blocked, "Ready");
    assert!(message.contains(&format!("{wrong} of installation wrong")), "{message}");
    let kubectl = scenario.kubectl();
    let selector = format!("--field-selector=reason=DeletionBlocked,regarding.name={name}");
    let arguments = ["get", "events.events.k8s.io", "--namespace=default", &selector, "--output=json"];
    eventually("one event says so", DEADLINE, async || {
        let text = kubectl.run(&arguments).await.map_err(|error| error.to_string())?;
        let events: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let all: Vec<&Value> = events["items"].as_array().into_iter().flatten().collect();
        let [event] = all[..] else { return Err(format!("{all:?}")) };
        let told = event["type"] == "Warning" && event["note"] == message.as_str();
        if told { Ok(()) } else { Err(event.to_string()) }
    })
    .await?;
    // What the message says, as it stands there.
    let patch = message.split_once("--patch='").and_then(|(_, patch)| patch.strip_suffix('\'')).unwrap_or_default();
    assert!(message.contains(&format!("kubectl patch awsaccount {name} --type=json --patch=")), "{message}");
    kubectl.run(&["patch", "awsaccount", &name, "--type=json", &format!("--patch={patch}")]).await?;
    eventually("the account goes", DEADLINE, async || match api.get_opt(&name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .map(drop)
}
