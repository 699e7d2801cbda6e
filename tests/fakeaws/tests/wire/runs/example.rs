//! The handlers that a user is shown, as they are, in a run: that of `examples/`, and that of the README.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use fakeaws::{Page, Website};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{
    handlers::repository,
    support::{FUNCTION, Runs, declaration, deploy, invoke, source, stage},
};
use crate::support::DEV;

/// A website whose certificate the handler trusts, and the folder of that certificate.
async fn website(page: Page) -> (Website, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Website::start(folder.path(), page).await.unwrap(), folder)
}

fn page(text: &str) -> Page {
    Page::Text(StatusCode::OK, text.to_owned())
}

/// A pipeline that invokes a function with these user parameters.
async fn pipeline(parameters: Option<Value>) -> Runs {
    let mut action = invoke();
    match parameters {
        Some(parameters) => action["configuration"]["UserParameters"] = json!(parameters.to_string()),
        None => {
            action["configuration"].as_object_mut().unwrap().remove("UserParameters");
        }
    }
    let mut deployed = deploy();
    deployed["actions"][0]["configuration"]["ObjectKey"] = json!("#{Checks.ValidatedUrl}");
    Runs::of(declaration(vec![source(), stage("Validate", vec![action]), deployed])).await
}

/// The same with the example as the function.
async fn with_parameters(parameters: Option<Value>) -> Runs {
    let runs = pipeline(parameters).await;
    runs.handle(repository("examples/validate/index.py"), "index.handler", json!({"timeout": 60}));
    runs
}

/// The example as the function that looks at a path of the website, in this many seconds.
async fn looking_at(website: &Website, url: &str, seconds: u64) -> Runs {
    let runs = pipeline(Some(json!({"url": url, "expect": "ok"}))).await;
    let file = repository("examples/validate/index.py");
    runs.handle_that_trusts(Some(website.certificate()), file, "index.handler", json!({"timeout": seconds}));
    runs
}

#[tokio::test]
async fn a_good_deployment_lets_the_run_go_on() {
    let (website, _folder) = website(page("all is ok here")).await;
    let url = website.url("/health");
    let runs = looking_at(&website, &url, 60).await;
    let id = runs.run().await;
    assert_eq!(runs.deliveries(), ["OK"], "{}", runs.log());
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let details = runs.details(&id).await;
    let deployed = details[2].input().unwrap();
    assert_eq!(deployed.resolved_configuration().unwrap()["ObjectKey"], url);
    let latest = runs.latest("Invoke").await.unwrap();
    assert_eq!(latest.summary(), Some(format!("{url} answered as expected").as_str()));
    let invocation = runs.invocations().pop().unwrap();
    let asked = website.asked().pop().unwrap();
    assert_eq!(asked.key.as_deref(), invocation["jobId"].as_str(), "the job's id is the idempotency key");
}

#[tokio::test]
async fn a_bad_deployment_stops_the_run_with_what_is_wrong() {
    let (website, _folder) = website(page("maintenance")).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let elsewhere = format!("https://{nobody}/");
    let down = || Page::Text(StatusCode::SERVICE_UNAVAILABLE, String::new());
    let (own, plain) = (website.url("/"), format!("http://{nobody}/"));
    let cases = [
        (down(), &own, "503"),
        (page("maintenance"), &own, "does not contain 'ok'"),
        (page(""), &elsewhere, "refused"),
        (Page::Redirect(plain), &own, "unknown url type: http"),
        (Page::Redirect("file:///proc/self/environ".to_owned()), &own, "not allowed"),
    ];
    for (answer, url, what) in cases {
        website.answer(answer);
        let runs = looking_at(&website, url, 60).await;
        let id = runs.run().await;
        assert_eq!(runs.deliveries(), ["OK"], "nothing is raised after a report");
        let (_, error) = runs.outcome("Invoke").await;
        assert!(error.starts_with(&format!("JobFailed: {url}")) && error.contains(what), "{error}");
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
        assert_eq!(runs.details(&id).await.len(), 2, "nothing is deployed");
    }
}

