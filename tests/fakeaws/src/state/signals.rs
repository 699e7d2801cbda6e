//! How the parts of the double that wait are woken. No lock is held while anything waits.

use std::sync::Arc;

use tokio::sync::Notify;

/// The bells of a world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    work: Arc<Notify>,
    rest: Arc<Notify>,
}

impl Signals {
    /// Something may have become due.
    pub(crate) fn changed(&self) {
        self.work.notify_one();
    }

    /// Ends when something may have become due since it was last waited for.
    pub(crate) fn work(&self) -> impl Future<Output = ()> + use<> {
        let work = Arc::clone(&self.work);
        async move { work.notified().await }
    }

    /// What was due has been looked at.
    pub(crate) fn rested(&self) {
        self.rest.notify_waiters();
    }

    /// The bell of [`Self::rested`].
    pub(crate) fn rest(&self) -> Arc<Notify> {
        Arc::clone(&self.rest)
    }
}
