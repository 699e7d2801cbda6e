//! What the people of the demo do: what is shown as typed is what is run.

use crossinvoke_harness::{Context as _, Error, Result, Scenario};
use serde_json::Value;

use crate::{screen::Screen, story::NAME};

/// Runs kubectl, shows command and output, and returns the output.
pub(crate) async fn kubectl(screen: &Screen, scenario: &Scenario<'_>, arguments: &[&str]) -> Result<String> {
    screen.command(&format!("kubectl {}", arguments.join(" ")));
    let said = screen.waiting("kubectl", scenario.kubectl().run(arguments)).await?;
    screen.show(&said);
    Ok(said)
}

/// Runs lines of Python as the root of an account, shows lines and output, and returns the output.
pub(crate) async fn boto3(screen: &Screen, scenario: &Scenario<'_>, account: &str, lines: &[&str]) -> Result<String> {
    for line in lines {
        screen.python(line);
    }
    let said = screen.waiting("python", scenario.boto3(account, &lines.join("\n"))).await?;
    screen.show(&said);
    Ok(said)
}

/// Writes an object to a file of this name, and applies it as its author would.
pub(crate) async fn apply(screen: &Screen, scenario: &Scenario<'_>, file: &str, object: &Value) -> Result<()> {
    let text = yaml(object)?;
    let path = scenario.folder().join(file);
    std::fs::write(&path, &text).context(format_args!("writing {}", path.display()))?;
    screen.command(&format!("kubectl apply --server-side -f {file}"));
    screen.show(&text);
    let said = scenario.kubectl().apply(&text).await?;
    screen.right(said.trim());
    Ok(())
}

/// A value as a person would read it.
pub(crate) fn yaml(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).context("showing a value")
}

/// Fails with what was seen where something else was expected.
pub(crate) fn expect(right: bool, what: &str, seen: &str) -> Result<()> {
    if right { Ok(()) } else { Err(Error::new(format!("expected {what}; saw:\n{seen}"))) }
}

/// The ARN of the invoke role, from the object's status.
pub(crate) async fn invoke_role(scenario: &Scenario<'_>) -> Result<String> {
    let object = scenario.invokes().get(NAME).await.context("reading the object")?;
    let role = object.data["status"]["devAccount"]["invokeRoleARN"].as_str();
    role.map(str::to_owned).ok_or_else(|| Error::new("the status names no invoke role"))
}
