//! What is measured of one world, step by step.

use std::time::{Duration, Instant};

use crossinvoke_harness::{
    Calls, Context as _, ControllerProcess, Result, Scenario,
    objects::has_reason,
    wait::{eventually, poll_slowly},
};
use fakeaws::{BulkAnswers, Effect, Fault};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{
    figures::{Sample, by_kind, print, split},
    world::World,
};

/// What a call of AWS takes, in milliseconds.
const LATENCY: u64 = 20;

/// Objects that are created, changed or deleted at a time.
const AT_A_TIME: usize = 16;

/// How often the controller is asked for its metrics while it is measured.
const SCRAPED: Duration = Duration::from_secs(10);

/// Looks that only saw confirmed what the last whole one had found.
const CONFIRMED: &str = r#"crossinvoke_looks_in_place_total{kind="confirmed"} "#;

/// Looks at objects.
const LOOKS: &str = r#"crossinvoke_reconciles_total{kind="CrossAccountInvoke""#;

/// Applies the accounts and the objects while no controller runs, so that the figures begin with its start.
pub(crate) async fn prepare(scenario: &mut Scenario<'_>, world: &World) -> Result<()> {
    for account in world.aws_accounts(&scenario.accounts, &scenario.namespace) {
        scenario.apply(&account).await?;
    }
    if world.bulk_reads {
        // As the IAM API reference has it.
        let answers = BulkAnswers { with_boundaries: true, ..BulkAnswers::default() };
        scenario.aws().set_bulk_answers(answers).context("what bulk reads show")?;
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
    Ok(())
}

/// From now on a call takes as long as one of AWS.
pub(crate) fn slow_down(scenario: &Scenario<'_>) -> Result<()> {
    let delay = Effect::Delay { milliseconds: LATENCY };
    scenario.aws().fault(Fault::next("*", delay).always()).context("the latency")
}

/// Starts the controller and waits until all is made.
pub(crate) async fn create(scenario: &mut Scenario<'_>, world: &World, name: &str, is_measured: bool) -> Result<()> {
    let (mark, begun) = (scenario.mark()?, Instant::now());
    scenario.start_controller().await?;
    until_ready(scenario, world).await?;
    let ready = begun.elapsed();
    if !is_measured {
        return Ok(());
    }
    let calls = scenario.calls_since(mark)?;
    let written = scenario.kubernetes_writes()?;
    let (writes, events) = split(&written);
    let sample = Sample::of(scenario.controller()?)?;
    let objects = world.size;
    print(name, "all_ready", ready.as_secs_f64(), "s");
    print_checks(&calls, name);
    print(name, "aws_calls_to_create", calls.0.len() as f64 / objects as f64, "per_object");
    for (operation, count) in calls.by_operation() {
        print(name, &format!("calls_to_create.{operation}"), count as f64 / objects as f64, "per_object");
    }
    print(name, "kubernetes_writes_to_create", writes as f64 / objects as f64, "per_object");
    for (kind, count) in by_kind(&written) {
        print(name, &format!("writes_to_create.{kind}"), count as f64 / objects as f64, "per_object");
    }
    print(name, "events_to_create", events as f64 / objects as f64, "per_object");
    print(name, "cpu_to_create", sample.cpu.as_secs_f64() * 1000.0 / objects as f64, "ms_per_object");
    print(name, "memory_after_create", sample.memory_kib as f64 / 1024.0, "MiB");
    Ok(())
}

/// Shortens the interval, waits until that has been answered and looked at again, and measures one interval and a fifth: what is
/// learned of an account once, such as whether bulk reads pay, belongs to no cycle.
pub(crate) async fn cycle(scenario: &mut Scenario<'_>, world: &World, name: &str) -> Result<()> {
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
    let looks = scenario.controller()?.metric(LOOKS).await?;
    until_looked(scenario.controller()?, looks + world.size as f64, interval).await?;
    let mark = scenario.mark()?;
    let writes = scenario.kubernetes_writes()?.len();
    let confirmed = scenario.controller()?.metric(CONFIRMED).await?;
    let (before, looks) = (Sample::of(scenario.controller()?)?, scenario.controller()?.metric(LOOKS).await?);
    until_looked(scenario.controller()?, looks + 1.2 * world.size as f64, interval).await?;
    let looked = scenario.controller()?.metric(LOOKS).await? - looks;
    let after = Sample::of(scenario.controller()?)?;
    let confirmed = scenario.controller()?.metric(CONFIRMED).await? - confirmed;
    print(name, "looks_confirmed_in_sync", confirmed / looked, "of_all");
    let calls = scenario.calls_since(mark)?;
    print(name, "aws_reads_in_sync", calls.reads() as f64 / looked, "per_object_and_cycle");
    for (operation, count) in calls.by_operation() {
        print(name, &format!("calls_in_sync.{operation}"), count as f64 / looked, "per_object_and_cycle");
    }
    let cpu = after.cpu.saturating_sub(before.cpu);
    print(name, "cpu_in_sync", cpu.as_secs_f64() * 1000.0 / looked, "ms_per_object_and_cycle");
    let written = scenario.kubernetes_writes()?.split_off(writes);
    print(name, "kubernetes_writes_in_sync", written.len() as f64 / looked, "per_object_and_cycle");
    for (kind, count) in by_kind(&written) {
        print(name, &format!("writes_in_sync.{kind}"), count as f64 / looked, "per_object_and_cycle");
    }
    print(name, "aws_writes_in_sync", calls.mutating() as f64, "calls");
    print(name, "memory_in_sync", after.memory_kib as f64 / 1024.0, "MiB");
    Ok(())
}

/// Waits until there were so many looks, and asks as often as Prometheus would: each answer costs the controller CPU time.
async fn until_looked(controller: &ControllerProcess, wanted: f64, interval: Duration) -> Result<()> {
    eventually("one cycle", interval * 20, || async {
        #[allow(clippy::disallowed_methods, reason = "what is measured must not be slowed down by who measures it")]
        tokio::time::sleep(SCRAPED).await;
        let now = controller.metric(LOOKS).await.map_err(|error| error.to_string())?;
        if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted} looks")) }
    })
    .await
}

