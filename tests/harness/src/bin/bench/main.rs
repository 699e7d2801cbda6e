//! `make bench`: what many objects cost. Prints a line for each figure: name, value, unit.
//!
//! The machine is part of every time; counts of calls and writes are not.

#![allow(clippy::cast_precision_loss, reason = "figures of this size are exact")]

mod figures;
mod measures;
mod world;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use crossinvoke_harness::{Bench, Context as _, Result, Scenario, Setup, supervise_if_asked};

use self::world::World;

/// Objects and pipelines of the series that counts what one version of a pipeline carries. More than about ninety invoke roles
/// do not fit into the assume policy of one pipeline role: IAM allows 10,240 characters.
const SERIES: [(usize, usize); 7] = [(1, 1), (10, 1), (50, 1), (90, 1), (10, 10), (50, 10), (200, 10)];

/// From so many objects on they are created without latency: only what comes after is of interest.
const CREATED_AT_ONCE: usize = 5000;

/// What scenarios shorten or lift is as whoever installs the controller has it: these are the defaults.
const AS_INSTALLED: [&str; 4] =
    ["--collect=3s", "--correction-window=10m", "--spread-looks=true", "--aws-budget=iam=20/100"];

/// Prints what many objects cost one controller.
#[derive(Debug, Parser)]
struct Options {
    /// The built controller; a release build.
    #[arg(long, value_name = "FILE")]
    controller: PathBuf,
    /// Objects.
    #[arg(long, default_value_t = 1000)]
    size: usize,
    /// Pipelines; without it, one for each twenty objects.
    #[arg(long)]
    pipelines: Option<usize>,
    /// Dev accounts; without it, one for each fifty objects.
    #[arg(long)]
    dev_accounts: Option<usize>,
    /// Leaves out all but creation.
    #[arg(long)]
    only_create: bool,
    /// Measures the cycles with the rights to bulk reads.
    #[arg(long)]
    bulk_reads: bool,
    /// Where the controller's log goes once all is made.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Instead, few and many objects on one pipeline and on ten, each of which has a run in progress at first.
    #[arg(long)]
    series: bool,
}

fn main() -> ExitCode {
    supervise_if_asked();
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().context("starting a runtime");
    match runtime.and_then(|runtime| runtime.block_on(measure(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: Options) -> Result<()> {
    let bench = Bench::start(options.controller.clone()).await?;
    if options.series {
        for (number, (size, pipelines)) in SERIES.into_iter().enumerate() {
            let world = World::of(size, Some(pipelines), Some(1), false);
            series(&bench, &format!("series-{number}"), &world).await?;
        }
        return Ok(());
    }
    let world = World::of(options.size, options.pipelines, options.dev_accounts, options.bulk_reads);
    one(&bench, &world, &options).await
}

fn setup(world: &World) -> Setup {
    let seeded = world.clone();
    let setup = Setup::default().seed(move |_, seed| seeded.extend(seed)).without_controller().flags(AS_INSTALLED);
    if world.bulk_reads {
        // As far apart in comparison with the interval as with the defaults of both.
        let every = format!("--bulk-reads-every={}s", world.cycle().as_secs() * 8 / 10);
        return setup.with_bulk_reads().flags([every.as_str()]);
    }
    setup
}

async fn one(bench: &Bench, world: &World, options: &Options) -> Result<()> {
    let scenario = Scenario::with(bench, "bench", setup(world)).await?;
    let name = world.name();
    scenario
        .run(async |scenario| {
            measures::prepare(scenario, world).await?;
            let is_measured = world.size < CREATED_AT_ONCE;
            if is_measured {
                measures::slow_down(scenario)?;
            }
            measures::create(scenario, world, &name, is_measured).await?;
            if let Some(file) = &options.log {
                std::fs::write(file, scenario.controller()?.log().join("\n")).context("the log")?;
            }
            if !is_measured {
                measures::slow_down(scenario)?;
            }
            if !options.only_create {
                measures::cycle(scenario, world, &name).await?;
                measures::restart(scenario, world, &name).await?;
                measures::delete(scenario, world, &name).await?;
            }
            Ok(())
        })
        .await
}

async fn series(bench: &Bench, scenario: &str, world: &World) -> Result<()> {
    let scenario = Scenario::with(bench, scenario, setup(world)).await?;
    let name = world.name();
    scenario
        .run(async |scenario| {
            measures::prepare(scenario, world).await?;
            measures::slow_down(scenario)?;
            let runs = measures::begin_runs(scenario, world)?;
            let mark = scenario.mark()?;
            measures::create_while_running(scenario, world, &name, &runs).await?;
            measures::print_checks(&scenario.calls_since(mark)?, &name);
            measures::delete(scenario, world, &name).await
        })
        .await
}
