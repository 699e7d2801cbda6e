//! The objects that a platform team and a tenant would write, as values that a scenario changes before it applies them.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::accounts::{Accounts, FUNCTION, PIPELINE};

/// `CrossAccountInvoke`, for clients that know no types.
#[must_use]
pub fn cross_account_invokes() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("crossinvoke.dev", "v1alpha1", "CrossAccountInvoke"))
}

/// `AwsAccount`, for clients that know no types.
#[must_use]
pub fn aws_accounts() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("crossinvoke.dev", "v1alpha1", "AwsAccount"))
}

/// The tools account's `AwsAccount`: it lets one namespace edit the pipeline.
#[must_use]
pub fn tools_account(accounts: &Accounts, namespace: &str) -> Value {
    json!({
        "apiVersion": "crossinvoke.dev/v1alpha1",
        "kind": "AwsAccount",
        "metadata": {"name": format!("{namespace}-tools")},
        "spec": {
            "accountID": accounts.tools,
            "roleARN": accounts.controller_role_arn(&accounts.tools),
            "grants": [{
                "name": "pipelines",
                "namespaces": {"names": [namespace]},
                "pipelines": ["payments-*"],
            }],
        },
    })
}

/// The dev account's `AwsAccount`: it lets the same namespace have its function invoked from the tools account.
#[must_use]
pub fn dev_account(accounts: &Accounts, namespace: &str) -> Value {
    let mut account = json!({
        "apiVersion": "crossinvoke.dev/v1alpha1",
        "kind": "AwsAccount",
        "metadata": {"name": format!("{namespace}-dev")},
        "spec": {
            "accountID": accounts.dev,
            "roleARN": accounts.controller_role_arn(&accounts.dev),
            "externalID": accounts.external_id,
            "grants": [{
                "name": "functions",
                "namespaces": {"names": [namespace]},
                "functions": [FUNCTION],
                "callers": [accounts.tools],
            }],
            "invokeRoles": {"allowedTagKeys": ["team"]},
        },
    });
    if accounts.bounded {
        account["spec"]["invokeRoles"]["permissionsBoundaryARN"] = json!(accounts.boundary_arn());
    }
    account
}

/// A `CrossAccountInvoke` that makes a new stage behind Build and invokes the function from it.
#[must_use]
pub fn cross_account_invoke(accounts: &Accounts, namespace: &str, name: &str) -> Value {
    let mut dev = json!({"id": accounts.dev});
    if accounts.function_region != accounts.region {
        dev["region"] = json!(accounts.function_region);
    }
    json!({
        "apiVersion": "crossinvoke.dev/v1alpha1",
        "kind": "CrossAccountInvoke",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "toolsAccount": {"id": accounts.tools, "region": accounts.region},
            "devAccount": dev,
            "pipeline": {"name": PIPELINE},
            "stage": {"name": "Validate", "position": {"after": "Build"}},
            "function": {"name": FUNCTION},
        },
    })
}

/// A condition of an object: its status and reason.
#[must_use]
pub fn condition<'a>(object: &'a DynamicObject, kind: &str) -> Option<(&'a str, &'a str)> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    Some((condition["status"].as_str()?, condition["reason"].as_str()?))
}

/// All conditions of an object, in their order, as `Ready=True Converged`.
#[must_use]
pub fn all_conditions(object: &DynamicObject) -> Vec<String> {
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let word = |condition: &Value, member: &str| condition[member].as_str().unwrap_or_default().to_owned();
    let words =
        conditions.iter().map(|it| format!("{}={} {}", word(it, "type"), word(it, "status"), word(it, "reason")));
    words.collect()
}

/// The message of one of an object's conditions.
#[must_use]
pub fn message_of(object: &DynamicObject, kind: &str) -> String {
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.and_then(|found| found["message"].as_str()).unwrap_or_default().to_owned()
}

/// Whether the object's status is about its present spec and its `Ready` condition has this reason.
#[must_use]
pub fn has_reason(object: &DynamicObject, reason: &str) -> bool {
    let current = object.metadata.generation == object.data["status"]["observedGeneration"].as_i64();
    current && condition(object, "Ready").is_some_and(|(_, seen)| seen == reason)
}