#[tokio::test]
async fn a_server_that_sends_a_byte_now_and_then_does_not_take_the_time_of_the_report() {
    let (website, _folder) = website(Page::Drip).await;
    let runs = looking_at(&website, &website.url("/"), 10).await;
    let id = runs.run().await;
    assert_eq!(runs.deliveries(), ["OK"], "{}", runs.log());
    let (_, error) = runs.outcome("Invoke").await;
    assert!(error.starts_with("JobFailed: the check was not done after "), "{error}");
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed);
}

/// The example as a function of ten seconds, of which the check takes all that it may and this endpoint of CodePipeline
/// gets the rest; what the only delivery came to.
async fn reporting_to(endpoint: &str, file: PathBuf, handler: &str) -> String {
    let (website, _folder) = website(Page::Drip).await;
    let runs = pipeline(Some(json!({"url": website.url("/")}))).await;
    let environment = json!({"AWS_ENDPOINT_URL_CODEPIPELINE": endpoint});
    let members = json!({"timeout": 10, "environment": environment});
    runs.handle_that_trusts(Some(website.certificate()), file, handler, members);
    runs.run().await;
    runs.deliveries().pop().unwrap()
}

#[tokio::test]
async fn a_report_that_gets_no_answer_ends_before_the_function_is_timed_out() {
    // The kernel accepts, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", silent.local_addr().unwrap());
    let ended = reporting_to(&endpoint, repository("examples/validate/index.py"), "index.handler").await;
    assert_eq!(ended, format!("ReadTimeoutError: Read timeout on endpoint URL: \"{endpoint}\""));
}

#[tokio::test]
async fn a_report_that_connects_nowhere_ends_before_the_function_is_timed_out() {
    let (full, _waiting) = full().await;
    let endpoint = format!("http://{full}/");
    let ended = reporting_to(&endpoint, repository("examples/validate/index.py"), "index.handler").await;
    assert_eq!(ended, format!("ConnectTimeoutError: Connect timeout on endpoint URL: \"{endpoint}\""));

    // A name with four addresses is tried at each of them.
    let folder = tempfile::tempdir().unwrap();
    let example = fs::read_to_string(repository("examples/validate/index.py")).unwrap();
    let name = format!(
        "\n\nimport socket\n\nknown = socket.getaddrinfo\nsocket.getaddrinfo = lambda host, port, *rest, **named: \
         known(host, port, *rest, **named) * (4 if port == {} else 1)\n",
        full.port()
    );
    let file = folder.path().join("named.py");
    fs::write(&file, example + &name).unwrap();
    let ended = reporting_to(&endpoint, file, "named.handler").await;
    assert_eq!(ended, "TimeoutError: the report was not done after 7 seconds");
}

/// An address where no connection is completed: its queue is full. The connections in it keep it so.
async fn full() -> (SocketAddr, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    // Nobody accepts; the task ends with the runtime.
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let _kept = listener;
        std::future::pending::<()>().await;
    });
    let mut waiting = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    (address, waiting)
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let json = "UserParameters must be JSON with a \"url\"";
    let https = "the url must begin with https://";
    let cases = [
        (None, json),
        (Some(json!({"address": "x"})), json),
        (Some(json!([1])), json),
        (Some(json!("text")), json),
        (Some(json!({"url": 1})), json),
        (Some(json!({"url": "https://127.0.0.1/", "expect": 1})), json),
        (Some(json!({"url": "file:///proc/self/environ"})), https),
        (Some(json!({"url": "http://127.0.0.1/"})), https),
        (Some(json!({"url": "ftp://127.0.0.1/"})), https),
    ];
    for (parameters, expected) in cases {
        let runs = with_parameters(parameters.clone()).await;
        runs.run().await;
        let (_, error) = runs.outcome("Invoke").await;
        assert!(error.starts_with(&format!("ConfigurationError: {expected}")), "{parameters:?}: {error}");
        assert!(!error.contains("AWS_SESSION_TOKEN"), "{error}");
        assert_eq!(runs.deliveries(), ["OK"]);
    }
}

#[tokio::test]
async fn a_second_delivery_of_the_event_is_taken_as_done() {
    let (website, _folder) = website(page("ok")).await;
    let runs = looking_at(&website, &website.url("/"), 60).await;
    let id = runs.run().await;
    runs.aws.admin().deliver_again(FUNCTION).unwrap();
    runs.aws.settled().await;
    let second = runs.calls("PutJobSuccessResult").pop().unwrap();
    assert_eq!(second.outcome, "InvalidJobStateException");
    assert_eq!(runs.deliveries(), ["OK"], "{}", runs.log());
    assert!(runs.log().contains("has its result already"), "{}", runs.log());
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
    let keys: Vec<_> = website.asked().into_iter().map(|asked| asked.key).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "another environment shows the same key: {keys:?}");
}

