//! The manifests that are shown to a reader, as they stand: under the shipped rights they converge, and they go without a
//! trace.

use std::{fs, path::Path};

use crossinvoke_harness::{Accounts, Bench, Context as _, Error, Result, Scenario, Setup};

use crate::rights;

/// The name of a scenario's namespace is its own, and the manifests' is this one.
const NAMESPACE: &str = "payments";

pub(super) async fn converge(bench: &Bench) -> Result<()> {
    let mut accounts = Accounts::of_demo();
    "choose-one".clone_into(&mut accounts.external_id);
    let scenario = Scenario::prepare(bench, NAMESPACE, Setup::default().accounts(accounts)).await?;
    let (double, accounts) = (scenario.aws().clone(), scenario.accounts.clone());
    let outcome = scenario.run(shown).await;
    rights::note("what_is_shown_to_be_applied_converges_as_it_stands", &accounts, &double.calls().context("calls")?);
    outcome
}

async fn shown(scenario: &mut Scenario<'_>) -> Result<()> {
    scenario.start_controller().await?;
    let (accounts, least) = (file("examples/aws-accounts.yaml")?, file("examples/cross-account-invoke.yaml")?);
    let full = file("examples/cross-account-invoke-full.yaml")?;
    // Applied together, as a folder of them would be.
    lives(scenario, &[&accounts, &least, &full], &["validate", "smoke"]).await?;
    lives(scenario, &[&readme()?], &["validate"]).await?;
    // The account of the chart's values stands for the one of the examples.
    let tools = accounts.split("---\n").next().unwrap_or_default();
    lives(scenario, &[tools, &account_of_the_values()?, &least], &["validate"]).await
}

/// Applies manifests, waits until these objects are ready, and deletes all again.
async fn lives(scenario: &Scenario<'_>, manifests: &[&str], objects: &[&str]) -> Result<()> {
    let (kubectl, before) = (scenario.kubectl(), scenario.configuration()?);
    let all = manifests.join("---\n");
    kubectl.run_with_input(&["apply", "--validate=strict", "--filename=-"], &all).await?;
    for account in ["tools", "dev-payments"] {
        scenario.until_account_reason(account, "Converged").await?;
    }
    for object in objects {
        scenario.until_reason(object, "Converged").await?;
    }
    // What is applied in the other way is taken just the same.
    kubectl.apply(&all).await?;
    for object in objects {
        scenario.until_reason(object, "Converged").await?;
    }
    kubectl.run_with_input(&["delete", "--wait=true", "--filename=-"], &all).await?;
    scenario.assert_as_before(&before)
}

fn file(path: &str) -> Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).context(path)
}

/// The manifests of README.md.
fn readme() -> Result<String> {
    let text = file("README.md")?;
    let mut blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains("kind: CrossAccountInvoke"));
    block.map(str::to_owned).ok_or_else(|| Error::new("README.md has no manifests"))
}

/// The entry of `awsAccounts` that the chart's values give as an example.
fn account_of_the_values() -> Result<String> {
    let text = file("charts/crossinvoke/values.yaml")?;
    let lines = text.lines().skip_while(|line| *line != "#   - name: dev-payments");
    let lines = lines.map_while(|line| line.strip_prefix("#   "));
    // `- name: NAME`, and under it the spec.
    let entry: Vec<&str> = lines.filter_map(|line| line.get(2..)).collect();
    let (Some(name), spec) = (entry.first(), entry.iter().skip(1).copied().collect::<Vec<_>>().join("\n")) else {
        return Err(Error::new("charts/crossinvoke/values.yaml has no account"));
    };
    Ok(format!("apiVersion: crossinvoke.dev/v1alpha1\nkind: AwsAccount\nmetadata: {{{name}}}\n{spec}\n"))
}
