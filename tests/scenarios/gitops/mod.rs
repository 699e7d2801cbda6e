//! What Argo CD's health checks and kstatus (Flux, kpt) find in objects as the real API server has them.

mod accounts;
mod check_now;
mod examples;
mod invokes;
mod verdicts;

use crossinvoke_harness::{Bench, Context as _, Result, Scenario, Setup};
use serde_json::json;

use crate::{
    kubernetes_rights,
    suite::{Case, case, own_bench, shared_bench},
    support::{entered, patch_account},
};

pub(crate) fn scenarios() -> Vec<Case> {
    // The boundary that the dev account imposes is not there at first.
    let quick = || {
        let setup = Setup::default().without_controller().flags(["--idle-poll=1s"]);
        setup.seed(|accounts, seed| drop(seed.managed_policies.remove(&accounts.boundary_arn())))
    };
    vec![
        case("argo_cd_and_kstatus_find_what_the_status_says", quick, invokes::states),
        // What grants nothing is reported by who watches all namespaces, so no other scenario may be about.
        own_bench("argo_cd_and_kstatus_find_what_an_account_says", async move |controller| {
            let bench = Bench::start(controller).await?;
            let scenario = Scenario::with(&bench, "accounts_in_argo_cd", quick().everywhere()).await?;
            scenario.run(accounts::states).await?;
            kubernetes_rights::note(bench.control_plane())
        }),
        case("the_action_check_now_asks_for_a_look_that_is_echoed", Setup::default, check_now::on_both_kinds),
        shared_bench("what_is_shown_to_be_applied_converges_as_it_stands", async |bench| {
            examples::converge(&bench).await
        }),
    ]
}

/// Creates the boundary that the dev account imposes.
async fn create_boundary(scenario: &Scenario<'_>) -> Result<()> {
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]});
    scenario.aws().put_managed_policy(&scenario.accounts.boundary_arn(), policy).context("the boundary")?;
    patch_account(scenario, "dev", &json!({"metadata": {"labels": {"look": "again"}}})).await?;
    entered(scenario).await
}
