//! What the scenarios of one test binary share.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::json;

use crate::{
    control_plane::ControlPlane,
    error::{Context as _, Result},
    helm::Release,
    moto::Moto,
};

/// A control plane with the CRDs, and the controller to try: one per test binary.
#[derive(Debug)]
pub struct Bench {
    control_plane: ControlPlane,
    controller: PathBuf,
    moto: OnceLock<Result<Moto>>,
}

impl Bench {
    /// Starts a control plane and installs the chart's CRDs.
    ///
    /// # Errors
    /// If tools are missing, the control plane does not come up, or the API server refuses a CRD.
    pub async fn start(controller: impl Into<PathBuf>) -> Result<Self> {
        let bench = Self::without_crds(controller).await?;
        bench.install_crds().await?;
        Ok(bench)
    }

    /// Starts a control plane that does not know our kinds.
    ///
    /// # Errors
    /// If tools are missing, or the control plane does not come up.
    pub async fn without_crds(controller: impl Into<PathBuf>) -> Result<Self> {
        // It blocks for seconds; who waits for Ctrl-C meanwhile shall see it.
        let started = tokio::task::spawn_blocking(ControlPlane::start).await;
        let control_plane = started.context("starting a control plane")??;
        Ok(Self { control_plane, controller: controller.into(), moto: OnceLock::new() })
    }

    /// Installs the CRDs as the chart renders them, and waits until the API server serves them.
    ///
    /// # Errors
    /// If the API server refuses one.
    pub async fn install_crds(&self) -> Result<()> {
        let release = release("crossinvoke-system");
        let crds = self.control_plane.helm().template(&release, &["templates/crds.yaml"]).await?;
        let kubectl = self.control_plane.kubectl();
        kubectl.apply(&crds).await?;
        kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await?;
        Ok(())
    }

    /// The control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// moto, started when it is first asked for; scenarios have accounts of their own in it.
    ///
    /// # Errors
    /// If it does not start, every time with what went wrong the first time.
    pub fn moto(&self) -> Result<&Moto> {
        self.moto.get_or_init(Moto::start).as_ref().map_err(Clone::clone)
    }

    /// The controller's binary.
    #[must_use]
    pub fn controller(&self) -> &Path {
        &self.controller
    }
}

/// The name that the chart gives its `ServiceAccount` in a release called like the chart.
pub(crate) const SERVICE_ACCOUNT: &str = "crossinvoke";

/// A release of our chart, called like the chart, with what its values cannot do without.
pub(crate) fn release(namespace: &str) -> Release {
    Release {
        name: "crossinvoke".to_owned(),
        namespace: namespace.to_owned(),
        values: json!({"image": {"repository": "registry.example.com/crossinvoke"}}),
    }
}
