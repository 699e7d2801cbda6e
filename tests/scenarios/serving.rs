//! The process itself: health, metrics, options, logs.

use crossinvoke_harness::{
    Bench, Context as _, Result, Scenario, Setup,
    wait::{DEADLINE, eventually},
};

use crate::suite::{Case, case, own_bench};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("health_and_metrics_are_served", Setup::default, async |scenario| {
            crate::support::converge(scenario, &scenario.invoke("validate")).await?;
            let controller = scenario.controller()?;
            for path in ["/livez", "/readyz"] {
                assert_eq!(controller.get(path).await?.0, 200, "{path}");
            }
            // The status is written a moment before the reconcile that wrote it is counted.
            let reconciled = r#"crossinvoke_reconciles_total{kind="CrossAccountInvoke",outcome="ok"}"#;
            let metrics =
                eventually("the reconcile is counted", DEADLINE, async || match controller.get("/metrics").await {
                    Ok((_, metrics)) if metrics.contains(reconciled) => Ok(metrics),
                    other => Err(format!("{other:?}")),
                })
                .await?;
            for line in [
                r#"crossinvoke_aws_calls_total{service="codepipeline",operation="UpdatePipeline",code="ok"} 1"#,
                r#"crossinvoke_aws_calls_total{service="sts",operation="AssumeRole",code="ok"} 2"#,
                r#"crossinvoke_objects{readiness="ready"} 1"#,
            ] {
                assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
            }
            assert!(!metrics.contains("arn:"), "no ARNs in labels");
            Ok(())
        }),
        case("json_logs_carry_the_objects_key", json_logs, async |scenario| {
            crate::support::converge(scenario, &scenario.invoke("validate")).await?;
            let key = format!("{}/validate", scenario.namespace);
            let log = scenario.controller()?.log();
            let lines: Vec<serde_json::Value> = log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
            assert_eq!(lines.len(), log.len(), "every line is JSON: {log:?}");
            assert!(lines.iter().any(|line| line["span"]["object"] == key.as_str()), "{log:?}");
            Ok(())
        }),
        own_bench("a_missing_kind_is_waited_for", async |controller| missing_kind(controller).await),
    ]
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
    process.stop().await.context("stopping").map(|_| ())
}

fn json_logs() -> Setup {
    Setup::default().flags(["--log-format", "json"])
}
