//! Runs scenarios under libtest's command line, so that `cargo test NAME` and its closing line work as ever.

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use crossinvoke_harness::{Bench, Result, Scenario, Setup};
use libtest_mimic::{Arguments, Failed, Trial};

/// Scenarios at a time: each has a controller process and waits most of its time.
const AT_A_TIME: usize = 8;

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
    let run = move |bench: Arc<Bench>| {
        let runtime = runtime()?;
        runtime.block_on(async { Scenario::with(&bench, name, setup()).await?.run(body).await })
    };
    Case { name, run: Box::new(run) }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    use crossinvoke_harness::Context as _;
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
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Dropping the control plane ends its processes.
    drop(bench);
    conclusion.exit_code()
}

fn start() -> std::result::Result<Arc<Bench>, String> {
    let runtime = runtime().map_err(|error| error.to_string())?;
    let bench = runtime.block_on(Bench::start(env!("CARGO_BIN_EXE_crossinvoke")));
    bench.map(Arc::new).map_err(|error| error.to_string())
}
