//! What cannot be done is said with the account, the resource, what is missing and what to do, and nothing is written.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, FUNCTION, PIPELINE},
    rights::Rendering,
};
use fakeaws::RoleSeed;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, entered, foreign_action, pipeline, refused},
};

/// A spec that is refused: what is changed in it, the reason, and what the message must name.
type Refusal = (fn(&mut Value), &'static str, &'static [&'static str]);

const SPECS: [Refusal; 8] = [
    (
        |spec| spec["function"]["name"] = json!("MyFunction2"),
        "FunctionNotFound",
        &["MyFunction2", "spec.function.name"],
    ),
    (|spec| spec["pipeline"]["name"] = json!("payments-gone"), "PipelineNotFound", &["payments-gone", "us-east-1"]),
    (
        |spec| spec["stage"] = json!({"name": "Nowhere"}),
        "StageNotFound",
        &["Nowhere", "Source, Build, Deploy", "position"],
    ),
    (
        |spec| spec["stage"]["position"] = json!({"after": "Nowhere"}),
        "StageNotFound",
        &["Nowhere", "Source, Build, Deploy"],
    ),
    (|spec| spec["stage"]["position"] = json!({"before": "Source"}), "InvalidPosition", &["before Source", "after"]),
    (|spec| spec["stage"] = json!({"name": "Source"}), "InvalidPosition", &["sources"]),
    (
        |spec| {
            let dev = spec["devAccount"]["id"].as_str().unwrap_or_default().to_owned();
            spec["function"]["executionRole"] = json!(format!("arn:aws:iam::{dev}:role/other"));
        },
        "ExecutionRoleMismatch",
        &["role/other", EXECUTION_ROLE],
    ),
    (
        |spec| {
            spec["stage"] = json!({"name": "Deploy"});
            spec["action"] = json!({"name": "Deploy"});
        },
        "ActionConflict",
        &["Deploy", "spec.action.name"],
    ),
];

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case(
            "a_spec_that_does_not_fit_aws_is_refused_and_nothing_is_written",
            grant_more,
            a_spec_that_does_not_fit_aws_is_refused_and_nothing_is_written,
        ),
        case("a_role_of_somebody_else_is_never_touched", allow_everything, a_role_of_somebody_else_is_never_touched),
        case("a_missing_artifact_store_is_named", far_function, a_missing_artifact_store_is_named),
        case(
            "somebody_elses_broken_action_role_is_named_with_its_place",
            Setup::default,
            somebody_elses_broken_action_role_is_named_with_its_place,
        ),
        case(
            "a_denied_call_names_action_resource_and_account",
            Setup::default,
            a_denied_call_names_action_resource_and_account,
        ),
        case(
            "an_account_of_another_id_is_never_written_to",
            Setup::default,
            an_account_of_another_id_is_never_written_to,
        ),
        case(
            "a_policy_without_room_is_told_with_its_role",
            Setup::default,
            a_policy_without_room_is_told_with_its_role,
        ),
    ]
}

async fn a_spec_that_does_not_fit_aws_is_refused_and_nothing_is_written(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let before = scenario.configuration()?;
    for (index, (change, reason, parts)) in SPECS.into_iter().enumerate() {
        let name = format!("refused-{index}");
        let mut invoke = scenario.invoke(&name);
        change(&mut invoke["spec"]);
        scenario.apply(&invoke).await?;
        refused(scenario, &name, reason, parts).await?;
        // Nothing was made, so nothing holds the object.
        scenario.delete(&name).await?;
        scenario.until_gone(&name).await?;
    }
    scenario.assert_as_before(&before)
}

async fn a_role_of_somebody_else_is_never_touched(scenario: &mut Scenario<'_>) -> Result<()> {
    let dev = scenario.accounts.dev.clone();
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com"}}]});
    let role = RoleSeed { path: "/crossinvoke/x/".to_owned(), ..RoleSeed::trusting(trust) };
    scenario.aws().put_role(&dev, "theirs", role).context("a foreign role")?;
    let before = scenario.configuration()?;
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"name": "theirs"});
    scenario.apply(&invoke).await?;
    refused(scenario, "validate", "RoleConflict", &["theirs", &dev, "somebody else"]).await?;
    scenario.assert_as_before(&before)?;
    invoke["spec"]["invokeRole"] = json!({"name": "ours"});
    converge(scenario, &invoke).await?;
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    scenario.assert_as_before(&before)
}

