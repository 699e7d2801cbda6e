//! Somebody changes AWS by hand: what that does to a release, how it is told, and how it is put right.

use crossinvoke_harness::{Context as _, Result, Scenario, objects::condition};
use fakeaws::{Effect, Fault};
use kube::api::DynamicObject;

use crate::{
    acts::{boto3, expect, invoke_role, kubectl},
    releases,
    screen::Screen,
    story::{NAME, NAMESPACE},
};

pub(crate) async fn tell(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    let good = scenario.configuration()?;
    tamper(screen, scenario).await?;
    report(screen, scenario).await?;
    repair(screen, scenario).await?;
    scenario.assert_as_before(&good)?;
    screen.right("AWS has again what it had before somebody changed it, and the release went out");
    Ok(())
}

async fn tamper(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step(
        "Somebody replaces the trust policy of the invoke role by one that trusts another account",
        "By hand, in the dev account. Nothing in the pipeline has changed, and the next release fails.",
    );
    let role = invoke_role(scenario).await?;
    let role = role.rsplit('/').next().unwrap_or_default();
    let other = scenario.accounts.iam_arn(&scenario.accounts.platform, "root");
    let lines = [
        "import boto3, json",
        &format!("who = {{'Effect': 'Allow', 'Action': 'sts:AssumeRole', 'Principal': {{'AWS': '{other}'}}}}"),
        "trust = json.dumps({'Version': '2012-10-17', 'Statement': [who]})",
        "iam = boto3.client('iam')",
        &format!("iam.update_assume_role_policy(RoleName='{role}', PolicyDocument=trust)"),
    ];
    screen.say(&format!("As the dev account {}:", scenario.accounts.dev));
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
        "It looks every 10 minutes; this annotation asks for a look at once.",
    );
    // The correction takes a fraction of a second.
    screen.say("So that there is time to read, the AWS double throttles the controller's correction for now.");
    let throttled = Fault::next("UpdateAssumeRolePolicy", Effect::Throttle).always();
    scenario.aws().fault(throttled).context("throttling the correction")?;
    look(screen, scenario, "now").await?;
    until(screen, scenario, "Correcting").await?;
    shows(screen, scenario, "Correcting").await?;
    let told = describe(screen, scenario).await?;
    let (accounts, role) = (&scenario.accounts, invoke_role(scenario).await?);
    let items: [(&str, &str); 6] = [
        ("Account:", &accounts.dev),
        ("Resource:", &role),
        ("Field:", "trustPolicy"),
        ("Desired:", &accounts.iam_arn(&accounts.tools, "root")),
        ("Observed:", &accounts.iam_arn(&accounts.platform, "root")),
        ("Handling:", "Waiting"),
    ];
    expect(told.contains("no longer trusted pipeline role"), "a sentence that says it", &told)?;
    for (field, value) in items {
        let said = told.lines().any(|line| line.trim_start().starts_with(field) && line.contains(value));
        expect(said, &format!("{field} {value}"), &told)?;
    }
    screen.right("it says account, resource and field, what should be there and what is");
    Ok(())
}

async fn repair(screen: &mut Screen, scenario: &Scenario<'_>) -> Result<()> {
    screen.step(
        "It corrects the trust policy, and the next release passes",
        "AWS takes the correction now. What was found and corrected stays in the status for an hour.",
    );
    scenario.aws().clear_faults().context("no throttling")?;
    look(screen, scenario, "again").await?;
    until(screen, scenario, "Corrected").await?;
    shows(screen, scenario, "Corrected").await?;
    let told = describe(screen, scenario).await?;
    for part in ["; corrected at 20", "Corrected At:"] {
        expect(told.contains(part), part, &told)?;
    }
    releases::succeeds(screen, scenario).await
}

async fn look(screen: &Screen, scenario: &Scenario<'_>, value: &str) -> Result<()> {
    let (namespace, value) =
        (format!("--namespace={NAMESPACE}"), format!("crossinvoke.dev/reconcile-requested-at={value}"));
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
async fn describe(screen: &Screen, scenario: &Scenario<'_>) -> Result<String> {
    let namespace = format!("--namespace={NAMESPACE}");
    let arguments = ["describe", "crossaccountinvoke", NAME, &namespace];
    screen.command(&format!(
        "kubectl {}   # shortened to the condition Drifted, the items, the events",
        arguments.join(" ")
    ));
    let told = about_drift(&scenario.kubectl().run(&arguments).await?);
    screen.show(&told);
    Ok(told)
}

/// What a description says about drift: a condition begins with its time, a member of the status is indented by two.
fn about_drift(description: &str) -> String {
    let lines: Vec<&str> = description.lines().collect();
    let begins_condition = |line: &&str| line.starts_with("    Last Transition Time:");
    let is_drifted = |line: &&str| line.split_whitespace().eq(["Type:", "Drifted"]);
    let end = lines.iter().position(is_drifted).map_or(0, |end| end + 1);
    let start = lines[..end].iter().rposition(begins_condition).unwrap_or(end);
    let items = lines.iter().skip_while(|line| **line != "  Drift:");
    let items = items.enumerate().take_while(|(index, line)| *index == 0 || line.starts_with("   "));
    let is_told = |line: &&&str| line.split_whitespace().nth(1).is_some_and(|is| is == "Drifted" || is == "Corrected");
    let events = lines.iter().skip_while(|line| **line != "Events:").filter(is_told);
    let told = lines[start..end].iter().chain(items.map(|(_, line)| line)).chain(events);
    told.copied().collect::<Vec<_>>().join("\n")
}
