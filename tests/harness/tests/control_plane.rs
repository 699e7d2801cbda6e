//! The control plane ends with its user, however that one ends.
//!
//! Own `main`: the supervisor is this executable once more.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a test with its own main, which clippy does not take for one"
)]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use crossinvoke_harness::{
    Context as _, ControlPlane, Kubectl, Result, Started, process, supervise_if_asked, wait::eventually,
};
use libtest_mimic::{Arguments, Failed, Trial};

/// The first argument that makes this executable start a control plane, say what it is, and wait to be killed.
const HOLD: &str = "hold-a-control-plane";

/// What a user is promised.
const GONE_WITHIN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    supervise_if_asked();
    if std::env::args().nth(1).as_deref() == Some(HOLD) {
        return hold();
    }
    let trials = vec![
        Trial::test("it_is_ready_with_rbac_and_tokens", || on_runtime(ready_with_rbac_and_tokens())),
        Trial::test("a_deleted_namespace_goes", || on_runtime(deleted_namespace_goes())),
        Trial::test("it_ends_when_it_is_dropped", || on_runtime(ends_when_dropped())),
        Trial::test("it_ends_when_its_user_is_killed", || on_runtime(ends_when_user_is_killed())),
        Trial::test("it_ends_when_its_supervisor_is_terminated", || on_runtime(ends_when_supervisor_is_terminated())),
        #[cfg(target_os = "linux")]
        Trial::test("it_ends_when_its_supervisor_is_killed", || on_runtime(ends_when_supervisor_is_killed())),
    ];
    let mut arguments = Arguments::from_args();
    // Each trial starts a control plane of its own; two cores start one at a time faster.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn hold() -> ExitCode {
    let plane = match ControlPlane::start() {
        Ok(plane) => plane,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", serde_json::to_string(plane.started()).expect("a record of texts and numbers"));
    loop {
        std::thread::park();
    }
}

fn on_runtime(trial: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(trial).map_err(|error| error.to_string().into())
}

/// A process that holds a control plane, and what it holds.
fn holder() -> (Child, Started) {
    let mut holder = Command::new(std::env::current_exe().unwrap()).arg(HOLD).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (holder, serde_json::from_str(&line).unwrap())
}

async fn until_gone(started: &Started) -> Result<()> {
    let processes = [
        ("etcd", started.etcd),
        ("kube-apiserver", started.kube_apiserver),
        ("kube-controller-manager", started.kube_controller_manager),
    ];
    eventually("all of the control plane is gone", GONE_WITHIN, || async {
        let alive: Vec<&str> =
            processes.iter().filter(|(_, id)| process::is_alive(*id)).map(|(name, _)| *name).collect();
        if alive.is_empty() { Ok(()) } else { Err(format!("still there: {alive:?}")) }
    })
    .await
}

fn assert_alive(started: &Started) {
    for id in [started.supervisor, started.etcd, started.kube_apiserver, started.kube_controller_manager] {
        assert!(process::is_alive(id), "process {id} of {started:?} does not run");
    }
}

async fn ready_with_rbac_and_tokens() -> Result<()> {
    let plane = ControlPlane::start()?;
    let kubectl = plane.kubectl();
    let version = kubectl.run(&["version"]).await?;
    assert!(!version.contains("v0.0.0"), "helm refuses an unstamped server: {version}");
    kubectl.run(&["create", "serviceaccount", "nobody"]).await?;
    let folder = tempfile::tempdir().context("a folder")?;
    let kubeconfig = folder.path().join("nobody.kubeconfig");
    plane.write_service_account_kubeconfig(&kubeconfig, "default", "nobody").await?;
    let nobody = Kubectl::new(&plane.tools().kubectl, &kubeconfig);
    let denied = nobody.run(&["get", "namespaces"]).await.unwrap_err().to_string();
    let expected = "User \"system:serviceaccount:default:nobody\" cannot list resource \"namespaces\"";
    assert!(denied.contains(expected), "{denied}");
    kubectl.run(&["get", "namespaces"]).await?;
    Ok(())
}

async fn deleted_namespace_goes() -> Result<()> {
    let plane = ControlPlane::start()?;
    let kubectl = plane.kubectl();
    kubectl.run(&["create", "namespace", "short-lived"]).await?;
    kubectl.run(&["delete", "namespace", "short-lived", "--timeout=60s"]).await?;
    Ok(())
}

async fn ends_when_dropped() -> Result<()> {
    let plane = ControlPlane::start()?;
    let started = plane.started().clone();
    assert_alive(&started);
    drop(plane);
    until_gone(&started).await?;
    let folder = started.kubeconfig.parent().unwrap();
    assert!(!folder.exists(), "{} was left behind", folder.display());
    Ok(())
}

async fn ends_when_user_is_killed() -> Result<()> {
    let (mut holder, started) = holder();
    assert_alive(&started);
    holder.kill().unwrap();
    holder.wait().unwrap();
    until_gone(&started).await?;
    let folder = started.kubeconfig.parent().unwrap().to_path_buf();
    eventually("the data is gone", GONE_WITHIN, || async {
        if folder.exists() { Err(format!("{} is there", folder.display())) } else { Ok(()) }
    })
    .await
}

async fn ends_when_supervisor_is_terminated() -> Result<()> {
    let (mut holder, started) = holder();
    assert_alive(&started);
    process::terminate(started.supervisor)?;
    let outcome = until_gone(&started).await;
    holder.kill().unwrap();
    holder.wait().unwrap();
    outcome
}

#[cfg(target_os = "linux")]
async fn ends_when_supervisor_is_killed() -> Result<()> {
    let (mut holder, started) = holder();
    assert_alive(&started);
    process::kill(started.supervisor)?;
    let outcome = until_gone(&started).await;
    holder.kill().unwrap();
    holder.wait().unwrap();
    // Nobody is left to do it.
    std::fs::remove_dir_all(started.kubeconfig.parent().unwrap()).context("removing the data")?;
    outcome
}
