//! `make bench`: what many objects cost. Prints a line for each figure: name, value, unit.
//!
//! The machine is part of every time; counts of calls and writes are not.

#![allow(clippy::cast_precision_loss, reason = "figures of this size are exact")]

mod figures;
mod world;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use crossinvoke_harness::{
    Bench, Context as _, Result, Scenario, Setup, supervise_if_asked,
    wait::{eventually, poll_slowly},
};
use fakeaws::{Effect, Fault};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use self::{
    figures::{Sample, print, split},
    world::World,
};

/// What a call of AWS takes.
const LATENCY: u64 = 20;

/// Objects that are created at a time.
const AT_A_TIME: usize = 16;

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
    /// Leaves out the cycles, which take several times the interval.
    #[arg(long)]
    only_create: bool,
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
    let world = World::of(options.size, options.pipelines, options.dev_accounts);
    let bench = Bench::start(options.controller).await?;
    let seeded = world.clone();
    let setup = Setup::default().seed(move |_, seed| seeded.extend(seed)).without_controller();
    let scenario = Scenario::with(&bench, "bench", setup).await?;
    let name = world.name();
    scenario
        .run(async |scenario| {
            prepare(scenario, &world).await?;
            create(scenario, &world, &name).await?;
            if !options.only_create {
                cycle(scenario, &world, &name).await?;
            }
            Ok(())
        })
        .await
}

/// Applies the accounts and the objects while no controller runs, so that the figures begin with its start.
async fn prepare(scenario: &mut Scenario<'_>, world: &World) -> Result<()> {
    for account in world.aws_accounts(&scenario.accounts, &scenario.namespace) {
        scenario.apply(&account).await?;
    }
    let api = scenario.invokes();
    let objects = world.objects(&scenario.accounts, &scenario.namespace)?;
    futures::stream::iter(objects)
        .map(|object| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &object).await.map(drop) }
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await
        .context("creating the objects")?;
    let delay = Effect::Delay { milliseconds: LATENCY };
    scenario.aws().fault(Fault::next("*", delay).always()).context("the latency")
}

async fn create(scenario: &mut Scenario<'_>, world: &World, name: &str) -> Result<()> {
    let (mark, begun) = (scenario.mark()?, std::time::Instant::now());
    scenario.start_controller().await?;
    until_ready(scenario, world).await?;
    let ready = begun.elapsed();
    let calls = scenario.calls_since(mark)?;
    let (writes, events) = split(&scenario.kubernetes_writes()?);
    let sample = Sample::of(scenario.controller()?)?;
    let objects = world.size;
    print(name, "all_ready", ready.as_secs_f64(), "s");
    print(name, "update_pipeline", calls.of("UpdatePipeline") as f64, "calls");
    print(name, "list_executions", calls.of("ListPipelineExecutions") as f64, "calls");
    print(name, "get_pipeline_state", calls.of("GetPipelineState") as f64, "calls");
    print(name, "get_pipeline", calls.of("GetPipeline") as f64, "calls");
    print(name, "aws_calls_to_create", calls.0.len() as f64 / objects as f64, "per_object");
    print(name, "kubernetes_writes_to_create", writes as f64 / objects as f64, "per_object");
    print(name, "events_to_create", events as f64 / objects as f64, "per_object");
    print(name, "cpu_to_create", sample.cpu.as_secs_f64() * 1000.0 / objects as f64, "ms_per_object");
    print(name, "memory_after_create", sample.memory_kib as f64 / 1024.0, "MiB");
    Ok(())
}

/// Shortens the interval, waits until that has been answered, and measures one interval and a fifth.
async fn cycle(scenario: &mut Scenario<'_>, world: &World, name: &str) -> Result<()> {
    let interval = world.cycle();
    let api = scenario.invokes();
    let patch = Patch::Merge(json!({"spec": {"interval": format!("{}s", interval.as_secs())}}));
    let names = world.names();
    futures::stream::iter(names)
        .map(|object| {
            let (api, patch) = (api.clone(), patch.clone());
            async move { api.patch(&object, &PatchParams::default(), &patch).await.map(drop) }
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await
        .context("the interval")?;
    until_ready(scenario, world).await?;
    let reconciles = r#"crossinvoke_reconciles_total{kind="CrossAccountInvoke""#;
    let mark = scenario.mark()?;
    let writes = scenario.kubernetes_writes()?.len();
    let (before, looks) = (Sample::of(scenario.controller()?)?, scenario.controller()?.metric(reconciles).await?);
    let wanted = looks + 1.2 * world.size as f64;
    let controller = scenario.controller()?;
    eventually("one cycle", interval * 20, || async {
        poll_slowly().await;
        let now = controller.metric(reconciles).await.map_err(|error| error.to_string())?;
        if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted} looks")) }
    })
    .await?;
    let looked = scenario.controller()?.metric(reconciles).await? - looks;
    let after = Sample::of(scenario.controller()?)?;
    let reads = scenario.calls_since(mark)?.reads();
    print(name, "aws_reads_in_sync", reads as f64 / looked, "per_object_and_cycle");
    let cpu = after.cpu.saturating_sub(before.cpu);
    print(name, "cpu_in_sync", cpu.as_secs_f64() * 1000.0 / looked, "ms_per_object_and_cycle");
    let written = scenario.kubernetes_writes()?.len() - writes;
    print(name, "kubernetes_writes_in_sync", written as f64 / looked, "per_object_and_cycle");
    print(name, "memory_in_sync", after.memory_kib as f64 / 1024.0, "MiB");
    Ok(())
}

/// Waits until every object is ready as it is declared now.
async fn until_ready(scenario: &Scenario<'_>, world: &World) -> Result<()> {
    let api = scenario.invokes();
    eventually("all objects are ready", Duration::from_hours(1), || async {
        poll_slowly().await;
        let list = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let ready = list.items.iter().filter(|object| crossinvoke_harness::objects::has_reason(object, "Converged"));
        let ready = ready.count();
        if ready == world.size { Ok(()) } else { Err(format!("{ready} of {} are ready", world.size)) }
    })
    .await
}
