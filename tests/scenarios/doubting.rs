//! A pipeline that AWS says is not there: one such answer may be wrong, and what its action needs stays until a second one.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::PIPELINE,
    objects::has_reason,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, message, pipeline, pipeline_role, refused, role, stages},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("one_answer_that_a_pipeline_is_gone_takes_no_rights_away", quick, one_answer_takes_no_rights_away),
        case("a_pipeline_that_is_gone_holds_its_object_for_a_second_look", quick, gone_holds_for_a_second_look),
        case("one_answer_that_an_older_pipeline_is_gone_forgets_nothing", quick, one_answer_forgets_nothing),
        case("an_older_pipeline_that_is_gone_is_let_go", quick, an_older_pipeline_that_is_gone_is_let_go),
    ]
}

fn quick() -> Setup {
    Setup::default().flags(["--idle-poll", "1s"])
}

fn not_found() -> Effect {
    Effect::fail("PipelineNotFoundException", "Account '111111111111' does not have a pipeline with name", 400)
}

async fn one_answer_takes_no_rights_away(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (tools, region, dev) =
        (scenario.accounts.tools.clone(), scenario.accounts.region.clone(), scenario.accounts.dev.clone());
    let good = scenario.configuration()?;
    scenario.aws().put_execution((&tools, &region, PIPELINE), None, "InProgress", None).context("a busy pipeline")?;
    scenario.aws().fault(Fault::next("GetPipeline", not_found())).context("one wrong answer")?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "Deleting", &[PIPELINE, "is not found", "looked at again"]).await?;
    scenario.until_reason("validate", "WaitingForIdlePipeline").await?;
    scenario.assert_as_before(&good)?;
    assert!(!role(scenario, &dev, &invoke_role_name(&object))?.is_null(), "the action names a role that is gone");
    Ok(())
}

async fn gone_holds_for_a_second_look(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    scenario.aws().remove_pipeline(&tools, &region, PIPELINE).context("the pipeline's end")?;
    scenario.delete("validate").await?;
    refused(scenario, "validate", "Deleting", &[PIPELINE, "is not found"]).await?;
    assert!(!pipeline_role(scenario)?["inlinePolicies"].as_object().unwrap().is_empty(), "P3 went at the first look");
    scenario.until_gone("validate").await?;
    let left = scenario.configuration()?["accounts"].to_string();
    assert!(!left.contains(&invoke_role_name(&object)) && !left.contains("-assume\""), "{left}");
    Ok(())
}

/// A second pipeline, and the object's move to it.
async fn moved(scenario: &mut Scenario<'_>, before: impl AsyncFnOnce(&mut Scenario<'_>) -> Result<()>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    converge(scenario, &invoke).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let mut second = pipeline(scenario)?;
    second["name"] = json!("payments-second");
    second["stages"].as_array_mut().unwrap().remove(2);
    scenario.aws().replace_pipeline(&tools, &region, second).context("a second pipeline")?;
    before(scenario).await?;
    invoke["spec"]["pipeline"]["name"] = json!("payments-second");
    scenario.apply(&invoke).await?;
    let in_doubt =
        |object: &kube::api::DynamicObject| message(object).contains(&format!("pipeline {PIPELINE} in tools"));
    let seen = scenario.until("validate", "in doubt of the old pipeline", in_doubt).await?;
    assert!(
        seen.data["status"]["inventory"].to_string().contains(&format!(":{PIPELINE}\"")),
        "{}",
        seen.data["status"]
    );
    let at_the_end = |object: &kube::api::DynamicObject| {
        has_reason(object, "Converged")
            && object.data["status"]["observedGeneration"] == object.metadata.generation.unwrap_or_default()
    };
    let seen = scenario.until("validate", "converged on the second pipeline", at_the_end).await?;
    let inventory = seen.data["status"]["inventory"].to_string();
    assert!(!inventory.contains(&format!(":{PIPELINE}\"")), "{inventory}");
    Ok(())
}

async fn one_answer_forgets_nothing(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    moved(scenario, async |scenario| {
        let answer = Fault::next("GetPipeline", not_found()).containing(PIPELINE);
        scenario.aws().fault(answer).context("one wrong answer")
    })
    .await?;
    assert_eq!(stages(scenario)?, ["Source", "Build", "Deploy"], "the old action stays for ever");
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await
}

async fn an_older_pipeline_that_is_gone_is_let_go(scenario: &mut Scenario<'_>) -> Result<()> {
    moved(scenario, async |scenario| {
        let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
        scenario.aws().remove_pipeline(&tools, &region, PIPELINE).context("the old pipeline's end")
    })
    .await?;
    scenario.delete("validate").await?;
    eventually("the object goes", DEADLINE, async || {
        let left = scenario.invokes().get_opt("validate").await.map_err(|error| error.to_string())?;
        if left.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await
}
