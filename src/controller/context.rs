//! What every reconcile has at hand.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::Client;

use super::{caches::Caches, memory::Memory, own_writes_under_way::OwnWritesUnderWay};
use crate::{
    aws::{Aws, SessionKey},
    domain::{ids::InstallationId, retry::Delays, spec::Access},
    http::debug::Workers,
    shell::{
        pipelines::{Pipelines, Times},
        roles::Roles,
    },
    telemetry::metrics::Metrics,
};

/// Name of the finalizer on a `CrossAccountInvoke` that has something in AWS.
pub const FINALIZER: &str = "crossinvoke.dev/aws-resources";

/// Options of the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose names and tags are written.
    pub installation: InstallationId,
    /// Objects of the same two accounts reconciled at a time.
    pub concurrency: u16,
    /// How long the AWS part of a reconcile may take.
    pub aws_timeout: Duration,
    /// How long one attempt of one AWS call may take.
    pub aws_attempt_timeout: Duration,
    /// How long a whole reconcile may take; longer than `aws_timeout`, so that the status is always written.
    pub reconcile_timeout: Duration,
    /// How long an unaccepted role is put down to IAM's propagation after our last change.
    pub iam_propagation_timeout: Duration,
    /// What the pipelines' workers wait for.
    pub pipelines: Times,
    /// When a busy pipeline is looked at again.
    pub idle_poll: Duration,
    /// How often an account is looked at.
    pub account_interval: Duration,
    /// Backoff and stalled delays.
    pub delays: Delays,
    /// Whether looks at objects in place that have the same reason are spread over a tenth of their interval.
    pub spread_looks: bool,
    /// How far apart scans of one account are.
    pub bulk_reads_every: Duration,
    /// How long corrected drift is kept in the status.
    pub drift_retention: Duration,
    /// To whom the pipelines' workers are shown.
    pub workers: Workers,
    /// Whether P1 also grants `lambda:ListFunctions`.
    pub list_functions: bool,
}

/// Clients, caches, memory and options.
pub struct Context {
    /// Kubernetes.
    pub client: Client,
    /// AWS.
    pub aws: Aws,
    /// What is known of Kubernetes.
    pub caches: Arc<Caches>,
    /// What this process remembers.
    pub memory: Arc<Memory>,
    /// Options.
    pub settings: Settings,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// The pipelines, each written by one worker for all objects.
    pub pipelines: Arc<Pipelines>,
    /// The roles with policies that objects share, each written by one worker for all objects.
    pub roles: Arc<Roles>,
    /// Writes of what is an object's own, which are not cut off at the end of the process.
    pub own_writes: OwnWritesUnderWay,
    /// When the process started: what was recorded earlier was written by another one.
    pub started: Timestamp,
}

impl Context {
    /// The time in whole seconds, as Kubernetes keeps it: what is remembered and what was written compare equal.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    #[must_use]
    pub fn now() -> Timestamp {
        Self::to_the_second(Timestamp::now())
    }

    /// A time in whole seconds, as Kubernetes keeps it.
    #[must_use]
    pub fn to_the_second(time: Timestamp) -> Timestamp {
        Timestamp::from_second(time.as_second()).unwrap_or(time)
    }

    /// The time as exactly as the clock has it, for what waits less than seconds or must not be the same twice in one.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    #[must_use]
    pub fn exact_now() -> Timestamp {
        Timestamp::now()
    }

    /// A random fraction for jitter.
    #[must_use]
    pub fn fraction() -> f64 {
        rand::random()
    }
}

/// The session that an access asks for.
#[must_use]
pub fn session_key(access: &Access) -> SessionKey {
    SessionKey { account: access.account.clone(), role: access.role.clone(), external_id: access.external_id.clone() }
}
