//! The same scenarios with moto for AWS, which others wrote: what the double and the controller agree on by mistake, as
//! both are ours, shows here.
//!
//! moto judges no rights, validates no update and ends every run as it starts, so rights, the order of creation, busy
//! pipelines and runs stay with the double. All that is otherwise than there is in [`differences`], with what AWS answers.

mod differences;
mod facts;

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, FUNCTION, PIPELINE_ROLE},
    objects::all_conditions,
    wait::{DEADLINE, eventually},
};
use serde_json::{Value, json};

use crate::{
    drifting, repairing,
    suite::{Case, case, own_bench},
    support::{converge, invoke_role_name, pipeline, role, stages, status_but_requests},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("on_moto_create_rerun_and_delete_leave_aws_as_it_was", on_moto, create_rerun_and_delete),
        case("on_moto_each_part_removed_is_made_again", on_moto, repairing::each_part_removed),
        case("on_moto_each_part_changed_is_put_right", on_moto, repairing::each_part_changed),
        case("on_moto_each_part_that_drifts_is_named", on_moto, drifting::each_part_is_named),
        case("moto_and_the_double_differ_as_documented", without_controller, differences::differences),
        own_bench("the_facts_are_asked_of_moto_as_well", facts::of_moto),
    ]
}

fn on_moto() -> Setup {
    Setup::default().on_moto()
}

fn without_controller() -> Setup {
    Setup::default().without_controller()
}

async fn create_rerun_and_delete(scenario: &mut Scenario<'_>) -> Result<()> {
    let before = scenario.configuration()?;
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    assert_eq!(all_conditions(&object), ["Ready=True Converged", "Drifted=False InSync"]);
    assert_all_is_there(scenario, &invoke_role_name(&object))?;
    let good = scenario.configuration()?;

    // moto keeps no log of calls; the controller counts its own.
    let written = writes(scenario).await?;
    assert!((written - 5.0).abs() < f64::EPSILON, "each of the five parts is written once, not {written} writes");
    let reconciles = "crossinvoke_reconciles_total{kind=\"CrossAccountInvoke\"";
    let looks = scenario.controller()?.metric(reconciles).await?;
    scenario.touch("validate", "again").await?;
    let controller = scenario.controller()?;
    eventually("the cycle is over", DEADLINE, async || {
        let now = controller.metric(reconciles).await.map_err(|error| error.to_string())?;
        if now > looks { Ok(()) } else { Err(now.to_string()) }
    })
    .await?;
    let again = writes(scenario).await?;
    assert!((again - written).abs() < f64::EPSILON, "a converged object causes no write in AWS, not {again}");
    scenario.assert_as_before(&good)?;
    let after = scenario.invokes().get("validate").await.context("reading")?;
    assert_eq!(status_but_requests(&after), status_but_requests(&object));

    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

/// The role with its trust, tags and policy, both policies on roles of others, and the action in a stage of its own: as
/// boto3 reads them.
fn assert_all_is_there(scenario: &Scenario<'_>, name: &str) -> Result<()> {
    let (accounts, id) = (&scenario.accounts, &scenario.installation_id);
    let made = role(scenario, &accounts.dev, name)?;
    let arn = accounts.iam_arn(&accounts.dev, &format!("role/crossinvoke/{id}/{name}"));
    assert_eq!(made["path"], format!("/crossinvoke/{id}/"));
    let trust = json!({
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": accounts.iam_arn(&accounts.tools, "root")},
        "Condition": {"ArnEquals": {"aws:PrincipalArn": accounts.pipeline_role_arn()}},
    });
    assert_eq!(made["trust"]["Statement"], json!([trust]));
    let owner = format!("{}/validate", scenario.namespace);
    assert_eq!(made["tags"], json!({"crossinvoke.dev/installation": id, "crossinvoke.dev/owner": owner}));
    let function = format!("arn:aws:lambda:{}:{}:function:{FUNCTION}", accounts.function_region, accounts.dev);
    let invoke = allowed(&made, &format!("crossinvoke-{id}-invoke"));
    assert_eq!(invoke[0], json!({"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}));
    let callback = allowed(&role(scenario, &accounts.dev, EXECUTION_ROLE)?, &format!("crossinvoke-{id}-callback"));
    let results = ["codepipeline:PutJobFailureResult", "codepipeline:PutJobSuccessResult"];
    assert_eq!(callback, json!([{"Effect": "Allow", "Action": results, "Resource": "*"}]));
    let assume = allowed(&role(scenario, &accounts.tools, PIPELINE_ROLE)?, &format!("crossinvoke-{id}-assume"));
    assert_eq!(assume, json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}]));
    assert_eq!(stages(scenario)?, ["Source", "Build", "Validate", "Deploy"]);
    let action = &pipeline(scenario)?["stages"][2]["actions"][0];
    assert_eq!((&action["configuration"]["FunctionName"], &action["roleArn"]), (&json!(FUNCTION), &json!(arn)));
    Ok(())
}

/// The statements of an inline policy.
fn allowed(role: &Value, policy: &str) -> Value {
    role["inlinePolicies"][policy]["Statement"].clone()
}

/// Calls of the controller so far that change something.
async fn writes(scenario: &mut Scenario<'_>) -> Result<f64> {
    let (_, text) = scenario.controller()?.get("/metrics").await?;
    let calls = text.lines().filter(|line| line.starts_with("crossinvoke_aws_calls_total{"));
    let reads = ["Get", "List", "AssumeRole"].map(|operation| format!("operation=\"{operation}"));
    let writes = calls.filter(|line| !reads.iter().any(|read| line.contains(read)));
    Ok(writes.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
