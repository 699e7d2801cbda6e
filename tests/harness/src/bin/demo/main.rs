//! `make demo`: a release that a function in another account lets pass or stops, from the installation to the removal.

mod acts;
mod drift;
mod found;
mod keep;
mod releases;
mod screen;
mod story;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use crossinvoke_harness::supervise_if_asked;
use tokio::signal::unix::{SignalKind, signal};

use self::screen::Screen;

/// Shows one `CrossAccountInvoke` converged in two AWS accounts, in releases, repaired, and removed again.
#[derive(Debug, Parser)]
struct Options {
    /// The built controller.
    #[arg(long, value_name = "FILE")]
    controller: PathBuf,
    /// Leave everything running at the end, and print commands to try.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    supervise_if_asked();
    let options = Options::parse();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(run(&options));
            // A start that was interrupted blocks a thread; nobody waits for it.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The exit code of a command that Ctrl-C ended, as shells have it.
const INTERRUPTED: u8 = 130;

async fn run(options: &Options) -> ExitCode {
    let mut screen = Screen::new();
    let told = async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        tokio::select! {
            told = story::tell(&mut screen, &options.controller, options.keep) => told.map_err(|error| error.to_string()),
            _ = tokio::signal::ctrl_c() => return Ok(false),
            _ = terminate.recv() => return Ok(false),
        }
        .map(|()| true)
    };
    // What the story had started has ended when it is dropped, here.
    match told.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            screen.say("Stopped.");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("\nThe demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}
