//! `make cluster`: a control plane that stays until it is stopped.

use std::process::ExitCode;

use crossinvoke_harness::{Bench, Context as _, Result, supervise_if_asked};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    supervise_if_asked();
    let runtime = tokio::runtime::Runtime::new().context("starting a runtime");
    match runtime.and_then(|runtime| runtime.block_on(stay())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn stay() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening to SIGTERM")?;
    eprintln!("Starting etcd and kube-apiserver; a few seconds …");
    // No controller runs here, so there is none to name.
    let bench = Bench::start("").await?;
    let plane = bench.control_plane();
    println!("export KUBECONFIG={}", plane.kubeconfig().display());
    eprintln!();
    eprintln!("{} runs with the CRDs of this checkout. In another terminal:", plane.started().server);
    eprintln!("  export KUBECONFIG={}", plane.kubeconfig().display());
    eprintln!("  {} get awsaccounts,crossaccountinvokes --all-namespaces", plane.tools().kubectl.display());
    eprintln!("Ctrl-C stops it and removes its data.");
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome.context("listening to Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}
