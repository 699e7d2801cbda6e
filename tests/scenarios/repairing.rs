//! Each of the five parts removed or changed behind the controller's back is put right.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, PIPELINE_ROLE},
};
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{converge, invoke_role_name, pipeline, repaired, role},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("each_part_removed_is_made_again", Setup::default, each_part_removed),
        case("each_part_changed_is_put_right", Setup::default, each_part_changed),
        case("what_means_the_same_is_no_drift", Setup::default, async |scenario| {
            let object = converge(scenario, &scenario.invoke("validate")).await?;
            let name = invoke_role_name(&object);
            let dev = scenario.accounts.dev.clone();
            let mut trust = role(scenario, &dev, &name)?["trust"].clone();
            trust["Statement"][0]["Principal"] = json!({"AWS": [scenario.accounts.tools]});
            trust["Statement"][0]["Sid"] = json!("Renamed");
            scenario.aws().put_trust(&dev, &name, trust).context("respelling the trust policy")?;
            // A deny-only policy (somebody revoked sessions) and a tag of somebody's cost allocation stay.
            let deny =
                json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
            scenario
                .aws()
                .put_inline_policy(&dev, &name, "AWSRevokeOlderSessions", deny)
                .context("a foreign policy")?;
            scenario.aws().put_tag(&dev, &name, "cost-center", "42").context("a foreign tag")?;
            let mark = scenario.mark()?;
            scenario.touch("validate", "look").await?;
            scenario.reads_of_one_cycle(mark).await?;
            let calls = scenario.calls_since(mark)?;
            assert_eq!(calls.mutating(), 0, "{calls}");
            Ok(())
        }),
        case("drift_is_found_by_the_interval_alone", Setup::default, async |scenario| {
            let mut invoke = scenario.invoke("validate");
            invoke["spec"]["interval"] = json!("10s");
            converge(scenario, &invoke).await?;
            let good = scenario.configuration()?;
            let callback = format!("crossinvoke-{}-callback", scenario.installation_id);
            let dev = &scenario.accounts.dev;
            scenario.aws().remove_inline_policy(dev, EXECUTION_ROLE, &callback).context("removing P2")?;
            crossinvoke_harness::wait::eventually(
                "the interval passes",
                crossinvoke_harness::wait::DEADLINE,
                async || {
                    let now = scenario.configuration().map_err(|error| error.to_string())?;
                    if now == good { Ok(()) } else { Err("not yet".to_owned()) }
                },
            )
            .await
        }),
    ]
}

pub(crate) async fn each_part_removed(scenario: &mut Scenario<'_>) -> Result<()> {
    let object = converge(scenario, &scenario.invoke("validate")).await?;
    let good = scenario.configuration()?;
    let (name, id) = (invoke_role_name(&object), scenario.installation_id.clone());
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    let aws = scenario.hands();
    aws.remove_role(&dev, &name).context("removing T1")?;
    repaired(scenario, "validate", "the role", &good).await?;
    aws.remove_inline_policy(&dev, &name, &format!("crossinvoke-{id}-invoke")).context("removing P1")?;
    repaired(scenario, "validate", "the invoke policy", &good).await?;
    let callback = format!("crossinvoke-{id}-callback");
    aws.remove_inline_policy(&dev, EXECUTION_ROLE, &callback).context("removing P2")?;
    repaired(scenario, "validate", "the callback policy", &good).await?;
    let assume = format!("crossinvoke-{id}-assume");
    aws.remove_inline_policy(&tools, PIPELINE_ROLE, &assume).context("removing P3")?;
    repaired(scenario, "validate", "the assume policy", &good).await?;
    let mut without = pipeline(scenario)?;
    without["stages"].as_array_mut().unwrap().retain(|stage| stage["name"] != "Validate");
    aws.replace_pipeline(&tools, &scenario.accounts.region, without).context("removing P4")?;
    repaired(scenario, "validate", "the action", &good).await
}

pub(crate) async fn each_part_changed(scenario: &mut Scenario<'_>) -> Result<()> {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
    invoke["spec"]["action"] = json!({"runOrder": 1, "userParameters": "{}"});
    let object = converge(scenario, &invoke).await?;
    let good = scenario.configuration()?;
    let (name, id) = (invoke_role_name(&object), scenario.installation_id.clone());
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    let aws = scenario.hands();
    let other = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{}:root", scenario.accounts.platform)}}]});
    aws.put_trust(&dev, &name, other).context("changing T1")?;
    repaired(scenario, "validate", "the trust policy", &good).await?;
    aws.put_tag(&dev, &name, "team", "other").context("changing a tag")?;
    repaired(scenario, "validate", "a tag", &good).await?;
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    for (account, role, policy) in
        [(&dev, name.as_str(), "invoke"), (&dev, EXECUTION_ROLE, "callback"), (&tools, PIPELINE_ROLE, "assume")]
    {
        aws.put_inline_policy(account, role, &format!("crossinvoke-{id}-{policy}"), wide.clone())
            .context("changing a policy")?;
        repaired(scenario, "validate", policy, &good).await?;
    }
    let mut changed = pipeline(scenario)?;
    let action = &mut changed["stages"][2]["actions"][0];
    action["configuration"] = json!({"FunctionName": "Other", "UserParameters": "changed"});
    action["runOrder"] = json!(7);
    aws.replace_pipeline(&tools, &scenario.accounts.region, changed).context("changing P4")?;
    repaired(scenario, "validate", "the action's configuration", &good).await
}
