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

#[test]
fn keys_are_counted_by_where_they_stand_and_the_oldest_due_one_by_account() {
    let metrics = Metrics::default();
    let targets = metrics.targets();
    let now = tokio::time::Instant::now();
    let due = now.checked_sub(Duration::from_secs(100)).unwrap();
    let later = now + Duration::from_secs(1_000);
    for (name, account, phase) in [
        ("a", Some("111111111111"), Phase::Delayed(Some(due))),
        ("b", None, Phase::Delayed(Some(due))),
        ("c", Some("111111111111"), Phase::Running),
        ("c", Some("111111111111"), Phase::Running),
        ("d", Some("222222222222"), Phase::Waiting(Some(later))),
        ("e", Some("222222222222"), Phase::Delayed(None)),
        ("gone", Some("222222222222"), Phase::Running),
    ] {
        targets.stands(PIPELINE, name, account, phase);
    }
    targets.forget(PIPELINE, "gone");
    targets.permitted(PIPELINE, Permitted::Refused, 1);
    targets.permitted(PIPELINE, Permitted::Late, 2);
    metrics.pipeline_update_carries(3);
    let text = metrics.render(Timestamp::UNIX_EPOCH);
    let oldest =
        text.lines().find(|line| line.starts_with(r#"crossinvoke_oldest_due_seconds{account="111111111111"} 10"#));
    assert!(oldest.is_some() && !text.contains(r#"due_seconds{account="222222222222"}"#), "{text}");
    has(
        &metrics,
        &[
            r#"crossinvoke_targets{kind="pipeline",state="due"} 2"#,
            r#"crossinvoke_targets{kind="pipeline",state="running"} 1"#,
            r#"crossinvoke_targets{kind="pipeline",state="delayed"} 1"#,
            r#"crossinvoke_targets{kind="pipeline",state="waiting"} 1"#,
            r#"crossinvoke_targets{kind="object",state="running"} 0"#,
            r#"crossinvoke_passes_total{kind="pipeline"} 2"#,
            r#"crossinvoke_permits_total{kind="pipeline",outcome="refused"} 1"#,
            r#"crossinvoke_permits_total{kind="pipeline",outcome="given"} 3"#,
            r#"crossinvoke_permits_total{kind="pipeline",outcome="late"} 2"#,
            r#"crossinvoke_permits_total{kind="role",outcome="late"} 0"#,
            r#"crossinvoke_pipeline_claims_per_update_bucket{le="5.0"} 1"#,
            r#"crossinvoke_aws_calls_in_flight{service="iam"} 0"#,
            r#"crossinvoke_aws_calls_waiting{service="sts"} 0"#,
        ],
    );
}

/// docs/metrics.md has a row for each metric, and none for anything else.
#[test]
fn every_metric_is_documented() {
    let metrics = Metrics::default();
    metrics.called("iam", "GetRole", "ok", Duration::ZERO);
    metrics.pipeline_updated(("1", "r", "p"), Duration::ZERO);
    metrics.pipeline_waits(("1", "r", "p"), at(0));
    metrics.build_info("1", "i");
    metrics.object(&key("o"), Reason::Converged, at(1));
    metrics.account("dev", Reason::Converged, at(1));
    let due = tokio::time::Instant::now();
    metrics.targets().stands(PIPELINE, "p", Some("111111111111"), Phase::Delayed(Some(due)));
    let text = metrics.render(Timestamp::UNIX_EPOCH);
    let mut told: BTreeSet<String> = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        told.insert(if kind == "counter" { format!("{name}_total") } else { name.to_owned() });
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(documented, told);
}

#[test]
fn how_long_a_pipeline_is_waited_for_is_told_while_it_is() {
    let metrics = Metrics::default();
    let rendered = || metrics.render(Timestamp::from_second(90).unwrap());
    metrics.pipeline_waits(("111111111111", "us-east-1", "release"), at(30));
    let line =
        r#"crossinvoke_pipeline_waiting_seconds{account="111111111111",region="us-east-1",pipeline="release"} 60"#;
    assert!(rendered().contains(line), "{}", rendered());
    metrics.pipeline_waits(("111111111111", "us-east-1", "release"), None);
    assert!(!rendered().contains("pipeline_waiting_seconds{"), "{}", rendered());
}
