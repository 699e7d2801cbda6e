//! helm, as one user of one cluster.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::{command::run, error::Result, tools::repository};

/// A helm with a kubeconfig.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// A release of our chart.
#[derive(Clone, Debug)]
pub struct Release {
    /// The release's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its values, as a values file would have them.
    pub values: Value,
}

impl Helm {
    /// This helm as the user of this kubeconfig.
    #[must_use]
    pub fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_path_buf(), kubeconfig: kubeconfig.to_path_buf() }
    }

    /// Runs helm and returns its standard output.
    ///
    /// # Errors
    /// If it fails; with all that it said.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with_input(arguments, "").await
    }

    /// What a release of our chart consists of, rendered; only from these templates of it, if there are any.
    ///
    /// # Errors
    /// If the chart does not render; with helm's words.
    pub async fn template(&self, release: &Release, templates: &[&str]) -> Result<String> {
        let only: Vec<String> = templates.iter().map(|template| format!("--show-only={template}")).collect();
        let only: Vec<&str> = only.iter().map(String::as_str).collect();
        self.on(release, &chart(), "template", &only).await
    }

    /// What a release of our chart consists of on a Kubernetes of this version.
    ///
    /// # Errors
    /// As [`Self::template`], and if the chart is not for that version.
    pub async fn on_kubernetes(&self, version: &str, release: &Release) -> Result<String> {
        self.on(release, &chart(), "template", &["--kube-version", version]).await
    }

    /// Installs a release of a chart and returns what helm said, the notes among it.
    ///
    /// # Errors
    /// If the values are refused, or the API server refuses an object; with helm's words.
    pub async fn install(&self, release: &Release, chart: &Path, flags: &[&str]) -> Result<String> {
        self.on(release, chart, "install", flags).await
    }

    /// Upgrades a release to a chart, with its present values and no others, and returns what helm said.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub async fn upgrade(&self, release: &Release, chart: &Path, flags: &[&str]) -> Result<String> {
        self.on(release, chart, "upgrade", flags).await
    }

    /// Removes a release and returns what helm said.
    ///
    /// # Errors
    /// If there is none.
    pub async fn uninstall(&self, release: &Release) -> Result<String> {
        self.run(&["uninstall", &release.name, &format!("--namespace={}", release.namespace)]).await
    }

    async fn on(&self, release: &Release, chart: &Path, verb: &str, flags: &[&str]) -> Result<String> {
        let chart = chart.display().to_string();
        let namespace = format!("--namespace={}", release.namespace);
        let mut arguments = vec![verb, release.name.as_str(), chart.as_str(), &namespace, "--values=-"];
        arguments.extend(flags);
        self.run_with_input(&arguments, &release.values.to_string()).await
    }

    async fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        run(command, input).await
    }
}

/// The folder of our chart.
#[must_use]
pub fn chart() -> PathBuf {
    repository().join("charts/crossinvoke")
}
