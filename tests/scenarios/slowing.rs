//! Many objects on something slow: an account that answers in five seconds, one that throttles, a busy pipeline. Every
//! other object is looked at within its interval.

use std::time::Duration;

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::{Accounts, CONTROLLER_IDENTITY, PIPELINE},
    objects,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault, Seed};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, entered, invoke_role_name, version},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("twenty_objects_in_a_slow_account_slow_nobody_else", two_dev_accounts, slow_account),
        case("twenty_objects_in_an_account_that_throttles_slow_nobody_else", two_dev_accounts, throttling_account),
        case("sixty_objects_that_wait_for_one_pipeline_slow_nobody_else", two_pipelines, busy_pipeline),
    ]
}

/// The interval of the objects that are not slow.
const INTERVAL: Duration = Duration::from_secs(10);

/// Another pipeline of the same account and role.
const OTHER_PIPELINE: &str = "payments-nightly";

pub(crate) fn two_dev_accounts() -> Setup {
    Setup::default().flags(["--collect=1s"]).seed(|accounts, seed| {
        let text = serde_json::to_string(seed).expect("a seed").replace(&accounts.dev, &slow(accounts));
        let mut copy: Seed = serde_json::from_str(&text).expect("a seed");
        seed.accounts.extend(copy.accounts.remove_entry(&slow(accounts)));
        seed.managed_policies.append(&mut copy.managed_policies);
        // The controller may enter it too.
        let of = |seed: &mut Seed| {
            seed.accounts.get_mut(&accounts.platform).and_then(|it| it.roles.remove(CONTROLLER_IDENTITY))
        };
        let (mut role, further) = of(seed).zip(of(&mut copy)).expect("the controller's role");
        role.inline_policies
            .extend(further.inline_policies.into_iter().map(|(name, policy)| (format!("{name}-slow"), policy)));
        seed.accounts
            .get_mut(&accounts.platform)
            .expect("its account")
            .roles
            .insert(CONTROLLER_IDENTITY.to_owned(), role);
    })
}

fn two_pipelines() -> Setup {
    Setup::default().flags(["--collect=1s", "--idle-poll=2s"]).seed(|accounts, seed| {
        let mut other = accounts.pipeline();
        other["name"] = json!(OTHER_PIPELINE);
        let tools = seed.accounts.get_mut(&accounts.tools).expect("the tools account");
        tools.pipelines[&accounts.region][OTHER_PIPELINE] = other;
    })
}

/// The id of the second dev account.
pub(crate) fn slow(accounts: &Accounts) -> String {
    format!("4{}", &accounts.dev[1..])
}

fn quick(scenario: &Scenario<'_>, name: &str) -> Value {
    let mut invoke = scenario.invoke(name);
    invoke["spec"]["interval"] = json!("10s");
    invoke
}

/// Opens the second dev account to the objects, and waits until it was entered.
pub(crate) async fn enter_slow(scenario: &mut Scenario<'_>) -> Result<String> {
    let other = slow(&scenario.accounts);
    let account = objects::dev_account(&scenario.accounts, &scenario.namespace).to_string();
    let mut account: Value =
        serde_json::from_str(&account.replace(&scenario.accounts.dev, &other)).context("a copy")?;
    let name = format!("{}-slow", scenario.namespace);
    account["metadata"]["name"] = json!(name);
    scenario.apply(&account).await?;
    scenario.until_account_reason(&name, "Converged").await?;
    Ok(other)
}

async fn slow_account(scenario: &mut Scenario<'_>) -> Result<()> {
    beside(scenario, Effect::Delay { milliseconds: 5_000 }).await
}

async fn throttling_account(scenario: &mut Scenario<'_>) -> Result<()> {
    beside(scenario, Effect::Throttle).await
}

/// Objects of one dev account beside twenty of another one, all on the pipeline and under the pipeline role of one tools
/// account, while this happens to each call into the other.
async fn beside(scenario: &mut Scenario<'_>, effect: Effect) -> Result<()> {
    entered(scenario).await?;
    let other = enter_slow(scenario).await?;
    let one = converge(scenario, &quick(scenario, "one")).await?;
    converge(scenario, &quick(scenario, "two")).await?;

    scenario.aws().fault(Fault::next("*", effect).always().by_account(&other)).context("the fault")?;
    let mark = scenario.mark()?;
    let names: Vec<String> = (0..20).map(|number| format!("slow-{number:02}")).collect();
    for name in &names {
        let mut invoke = scenario.invoke(name);
        invoke["spec"]["devAccount"]["id"] = json!(other);
        scenario.apply(&invoke).await?;
    }
    eventually("the slow account is busy", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let there = calls.0.iter().filter(|call| call.account == other).count();
        if there >= 12 { Ok(()) } else { Err(format!("{there} calls")) }
    })
    .await?;
    // What is shared with them is written as ever: the assume policy of the pipeline role, and the pipeline.
    scenario.apply(&quick(scenario, "three")).await?;
    scenario.until_reason("three", "Converged").await?;
    scenario.delete("two").await?;
    scenario.until_gone("two").await?;
    looked_at(scenario, &invoke_role_name(&one)).await?;

    scenario.aws().clear_faults().context("the end of it")?;
    for name in &names {
        scenario.touch(name, "again").await?;
    }
    for name in &names {
        scenario.until_reason(name, "Converged").await?;
    }
    Ok(())
}

