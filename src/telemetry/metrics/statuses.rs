//! What is known of each object and account, told when the metrics are asked for.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, gauge::ConstGauge},
};
use strum::IntoEnumIterator;

use crate::{
    api::{Reason, ReasonClass},
    domain::ids::ObjectKey,
};

/// Where an object stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) reason: Reason,
    /// The end of its last complete look, if there was one.
    pub(super) looked: Option<Timestamp>,
}

/// The standing of everything that is there.
#[derive(Debug)]
pub(super) struct Statuses {
    per_object: bool,
    objects: Mutex<BTreeMap<ObjectKey, Standing>>,
    accounts: Mutex<BTreeMap<String, Standing>>,
}

/// Readiness and reason, as labels.
fn labels(reason: Reason) -> [(&'static str, &'static str); 2] {
    let readiness = match reason.class() {
        ReasonClass::Ready => "ready",
        ReasonClass::Reconciling => "reconciling",
        ReasonClass::Stalled => "stalled",
    };
    [("readiness", readiness), ("reason", reason.into())]
}

impl Statuses {
    pub(super) fn new(per_object: bool) -> Self {
        Self { per_object, objects: Mutex::default(), accounts: Mutex::default() }
    }

    pub(super) fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Standing>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Statuses {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (objects, accounts) = (self.objects().clone(), self.accounts().clone());
        let of_objects: Vec<Standing> = objects.values().copied().collect();
        let of_accounts: Vec<Standing> = accounts.values().copied().collect();
        let mut gauge =
            |name: &'static str, help: &'static str, put: &dyn Fn(&mut MetricEncoder<'_>) -> fmt::Result| {
                put(&mut encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
            };
        gauge("objects", "CrossAccountInvokes by readiness and reason", &|metric| by_reason(metric, &of_objects))?;
        gauge("accounts", "AwsAccounts by readiness and reason", &|metric| by_reason(metric, &of_accounts))?;
        let looks = [("CrossAccountInvoke", &of_objects), ("AwsAccount", &of_accounts)];
        let last = "When the latest complete look at one of a kind ended, since the Unix epoch; 0 before the first";
        gauge("last_look_timestamp_seconds", last, &|metric| {
            looks.iter().try_for_each(|(kind, all)| {
                value(metric, &[("kind", *kind)], seconds(all.iter().filter_map(|one| one.looked).max()))
            })
        })?;
        let oldest =
            "When the last complete look ended at the one of a kind that waits longest for the next; 0 without one";
        gauge("oldest_look_timestamp_seconds", oldest, &|metric| {
            looks.iter().try_for_each(|(kind, all)| {
                value(metric, &[("kind", *kind)], seconds(all.iter().filter_map(|one| one.looked).min()))
            })
        })?;
        if !self.per_object {
            return Ok(());
        }
        gauge("object_status", "Each CrossAccountInvoke with its readiness and reason", &|metric| {
            objects.iter().try_for_each(|(key, standing)| {
                let [readiness, reason] = labels(standing.reason);
                value(metric, &[("namespace", &*key.namespace), ("name", &*key.name), readiness, reason], 1)
            })
        })?;
        gauge("account_status", "Each AwsAccount with its readiness and reason", &|metric| {
            accounts.iter().try_for_each(|(name, standing)| {
                let [readiness, reason] = labels(standing.reason);
                value(metric, &[("name", name.as_str()), readiness, reason], 1)
            })
        })
    }
}

/// A series for every reason, so that one that appears is no surprise.
fn by_reason(metric: &mut MetricEncoder<'_>, standings: &[Standing]) -> fmt::Result {
    let mut counts: BTreeMap<&'static str, i64> = BTreeMap::new();
    for standing in standings {
        *counts.entry(standing.reason.into()).or_default() += 1;
    }
    Reason::iter().try_for_each(|reason| {
        value(metric, &labels(reason), counts.get(<&'static str>::from(reason)).copied().unwrap_or_default())
    })
}

fn value(metric: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: i64) -> fmt::Result {
    ConstGauge::new(value).encode(metric.encode_family(labels)?)
}

fn seconds(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_second)
}
