//! The five parts as AWS holds them, found by what they must say and not by what the status says.

use crossinvoke_harness::{
    Accounts, Context as _, Error, Result,
    accounts::{EXECUTION_ROLE, FUNCTION, PIPELINE, PIPELINE_ROLE},
};
use serde_json::Value;

/// One part of the five.
#[derive(Debug)]
pub(crate) struct Part {
    /// Which part, in words.
    pub(crate) title: String,
    /// What it is in AWS.
    pub(crate) content: Value,
}

/// The five parts, or which one is missing or says something else.
pub(crate) fn parts(accounts: &Accounts, configuration: &Value) -> Result<Vec<Part>> {
    let tools = &configuration["accounts"][&accounts.tools];
    let dev = &configuration["accounts"][&accounts.dev];
    let policy = |part: &str| format!("crossinvoke-{}-{part}", accounts.installation_id);

    let (role_name, role) = invoke_role(accounts, dev)?;
    let trust =
        part("T1 invoke role, dev account: trust", &role["trust"], &[&accounts.pipeline_role_arn(), &accounts.tools])?;
    let invoke = &role["inlinePolicies"][policy("invoke")];
    let invoke = part(
        "P1 its policy: invoke the one function",
        invoke,
        &["lambda:InvokeFunction", &format!("function:{FUNCTION}")],
    )?;
    let callback = &dev["roles"][EXECUTION_ROLE]["inlinePolicies"][policy("callback")];
    let answers = ["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"];
    let callback = part("P2 execution role, dev account: answer the pipeline", callback, &answers)?;
    let role_arn = accounts.iam_arn(&accounts.dev, &format!("role{}{role_name}", role["path"].as_str().unwrap_or("/")));
    let assume = &tools["roles"][PIPELINE_ROLE]["inlinePolicies"][policy("assume")];
    let assume =
        part("P3 pipeline role, tools account: assume the invoke role", assume, &["sts:AssumeRole", &role_arn])?;
    let pipeline = &tools["pipelines"][&accounts.region][PIPELINE];
    let action = part("P4 action in the pipeline, tools account", action(pipeline)?, &[&role_arn, FUNCTION])?;
    Ok(vec![trust, invoke, callback, assume, action])
}

/// The stages of the pipeline, in order.
pub(crate) fn stages(accounts: &Accounts, configuration: &Value) -> String {
    let pipeline = &configuration["accounts"][&accounts.tools]["pipelines"][&accounts.region][PIPELINE];
    let stages = pipeline["stages"].as_array().map_or(&[][..], Vec::as_slice);
    stages.iter().filter_map(|stage| stage["name"].as_str()).collect::<Vec<_>>().join(" > ")
}

/// The one role that carries our owner tag.
fn invoke_role<'a>(accounts: &Accounts, dev: &'a Value) -> Result<(&'a String, &'a Value)> {
    let roles = dev["roles"].as_object().context_missing("roles in the dev account")?;
    let ours = |role: &Value| role["tags"]["crossinvoke.dev/installation"] == accounts.installation_id.as_str();
    roles.iter().find(|(_, role)| ours(role)).context_missing("a role with our tags in the dev account")
}

fn action(pipeline: &Value) -> Result<&Value> {
    let stages = pipeline["stages"].as_array().context_missing("stages in the pipeline")?;
    let mut actions = stages.iter().filter_map(|stage| stage["actions"].as_array()).flatten();
    let lambda = |action: &&Value| action["actionTypeId"]["provider"] == "Lambda";
    actions.find(lambda).context_missing("a Lambda action in the pipeline")
}

/// A part that is there and names all of these.
fn part(title: &str, content: &Value, names: &[&str]) -> Result<Part> {
    if content.is_null() {
        return Err(Error::new(format!("{title}: it is not there")));
    }
    let text = content.to_string();
    let missing: Vec<&str> = names.iter().copied().filter(|name| !text.contains(name)).collect();
    if missing.is_empty() {
        return Ok(Part { title: title.to_owned(), content: content.clone() });
    }
    let shown = serde_json::to_string_pretty(content).context(title)?;
    Err(Error::new(format!("{title}: it does not name {}; it is\n{shown}", missing.join(", "))))
}

/// An absence as a failure.
trait Missing<T> {
    fn context_missing(self, what: &str) -> Result<T>;
}

impl<T> Missing<T> for Option<T> {
    fn context_missing(self, what: &str) -> Result<T> {
        self.ok_or_else(|| Error::new(format!("there is no such thing as {what}")))
    }
}
