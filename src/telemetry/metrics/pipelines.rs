//! Updates of pipelines: how many versions were made, and how long the window is in which a run can begin unseen.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
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
    waiting: Family<PipelineLabels, Gauge>,
    waiting_since: Arc<Mutex<HashMap<PipelineLabels, Timestamp>>>,
}

impl PipelineLabels {
    fn of((account, region, pipeline): Place<'_>) -> Self {
        Self { account: account.to_owned(), region: region.to_owned(), pipeline: pipeline.to_owned() }
    }
}

/// An account, a region and a pipeline's name.
pub(super) type Place<'a> = (&'a str, &'a str, &'a str);

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
        let waiting = Family::default();
        registry.register(
            "pipeline_waiting_seconds",
            "How long what objects want of a pipeline has waited for it; only while something waits",
            waiting.clone(),
        );
        Self { updates, check_to_write, claims, waiting, waiting_since: Arc::default() }
    }

    /// An update carries so many claims.
    pub(super) fn carries(&self, claims: u32) {
        self.claims.observe(f64::from(claims));
    }

    pub(super) fn updated(&self, place: Place<'_>, since_check: Duration) {
        self.updates.get_or_create(&PipelineLabels::of(place)).inc();
        self.check_to_write.observe(since_check.as_secs_f64());
    }

    /// Since when something waits; `None` for nothing.
    pub(super) fn waits(&self, place: Place<'_>, since: Option<Timestamp>) {
        let mut waiting = self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(since) => waiting.insert(PipelineLabels::of(place), since),
            None => waiting.remove(&PipelineLabels::of(place)),
        };
    }

    /// Brings what depends on the time up to now.
    pub(super) fn at(&self, now: Timestamp) {
        self.waiting.clear();
        for (labels, since) in self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.waiting.get_or_create(labels).set(now.duration_since(*since).as_secs().max(0));
        }
    }
}