/// An object is looked at four times in a row, each time not much later than its interval. A slow machine first has to get
/// through the looks at all that came at once; what only waits would hold the others up for ever.
async fn looked_at(scenario: &Scenario<'_>, role: &str) -> Result<()> {
    let mark = scenario.mark()?;
    eventually("four looks in time", DEADLINE * 2, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let of_role = |call: &&fakeaws::Call| call.resource.as_ref().is_some_and(|arn| arn.ends_with(role));
        let looks: Vec<_> = calls.0.iter().filter(|call| call.operation == "GetRole").filter(of_role).collect();
        let gaps: Vec<_> = looks.windows(2).map(|pair| pair[1].time.duration_since(pair[0].time)).collect();
        let in_time = gaps.iter().rev().take_while(|gap| gap.unsigned_abs() < INTERVAL * 2).count();
        if in_time >= 3 { Ok(()) } else { Err(format!("{} looks, {gaps:?} apart", looks.len())) }
    })
    .await
}

async fn busy_pipeline(scenario: &mut Scenario<'_>) -> Result<()> {
    let healthy = |scenario: &Scenario<'_>, name: &str| {
        let mut invoke = quick(scenario, name);
        invoke["spec"]["pipeline"]["name"] = json!(OTHER_PIPELINE);
        invoke
    };
    let one = converge(scenario, &healthy(scenario, "one")).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let of = (tools.as_str(), region.as_str(), PIPELINE);
    let run = scenario.aws().put_execution(of, None, "InProgress", Some("Build")).context("a run")?;
    let names: Vec<String> = (0..60).map(|number| format!("waits-{number:02}")).collect();
    for (number, name) in names.iter().enumerate() {
        let mut invoke = scenario.invoke(name);
        // A stage holds 50 actions at most.
        invoke["spec"]["stage"]["name"] = json!(["Validate", "Check"][number % 2]);
        scenario.apply(&invoke).await?;
    }
    all(scenario, "waits-", names.len(), "WaitingForIdlePipeline").await?;
    let mark = scenario.mark()?;
    scenario.apply(&healthy(scenario, "two")).await?;
    scenario.until_reason("two", "Converged").await?;
    looked_at(scenario, &invoke_role_name(&one)).await?;
    let calls = scenario.calls_since(mark)?;
    let checks = calls.0.iter().filter(|call| call.operation == "ListPipelineExecutions").count();
    let seconds = calls.0.last().zip(calls.0.first()).map(|(last, first)| last.time.duration_since(first.time));
    let polls = seconds.map_or(0, |seconds| seconds.as_secs() / 2);
    assert!(i64::try_from(checks).unwrap_or(i64::MAX) <= polls + 3, "one check for all that wait: {checks} of {polls}");

    let mark = scenario.mark()?;
    scenario.aws().put_execution(of, Some(&run), "Succeeded", None).context("its end")?;
    all(scenario, "waits-", names.len(), "Converged").await?;
    assert_eq!((scenario.calls_since(mark)?.of("UpdatePipeline"), version(scenario)?), (1, 2));
    Ok(())
}

/// Waits until all objects whose names begin so have this reason.
async fn all(scenario: &Scenario<'_>, begins: &str, count: usize, reason: &str) -> Result<()> {
    eventually(&format!("{count} objects say {reason}"), DEADLINE * 2, async || {
        let objects = scenario.invokes().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let named = |object: &&kube::api::DynamicObject| {
            object.metadata.name.as_ref().is_some_and(|name| name.starts_with(begins))
        };
        let there = objects.iter().filter(named).filter(|object| objects::has_reason(object, reason)).count();
        if there == count { Ok(()) } else { Err(format!("{there} of {count}")) }
    })
    .await
    .map_err(|error| Error::new(error.to_string()))
}
