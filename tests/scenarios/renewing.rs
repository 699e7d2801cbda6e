//! A role goes, comes back, or is another one.

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::{CHECKS_ROLE, CONTROLLER_ROLE, EXECUTION_ROLE, PIPELINE, PIPELINE_ROLE},
    wait::{DEADLINE, eventually},
};
use fakeaws::RoleSeed;
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{converge, invoke_role_name, pipeline, pipeline_role, put_right, refused, repaired, role},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_pipeline_role_that_is_made_again_gets_its_policy_back", Setup::default, made_again),
        case("deletion_waits_for_the_role_without_which_no_update_is_taken", Setup::default, deleted_meanwhile),
        case("deletion_ends_when_its_owner_gives_the_pipeline_a_role_again", Setup::default, given_another_meanwhile),
        case("another_role_of_the_pipeline_gets_what_the_old_one_had", Setup::default, another_role),
        case("a_controller_role_that_was_made_again_is_entered_again", Setup::default, controllers_role_made_again),
    ]
}

/// The pipeline's role as its owner makes it.
fn seed(scenario: &Scenario<'_>) -> Result<RoleSeed> {
    let found = scenario.aws().role(&scenario.accounts.tools, PIPELINE_ROLE).context("the role")?;
    found.ok_or_else(|| Error::new("no pipeline role"))
}

/// Under the same name, with another id: who trusted the old one says so anew, as with the checks of another action.
fn make_again(scenario: &Scenario<'_>, seed: RoleSeed) -> Result<()> {
    scenario.aws().put_role(&scenario.accounts.tools, PIPELINE_ROLE, seed).context("making it again")?;
    let role = scenario.accounts.pipeline_role_arn();
    checks_trust(scenario, &role)
}

fn checks_trust(scenario: &Scenario<'_>, role: &str) -> Result<()> {
    let trust = json!({"Version": "2012-10-17", "Statement":
        [{"Effect": "Allow", "Principal": {"AWS": role}, "Action": "sts:AssumeRole"}]});
    scenario.aws().put_trust(&scenario.accounts.tools, CHECKS_ROLE, trust).context("the role of another action")
}

async fn made_again(scenario: &mut Scenario<'_>) -> Result<()> {
    let (tools, seed) = (scenario.accounts.tools.clone(), seed(scenario)?);
    converge(scenario, &scenario.invoke("validate")).await?;
    let good = scenario.configuration()?;
    scenario.aws().remove_role(&tools, PIPELINE_ROLE).context("deleting the role")?;
    // While it is gone nothing else is touched.
    let without = scenario.configuration()?;
    scenario.touch("validate", "the role is gone").await?;
    scenario.until("validate", "it is told", |object| crate::support::message(object).contains(PIPELINE_ROLE)).await?;
    scenario.assert_as_before(&without)?;
    let before = scenario.mark()?;
    make_again(scenario, seed)?;
    scenario.touch("validate", "the role is back").await?;
    put_right(scenario, "validate", "the assume policy", &good).await?;
    assert_eq!(scenario.calls_since(before)?.of("UpdatePipeline"), 0, "the action is as it was");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await
}

