//! A pipeline role has no room for another entry: whoever is in place goes on, and the newcomers alone are told.

use crossinvoke_harness::{Context as _, Result, Scenario, Setup, accounts::PIPELINE_ROLE};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, invoke_role_name, pipeline_role, refused, repaired},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![case("a_full_pipeline_role_keeps_the_newcomer_out_alone", Setup::default, a_newcomer_alone)]
}

/// IAM's quota of all inline policies of a role together.
const QUOTA: usize = 10_240;

fn size(document: &Value) -> usize {
    document.to_string().chars().filter(|c| !c.is_whitespace()).count()
}

/// Another inline policy on the pipeline role that leaves this much room beside what is there.
fn fill_up(scenario: &Scenario<'_>, room: usize) -> Result<()> {
    let policies = pipeline_role(scenario)?["inlinePolicies"].clone();
    let used: usize = policies.as_object().into_iter().flatten().map(|(_, document)| size(document)).sum();
    let policy = |padding: usize| {
        let resource = format!("arn:aws:s3:::{}", "x".repeat(padding));
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}]})
    };
    let padding = QUOTA - room - used - size(&policy(0));
    scenario
        .aws()
        .put_inline_policy(&scenario.accounts.tools, PIPELINE_ROLE, "artifacts", policy(padding))
        .context("another policy")
}

fn assume_policy(scenario: &Scenario<'_>) -> Result<String> {
    let name = format!("crossinvoke-{}-assume", scenario.installation_id);
    Ok(pipeline_role(scenario)?["inlinePolicies"][name].to_string())
}

async fn a_newcomer_alone(scenario: &mut Scenario<'_>) -> Result<()> {
    let one = scenario.invoke("one");
    let roles = [
        invoke_role_name(&converge(scenario, &one).await?),
        invoke_role_name(&converge(scenario, &scenario.invoke("two")).await?),
    ];
    fill_up(scenario, 20)?;
    scenario.apply(&scenario.invoke("newcomer")).await?;
    refused(scenario, "newcomer", "PolicySizeExceeded", &[PIPELINE_ROLE]).await?;
    scenario.touch("newcomer", "again").await?;
    refused(scenario, "newcomer", "PolicySizeExceeded", &["no room for", "take other inline policies off"]).await?;
    let good = scenario.configuration()?;
    let mark = scenario.mark()?;
    for name in ["one", "two"] {
        scenario.touch(name, "look").await?;
        scenario.until_reason(name, "Converged").await?;
    }
    assert_eq!(scenario.calls_since(mark)?.mutating(), 0, "nothing is to be done for those in place");
    // What somebody takes out comes back whole, and the newcomer's is not added with it.
    let policy = format!("crossinvoke-{}-assume", scenario.installation_id);
    scenario.aws().remove_inline_policy(&scenario.accounts.tools, PIPELINE_ROLE, &policy).context("wiped")?;
    repaired(scenario, "one", "a wiped assume policy", &good).await?;
    // Whoever is in place may be edited, and goes.
    let mut edited = one.clone();
    edited["spec"]["action"] = json!({"runOrder": 2});
    scenario.apply(&edited).await?;
    scenario.until_reason("one", "Converged").await?;
    scenario.delete("two").await?;
    scenario.until_gone("two").await?;
    scenario.touch("newcomer", "there is room").await?;
    scenario.until_reason("newcomer", "Converged").await?;
    let assume = assume_policy(scenario)?;
    assert!(assume.contains(&roles[0]) && !assume.contains(&roles[1]), "{assume}");
    Ok(())
}
