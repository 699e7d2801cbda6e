//! What `kubectl get` shows, and by what it finds objects; and whether an account's grants reach anybody.

use crossinvoke_harness::{
    Bench, Context as _, Result, Scenario, Setup,
    objects::condition,
    wait::{DEADLINE, eventually},
};
use kube::api::DynamicObject;
use serde_json::json;

use crate::{
    kubernetes_rights,
    suite::{Case, case, own_bench},
    support::{converge, entered, patch_account},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("kubectl_lists_both_kinds_by_name_category_and_field", Setup::default, kubectl_lists_both_kinds),
        case("one_installation_reports_an_account_and_another_follows_it", Setup::default, one_reporter),
        // It watches all namespaces, so no other scenario may be about.
        own_bench("an_account_that_grants_nothing_is_ready_and_says_so", async |controller| {
            let bench = Bench::start(controller).await?;
            let scenario = Scenario::with(&bench, "granting", Setup::default().everywhere()).await?;
            scenario.run(grants_that_reach_nobody).await?;
            kubernetes_rights::note(bench.control_plane())
        }),
    ]
}

fn header(table: &str) -> Vec<&str> {
    table.lines().next().unwrap_or_default().split_whitespace().collect()
}

async fn kubectl_lists_both_kinds(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let (kubectl, namespace) = (scenario.kubectl(), format!("--namespace={}", scenario.namespace));
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    let narrow = kubectl.run(&["get", "cai", &namespace]).await?;
    assert_eq!(header(&narrow), ["NAME", "READY", "REASON", "DRIFT", "PIPELINE", "STAGE", "AGE"]);
    let wide = kubectl.run(&["get", "cai", &namespace, "--output=wide"]).await?;
    assert_eq!(header(&wide)[7..], ["TOOLS", "DEV", "VERSION", "CHECKED", "MESSAGE"]);
    for part in [tools.as_str(), &dev, "can invoke"] {
        assert!(wide.contains(part), "{part:?} is not in {wide}");
    }
    let account = format!("{}-dev", scenario.namespace);
    let reporter = ["get", "awsa", &account, "--output=jsonpath={.status.installationID}"];
    assert_eq!(kubectl.run(&reporter).await?, scenario.installation_id);
    let narrow = kubectl.run(&["get", "awsa", &account]).await?;
    assert_eq!(header(&narrow), ["NAME", "ACCOUNT", "READY", "REASON", "OBJECTS", "AGE"]);
    let wide = kubectl.run(&["get", "awsa", &account, "--output=wide"]).await?;
    assert_eq!(header(&wide)[6..], ["GRANTS", "CHECKED", "CALLER", "MESSAGE"]);
    assert!(wide.contains("Matched") && wide.contains("assumed-role/crossinvoke"), "{wide}");

    for category in ["aws", "crossinvoke"] {
        let listed = kubectl.run(&["get", category, &namespace, "--output=name"]).await?;
        assert!(listed.contains("crossaccountinvoke.crossinvoke.dev/validate"), "{listed}");
        assert!(listed.contains(&format!("awsaccount.crossinvoke.dev/{account}")), "{listed}");
    }
    for (field, there, elsewhere) in [
        ("spec.toolsAccount.id", tools.as_str(), "999999999999"),
        ("spec.devAccount.id", &dev, "999999999999"),
        ("spec.pipeline.name", "payments-release", "other"),
        ("spec.function.name", "MyFunction", "Other"),
    ] {
        for (value, expected) in [(there, "crossaccountinvoke.crossinvoke.dev/validate"), (elsewhere, "")] {
            let selector = format!("--field-selector={field}={value}");
            let found = kubectl.run(&["get", "cai", &namespace, &selector, "--output=name"]).await?;
            assert_eq!(found.trim(), expected, "{selector}");
        }
    }
    let selector = format!("--field-selector=spec.accountID={dev}");
    let found = kubectl.run(&["get", "awsa", &selector, "--output=name"]).await?;
    assert_eq!(found.trim(), format!("awsaccount.crossinvoke.dev/{account}"));
    Ok(())
}

