//! helm, as one user of one cluster.

use std::path::{Path, PathBuf};

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
    /// The installation id.
    pub installation_id: String,
    /// Further `--set` values.
    pub values: Vec<String>,
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
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        run(command, "").await
    }

    /// What a release of our chart consists of, rendered; only from these templates of it, if there are any.
    ///
    /// # Errors
    /// If the chart does not render; with helm's words.
    pub async fn template(&self, release: &Release, templates: &[&str]) -> Result<String> {
        let chart = chart().display().to_string();
        let namespace = format!("--namespace={}", release.namespace);
        let id = format!("--set-string=installationID={}", release.installation_id);
        let mut arguments = vec!["template", release.name.as_str(), chart.as_str(), &namespace, &id];
        let values: Vec<String> = release.values.iter().map(|value| format!("--set={value}")).collect();
        let only: Vec<String> = templates.iter().map(|template| format!("--show-only={template}")).collect();
        arguments.extend(values.iter().chain(&only).map(String::as_str));
        self.run(&arguments).await
    }
}

/// The folder of our chart.
#[must_use]
pub fn chart() -> PathBuf {
    repository().join("charts/crossinvoke")
}
