//! Manifests as people write them, through every tool that they use: each is refused by all in words that say what to
//! write, or taken by all and means the same.

use std::path::PathBuf;

use crossinvoke::{
    api::CrossAccountInvoke,
    cluster::Decoded,
    domain::{ids::ObjectKey, spec::Declared, validate::validate_object},
};
use crossinvoke_harness::{
    Context as _, Error, Release, Result, Scenario,
    manifests::{self, CASES, Outcome, manifest},
    objects::condition,
};
use serde_json::json;

use crate::support::{entered, refused};

/// How people apply one.
const TOOLS: [&str; 5] = ["create", "client-side", "server-side", "helm", "helm-upgrade"];

pub(super) async fn manifests_mean_the_same_however_they_are_applied(scenario: &mut Scenario<'_>) -> Result<()> {
    for (index, (what, lines, outcome)) in CASES.iter().enumerate() {
        for tool in TOOLS {
            let name = format!("{tool}-{index}");
            let sent = send(scenario, tool, &name, &manifest(&name, lines)).await;
            let case = format!("{what}, {tool}");
            match outcome {
                Outcome::Refused(parts) => {
                    let Err(error) = sent else { return Err(Error::new(format!("{case}: it was taken"))) };
                    let said = error.to_string().replace("\\\"", "\"");
                    for part in *parts {
                        assert!(said.contains(part), "{case}: {part:?} is not in {said}");
                    }
                }
                Outcome::TakenAs(other) => {
                    sent.context(case.clone())?;
                    let expected = declared_of(&serde_saphyr::from_str(&manifest(&name, other)).context("a manifest")?);
                    assert_eq!(stored(scenario, &name).await?, expected, "{case}");
                }
                Outcome::Reported(message) => {
                    sent.context(case.clone())?;
                    let refused = stored(scenario, &name).await?.expect_err(&case);
                    assert!(refused.contains(message), "{case}: {refused}");
                }
            }
        }
    }
    Ok(())
}

/// YAML takes an unquoted `#{…}` for a comment, so that null is applied: the running controller says so, whichever way it
/// came, and goes on as soon as the quotes are there.
pub(super) async fn without_quotes(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    entered(scenario).await?;
    let ids = |text: String| {
        text.replace("111111111111", &scenario.accounts.tools).replace("222222222222", &scenario.accounts.dev)
    };
    for tool in ["client-side", "create", "server-side"] {
        let unquoted = ("spec:", "spec:\n  action:\n    userParameters: #{variables.Suite}");
        send(scenario, tool, tool, &ids(manifest(tool, &[unquoted]))).await?;
        let parts = ["spec.action.userParameters", "quote values that begin with #"];
        refused(scenario, tool, "InvalidSpec", &parts).await?;
        let object = scenario.invokes().get(tool).await.context("reading")?;
        assert_eq!(condition(&object, "Ready"), Some(("False", "InvalidSpec")), "{tool}");
        assert_eq!(condition(&object, "Stalled"), Some(("True", "InvalidSpec")), "{tool}");
        scenario.assert_as_before(&before)?;
        if tool == "client-side" {
            let quoted = ("spec:", "spec:\n  action:\n    userParameters: '#{variables.Suite}'");
            send(scenario, tool, tool, &ids(manifest(tool, &[quoted]))).await?;
            scenario.until_reason(tool, "Converged").await?;
        }
        scenario.delete(tool).await?;
        scenario.until_gone(tool).await?;
        scenario.assert_as_before(&before)?;
    }
    Ok(())
}

/// Applies a manifest with one tool.
async fn send(scenario: &Scenario<'_>, tool: &str, name: &str, manifest: &str) -> Result<String> {
    let namespace = format!("--namespace={}", scenario.namespace);
    let kubectl = scenario.kubectl();
    match tool {
        "create" => kubectl.run_with_input(&["create", &namespace, "--filename=-"], manifest).await,
        "client-side" => kubectl.run_with_input(&["apply", &namespace, "--filename=-"], manifest).await,
        "server-side" => {
            kubectl.run_with_input(&["apply", "--server-side", &namespace, "--filename=-"], manifest).await
        }
        _ => {
            let release = Release { name: name.to_owned(), namespace: scenario.namespace.clone(), values: json!({}) };
            if tool == "helm-upgrade" {
                let right = chart_of(scenario, name, &manifests::manifest(name, &[]))?;
                scenario.helm().install(&release, &right, &[]).await?;
                return scenario.helm().upgrade(&release, &chart_of(scenario, name, manifest)?, &[]).await;
            }
            scenario.helm().install(&release, &chart_of(scenario, name, manifest)?, &[]).await
        }
    }
}

/// A chart of one manifest.
fn chart_of(scenario: &Scenario<'_>, name: &str, manifest: &str) -> Result<PathBuf> {
    let chart = scenario.folder().join(name);
    std::fs::create_dir_all(chart.join("templates")).context("a chart")?;
    let metadata = format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n");
    std::fs::write(chart.join("Chart.yaml"), metadata).context("a chart")?;
    // Braces of a variable are none of helm's.
    std::fs::write(chart.join("templates/invoke.yaml"), manifest).context("a chart")?;
    Ok(chart)
}

/// What the controller makes of the stored object, or the words in which it refuses it.
async fn stored(scenario: &Scenario<'_>, name: &str) -> Result<std::result::Result<Declared, String>> {
    let object = scenario.invokes().get(name).await.context("reading")?;
    let object = serde_json::to_value(object).context("an object")?;
    let read: Decoded<CrossAccountInvoke> = serde_json::from_value(object).context("what the controller reads")?;
    Ok(declared_of(&read.0.context("an object that decodes")?))
}

fn declared_of(object: &CrossAccountInvoke) -> std::result::Result<Declared, String> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let key = ObjectKey { namespace: "payments".to_owned(), name };
    let installation = "k3v9q2m7xa".parse().expect("an installation id");
    validate_object(&key, object, &installation).map_err(|blocker| blocker.message)
}
