//! Scans of everything in an account.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::aws::ScanOutcome;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    service: &'static str,
    outcome: &'static str,
}

/// The counters.
#[derive(Clone, Debug)]
pub(super) struct BulkReads(Family<Labels, Counter>);

impl BulkReads {
    /// The counters, all of them at zero.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::default();
        registry.register("bulk_reads", "Reads of everything in an account, by what became of them", family.clone());
        let reads = Self(family);
        for service in ["iam", "lambda"] {
            for outcome in [ScanOutcome::Ended, ScanOutcome::NotCheaper, ScanOutcome::Denied, ScanOutcome::Failed] {
                let _ = reads.0.get_or_create(&labels(service, outcome));
            }
        }
        reads
    }

    /// Counts one.
    pub(super) fn ended(&self, service: &'static str, outcome: ScanOutcome) {
        self.0.get_or_create(&labels(service, outcome)).inc();
    }
}

fn labels(service: &'static str, outcome: ScanOutcome) -> Labels {
    let outcome = match outcome {
        ScanOutcome::Ended => "ok",
        ScanOutcome::NotCheaper => "not_cheaper",
        ScanOutcome::Denied => "denied",
        ScanOutcome::Failed => "failed",
    };
    Labels { service, outcome }
}
