//! kubectl, as one user of one cluster.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{ChildStdout, Command},
};

use crate::{
    bound,
    command::run,
    error::{Context as _, Error, Result},
};

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

    /// Runs a kubectl that does not end by itself, such as `get --watch`.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn watch(&self, arguments: &[&str]) -> Result<Watch> {
        let what = || format!("running {} {}", self.program.display(), arguments.join(" "));
        let mut command = bound::command(&self.program).context(what())?;
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).env("KUBERC", "off");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = bound::spawn(command).context(what())?;
        let output = child.stdout.take();
        // Made before the next step can fail, so that a failure ends it.
        let mut watch = Watch { child, lines: None };
        let output = output.map(ChildStdout::from_std).transpose().context(what())?;
        watch.lines = output.map(|output| BufReader::new(output).lines());
        Ok(watch)
    }
}

/// A kubectl that watches. It ends when this is dropped, and when this process ends in any way.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Watch {
    /// The next line that it prints.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn line(&mut self) -> Result<String> {
        let lines = self.lines.as_mut().ok_or_else(|| Error::new("the watch has no output"))?;
        let line = lines.next_line().await.context("what a watch prints")?;
        line.ok_or_else(|| Error::new("the watch has ended"))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
