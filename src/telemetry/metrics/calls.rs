//! Calls to AWS: how they end, how long they take, and how many are in flight.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::{aws::InFlight, domain::budget};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    service: &'static str,
    operation: String,
    code: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OperationLabels {
    service: &'static str,
    operation: String,
}

/// AWS codes that get a label of their own; any other is `other`, so that the set stays closed.
const CODES: [&str; 22] = [
    "ok",
    "timeout",
    "dispatch",
    "Throttling",
    "ThrottlingException",
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "NoSuchEntity",
    "EntityAlreadyExists",
    "DeleteConflict",
    "ConcurrentModification",
    "LimitExceeded",
    "MalformedPolicyDocument",
    "ServiceFailure",
    "ResourceNotFoundException",
    "PipelineNotFoundException",
    "InvalidStructureException",
    "InvalidActionDeclarationException",
    "InvalidStageDeclarationException",
    "ValidationException",
];

/// The series of calls.
pub(super) struct Calls {
    ended: Family<CallLabels, Counter>,
    durations: Family<OperationLabels, Histogram>,
    in_flight: Arc<OnceLock<InFlight>>,
}

impl Calls {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let ended = Family::default();
        let durations: Family<OperationLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 14)));
        registry.register("aws_calls", "AWS calls by service, operation and code", ended.clone());
        registry.register("aws_call_duration_seconds", "How long AWS calls took, retries included", durations.clone());
        let in_flight = Arc::new(OnceLock::new());
        registry.register_collector(Box::new(Shown(in_flight.clone())));
        Self { ended, durations, in_flight }
    }

    /// A call has ended like this.
    pub(super) fn ended(&self, service: &'static str, operation: &str, code: &str, took: Duration) {
        let labels = OperationLabels { service, operation: operation.to_owned() };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        let code = if CODES.contains(&code) { code } else { "other" };
        let labels = CallLabels { service, operation: operation.to_owned(), code: code.to_owned() };
        self.ended.get_or_create(&labels).inc();
    }

    /// Whose calls are shown as in flight.
    pub(super) fn show(&self, in_flight: InFlight) {
        // There is one for the process.
        let _ = self.in_flight.set(in_flight);
    }
}

/// Counts the calls in flight when somebody asks.
#[derive(Debug)]
struct Shown(Arc<OnceLock<InFlight>>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.get().map(InFlight::counts).unwrap_or_default();
        let mut gauge = |name: &'static str, help: &'static str, value: &dyn Fn(&str) -> usize| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            budget::DEFAULTS.iter().try_for_each(|known| {
                let value = i64::try_from(value(known.service)).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(metric.encode_family(&[("service", known.service)])?)
            })
        };
        gauge("aws_calls_in_flight", "AWS calls that were sent and not answered", &|service| {
            counts.get(service).map_or(0, |count| count.in_flight)
        })?;
        gauge("aws_calls_waiting", "AWS calls that wait for their turn among those in flight", &|service| {
            counts.get(service).map_or(0, |count| count.waiting)
        })
    }
}
