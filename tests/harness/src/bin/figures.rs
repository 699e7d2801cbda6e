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

            let before = scenario.invokes().get("one").await.context("reading the object")?;
            let start = scenario.mark()?;
            look(scenario).await?;
            report("in sync, one look", &scenario.calls_since(start)?);
            let after = scenario.invokes().get("one").await.context("reading the object")?;
            let same = before.data["status"] == after.data["status"];
            println!("status written in sync: {}", if same { "no" } else { "yes" });
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
