//! `/livez`, `/readyz` and `/metrics`.

pub mod debug;

use std::{
    collections::BTreeMap,
    future::Future,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;

use crate::{controller::context::Context, telemetry::metrics::Metrics};

/// How often it is said what a running process lacks.
const SAY_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// What the process still waits for at its start, and what it has come to lack since; nothing of both once it is ready.
#[derive(Clone, Debug)]
pub struct Readiness {
    waits_for: Arc<Mutex<Option<String>>>,
    lacks: Arc<Mutex<BTreeMap<String, Lack>>>,
    unlistable: Arc<Mutex<BTreeMap<String, String>>>,
}

#[derive(Clone, Debug)]
struct Lack {
    what: String,
    said: Timestamp,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            waits_for: Arc::new(Mutex::new(Some("the process is starting".to_owned()))),
            lacks: Arc::default(),
            unlistable: Arc::default(),
        }
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

    /// A watch does not get what it asks for, such as a kind that was uninstalled. Says whether it is time to log it.
    pub fn lacks(&self, kind: &str, what: &str, now: Timestamp) -> bool {
        let mut lacks = self.lacks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lacks.get(kind).map(|lack| lack.said);
        let say = known.is_none_or(|said| now.duration_since(said) >= SAY_EVERY);
        let said = known.filter(|_| !say).unwrap_or(now);
        lacks.insert(kind.to_owned(), Lack { what: what.to_owned(), said });
        say
    }

    /// The watch of this kind works.
    pub fn has(&self, kind: &str) {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
    }

    /// A namespace cannot be listed: it is named, and the others are served. Says whether that is new.
    pub fn unlistable(&self, namespace: &str, what: &str) -> bool {
        let mut unlistable = self.unlistable.lock().unwrap_or_else(PoisonError::into_inner);
        unlistable.insert(namespace.to_owned(), what.to_owned()).is_none()
    }

    /// A namespace can be listed. Says whether it could not before.
    pub fn listable(&self, namespace: &str) -> bool {
        self.unlistable.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace).is_some()
    }

    fn answer(&self) -> (StatusCode, String) {
        let waits_for = self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lacks = self.lacks.lock().unwrap_or_else(PoisonError::into_inner);
        let what: Vec<String> = waits_for.into_iter().chain(lacks.values().map(|lack| lack.what.clone())).collect();
        if what.is_empty() {
            let unlistable = self.unlistable.lock().unwrap_or_else(PoisonError::into_inner);
            return (StatusCode::OK, unlistable.values().fold("ok\n".to_owned(), |text, what| text + what + "\n"));
        }
        (StatusCode::SERVICE_UNAVAILABLE, what.join("\n") + "\n")
    }
}

/// Where it is served when nothing else is asked for: IPv6, which takes IPv4 as well, and IPv4 where IPv6 is off.
const DEFAULTS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8080),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080),
];

/// Binds the address, so that a taken port is an error before anything else is done.
///
/// # Errors
/// The address cannot be bound; the error names it.
pub async fn bind(address: Option<SocketAddr>) -> std::io::Result<TcpListener> {
    match address {
        Some(address) => bind_to(address).await,
        None => bind_to_either(DEFAULTS).await,
    }
}

async fn bind_to_either([first, second]: [SocketAddr; 2]) -> std::io::Result<TcpListener> {
    match bind_to(first).await {
        // What the kernel says of a family that is switched off, or that it was built without.
        Err(error) if matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported) => {
            bind_to(second).await
        }
        bound => bound,
    }
}

async fn bind_to(address: SocketAddr) -> std::io::Result<TcpListener> {
    let named = |error: std::io::Error| {
        let kind = match error.raw_os_error() {
            // Not among the standard library's kinds.
            Some(EAFNOSUPPORT) => ErrorKind::Unsupported,
            _ => error.kind(),
        };
        std::io::Error::new(kind, format!("{address}: {error}"))
    };
    TcpListener::bind(address).await.map_err(named)
}

