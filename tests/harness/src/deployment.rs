//! What the function of the stage checks: a page of a deployment. The function is the handler of `examples/`, as it is.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
};
use fakeaws::Behaviour;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    accounts::FUNCTION,
    error::{Context as _, Error, Result},
    scenario::Scenario,
    tools::repository,
};

/// What a healthy deployment says.
const HEALTHY: &str = "all is ok here";

/// A deployment with an HTTP server on loopback. It ends when this is dropped.
#[derive(Debug)]
pub struct Deployment {
    address: SocketAddr,
    page: Arc<Mutex<Page>>,
    server: JoinHandle<()>,
}

/// What every path of it answers, and the paths that were asked for.
#[derive(Debug)]
struct Page {
    status: StatusCode,
    text: String,
    asked: Vec<String>,
}

impl Deployment {
    /// Starts a healthy one on a free port.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for a deployment")?;
        let address = listener.local_addr().context("the port of a deployment")?;
        let page = Arc::new(Mutex::new(Page { status: StatusCode::OK, text: HEALTHY.to_owned(), asked: Vec::new() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&page));
        let server = tokio::spawn(async move {
            // It ends only by being aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, page, server })
    }

    /// The URL of a path of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The parameters with which the example's handler checks a path of it.
    #[must_use]
    pub fn user_parameters(&self, path: &str) -> String {
        json!({"url": self.url(path), "expect": "ok"}).to_string()
    }

    /// Answers 503 from now on, as a deployment that does not come up.
    pub fn break_down(&self) {
        self.answer(StatusCode::SERVICE_UNAVAILABLE, "starting");
    }

    /// Is healthy again.
    pub fn recover(&self) {
        self.answer(StatusCode::OK, HEALTHY);
    }

    fn answer(&self, status: StatusCode, text: &str) {
        let mut page = lock(&self.page);
        page.status = status;
        text.clone_into(&mut page.text);
    }

    /// The paths that it was asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.page).asked.clone()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(page): State<Arc<Mutex<Page>>>, uri: Uri) -> (StatusCode, String) {
    let mut page = lock(&page);
    page.asked.push(uri.path().to_owned());
    (page.status, page.text.clone())
}

fn lock(page: &Mutex<Page>) -> MutexGuard<'_, Page> {
    // Nothing is left half done under it.
    page.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scenario<'_> {
    /// Makes the handler of `examples/` the function: a Python process with the execution role's credentials.
    ///
    /// # Errors
    /// If its virtual environment cannot be made.
    pub async fn use_example_handler(&self) -> Result<()> {
        let handler = example_handler().await?;
        let function = (self.accounts.dev.as_str(), self.accounts.function_region.as_str(), FUNCTION);
        self.aws().set_behaviour(function, handler).context("the function's handler")
    }
}

/// The handler of `examples/`, as the double runs it.
///
/// # Errors
/// If its virtual environment cannot be made.
pub async fn example_handler() -> Result<Behaviour> {
    Ok(Behaviour::Python { file: repository().join("examples/validate/index.py"), python: python().await? })
}

/// The interpreter that has boto3; made the first time, which takes a while.
pub(crate) async fn python() -> Result<std::path::PathBuf> {
    let made = tokio::task::spawn_blocking(fakeaws::python_environment).await.context("a Python with boto3")?;
    made.map_err(Error::new)
}
