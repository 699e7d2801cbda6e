//! Nobody stops the others: an object that nobody can read, and a namespace that cannot be listed or goes.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::EXECUTION_ROLE,
    objects, process,
    wait::{DEADLINE, eventually},
};
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    proving::add_entry,
    suite::{Case, case},
    support::{converge, entered, patch_account, refused, repaired},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("managed_fields_that_do_not_decode_stop_nobody_and_reach_no_log", debugging, odd_managed_fields),
        case("a_namespace_that_cannot_be_listed_stops_nobody", two_namespaces, unlistable),
        case("a_namespace_that_is_gone_holds_nothing_up", one_that_goes, gone_namespace),
        case("a_namespace_that_may_be_listed_and_not_watched_is_lacking", one_more_namespace, unwatchable),
        case("an_account_whose_kind_may_not_be_read_stays_and_says_so", no_rights, unreadable_kind),
        case("a_deleted_namespace_goes_and_leaves_aws_clean", elsewhere, deleted_namespace),
    ]
}

/// Everything is logged, so that a body would be.
fn debugging() -> Setup {
    Setup::default().flags(["--log-level", "debug"])
}

fn elsewhere() -> Setup {
    Setup::default().in_a_namespace_of_its_own()
}

fn no_rights() -> Setup {
    Setup::default().without_controller().without_rights()
}

/// The second one, beside the scenario's.
const SECOND: &str = "a-namespace-that-cannot-be-listed-second";

fn two_namespaces() -> Setup {
    let both = |account: &mut Value| {
        account["spec"]["grants"][0]["namespaces"]["names"].as_array_mut().unwrap().push(json!(SECOND));
    };
    Setup::default()
        .without_controller()
        .without_rights()
        .flags(["--watch-namespace", SECOND, "--stalled-retry", "2s"])
        .aws_accounts(move |tools, dev| {
            both(tools);
            both(dev);
        })
}

/// The namespace beside the scenario's that goes.
const GOING: &str = "a-namespace-that-is-gone-second";

fn one_that_goes() -> Setup {
    let both = |account: &mut Value| {
        account["spec"]["grants"][0]["namespaces"]["names"].as_array_mut().unwrap().push(json!(GOING));
    };
    // No retry by time: that it is gone has to be enough.
    Setup::default()
        .without_controller()
        .without_rights()
        .flags(["--watch-namespace", GOING, "--stalled-retry", "30m"])
        .aws_accounts(move |tools, dev| {
            both(tools);
            both(dev);
        })
}

/// The namespace beside the scenario's that may be listed and not watched.
const UNWATCHED: &str = "a-namespace-that-may-not-be-watched-second";

fn one_more_namespace() -> Setup {
    Setup::default().without_controller().without_rights().flags(["--watch-namespace", UNWATCHED])
}

/// Replaces an object by what a tenant who may edit it could write, managed fields and all.
async fn put(client: &Client, path: &str, change: impl Fn(&mut Value)) -> Result<()> {
    let text = client.request_text(request("GET", path, Vec::new())?).await.context("reading")?;
    let mut object: Value = serde_json::from_str(&text).context("an object")?;
    change(&mut object);
    let body = serde_json::to_vec(&object).context("an object")?;
    client.request_text(request("PUT", path, body)?).await.context("replacing")?;
    Ok(())
}

fn request(method: &str, path: &str, body: Vec<u8>) -> Result<http::Request<Vec<u8>>> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
    request.body(body).context("a request")
}

/// A time that Go writes and no clock of ours holds. With something else changed, or the API server takes it for nothing.
fn late(object: &mut Value) {
    for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
        entry["time"] = json!("9999-12-31T23:59:59Z");
    }
    object["metadata"]["labels"]["touched"] = json!("true");
}

