//! The IAM policies that are shipped for the controller's own identities hold what it calls, neither more nor less.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

use crossinvoke_harness::{
    Accounts, Context as _, Result, is_of_controller,
    rights::{Rendering, normalised},
};
use fakeaws::Call;
use libtest_mimic::Failed;
use serde_json::Value;

use crate::suite::{Case, own_bench};

/// IAM actions that were asked for in all scenarios, each with a scenario that asked, by the shipped policy that allows
/// them.
static CALLED: Mutex<BTreeMap<&str, BTreeMap<String, &'static str>>> = Mutex::new(BTreeMap::new());

/// Notes what the controller's identities asked for in one scenario. Account ids begin with a digit for their kind.
pub(crate) fn note(scenario: &'static str, accounts: &Accounts, calls: &[Call]) {
    let mut called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    for call in calls.iter().filter(|call| is_of_controller(call)) {
        let file = match call.account.bytes().next() {
            Some(b'1') => accounts.tools_rights(),
            Some(b'2') => accounts.dev_rights(),
            Some(b'3') => "controller",
            _ => continue,
        };
        let actions = call.authorised.iter().map(|right| (right.action.clone(), scenario));
        called.entry(file).or_default().extend(actions);
    }
}

/// The rights that are shipped for a dev account without a boundary.
const UNBOUNDED: &str = "dev-without-boundary";

/// What is asked for without the right to it, to learn whether it is there.
const TRIED: [&str; 2] = ["iam:GetAccountAuthorizationDetails", "lambda:ListFunctions"];

/// What is shipped although no scenario calls it, and why.
const NOT_CALLED: [(&str, &str, &str); 1] =
    [("tools", "codeconnections:PassConnection", "the newer name of codestar-connections:PassConnection")];

/// Compares each rendering with what was called.
pub(crate) fn check() -> std::result::Result<(), Failed> {
    let called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    let accounts = Accounts::of_demo();
    let called_with = |file: &str| {
        let mut called = called.get(file).cloned().unwrap_or_default();
        called.retain(|action, _| is_bulk(file) || !TRIED.contains(&action.as_str()));
        called
    };
    for (kind, file) in [
        ("controller", "controller"),
        ("tools", "tools"),
        ("tools", "tools-bulk-reads"),
        ("dev", "dev"),
        ("dev", "dev-bulk-reads"),
        ("dev", UNBOUNDED),
    ] {
        // Few scenarios have the rights without a boundary, or with bulk reads: these must hold all that those called, and
        // no action that nobody calls with the others.
        let (own, mut all) = (called_with(file), called_with(kind));
        if is_bulk(file) {
            all.extend(own.clone());
        }
        if own.is_empty() {
            return Err(format!("nothing was called with {file}").into());
        }
        for rendering in Rendering::ALL {
            let shipped = actions(&accounts.rights(file, rendering).map_err(|error| error.to_string())?);
            let missing: Vec<_> = own.iter().chain(&all).filter(|(action, _)| !shipped.contains(*action)).collect();
            let reasoned = |action: &String| NOT_CALLED.iter().any(|(of, name, _)| *of == kind && name == action);
            let idle: Vec<_> =
                shipped.iter().filter(|action| !all.contains_key(*action) && !reasoned(action)).collect();
            if !missing.is_empty() || !idle.is_empty() {
                let text = format!("{file} as {rendering:?}: called and not shipped {missing:?}");
                return Err(format!("{text}, shipped and neither called nor explained {idle:?}").into());
            }
        }
    }
    for (kind, action, _) in NOT_CALLED {
        let shipped = actions(&accounts.rights(kind, Rendering::Policy).map_err(|error| error.to_string())?);
        if !shipped.contains(action) {
            return Err(format!("{action} is explained, but not shipped for {kind}").into());
        }
    }
    Ok(())
}

fn is_bulk(file: &str) -> bool {
    file.ends_with("-bulk-reads")
}

/// The actions that a policy allows.
fn actions(policy: &Value) -> BTreeSet<String> {
    let policy = normalised(policy);
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    let allowing = statements.iter().filter(|statement| statement["Effect"] == "Allow");
    let actions = allowing.flat_map(|statement| statement["Action"].as_array().cloned().unwrap_or_default());
    actions.filter_map(|action| action.as_str().map(str::to_owned)).collect()
}

pub(crate) fn scenarios() -> Vec<Case> {
    vec![own_bench("the_command_prints_the_rights_that_the_scenarios_run_with", prints_the_rights)]
}

/// The policies that `crossinvoke iam` prints with an account's values are those that every scenario's accounts are made
/// of; what cannot be used ends it with 2, and what is missing is listed on stderr.
async fn prints_the_rights(controller: PathBuf) -> Result<()> {
    let accounts = Accounts::of_demo();
    let print = |options: &str| {
        let output = Command::new(&controller).arg("iam").args(options.split_whitespace()).output();
        output.context("crossinvoke iam")
    };
    let (tools, dev) = (&accounts.tools, &accounts.dev);
    let options = [
        ("controller", format!("--for controller --account-id {tools} --account-id {dev}")),
        (
            "tools",
            format!(
                "--for tools --account-id {tools} --pipeline payments-* \
                 --pipeline-role-arn arn:aws:iam::{tools}:role/service-role/* \
                 --codebuild-role-arn arn:aws:iam::{tools}:role/service-role/* \
                 --cloudformation-role-arn arn:aws:iam::{tools}:role/payments-cloudformation \
                 --connection-arn arn:aws:codeconnections:*:{tools}:connection/*"
            ),
        ),
        (
            "dev",
            format!(
                "--for dev --account-id {dev} --function MyFunction* --boundary-arn {} \
                 --execution-role-arn arn:aws:iam::{dev}:role/service-role/*",
                accounts.boundary_arn()
            ),
        ),
        ("boundary", format!("--for boundary --account-id {dev} --function MyFunction*")),
    ];
    for (name, options) in options {
        let output = print(&options)?;
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let printed: Value = serde_json::from_slice(&output.stdout).context(name)?;
        assert_eq!(normalised(&printed), normalised(&accounts.rights(name, Rendering::CloudFormation)?), "{name}");
    }
    let output = print("--for tools --pipeline payments-release")?;
    let listed = String::from_utf8_lossy(&output.stderr).into_owned();
    for placeholder in ["${ToolsAccountId}", "${PipelineRoleArn}", "${ConnectionArn}"] {
        assert!(listed.contains(placeholder), "{listed}");
    }
    assert!(output.status.success());
    let output = print("--for dev --execution-role-arn arn:aws:iam::222222222222:role/*")?;
    let refused = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(refused.contains("grant itself any right"), "{refused}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    Ok(())
}
