//! The adapter over the real wire: the SDK speaks to a stub on loopback, which records what it is asked.

mod account;
mod budgets;
mod calls;
mod failures;
mod permits;
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
use jiff::Timestamp;

use self::stub::Stub;
use super::{Aws, AwsConfig, AwsError, CallObserver, CodePipeline, Iam, PipelineRead, Session, SessionKey};
use crate::{
    domain::{
        ids::{PipelineKey, Region, RoleId},
        pipeline_edit::Json,
    },
    engine::{
        pipeline::{self, Update},
        role::{self, Change, Write},
    },
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

/// The right to make this change of the role `r`, found at that time.
fn permit(account: &str, change: Change, at: Timestamp) -> role::Permit {
    let role = RoleId { account: account.parse().unwrap(), name: "r".parse().unwrap() };
    role::Permit::for_tests(Write { role, change }, Vec::new(), at)
}

#[allow(clippy::disallowed_methods, reason = "permits are compared with the clock")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Changes the role `r` of the dev account in a turn of its own.
async fn change(iam: &Iam, change: Change) -> Result<(), AwsError> {
    iam.write(iam.turn().await, permit(DEV, change, now())).await
}

/// Gives it an inline policy.
fn put() -> Change {
    Change::PutPolicy("p".to_owned(), serde_json::json!({}))
}

/// The right to update a pipeline, found at that time.
fn update_of(pipeline: PipelineKey, declaration: &Json, at: Timestamp) -> pipeline::Permit {
    pipeline::Permit::for_tests(Update { pipeline, base: 1, declaration: declaration.clone() }, Vec::new(), at)
}

/// Updates a pipeline in a turn of its own.
async fn update(pipelines: &CodePipeline, declaration: &Json) -> Result<PipelineRead, AwsError> {
    let pipeline = pipelines.pipeline(declaration.text("name").parse().unwrap());
    pipelines.update_pipeline(pipelines.turn().await, update_of(pipeline, declaration, now())).await
}