/// Ends the process and measures the next one until it has looked at every object.
pub(crate) async fn restart(scenario: &mut Scenario<'_>, world: &World, name: &str) -> Result<()> {
    let (mark, begun) = (scenario.mark()?, Instant::now());
    scenario.restart_controller().await?;
    let controller = scenario.controller()?;
    let wanted = world.size as f64;
    eventually("a look at each object", world.cycle() * 20, || async {
        poll_slowly().await;
        let now = controller.metric(LOOKS).await.map_err(|error| error.to_string())?;
        if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted} looks")) }
    })
    .await?;
    let sample = Sample::of(scenario.controller()?)?;
    let calls = scenario.calls_since(mark)?;
    print(name, "restart.all_looked_at", begun.elapsed().as_secs_f64(), "s");
    print(name, "restart.aws_calls", calls.0.len() as f64 / wanted, "per_object");
    print(name, "restart.aws_writes", calls.mutating() as f64, "calls");
    print(name, "restart.cpu", sample.cpu.as_secs_f64() * 1000.0 / wanted, "ms_per_object");
    print(name, "restart.memory", sample.memory_kib as f64 / 1024.0, "MiB");
    Ok(())
}

/// Deletes all objects at once.
pub(crate) async fn delete(scenario: &mut Scenario<'_>, world: &World, name: &str) -> Result<()> {
    let (mark, begun, api) = (scenario.mark()?, Instant::now(), scenario.invokes());
    futures::stream::iter(world.names())
        .map(|object| {
            let api = api.clone();
            async move { api.delete(&object, &DeleteParams::default()).await.map(drop) }
        })
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await
        .context("deleting the objects")?;
    eventually("all objects are gone", Duration::from_hours(1), || async {
        poll_slowly().await;
        let list = api.list_metadata(&ListParams::default()).await.map_err(|error| error.to_string())?;
        if list.items.is_empty() { Ok(()) } else { Err(format!("{} are left", list.items.len())) }
    })
    .await?;
    let calls = scenario.calls_since(mark)?;
    print(name, "delete.all_gone", begun.elapsed().as_secs_f64(), "s");
    print(name, "delete.update_pipeline", calls.of("UpdatePipeline") as f64, "calls");
    print(name, "delete.aws_calls", calls.0.len() as f64 / world.size as f64, "per_object");
    Ok(())
}

/// A run in progress on each pipeline: its name and the run's id.
pub(crate) fn begin_runs(scenario: &Scenario<'_>, world: &World) -> Result<Vec<(String, String)>> {
    let (tools, region) = (&scenario.accounts.tools, &scenario.accounts.region);
    let begin = |name: String| {
        let id = scenario.aws().put_execution((tools, region, &name), None, "InProgress", None).context("a run")?;
        Ok((name, id))
    };
    world.pipelines().map(begin).collect()
}

/// Starts the controller, ends the runs once all wait for them, and counts the runs that were cancelled.
pub(crate) async fn create_while_running(
    scenario: &mut Scenario<'_>,
    world: &World,
    name: &str,
    runs: &[(String, String)],
) -> Result<()> {
    scenario.start_controller().await?;
    let api = scenario.invokes();
    eventually("all objects wait for the runs", Duration::from_mins(10), || async {
        poll_slowly().await;
        let list = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let waits = |object: &&kube::api::DynamicObject| has_reason(object, "WaitingForIdlePipeline");
        let waiting = list.items.iter().filter(waits).count();
        if waiting == world.size { Ok(()) } else { Err(format!("{waiting} of {} wait", world.size)) }
    })
    .await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let (mut cancelled, begun) = (0_usize, Instant::now());
    for (pipeline, id) in runs {
        cancelled += usize::from(scenario.execution_of(pipeline, id).await?.status != "InProgress");
        scenario.aws().put_execution((&tools, &region, pipeline), Some(id), "Succeeded", None).context("its end")?;
    }
    until_ready(scenario, world).await?;
    print(name, "executions_cancelled", cancelled as f64, "runs");
    print(name, "ready_after_the_runs", begun.elapsed().as_secs_f64(), "s");
    Ok(())
}

/// How often pipelines were written, and what was asked before.
pub(crate) fn print_checks(calls: &Calls, name: &str) {
    print(name, "update_pipeline", calls.of("UpdatePipeline") as f64, "calls");
    print(name, "list_executions", calls.of("ListPipelineExecutions") as f64, "calls");
    print(name, "get_pipeline_state", calls.of("GetPipelineState") as f64, "calls");
    print(name, "get_pipeline", calls.of("GetPipeline") as f64, "calls");
}

/// Waits until every object is ready as it is declared now.
async fn until_ready(scenario: &Scenario<'_>, world: &World) -> Result<()> {
    let api = scenario.invokes();
    eventually("all objects are ready", Duration::from_hours(1), || async {
        poll_slowly().await;
        let list = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let ready = list.items.iter().filter(|object| has_reason(object, "Converged"));
        let ready = ready.count();
        if ready == world.size { Ok(()) } else { Err(format!("{ready} of {} are ready", world.size)) }
    })
    .await
}
