//! Looks at objects and accounts: how many, how they end, and how long they take.

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
struct ReconcileLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct LookLabels {
    kind: &'static str,
}

/// A look at an object that found everything in place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Look {
    /// It read, planned and compared.
    Whole,
    /// AWS answered as at the last whole one.
    Confirmed,
}

/// The outcome of a reconcile that did not come to its end.
const CANCELLED: &str = "cancelled";

/// The series of reconciles.
pub(super) struct Reconciles {
    ended: Family<ReconcileLabels, Counter>,
    durations: Histogram,
    looks: Family<LookLabels, Counter>,
}

impl Reconciles {
    /// The series, those of the closed set at zero: a rate over one that appears with its first event would miss it.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let ended = Family::<ReconcileLabels, Counter>::default();
        let durations = Histogram::new(exponential_buckets(0.01, 2.0, 14));
        registry.register("reconciles", "Reconciles by kind and outcome", ended.clone());
        registry.register("reconcile_duration_seconds", "How long reconciles took", durations.clone());
        for kind in ["CrossAccountInvoke", "AwsAccount"] {
            for outcome in ["ok", "error", CANCELLED] {
                let _ = ended.get_or_create(&ReconcileLabels { kind, outcome });
            }
        }
        let looks = Family::<LookLabels, Counter>::default();
        registry.register(
            "looks_in_place",
            "Looks that found an object in place: whole ones, and those that only compared answers with the last whole one",
            looks.clone(),
        );
        let this = Self { ended, durations, looks };
        for look in [Look::Whole, Look::Confirmed] {
            let _ = this.looks_of(look);
        }
        this
    }

    /// The looks of this kind.
    pub(super) fn looks_of(&self, look: Look) -> Counter {
        self.looks.get_or_create_owned(&LookLabels { kind: look.into() })
    }

    /// Starts to measure one.
    pub(super) fn begin(&self, kind: &'static str) -> Measured<'_> {
        Measured { reconciles: self, kind, outcome: CANCELLED, began: tokio::time::Instant::now() }
    }
}

/// A reconcile under way; counted when it ends, also when it is cancelled.
pub struct Measured<'a> {
    reconciles: &'a Reconciles,
    kind: &'static str,
    outcome: &'static str,
    began: tokio::time::Instant,
}

impl Measured<'_> {
    /// Says how it ended.
    pub fn finished(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let labels = ReconcileLabels { kind: self.kind, outcome: self.outcome };
        self.reconciles.ended.get_or_create(&labels).inc();
        self.reconciles.durations.observe(self.began.elapsed().as_secs_f64());
    }
}