async fn odd_managed_fields(scenario: &mut Scenario<'_>) -> Result<()> {
    const SECRET: &str = "what-nobody-may-read-in-a-log";
    let namespace = scenario.namespace.clone();
    let before = scenario.configuration()?;
    for name in ["one", "two"] {
        let mut invoke = scenario.invoke(name);
        invoke["spec"]["action"] = json!({"userParameters": SECRET});
        converge(scenario, &invoke).await?;
    }
    let good = scenario.configuration()?;
    let group = "/apis/crossinvoke.dev/v1alpha1";
    let invoke = format!("{group}/namespaces/{namespace}/crossaccountinvokes/one");
    for path in [&invoke, &format!("{group}/awsaccounts/{namespace}-dev"), &format!("/api/v1/namespaces/{namespace}")] {
        eventually("the API server takes it", DEADLINE, async || {
            put(&scenario.client, path, late).await.map_err(|error| error.to_string())
        })
        .await?;
        let stored = scenario.client.request_text(request("GET", path, Vec::new())?).await.context("reading")?;
        assert!(stored.contains("9999-12-31"), "the API server keeps it for {path}");
    }
    scenario.restart_controller().await?;
    // Both are served: what differs is corrected, and what is written about the odd one is decoded. A client in Rust, such
    // as that of this test, cannot read the odd one.
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    scenario.aws().remove_inline_policy(&scenario.accounts.dev, EXECUTION_ROLE, &callback).context("drift")?;
    repaired(scenario, "two", "after the restart", &good).await?;
    scenario.delete("two").await?;
    scenario.until_gone("two").await?;
    let kubectl = scenario.kubectl();
    let of_one = ["crossaccountinvoke", "one", "--namespace", &namespace];
    kubectl.run(&[&["annotate"][..], &of_one, &["crossinvoke.dev/reconcile-requested-at=now"]].concat()).await?;
    let handled = "--for=jsonpath={.status.lastHandledReconcileAt}=now";
    kubectl.run(&[&["wait"][..], &of_one, &[handled, "--timeout=60s"]].concat()).await?;
    kubectl.run(&[&["delete"][..], &of_one, &["--timeout=60s"]].concat()).await?;
    scenario.assert_as_before(&before)?;
    let log = scenario.controller()?.log();
    let leaks: Vec<_> = log.iter().filter(|line| line.contains(SECRET)).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

/// Rights that end with the namespaces that a person lists, as installations of their own have them.
pub(crate) async fn give_narrow_rights(scenario: &Scenario<'_>) -> Result<()> {
    let own = &scenario.namespace;
    let cluster = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
    "metadata": {"name": own}, "rules": [
        {"apiGroups": ["crossinvoke.dev"], "resources": ["awsaccounts"], "verbs": ["list", "watch", "patch"]},
        {"apiGroups": ["crossinvoke.dev"], "resources": ["awsaccounts/status"], "verbs": ["update", "patch"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ]});
    let objects = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
    "metadata": {"name": format!("{own}-objects")}, "rules": [
        {"apiGroups": ["crossinvoke.dev"], "resources": ["crossaccountinvokes"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": ["crossinvoke.dev"], "resources": ["crossaccountinvokes/status"], "verbs": ["update", "patch"]},
    ]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": own}, "roleRef": role_ref(own), "subjects": subjects(own)});
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "crossinvoke", "namespace": own}});
    for object in [cluster, objects, binding, account] {
        scenario.apply(&object).await?;
    }
    allow(scenario, own).await
}

pub(crate) fn role_ref(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name})
}

pub(crate) fn subjects(namespace: &str) -> Value {
    json!([{"kind": "ServiceAccount", "name": "crossinvoke", "namespace": namespace}])
}

async fn allow(scenario: &Scenario<'_>, namespace: &str) -> Result<()> {
    let own = &scenario.namespace;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "crossinvoke", "namespace": namespace},
        "roleRef": role_ref(&format!("{own}-objects")), "subjects": subjects(own)});
    scenario.apply(&binding).await
}

/// Waits for what `/readyz` says, and that the gauge counts the namespace while it is named.
async fn until_readyz(
    scenario: &mut Scenario<'_>,
    namespace: &str,
    what: &str,
    is: impl Fn(&str) -> bool,
) -> Result<()> {
    let controller = scenario.controller()?;
    let metric = "crossinvoke_namespaces_unlistable ";
    eventually(what, DEADLINE, async || {
        let (status, body) = controller.get("/readyz").await.map_err(|error| error.to_string())?;
        let count = controller.metric(metric).await.map_err(|error| error.to_string())?;
        let named = f64::from(u8::from(body.contains(namespace)));
        let agrees = (count - named).abs() < f64::EPSILON;
        if status == 200 && is(&body) && agrees { Ok(()) } else { Err(format!("{status} {body} {count}")) }
    })
    .await?;
    Ok(())
}

