//! What values.yaml, the schema and helm's words say of the values.

use std::{collections::BTreeSet, fmt::Write as _};

use crossinvoke_harness::{Context as _, Error, Release, Result, Scenario, repository};
use serde_json::{Value, json};

use super::by_helm;
use crate::{
    suite::{Case, case},
    support,
};

/// Values that must be refused: a name, and what is laid over the required values, in YAML.
const REFUSED: [(&str, &str); 41] = [
    ("no-repository", "image: {repository: ''}"),
    ("repository-removed", "image: {repository: null}"),
    ("repository-with-tag", "image: {repository: 'registry.example.com/crossinvoke:1'}"),
    ("tag-with-space", "image: {tag: 'one two'}"),
    ("digest-without-algorithm", "image: {digest: '0123'}"),
    ("pull-policy-unknown", "image: {pullPolicy: Sometimes}"),
    ("installation-id-with-capitals", "installationID: Not_An_Id"),
    ("installation-id-a-number", "installationID: 12345"),
    ("watched-namespace-with-star", "watchNamespaces: ['team-*']"),
    ("watched-namespace-twice", "watchNamespaces: [payments, payments]"),
    ("account-id-a-number", "awsAccounts: [{name: dev, spec: {accountID: 222222222222}}]"),
    ("account-without-spec", "awsAccounts: [{name: dev}]"),
    ("account-name-with-capitals", "awsAccounts: [{name: Dev, spec: {accountID: '222222222222'}}]"),
    (
        "account-keep-policy-taken-off",
        "awsAccounts: [{name: dev, annotations: {helm.sh/resource-policy: ''}, spec: {accountID: '222222222222'}}]",
    ),
    (
        "two-accounts-of-one-name",
        "awsAccounts: [{name: dev, spec: {accountID: '222222222222'}}, {name: dev, spec: {accountID: '222222222223'}}]",
    ),
    (
        "two-accounts-of-one-id",
        "awsAccounts: [{name: dev, spec: {accountID: '222222222222'}}, {name: two, spec: {accountID: '222222222222'}}]",
    ),
    ("region-in-words", "aws: {region: Frankfurt}"),
    ("endpoint-without-scheme", "aws: {endpoint: '127.0.0.1:4566'}"),
    ("log-format-unknown", "log: {format: xml}"),
    ("argument-in-two-strings", "extraArgs: ['--concurrency', '16']"),
    ("argument-of-a-value", "extraArgs: ['--watch-namespace=payments']"),
    ("variable-twice", "{aws: {region: us-east-1}, extraEnv: [{name: AWS_REGION, value: eu-west-1}]}"),
    ("variable-a-number", "extraEnv: [{name: A, value: 1}]"),
    ("nobody-to-run-as", "serviceAccount: {create: false}"),
    ("two-replicas", "replicas: 2"),
    ("selector-label", "podLabels: {app.kubernetes.io/name: other}"),
    ("common-label-of-the-chart", "commonLabels: {helm.sh/chart: other}"),
    ("common-annotation-of-the-chart", "commonAnnotations: {helm.sh/resource-policy: ''}"),
    ("scraped-at-words", "podMonitor: {interval: often}"),
    ("fewer-than-no-revisions", "revisionHistoryLimit: -1"),
    ("metrics-in-an-argument", "extraArgs: ['--metrics-per-object=false']"),
    ("hold-in-an-argument", "extraArgs: ['--hold-after-failure=2h']"),
    ("budget-in-an-argument", "extraArgs: ['--aws-budget=iam=1/1']"),
    ("budget-without-a-burst", "aws: {budgets: {iam: '10'}}"),
    ("hold-without-a-unit", "pipelines: {holdAfterFailure: '10'}"),
    ("volume-in-words", "extraVolumes: [certificates]"),
    ("http-address-without-port", "http: {address: 0.0.0.0}"),
    ("http-address-is-no-address", "http: {address: 'everywhere:8080'}"),
    ("grace-too-short", "terminationGracePeriodSeconds: 1"),
    ("unknown-value", "env: []"),
    ("unknown-value-of-a-part", "rbac: {aggregate: true}"),
];

/// Everything that can be switched off is on.
const SWITCHED_ON: &str = "{watchNamespaces: [payments], networkPolicy: {enabled: true}, podMonitor: {enabled: true}}";

pub(super) fn scenarios() -> Vec<Case> {
    vec![
        case("refused_values_match_the_golden_file", by_helm, async |scenario| refused(scenario).await),
        case("an_old_cluster_is_refused", by_helm, async |scenario| {
            let release = with(scenario, "{}")?;
            let error = scenario.helm().on_kubernetes("v1.32.9", &release).await.unwrap_err().to_string();
            assert!(
                error.contains("requires kubeVersion: >=1.33.0-0 which is incompatible with Kubernetes v1.32"),
                "{error}"
            );
            // A vendor's version, which semantic versioning takes for a pre-release.
            scenario.helm().on_kubernetes("v1.33.0-eks-1234567", &release).await.map(drop)
        }),
        case("another_chart_may_have_it_as_a_dependency", by_helm, async |scenario| {
            // What helm passes down, and the usual name of a dependency's condition.
            let release = with(scenario, "{global: {registry: registry.example.com}, enabled: true}")?;
            scenario.helm().template(&release, &[]).await.map(drop)
        }),
        case("what_is_switched_off_is_not_rendered", by_helm, async |scenario| switched_off(scenario).await),
        case("every_value_is_in_the_schema_and_in_a_golden_file", by_helm, async |_| every_value()),
    ]
}

