//! One page of a list of everything in an account, and how large its answer was.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::AfterDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;

/// What a page has of what somebody asked for, and how much there was beside.
#[derive(Clone, Debug)]
pub(super) struct Page<T> {
    /// What was asked for.
    pub claimed: Vec<T>,
    /// How many things are on it.
    pub things: u64,
    /// Bytes of the answer.
    pub bytes: u64,
    /// Bytes of what was asked for, nearly.
    pub claimed_bytes: u64,
    /// Where the next page begins; none after the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    pub(super) fn of(things: usize, size: &AnswerSize, next: Option<String>) -> Self {
        let things = u64::try_from(things).unwrap_or(u64::MAX);
        Self { claimed: Vec::new(), things, bytes: size.get(), claimed_bytes: 0, next }
    }

    /// Keeps what was asked for. The rest of the page goes with its answer.
    pub(super) fn keep(&mut self, claimed: T) {
        self.claimed.push(claimed);
        let claimed = u64::try_from(self.claimed.len()).unwrap_or(u64::MAX);
        // Theirs is taken to be as large as everybody's.
        self.claimed_bytes = self.bytes.saturating_mul(claimed).checked_div(self.things).unwrap_or_default();
    }
}

/// Takes the size of an answer's body.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerSize(Arc<AtomicU64>);

impl AnswerSize {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for AnswerSize {
    fn name(&self) -> &'static str {
        "AnswerSize"
    }

    // Not earlier: before deserialization a streaming body has no bytes to look at.
    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().map_or(0, <[u8]>::len);
        self.0.store(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(())
    }
}
