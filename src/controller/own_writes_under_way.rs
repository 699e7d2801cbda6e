//! Writes of what is an object's own. At the end of the process none is begun, and one that was sent gets the time that its
//! answer may take: the next process would not know of it.

use tokio::sync::watch;

/// Counts them.
pub struct OwnWritesUnderWay {
    count: watch::Sender<usize>,
    stopping: watch::Receiver<bool>,
}

/// One of them, until it has its answer or is dropped.
pub struct UnderWay<'a>(&'a OwnWritesUnderWay);

impl OwnWritesUnderWay {
    /// None is under way; none is begun once `stopping` says so.
    #[must_use]
    pub fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { count: watch::Sender::new(0), stopping }
    }

    /// Begins one; `None` when the process is about to end.
    pub fn begin(&self) -> Option<UnderWay<'_>> {
        // Counted first: whoever looks at the count after the stop sees every one that was begun before it.
        self.count.send_modify(|count| *count += 1);
        let under_way = UnderWay(self);
        (!*self.stopping.borrow()).then_some(under_way)
    }

    /// Resolves when none is under way.
    pub async fn answered(&self) {
        // The sender is this very object.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn what_was_begun_is_waited_for_and_nothing_is_begun_at_the_end() {
        let (stop, stopping) = watch::channel(false);
        let writes = OwnWritesUnderWay::new(stopping);
        assert!(writes.answered().now_or_never().is_some(), "nothing is under way");
        let first = writes.begin();
        stop.send_replace(true);
        assert!(first.is_some() && writes.begin().is_none());
        assert!(writes.answered().now_or_never().is_none(), "the first has no answer yet");
        drop(first);
        assert!(writes.answered().now_or_never().is_some());
    }
}
