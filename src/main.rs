//! The `crossinvoke` binary: parses the command line and runs what it names.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use crossinvoke::{
    api,
    aws::{Aws, AwsConfig, load_base_config},
    cli::{Cli, Command, Run},
    controller::{self, context::Settings, startup},
    domain::retry::Delays,
    http::{self, Readiness},
    telemetry::{logging, metrics::Metrics},
};
use tokio::sync::watch;

/// How long running reconciles may go on after SIGTERM. What they leave half done is found again by the next process.
const GRACE: Duration = Duration::from_secs(3);

type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Crds { into: None } => {
            print!("{}", api::crds::to_yaml());
            ExitCode::SUCCESS
        }
        Command::Crds { into: Some(folder) } => exit(write_crds(&folder)),
        Command::Run(options) => exit(start(*options)),
    }
}

fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crossinvoke: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_crds(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    for (file, definition) in api::crds::all() {
        std::fs::write(folder.join(file), api::crds::yaml_of(&definition))?;
    }
    Ok(())
}

fn start(options: Run) -> Result<(), Failure> {
    logging::start(options.log_format, &options.log_level)?;
    if options.reconcile_timeout <= options.aws_timeout {
        return Err(
            "--reconcile-timeout must exceed --aws-timeout, or no status could be written after a slow AWS".into()
        );
    }
    // One TLS provider for Kubernetes and AWS; a second installation would be a programming error.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(options));
    // Calls that are still in flight end with the process, not before it.
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

async fn run(options: Run) -> Result<(), Failure> {
    let (stop, stopping) = watch::channel(false);
    let stopped = move || {
        let mut stopping = stopping.clone();
        let stopped: Stopped = Box::pin(async move {
            // An error means that the sender is gone, which is a stop as well.
            let _ = stopping.wait_for(|stop| *stop).await;
        });
        stopped
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let readiness = Readiness::default();
    let metrics = Arc::new(Metrics::default());
    let listener =
        http::bind(options.http_addr).await.map_err(|error| format!("--http-addr {}: {error}", options.http_addr))?;
    tracing::info!(http_addr = %listener.local_addr()?, "serving /livez, /readyz and /metrics");
    let server = tokio::spawn(http::serve(listener, readiness.clone(), metrics.clone(), stopped()));
    let mut work = tokio::spawn(work(options, metrics, readiness, stopped));
    let result = tokio::select! {
        result = &mut work => result?,
        _ = terminate.recv() => end(&stop, &mut work).await,
        _ = interrupt.recv() => end(&stop, &mut work).await,
    };
    stop.send_replace(true);
    server.abort();
    result
}

async fn end(
    stop: &watch::Sender<bool>,
    work: &mut tokio::task::JoinHandle<Result<(), Failure>>,
) -> Result<(), Failure> {
    stop.send_replace(true);
    if tokio::time::timeout(GRACE, work).await.is_err() {
        tracing::warn!("a reconcile was still running; what it left half done is found again at the next start");
    }
    Ok(())
}

async fn work(
    options: Run,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    stopped: impl Fn() -> Stopped + Send,
) -> Result<(), Failure> {
    let client = kube::Client::try_default().await?;
    tokio::select! {
        () = startup::kinds_installed(&client, &options.watch_namespaces, &readiness) => {}
        () = stopped() => return Ok(()),
    }
    let installation = match options.installation_id {
        Some(id) => id,
        None => startup::default_installation_id(&client, &options.release_namespace, &options.release_name).await?,
    };
    tracing::info!(%installation, version = env!("CARGO_PKG_VERSION"), "starting");
    let aws = Aws::new(
        AwsConfig {
            base: load_base_config().await?,
            session_name: format!("crossinvoke-{installation}"),
            attempt_timeout: options.aws_attempt_timeout,
            session_duration: options.aws_session_duration,
        },
        metrics.clone(),
    );
    let settings = Settings {
        installation,
        concurrency: options.concurrency,
        aws_timeout: options.aws_timeout,
        reconcile_timeout: options.reconcile_timeout,
        iam_propagation_timeout: options.iam_propagation_timeout,
        idle_poll: options.idle_poll,
        delays: Delays {
            backoff_first: options.backoff_first,
            backoff_cap: options.backoff_cap,
            stalled_cap: options.stalled_retry,
        },
        drift_retention: options.drift_retention,
        list_functions: options.grant_list_functions,
    };
    controller::run(client, aws, settings, &options.watch_namespaces, metrics, readiness, stopped()).await;
    Ok(())
}