async fn a_missing_artifact_store_is_named(scenario: &mut Scenario<'_>) -> Result<()> {
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "ArtifactStoreMissing", &["eu-west-1", "artifactStores"]).await?;
    let mut with_stores = pipeline(scenario)?;
    with_stores["artifactStores"]["eu-west-1"] = json!({"type": "S3", "location": "far"});
    let (tools, region) = (&scenario.accounts.tools, &scenario.accounts.region);
    scenario.aws().replace_pipeline(tools, region, with_stores).context("adding a store")?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await?;
    let action = pipeline(scenario)?["stages"][2]["actions"][0].clone();
    assert_eq!(action["region"], "eu-west-1");
    Ok(())
}

async fn somebody_elses_broken_action_role_is_named_with_its_place(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let mut broken = pipeline(scenario)?;
    let role = format!("arn:aws:iam::{}:role/theirs", scenario.accounts.dev);
    broken["stages"][2]["actions"].as_array_mut().unwrap().push(foreign_action("Notify", &role));
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    scenario.aws().replace_pipeline(&tools, &region, broken).context("a foreign action")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "PipelineRefused", &["action Notify of stage Deploy", &role, PIPELINE]).await
}

async fn a_denied_call_names_action_resource_and_account(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let dev = scenario.accounts.dev.clone();
    let mut rights = scenario.accounts.rights(scenario.accounts.dev_rights(), Rendering::Policy)?;
    for statement in rights["Statement"].as_array_mut().unwrap() {
        if let Some(actions) = statement["Action"].as_array_mut() {
            actions.retain(|action| action != "iam:CreateRole");
        }
    }
    scenario.aws().put_inline_policy(&dev, "crossinvoke", "crossinvoke", rights).context("taking a right")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "AccessDenied", &["iam:CreateRole", &dev, "deploy/iam"]).await?;
    let whole = scenario.accounts.rights(scenario.accounts.dev_rights(), Rendering::Policy)?;
    scenario.aws().put_inline_policy(&dev, "crossinvoke", "crossinvoke", whole).context("giving it back")?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await?;
    // The way in is lost: the next session cannot be opened.
    scenario
        .aws()
        .put_trust(&dev, "crossinvoke", json!({"Version": "2012-10-17", "Statement": []}))
        .context("trust")?;
    scenario.aws().expire_sessions().context("expiring")?;
    scenario.touch("validate", "once more").await?;
    refused(scenario, "validate", "AssumeRoleDenied", &[&dev, "role/crossinvoke", "external id"]).await?;
    Ok(())
}

async fn an_account_of_another_id_is_never_written_to(scenario: &mut Scenario<'_>) -> Result<()> {
    let dev = scenario.accounts.dev.clone();
    // Admission refuses a role of another account, so the mismatch comes from the controller's own identity.
    let before = scenario.configuration()?;
    let name = format!("{}-dev", scenario.namespace);
    let patch = json!({"spec": {"roleARN": null, "externalID": null}});
    crate::support::patch_account(scenario, "dev", &patch).await?;
    scenario.until_account_reason(&name, "AccountMismatch").await?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "AccountMismatch", &[&dev, &scenario.accounts.platform, "roleARN"]).await?;
    scenario.assert_as_before(&before)
}

async fn a_policy_without_room_is_told_with_its_role(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let filler: Vec<String> = (0..115).map(|n| format!("arn:aws:s3:::bucket-{n:04}-{}", "x".repeat(60))).collect();
    let big = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": filler}]});
    let dev = &scenario.accounts.dev;
    scenario.aws().put_inline_policy(dev, EXECUTION_ROLE, "theirs", big).context("filling the role")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "PolicySizeExceeded", &[EXECUTION_ROLE, dev]).await
}

fn grant_more() -> Setup {
    Setup::default().aws_accounts(|_, dev| dev["spec"]["grants"][0]["functions"] = json!(["MyFunction*"]))
}

fn allow_everything() -> Setup {
    Setup::default().aws_accounts(|_, dev| {
        dev["spec"]["grants"][0]["allow"] = json!(["NamedRole", "AccountRootTrust"]);
        dev["spec"]["invokeRoles"]["path"] = json!("/crossinvoke/x/");
    })
}

fn far_function() -> Setup {
    Setup::default().adjust_accounts(|accounts| "eu-west-1".clone_into(&mut accounts.function_region)).seed(
        |accounts, seed| {
            assert!(seed.accounts[&accounts.dev].functions["eu-west-1"].get(FUNCTION).is_some());
        },
    )
}