/// The scenario's chart with the required values and these.
fn with(scenario: &Scenario<'_>, values: &str) -> Result<Release> {
    let mut release = scenario.release();
    release.values = json!({"image": {"repository": "registry.example.com/crossinvoke"}});
    support::merge(&mut release.values, &yaml(values)?);
    Ok(release)
}

async fn refused(scenario: &Scenario<'_>) -> Result<()> {
    let mut found = String::new();
    for (name, values) in REFUSED {
        let mut release = with(scenario, values)?;
        if name == "repository-removed" {
            // helm takes null for "remove the chart's default".
            release.values = json!({"image": {"repository": null}});
        }
        let error = scenario.helm().template(&release, &[]).await.err();
        let error = error.ok_or_else(|| Error::new(format!("{name} was not refused")))?.to_string();
        writeln!(found, "{name}\n    {}", told(&error)?.join("\n    ")).unwrap();
    }
    support::compare_with_golden("installing/refused_values.golden", &found);
    Ok(())
}

/// What helm says of the values: behind the schema's headline, or behind the place of a template's own refusal.
fn told(error: &str) -> Result<Vec<String>> {
    let schema = error.split_once("\ncrossinvoke:\n").map(|(_, rest)| rest);
    let template = error.rsplit_once("): ").map(|(_, rest)| rest);
    let told = schema.or(template).ok_or_else(|| Error::new(format!("not a refusal of values: {error}")))?;
    let told = told.lines().map(|line| line.trim_end().to_owned());
    Ok(told.filter(|line| !line.is_empty() && !line.starts_with("Use --debug flag")).collect())
}

async fn switched_off(scenario: &Scenario<'_>) -> Result<()> {
    for (values, kinds) in [
        ("crds: {install: false}", &["CustomResourceDefinition", "ValidatingAdmissionPolicy"][..]),
        ("crds: {protect: false}", &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]),
        ("{networkPolicy: {enabled: false}, podMonitor: {enabled: false}}", &["NetworkPolicy", "PodMonitor"]),
        ("serviceAccount: {create: false, name: mine}", &["ServiceAccount"]),
        ("rbac: {aggregateToDefaultRoles: false, create: false}", &["ClusterRole", "ClusterRoleBinding"]),
        ("{watchNamespaces: [payments], rbac: {create: false}}", &["Role", "RoleBinding"]),
    ] {
        let (off, on) = (with(scenario, values)?, with(scenario, SWITCHED_ON)?);
        let (off, on) = (scenario.helm().template(&off, &[]).await?, scenario.helm().template(&on, &[]).await?);
        for kind in kinds {
            let line = format!("\nkind: {kind}\n");
            assert!(on.contains(&line), "{kind} is rendered when it is on");
            assert!(!off.contains(&line), "{values}: {kind} is rendered");
        }
    }
    let mine = with(scenario, "serviceAccount: {create: false, name: mine}")?;
    let rendered = scenario.helm().template(&mine, &[]).await?;
    assert!(rendered.contains("serviceAccountName: mine") && !rendered.contains("name: crossinvoke\n    namespace"));
    Ok(())
}

/// values.yaml has every value of the schema with a default, and the golden file of all values sets each to another.
fn every_value() -> Result<()> {
    let schema: Value = serde_json::from_str(&read("charts/crossinvoke/values.schema.json")?).context("the schema")?;
    let defaults = yaml(&read("charts/crossinvoke/values.yaml")?)?;
    let golden = yaml(&read("tests/chart/all-values.yaml")?)?;
    let mut paths = BTreeSet::new();
    leaves(&schema, "", &mut paths);
    // Helm's own, where the chart is another one's dependency.
    for theirs in ["/global", "/enabled"] {
        assert!(paths.remove(theirs), "{theirs}");
    }
    assert!(paths.len() > 25, "{paths:?}");
    // Those whose other setting renders nothing, or nothing but a refusal.
    let switches =
        ["/replicas", "/crds/install", "/serviceAccount/create", "/rbac/create", "/rbac/aggregateToDefaultRoles"];
    for path in &paths {
        let value = |values: &Value, file: &str| {
            values.pointer(path).cloned().ok_or_else(|| Error::new(format!("{path} is not in {file}")))
        };
        let (default, set) = (value(&defaults, "values.yaml")?, value(&golden, "all-values.yaml")?);
        assert!(default != set || switches.contains(&path.as_str()), "{path} is {set} by default");
    }
    Ok(())
}

/// The paths of a schema's values: what is an object with fixed members is gone into.
fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let fixed = schema["additionalProperties"] == false;
    match schema["properties"].as_object().filter(|_| fixed) {
        Some(members) => members.iter().for_each(|(name, member)| leaves(member, &format!("{path}/{name}"), found)),
        None => {
            found.insert(path.to_owned());
        }
    }
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(repository().join(file)).context(file)
}

fn yaml(text: &str) -> Result<Value> {
    serde_saphyr::from_str(text).context(text)
}
