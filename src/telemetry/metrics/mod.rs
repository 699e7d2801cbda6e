//! Counters and gauges with closed label sets: no ARNs or error texts, and names only where each object is told.

mod bulk_reads;
mod calls;
mod pipelines;
mod process;
mod readings;
mod reconciles;
mod statuses;
mod targets;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use self::{
    bulk_reads::BulkReads,
    calls::Calls,
    pipelines::PipelineMetrics,
    process::ProcessCollector,
    readings::Readings,
    reconciles::Reconciles,
    statuses::{Standing, Statuses},
    targets::Targets,
};
pub use self::{
    reconciles::{Look, Measured},
    targets::{OBJECT, PIPELINE, Permitted, Phase, ROLE},
};
use crate::{
    api::{DriftKind, Reason, ReasonClass},
    aws::{CallObserver, InFlight, ScanOutcome, Source},
    domain::{ids::ObjectKey, inventory::Part},
};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DriftLabels {
    resource: &'static str,
    kind: &'static str,
}

impl DriftLabels {
    fn of(part: Part, kind: DriftKind) -> Self {
        let resource = match part {
            Part::InvokeRole => "InvokeRole",
            Part::InvokePolicy => "InvokePolicy",
            Part::CallbackPolicy => "CallbackPolicy",
            Part::AssumePolicy => "AssumePolicy",
            Part::PipelineAction => "PipelineAction",
        };
        let kind = match kind {
            DriftKind::Missing => "Missing",
            DriftKind::Modified => "Modified",
            DriftKind::Extra => "Extra",
        };
        Self { resource, kind }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ContestedLabels {
    resource: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BuildLabels {
    version: &'static str,
    installation: String,
}

/// The process's metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: Reconciles,
    calls: Calls,
    targets: Arc<Targets>,
    statuses: Arc<Statuses>,
    drift_found: Family<DriftLabels, Counter>,
    drift_corrected: Family<DriftLabels, Counter>,
    oldest_drift: Gauge,
    granting_nothing: Gauge,
    granting_nothing_of: Mutex<BTreeSet<String>>,
    /// Policies that come back, and actions that are undone.
    contested: [Gauge; 2],
    contested_of: Mutex<HashMap<ObjectKey, (usize, usize)>>,
    namespaces_unlistable: Gauge,
    read_singly: Counter,
    pipelines: PipelineMetrics,
    readings: Readings,
    bulk_reads: BulkReads,
    build_info: Family<BuildLabels, Gauge>,
    drifted: Mutex<HashMap<ObjectKey, Timestamp>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Metrics {
    /// All metrics; `per_object` also tells the standing of each object and account.
    #[must_use]
    pub fn new(per_object: bool) -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(ProcessCollector));
        let registry = root.sub_registry_with_prefix("crossinvoke");
        let statuses = Arc::new(Statuses::new(per_object));
        registry.register_collector(Box::new(statuses.clone()));
        let reconciles = Reconciles::registered(registry);
        let calls = Calls::registered(registry);
        let targets = Targets::registered(registry);
        let (drift_found, drift_corrected) = (Family::default(), Family::default());
        let oldest_drift = Gauge::default();
        registry.register("drift_found", "Differences found, by resource and kind", drift_found.clone());
        registry.register("drift_corrected", "Differences corrected, by resource and kind", drift_corrected.clone());
        registry.register(
            "drift_oldest_uncorrected_seconds",
            "Age of the oldest difference that is not corrected yet; 0 without one",
            oldest_drift.clone(),
        );
        let granting_nothing = Gauge::default();
        registry.register(
            "accounts_granting_nothing",
            "AwsAccounts whose grants reach no namespace",
            granting_nothing.clone(),
        );
        // A closed set: of other parts nothing is counted yet.
        let of_contested: Family<ContestedLabels, Gauge> = Family::default();
        let contested = ["InvokeRole", "PipelineAction"]
            .map(|resource| of_contested.get_or_create(&ContestedLabels { resource }).clone());
        registry.register("contested", "What comes back after each correction, by resource", of_contested);
        let build_info = Family::default();
        registry.register("build_info", "What runs, and for which installation", build_info.clone());
        start_at_zero([&drift_found, &drift_corrected]);
        let namespaces_unlistable = Gauge::default();
        registry.register(
            "namespaces_unlistable",
            "Watched namespaces whose CrossAccountInvokes cannot be listed or watched",
            namespaces_unlistable.clone(),
        );
        let read_singly = Counter::default();
        registry.register(
            "objects_read_singly",
            "CrossAccountInvokes read one by one, since their watch had not shown them after two conflicts in a row",
            read_singly.clone(),
        );
        let pipelines = PipelineMetrics::registered(registry);
        let readings = Readings::registered(registry);
        let bulk_reads = BulkReads::registered(registry);
        Self {
            registry: root,
            reconciles,
            calls,
            targets,
            statuses,
            drift_found,
            drift_corrected,
            oldest_drift,
            granting_nothing,
            granting_nothing_of: Mutex::default(),
            contested,
            contested_of: Mutex::default(),
            namespaces_unlistable,
            read_singly,
            pipelines,
            readings,
            bulk_reads,
            build_info,
            drifted: Mutex::default(),
        }
    }
}

/// Series of closed label sets exist from the start: a rate over one that appears with its first event would miss it.
fn start_at_zero(drift: [&Family<DriftLabels, Counter>; 2]) {
    for part in [Part::InvokeRole, Part::InvokePolicy, Part::CallbackPolicy, Part::AssumePolicy, Part::PipelineAction] {
        for kind in [DriftKind::Missing, DriftKind::Modified, DriftKind::Extra] {
            for counters in drift {
                let _ = counters.get_or_create(&DriftLabels::of(part, kind));
            }
        }
    }
}

impl Metrics {
    /// Says what runs.
    pub fn build_info(&self, version: &'static str, installation: &str) {
        let labels = BuildLabels { version, installation: installation.to_owned() };
        self.build_info.get_or_create(&labels).set(1);
    }

