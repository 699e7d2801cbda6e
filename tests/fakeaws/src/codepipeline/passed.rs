//! What a declaration makes `CodePipeline` use on behalf of the caller who writes it: roles and connections.
//!
//! Sources: Service Authorization Reference, "AWS `CodePipeline`" (`iam:PassRole` with `iam:PassedToService` one of
//! `codepipeline`, `cloudformation` and `codebuild`; `codestar-connections:PassConnection`); awslabs/landing-zone-accelerator
//! #739 (an update is refused for `PassConnection` although the connection is unchanged).
//!
//! Not settled: whether AWS asks for the connection's right under its new name, `codeconnections`, as well. The double
//! asks for both, so that it never allows more than AWS.

use serde_json::Value;

use super::{
    declaration::{all_actions, category, stages, text},
    gates,
};
use crate::{
    error::ServiceError,
    state::{Caller, World},
};

/// A right that an operation on a declaration takes beside its own.
#[derive(Debug, Eq, PartialEq)]
struct Passed {
    action: &'static str,
    resource: String,
    /// The condition key that names the service, and the service.
    context: (&'static str, &'static str),
}

const PASSED_TO: &str = "iam:PassedToService";

/// Judges all of them, in the order of the declaration.
pub(super) fn authorize(world: &mut World, caller: &Caller, declaration: &Value) -> Result<(), ServiceError> {
    for Passed { action, resource, context } in needed(declaration, &caller.account) {
        world.authorize(caller, action, &resource, &[context])?;
    }
    if account_of(text(declaration, "roleArn")) != Some(&caller.account) {
        return Err(caller.service.access_denied("Cross-account pass role is not allowed."));
    }
    Ok(())
}

fn needed(declaration: &Value, account: &str) -> Vec<Passed> {
    let mut needed: Vec<Passed> = Vec::new();
    let mut add = |passed: Passed| {
        if !needed.contains(&passed) {
            needed.push(passed);
        }
    };
    let role = |resource: &str, service| Passed {
        action: "iam:PassRole",
        resource: resource.to_owned(),
        context: (PASSED_TO, service),
    };
    let pipeline_role = text(declaration, "roleArn");
    add(role(pipeline_role, "codepipeline.amazonaws.com"));
    let own = |arn: &str| account_of(arn) == Some(account);
    for (_, action) in all_actions(declaration) {
        let configuration = &action["configuration"];
        // A role of another account is passed there, by the action's role, when the action runs.
        let stack_role = text(configuration, "RoleArn");
        if text(&action["actionTypeId"], "provider").starts_with("CloudFormation") && own(stack_role) {
            add(role(stack_role, "cloudformation.amazonaws.com"));
        }
        if is_run_by_codebuild(action) {
            let runs_as = action.get("roleArn").and_then(Value::as_str).unwrap_or(pipeline_role);
            if own(runs_as) {
                add(role(runs_as, "codebuild.amazonaws.com"));
            }
        }
        let connection = text(configuration, "ConnectionArn");
        if category(action) == "Source" && !connection.is_empty() {
            for (action, key) in [
                ("codestar-connections:PassConnection", "codestar-connections:PassedToService"),
                ("codeconnections:PassConnection", "codeconnections:PassedToService"),
            ] {
                let context = (key, "codepipeline.amazonaws.com");
                add(Passed { action, resource: connection.to_owned(), context });
            }
        }
    }
    for rule in stages(declaration).iter().flat_map(gates::rules) {
        if text(&rule.declaration["ruleTypeId"], "provider") == "Commands" {
            let runs_as = rule.declaration.get("roleArn").and_then(Value::as_str).unwrap_or(pipeline_role);
            if own(runs_as) {
                add(role(runs_as, "codebuild.amazonaws.com"));
            }
        }
    }
    needed
}

/// Actions for which `CodePipeline` starts `CodeBuild` itself, with a role that it passes on (User Guide, "Commands action
/// reference", "ECRBuildAndPublish build action reference", "InspectorScan invoke action reference"). The action
/// Build/AWS/CodeBuild is none of them: its project has a role of its own.
fn is_run_by_codebuild(action: &Value) -> bool {
    let kind = &action["actionTypeId"];
    text(kind, "owner") == "AWS"
        && matches!(text(kind, "provider"), "Commands" | "ECRBuildAndPublish" | "InspectorScan")
}

fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4)
}
