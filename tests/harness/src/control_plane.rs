//! A real kube-apiserver on a real etcd, with the real kube-controller-manager, for as long as this process lives.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use kube::Client;

use crate::{
    api_front::ApiFront,
    error::{Context as _, Error, Result},
    helm::Helm,
    kubeconfig,
    kubectl::Kubectl,
    supervisor::{ROLE, Report, Started},
    tools::Tools,
};

/// A running control plane. It ends when this is dropped, and when this process ends in any way.
#[derive(Debug)]
pub struct ControlPlane {
    tools: Tools,
    started: Started,
    supervisor: Child,
    /// The supervisor stops when this closes.
    lifeline: Option<ChildStdin>,
}

impl ControlPlane {
    /// Starts etcd, kube-apiserver and kube-controller-manager and waits until `/readyz` answers. Blocks for some seconds.
    ///
    /// The current executable must call [`crate::supervise_if_asked`] first thing in its `main`.
    ///
    /// # Errors
    /// If tools are missing, or the servers do not come up; with the end of their logs.
    pub fn start() -> Result<Self> {
        let tools = Tools::find()?;
        let executable = std::env::current_exe().context("the current executable")?;
        let mut supervisor = Command::new(executable)
            .arg(ROLE)
            .args([&tools.etcd, &tools.kube_apiserver, &tools.kube_controller_manager])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal goes to the whole foreground group; the servers end after their users.
            .process_group(0)
            .spawn()
            .context("starting the supervisor")?;
        let lifeline = supervisor.stdin.take();
        let mut line = String::new();
        if let Some(output) = supervisor.stdout.take() {
            BufReader::new(output).read_line(&mut line).context("the supervisor's report")?;
        }
        match serde_json::from_str(&line) {
            Ok(Report::Ready(started)) => Ok(Self { tools, started, supervisor, lifeline }),
            Ok(Report::Failed(error)) => Err(Error::new(error)),
            Err(_) => {
                Err(Error::new(format!("the supervisor said {line:?}; does main call supervise_if_asked first?")))
            }
        }
    }

    /// Where it is and what it consists of.
    #[must_use]
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// The tools that it was started with.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// An administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.started.kubeconfig
    }

    /// An administrator's kubectl.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.tools.kubectl, self.kubeconfig())
    }

    /// An administrator's helm.
    #[must_use]
    pub fn helm(&self) -> Helm {
        Helm::new(&self.tools.helm, self.kubeconfig())
    }

    /// Writes the kubeconfig of a `ServiceAccount`: what a pod of it would have, and nothing more.
    ///
    /// # Errors
    /// If there is no such `ServiceAccount`, or the file cannot be written.
    pub async fn write_service_account_kubeconfig(&self, path: &Path, namespace: &str, name: &str) -> Result<()> {
        self.write_kubeconfig_for(path, &self.started.server, namespace, name).await
    }

    /// The same for whoever asks at another address.
    ///
    /// # Errors
    /// As [`Self::write_service_account_kubeconfig`].
    pub async fn write_kubeconfig_for(&self, path: &Path, server: &str, namespace: &str, name: &str) -> Result<()> {
        let token = self.kubectl().create_token(namespace, name).await?;
        kubeconfig::write(path, server, &self.started.authority, &kubeconfig::User::Token(&token))
    }

    /// A port in front of the API server, at which requests and answers can be kept waiting.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn front(&self) -> Result<ApiFront> {
        ApiFront::start(&self.started.server, &self.started.authority).await
    }

    /// An administrator's client.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client(self.kubeconfig()).await
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.lifeline.take();
        // Until the supervisor has removed its folder.
        let _ = self.supervisor.wait();
        if let Some(folder) = self.started.kubeconfig.parent() {
            // Only there if the supervisor was killed.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