async fn unlistable(scenario: &mut Scenario<'_>) -> Result<()> {
    let kubectl = scenario.kubectl();
    kubectl.run(&["create", "namespace", SECOND]).await?;
    give_narrow_rights(scenario).await?;
    allow(scenario, SECOND).await?;
    scenario.start_controller().await?;
    converge(scenario, &scenario.invoke("one")).await?;
    let second: Api<DynamicObject> =
        Api::namespaced_with(scenario.client.clone(), SECOND, &objects::cross_account_invokes());
    let theirs = objects::cross_account_invoke(&scenario.accounts, SECOND, "theirs");
    let theirs: DynamicObject = serde_json::from_value(theirs).context("an object")?;
    second.create(&PostParams::default(), &theirs).await.context("their object")?;
    converged(&second, "theirs").await?;
    let good = scenario.configuration()?;

    kubectl.run(&["delete", "rolebinding", "crossinvoke", "--namespace", SECOND]).await?;
    scenario.restart_controller().await?;
    let named =
        |body: &str| body.contains(&format!("namespace {SECOND} is not served")) && body.contains("may not list");
    until_readyz(scenario, SECOND, "readyz names the namespace", named).await?;
    entered(scenario).await?;
    // Corrections and additions go on, and nothing that may be shared is removed.
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    scenario.aws().remove_inline_policy(&scenario.accounts.dev, EXECUTION_ROLE, &callback).context("drift")?;
    repaired(scenario, "one", "the callback policy", &good).await?;
    let mut another = scenario.invoke("another");
    another["spec"]["action"] = json!({"runOrder": 1});
    converge(scenario, &another).await?;
    let with_another = scenario.configuration()?;
    scenario.delete("another").await?;
    let said = ["since another namespace cannot be listed", "watchNamespaces", "continues automatically"];
    refused(scenario, "another", "DeletionBlocked", &said).await?;
    let blocked = scenario.invokes().get("another").await.context("reading")?;
    assert!(!blocked.data["status"].to_string().contains(SECOND), "a stranger is not told which: {:?}", blocked.data);
    let controller = scenario.controller()?;
    eventually("the log names it", DEADLINE, async || {
        let log = controller.log();
        let named = |line: &String| line.contains(SECOND) && line.contains("nothing shared is removed");
        if log.iter().any(named) { Ok(()) } else { Err(format!("{log:?}")) }
    })
    .await?;
    let left = scenario.configuration()?;
    for role in ["dev", "tools"] {
        let account = if role == "dev" { &scenario.accounts.dev } else { &scenario.accounts.tools };
        let policies = |all: &Value| all["accounts"][account]["roles"].clone();
        assert_eq!(policies(&left), policies(&with_another), "no policy of {role} has changed");
    }

    allow(scenario, SECOND).await?;
    until_readyz(scenario, SECOND, "readyz names it no more", |body| body == "ok\n").await?;
    scenario.until_gone("another").await?;
    scenario.assert_as_before(&good)?;
    scenario.delete("one").await?;
    scenario.until_gone("one").await?;
    second.delete("theirs", &kube::api::DeleteParams::default()).await.context("deleting")?;
    eventually("theirs goes", DEADLINE, async || match second.get_opt("theirs").await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

/// Its rights go with it, so that its list is refused for ever.
async fn gone_namespace(scenario: &mut Scenario<'_>) -> Result<()> {
    let kubectl = scenario.kubectl();
    kubectl.run(&["create", "namespace", GOING]).await?;
    give_narrow_rights(scenario).await?;
    scenario.start_controller().await?;
    let named = |body: &str| body.contains(&format!("namespace {GOING} is not served"));
    until_readyz(scenario, GOING, "readyz names the namespace", named).await?;
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("one")).await?;
    scenario.delete("one").await?;
    refused(scenario, "one", "DeletionBlocked", &["since another namespace cannot be listed"]).await?;
    let (accounts, name) = (scenario.aws_accounts(), format!("{}-dev", scenario.namespace));
    accounts.delete(&name, &DeleteParams::default()).await.context("deleting")?;
    let held = format!("{GOING}/*");
    let selector = format!("--field-selector=reason=InUse,regarding.name={name}");
    let arguments = ["get", "events.events.k8s.io", "--namespace=default", &selector, "--output=json"];
    eventually("the namespace holds the account", DEADLINE, async || {
        let said = kubectl.run(&arguments).await.map_err(|error| error.to_string())?;
        if said.contains(&held) { Ok(()) } else { Err(said) }
    })
    .await?;

    kubectl.run(&["delete", "namespace", GOING, "--timeout=60s"]).await?;
    scenario.until_gone("one").await?;
    eventually("the account goes", DEADLINE, async || match accounts.get_opt(&name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    scenario.assert_as_before(&before)?;
    // It is still told of, since nobody took it out of watchNamespaces.
    until_readyz(scenario, GOING, "readyz names the namespace", named).await
}

/// Without the right to watch, lists show what changed: they come less and less often, and it is said that they are all.
async fn unwatchable(scenario: &mut Scenario<'_>) -> Result<()> {
    scenario.kubectl().run(&["create", "namespace", UNWATCHED]).await?;
    give_narrow_rights(scenario).await?;
    let (own, namespace) = (scenario.namespace.clone(), UNWATCHED);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
    "metadata": {"name": format!("{own}-unwatched")}, "rules": [
        {"apiGroups": ["crossinvoke.dev"], "resources": ["crossaccountinvokes"], "verbs": ["get", "list", "patch"]},
        {"apiGroups": ["crossinvoke.dev"], "resources": ["crossaccountinvokes/status"], "verbs": ["update", "patch"]},
    ]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "unwatched", "namespace": namespace},
        "roleRef": role_ref(&format!("{own}-unwatched")), "subjects": subjects(&own)});
    scenario.apply(&role).await?;
    scenario.apply(&binding).await?;
    scenario.start_controller().await?;
    let said = format!("namespace {namespace} can be listed and not watched");
    let named = |body: &str| body.contains(&said) && body.contains("the verb watch on crossaccountinvokes");
    until_readyz(scenario, namespace, "readyz names the namespace", named).await?;
    // Objects of the others are served meanwhile.
    converge(scenario, &scenario.invoke("one")).await?;
    // No account grants anything to the namespace, so nothing of its objects can be what a shared policy still names.
    let good = scenario.configuration()?;
    add_entry(scenario, &format!("arn:aws:iam::{}:role/stray", scenario.accounts.dev))?;
    repaired(scenario, "one", "a stray entry", &good).await?;
    missed(scenario, namespace).await?;
    eventually("lists come less often", DEADLINE, async || {
        let lists = scenario.kubernetes_calls("list", "crossaccountinvokes", namespace);
        let lists = lists.map_err(|error| error.to_string())?;
        let times: Vec<jiff::Timestamp> = lists.iter().filter_map(|time| time.parse().ok()).collect();
        let gap = times.windows(2).last().map_or(0, |pair| pair[1].duration_since(pair[0]).as_secs());
        if gap >= 4 && times.len() < 9 { Ok(()) } else { Err(format!("{lists:?}")) }
    })
    .await?;
    let log = scenario.controller()?.log();
    assert_eq!(log.iter().filter(|line| line.contains(&said)).count(), 1, "said once: {log:?}");

    allow(scenario, namespace).await?;
    until_readyz(scenario, namespace, "readyz names it no more", |body| body == "ok\n").await?;
    let again = format!("namespace {namespace} can be watched again");
    let controller = scenario.controller()?;
    // The log comes through a pipe, which may be read later than the answer of readyz.
    eventually("the log says so", DEADLINE, async || {
        let log = controller.log();
        if log.iter().any(|line| line.contains(&again)) { Ok(()) } else { Err(format!("{log:?}")) }
    })
    .await
}

