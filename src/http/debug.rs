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

use crate::{
    domain::ids::{PipelineKey, RoleId},
    shell::{pipelines::Pipelines, roles::Roles},
};

/// The workers, once there are any.
#[derive(Clone, Default)]
pub struct Workers(Arc<OnceLock<(Arc<Pipelines>, Arc<Roles>)>>);

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Workers").field(&self.0.get().is_some()).finish()
    }
}

impl Workers {
    /// These are shown.
    pub fn show(&self, pipelines: Arc<Pipelines>, roles: Arc<Roles>) {
        // There is one set for the process.
        let _ = self.0.set((pipelines, roles));
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
    let Some((pipelines, roles)) = workers.0.get() else { return not_yet() };
    let pipelines: Vec<String> = pipelines.keys().iter().map(ToString::to_string).collect();
    let roles: Vec<String> = roles.keys().iter().map(RoleId::target).collect();
    Json(json!({"pipelines": pipelines, "roles": roles})).into_response()
}

async fn shown(State(workers): State<Workers>, Path(key): Path<String>) -> Response {
    let Some((pipelines, roles)) = workers.0.get() else { return not_yet() };
    let shown = match parsed(&key) {
        Some(Target::Pipeline(pipeline)) => {
            pipelines.shown(&pipeline).await.map(|shown| json!({"kind": "pipeline", "key": key, "worker": shown}))
        }
        Some(Target::Role(role)) => {
            roles.shown(&role).await.map(|shown| json!({"kind": "role", "key": key, "worker": shown}))
        }
        None => {
            let text = "a key is ACCOUNT/REGION/PIPELINE or ACCOUNT/ROLE; /debug/targets lists them\n";
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    match shown {
        Some(shown) => Json(shown).into_response(),
        None => (StatusCode::NOT_FOUND, "no worker has this key now; /debug/targets lists them\n").into_response(),
    }
}

fn not_yet() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the process is starting\n").into_response()
}

/// What a worker is about.
#[derive(Debug, Eq, PartialEq)]
enum Target {
    Pipeline(PipelineKey),
    Role(RoleId),
}

fn parsed(key: &str) -> Option<Target> {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        [account, name] => Some(Target::Role(RoleId { account: account.parse().ok()?, name: name.parse().ok()? })),
        [account, region, name] => {
            let (account, region) = (account.parse().ok()?, region.parse().ok()?);
            Some(Target::Pipeline(PipelineKey { account, region, name: name.parse().ok()? }))
        }
        _ => None,
    }
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
    fn a_key_is_that_of_a_pipeline_or_of_a_role() {
        for key in ["111111111111/us-east-1/payments-release", "111111111111/payments"] {
            let parsed = match parsed(key).unwrap() {
                Target::Pipeline(pipeline) => pipeline.to_string(),
                Target::Role(role) => role.target(),
            };
            assert_eq!(parsed, key);
        }
        for wrong in [
            "",
            "111111111111",
            "1/us-east-1/p",
            "1/payments",
            "111111111111/",
            "111111111111/us-east-1/p/q",
            "111111111111/us-east-1/a b",
        ] {
            assert!(parsed(wrong).is_none(), "{wrong}");
        }
    }
}
