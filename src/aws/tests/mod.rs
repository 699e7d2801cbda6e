//! The adapter over the real wire: the SDK speaks to a stub on loopback, which records what it is asked.

mod account;
mod budgets;
mod calls;
mod failures;
mod pipelines;
mod rights;
mod sessions;
mod stub;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};

use self::stub::Stub;
use super::{Aws, AwsConfig, AwsError, CallObserver, CodePipeline, PipelineRead, Session, SessionKey};
use crate::{
    domain::{ids::Region, pipeline_edit::Json},
    engine::pipeline::Permit,
};

const DEV: &str = "222222222222";

/// Keeps what it is told, as "service operation code".
#[derive(Default)]
struct Observed(Mutex<Vec<String>>);

impl Observed {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl CallObserver for Observed {
    fn called(&self, service: &'static str, operation: &str, code: &str, _took: Duration) {
        self.0.lock().unwrap().push(format!("{service} {operation} {code}"));
    }
}

fn base(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_config::Region::from_static("eu-west-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("AKIAOWN", "s", None, None, "test")))
        .build()
}

fn config(base: SdkConfig) -> AwsConfig {
    AwsConfig {
        base,
        session_name: "crossinvoke-test".to_owned(),
        attempt_timeout: Duration::from_secs(10),
        session_duration: Duration::from_hours(1),
        budgets: Vec::new(),
    }
}

fn aws(stub: &Stub) -> (Aws, Arc<Observed>) {
    let observed = Arc::new(Observed::default());
    (Aws::new(config(base(&stub.endpoint)), observed.clone()), observed)
}

/// Into an account through its role, with an external id.
fn key(account: &str) -> SessionKey {
    SessionKey {
        account: account.parse().unwrap(),
        role: Some(format!("arn:aws:iam::{account}:role/crossinvoke").parse().unwrap()),
        external_id: Some("secret-handshake".to_owned()),
    }
}

async fn dev_session(stub: &Stub) -> Session {
    aws(stub).0.session(&key(DEV)).await.unwrap()
}

fn region() -> Region {
    "us-east-1".parse().unwrap()
}

/// Updates a pipeline in a turn of its own.
async fn update(pipelines: &CodePipeline, declaration: &Json) -> Result<PipelineRead, AwsError> {
    pipelines.update_pipeline(pipelines.turn().await, Permit::for_tests(declaration)).await
}
