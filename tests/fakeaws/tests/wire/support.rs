//! Three accounts and clients for them.

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_types::retry::RetryConfig;
use fakeaws::{FakeAws, Seed};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const TOOLS: &str = "111111111111";
pub(crate) const DEV: &str = "222222222222";
pub(crate) const PLATFORM: &str = "333333333333";
pub(crate) const REGION: &str = "us-east-1";

/// Access keys of the seed.
pub(crate) const TOOLS_ROOT: &str = "AKIATOOLSROOT";
pub(crate) const DEV_ROOT: &str = "AKIADEVROOT";
pub(crate) const CONTROLLER: &str = "AKIACONTROLLER";
pub(crate) const READER: &str = "AKIAREADER";
pub(crate) const OPERATOR: &str = "AKIAOPERATOR";

pub(crate) fn trust(principal: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"},
    ]})
}

pub(crate) fn allow(action: &str, resource: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})
}

/// Three accounts: platform (the controller's identity), tools and dev.
pub(crate) fn seed() -> Seed {
    serde_json::from_str(include_str!("../seed.json")).unwrap()
}

pub(crate) async fn start() -> FakeAws {
    FakeAws::start(seed()).await.unwrap()
}

pub(crate) fn key(access_key: &str) -> Credentials {
    Credentials::new(access_key, "not-checked", None, None, "test")
}

pub(crate) fn config(aws: &FakeAws, credentials: Credentials) -> aws_config::SdkConfig {
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::from_static(REGION))
        .endpoint_url(aws.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .build()
}

pub(crate) fn iam(aws: &FakeAws, access_key: &str) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(&config(aws, key(access_key)))
}

pub(crate) fn sts(aws: &FakeAws, access_key: &str) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::new(&config(aws, key(access_key)))
}

pub(crate) fn lambda(aws: &FakeAws, access_key: &str) -> aws_sdk_lambda::Client {
    aws_sdk_lambda::Client::new(&config(aws, key(access_key)))
}

/// A session of a role `crossinvoke`, made with the controller's key.
pub(crate) async fn assume(aws: &FakeAws, account: &str) -> Credentials {
    let answer = sts(aws, CONTROLLER)
        .assume_role()
        .role_arn(format!("arn:aws:iam::{account}:role/crossinvoke"))
        .role_session_name("session")
        .set_external_id((account == DEV).then(|| "secret-handshake".to_owned()))
        .send()
        .await
        .unwrap();
    let issued = answer.credentials().unwrap();
    Credentials::new(issued.access_key_id(), "not-checked", Some(issued.session_token().to_owned()), None, "test")
}

/// What a refused call answered: HTTP status, code, message.
pub(crate) fn refusal<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    outcome: Result<T, SdkError<E, aws_smithy_runtime_api::http::Response>>,
) -> (u16, String, String) {
    let error = outcome.unwrap_err();
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned(), error.message().unwrap_or_default().to_owned())
}

/// A document as the SDK hands it over: still encoded after RFC 3986.
pub(crate) fn decoded(document: &str) -> Value {
    let text = percent_encoding::percent_decode_str(document).decode_utf8().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Makes a role in the dev account with its root key.
pub(crate) async fn make_role(iam: &aws_sdk_iam::Client, name: &str) -> aws_sdk_iam::types::Role {
    let document = trust(json!({"AWS": "111111111111"})).to_string();
    let answer = iam.create_role().role_name(name).assume_role_policy_document(document).send().await.unwrap();
    answer.role().unwrap().clone()
}

/// One request as the bytes that travel: status, head, body.
pub(crate) async fn post(
    aws: &FakeAws,
    (access_key, service): (&str, &str),
    path: &str,
    headers: &str,
    body: &[u8],
) -> (u16, String, Vec<u8>) {
    let authority = aws.endpoint().strip_prefix("http://").unwrap().to_owned();
    let mut stream = tokio::net::TcpStream::connect(&authority).await.unwrap();
    let scope = format!("AWS4-HMAC-SHA256 Credential={access_key}/20260101/{REGION}/{service}/aws4_request");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\nauthorization: {scope}\r\n{headers}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..split].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[split + 4..].to_vec())
}
