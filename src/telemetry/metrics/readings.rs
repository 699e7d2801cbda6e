//! What was read of AWS, and where the answers came from.

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

use crate::{aws::Source, domain::budget};

/// What is read, by the operation that a call of its own would be.
const OPERATIONS: [&str; 10] = [
    "GetFunctionConfiguration",
    "GetPipeline",
    "GetPolicy",
    "GetPolicyVersion",
    "GetRole",
    "GetRolePolicy",
    "ListAttachedRolePolicies",
    "ListPipelineExecutions",
    "ListRolePolicies",
    "ListRoles",
];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    source: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WaitLabels {
    service: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SourceLabels {
    source: &'static str,
}

/// The counters, how old answers were, and how long calls waited to be sent.
pub(super) struct Readings {
    answers: Family<Labels, Counter>,
    ages: Family<SourceLabels, Histogram>,
    waits: Family<WaitLabels, Histogram>,
}

impl Readings {
    /// The counters, all of them at zero.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::default();
        registry.register("aws_readings", "What was read of AWS, by where the answer came from", family.clone());
        let ages = Family::<SourceLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.1, 3.0, 10))
        });
        let help = "How long before a look a reading that it was answered with had been sent";
        registry.register("aws_reading_age_seconds", help, ages.clone());
        let waits = Family::<WaitLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.01, 2.0, 14))
        });
        let help = "How long calls waited for the budget of their account and service";
        registry.register("aws_budget_wait_seconds", help, waits.clone());
        for service in budget::DEFAULTS.map(|budget| budget.service) {
            let _ = waits.get_or_create(&WaitLabels { service });
        }
        let readings = Self { answers: family, ages, waits };
        for source in [Source::Single, Source::Held, Source::Joined, Source::Bulk] {
            let _ = readings.ages.get_or_create(&SourceLabels { source: name(source) });
            for operation in OPERATIONS {
                let _ = readings.answers.get_or_create(&labels(source, operation));
            }
        }
        readings
    }

    /// Counts an answer of this age.
    pub(super) fn read(&self, source: Source, operation: &'static str, age: Duration) {
        self.ages.get_or_create(&SourceLabels { source: name(source) }).observe(age.as_secs_f64());
        self.answers.get_or_create(&labels(source, operation)).inc();
    }

    /// A call waited that long to be sent.
    pub(super) fn waited(&self, service: &'static str, wait: Duration) {
        self.waits.get_or_create(&WaitLabels { service }).observe(wait.as_secs_f64());
    }
}

fn labels(source: Source, operation: &'static str) -> Labels {
    Labels { source: name(source), operation }
}

const fn name(source: Source) -> &'static str {
    match source {
        Source::Single => "single",
        Source::Held => "held",
        Source::Joined => "joined",
        Source::Bulk => "bulk",
    }
}
