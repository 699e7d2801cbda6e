//! The process itself: health, metrics, options, logs.

use crossinvoke_harness::{
    Bench, Context as _, Result, Scenario, Setup,
    wait::{DEADLINE, eventually},
};

use crate::suite::{Case, case, own_bench};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("health_and_metrics_are_served", Setup::default, health_and_metrics_are_served),
        case("an_object_that_goes_is_counted_no_more", Setup::default, an_object_that_goes_is_counted_no_more),
        case("json_logs_carry_the_objects_key", json_logs, json_logs_carry_the_objects_key),
        own_bench("a_missing_kind_is_waited_for", async |controller| missing_kind(controller).await),
    ]
}

async fn health_and_metrics_are_served(scenario: &mut Scenario<'_>) -> Result<()> {
    crate::support::entered(scenario).await?;
    crate::support::converge(scenario, &scenario.invoke("validate")).await?;
    let (namespace, installation) = (scenario.namespace.clone(), scenario.installation_id.clone());
    let controller = scenario.controller()?;
    for path in ["/livez", "/readyz"] {
        assert_eq!(controller.get(path).await?.0, 200, "{path}");
    }
    // The status is written a moment before the reconcile that wrote it is counted.
    let reconciled = r#"crossinvoke_reconciles_total{kind="CrossAccountInvoke",outcome="ok"}"#;
    let metrics = eventually("the reconcile is counted", DEADLINE, async || match controller.get("/metrics").await {
        Ok((_, metrics)) if metrics.contains(reconciled) => Ok(metrics),
        other => Err(format!("{other:?}")),
    })
    .await?;
    for line in [
        r#"crossinvoke_aws_calls_total{service="codepipeline",operation="UpdatePipeline",code="ok"} 1"#,
        r#"crossinvoke_aws_calls_total{service="sts",operation="AssumeRole",code="ok"} 2"#,
        r#"crossinvoke_objects{readiness="ready",reason="Converged"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    for line in [
        format!(
            r#"crossinvoke_object_status{{namespace="{namespace}",name="validate",readiness="ready",reason="Converged"}} 1"#
        ),
        format!(r#"crossinvoke_account_status{{name="{namespace}-dev",readiness="ready",reason="Converged"}} 1"#),
        format!(r#"crossinvoke_build_info{{version="{}",installation="{installation}"}} 1"#, env!("CARGO_PKG_VERSION")),
        r#"crossinvoke_accounts{readiness="ready",reason="Converged"} 2"#.to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is missing:\n{metrics}");
    }
    for series in [
        r#"crossinvoke_last_look_timestamp_seconds{kind="CrossAccountInvoke"}"#,
        r#"crossinvoke_oldest_look_timestamp_seconds{kind="AwsAccount"}"#,
        r#"crossinvoke_aws_call_duration_seconds_count{service="iam",operation="GetRole"}"#,
        "process_cpu_seconds_total",
        "process_open_fds",
    ] {
        assert!(controller.metric(series).await? > 0.0, "{series}:\n{metrics}");
    }
    assert!(!metrics.contains("arn:"), "no ARNs in labels");
    Ok(())
}

async fn an_object_that_goes_is_counted_no_more(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["pipeline"]["name"] = serde_json::json!("not-granted");
    scenario.apply(&invoke).await?;
    scenario.until_reason("validate", "NotGranted").await?;
    let stalled = r#"crossinvoke_objects{readiness="stalled",reason="NotGranted"}"#;
    let invokes = scenario.invokes();
    let controller = scenario.controller()?;
    for wanted in [1.0, 0.0] {
        eventually("the gauge", DEADLINE, async || {
            let seen = controller.metric(stalled).await.map_err(|error| error.to_string())?;
            if (seen - wanted).abs() < f64::EPSILON { Ok(()) } else { Err(seen.to_string()) }
        })
        .await?;
        if wanted > 0.0 {
            invokes.delete("validate", &kube::api::DeleteParams::default()).await.context("deleting")?;
        }
    }
    Ok(())
}

async fn json_logs_carry_the_objects_key(scenario: &mut Scenario<'_>) -> Result<()> {
    crate::support::converge(scenario, &scenario.invoke("validate")).await?;
    let key = format!("{}/validate", scenario.namespace);
    let log = scenario.controller()?.log();
    let lines: Vec<serde_json::Value> = log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), log.len(), "every line is JSON: {log:?}");
    // Whatever names the pipeline or the invoke role is about the object.
    let about = |line: &&serde_json::Value| {
        let text = line.to_string();
        text.contains("payments-release") || text.contains("crossinvoke-json-logs")
    };
    let about: Vec<_> = lines.iter().filter(about).collect();
    assert!(!about.is_empty(), "{log:?}");
    for line in about {
        // A reconcile has one object, and a pass over a pipeline all that claim something of it.
        let span = &line["span"];
        let keys = [&span["object"], &span["objects"], &line["objects"]];
        assert!(keys.into_iter().any(|named| named == key.as_str()), "{line}");
    }
    Ok(())
}

async fn missing_kind(controller: std::path::PathBuf) -> Result<()> {
    let bench = Bench::without_crds(controller).await?;
    let mut scenario = Scenario::prepare(&bench, "missing-kind", Setup::default()).await?;
    scenario.start_controller().await?;
    let process = scenario.controller()?;
    let not_ready = eventually("readyz names the kind", DEADLINE, async || match process.get("/readyz").await {
        Ok((503, body)) if body.contains("crossaccountinvokes.crossinvoke.dev") => Ok(body),
        other => Err(format!("{other:?}")),
    })
    .await?;
    assert!(not_ready.contains("not installed"), "{not_ready}");
    assert_eq!(process.get("/livez").await?.0, 200);
    bench.install_crds().await?;
    eventually("it starts by itself", DEADLINE, async || match process.get("/readyz").await {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    // Lost under the running process, it is told just so, and found again by itself.
    let kubectl = scenario.kubectl();
    let kind = "crossaccountinvokes.crossinvoke.dev";
    kubectl.run(&["delete", "crd", kind, "--wait=true"]).await?;
    let process = scenario.controller()?;
    eventually("readyz names the lost kind", DEADLINE, async || match process.get("/readyz").await {
        Ok((503, body)) if body.contains(kind) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    // The line comes a moment after the answer.
    let said = || process.log().iter().filter(|line| line.contains("not ready") && line.contains(kind)).count();
    eventually("it is said", DEADLINE, async || if said() >= 2 { Ok(()) } else { Err(said().to_string()) }).await?;
    assert_eq!(said(), 2, "once at the start and once now; a line for each try would be more");
    bench.install_crds().await?;
    let process = scenario.controller()?;
    eventually("it goes on by itself", DEADLINE, async || match process.get("/readyz").await {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    process.stop().await.context("stopping").map(|_| ())
}

fn json_logs() -> Setup {
    Setup::default().flags(["--log-format", "json"])
}
