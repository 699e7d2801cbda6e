//! Updates of pipelines: how many versions were made, and how long the window is in which a run can begin unseen.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PipelineLabels {
    account: String,
    region: String,
    pipeline: String,
}

/// The series of pipelines.
#[derive(Clone, Debug)]
pub(super) struct PipelineMetrics {
    updates: Family<PipelineLabels, Counter>,
    check_to_write: Histogram,
    claims: Histogram,
}

impl PipelineMetrics {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let updates = Family::default();
        let check_to_write = Histogram::new(exponential_buckets(0.005, 2.0, 14));
        registry.register("pipeline_updates", "Versions of pipelines that were made", updates.clone());
        registry.register(
            "pipeline_check_to_write_seconds",
            "Time from asking for a pipeline's executions to the answer to its update, in which a run can begin unseen",
            check_to_write.clone(),
        );
        let claims = Histogram::new([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        registry.register(
            "pipeline_claims_per_update",
            "Claims that went into one update of a pipeline",
            claims.clone(),
        );
        Self { updates, check_to_write, claims }
    }

    /// An update carries so many claims.
    pub(super) fn carries(&self, claims: u32) {
        self.claims.observe(f64::from(claims));
    }

    pub(super) fn updated(&self, account: &str, region: &str, pipeline: &str, since_check: Duration) {
        let labels =
            PipelineLabels { account: account.to_owned(), region: region.to_owned(), pipeline: pipeline.to_owned() };
        self.updates.get_or_create(&labels).inc();
        self.check_to_write.observe(since_check.as_secs_f64());
    }
}