    /// A version of a pipeline was made; `since_check` is the time since its executions were asked for.
    /// A pipeline is named by account, region and name.
    pub fn pipeline_updated(&self, place: (&str, &str, &str), since_check: Duration) {
        self.pipelines.updated(place, since_check);
    }

    /// Since when something waits for a pipeline; `None` when nothing does any more.
    pub fn pipeline_waits(&self, place: (&str, &str, &str), since: Option<Timestamp>) {
        self.pipelines.waits(place, since);
    }

    /// An update of a pipeline that is about to be sent carries so many claims, all of which hold.
    pub fn pipeline_update_carries(&self, claims: usize) {
        self.pipelines.carries(u32::try_from(claims).unwrap_or(u32::MAX));
        self.targets.permitted(PIPELINE, Permitted::Given, claims);
    }

    /// An object is not looked at any more for now.
    pub fn rests(&self, key: &ObjectKey) {
        let reason = self.statuses.objects().get(key).map(|standing| standing.reason);
        match reason.map(Reason::class) {
            Some(ReasonClass::Reconciling) => self.targets.goes_on(OBJECT, &key.to_string(), Phase::Waiting(None)),
            Some(_) => self.targets.goes_on(OBJECT, &key.to_string(), Phase::Delayed(None)),
            None => self.targets.forget(OBJECT, &key.to_string()),
        }
    }

    /// Starts to measure a reconcile.
    #[must_use]
    pub fn reconciling(&self, kind: &'static str) -> Measured<'_> {
        self.reconciles.begin(kind)
    }

    /// Where an object stands, and when its last complete look ended.
    pub fn object(&self, key: &ObjectKey, reason: Reason, looked: Option<Timestamp>) {
        self.statuses.objects().insert(key.clone(), Standing { reason, looked });
    }

    /// Where an account stands, and when it was last entered.
    pub fn account(&self, name: &str, reason: Reason, looked: Option<Timestamp>) {
        self.statuses.accounts().insert(name.to_owned(), Standing { reason, looked });
    }

    /// An account that is gone, or no business of this installation any more, is counted no more.
    pub fn forget_account(&self, name: &str) {
        self.granting_nothing(name, false);
        self.statuses.accounts().remove(name);
    }

    /// Every account but these is counted no more.
    pub fn retain_accounts(&self, names: &BTreeSet<String>) {
        let gone: Vec<String> =
            self.statuses.accounts().keys().filter(|name| !names.contains(*name)).cloned().collect();
        for name in &gone {
            self.forget_account(name);
        }
    }

    /// Counts a difference that was found.
    pub fn drift_found(&self, part: Part, kind: DriftKind) {
        self.drift_found.get_or_create(&DriftLabels::of(part, kind)).inc();
    }

    /// Counts a difference that was put right.
    pub fn drift_corrected(&self, part: Part, kind: DriftKind) {
        self.drift_corrected.get_or_create(&DriftLabels::of(part, kind)).inc();
    }

    /// Since when an object has had a difference that is not corrected yet.
    pub fn drift_open(&self, key: &ObjectKey, since: Option<Timestamp>) {
        let mut drifted = self.drifted.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(since) => drifted.insert(key.clone(), since),
            None => drifted.remove(key),
        };
    }

