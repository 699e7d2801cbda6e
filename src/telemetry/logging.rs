//! Log lines as text or JSON, each with the key of the object it is about (from the reconcile's span).

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, Layer, filter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the Kubernetes client logs the whole body of an answer that it cannot decode, with every object of a list in it.
/// What went wrong is in the error, which is logged where it is handled.
const LOGS_BODIES: &str = "kube_client::client";

/// Refuses what may hold a body, whatever the level.
fn without_bodies<S: tracing::Subscriber>() -> impl Layer<S> {
    filter::filter_fn(|metadata| metadata.target() != LOGS_BODIES)
}

/// Starts logging to standard error at `level` (a `tracing` filter such as `info` or `crossinvoke=debug,kube=warn`).
///
/// # Errors
/// The filter does not parse.
pub fn start(format: LogFormat, level: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::try_new(level)?;
    let registry = tracing_subscriber::registry().with(filter).with(without_bodies());
    match format {
        LogFormat::Text => registry
            .with(
                fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).with_target(false),
            )
            .init(),
        LogFormat::Json => {
            registry
                .with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).with_target(false))
                .init();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_level_logs_the_body_of_an_answer() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry()
            .with(EnvFilter::new("trace"))
            .with(without_bodies())
            .with(fmt::layer().with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "kube_client::client", "{{\"userParameters\": \"a-secret\"}}");
            tracing::warn!(target: "kube_client::client::builder", "HTTP");
            tracing::warn!("ours");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("a-secret") && text.contains("HTTP") && text.contains("ours"), "{text}");
    }
}
