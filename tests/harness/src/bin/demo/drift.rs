//! Somebody changes AWS by hand: what that does to a release, how it is told, and how it is put right.

use crossinvoke_harness::{Context as _, Result, Scenario, objects::condition};
use fakeaws::{Effect, Fault};
use kube::api::DynamicObject;

use crate::{
    acts::{boto3, expect, kubectl},
    releases,
    screen::Screen,
    story::{NAME, NAMESPACE},
};

pub(crate) async fn tell(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    tamper(screen, scenario).await?;
    report(screen, scenario).await?;
    repair(screen, scenario).await
}

async fn tamper(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step(
        "Somebody replaces the trust policy of the invoke role by one that trusts another account",
        "By hand, in the dev account. Nothing in the pipeline has changed, and the next release fails.",
    );
    let object = scenario.invokes().get(NAME).await.context("reading the object")?;
    let role = object.data["status"]["devAccount"]["invokeRoleARN"].as_str().unwrap_or_default();
    let role = role.rsplit('/').next().unwrap_or_default();
    let other = scenario.accounts.iam_arn(&scenario.accounts.platform, "root");
    let lines = [
        "import boto3, json",
        &format!("who = {{'Effect': 'Allow', 'Action': 'sts:AssumeRole', 'Principal': {{'AWS': '{other}'}}}}"),
        "trust = json.dumps({'Version': '2012-10-17', 'Statement': [who]})",
        "iam = boto3.client('iam')",
        &format!("iam.update_assume_role_policy(RoleName='{role}', PolicyDocument=trust)"),
    ];
    boto3(screen, scenario, &scenario.accounts.dev, &lines).await?;
    let (execution, _) = releases::run(screen, scenario).await?;
    releases::stopped(&execution)?;
    let message = execution.message_of(NAME);
    expect(message.contains("is not authorized to perform AssumeRole"), "a refused hop", &execution.to_string())?;
    screen.right("the release failed at the hop that is broken");
    Ok(())
}

async fn report(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step(
        "The controller finds the drift and says so",
        "It looks every 10 minutes; any annotation asks for a look at once.",
    );
    // The correction takes a fraction of a second.
    screen.say("So that there is time to read, the AWS double throttles the controller's correction for now.");
    let throttled = Fault::next("UpdateAssumeRolePolicy", Effect::Throttle).always();
    scenario.aws().fault(throttled).context("throttling the correction")?;
    look(screen, scenario, "now").await?;
    until(screen, scenario, "Correcting").await?;
    shows(screen, scenario, "Correcting").await?;
    let told = describe(screen, scenario, "Handling:").await?;
    for part in ["Trust", "Waiting", &scenario.accounts.platform] {
        expect(told.contains(part), part, &told)?;
    }
    screen.right("account, resource, field, what should be there and what is");
    Ok(())
}

async fn repair(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step(
        "It puts the trust policy right, and the next release passes",
        "AWS takes the correction now. What was found and corrected stays in the status for an hour.",
    );
    scenario.aws().clear_faults().context("no throttling")?;
    look(screen, scenario, "again").await?;
    until(screen, scenario, "Corrected").await?;
    shows(screen, scenario, "Corrected").await?;
    let told = describe(screen, scenario, "Corrected At:").await?;
    expect(told.contains("Corrected"), "a corrected item", &told)?;
    releases::succeeds(screen, scenario).await?;
    screen.right("the trust policy is what it was, and the release went out");
    Ok(())
}

async fn look(screen: &Screen, scenario: &Scenario<'_>, value: &str) -> Result<()> {
    let (namespace, value) = (format!("--namespace={NAMESPACE}"), format!("look={value}"));
    kubectl(screen, scenario, &["annotate", "crossaccountinvoke", NAME, &namespace, &value, "--overwrite"])
        .await
        .map(drop)
}

async fn until(screen: &Screen, scenario: &Scenario<'_>, reason: &str) -> Result<()> {
    let reached = |object: &DynamicObject| condition(object, "Drifted").is_some_and(|(_, seen)| seen == reason);
    let what = format!("Drifted with reason {reason}");
    screen.waiting("until it has looked", scenario.until(NAME, &what, reached)).await.map(drop)
}

/// The column Drift of `kubectl get`.
async fn shows(screen: &Screen, scenario: &Scenario<'_>, reason: &str) -> Result<()> {
    let namespace = format!("--namespace={NAMESPACE}");
    let table = kubectl(screen, scenario, &["get", "crossaccountinvoke", NAME, &namespace]).await?;
    expect(table.contains("DRIFT") && table.contains(reason), reason, &table)
}

/// Shows what `kubectl describe` says about the drift, and returns it.
async fn describe(screen: &Screen, scenario: &Scenario<'_>, _member: &str) -> Result<String> {
    let namespace = format!("--namespace={NAMESPACE}");
    let arguments = ["describe", "crossaccountinvoke", NAME, &namespace];
    screen.command(&format!("kubectl {}   # its part about the drift", arguments.join(" ")));
    let all = scenario.kubectl().run(&arguments).await?;
    screen.show(&all);
    Ok(all)
}
