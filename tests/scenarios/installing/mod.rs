//! The chart as users of helm meet it: values, install, upgrade and uninstall on a real API server, and the controller
//! run with what the release made of it.

mod accepted;
mod aws_accounts;
mod previous;
mod releases;
mod rights;
mod values;

use crossinvoke_harness::{Release, Result, Scenario, Setup, chart};
use serde_json::json;

use crate::suite::Case;

pub(crate) fn scenarios() -> Vec<Case> {
    let suites = [
        accepted::scenarios(),
        aws_accounts::scenarios(),
        releases::scenarios(),
        rights::scenarios(),
        values::scenarios(),
    ];
    suites.into_iter().flatten().collect()
}

/// A scenario whose controller and rights are a release's matter.
fn by_helm() -> Setup {
    Setup::default().without_controller().without_rights()
}

/// The scenario's release in a cluster that has the CRDs already, and not by a release.
fn beside_the_crds(scenario: &Scenario<'_>) -> Release {
    let mut release = scenario.release();
    release.values["crds"] = json!({"install": false});
    release
}

/// Installs the scenario's release beside the CRDs.
async fn install(scenario: &Scenario<'_>) -> Result<Release> {
    let release = beside_the_crds(scenario);
    scenario.helm().install(&release, &chart(), &[]).await?;
    Ok(release)
}
