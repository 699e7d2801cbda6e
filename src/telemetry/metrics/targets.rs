//! What is worked on: objects and the things in AWS that several of them share. Who is due and does not run waits for
//! others.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};
use tokio::time::Instant;

use crate::{domain::ids::AccountId, engine::shown::Stands};

/// The kind of an object's key.
pub const OBJECT: &str = "object";
/// The kind of a pipeline's key.
pub const PIPELINE: &str = "pipeline";
/// The kind of a role's key.
pub const ROLE: &str = "role";

const KINDS: [&str; 3] = [OBJECT, PIPELINE, ROLE];
const STATES: [&str; 4] = ["due", "running", "delayed", "waiting"];

/// Where a key stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It is worked on.
    Running,
    /// It is looked at again later; due from this time on, where it is known.
    Delayed(Option<Instant>),
    /// It waits for somebody else, such as a running release.
    Waiting(Option<Instant>),
}

impl Phase {
    fn state(self, now: Instant) -> &'static str {
        match self {
            Self::Running => "running",
            _ if self.due_since(now).is_some() => "due",
            Self::Delayed(_) => "delayed",
            Self::Waiting(_) => "waiting",
        }
    }

    fn due_since(self, now: Instant) -> Option<Instant> {
        match self {
            Self::Running => None,
            Self::Delayed(at) | Self::Waiting(at) => at.filter(|at| *at <= now),
        }
    }
}

/// A key with its kind.
type Key = (&'static str, String);

#[derive(Clone, Debug)]
struct Standing {
    account: Option<String>,
    phase: Phase,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PermitLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// What becomes of a claim before a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permitted {
    /// It held at the last look.
    Given,
    /// It did not hold any more.
    Refused,
    /// Given before, but the look was too old by the time the write was to be sent: nothing was sent.
    Late,
}

impl Permitted {
    /// Given where it holds.
    #[must_use]
    pub fn of(holds: bool) -> Self {
        if holds { Self::Given } else { Self::Refused }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Refused => "refused",
            Self::Late => "late",
        }
    }
}

/// All keys.
#[derive(Debug)]
pub struct Targets {
    known: Mutex<BTreeMap<Key, Standing>>,
    passes: Family<KindLabels, Counter>,
    permits: Family<PermitLabels, Counter>,
}

/// Keys by kind and state.
type Counts = BTreeMap<(&'static str, &'static str), i64>;

impl Targets {
    pub(super) fn registered(registry: &mut Registry) -> Arc<Self> {
        let (passes, permits) = (Family::<KindLabels, Counter>::default(), Family::<PermitLabels, Counter>::default());
        registry.register("passes", "How often work on a key began, by kind", passes.clone());
        let help = "Claims that the last look before a write was about: they held (given) or not (refused); of the given, those not sent since the look was too old (late)";
        registry.register("permits", help, permits.clone());
        for kind in KINDS {
            let _ = passes.get_or_create(&KindLabels { kind });
        }
        for kind in [PIPELINE, ROLE] {
            for outcome in [Permitted::Given, Permitted::Refused, Permitted::Late] {
                let _ = permits.get_or_create(&PermitLabels { kind, outcome: outcome.label() });
            }
        }
        let targets = Arc::new(Self { known: Mutex::default(), passes, permits });
        registry.register_collector(Box::new(Shown(targets.clone())));
        targets
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Key, Standing>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a key stands now. Without an account it is counted, and not told by account.
    pub fn stands(&self, kind: &'static str, key: &str, account: Option<&str>, phase: Phase) {
        let standing = Standing { account: account.map(str::to_owned), phase };
        let before = self.known().insert((kind, key.to_owned()), standing);
        if phase == Phase::Running && before.is_none_or(|before| before.phase != Phase::Running) {
            self.passes.get_or_create(&KindLabels { kind }).inc();
        }
    }

    /// Where the worker of something in AWS stands, and when it goes on by itself.
    pub fn worker(&self, kind: &'static str, key: &str, account: &AccountId, stands: Stands, until: Option<Instant>) {
        let phase = match stands {
            Stands::Idle => return self.forget(kind, key),
            Stands::Running => Phase::Running,
            Stands::Delayed => Phase::Delayed(until),
            Stands::Waiting => Phase::Waiting(until),
        };
        self.stands(kind, key, Some(account.as_str()), phase);
    }

    /// A key that is known goes on like this.
    pub fn goes_on(&self, kind: &'static str, key: &str, phase: Phase) {
        if let Some(standing) = self.known().get_mut(&(kind, key.to_owned())) {
            standing.phase = phase;
        }
    }

    /// A key that is gone, or that nobody wants anything of.
    pub fn forget(&self, kind: &'static str, key: &str) {
        self.known().remove(&(kind, key.to_owned()));
    }

    /// What became of so many claims before a write.
    pub fn permitted(&self, kind: &'static str, outcome: Permitted, claims: usize) {
        let claims = u64::try_from(claims).unwrap_or(u64::MAX);
        self.permits.get_or_create(&PermitLabels { kind, outcome: outcome.label() }).inc_by(claims);
    }

    /// How many keys of each kind stand where, and since how many seconds the oldest one of each account is due.
    fn counted(&self, now: Instant) -> (Counts, BTreeMap<String, i64>) {
        let (mut counts, mut oldest) = (BTreeMap::new(), BTreeMap::new());
        for ((kind, _), standing) in self.known().iter() {
            *counts.entry((*kind, standing.phase.state(now))).or_default() += 1;
            if let (Some(since), Some(account)) = (standing.phase.due_since(now), &standing.account) {
                let seconds = i64::try_from(now.duration_since(since).as_secs()).unwrap_or(i64::MAX);
                let of_account = oldest.entry(account.clone()).or_default();
                *of_account = seconds.max(*of_account);
            }
        }
        (counts, oldest)
    }
}

/// Counts when somebody asks.
#[derive(Debug)]
struct Shown(Arc<Targets>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (counts, oldest) = self.0.counted(Instant::now());
        let help =
            "Keys by kind and state: due and not worked on yet, running, delayed until a time, or waiting for others";
        let mut metric = encoder.encode_descriptor("targets", help, None, MetricType::Gauge)?;
        for kind in KINDS {
            for state in STATES {
                let count = counts.get(&(kind, state)).copied().unwrap_or_default();
                ConstGauge::new(count).encode(metric.encode_family(&[("kind", kind), ("state", state)])?)?;
            }
        }
        let help = "How long the oldest key of an account is due and not worked on; no series where none is";
        let mut metric = encoder.encode_descriptor("oldest_due_seconds", help, None, MetricType::Gauge)?;
        oldest.into_iter().try_for_each(|(account, seconds)| {
            ConstGauge::new(seconds).encode(metric.encode_family(&[("account", account)])?)
        })
    }
}
