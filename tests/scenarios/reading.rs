//! Objects that this version cannot read, as a newer one may have left behind.

use crossinvoke_harness::{
    Bench, Context as _, Result, Scenario, Setup, accounts, objects,
    wait::{DEADLINE, eventually},
};
use serde_json::{Value, json};

use crate::{
    kubernetes_rights,
    suite::{Case, own_bench},
    support::{converge, entered, pipeline, refused, repaired},
};

pub(crate) fn scenarios() -> Vec<Case> {
    // The kind is changed, which no other scenario may see.
    vec![own_bench("an_object_of_another_version_is_told_so_and_read_once_it_is_corrected", async |controller| {
        let bench = Bench::start(controller).await?;
        let scenario = Scenario::with(&bench, "reading", Setup::default().flags(["--stalled-retry", "2s"])).await?;
        scenario.run(async |scenario| another_version(scenario).await).await?;
        kubernetes_rights::note(bench.control_plane())
    })]
}

async fn another_version(scenario: &Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let trust = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/invokeRole/properties/trust/enum";
    let patch = json!([{"op": "add", "path": format!("{trust}/-"), "value": "Everybody"}]).to_string();
    let kind = "crossaccountinvokes.crossinvoke.dev";
    scenario.kubectl().run(&["patch", "crd", kind, "--type=json", "--patch", &patch]).await?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"trust": "Everybody"});
    eventually("the API server takes the changed kind's object", DEADLINE, async || {
        scenario.apply(&invoke).await.map_err(|error| error.to_string())
    })
    .await?;
    refused(scenario, "validate", "InvalidSpec", &["cannot be read by this version", "Everybody"]).await?;
    // While its needs are not known the others gain what they need, and nothing that may be shared is removed.
    converge(scenario, &scenario.invoke("other")).await?;
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    let complete = scenario.configuration()?;
    let role = accounts::EXECUTION_ROLE;
    scenario.aws().remove_inline_policy(&scenario.accounts.dev, role, &callback).context("drift")?;
    repaired(scenario, "other", "the callback policy", &complete).await?;
    somebody_may_claim_it(scenario).await?;
    converge(scenario, &scenario.invoke("short-lived")).await?;
    scenario.delete("short-lived").await?;
    let waits = ["validate does not decode", "correct its spec", "continues automatically"];
    refused(scenario, "short-lived", "DeletionBlocked", &waits).await?;
    scenario.apply(&objects::cross_account_invoke(&scenario.accounts, &scenario.namespace, "validate")).await?;
    scenario.until_reason("validate", "Converged").await?;
    scenario.until_gone("short-lived").await?;
    scenario.until_reason("other", "Converged").await?;
    scenario.apply(&invoke).await?;
    scenario.delete("validate").await?;
    let way_out = ["cannot be read", "take off its finalizer crossinvoke.dev/aws-resources"];
    refused(scenario, "validate", "DeletionBlocked", &way_out).await
}

/// A role that an action names now may be the one that the unknown object claims.
async fn somebody_may_claim_it(scenario: &Scenario<'_>) -> Result<()> {
    let complete = scenario.configuration()?;
    let give = |role: Value| -> Result<Value> {
        let mut changed = pipeline(scenario)?;
        let before = std::mem::replace(&mut changed["stages"][2]["actions"][0]["roleArn"], role);
        scenario.hands().replace_pipeline(&scenario.accounts.tools, &scenario.accounts.region, changed)?;
        Ok(before)
    };
    let other = format!("arn:aws:iam::{}:role/other", scenario.accounts.tools);
    let own = give(json!(other))?;
    let theirs = scenario.configuration()?;
    scenario.touch("other", "somebody may claim its role").await?;
    refused(scenario, "other", "ActionConflict", &[&other]).await?;
    scenario.assert_as_before(&theirs)?;
    give(own)?;
    repaired(scenario, "other", "the role", &complete).await
}
