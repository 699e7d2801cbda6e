//! What the function of the stage checks: a page of a deployment. The function is the handler of `examples/`, as it is.

use std::path::Path;

use fakeaws::{Behaviour, Page, Website};
use http::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    accounts::FUNCTION,
    error::{Context as _, Error, Result},
    scenario::Scenario,
    tools::repository,
};

/// What a healthy deployment says.
const HEALTHY: &str = "all is ok here";

/// A deployment with a website on loopback. It ends when this is dropped.
#[derive(Debug)]
pub struct Deployment {
    website: Website,
    _folder: TempDir,
}

impl Deployment {
    /// Starts a healthy one on a free port.
    ///
    /// # Errors
    /// If there is no port, or no place for its certificate.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for a certificate")?;
        let healthy = Page::Text(StatusCode::OK, HEALTHY.to_owned());
        let website = Website::start(folder.path(), healthy).await.map_err(Error::new)?;
        Ok(Self { website, _folder: folder })
    }

    /// The URL of a path of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.website.url(path)
    }

    /// The file with the certificate that the function must trust.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        self.website.certificate()
    }

    /// The parameters with which the example's handler checks a path of it.
    #[must_use]
    pub fn user_parameters(&self, path: &str) -> String {
        json!({"url": self.url(path), "expect": "ok"}).to_string()
    }

    /// Answers 503 from now on, as a deployment that does not come up.
    pub fn break_down(&self) {
        self.website.answer(Page::Text(StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned()));
    }

    /// Is healthy again.
    pub fn recover(&self) {
        self.website.answer(Page::Text(StatusCode::OK, HEALTHY.to_owned()));
    }

    /// The paths that it was asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.website.asked().into_iter().map(|asked| asked.path).collect()
    }
}

impl Scenario<'_> {
    /// Makes the handler of `examples/` the function: a Python process with the execution role's credentials.
    ///
    /// # Errors
    /// If its virtual environment cannot be made.
    pub async fn use_example_handler(&self, deployment: &Deployment) -> Result<()> {
        let handler = example_handler(Some(deployment.certificate())).await?;
        let function = (self.accounts.dev.as_str(), self.accounts.function_region.as_str(), FUNCTION);
        self.aws().set_behaviour(function, handler).context("the function's handler")
    }
}

/// The handler of `examples/`, as the double runs it, with the certificates that it trusts beside none of the machine's.
///
/// # Errors
/// If its virtual environment cannot be made.
pub async fn example_handler(trusts: Option<&Path>) -> Result<Behaviour> {
    let file = repository().join("examples/validate/index.py");
    Ok(Behaviour::Python { file, python: python().await?, trusts: trusts.map(Path::to_owned) })
}

/// The interpreter that has boto3; made the first time, which takes a while.
pub(crate) async fn python() -> Result<std::path::PathBuf> {
    let made = tokio::task::spawn_blocking(fakeaws::python_environment).await.context("a Python with boto3")?;
    made.map_err(Error::new)
}
