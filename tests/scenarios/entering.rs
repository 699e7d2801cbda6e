//! Sessions: as few calls for credentials as there are accounts, however much is reconciled.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup, objects,
    wait::{DEADLINE, eventually},
};
use serde_json::json;

use crate::{
    suite::{Case, case},
    support::{converge, entered},
};

const ACCOUNTS: usize = 100;

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case(
            "three_hundred_reconciles_assume_each_role_once",
            two_regions,
            three_hundred_reconciles_assume_each_role_once,
        ),
        case(
            "an_expired_token_costs_one_more_assume_role",
            Setup::default,
            an_expired_token_costs_one_more_assume_role,
        ),
        case(
            "a_hundred_accounts_over_three_rounds_make_a_hundred_sessions",
            many_accounts,
            a_hundred_accounts_over_three_rounds_make_a_hundred_sessions,
        ),
        case(
            "wrong_credentials_are_a_condition_and_never_an_exit",
            Setup::default,
            wrong_credentials_are_a_condition_and_never_an_exit,
        ),
    ]
}

async fn three_hundred_reconciles_assume_each_role_once(scenario: &mut Scenario<'_>) -> Result<()> {
    let mark = scenario.mark()?;
    let mut invokes = Vec::new();
    let third = another(&scenario.accounts.dev);
    let mut account = objects::dev_account(&scenario.accounts, &scenario.namespace);
    account["metadata"]["name"] = json!(format!("{}-third", scenario.namespace));
    account["spec"]["accountID"] = json!(third);
    let boundary = scenario.accounts.boundary_arn().replace(&scenario.accounts.dev, &third);
    account["spec"]["invokeRoles"]["permissionsBoundaryARN"] = json!(boundary);
    account["spec"]["roleARN"] = json!(scenario.accounts.controller_role_arn(&third));
    account["spec"]["externalID"] = json!(scenario.accounts.external_id.replace(&scenario.accounts.dev, &third));
    scenario.apply(&account).await?;
    scenario.until_account_reason(&format!("{}-third", scenario.namespace), "Converged").await?;
    let dev = scenario.accounts.dev.clone();
    for (name, region, pipeline, dev) in [
        ("near", "us-east-1", "payments-release", &dev),
        ("far", "eu-west-1", "payments-far", &dev),
        ("third", "us-east-1", "payments-release", &third),
    ] {
        let mut invoke = scenario.invoke(name);
        invoke["spec"]["toolsAccount"]["region"] = json!(region);
        invoke["spec"]["devAccount"] = json!({"id": dev, "region": "us-east-1"});
        invoke["spec"]["pipeline"]["name"] = json!(pipeline);
        converge(scenario, &invoke).await?;
        invokes.push(name.to_owned());
    }
    for round in 0..100 {
        for name in &invokes {
            scenario.touch(name, &round.to_string()).await?;
        }
    }
    let wanted = "crossinvoke_reconciles_total{kind=\"CrossAccountInvoke\",outcome=\"ok\"}";
    let mut rounds = 100;
    while scenario.controller()?.metric(wanted).await? < 300.0 {
        rounds += 1;
        for name in &invokes {
            scenario.touch(name, &rounds.to_string()).await?;
        }
    }
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("AssumeRole"), calls.of("GetCallerIdentity")), (3, 3), "three accounts to enter");
    Ok(())
}