#[tokio::test]
async fn an_environment_that_has_reported_does_not_work_twice() {
    let (website, folder) = website(page("ok")).await;
    let runs = pipeline(Some(json!({"url": website.url("/"), "expect": "ok"}))).await;
    // An environment is a process; the double starts one for each delivery, so this one is handed the event twice.
    let example = fs::read_to_string(repository("examples/validate/index.py")).unwrap();
    let twice = "\n\ndef twice(event, context):\n    handler(event, context)\n    handler(event, context)\n";
    let file = folder.path().join("twice.py");
    fs::write(&file, example + twice).unwrap();
    runs.handle_that_trusts(Some(website.certificate()), file, "twice.twice", json!({"timeout": 60}));
    let id = runs.run().await;
    assert_eq!(runs.deliveries(), ["OK"], "{}", runs.log());
    assert_eq!((website.asked().len(), runs.calls("PutJobSuccessResult").len()), (1, 1));
    assert!(runs.log().contains("was handled before"), "{}", runs.log());
    assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded);
}

#[tokio::test]
async fn a_report_that_does_not_go_through_is_raised_so_that_lambda_tries_again() {
    let (website, _folder) = website(page("ok")).await;
    let runs = looking_at(&website, &website.url("/"), 60).await;
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

#[tokio::test]
async fn a_job_that_the_pipeline_does_not_know_is_an_error_that_is_raised() {
    let (website, folder) = website(page("ok")).await;
    let runs = pipeline(Some(json!({"url": website.url("/"), "expect": "ok"}))).await;
    let example = fs::read_to_string(repository("examples/validate/index.py")).unwrap();
    let other = "\n\ndef other(event, context):\n    event[\"CodePipeline.job\"][\"id\"] = \"00000000-0000-0000-0000-000000000000\"\n    handler(event, context)\n";
    let file = folder.path().join("other.py");
    fs::write(&file, example + other).unwrap();
    runs.handle_that_trusts(Some(website.certificate()), file, "other.other", json!({"timeout": 60}));
    runs.run().await;
    let deliveries = runs.deliveries();
    assert!(deliveries[0].starts_with("JobNotFoundException: "), "{deliveries:?}");
    assert!(runs.log().contains("ERROR: CodePipeline does not know the job 00000000-"), "{}", runs.log());
}

/// The function that the README shows, word for word, with a `validate` of the reader's behind it.
fn of_the_readme(folder: &TempDir) -> PathBuf {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let snippet = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let validate =
        "\n\ndef validate(parameters):\n    if parameters != '\"good\"':\n        raise ValueError('n' * 9000)\n";
    let file = folder.path().join("readme.py");
    fs::write(&file, snippet.to_owned() + validate).unwrap();
    file
}

#[tokio::test]
async fn the_handler_of_the_readme_reports_success_and_failure_once() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [("good", PipelineExecutionStatus::Succeeded), ("bad", PipelineExecutionStatus::Failed)];
    for (parameters, expected) in cases {
        let mut action = invoke();
        action["configuration"]["UserParameters"] = json!(json!(parameters).to_string());
        let runs = Runs::of(declaration(vec![source(), stage("Validate", vec![action]), deploy()])).await;
        runs.handle(of_the_readme(&folder), "readme.handler", json!({}));
        let id = runs.run().await;
        assert_eq!(runs.deliveries(), ["OK"], "{}", runs.log());
        assert_eq!(runs.status(&id).await, expected);
        if parameters == "bad" {
            let (_, error) = runs.outcome("Invoke").await;
            assert_eq!(error, format!("JobFailed: {}", "n".repeat(5000)), "cut to what CodePipeline takes");
        }
        runs.aws.admin().deliver_again(FUNCTION).unwrap();
        runs.aws.settled().await;
        assert_eq!(runs.deliveries(), ["OK"], "a second delivery raises nothing: {}", runs.log());
    }
}
