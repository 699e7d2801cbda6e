//! A real Argo CD beside the control plane: Redis, repository server and application controller, and repositories on disk.

use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    bound, command,
    control_plane::ControlPlane,
    error::{Context as _, Error, Result},
    kubectl::Kubectl,
    tools::{environment, repository},
    wait::{DEADLINE, eventually},
};

/// The namespace of Argo CD and its Applications.
pub const ARGOCD: &str = "argocd";

/// A ServiceAccount that may do everything: Argo CD enters the cluster as it.
const MANAGER: &str = "argocd-manager";

/// A running Argo CD. It ends when this is dropped, and when this process ends in any way.
#[derive(Debug)]
pub struct ArgoCd {
    program: PathBuf,
    /// The cluster's address, which a destination names: outside of a cluster there is no `kubernetes.default.svc`.
    pub server: String,
    processes: Vec<Daemon>,
    folder: TempDir,
}

/// A process that writes into a file of its own.
#[derive(Debug)]
struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ArgoCd {
    /// Starts the Argo CD of `tests/argocd/build.sh` with the shipped customizations and these further keys of argocd-cm.
    ///
    /// # Errors
    /// If it is not built, or does not come up; with the ends of its logs.
    pub async fn start(plane: &ControlPlane, settings: &Value) -> Result<Self> {
        let program = repository().join("build/argocd/argocd");
        if !program.is_file() {
            return Err(Error::new("Argo CD is not built; run `make test-argocd`, which builds it first"));
        }
        let folder = tempfile::tempdir().context("a folder")?;
        let server = plane.started().server.clone();
        let mut argo = Self { program, server, processes: Vec::new(), folder };
        argo.prepare(plane, settings).await?;
        let started = argo.start_processes(plane).await;
        started.map_err(|error| Error::new(format!("{error}\n{}", argo.logs())))?;
        Ok(argo)
    }

    /// What Argo CD's manifests would install, but for its Deployments.
    async fn prepare(&self, plane: &ControlPlane, settings: &Value) -> Result<()> {
        let kubectl = plane.kubectl();
        let crds = repository().join("build/argocd/crds").display().to_string();
        kubectl.run(&["apply", "--server-side", "--kustomize", &crds]).await?;
        let established = async || {
            let all = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
            kubectl.run(&all).await.map(drop).map_err(|error| error.to_string())
        };
        // It fails at once while a CRD has no status yet.
        eventually("the CRDs are established", DEADLINE, established).await?;
        let mut data = customizations()?;
        data["timeout.reconciliation"] = json!("10s");
        data["timeout.reconciliation.jitter"] = json!("0s");
        for (key, value) in settings.as_object().into_iter().flatten() {
            data[key] = value.clone();
        }
        std::fs::write(self.settings(), config_map("argocd-cm", &data).to_string()).context("argocd-cm")?;
        let empty = |name| config_map(name, &json!({}));
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(MANAGER)});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": MANAGER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": MANAGER, "namespace": ARGOCD}],
        });
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("argocd-secret"),
            "stringData": {"server.secretkey": "any-will-do"}});
        let everything = json!([{"group": "*", "kind": "*"}]);
        let project = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": meta("default"),
            "spec": {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": everything}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ARGOCD}});
        kubectl.apply(&namespace.to_string()).await?;
        let maps = ["argocd-rbac-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm", "argocd-gpg-keys-cm"];
        let mut objects = vec![account, binding, secret, project, config_map("argocd-cm", &data)];
        objects.extend(maps.map(empty));
        kubectl.apply(&list(&objects)).await?;
        let token = kubectl.create_token(ARGOCD, MANAGER).await?;
        let authority = self.authority_data(&kubectl).await?;
        let config = json!({"bearerToken": token, "tlsClientConfig": {"caData": authority}});
        let mut cluster = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("cluster"),
            "stringData": {"name": "here", "server": self.server, "config": config.to_string()}});
        cluster["metadata"]["labels"]["argocd.argoproj.io/secret-type"] = json!("cluster");
        kubectl.apply(&cluster.to_string()).await.map(drop)
    }

    /// The authority of the server in base64, as the kubeconfig would hold it.
    async fn authority_data(&self, kubectl: &Kubectl) -> Result<String> {
        let flattened = kubectl.run(&["config", "view", "--raw", "--flatten", "--output=json"]).await?;
        let flattened: Value = serde_json::from_str(&flattened).context("the kubeconfig")?;
        let data = &flattened["clusters"][0]["cluster"]["certificate-authority-data"];
        data.as_str().map(str::to_owned).ok_or_else(|| Error::new("the kubeconfig names no authority"))
    }

    async fn start_processes(&mut self, plane: &ControlPlane) -> Result<()> {
        let (redis, repositories) = (free_port()?, free_port()?);
        let port = redis.to_string();
        let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        self.spawn("redis", Path::new("redis-server"), &arguments, &[])?;
        answers(redis).await?;

        let redis = format!("127.0.0.1:{redis}");
        let (port, metrics) = (repositories.to_string(), free_port()?.to_string());
        let arguments = [
            "--redis",
            &redis,
            "--address",
            "127.0.0.1",
            "--port",
            &port,
            "--metrics-address",
            "127.0.0.1",
            "--metrics-port",
            &metrics,
        ];
        let environment = self.repository_environment(&plane.tools().helm)?;
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.spawn("repo-server", &self.program.clone(), &arguments, &environment)?;
        answers(repositories).await?;

        let repositories = format!("127.0.0.1:{repositories}");
        let metrics = free_port()?;
        let port = metrics.to_string();
        let kubeconfig = plane.kubeconfig().display().to_string();
        let arguments = [
            "--kubeconfig",
            &kubeconfig,
            "--namespace",
            ARGOCD,
            "--redis",
            &redis,
            "--repo-server",
            &repositories,
            "--metrics-port",
            &port,
            "--app-resync",
            "10",
            "--persist-resource-health",
        ];
        let role = [("ARGOCD_BINARY_NAME", "argocd-application-controller")];
        self.spawn("application-controller", &self.program.clone(), &arguments, &role)?;
        answers(metrics).await
    }

    /// What the repository server finds in its container.
    fn repository_environment(&self, helm: &Path) -> Result<Vec<(&'static str, String)>> {
        let folder = |name: &str| -> Result<PathBuf> {
            let folder = self.folder.path().join(name);
            std::fs::create_dir_all(&folder).context(folder.display())?;
            Ok(folder)
        };
        let (bin, ssh) = (folder("bin")?, folder("ssh")?);
        std::fs::write(ssh.join("ssh_known_hosts"), "").context("known hosts")?;
        // Every request for manifests runs it; signatures are not asked for.
        let wrapper = bin.join("git-verify-wrapper.sh");
        std::fs::write(&wrapper, "#!/bin/sh\n").context(wrapper.display())?;
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).context(wrapper.display())?;
        let helm = helm.parent().unwrap_or(helm);
        let path = format!("{}:{}:{}", bin.display(), helm.display(), environment("PATH").unwrap_or_default());
        let shown = |path: PathBuf| path.display().to_string();
        Ok(vec![
            ("ARGOCD_BINARY_NAME", "argocd-repo-server".to_owned()),
            ("ARGOCD_TLS_DATA_PATH", shown(folder("tls")?)),
            ("ARGOCD_SSH_DATA_PATH", shown(ssh)),
            ("ARGOCD_GNUPGHOME", shown(folder("gpg")?)),
            ("ARGOCD_GPG_ENABLED", "false".to_owned()),
            ("TMPDIR", shown(folder("tmp")?)),
            ("HOME", shown(folder("home")?)),
            ("PATH", path),
        ])
    }

    fn spawn(
        &mut self,
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<()> {
        let log = self.folder.path().join(format!("{name}.log"));
        let file = File::create(&log).context(log.display())?;
        let again = file.try_clone().context(log.display())?;
        let mut command = bound::command(program).context(name)?;
        command.args(arguments).envs(environment.iter().copied()).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        let child = bound::spawn(command).context(name)?;
        self.processes.push(Daemon { name, child, log });
        Ok(())
    }

    /// argocd-cm as a file, for [`Self::admin`].
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.folder.path().join("argocd-cm.json")
    }

    /// Runs `argocd admin settings resource-overrides`, which runs Lua as Argo CD does, with the settings of argocd-cm.
    ///
    /// # Errors
    /// If it fails; with all that it said.
    pub async fn resource_overrides(&self, arguments: &[&str]) -> Result<String> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(["admin", "settings", "resource-overrides"]).args(arguments);
        command.arg("--argocd-cm-path").arg(self.settings()).env("ARGOCD_BINARY_NAME", "argocd");
        command::run(command, "").await
    }

    /// The ends of the processes' logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let tail = |daemon: &Daemon| {
            let log = std::fs::read_to_string(&daemon.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("--- {}\n{}\n", daemon.name, lines[lines.len().saturating_sub(40)..].join("\n"))
        };
        self.processes.iter().map(tail).collect()
    }
}

