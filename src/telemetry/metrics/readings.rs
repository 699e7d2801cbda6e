//! What was read of AWS, and where the answers came from.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::aws::Source;

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

/// The counters.
pub(super) struct Readings(Family<Labels, Counter>);

impl Readings {
    /// The counters, all of them at zero.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::default();
        registry.register("aws_readings", "What was read of AWS, by where the answer came from", family.clone());
        let readings = Self(family);
        for source in [Source::Single, Source::Held, Source::Joined, Source::Bulk] {
            for operation in OPERATIONS {
                let _ = readings.0.get_or_create(&labels(source, operation));
            }
        }
        readings
    }

    /// Counts an answer.
    pub(super) fn read(&self, source: Source, operation: &'static str) {
        self.0.get_or_create(&labels(source, operation)).inc();
    }
}

fn labels(source: Source, operation: &'static str) -> Labels {
    let source = match source {
        Source::Single => "single",
        Source::Held => "held",
        Source::Joined => "joined",
        Source::Bulk => "bulk",
    };
    Labels { source, operation }
}
