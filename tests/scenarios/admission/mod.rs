//! What the API server refuses at apply, and in which words; and that it takes what is right.
//!
//! Objects are sent as dry runs, so nothing has to be cleaned up; an update needs something to update, which is made
//! for real and deleted again. `UPDATE_GOLDENS=1` writes the golden file anew: read it as somebody who sees only the
//! message.

#![allow(
    clippy::panic,
    clippy::unwrap_in_result,
    reason = "a test with its own main, which clippy does not take for one"
)]

mod accepted;
mod manifests;
mod refused_accounts;
mod refused_invokes;

use std::{collections::BTreeSet, fmt::Write as _};

use crossinvoke::{
    api::{AwsAccount, CrossAccountInvoke},
    domain::{ids::ObjectKey, validate::validate},
};
use crossinvoke_harness::{Setup, objects};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{suite, support};

pub(crate) fn scenarios() -> Vec<suite::Case> {
    let without_controller = || Setup::default().without_controller();
    vec![
        suite::case("refusals_match_the_golden_file", without_controller, async |scenario| {
            refusals_match_the_golden_file(scenario.client.clone(), &scenario.namespace).await;
            Ok(())
        }),
        suite::case("accepted_objects_are_accepted", without_controller, async |scenario| {
            accepted_objects_are_accepted(scenario.client.clone(), &scenario.namespace).await;
            Ok(())
        }),
        suite::case(
            "manifests_mean_the_same_however_they_are_applied",
            without_controller,
            manifests::manifests_mean_the_same_however_they_are_applied,
        ),
        suite::case("a_variable_without_quotes_is_told_in_the_status", Setup::default, manifests::without_quotes),
    ]
}

/// Which of the two kinds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    CrossAccountInvoke,
    AwsAccount,
}

/// An object, told by what distinguishes it from a right one.
struct Case {
    /// The object's name too, if the case does not say otherwise.
    name: &'static str,
    kind: Kind,
    /// A merge patch in YAML on the right object; `null` removes.
    object: String,
    /// What is done to the object then.
    then: Option<Then>,
}

