//! The handler of `examples/`, as it is, in a run.

use std::net::SocketAddr;

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{
    handlers::repository,
    support::{FUNCTION, Runs, declaration, deploy, invoke, source, stage},
};
use crate::support::DEV;

/// A deployment: a page that answers every request with this status and text.
async fn deployment(status: &'static str, text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
            let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
        }
    });
    address
}

/// A pipeline that invokes the example with these user parameters.
async fn with_parameters(parameters: Option<Value>) -> Runs {
    let mut action = invoke();
    match parameters {
        Some(parameters) => action["configuration"]["UserParameters"] = json!(parameters.to_string()),
        None => {
            action["configuration"].as_object_mut().unwrap().remove("UserParameters");
        }
    }
    let mut deployed = deploy();
    deployed["actions"][0]["configuration"]["ObjectKey"] = json!("#{Checks.ValidatedUrl}");
    let runs = Runs::of(declaration(vec![source(), stage("Validate", vec![action]), deployed])).await;
    runs.handle(repository("examples/validate/index.py"), "index.handler", json!({"timeout": 60}));
    runs
}

#[tokio::test]
async fn a_good_deployment_lets_the_run_go_on() {
    let url = format!("http://{}/health", deployment("200 OK", "all is ok here").await);
    let runs = with_parameters(Some(json!({"url": url, "expect": "ok"}))).await;
    let id = runs.run().await;
    assert_eq!(runs.deliveries(), ["OK"], "{}", runs.log());
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let details = runs.details(&id).await;
    let deployed = details[2].input().unwrap();
    assert_eq!(deployed.resolved_configuration().unwrap()["ObjectKey"], url);
    let latest = runs.latest("Invoke").await.unwrap();
    assert_eq!(latest.summary(), Some(format!("{url} answered as expected").as_str()));
}

#[tokio::test]
async fn a_bad_deployment_stops_the_run_with_what_is_wrong() {
    let broken = deployment("503 Service Unavailable", "").await;
    let other = deployment("200 OK", "maintenance").await;
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for (address, what) in [(broken, "503"), (other, "does not contain 'ok'"), (nobody, "refused")] {
        let url = format!("http://{address}/health");
        let runs = with_parameters(Some(json!({"url": url, "expect": "ok"}))).await;
        let id = runs.run().await;
        assert_eq!(runs.deliveries(), ["OK"], "nothing is raised after a report");
        let (_, error) = runs.outcome("Invoke").await;
        assert!(error.starts_with(&format!("JobFailed: {url}")) && error.contains(what), "{error}");
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
        assert_eq!(runs.details(&id).await.len(), 2, "nothing is deployed");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    for parameters in [None, Some(json!({"address": "x"})), Some(json!([1])), Some(json!("text"))] {
        let runs = with_parameters(parameters.clone()).await;
        runs.run().await;
        let (_, error) = runs.outcome("Invoke").await;
        let expected = "ConfigurationError: UserParameters must be JSON with a \"url\"";
        assert!(error.starts_with(expected), "{parameters:?}: {error}");
        assert_eq!(runs.deliveries(), ["OK"]);
    }
}

#[tokio::test]
async fn a_second_delivery_of_the_event_is_taken_as_done() {
    let url = format!("http://{}/", deployment("200 OK", "").await);
    let runs = with_parameters(Some(json!({"url": url}))).await;
    let id = runs.run().await;
    runs.aws.admin().deliver_again(FUNCTION).unwrap();
    runs.aws.settled().await;
    let second = runs.calls("PutJobSuccessResult").pop().unwrap();
    assert_eq!(second.outcome, "InvalidJobStateException");
    assert_eq!(runs.deliveries(), ["OK"], "{}", runs.log());
    assert!(runs.log().contains("has its result already"), "{}", runs.log());
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn a_report_that_does_not_go_through_is_raised_so_that_lambda_tries_again() {
    let url = format!("http://{}/", deployment("200 OK", "").await);
    let runs = with_parameters(Some(json!({"url": url}))).await;
    let policy = super::support::callback_policy();
    runs.aws.admin().remove_inline_policy(DEV, "execution", "callback").unwrap();
    let id = runs.run().await;
    let denied = runs.deliveries();
    assert!(denied[0].contains("AccessDeniedException"), "{denied:?}");
    runs.aws.admin().put_inline_policy(DEV, "execution", "callback", policy).unwrap();
    runs.advance(60).await;
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    assert_eq!(runs.deliveries()[1..], ["OK"]);
}
