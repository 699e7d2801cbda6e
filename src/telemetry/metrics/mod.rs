//! Counters and gauges with closed label sets: no ARNs or error texts, and names only where each object is told.

mod bulk_reads;
mod pipelines;
mod process;
mod readings;
mod statuses;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use self::{
    bulk_reads::BulkReads,
    pipelines::PipelineMetrics,
    process::ProcessCollector,
    readings::Readings,
    statuses::{Standing, Statuses},
};
use crate::{
    api::{DriftKind, Reason},
    aws::{CallObserver, ScanOutcome, Source},
    domain::{ids::ObjectKey, inventory::Part},
};

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReconcileLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    service: &'static str,
    operation: String,
    code: String,
}

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

/// The outcome of a reconcile that did not come to its end.
const CANCELLED: &str = "cancelled";

/// The process's metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Histogram,
    calls: Family<CallLabels, Counter>,
    call_durations: Family<OperationLabels, Histogram>,
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
        let reconciles = Family::default();
        let durations = Histogram::new(exponential_buckets(0.01, 2.0, 14));
        let calls = Family::default();
        let call_durations: Family<OperationLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 14)));
        registry.register("reconciles", "Reconciles by kind and outcome", reconciles.clone());
        registry.register("reconcile_duration_seconds", "How long reconciles took", durations.clone());
        registry.register("aws_calls", "AWS calls by service, operation and code", calls.clone());
        registry.register(
            "aws_call_duration_seconds",
            "How long AWS calls took, retries included",
            call_durations.clone(),
        );
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
        start_at_zero(&reconciles, [&drift_found, &drift_corrected]);
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
            durations,
            calls,
            call_durations,
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
fn start_at_zero(reconciles: &Family<ReconcileLabels, Counter>, drift: [&Family<DriftLabels, Counter>; 2]) {
    for kind in ["CrossAccountInvoke", "AwsAccount"] {
        for outcome in ["ok", "error", CANCELLED] {
            let _ = reconciles.get_or_create(&ReconcileLabels { kind, outcome });
        }
    }
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

    /// Starts to measure a reconcile.
    #[must_use]
    pub fn reconciling(&self, kind: &'static str) -> Measured<'_> {
        Measured { metrics: self, kind, outcome: CANCELLED, began: tokio::time::Instant::now() }
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

    /// An object was read that its watch had not shown.
    pub fn read_singly(&self) {
        self.read_singly.inc();
    }

    /// An object that is gone is counted no more.
    pub fn forget(&self, key: &ObjectKey) {
        self.drift_open(key, None);
        self.contested_of.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.statuses.objects().remove(key);
    }

    /// Every object but these is counted no more.
    pub fn retain(&self, keys: &BTreeSet<ObjectKey>) {
        let gone: Vec<ObjectKey> = self.statuses.objects().keys().filter(|key| !keys.contains(*key)).cloned().collect();
        for key in gone {
            self.forget(&key);
        }
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
        let labels = OperationLabels { service, operation: operation.to_owned() };
        self.call_durations.get_or_create(&labels).observe(took.as_secs_f64());
        let code = if CODES.contains(&code) { code } else { "other" };
        let labels = CallLabels { service, operation: operation.to_owned(), code: code.to_owned() };
        self.calls.get_or_create(&labels).inc();
    }

    fn waited(&self, service: &'static str, wait: Duration) {
        self.readings.waited(service, wait);
    }

    fn read(&self, source: Source, operation: &'static str) {
        self.readings.read(source, operation);
    }

    fn scanned(&self, service: &'static str, outcome: ScanOutcome) {
        self.bulk_reads.ended(service, outcome);
    }
}

/// A reconcile under way; counted when it ends, also when it is cancelled.
pub struct Measured<'a> {
    metrics: &'a Metrics,
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
        self.metrics.reconciles.get_or_create(&labels).inc();
        self.metrics.durations.observe(self.began.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "n".to_owned(), name: name.to_owned() }
    }

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[track_caller]
    fn has(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.render(Timestamp::UNIX_EPOCH);
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} is missing:\n{text}");
        }
    }

    #[test]
    fn an_object_and_an_account_are_counted_once_under_their_latest_reason() {
        let metrics = Metrics::default();
        metrics.object(&key("o"), Reason::NotGranted, None);
        metrics.object(&key("o"), Reason::Converged, at(7));
        metrics.object(&key("p"), Reason::Throttled, at(5));
        metrics.account("dev", Reason::AssumeRoleDenied, at(3));
        has(
            &metrics,
            &[
                r#"crossinvoke_objects{readiness="ready",reason="Converged"} 1"#,
                r#"crossinvoke_objects{readiness="stalled",reason="NotGranted"} 0"#,
                r#"crossinvoke_accounts{readiness="stalled",reason="AssumeRoleDenied"} 1"#,
                r#"crossinvoke_object_status{namespace="n",name="o",readiness="ready",reason="Converged"} 1"#,
                r#"crossinvoke_account_status{name="dev",readiness="stalled",reason="AssumeRoleDenied"} 1"#,
                r#"crossinvoke_last_look_timestamp_seconds{kind="CrossAccountInvoke"} 7"#,
                r#"crossinvoke_oldest_look_timestamp_seconds{kind="CrossAccountInvoke"} 5"#,
                r#"crossinvoke_oldest_look_timestamp_seconds{kind="AwsAccount"} 3"#,
            ],
        );
        metrics.forget(&key("o"));
        metrics.retain(&BTreeSet::new());
        metrics.retain_accounts(&BTreeSet::new());
        has(
            &metrics,
            &[
                r#"crossinvoke_objects{readiness="ready",reason="Converged"} 0"#,
                r#"crossinvoke_accounts{readiness="stalled",reason="AssumeRoleDenied"} 0"#,
                r#"crossinvoke_oldest_look_timestamp_seconds{kind="AwsAccount"} 0"#,
            ],
        );
        let text = metrics.render(Timestamp::UNIX_EPOCH);
        assert!(!text.contains("_status{"), "{text}");
    }

    #[test]
    fn names_are_told_only_where_each_object_is() {
        let metrics = Metrics::new(false);
        metrics.object(&key("secret-project"), Reason::Converged, at(7));
        metrics.account("secret-account", Reason::Converged, at(7));
        let text = metrics.render(Timestamp::UNIX_EPOCH);
        assert!(!text.contains("secret-") && !text.contains("_status"), "{text}");
        has(&metrics, &[r#"crossinvoke_objects{readiness="ready",reason="Converged"} 1"#]);
    }

    #[test]
    fn the_process_and_the_calls_are_measured() {
        let metrics = Metrics::default();
        metrics.called("iam", "GetRole", "ok", Duration::from_millis(30));
        let text = metrics.render(Timestamp::UNIX_EPOCH);
        let of = |name: &str| {
            let line = text.lines().find(|line| line.split(' ').next() == Some(name));
            line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok())
        };
        assert!(of("process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{text}");
        assert!(of("process_open_fds").is_some_and(|files| files >= 3.0), "{text}");
        assert!(of("process_cpu_seconds_total").is_some(), "{text}");
        assert!(of("process_start_time_seconds").is_some_and(|second| second > 1.7e9), "{text}");
        assert_eq!(of(r#"crossinvoke_aws_call_duration_seconds_count{service="iam",operation="GetRole"}"#), Some(1.0));
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn what_is_contested_is_counted_over_all_objects_from_the_start() {
        let metrics = Metrics::default();
        let line = |count: usize| format!("crossinvoke_contested{{resource=\"InvokeRole\"}} {count}");
        let rendered = || metrics.render(Timestamp::UNIX_EPOCH);
        assert!(rendered().contains(&line(0)), "{}", rendered());
        metrics.contested(&key("a"), (2, 1));
        metrics.contested(&key("b"), (1, 0));
        assert!(rendered().contains(&line(3)), "{}", rendered());
        assert!(rendered().contains("crossinvoke_contested{resource=\"PipelineAction\"} 1"), "{}", rendered());
        metrics.contested(&key("a"), (0, 0));
        metrics.forget(&key("b"));
        assert!(rendered().contains(&line(0)), "{}", rendered());
    }

    #[test]
    fn closed_sets_start_at_zero() {
        let metrics = Metrics::default();
        metrics.build_info("1.2.3", "payments");
        let text = metrics.render(Timestamp::UNIX_EPOCH);
        for line in [
            r#"crossinvoke_build_info{version="1.2.3",installation="payments"} 1"#,
            r#"crossinvoke_objects{readiness="stalled",reason="NotGranted"} 0"#,
            r#"crossinvoke_accounts{readiness="ready",reason="Converged"} 0"#,
            r#"crossinvoke_last_look_timestamp_seconds{kind="CrossAccountInvoke"} 0"#,
            r#"crossinvoke_reconciles_total{kind="AwsAccount",outcome="error"} 0"#,
            r#"crossinvoke_drift_found_total{resource="PipelineAction",kind="Extra"} 0"#,
            r#"crossinvoke_drift_corrected_total{resource="InvokeRole",kind="Missing"} 0"#,
            "crossinvoke_namespaces_unlistable 0",
            r#"crossinvoke_aws_readings_total{source="held",operation="GetPipeline"} 0"#,
            r#"crossinvoke_bulk_reads_total{service="lambda",outcome="denied"} 0"#,
            r#"crossinvoke_aws_budget_wait_seconds_count{service="sts"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing:\n{text}");
        }
    }

    #[test]
    fn an_unknown_code_opens_no_new_label() {
        let metrics = Metrics::default();
        metrics.called("iam", "GetRole", "SomethingNew", Duration::ZERO);
        assert!(
            metrics.render(Timestamp::UNIX_EPOCH).contains(r#"operation="GetRole",code="other""#),
            "{}",
            metrics.render(Timestamp::UNIX_EPOCH)
        );
    }
}
