//! `/debug/targets`: how the workers of things in AWS stand, for whoever is on the machine. Nothing of a configuration is
//! shown.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{domain::ids::PipelineKey, shell::pipelines::Pipelines};

/// The workers, once there are any.
#[derive(Clone, Default)]
pub struct Workers(Arc<OnceLock<Arc<Pipelines>>>);

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Workers").field(&self.0.get().is_some()).finish()
    }
}

impl Workers {
    /// These are shown.
    pub fn show(&self, pipelines: Arc<Pipelines>) {
        // There is one set for the process.
        let _ = self.0.set(pipelines);
    }
}

/// An address that only this machine can reach.
///
/// # Errors
/// Says what is expected.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:6060"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!("{address} can be reached from elsewhere; give one such as 127.0.0.1:6060 or [::1]:6060"))
    }
}

/// Serves until `stop` resolves.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    workers: Workers,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/debug/targets", get(listed))
        .route("/debug/targets/{*key}", get(shown))
        .with_state(workers);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn listed(State(workers): State<Workers>) -> Response {
    let Some(pipelines) = workers.0.get() else { return not_yet() };
    let keys: Vec<String> = pipelines.keys().iter().map(ToString::to_string).collect();
    Json(json!({"pipelines": keys})).into_response()
}

async fn shown(State(workers): State<Workers>, Path(key): Path<String>) -> Response {
    let Some(pipelines) = workers.0.get() else { return not_yet() };
    let Some(pipeline) = parsed(&key) else {
        return (StatusCode::BAD_REQUEST, "a key is ACCOUNT/REGION/PIPELINE; /debug/targets lists them\n")
            .into_response();
    };
    match pipelines.shown(&pipeline).await {
        Some(shown) => Json(json!({"kind": "pipeline", "key": key, "worker": shown})).into_response(),
        None => (StatusCode::NOT_FOUND, "no worker has this key now; /debug/targets lists them\n").into_response(),
    }
}

fn not_yet() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the process is starting\n").into_response()
}

fn parsed(key: &str) -> Option<PipelineKey> {
    let mut parts = key.split('/');
    let (account, region, name) = (parts.next()?, parts.next()?, parts.next()?);
    let key = PipelineKey { account: account.parse().ok()?, region: region.parse().ok()?, name: name.parse().ok()? };
    parts.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_is_taken() {
        for (text, taken) in [
            ("127.0.0.1:6060", true),
            ("127.1.2.3:0", true),
            ("[::1]:6060", true),
            ("0.0.0.0:6060", false),
            ("[::]:6060", false),
            ("10.0.0.1:6060", false),
            ("localhost", false),
            ("6060", false),
        ] {
            assert_eq!(loopback(text).is_ok(), taken, "{text}");
        }
    }

    #[test]
    fn a_key_is_account_region_and_name() {
        let key = parsed("111111111111/us-east-1/payments-release").unwrap();
        assert_eq!(key.to_string(), "111111111111/us-east-1/payments-release");
        for wrong in ["", "111111111111", "1/us-east-1/p", "111111111111/us-east-1/p/q", "111111111111/us-east-1/a b"] {
            assert!(parsed(wrong).is_none(), "{wrong}");
        }
    }
}
