//! The process that owns one control plane and takes it along when it ends.
//!
//! ```text
//! test, demo ── standard input ──> supervisor ── bound to it ──> etcd, kube-apiserver,
//!                                      │                    kube-controller-manager
//!                                      └── one line of JSON on standard output: ready, or why not
//! ```
//!
//! It is the current executable once more, so that no second binary has to be found. It stops all three and removes
//! their data when its standard input closes, which the kernel does when the other end is killed, and on SIGTERM.

use std::{
    ffi::OsString,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::{
    bound,
    error::{Context as _, Error, Result},
    kubeconfig,
    pki::Pki,
    wait::eventually,
};

/// The first argument that makes an executable of this workspace take this part.
pub(crate) const ROLE: &str = "supervise-control-plane";

/// Ports are picked by binding and letting go, so somebody else can be faster.
const ATTEMPTS: usize = 3;

/// From start to `/readyz`; 3.5 s on an idle machine.
const READY: Duration = Duration::from_secs(90);

/// The line that the supervisor prints.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Report {
    /// `/readyz` answers.
    Ready(Started),
    /// It will not come up.
    Failed(String),
}

/// A control plane that answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// An administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// `https://127.0.0.1:port`.
    pub server: String,
    /// The certificate authority of the server.
    pub authority: PathBuf,
    /// What ServiceAccounts asked of the server: an audit event of Kubernetes in each line.
    pub audit_log: PathBuf,
    /// The process id of the supervisor.
    pub supervisor: u32,
    /// The process id of etcd.
    pub etcd: u32,
    /// The process id of kube-apiserver.
    pub kube_apiserver: u32,
    /// The process id of kube-controller-manager.
    pub kube_controller_manager: u32,
}

const AUDIT_LOG: &str = "audit.log";
const AUDIT_POLICY: &str = "audit-policy.yaml";

/// Who asked for what, of all ServiceAccounts; without the objects, which may hold secrets.
const SERVICE_ACCOUNTS_CALLS: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: [system:serviceaccounts]
- level: None
";

/// Takes the part that the first argument names, and then does not return. Every `main` of this workspace's tests and
/// demo calls this first.
pub fn supervise_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(role) = arguments.next() else { return };
    if role == bound::ROLE {
        eprintln!("{}", bound::become_program(arguments));
        std::process::exit(127);
    }
    if role == ROLE {
        std::process::exit(supervise(arguments));
    }
}

fn supervise(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    let (Some(etcd), Some(kube_apiserver), Some(kube_controller_manager)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: {ROLE} ETCD KUBE-APISERVER KUBE-CONTROLLER-MANAGER");
        return 2;
    };
    let programs = Programs {
        etcd: etcd.into(),
        kube_apiserver: kube_apiserver.into(),
        kube_controller_manager: kube_controller_manager.into(),
    };
    // One thread: the servers are bound to the thread that spawns them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("starting a runtime").and_then(|runtime| runtime.block_on(run(&programs)));
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("control plane: {error}");
            1
        }
    }
}

#[derive(Debug)]
struct Programs {
    etcd: PathBuf,
    kube_apiserver: PathBuf,
    kube_controller_manager: PathBuf,
}

async fn run(programs: &Programs) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("listening to SIGTERM")?;
    let mut lifeline = lifeline();
    let ended = async {
        tokio::select! {
            _ = &mut lifeline => (),
            _ = terminated.recv() => (),
        }
    };
    tokio::pin!(ended);
    let started = tokio::select! {
        started = start(programs) => started,
        () = &mut ended => return Ok(()),
    };
    let (mut servers, report) = match started {
        Ok(servers) => {
            let report = Report::Ready(servers.started.clone());
            (servers, report)
        }
        Err(error) => return print(&Report::Failed(error.to_string())),
    };
    let outcome = match print(&report) {
        Ok(()) => tokio::select! {
            () = &mut ended => Ok(()),
            error = servers.first_end() => Err(error),
        },
        Err(error) => Err(error),
    };
    servers.stop().await;
    outcome
}

