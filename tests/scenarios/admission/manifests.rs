//! Manifests as people write them, through every tool that they use: each is refused by all in words that say what to
//! write, or taken by all and means the same.

use std::path::PathBuf;

use crossinvoke::{
    api::CrossAccountInvoke,
    cluster::Decoded,
    domain::{ids::ObjectKey, spec::Declared, validate::validate_object},
};
use crossinvoke_harness::{Context as _, Error, Release, Result, Scenario, objects::condition};
use serde_json::json;

use crate::support::{entered, refused};

/// What comes of a manifest.
enum Outcome {
    /// Refused; what the message must say.
    Refused(&'static [&'static str]),
    /// Taken, with the same meaning as the manifest without these lines.
    TakenAs(&'static [(&'static str, &'static str)]),
    /// Taken, and reported by the controller in these words.
    Reported(&'static str),
}

/// A right manifest, in which a case replaces lines.
const MANIFEST: &str = "apiVersion: crossinvoke.dev/v1alpha1
kind: CrossAccountInvoke
metadata:
  name: NAME
spec:
  toolsAccount:
    id: \"111111111111\"
    region: us-east-1
  devAccount:
    id: \"222222222222\"
  pipeline:
    name: payments-release
  stage:
    name: Validate
    position:
      after: Build
  function:
    name: MyFunction
";

/// How people apply one.
const TOOLS: [&str; 5] = ["create", "client-side", "server-side", "helm", "helm-upgrade"];

/// Lines to be replaced, and what comes of it.
type Case = (&'static str, &'static [(&'static str, &'static str)], Outcome);

const CASES: [Case; 11] = [
    // The type decides before any rule, since a field that lists can select by has to have one.
    ("a number", &[("id: \"111111111111\"", "id: 111111111111")], Outcome::Refused(&["toolsAccount.id", "string"])),
    (
        "an octal number",
        &[("id: \"222222222222\"", "id: 022222222222")],
        Outcome::Refused(&["devAccount.id", "string"]),
    ),
    (
        "an empty region",
        &[("id: \"222222222222\"", "id: \"222222222222\"\n    region: \"\"")],
        Outcome::Refused(&["devAccount.region", "us-east-1"]),
    ),
    ("no region", &[("id: \"222222222222\"", "id: \"222222222222\"\n    region:")], Outcome::TakenAs(&[])),
    (
        "a trailing space",
        &[("name: payments-release", "name: \"payments-release \"")],
        Outcome::Refused(&["pipeline.name", "\"payments-release \"", "for example payments-release"]),
    ),
    (
        "an ARN with an alias",
        &[("name: MyFunction", "name: arn:aws:lambda:us-east-1:222222222222:function:MyFunction:live")],
        Outcome::Refused(&["function.name", "plain name", "without alias", "MyFunction"]),
    ),
    ("one of two positions", &[("after: Build", "after: Build\n      before: null")], Outcome::TakenAs(&[])),
    ("an interval without a unit", &[("spec:", "spec:\n  interval: 10")], Outcome::Refused(&["spec.interval", "10m"])),
    ("an empty interval", &[("spec:", "spec:\n  interval:")], Outcome::TakenAs(&[])),
    (
        "choices and maps left empty",
        &[("spec:", "spec:\n  invokeRole:\n    trust:\n    tags:\n    name:\n  action:\n    name:\n    runOrder:")],
        Outcome::TakenAs(&[]),
    ),
    (
        "a variable without quotes",
        &[("spec:", "spec:\n  action:\n    userParameters: #{variables.suite}")],
        Outcome::Reported("quote values that begin with #"),
    ),
];

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

fn manifest(name: &str, lines: &[(&str, &str)]) -> String {
    let right = MANIFEST.replace("NAME", name);
    lines.iter().fold(right, |text, (line, other)| {
        assert!(text.contains(line), "{line:?} is not in {text}");
        text.replacen(line, other, 1)
    })
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
                let right = chart_of(scenario, name, &self::manifest(name, &[]))?;
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