/// An object loses its finalizer and goes between two lists. Nothing but the second of them tells of it.
async fn missed(scenario: &mut Scenario<'_>, namespace: &str) -> Result<()> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(scenario.client.clone(), namespace, &objects::cross_account_invokes());
    let dev = scenario.accounts.dev.clone();
    let object = objects::cross_account_invoke(&scenario.accounts, namespace, "missed");
    let mut object: DynamicObject = serde_json::from_value(object).context("an object")?;
    object = api.create(&PostParams::default(), &object).await.context("an object")?;
    let role = format!("arn:aws:iam::{dev}:role/left");
    object.data["status"] = json!({"inventory": [{"kind": "InvokeRole", "account": dev, "resource": role,
        "writtenAt": "2026-01-01T00:00:00Z", "readBack": true}]});
    eventually("the status is taken", DEADLINE, async || {
        let mut now = api.get("missed").await.map_err(|error| error.to_string())?;
        now.data["status"] = object.data["status"].clone();
        api.replace_status("missed", &PostParams::default(), &now).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    eventually("the controller has seen it", DEADLINE, async || match api.get("missed").await {
        Ok(object) if object.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty()) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    let controller = scenario.controller()?.id();
    process::pause(controller)?;
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("missed", &PatchParams::default(), &none).await.context("no finalizer")?;
    api.delete("missed", &DeleteParams::default()).await.context("deleting")?;
    process::resume(controller)?;
    let kubectl = scenario.kubectl();
    let arguments = [
        "get",
        "events.events.k8s.io",
        "--namespace",
        namespace,
        "--field-selector=reason=LeftBehind",
        "--output=json",
    ];
    eventually("what it left is told", DEADLINE, async || {
        let told = kubectl.run(&arguments).await.map_err(|error| error.to_string())?;
        if told.contains(&role) { Ok(()) } else { Err(told) }
    })
    .await?;
    let log = scenario.controller()?.log();
    let told = log.iter().filter(|line| line.contains("without its finalizer") && line.contains(&role)).count();
    assert_eq!(told, 1, "told once: {log:?}");
    Ok(())
}

async fn unreadable_kind(scenario: &mut Scenario<'_>) -> Result<()> {
    give_narrow_rights(scenario).await?;
    scenario.start_controller().await?;
    entered(scenario).await?;
    let (kubectl, own) = (scenario.kubectl(), scenario.namespace.clone());
    let without = r#"[{"op": "remove", "path": "/rules/3"}]"#;
    kubectl.run(&["patch", "clusterrole", &own, "--type=json", "--patch", without]).await?;
    let (api, name) = (scenario.aws_accounts(), format!("{own}-dev"));
    api.delete(&name, &kube::api::DeleteParams::default()).await.context("deleting the AwsAccount")?;
    let blocked = format!("--field-selector=reason=DeletionBlocked,regarding.name={name}");
    let arguments = ["get", "events.events.k8s.io", "--namespace=default", &blocked, "--output=json"];
    eventually("an event says what is missing", DEADLINE, async || {
        let said = kubectl.run(&arguments).await.map_err(|error| error.to_string())?;
        let told = said.contains("may not get the CustomResourceDefinition awsaccounts.crossinvoke.dev");
        if told { Ok(()) } else { Err(said) }
    })
    .await?;
    assert!(api.get_opt(&name).await.context("reading")?.is_some(), "it stays");
    let again = json!([{"op": "add", "path": "/rules/-", "value":
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get"]}}]);
    kubectl.run(&["patch", "clusterrole", &own, "--type=json", "--patch", &again.to_string()]).await?;
    patch_account(scenario, "dev", &json!({"metadata": {"labels": {"look": "again"}}})).await?;
    eventually("the account goes", DEADLINE, async || match api.get_opt(&name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

async fn converged(api: &Api<DynamicObject>, name: &str) -> Result<()> {
    eventually("their object converges", DEADLINE, async || match api.get(name).await {
        Ok(object) if objects::has_reason(&object, "Converged") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
}

async fn deleted_namespace(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    converge(scenario, &scenario.invoke("validate")).await?;
    let namespace = scenario.namespace.clone();
    let deleted = scenario.kubectl().run(&["delete", "namespace", &namespace, "--timeout=60s"]).await?;
    assert_eq!(deleted.trim(), format!("namespace \"{namespace}\" deleted"));
    assert!(scenario.invokes().list(&ListParams::default()).await.context("what is left")?.items.is_empty());
    scenario.assert_as_before(&before)?;
    let (status, body) = scenario.controller()?.get("/readyz").await?;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    Ok(())
}