/// The keys of argocd-cm that deploy/argocd ships.
fn customizations() -> Result<Value> {
    let file = repository().join("deploy/argocd/values.yaml");
    let text = std::fs::read_to_string(&file).context(file.display())?;
    let values: Value = serde_saphyr::from_str(&text).context(file.display())?;
    Ok(values["configs"]["cm"].clone())
}

fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": ARGOCD, "labels": {"app.kubernetes.io/part-of": "argocd"}})
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(name), "data": data})
}

fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("a port")?;
    Ok(listener.local_addr().context("a port")?.port())
}

async fn answers(port: u16) -> Result<()> {
    let connects = async || TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string());
    eventually(&format!("port {port} answers"), DEADLINE, connects).await
}

/// A Git repository on disk, with one branch, `main`.
#[derive(Debug)]
pub struct GitRepository(TempDir);

impl GitRepository {
    /// An empty one.
    ///
    /// # Errors
    /// If git does not run.
    pub fn new() -> Result<Self> {
        let repository = Self(tempfile::tempdir().context("a folder")?);
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        Ok(repository)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }

    /// Writes a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &str, content: &str) -> Result<()> {
        let file = self.0.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap_or(&file)).context(file.display())?;
        std::fs::write(&file, content).context(file.display())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// If it is not there.
    pub fn remove(&self, file: &str) -> Result<()> {
        std::fs::remove_file(self.0.path().join(file)).context(file)
    }

    /// Commits everything as it now is, and returns the commit's id.
    ///
    /// # Errors
    /// If nothing has changed.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        let me = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
        self.git(&[&me[..], &["commit", "--quiet", "--message", message]].concat())?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("git").arg("-C").arg(self.0.path()).args(arguments).output().context("git")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::new(format!("git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))))
    }
}