async fn an_expired_token_costs_one_more_assume_role(scenario: &mut Scenario<'_>) -> Result<()> {
    converge(scenario, &scenario.invoke("validate")).await?;
    let mark = scenario.mark()?;
    scenario.aws().expire_sessions().context("expiring")?;
    scenario.touch("validate", "again").await?;
    eventually("the new sessions are used", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let good = calls.0.iter().filter(|call| call.operation == "GetRolePolicy" && call.outcome == "OK").count();
        if good >= 3 { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    scenario.until_reason("validate", "Converged").await?;
    let calls = scenario.calls_since(mark)?;
    let more = (calls.of("AssumeRole"), calls.of("GetCallerIdentity"));
    assert_eq!(more, (2, 2), "one more for each of the two accounts:\n{calls}");
    Ok(())
}

async fn a_hundred_accounts_over_three_rounds_make_a_hundred_sessions(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let mark = scenario.mark()?;
    for index in 0..ACCOUNTS {
        scenario.apply(&account(scenario, index)).await?;
    }
    for index in 0..ACCOUNTS {
        scenario.until_account_reason(&name(scenario, index), "Converged").await?;
    }
    // Changes, and not requests for a look: those enter the account anew.
    for round in 0..2 {
        for index in 0..ACCOUNTS {
            let patch = json!({"metadata": {"labels": {"round": format!("round-{round}")}}});
            let patch = kube::api::Patch::Merge(patch);
            let parameters = kube::api::PatchParams::default();
            scenario.aws_accounts().patch(&name(scenario, index), &parameters, &patch).await.context("touching")?;
        }
    }
    let wanted = "crossinvoke_reconciles_total{kind=\"AwsAccount\",outcome=\"ok\"}";
    let mut seen = 0.0;
    while seen < 300.0 {
        seen = scenario.controller()?.metric(wanted).await?;
        let patch = kube::api::Patch::Merge(json!({"metadata": {"labels": {"round": seen.to_string()}}}));
        let parameters = kube::api::PatchParams::default();
        for index in 0..ACCOUNTS {
            scenario.aws_accounts().patch(&name(scenario, index), &parameters, &patch).await.context("touching")?;
        }
    }
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.of("AssumeRole"), ACCOUNTS, "one for each account");
    assert_eq!(calls.of("GetCallerIdentity"), ACCOUNTS, "one for each credential");
    Ok(())
}

async fn wrong_credentials_are_a_condition_and_never_an_exit(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let key = scenario.accounts.controller_key();
    // The controller's key is somebody's who may not assume anything.
    let role = scenario.accounts.execution_role_arn();
    scenario.aws().run(fakeaws::Command::PutKey { key, arn: role }).context("swapping the key")?;
    scenario.restart_controller().await?;
    let mut invoke = scenario.invoke("validate");
    invoke["metadata"]["annotations"] = json!({"first": "try"});
    scenario.apply(&invoke).await?;
    crate::support::refused(scenario, "validate", "AssumeRoleDenied", &["role/crossinvoke", "sts:AssumeRole"]).await?;
    let (status, _) = scenario.controller()?.get("/livez").await?;
    assert_eq!(status, 200);
    Ok(())
}

fn name(scenario: &Scenario<'_>, index: usize) -> String {
    format!("{}-{index:03}", scenario.namespace.chars().take(40).collect::<String>())
}

fn id(index: usize) -> String {
    format!("7{index:011}")
}

fn account(scenario: &Scenario<'_>, index: usize) -> serde_json::Value {
    json!({
        "apiVersion": "crossinvoke.dev/v1alpha1",
        "kind": "AwsAccount",
        "metadata": {"name": name(scenario, index)},
        "spec": {
            "accountID": id(index),
            "roleARN": format!("arn:aws:iam::{}:role/crossinvoke", id(index)),
            "grants": [{"name": "all", "namespaces": {"names": [scenario.namespace]}, "pipelines": ["*"]}],
        },
    })
}

fn many_accounts() -> Setup {
    Setup::default().seed(|accounts, seed| {
        let entrance = seed.accounts[&accounts.tools].roles["crossinvoke"].clone();
        for index in 0..ACCOUNTS {
            let mut account = fakeaws::AccountSeed::default();
            account.roles.insert("crossinvoke".to_owned(), entrance.clone());
            seed.accounts.insert(id(index), account);
        }
        if let Some(platform) = seed.accounts.get_mut(&accounts.platform) {
            let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/crossinvoke"}]});
            for role in platform.roles.values_mut() {
                role.inline_policies.insert("crossinvoke".to_owned(), all.clone());
            }
        }
    })
}

/// Another account of the same kind.
fn another(account: &str) -> String {
    let last = account.bytes().last().map_or(0, |digit| (digit - b'0' + 1) % 10);
    format!("{}{last}", &account[..account.len() - 1])
}

fn two_regions() -> Setup {
    Setup::default().seed(|accounts, seed| {
        let third = another(&accounts.dev);
        let copy = serde_json::to_string(&seed.accounts[&accounts.dev]).unwrap().replace(&accounts.dev, &third);
        seed.accounts.insert(third.clone(), serde_json::from_str(&copy).unwrap());
        let boundary = seed.managed_policies[&accounts.boundary_arn()].to_string().replace(&accounts.dev, &third);
        let arn = accounts.boundary_arn().replace(&accounts.dev, &third);
        seed.managed_policies.insert(arn, serde_json::from_str(&boundary).unwrap());
        if let Some(platform) = seed.accounts.get_mut(&accounts.platform) {
            let all = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                "Resource": format!("arn:aws:iam::{third}:role/crossinvoke")}]});
            for role in platform.roles.values_mut() {
                role.inline_policies.insert("third".to_owned(), all.clone());
            }
        }
        if let Some(tools) = seed.accounts.get_mut(&accounts.tools) {
            let mut far = tools.pipelines[&accounts.region]["payments-release"].clone();
            far["name"] = json!("payments-far");
            far["artifactStores"]["eu-west-1"] = json!({"type": "S3", "location": "far"});
            tools.pipelines["eu-west-1"] = json!({"payments-far": far});
        }
    })
}
