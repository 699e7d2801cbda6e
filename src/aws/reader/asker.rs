//! Who reads, and how old what it reads may be.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::shelf::Source;
use crate::{aws::CallObserver, domain::ids::ObjectKey};

/// The object that a look is about.
pub type User = Arc<ObjectKey>;

/// Asks for a look at an object.
pub(super) type Wake = Box<dyn Fn(&ObjectKey) + Send + Sync>;

/// One look's question.
#[derive(Clone)]
pub(super) struct Asker {
    /// Whose look it is; none where it is nobody's in particular.
    pub(super) user: Option<User>,
    /// When the look began.
    pub(super) began: Instant,
    /// When the look had its place.
    pub(super) placed: Instant,
    /// The earliest time at which a reading may have been sent.
    pub(super) not_sent_before: Instant,
    /// For how long after a question an answer is of interest.
    pub(super) keep: Duration,
    /// Whether something was answered that had been sent before the look began, or was shown by a scan.
    pub(super) used_stored: Arc<AtomicBool>,
    /// Whether something was answered that had been sent before the look had its place.
    pub(super) used_earlier: Arc<AtomicBool>,
    /// The earliest time at which a scan may have been sent, where one will do: it may only confirm.
    pub(super) scanned_since: Option<Instant>,
    /// What is read, for the counters.
    pub(super) operation: &'static str,
    pub(super) observer: Arc<dyn CallObserver>,
    /// Whom to tell of objects whose reading has turned out otherwise.
    pub(super) wake: Arc<OnceLock<Wake>>,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Asker {
    /// Takes note of where an answer came from, and when it was sent if it is no failure.
    pub(super) fn answered(&self, source: Source, sent: Option<Instant>) {
        // What was sent since the look began is as new as it can be.
        let age = sent.map(|sent| self.began.saturating_duration_since(sent)).unwrap_or_default();
        self.observer.read(source, self.operation, age);
        if sent.is_some_and(|sent| sent < self.placed) {
            self.used_earlier.store(true, Ordering::Relaxed);
        }
        if source == Source::Bulk || sent.is_some_and(|sent| sent < self.began) {
            self.used_stored.store(true, Ordering::Relaxed);
        }
    }
}
