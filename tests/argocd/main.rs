//! What GitOps with a real Argo CD comes to: it syncs repositories on disk to a real API server, with the controller and
//! the AWS double. `make test-argocd` builds Argo CD first; `make test` leaves this out.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "these are tests, of which clippy sees only a main; a scenario reads best whole"
)]

mod application;
mod chart;
mod example;
mod manifests;
mod scripts;

use std::process::ExitCode;

use crossinvoke_harness::{Context as _, Result};
use libtest_mimic::{Arguments, Failed, Trial};

/// The controller's binary.
const CONTROLLER: &str = env!("CARGO_BIN_EXE_crossinvoke");

fn main() -> ExitCode {
    // The control plane's supervisor is this very binary, started again.
    crossinvoke_harness::supervise_if_asked();
    let trials = vec![
        trial("an_application_is_synced_in_waves_and_goes_without_a_trace", async || example::life().await),
        trial("what_the_chart_protects_is_never_pruned", async || chart::pruning().await),
        trial("manifests_mean_the_same_by_argo_cd_as_by_kubectl", async || manifests::mean_the_same().await),
        trial("argo_cds_own_lua_finds_what_the_test_data_says", async || scripts::agree().await),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, body: impl AsyncFnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let outcome = runtime.context("a runtime").and_then(|runtime| runtime.block_on(body()));
        outcome.map_err(|error| Failed::from(error.to_string()))
    })
}