/// Of two installations that hold an account, the second reports it once the first has let go; until then it tells in an
/// event what it cannot do.
async fn one_reporter(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (first, second) = (scenario.installation_id.clone(), "the-second-one");
    let name = format!("{}-dev", scenario.namespace);
    let finalizer = |id: &str| format!("crossinvoke.dev/in-use-{id}");
    scenario.controller()?.kill()?;
    let nobody = format!("arn:aws:iam::{}:role/nobody", scenario.accounts.dev);
    patch_account(scenario, "dev", &json!({"spec": {"roleARN": nobody}})).await?;
    second.clone_into(&mut scenario.installation_id);
    scenario.start_controller().await?;

    let selector = format!("--field-selector=reason=Stalled,regarding.name={name}");
    let arguments = ["get", "events.events.k8s.io", "--namespace=default", &selector, "--output=json"];
    eventually("the second one tells", DEADLINE, async || {
        let found = scenario.kubectl().run(&arguments).await.map_err(|error| error.to_string())?;
        let told = found.contains("AssumeRoleDenied") && found.contains(&format!("installation {second}"));
        if told { Ok(()) } else { Err(found) }
    })
    .await?;
    let account = scenario.aws_accounts().get(&name).await.context("the account")?;
    assert_eq!(account.metadata.finalizers.clone().unwrap_or_default(), [finalizer(&first), finalizer(second)]);
    assert_eq!(account.data["status"]["installationID"], first.as_str());
    assert_eq!(condition(&account, "Ready"), Some(("True", "Converged")), "the status is the first one's");
    let stalled = r"crossinvoke_account_status{name=".to_owned() + &format!("{name:?},readiness=\"stalled\"");
    let counted = scenario.controller()?.metric(&stalled).await?;
    assert!((counted - 1.0).abs() < f64::EPSILON, "it counts what it sees: {counted}");

    let left = json!({"metadata": {"finalizers": [finalizer(second)]}});
    patch_account(scenario, "dev", &left).await?;
    let account = scenario.until_account_reason(&name, "AssumeRoleDenied").await?;
    assert_eq!(account.data["status"]["installationID"], second);
    Ok(())
}

/// Waits until the condition about the dev account's grants has this reason.
async fn until_grants(scenario: &Scenario<'_>, reason: &str) -> Result<DynamicObject> {
    let name = format!("{}-dev", scenario.namespace);
    eventually(&format!("GrantsMatched with reason {reason}"), DEADLINE, async || {
        let account = scenario.aws_accounts().get(&name).await.map_err(|error| error.to_string())?;
        let found = condition(&account, "GrantsMatched").map(|(_, reason)| reason.to_owned());
        if found.as_deref() == Some(reason) { Ok(account) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// Waits until so many accounts are counted as granting nothing.
async fn granting_nothing(scenario: &mut Scenario<'_>, count: f64) -> Result<()> {
    let controller = scenario.controller()?;
    eventually("the metric", DEADLINE, async || {
        let counted = controller.metric("crossinvoke_accounts_granting_nothing").await;
        let counted = counted.map_err(|error| error.to_string())?;
        if (counted - count).abs() < f64::EPSILON { Ok(()) } else { Err(counted.to_string()) }
    })
    .await
}

/// An account may be applied before the namespaces that it grants something to: it is healthy meanwhile.
async fn grants_that_reach_nobody(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let other = format!("{}-other", scenario.namespace);
    let message = |account: &DynamicObject| {
        let conditions = account.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let matched = conditions.into_iter().find(|condition| condition["type"] == "GrantsMatched").unwrap_or_default();
        matched["message"].as_str().unwrap_or_default().to_owned()
    };
    let tools = scenario.accounts.tools.clone();
    let named = |names: &[&str]| {
        json!({"spec": {"grants": [{"name": "functions", "namespaces": {"names": names},
        "functions": ["MyFunction"], "callers": [&tools]}]}})
    };
    until_grants(scenario, "Matched").await?;
    patch_account(scenario, "dev", &named(&[&scenario.namespace, &other])).await?;
    let account = until_grants(scenario, "NamespaceNotFound").await?;
    assert!(message(&account).contains(&other), "{}", message(&account));
    patch_account(scenario, "dev", &named(&[&other])).await?;
    let account = until_grants(scenario, "GrantsNothing").await?;
    assert_eq!(condition(&account, "Ready"), Some(("True", "Converged")), "who grants too early is not unhealthy");
    assert!(account.metadata.finalizers.unwrap_or_default().is_empty(), "and can be deleted at once");
    let events = async || {
        let arguments =
            ["get", "events", "--namespace=default", "--field-selector=reason=GrantsNothing", "--output=name"];
        scenario.kubectl().run(&arguments).await
    };
    eventually("the event", DEADLINE, async || {
        let found = events().await.map_err(|error| error.to_string())?;
        if found.trim().is_empty() { Err("no event".to_owned()) } else { Ok(()) }
    })
    .await?;
    granting_nothing(scenario, 1.0).await?;
    scenario.kubectl().run(&["create", "namespace", &other]).await?;
    until_grants(scenario, "Matched").await?;
    granting_nothing(scenario, 0.0).await?;
    // The second time within a minute is told in words of its own.
    let third = format!("{}-third", scenario.namespace);
    patch_account(scenario, "dev", &named(&[&third])).await?;
    until_grants(scenario, "GrantsNothing").await?;
    let arguments = ["get", "events", "--namespace=default", "--field-selector=reason=GrantsNothing", "--output=json"];
    eventually("an event that names the third namespace", DEADLINE, async || {
        let found = scenario.kubectl().run(&arguments).await.map_err(|error| error.to_string())?;
        if found.contains(&third) { Ok(()) } else { Err(found) }
    })
    .await
}
