//! kubectl, as one user of one cluster.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::{command::run, error::Result};

/// A kubectl with a kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// This kubectl as the user of this kubeconfig.
    #[must_use]
    pub fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_path_buf(), kubeconfig: kubeconfig.to_path_buf() }
    }

    /// Runs kubectl and returns its standard output.
    ///
    /// # Errors
    /// If it fails; with all that it said.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_with_input(arguments, "").await
    }

    /// Applies manifests (YAML or JSON) server-side, as a user would, and returns what kubectl said.
    ///
    /// # Errors
    /// If the API server refuses one; with its message.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        self.run_with_input(&["apply", "--server-side", "--filename=-"], manifests).await
    }

    /// A token of a `ServiceAccount`, as a pod would get it.
    ///
    /// # Errors
    /// If there is no such `ServiceAccount`.
    pub async fn create_token(&self, namespace: &str, service_account: &str) -> Result<String> {
        let namespace = format!("--namespace={namespace}");
        let token = self.run(&["create", "token", service_account, &namespace, "--duration=24h"]).await?;
        Ok(token.trim().to_owned())
    }

    /// Runs kubectl with this standard input and returns its standard output.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        // A person's preferences and plugins are none of ours.
        command.env("KUBERC", "off");
        run(command, input).await
    }
}
