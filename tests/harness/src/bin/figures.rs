//! `make figures`: what one object costs in calls, and what the controller occupies.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use crossinvoke_harness::{
    Bench, Calls, Context as _, Result, Scenario, supervise_if_asked,
    wait::{DEADLINE, eventually},
};

/// Prints calls and memory of one controller with one object.
#[derive(Debug, Parser)]
struct Options {
    /// The built controller; a release build, for the memory.
    #[arg(long, value_name = "FILE")]
    controller: PathBuf,
}

fn main() -> ExitCode {
    supervise_if_asked();
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().context("starting a runtime");
    match runtime.and_then(|runtime| runtime.block_on(measure(options.controller))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(controller: PathBuf) -> Result<()> {
    let bench = Bench::start(controller).await?;
    let scenario = Scenario::new(&bench, "figures").await?;
    scenario
        .run(async |scenario| {
            let start = scenario.mark()?;
            scenario.apply(&scenario.invoke("one")).await?;
            scenario.until_reason("one", "Converged").await?;
            report("to create", &scenario.calls_since(start)?);

            // The last event comes after the last status.
            eventually("its event", DEADLINE, async || {
                let written = scenario.kubernetes_writes().map_err(|error| error.to_string())?;
                if written.iter().any(|write| write.contains("events")) { Ok(()) } else { Err(written.join("\n")) }
            })
            .await?;
            let written = scenario.kubernetes_writes()?.len();
            println!("Kubernetes writes to create: {written}");
            let start = scenario.mark()?;
            look(scenario).await?;
            report("in sync, one look", &scenario.calls_since(start)?);
            println!("Kubernetes writes in sync, one look: {}", scenario.kubernetes_writes()?.len() - written);
            println!("memory, idle: {} KiB", scenario.controller()?.memory()?);

            let start = scenario.mark()?;
            scenario.delete("one").await?;
            scenario.until_gone("one").await?;
            report("to delete", &scenario.calls_since(start)?);
            Ok(())
        })
        .await
}

/// Makes the controller look at AWS once more, and waits until it has.
async fn look(scenario: &mut Scenario<'_>) -> Result<()> {
    let done = "crossinvoke_reconciles_total{kind=\"CrossAccountInvoke\"";
    let before = scenario.controller()?.metric(done).await?;
    scenario.touch("one", "figures").await?;
    let controller = scenario.controller()?;
    eventually("one more reconcile", DEADLINE, || async {
        let now = controller.metric(done).await.map_err(|error| error.to_string())?;
        if now > before { Ok(()) } else { Err(format!("{now} reconciles")) }
    })
    .await
}

fn report(what: &str, calls: &Calls) {
    println!("AWS calls {what}: {} ({} mutating)", calls.0.len(), calls.mutating());
}
