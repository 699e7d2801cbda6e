//! What has to be there before the watches open: both kinds, and a right to read them. What is missing is told by
//! `/readyz` and a log line, and waited for; it is never a crash.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Resource, ResourceExt, api::ListParams};

use crate::{
    api::{AwsAccount, CrossAccountInvoke},
    cluster::{
        Decoded,
        watch::{describe, is_of_one_namespace},
    },
    controller::context::Context,
    domain::{ids::InstallationId, names},
    http::Readiness,
};

/// How often a missing kind is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often it is said.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Waits until both kinds can be listed.
pub async fn kinds_installed(client: &Client, watched: &[String], readiness: &Readiness) {
    let mut said: Option<Timestamp> = None;
    loop {
        let Some(missing) = missing(client, watched).await else { return };
        readiness.waits_for(&missing);
        let now = Context::now();
        if said.is_none_or(|said| now.duration_since(said).unsigned_abs() >= SAY_EVERY) {
            tracing::warn!("not ready: {missing}");
            said = Some(now);
        }
        pause(LOOK_EVERY).await;
    }
}

#[allow(clippy::disallowed_methods, reason = "nothing announces that a kind was installed, so it is looked for")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

async fn missing(client: &Client, watched: &[String]) -> Option<String> {
    let objects: Vec<Api<Decoded<CrossAccountInvoke>>> = match watched {
        [] => vec![Api::all(client.clone())],
        namespaces => namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
    };
    let accounts: Api<Decoded<AwsAccount>> = Api::all(client.clone());
    let one = ListParams::default().limit(1);
    let (mut listed, mut refused) = (false, None);
    for objects in objects {
        let Err(error) = objects.list(&one).await else {
            listed = true;
            continue;
        };
        let what = describe(&error, &CrossAccountInvoke::plural(&()));
        if !is_of_one_namespace(&error) {
            return Some(what);
        }
        refused = Some(what);
    }
    // One namespace that cannot be listed keeps the others waiting no more than a running process.
    if !listed {
        return refused;
    }
    accounts.list(&one).await.err().map(|error| describe(&error, &AwsAccount::plural(&())))
}

/// The installation's id when none is given: from the cluster, the release's namespace and its name.
///
/// # Errors
/// The `kube-system` namespace cannot be read.
pub async fn default_installation_id(
    client: &Client,
    release_namespace: &str,
    release_name: &str,
) -> Result<InstallationId, kube::Error> {
    let namespaces: Api<Decoded<Namespace>> = Api::all(client.clone());
    let uid = namespaces.get("kube-system").await?.uid().unwrap_or_default();
    Ok(names::default_installation_id(&uid, release_namespace, release_name))
}
