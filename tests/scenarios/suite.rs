//! Runs scenarios under libtest's command line, so that `cargo test NAME` and its closing line work as ever.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use crossinvoke_harness::{Accounts, Bench, Context as _, Result, Scenario, Setup};
use libtest_mimic::{Arguments, Failed, Trial};

/// Scenarios at a time: each has a controller process and waits most of its time. With more of them two slow cores make promises
/// of time look broken.
const AT_A_TIME: usize = 6;

/// A scenario: its name, how its world differs from the usual one, and what happens.
pub(crate) struct Case {
    name: &'static str,
    run: Box<dyn FnOnce(Arc<Bench>) -> Result<()> + Send>,
}

/// A scenario in a world that `setup` describes.
pub(crate) fn case(
    name: &'static str,
    setup: impl FnOnce() -> Setup + Send + 'static,
    body: impl AsyncFnOnce(&mut Scenario<'_>) -> Result<()> + Send + 'static,
) -> Case {
    build(name, setup, body, crate::rights::note)
}

/// A scenario in which somebody else uses the controller's credentials: what it calls is not what the controller needs.
pub(crate) fn intrusion(
    name: &'static str,
    setup: impl FnOnce() -> Setup + Send + 'static,
    body: impl AsyncFnOnce(&mut Scenario<'_>) -> Result<()> + Send + 'static,
) -> Case {
    build(name, setup, body, |_, _, _| {})
}

fn build(
    name: &'static str,
    setup: impl FnOnce() -> Setup + Send + 'static,
    body: impl AsyncFnOnce(&mut Scenario<'_>) -> Result<()> + Send + 'static,
    note: fn(&'static str, &Accounts, &[fakeaws::Call]),
) -> Case {
    let run = move |bench: Arc<Bench>| {
        let runtime = runtime()?;
        runtime.block_on(async {
            let scenario = Scenario::with(&bench, name, setup()).await?;
            let (double, accounts) = (scenario.double().cloned(), scenario.accounts.clone());
            let outcome = scenario.run(body).await;
            if let Some(double) = double {
                note(name, &accounts, &double.calls().context("the call log")?);
            }
            outcome
        })
    };
    Case { name, run: Box::new(run) }
}

/// A scenario that prepares its world itself, on the control plane of all.
pub(crate) fn shared_bench(
    name: &'static str,
    body: impl AsyncFnOnce(Arc<Bench>) -> Result<()> + Send + 'static,
) -> Case {
    Case { name, run: Box::new(move |bench| runtime()?.block_on(body(bench))) }
}

/// A scenario with a control plane of its own; it gets the path of the controller's binary.
pub(crate) fn own_bench(name: &'static str, body: impl AsyncFnOnce(PathBuf) -> Result<()> + Send + 'static) -> Case {
    let run = move |bench: Arc<Bench>| runtime()?.block_on(body(bench.controller().to_path_buf()));
    Case { name, run: Box::new(run) }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("a runtime")
}

/// Runs the scenarios that the command line asks for.
pub(crate) fn run(suites: Vec<Vec<Case>>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_A_TIME);
    let bench: Arc<OnceLock<std::result::Result<Arc<Bench>, String>>> = Arc::default();
    let trials = suites
        .into_iter()
        .flatten()
        .map(|case| {
            let bench = bench.clone();
            Trial::test(case.name, move || {
                // Started by the first scenario that runs: listing tests needs no control plane.
                let bench = bench.get_or_init(start).clone().map_err(Failed::from)?;
                (case.run)(bench).map_err(|error| Failed::from(error.to_string()))
            })
        })
        .collect();
    let whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(Ok(bench)) = bench.get()
        && let Err(error) = crate::kubernetes_rights::note(bench.control_plane())
    {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    // Dropping the control plane ends its processes.
    drop(bench);
    // Only the whole suite calls everything that the controller may.
    if whole && !conclusion.has_failed() {
        let iam = Trial::test("the_shipped_iam_policies_are_exactly_what_was_called", crate::rights::check);
        let rbac = Trial::test("the_chart_grants_exactly_what_was_called", crate::kubernetes_rights::check);
        return libtest_mimic::run(&arguments, vec![iam, rbac]).exit_code();
    }
    conclusion.exit_code()
}

fn start() -> std::result::Result<Arc<Bench>, String> {
    let runtime = runtime().map_err(|error| error.to_string())?;
    let bench = runtime.block_on(Bench::start(env!("CARGO_BIN_EXE_crossinvoke")));
    bench.map(Arc::new).map_err(|error| error.to_string())
}
