//! How many calls a second an account is sent: no more than its budget, of which half is left where AWS throttles; and no
//! other account waits for it.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup, objects,
    wait::{DEADLINE, eventually},
};
use fakeaws::{Call, Effect, Fault};
use kube::api::ListParams;
use serde_json::json;

use crate::{
    slowing::{enter_slow, two_dev_accounts},
    suite::{Case, case},
    support::{converge, entered},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![case("an_account_is_called_within_its_budget", small_budget, within_its_budget)]
}

/// Calls a second of IAM in each account, and at once.
const RATE: f64 = 8.0;
/// What the double sees closer together than it was sent: as many calls as are in flight at most.
const TOGETHER: f64 = 8.0;

fn small_budget() -> Setup {
    two_dev_accounts().flags(["--aws-budget=iam=8/8"])
}

fn names() -> impl Iterator<Item = String> {
    (0..16).map(|number| format!("many-{number}"))
}

async fn within_its_budget(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let other = enter_slow(scenario).await?;
    converge(scenario, &scenario.invoke("one")).await?;
    let mark = scenario.mark()?;
    for name in names() {
        let mut invoke = scenario.invoke(&name);
        invoke["spec"]["devAccount"]["id"] = json!(other);
        scenario.apply(&invoke).await?;
    }
    eventually("the other account is busy", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let sent = of_iam(&calls.0, &other).len();
        if sent >= 20 { Ok(()) } else { Err(format!("{sent} calls")) }
    })
    .await?;
    // A look in the first account, while the others wait for their turns.
    let begun = scenario.mark()?;
    scenario.touch("one", "look").await?;
    eventually("a look at the first account", DEADLINE, async || {
        let calls = scenario.calls_since(begun).map_err(|error| error.to_string())?;
        let looked = of_iam(&calls.0, &scenario.accounts.dev).iter().any(|call| call.operation == "GetRolePolicy");
        if looked { Ok(()) } else { Err("none".to_owned()) }
    })
    .await?;
    let objects = scenario.invokes().list(&ListParams::default()).await.context("the objects")?;
    let converged = objects.iter().filter(|object| objects::has_reason(object, "Converged")).count();
    assert!(converged < names().count(), "nobody waited any more");
    for name in names() {
        scenario.until_reason(&name, "Converged").await?;
    }
    let calls = scenario.calls_since(mark)?;
    let sent = of_iam(&calls.0, &other);
    assert!(sent.len() > 60, "too few calls to tell: {}", sent.len());
    no_faster_than(&sent, RATE, RATE);

    // Throttled once: what is saved up is gone, and half of the rate is left.
    scenario.aws().fault(Fault::next("GetRole", Effect::Throttle).by_account(&other)).context("the fault")?;
    let mark = scenario.mark()?;
    for name in names() {
        scenario.touch(&name, "again").await?;
    }
    eventually("every object was looked at", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let attached = |call: &&&Call| call.operation == "ListAttachedRolePolicies";
        let looks = of_iam(&calls.0, &other).iter().filter(attached).count();
        if looks >= names().count() { Ok(()) } else { Err(format!("{looks} looks")) }
    })
    .await?;
    let calls = scenario.calls_since(mark)?;
    let sent = of_iam(&calls.0, &other);
    let throttled = sent.iter().position(|call| call.outcome.contains("hrottl")).expect("a throttled call");
    let after = &sent[throttled..];
    assert!(after.len() > 40, "too few calls to tell: {}", after.len());
    // A tenth of the rate comes back a minute, which is one call a second more after as long as this may take.
    no_faster_than(after, RATE / 2.0 + 0.5, 0.0);
    let waited = r#"crossinvoke_aws_budget_wait_seconds_sum{service="iam"} "#;
    let seconds = scenario.controller()?.metric(waited).await?;
    assert!(seconds > 10.0, "{seconds} s");
    Ok(())
}

fn of_iam<'a>(calls: &'a [Call], account: &str) -> Vec<&'a Call> {
    calls.iter().filter(|call| call.service == "iam" && call.account == account).collect()
}

/// No stretch of these calls is more than a burst and what the rate allows for its time.
#[track_caller]
fn no_faster_than(calls: &[&Call], rate: f64, burst: f64) {
    for (first, begin) in calls.iter().enumerate() {
        for (last, end) in calls.iter().enumerate().skip(first) {
            let seconds = end.time.duration_since(begin.time).as_secs_f64();
            let allowed = rate.mul_add(seconds, burst + TOGETHER);
            let sent = f64::from(u32::try_from(last - first + 1).expect("a count"));
            assert!(sent <= allowed, "{sent} calls within {seconds} s, of which {allowed} are allowed");
        }
    }
}
