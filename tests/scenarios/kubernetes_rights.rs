//! The chart's rights in Kubernetes hold what the controller calls, neither more nor less, by the API server's audit log.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crossinvoke_harness::{Context as _, ControlPlane, Helm, Release, Result, Tools};
use libtest_mimic::Failed;
use serde_json::{Value, json};

/// A verb of a resource, as `crossinvoke.dev/awsaccounts/status: update`.
type Calls = BTreeSet<String>;

/// What controllers called on all control planes.
static CALLED: Mutex<Calls> = Mutex::new(Calls::new());

/// Notes what controllers called on a control plane, which must still be running.
pub(crate) fn note(control_plane: &ControlPlane) -> Result<()> {
    let log = std::fs::read_to_string(&control_plane.started().audit_log).context("the audit log")?;
    let mut called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    // The last line may not be written whole yet.
    for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let user = event["user"]["username"].as_str().unwrap_or_default();
        if user.starts_with("system:serviceaccount:") && user.ends_with(":crossinvoke") {
            let object = &event["objectRef"];
            let text = |field: &str| object[field].as_str().unwrap_or_default();
            if let (Some(resource), Some(verb)) = (object["resource"].as_str(), event["verb"].as_str()) {
                called.insert(call(text("apiGroup"), resource, text("subresource"), verb));
            }
        }
    }
    Ok(())
}

fn call(group: &str, resource: &str, subresource: &str, verb: &str) -> String {
    let slash = if subresource.is_empty() { "" } else { "/" };
    format!("{group}/{resource}{slash}{subresource}: {verb}")
}

/// Compares.
pub(crate) fn check() -> std::result::Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shipped = runtime.block_on(shipped())?;
    let called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *called == shipped {
        return Ok(());
    }
    let missing: Vec<_> = called.difference(&shipped).collect();
    let idle: Vec<_> = shipped.difference(&called).collect();
    Err(format!("templates/rbac.yaml: called and not shipped {missing:?}, shipped and not called {idle:?}").into())
}

/// What the ClusterRole of a release for all namespaces allows, which is everything.
async fn shipped() -> Result<Calls> {
    // Rendering asks no cluster.
    let helm = Helm::new(&Tools::find()?.helm, Path::new("/dev/null"));
    let values = json!({"image": {"repository": "registry.example.com/crossinvoke"}});
    let release = Release { name: "crossinvoke".to_owned(), namespace: "default".to_owned(), values };
    let rendered = helm.template(&release, &["templates/rbac.yaml"]).await?;
    let mut shipped = Calls::new();
    for document in rendered.split("\n---\n") {
        let role: Value = serde_saphyr::from_str(document).context("a role")?;
        for rule in role["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| -> Vec<&str> {
                rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
            };
            let (groups, resources, verbs) = (list("apiGroups"), list("resources"), list("verbs"));
            for (group, resource) in
                groups.iter().flat_map(|group| resources.iter().map(move |resource| (group, resource)))
            {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                shipped.extend(verbs.iter().map(|verb| call(group, resource, subresource, verb)));
            }
        }
    }
    Ok(shipped)
}
