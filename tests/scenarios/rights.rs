//! The IAM policies that are shipped for the controller's own identities hold what it calls, neither more nor less.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use crossinvoke_harness::is_of_controller;
use fakeaws::Call;
use libtest_mimic::Failed;
use serde_json::Value;

/// IAM actions that were asked for in all scenarios, by the kind of account they were asked in.
static CALLED: Mutex<BTreeMap<&str, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Notes what the controller's identities asked for in one scenario. Account ids begin with a digit for their kind.
pub(crate) fn note(calls: &[Call]) {
    let mut called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    for call in calls.iter().filter(|call| is_of_controller(call)) {
        let file = match call.account.bytes().next() {
            Some(b'1') => "tools",
            Some(b'2') => "dev",
            Some(b'3') => "controller",
            _ => continue,
        };
        called.entry(file).or_default().extend(call.authorised.iter().map(|right| right.action.clone()));
    }
}

/// Compares.
pub(crate) fn check() -> Result<(), Failed> {
    let called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    for file in ["controller", "tools", "dev"] {
        let path = crossinvoke_harness::repository().join(format!("deploy/iam/{file}.json"));
        let policy: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let statements = policy["Statement"].as_array().ok_or("no statements")?;
        let shipped: BTreeSet<String> = statements
            .iter()
            .flat_map(|statement| match &statement["Action"] {
                Value::Array(actions) => actions.clone(),
                one => vec![one.clone()],
            })
            .filter_map(|action| action.as_str().map(str::to_owned))
            .collect();
        let called = called.get(file).cloned().unwrap_or_default();
        if shipped != called {
            let missing: Vec<_> = called.difference(&shipped).collect();
            let idle: Vec<_> = shipped.difference(&called).collect();
            return Err(format!(
                "deploy/iam/{file}.json: called and not shipped {missing:?}, shipped and not called {idle:?}"
            )
            .into());
        }
    }
    Ok(())
}
