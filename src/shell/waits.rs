//! What a worker waits for besides messages: an answer, and a time.

use std::{future::pending, pin::Pin, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

/// How long a worker without claims stays, with what it knows of its own writes.
pub(super) const IDLE: Duration = Duration::from_mins(10);

/// An answer that is waited for.
pub(super) type Awaited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Resolves with the answer; never, if none is waited for.
pub(super) async fn answer<T>(answer: Option<&mut Awaited<T>>) -> T {
    match answer {
        Some(answer) => answer.await,
        None => pending().await,
    }
}

/// Resolves at this time; never without one.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The instant of a time of day; now, if it has passed.
pub(super) fn instant(time: Timestamp, now: Timestamp) -> Instant {
    Instant::now() + Duration::try_from(time.duration_since(now)).unwrap_or_default()
}