async fn deleted_meanwhile(scenario: &mut Scenario<'_>) -> Result<()> {
    let (tools, seed, before) = (scenario.accounts.tools.clone(), seed(scenario)?, scenario.configuration()?);
    converge(scenario, &scenario.invoke("validate")).await?;
    scenario.aws().remove_role(&tools, PIPELINE_ROLE).context("deleting the role")?;
    scenario.delete("validate").await?;
    let parts = [
        "the pipeline's own role",
        PIPELINE_ROLE,
        "make it again",
        "another role in an update that leaves out action validate",
    ];
    refused(scenario, "validate", "PipelineRefused", &parts).await?;
    make_again(scenario, seed)?;
    scenario.touch("validate", "the role is back").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

/// The way out that needs no role of the old name: the owner's own update takes the action out.
async fn given_another_meanwhile(scenario: &mut Scenario<'_>) -> Result<()> {
    let (tools, seed) = (scenario.accounts.tools.clone(), seed(scenario)?);
    let mut owners = pipeline(scenario)?;
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    scenario.aws().remove_role(&tools, PIPELINE_ROLE).context("deleting the role")?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "PipelineRefused", &[PIPELINE_ROLE]).await?;
    let invoke_role = role(scenario, &scenario.accounts.dev, &invoke_role_name(&object))?;
    assert!(invoke_role.is_object(), "a role that an action names stays");
    scenario.aws().put_role(&tools, "Second", seed).context("another role")?;
    let second = scenario.accounts.iam_arn(&tools, "role/service-role/Second");
    checks_trust(scenario, &second)?;
    owners["roleArn"] = json!(second);
    scenario.hands().replace_pipeline(&tools, &scenario.accounts.region, owners)?;
    scenario.touch("validate", "the pipeline has another role").await?;
    scenario.until_gone("validate").await?;
    let gone = scenario.aws().role(&scenario.accounts.dev, &invoke_role_name(&object)).context("the invoke role")?;
    assert!(gone.is_none(), "the invoke role is left");
    Ok(())
}

async fn another_role(scenario: &mut Scenario<'_>) -> Result<()> {
    let (tools, region, seed) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone(), seed(scenario)?);
    let old = pipeline_role(scenario)?;
    scenario.aws().put_role(&tools, "Second", seed).context("another role")?;
    let replaced = |by: &str| -> Result<()> {
        let mut changed = pipeline(scenario)?;
        let role = scenario.accounts.iam_arn(&tools, &format!("role/service-role/{by}"));
        checks_trust(scenario, &role)?;
        changed["roleArn"] = json!(role);
        scenario.aws().replace_pipeline(&tools, &region, changed).map(drop).context(PIPELINE)
    };
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    replaced("Second")?;
    let mark = scenario.mark()?;
    scenario.touch("validate", "another role").await?;
    let name = format!("crossinvoke-{}-assume", scenario.installation_id);
    eventually("the new role has the policy and the old one has not", DEADLINE, async || {
        let told = |error: Error| error.to_string();
        let second = role(scenario, &tools, "Second").map_err(told)?;
        let has = second["inlinePolicies"][&name].is_object() && pipeline_role(scenario).map_err(told)? == old;
        if has { Ok(()) } else { Err(second.to_string()) }
    })
    .await?;
    let object = scenario
        .until("validate", "it has converged on the new role", |now| {
            crossinvoke_harness::objects::has_reason(now, "Converged")
                && now.data["status"]["toolsAccount"]["pipelineRoleARN"].to_string().contains("Second")
                && invoke_role_name(now) == invoke_role_name(&object)
        })
        .await?;
    let trust = role(scenario, &scenario.accounts.dev, &invoke_role_name(&object))?["trust"].to_string();
    assert!(trust.contains("role/service-role/Second") && !trust.contains(PIPELINE_ROLE), "{trust}");
    assert_eq!(scenario.calls_since(mark)?.of("UpdatePipeline"), 0, "the action is as it was");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    assert_eq!(role(scenario, &tools, "Second")?["inlinePolicies"][&name], json!(null));
    Ok(())
}

async fn controllers_role_made_again(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let dev = scenario.accounts.dev.clone();
    let good = scenario.configuration()?;
    let same: RoleSeed = scenario.aws().role(&dev, CONTROLLER_ROLE).context("reading")?.unwrap();
    scenario.aws().remove_role(&dev, CONTROLLER_ROLE).context("removing")?;
    scenario.aws().put_role(&dev, CONTROLLER_ROLE, same).context("making it again")?;
    let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
    scenario.aws().remove_inline_policy(&dev, EXECUTION_ROLE, &callback).context("drift")?;
    repaired(scenario, "validate", "the callback policy", &good).await
}