    /// Whether the grants of an account reach no namespace.
    pub fn granting_nothing(&self, account: &str, nothing: bool) {
        let mut accounts = self.granting_nothing_of.lock().unwrap_or_else(PoisonError::into_inner);
        if nothing {
            accounts.insert(account.to_owned());
        } else {
            accounts.remove(account);
        }
        self.granting_nothing.set(i64::try_from(accounts.len()).unwrap_or(i64::MAX));
    }

    /// How many policies on an object's invoke role come back after each removal, and how many of its actions are undone after
    /// each correction.
    pub fn contested(&self, key: &ObjectKey, counts: (usize, usize)) {
        self.contested_of.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), counts);
    }

    /// How many watched namespaces cannot be listed or watched.
    pub fn namespaces_unlistable(&self, count: usize) {
        self.namespaces_unlistable.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A look found an object in place.
    pub fn found_in_place(&self, look: Look) {
        self.reconciles.looks_of(look).inc();
    }

    /// An object was read that its watch had not shown.
    pub fn read_singly(&self) {
        self.read_singly.inc();
    }

    /// An object that is gone is counted no more.
    pub fn forget(&self, key: &ObjectKey) {
        self.drift_open(key, None);
        self.contested_of.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.statuses.objects().remove(key);
        self.targets.forget(OBJECT, &key.to_string());
    }

    /// Every object but these is counted no more.
    pub fn retain(&self, keys: &BTreeSet<ObjectKey>) {
        let gone: Vec<ObjectKey> = self.statuses.objects().keys().filter(|key| !keys.contains(*key)).cloned().collect();
        for key in gone {
            self.forget(&key);
        }
    }

    /// What is worked on, and who waits.
    #[must_use]
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Shows how many calls of these are in flight.
    pub fn show_in_flight(&self, in_flight: InFlight) {
        self.calls.show(in_flight);
    }

    /// The metrics in OpenMetrics text, ages as of `now`.
    #[must_use]
    pub fn render(&self, now: Timestamp) -> String {
        let oldest = self.drifted.lock().unwrap_or_else(PoisonError::into_inner).values().min().copied();
        self.oldest_drift.set(oldest.map_or(0, |since| now.duration_since(since).as_secs().max(0)));
        let contested = self.contested_of.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = contested.values().fold([0, 0], |[policies, actions], of| [policies + of.0, actions + of.1]);
        drop(contested);
        for (gauge, sum) in self.contested.iter().zip(sums) {
            gauge.set(i64::try_from(sum).unwrap_or(i64::MAX));
        }
        self.pipelines.at(now);
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::warn!(%error, "metrics could not be rendered");
        }
        text
    }
}

impl CallObserver for Metrics {
    fn called(&self, service: &'static str, operation: &str, code: &str, took: Duration) {
        self.calls.ended(service, operation, code, took);
    }

    fn waited(&self, service: &'static str, wait: Duration) {
        self.readings.waited(service, wait);
    }

    fn read(&self, source: Source, operation: &'static str, age: Duration) {
        self.readings.read(source, operation, age);
    }

    fn scanned(&self, service: &'static str, outcome: ScanOutcome) {
        self.bulk_reads.ended(service, outcome);
    }
}

#[cfg(test)]
mod tests;
