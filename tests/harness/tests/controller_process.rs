//! What the scenarios rely on when they start and stop a controller: shown with a stand-in, which this executable plays.
//!
//! Own `main`: the stand-in and what binds it to its parent are this executable once more.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a test with its own main, which clippy does not take for one"
)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use crossinvoke_harness::{
    ControllerOptions, ControllerProcess, Result, process, supervise_if_asked, wait::eventually,
};
use libtest_mimic::{Arguments, Failed, Trial};

/// The first argument that makes this executable start a stand-in, say its process id, and wait to be killed.
const HOLD: &str = "hold-a-controller";

fn main() -> ExitCode {
    supervise_if_asked();
    match std::env::args().nth(1).as_deref() {
        Some("run") => return play_controller(),
        Some(HOLD) => return hold(),
        _ => (),
    }
    let trials = vec![
        Trial::test("it_gets_its_command_line_and_nothing_of_our_environment", || on_runtime(command_line())),
        Trial::test("it_answers_where_it_said_it_listens", || on_runtime(answers())),
        Trial::test("one_that_ends_at_once_is_shown_with_its_log", || on_runtime(ends_at_once())),
        Trial::test("one_that_ignores_sigterm_is_a_failure_and_is_killed", || on_runtime(ignores_sigterm())),
        #[cfg(target_os = "linux")]
        Trial::test("it_ends_when_its_user_is_killed", || on_runtime(ends_when_user_is_killed())),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Prints its command line and environment, then does what its flags say.
fn play_controller() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // All on one stream: the order of two is nobody's promise.
    eprintln!("arguments: {}", arguments.join(" "));
    for (name, value) in std::env::vars() {
        eprintln!("environment: {name}={value}");
    }
    if has("--end-at-once") {
        eprintln!("no such thing as a pipeline");
        return ExitCode::FAILURE;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    if has("--ignore-sigterm") {
        ignore_sigterm();
    }
    eprintln!("INFO listening http_addr={address}");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 512];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\nno such kind").unwrap();
    }
    ExitCode::SUCCESS
}

/// A handler that does nothing, for as long as the process lives.
fn ignore_sigterm() {
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let kind = tokio::signal::unix::SignalKind::terminate();
            let mut signals = tokio::signal::unix::signal(kind).unwrap();
            ready.send(()).unwrap();
            while signals.recv().await.is_some() {}
        });
    });
    is_ready.recv().unwrap();
}

fn options(flags: &[&str]) -> ControllerOptions {
    ControllerOptions {
        program: std::env::current_exe().unwrap(),
        namespaces: vec!["one".to_owned(), "two".to_owned()],
        installation_id: "abc".to_owned(),
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        kubeconfig: PathBuf::from("/nowhere/kubeconfig"),
        aws_endpoint: "http://127.0.0.1:1".to_owned(),
        access_key: "AKIA".to_owned(),
        region: "us-east-1".to_owned(),
        environment: Vec::new(),
        home: PathBuf::from("/nowhere"),
    }
}

fn on_runtime(trial: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(trial).map_err(|error| error.to_string().into())
}

async fn command_line() -> Result<()> {
    let controller = ControllerProcess::start(&options(&["--concurrency=1"])).await?;
    let log = controller.log();
    let expected = "arguments: run --installation-id abc --watch-namespace one --watch-namespace two \
                    --http-addr 127.0.0.1:0 --collect=0s --correction-window=0s --spread-looks=false \
                    --aws-budget=iam=1000/10000 --aws-budget=lambda=1000/10000 --aws-budget=codepipeline=1000/10000 \
                    --aws-budget=sts=1000/10000 --concurrency=1";
    assert_eq!(log[0], expected);
    let mut names: Vec<&str> = log
        .iter()
        .filter_map(|line| line.strip_prefix("environment: "))
        .filter_map(|variable| variable.split_once('=').map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    let mut expected = vec![
        "AWS_ACCESS_KEY_ID",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "HOME",
        "KUBECONFIG",
        "RUST_BACKTRACE",
    ];
    expected.sort_unstable();
    assert_eq!(names, expected);
    Ok(())
}

async fn answers() -> Result<()> {
    let mut controller = ControllerProcess::start(&options(&[])).await?;
    assert_eq!(controller.get("/readyz").await?, (503, "no such kind".to_owned()));
    assert!(controller.ended()?.is_none(), "it ended by itself");
    controller.stop().await?;
    assert!(!process::is_alive(controller.id()));
    Ok(())
}

async fn ends_at_once() -> Result<()> {
    let error = ControllerProcess::start(&options(&["--end-at-once"])).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 1") && error.contains("no such thing as a pipeline"), "{error}");
    Ok(())
}

async fn ignores_sigterm() -> Result<()> {
    let mut controller = ControllerProcess::start(&options(&["--ignore-sigterm"])).await?;
    let (id, begun) = (controller.id(), Instant::now());
    let error = controller.stop().await.unwrap_err().to_string();
    assert!(error.contains("the controller ends after SIGTERM") && error.contains("http_addr="), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "it was waited for too long");
    drop(controller);
    assert!(!process::is_alive(id), "it was left behind");
    Ok(())
}

fn hold() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let controller = runtime.block_on(ControllerProcess::start(&options(&["--ignore-sigterm"]))).unwrap();
    println!("{}", controller.id());
    loop {
        std::thread::park();
    }
}

#[cfg(target_os = "linux")]
async fn ends_when_user_is_killed() -> Result<()> {
    let mut holder = Command::new(std::env::current_exe().unwrap()).arg(HOLD).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let id = line.trim().parse().unwrap();
    assert!(process::is_alive(id), "process {id} does not run");
    holder.kill().unwrap();
    holder.wait().unwrap();
    eventually("the controller is gone", Duration::from_secs(5), || async {
        if process::is_alive(id) { Err("it runs".to_owned()) } else { Ok(()) }
    })
    .await
}