/// How an object is updated.
enum Then {
    /// By this merge patch in YAML.
    Merge(&'static str),
    /// By applying the right object with this merge patch in YAML, server-side as before.
    Apply(&'static str),
}

/// A right object but for this.
fn create(kind: Kind, name: &'static str, object: impl Into<String>) -> Case {
    Case { name, kind, object: object.into(), then: None }
}

/// An object that is right, and what is then to be changed.
fn update(kind: Kind, name: &'static str, object: &str, update: &'static str) -> Case {
    Case { name, kind, object: object.to_owned(), then: Some(Then::Merge(update)) }
}

/// An object that is right and applied server-side, and what is then applied in its place.
fn apply(kind: Kind, name: &'static str, object: &str, then: &'static str) -> Case {
    Case { name, kind, object: object.to_owned(), then: Some(Then::Apply(then)) }
}

/// Sends every case that must be refused and compares the messages with the golden file.
pub(crate) async fn refusals_match_the_golden_file(client: Client, namespace: &str) {
    let cases: Vec<Case> = refused_invokes::cases().into_iter().chain(refused_accounts::cases()).collect();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases of one name");
    let mut found = String::new();
    for case in &cases {
        let error = case.send(&client, namespace).await.err();
        let message = error.unwrap_or_else(|| panic!("{} was not refused: {}", case.name, case.object));
        let refusals = told(case, &message).join("\n    ");
        writeln!(found, "{}\n    {refusals}", case.name).expect("a text takes what is written");
    }
    support::compare_with_golden("admission/refusals.golden", &found);
}

/// Sends every case that must be taken; what the API server then stores is what the controller can read.
pub(crate) async fn accepted_objects_are_accepted(client: Client, namespace: &str) {
    let mut refused = Vec::new();
    for case in accepted::cases() {
        if let Err(message) = case.send(&client, namespace).await.and_then(|object| read(case.kind, &object)) {
            refused.push(format!("{}: {message}", case.name));
        }
    }
    assert!(refused.is_empty(), "refused, but right:\n{}", refused.join("\n"));
}

/// What the controller makes of a stored object.
fn read(kind: Kind, object: &DynamicObject) -> Result<(), String> {
    let value = serde_json::to_value(object).expect("an object");
    match kind {
        Kind::AwsAccount => serde_json::from_value::<AwsAccount>(value).map(|_| ()).map_err(|error| error.to_string()),
        Kind::CrossAccountInvoke => {
            let invoke: CrossAccountInvoke = serde_json::from_value(value).map_err(|error| error.to_string())?;
            let key = ObjectKey { namespace: "payments".to_owned(), name: invoke.name_any() };
            let installation = "k3v9q2m7xa".parse().expect("an installation id");
            validate(&key, &invoke.spec, &installation).map(|_| ()).map_err(|blocker| blocker.message)
        }
    }
}

impl Case {
    /// What the API server makes of it, or why it refuses.
    async fn send(&self, client: &Client, namespace: &str) -> Result<DynamicObject, String> {
        let api: Api<DynamicObject> = match self.kind {
            Kind::CrossAccountInvoke => {
                Api::namespaced_with(client.clone(), namespace, &objects::cross_account_invokes())
            }
            Kind::AwsAccount => Api::all_with(client.clone(), &objects::aws_accounts()),
        };
        let object = self.object_with(&self.object);
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        let applying = PatchParams::apply("admission");
        let outcome = match self.then {
            None => {
                let object: DynamicObject = serde_json::from_value(object).expect("an object");
                api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await
            }
            Some(Then::Merge(then)) => {
                api.patch(self.name, &applying, &Patch::Apply(object)).await.expect("what is to be updated is right");
                api.patch(self.name, &dry_run, &Patch::Merge(yaml(then))).await
            }
            Some(Then::Apply(then)) => {
                api.patch(self.name, &applying, &Patch::Apply(object)).await.expect("what is to be updated is right");
                api.patch(self.name, &applying.clone().dry_run(), &Patch::Apply(self.object_with(then))).await
            }
        };
        if self.then.is_some() {
            api.delete(self.name, &DeleteParams::default()).await.expect("what was made is deleted");
        }
        outcome.map_err(|error| message_of(self.name, error))
    }

    /// The right object with this merge patch in YAML.
    fn object_with(&self, patch: &str) -> Value {
        let mut object = self.right_object();
        support::merge(&mut object, &yaml(patch));
        object
    }

    /// The smallest object of the kind that is accepted.
    fn right_object(&self) -> Value {
        let spec = match self.kind {
            Kind::CrossAccountInvoke => json!({
                "toolsAccount": {"id": "111111111111", "region": "us-east-1"},
                "devAccount": {"id": "222222222222"},
                "pipeline": {"name": "payments-release"},
                "stage": {"name": "Validate"},
                "function": {"name": "MyFunction"},
            }),
            // No account of another scenario, which would find two AwsAccounts of one id.
            Kind::AwsAccount => json!({"accountID": "990000000001"}),
        };
        let kind = format!("{:?}", self.kind);
        json!({"apiVersion": "crossinvoke.dev/v1alpha1", "kind": kind, "metadata": {"name": self.name}, "spec": spec})
    }
}

fn message_of(case: &str, error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 422 => status.message,
        other => panic!("{case}: the API server did not validate it: {other}"),
    }
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The refusals in a message: one per field, without the object's name, long runs of one character shortened.
fn told(case: &Case, message: &str) -> Vec<String> {
    let name = yaml(&case.object)["metadata"]["name"].as_str().unwrap_or(case.name).to_owned();
    let prefix = format!("{:?}.crossinvoke.dev \"{name}\" is invalid: ", case.kind);
    let rest = message.strip_prefix(&prefix).unwrap_or_else(|| panic!("{}: not a refusal: {message}", case.name));
    let list = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(rest);
    let mut told: Vec<String> = list
        .replace(", spec", "\0spec")
        .replace(", <nil>", "\0<nil>")
        .split('\0')
        .map(shortened)
        // Kubernetes' own addition to a wrong type.
        .filter(|refusal| !refusal.contains("some validation rules were not checked"))
        .collect();
    // The API server goes through a struct's fields in no fixed order.
    told.sort();
    // A bare number or regex helps nobody; these are the API server's own words that say what to do.
    let helpful =
        ["for example", "supported values: ", "Required value", "must have at most", "Duplicate value", "of type"];
    for refusal in &told {
        assert!(helpful.iter().any(|words| refusal.contains(words)), "{}: no help: {refusal}", case.name);
    }
    told
}

/// `aaaa…` as `a{101}`.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = rest.trim_start_matches(first);
        let run = &rest[..rest.len() - after.len()];
        let count = run.chars().count();
        if count > 20 {
            write!(short, "{first}{{{count}}}").expect("a text takes what is written");
        } else {
            short += run;
        }
        rest = after;
    }
    short
}
