//! Every state of an AwsAccount.

use crossinvoke_harness::{
    Context as _, Result, Scenario,
    objects::{self, condition},
    wait::{DEADLINE, eventually, until_object},
};
use fakeaws::{Effect, Fault};
use kube::api::{DeleteParams, DynamicObject};
use serde_json::json;

use super::{
    create_boundary,
    verdicts::{State, check},
};
use crate::support::{converge, patch_account};

const HEALTHY: (&str, &str) = ("Healthy", "Current");
const DEGRADED: (&str, &str) = ("Degraded", "Failed");

pub(super) async fn states(scenario: &mut Scenario<'_>) -> Result<()> {
    let (mut states, name) = (Vec::new(), format!("{}-dev", scenario.namespace));
    let get = async |scenario: &Scenario<'_>| scenario.aws_accounts().get(&name).await.context("reading");
    states.push(State::before_a_look("no-status", &get(scenario).await?));
    let slow = Fault::next("AssumeRole", Effect::Delay { milliseconds: 3_000 });
    scenario.aws().fault(slow.times(2)).context("slow calls")?;
    scenario.start_controller().await?;
    let entering = scenario.until_account_reason(&name, "Progressing").await?;
    states.push(State::of("first-look", &entering, ("Progressing", "InProgress")));
    let refused = scenario.until_account_reason(&name, "InvalidBoundary").await?;
    states.push(State::of("invalid-boundary", &refused, DEGRADED).saying(scenario.accounts.boundary_arn()));
    create_boundary(scenario).await?;
    states.push(State::of("converged", &scenario.until_account_reason(&name, "Converged").await?, HEALTHY));

    // Whether an account grants anything has no effect on its health.
    let functions = |namespaces: &[&str]| {
        let namespaces = json!({"names": namespaces});
        let callers = json!([scenario.accounts.tools]);
        json!([{"name": "functions", "namespaces": namespaces, "functions": ["MyFunction"], "callers": callers}])
    };
    let (own, none) = (functions(&[&scenario.namespace]), functions(&["paymnets"]));
    let both = functions(&[&scenario.namespace, "paymnets"]);
    for (name, grants, reason) in
        [("grants-nothing", none, "GrantsNothing"), ("namespace-not-found", both, "NamespaceNotFound")]
    {
        patch_account(scenario, "dev", &json!({"spec": {"grants": grants}})).await?;
        let found = until(scenario, reason, |it| condition(it, "GrantsMatched") == Some(("False", reason))).await?;
        states.push(State::of(name, &found, HEALTHY));
    }
    patch_account(scenario, "dev", &json!({"spec": {"grants": own}})).await?;
    until(scenario, "Matched", |it| condition(it, "GrantsMatched") == Some(("True", "Matched"))).await?;

    scenario.controller()?.stop().await?;
    patch_account(scenario, "dev", &json!({"spec": {"externalID": "wrong"}})).await?;
    let edited = get(scenario).await?;
    assert_eq!(condition(&edited, "Ready"), Some(("True", "Converged")), "of the generation before");
    states.push(State::before_a_look("not-looked-at-since-the-edit", &edited));
    scenario.start_controller().await?;
    let denied = scenario.until_account_reason(&name, "AssumeRoleDenied").await?;
    states.push(State::of("stalled", &denied, DEGRADED));
    patch_account(scenario, "dev", &json!({"spec": {"externalID": scenario.accounts.external_id}})).await?;
    scenario.until_account_reason(&name, "Converged").await?;

    states.push(going(scenario, &name).await?);
    check(scenario, "AwsAccount", &states).await
}

/// An account that is being deleted and that an object still uses.
async fn going(scenario: &mut Scenario<'_>, name: &str) -> Result<State> {
    converge(scenario, &objects::cross_account_invoke(&scenario.accounts, &scenario.namespace, "validate")).await?;
    let used = |account: &DynamicObject| account.data["status"]["objects"] == 1;
    until(scenario, "it is in use", used).await?;
    scenario.aws_accounts().delete(name, &DeleteParams::default()).await.context("deleting")?;
    let events = ["get", "events", "--namespace=default", "--field-selector=reason=InUse", "--output=json"];
    let named = format!("{}/validate", scenario.namespace);
    eventually("an event says what it waits for", DEADLINE, async || {
        let said = scenario.kubectl().run(&events).await.map_err(|error| error.to_string())?;
        if said.contains(&named) { Ok(()) } else { Err(said) }
    })
    .await?;
    let going = scenario.aws_accounts().get(name).await.context("reading")?;
    let state = State::of("deleting", &going, ("Progressing", "Terminating"));
    scenario.delete("validate").await?;
    scenario.until_gone("validate").await?;
    let gone = |account: Option<&DynamicObject>| account.is_none();
    until_object(&scenario.aws_accounts(), name, "the account is gone", DEADLINE, gone).await?;
    // What it is entered as is no news about its deletion.
    Ok(state.without_ready().saying("the object's events say what it waits for"))
}

/// Waits until the dev account's status is about its present spec and so.
async fn until(scenario: &Scenario<'_>, what: &str, so: impl Fn(&DynamicObject) -> bool) -> Result<DynamicObject> {
    let name = format!("{}-dev", scenario.namespace);
    let there =
        |account: Option<&DynamicObject>| account.is_some_and(|it| objects::has_reason(it, "Converged") && so(it));
    let found = until_object(&scenario.aws_accounts(), &name, what, DEADLINE, there).await?;
    found.ok_or_else(|| crossinvoke_harness::Error::new(format!("{name} went away")))
}
