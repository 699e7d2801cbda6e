//! An Application of Argo CD.

use std::time::Duration;

use crossinvoke_harness::{ARGOCD, ArgoCd, Context as _, Error, Kubectl, Result, wait::until_object};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

/// Argo CD compares every ten seconds and retries after half a minute.
const WITHIN: Duration = Duration::from_mins(3);

pub(crate) struct Application<'a> {
    api: Api<DynamicObject>,
    name: String,
    argo: &'a ArgoCd,
}

impl<'a> Application<'a> {
    /// Applies a manifest.
    pub(crate) async fn apply(client: &Client, kubectl: &Kubectl, argo: &'a ArgoCd, manifest: &Value) -> Result<Self> {
        kubectl.apply(&manifest.to_string()).await?;
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(Self { api: Api::namespaced_with(client.clone(), ARGOCD, &kind), name, argo })
    }

    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Value) -> bool) -> Result<Value> {
        let there = |object: Option<&DynamicObject>| object.is_some_and(|object| so(&object.data["status"]));
        let found = until_object(&self.api, &self.name, what, WITHIN, there).await;
        let found = found.map_err(|error| Error::new(format!("{error}\n{}", self.argo.logs())))?;
        found.map(|object| object.data["status"].clone()).ok_or_else(|| Error::new("the Application went away"))
    }

    /// Has it compared again and again until it is so: of a refused change only the first comparison after a refresh tells,
    /// and a refresh that comes during a comparison can be lost.
    pub(crate) async fn refreshed_until(&self, what: &str, so: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut status = self.until("it is there", |_| true).await?;
        let begun = std::time::Instant::now();
        while !so(&status) {
            if begun.elapsed() > WITHIN {
                return Err(Error::new(format!("refreshed for {WITHIN:?}, and not so: {what}\n{status:#}")));
            }
            let before = status["reconciledAt"].clone();
            self.refresh().await?;
            status = self.until(what, |status| so(status) || status["reconciledAt"] != before).await?;
        }
        Ok(status)
    }

    /// Has it compared with the newest commit, and waits until it is compared with it, in sync and of this health.
    pub(crate) async fn synced(&self, commit: &str, health: &str) -> Result<Value> {
        self.refresh().await?;
        let what = format!("synced to {commit} and {health}");
        let so = |status: &Value| {
            let ended = status["operationState"]["phase"] == "Succeeded";
            let at =
                status["sync"]["revision"] == commit && status["operationState"]["syncResult"]["revision"] == commit;
            ended
                && at
                && status["sync"]["status"] == "Synced"
                && (health.is_empty() || status["health"]["status"] == health)
        };
        self.until(&what, so).await
    }

    /// Has it compared with the newest commit.
    pub(crate) async fn refresh(&self) -> Result<()> {
        self.change(&json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}})).await
    }

    /// Merges a patch.
    pub(crate) async fn change(&self, patch: &Value) -> Result<()> {
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.api.patch(&self.name, &parameters, &patch).await.context("changing the Application").map(drop)
    }

    /// Deletes it and waits until it is gone, with what it brought.
    pub(crate) async fn delete(&self) -> Result<()> {
        self.api.delete(&self.name, &DeleteParams::default()).await.context("deleting the Application")?;
        let gone = |object: Option<&DynamicObject>| object.is_none();
        let gone = until_object(&self.api, &self.name, "it is gone", WITHIN, gone).await;
        gone.map(drop).map_err(|error| Error::new(format!("{error}\n{}", self.argo.logs())))
    }
}

/// What the Application says of a resource.
pub(crate) fn resource<'a>(status: &'a Value, kind: &str, name: &str) -> &'a Value {
    let resources = status["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    resources.iter().find(|it| it["kind"] == kind && it["name"] == name).unwrap_or(&Value::Null)
}
