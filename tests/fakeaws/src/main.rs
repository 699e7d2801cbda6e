//! `fakeaws --seed FILE`: serves the double until it is stopped, for the AWS CLI, boto3 or a demo.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Parser;
use fakeaws::{FakeAws, Seed};

/// An AWS double: STS, IAM, Lambda and `CodePipeline` for several accounts on one loopback port.
///
/// Point clients at it with `AWS_ENDPOINT_URL` and an access key of the seed (any secret key will do).
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// JSON file: `accounts`, `managedPolicies` and `keys`, in the format of a snapshot's `configuration`.
    #[arg(long, value_name = "FILE")]
    seed: PathBuf,
    /// Where to listen; port 0 is any free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// Also stop when standard input closes: a parent that is killed leaves no double behind.
    #[arg(long)]
    exit_with_stdin: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fakeaws: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), String> {
    let path = options.seed.display();
    let text = std::fs::read_to_string(&options.seed).map_err(|error| format!("cannot read {path}: {error}"))?;
    let seed: Seed = serde_json::from_str(&text).map_err(|error| format!("{path} is no seed: {error}"))?;
    let aws = FakeAws::start_at(seed, options.addr).await.map_err(|error| format!("cannot serve {path}: {error}"))?;
    // The one line on standard output is the endpoint, so that a script can read it.
    println!("{}", aws.endpoint());
    std::io::stdout().flush().map_err(|error| error.to_string())?;
    stopped(options.exit_with_stdin).await.map_err(|error| error.to_string())
}

/// Ctrl-C, SIGTERM, or the end of standard input where that counts.
async fn stopped(exit_with_stdin: bool) -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let (close, closed) = tokio::sync::oneshot::channel();
    // A thread of its own: the runtime would wait for a blocking read when it shuts down.
    let reader = move || {
        let end = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        close.send(end)
    };
    if exit_with_stdin {
        std::thread::spawn(reader);
    }
    tokio::select! {
        _ = closed, if exit_with_stdin => Ok(()),
        outcome = tokio::signal::ctrl_c() => outcome,
        _ = terminate.recv() => Ok(()),
    }
}