/// What Prometheus takes for OpenMetrics and not for its own older format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Linux's number of "Address family not supported by protocol" (errno-base of the kernel's asm-generic).
const EAFNOSUPPORT: i32 = 97;

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
            get(|State((_, metrics)): State<(Readiness, Arc<Metrics>)>| async move {
                ([(CONTENT_TYPE, OPEN_METRICS)], metrics.render(Context::now()))
            }),
        )
        .with_state((readiness, metrics));
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn ipv4_is_served_only_where_ipv6_is_off() {
        // An address that no interface has (RFC 3849) is refused as one of a family that is off.
        let off: SocketAddr = "[2001:db8::1]:0".parse().unwrap();
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let bound = bind_to_either([off, loopback]).await.unwrap();
        assert!(bound.local_addr().unwrap().is_ipv4());
        let taken = bound.local_addr().unwrap();
        let error = bind_to_either([taken, loopback]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "a taken port is an error");
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
        assert!(bind(Some(off)).await.is_err(), "an address that was asked for is not replaced");
        assert!(DEFAULTS[0].is_ipv6() && DEFAULTS.iter().all(|address| address.port() == 8080));
    }

    /// Asks `/livez` and `/metrics` as a probe would.
    async fn asked(address: SocketAddr, path: &str) -> std::io::Result<String> {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: crossinvoke\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    fn served(listener: TcpListener) -> u16 {
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, Readiness::default(), Arc::default(), std::future::pending()));
        port
    }

    #[tokio::test]
    async fn health_and_metrics_are_answered_over_ipv6_and_ipv4_alike() {
        let everywhere = |family: IpAddr| SocketAddr::new(family, 0);
        let [first, second] = DEFAULTS.map(|address| everywhere(address.ip()));
        if let Err(error) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await {
            println!("skipped: this machine has no ::1 to ask ({error})");
            return;
        }
        let port = served(bind_to_either([first, second]).await.unwrap());
        for address in [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)] {
            let address = SocketAddr::new(address, port);
            let health = asked(address, "/livez").await.unwrap();
            assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("ok\n"), "{address}: {health}");
            let metrics = asked(address, "/metrics").await.unwrap();
            assert!(metrics.contains(&format!("content-type: {OPEN_METRICS}\r\n")), "{address}: {metrics}");
            assert!(metrics.contains("crossinvoke_objects{"), "{address}: {metrics}");
        }
    }

    #[tokio::test]
    async fn health_is_answered_over_ipv4_where_ipv6_is_off() {
        let off: SocketAddr = "[2001:db8::1]:0".parse().unwrap();
        let port = served(bind_to_either([off, SocketAddr::new(DEFAULTS[1].ip(), 0)]).await.unwrap());
        let health = asked(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port), "/livez").await.unwrap();
        assert!(health.starts_with("HTTP/1.1 200 ") && health.ends_with("ok\n"), "{health}");
    }

    #[test]
    fn what_is_lacked_is_answered_and_said_every_half_minute() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let readiness = Readiness::default();
        assert_eq!(readiness.answer().0, StatusCode::SERVICE_UNAVAILABLE);
        readiness.ready();
        assert_eq!(readiness.answer().0, StatusCode::OK);
        let said: Vec<i64> = (0..70).filter(|second| readiness.lacks("kind", "it is gone", at(*second))).collect();
        assert_eq!(said, [0, 30, 60]);
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, "it is gone\n".to_owned()));
        readiness.has("another");
        assert_eq!(readiness.answer().0, StatusCode::SERVICE_UNAVAILABLE);
        readiness.has("kind");
        assert_eq!(readiness.answer().0, StatusCode::OK);
    }

    #[test]
    fn a_namespace_that_cannot_be_listed_is_named_by_a_ready_process() {
        let readiness = Readiness::default();
        readiness.ready();
        assert!(readiness.unlistable("payments", "namespace payments: why"));
        assert!(!readiness.unlistable("payments", "namespace payments: why"), "known");
        assert_eq!(readiness.answer(), (StatusCode::OK, "ok\nnamespace payments: why\n".to_owned()));
        assert!(readiness.listable("payments") && !readiness.listable("payments"));
        assert_eq!(readiness.answer(), (StatusCode::OK, "ok\n".to_owned()));
    }
}