/// Resolves when standard input closes. A thread of its own reads it: the process ends without waiting for it.
fn lifeline() -> oneshot::Receiver<()> {
    let (closed, lifeline) = oneshot::channel();
    std::thread::spawn(move || {
        // A failed read is an input that is gone, too.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = closed.send(());
    });
    lifeline
}

fn print(report: &Report) -> Result<()> {
    let line = serde_json::to_string(report).context("the report")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("the report")
}

/// All processes and their data.
struct Servers {
    started: Started,
    etcd: Child,
    kube_apiserver: Child,
    /// Started once the API server answers: it gives up on one that does not.
    kube_controller_manager: Option<Child>,
    folder: TempDir,
}

impl Servers {
    async fn stop(mut self) {
        // The data goes away, so there is nothing to save.
        if let Some(manager) = &mut self.kube_controller_manager {
            let _ = manager.kill().await;
        }
        let _ = tokio::join!(self.kube_apiserver.kill(), self.etcd.kill());
        let _ = self.folder.close();
    }

    fn start_controller_manager(&mut self, program: &Path) -> Result<()> {
        let flags = kube_controller_manager_flags(self.folder.path(), &self.started.kubeconfig);
        let manager = launch(self.folder.path(), "kube-controller-manager", program, &flags)?;
        self.started.kube_controller_manager = manager.id().unwrap_or_default();
        self.kube_controller_manager = Some(manager);
        Ok(())
    }

    /// Waits until one of them ends on its own.
    async fn first_end(&mut self) -> Error {
        let manager = async {
            match &mut self.kube_controller_manager {
                Some(manager) => manager.wait().await,
                None => std::future::pending().await,
            }
        };
        let (name, status) = tokio::select! {
            status = manager => ("kube-controller-manager", status),
            status = self.etcd.wait() => ("etcd", status),
            status = self.kube_apiserver.wait() => ("kube-apiserver", status),
        };
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Error::new(format!("{name} ended ({status}):\n{}", log_tail(self.folder.path(), name)))
    }
}

async fn start(programs: &Programs) -> Result<Servers> {
    let mut failures = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut servers = spawn(programs)?;
        let kubeconfig = servers.started.kubeconfig.clone();
        let failure = tokio::select! {
            ready = until_ready(&kubeconfig) => match ready {
                Ok(()) => {
                    servers.start_controller_manager(&programs.kube_controller_manager)?;
                    return Ok(servers);
                }
                Err(error) => format!("{error}\n{}", log_tail(servers.folder.path(), "kube-apiserver")),
            },
            error = servers.first_end() => error.to_string(),
        };
        failures.push(failure);
        servers.stop().await;
    }
    Err(Error::new(format!("no control plane after {ATTEMPTS} attempts:\n{}", failures.join("\n\n"))))
}

async fn until_ready(kubeconfig: &Path) -> Result<()> {
    let client = kubeconfig::client(kubeconfig).await?;
    eventually("kube-apiserver answers /readyz", READY, || async {
        let request = http_get("/readyz")?;
        client.request_text(request).await.map(|_| ()).map_err(|error| error.to_string())
    })
    .await
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>, String> {
    http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())
}

fn spawn(programs: &Programs) -> Result<Servers> {
    let folder = tempfile::Builder::new().prefix("crossinvoke-control-plane-").tempdir().context("a folder")?;
    let pki = Pki::make(folder.path())?;
    let [etcd_port, port] = free_ports()?;
    let etcd = launch(folder.path(), "etcd", &programs.etcd, &etcd_flags(folder.path(), &pki, etcd_port))?;
    std::fs::write(folder.path().join(AUDIT_POLICY), SERVICE_ACCOUNTS_CALLS).context("the audit policy")?;
    let flags = kube_apiserver_flags(folder.path(), &pki, etcd_port, port);
    let kube_apiserver = launch(folder.path(), "kube-apiserver", &programs.kube_apiserver, &flags)?;
    let server = format!("https://127.0.0.1:{port}");
    let kubeconfig = folder.path().join("admin.kubeconfig");
    let user = kubeconfig::User::Certificate { certificate: &pki.admin.certificate, key: &pki.admin.key };
    kubeconfig::write(&kubeconfig, &server, &pki.authority, &user)?;
    let started = Started {
        kubeconfig,
        server,
        authority: pki.authority,
        audit_log: folder.path().join(AUDIT_LOG),
        supervisor: std::process::id(),
        etcd: etcd.id().unwrap_or_default(),
        kube_apiserver: kube_apiserver.id().unwrap_or_default(),
        kube_controller_manager: 0,
    };
    Ok(Servers { started, etcd, kube_apiserver, kube_controller_manager: None, folder })
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<std::io::Result<_>>().context("a free port")?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().context("a free port")?.port();
    }
    Ok(ports)
}

