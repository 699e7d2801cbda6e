//! `/livez`, `/readyz` and `/metrics`.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

use crate::{controller::context::Context, telemetry::metrics::Metrics};

/// What the process still waits for; nothing once it is ready.
#[derive(Clone, Debug)]
pub struct Readiness {
    waits_for: Arc<Mutex<Option<String>>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { waits_for: Arc::new(Mutex::new(Some("the process is starting".to_owned()))) }
    }
}

impl Readiness {
    /// Says what is waited for.
    pub fn waits_for(&self, what: &str) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
    }

    /// Nothing is waited for any more.
    pub fn ready(&self) {
        *self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn answer(&self) -> (StatusCode, String) {
        match &*self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
        }
    }
}

/// Binds the address, so that a taken port is an error before anything else is done.
///
/// # Errors
/// The address cannot be bound.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop` resolves.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(|State((readiness, _)): State<(Readiness, Arc<Metrics>)>| async move { readiness.answer() }),
        )
        .route(
            "/metrics",
            get(|State((_, metrics)): State<(Readiness, Arc<Metrics>)>| async move { metrics.render(Context::now()) }),
        )
        .with_state((readiness, metrics));
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
