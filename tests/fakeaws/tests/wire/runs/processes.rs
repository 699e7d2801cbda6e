//! The processes that handlers run in: how they fail, and that they end.

use std::process::Stdio;

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use fakeaws::Seed;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{
    handlers::handler,
    support::{PIPELINE, Runs, release},
};
use crate::support::REGION;

/// A pipeline whose function connects to us and lives on.
async fn lingering(timeout: u64) -> (Runs, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut pipeline = release();
    let address = listener.local_addr().unwrap().to_string();
    pipeline["stages"][1]["actions"][0]["configuration"]["UserParameters"] = json!(address);
    let runs = Runs::of(pipeline).await;
    runs.handle(handler("lingering"), "lingering.handler", json!({"timeout": timeout}));
    (runs, listener)
}

/// The connection of a handler that is running now.
async fn connected(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut here = [0; 4];
    stream.read_exact(&mut here).await.unwrap();
    stream
}

/// Returns when the handler's process has ended.
async fn ended(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_killed_and_tried_again() {
    let (runs, listener) = lingering(1).await;
    let id = runs.start().await;
    ended(connected(&listener).await).await;
    runs.aws.settled().await;
    let timed_out = "Task timed out after 1.00 seconds";
    assert_eq!(runs.deliveries(), [timed_out]);
    runs.aws.admin().advance_clock(60).unwrap();
    ended(connected(&listener).await).await;
    runs.aws.settled().await;
    assert_eq!(runs.deliveries(), [timed_out; 2]);
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress);
}

#[tokio::test]
async fn handlers_end_with_the_double() {
    let (runs, listener) = lingering(600).await;
    runs.start().await;
    let handler = connected(&listener).await;
    drop(runs);
    ended(handler).await;
}

#[tokio::test]
async fn handlers_end_with_a_double_that_is_killed() {
    let (runs, listener) = lingering(600).await;
    // The same world in a process of its own.
    let mut seed: Seed = serde_json::from_value(runs.aws.admin().configuration().unwrap()).unwrap();
    seed.keys = crate::support::seed().keys;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.json");
    std::fs::write(&path, serde_json::to_string(&seed).unwrap()).unwrap();
    let mut double = tokio::process::Command::new(env!("CARGO_BIN_EXE_fakeaws"));
    let mut double = double.arg("--seed").arg(&path).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut endpoint = String::new();
    BufReader::new(double.stdout.take().unwrap()).read_line(&mut endpoint).await.unwrap();
    let config = crate::support::config(&runs.aws, crate::support::key(crate::support::TOOLS_ROOT));
    let config = config.into_builder().endpoint_url(endpoint.trim()).build();
    let client = aws_sdk_codepipeline::Client::new(&config);
    client.start_pipeline_execution().name(PIPELINE).send().await.unwrap();
    let handler = connected(&listener).await;
    double.kill().await.unwrap();
    ended(handler).await;
}

#[tokio::test]
async fn what_goes_wrong_around_a_handler_is_said_as_lambda_says_it() {
    let file = || handler("raising");
    let cases = [
        ("raising.handler", "KeyError: 'nothing of the kind'"),
        ("raising.leaving", "SystemExit: 3"),
        ("raising.unspeakable", "Runtime.MarshalError: Unable to marshal response: "),
        ("raising.nothing", "Runtime.HandlerNotFound: Handler 'nothing' missing on module 'raising'"),
        ("absent.handler", "Runtime.ImportModuleError: Unable to import module 'absent': No module named 'absent'"),
    ];
    for (name, expected) in cases {
        let runs = Runs::release().await;
        runs.handle(file(), name, json!({}));
        let id = runs.run().await;
        let deliveries = runs.deliveries();
        assert!(deliveries.len() == 1 && deliveries[0].starts_with(expected), "{name}: {deliveries:?}");
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::InProgress, "{name}: nobody has reported");
    }
    let runs = Runs::release().await;
    runs.handle(file(), "raising.handler", json!({}));
    runs.run().await;
    assert!(runs.log().contains("Traceback (most recent call last)"), "{}", runs.log());
    let runs = Runs::release().await;
    runs.handle_with("/nowhere/python".into(), file(), "raising.handler", json!({}));
    runs.run().await;
    let deliveries = runs.deliveries();
    assert!(deliveries[0].starts_with("the interpreter /nowhere/python cannot be started"), "{deliveries:?}");
}

#[tokio::test]
async fn an_interpreter_that_says_nothing_is_an_error_and_no_answer() {
    let runs = Runs::release().await;
    runs.handle_with("/bin/true".into(), handler("raising"), "raising.handler", json!({}));
    runs.run().await;
    assert_eq!(runs.deliveries(), ["Runtime.ExitError: the process ended before the handler did"]);
    let (account, region, name) = super::support::FUNCTION;
    assert_eq!(region, REGION);
    runs.aws.admin().remove_function(account, region, name).unwrap();
    runs.advance(60).await;
    assert_eq!(runs.deliveries()[1..], ["the function was deleted"]);
}