fn launch(folder: &Path, name: &str, program: &Path, flags: &[String]) -> Result<Child> {
    let log = std::fs::File::create(folder.join(format!("{name}.log"))).context("a log file")?;
    let errors = log.try_clone().context("a log file")?;
    let mut command = Command::from(bound::command(program).context(name)?);
    command.args(flags).current_dir(folder).stdin(Stdio::null()).stdout(log).stderr(errors).kill_on_drop(true);
    command.spawn().context(format_args!("starting {}", program.display()))
}

fn etcd_flags(folder: &Path, pki: &Pki, port: u16) -> Vec<String> {
    let client = format!("https://127.0.0.1:{port}");
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        // One member has no peers; port 0 keeps it from taking the default one.
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--initial-advertise-peer-urls=http://127.0.0.1:0".to_owned(),
        "--initial-cluster=default=http://127.0.0.1:0".to_owned(),
        format!("--cert-file={}", pki.server.certificate.display()),
        format!("--key-file={}", pki.server.key.display()),
        format!("--trusted-ca-file={}", pki.authority.display()),
        "--client-cert-auth".to_owned(),
        // The data is thrown away: waiting for the disk would only make every write slower.
        "--unsafe-no-fsync".to_owned(),
        "--logger=zap".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn kube_apiserver_flags(folder: &Path, pki: &Pki, etcd_port: u16, port: u16) -> Vec<String> {
    vec![
        "--bind-address=127.0.0.1".to_owned(),
        // No pod looks for the server through a Service, and a loopback address is refused as its endpoint.
        "--endpoint-reconciler-type=none".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", folder.join("kube-apiserver").display()),
        format!("--tls-cert-file={}", pki.server.certificate.display()),
        format!("--tls-private-key-file={}", pki.server.key.display()),
        format!("--client-ca-file={}", pki.authority.display()),
        format!("--etcd-servers=https://127.0.0.1:{etcd_port}"),
        format!("--etcd-cafile={}", pki.authority.display()),
        format!("--etcd-certfile={}", pki.admin.certificate.display()),
        format!("--etcd-keyfile={}", pki.admin.key.display()),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", pki.token_public_key.display()),
        format!("--service-account-signing-key-file={}", pki.token_key.display()),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // No pod runs here, and the plugin would have objects wait for a namespace's default ServiceAccount.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--audit-policy-file={}", folder.join(AUDIT_POLICY).display()),
        format!("--audit-log-path={}", folder.join(AUDIT_LOG).display()),
        "--allow-privileged=false".to_owned(),
        "--profiling=false".to_owned(),
    ]
}

/// The controllers that our users meet: namespaces that go, owners and foreground deletion, aggregated roles.
fn kube_controller_manager_flags(folder: &Path, kubeconfig: &Path) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--controllers=namespace-controller,garbage-collector-controller,clusterrole-aggregation-controller,\
         serviceaccount-controller"
            .to_owned(),
        "--leader-elect=false".to_owned(),
        // Nobody asks it for anything.
        "--secure-port=0".to_owned(),
        format!("--cert-dir={}", folder.join("kube-controller-manager").display()),
    ]
}

/// The end of a server's log.
fn log_tail(folder: &Path, name: &str) -> String {
    let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
