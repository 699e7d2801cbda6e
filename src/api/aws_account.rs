//! `AwsAccount`: the gate to one account, made by the platform team.
#![allow(unreachable_pub, reason = "the schema derive copies each struct into a function body")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{lenient::lenient, null, rules};

/// How the controller enters an account, and what it may do there for whom.
#[derive(Clone, CustomResource, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "crossinvoke.dev",
    version = "v1alpha1",
    kind = "AwsAccount",
    plural = "awsaccounts",
    shortname = "awsa",
    category = "aws",
    category = "crossinvoke",
    selectable = ".spec.accountID",
    status = "AwsAccountStatus",
    doc = "The gate to one AWS account: how the controller enters it, and which namespaces may ask for what in it."
)]
#[kube(printcolumn = r#"{"name": "Account", "type": "string", "jsonPath": ".spec.accountID"}"#)]
#[kube(
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#
)]
#[kube(
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#
)]
#[kube(printcolumn = r#"{"name": "Objects", "type": "integer", "jsonPath": ".status.objects"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[kube(
    printcolumn = r#"{"name": "Grants", "type": "string", "priority": 1, "jsonPath": ".status.conditions[?(@.type==\"GrantsMatched\")].reason"}"#
)]
#[kube(printcolumn = r#"{"name": "Checked", "type": "date", "priority": 1, "jsonPath": ".status.lastCheckedAt"}"#)]
#[kube(printcolumn = r#"{"name": "Caller", "type": "string", "priority": 1, "jsonPath": ".status.callerARN"}"#)]
#[kube(
    printcolumn = r#"{"name": "Message", "type": "string", "priority": 1, "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::role_in_account())]
#[x_kube(validation = rules::role_path_immutable())]
#[x_kube(validation = rules::boundary_in_account())]
pub struct AwsAccountSpec {
    /// Twelve digits, in quotes: without them YAML reads a number, which is refused as not "of type string". Immutable.
    /// Two AwsAccounts of one id open nothing.
    #[serde(rename = "accountID")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::account_id())]
    #[x_kube(validation = rules::account_id_immutable())]
    pub account_id: String,
    /// The role in that account that the controller assumes; the controller's own identity when absent.
    #[serde(rename = "roleARN", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::ARN))]
    #[x_kube(validation = rules::controller_role_arn())]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(rename = "externalID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::ARN))]
    #[x_kube(validation = rules::external_id())]
    pub external_id: Option<String>,
    /// Who may ask for what. Absent: nobody.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[schemars(length(max = rules::ENTRIES))]
    pub grants: Vec<Grant>,
    /// What is imposed on every invoke role made in this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_roles: Option<InvokeRoles>,
    /// How roles and functions are read. Auto (the default): all of the account at once, where that costs less than half of
    /// single reads and the controller's role has the right to (crossinvoke iam --bulk-reads); the condition BulkReads says
    /// which. Single: one at a time.
    #[serde(default, deserialize_with = "null::is_absent")]
    pub reads: Reads,
}

impl std::fmt::Debug for AwsAccountSpec {
    // The external id is half a credential and stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsAccountSpec")
            .field("account_id", &self.account_id)
            .field("role_arn", &self.role_arn)
            .field("grants", &self.grants)
            .field("invoke_roles", &self.invoke_roles)
            .finish_non_exhaustive()
    }
}

/// How roles and functions of an account are read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Reads {
    /// All at once where that is cheaper.
    #[default]
    Auto,
    /// One at a time.
    Single,
}

/// What some namespaces may ask for.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = rules::grants_something())]
pub struct Grant {
    /// The grant's name, unique in the list.
    #[schemars(length(max = rules::ENTRY))]
    #[x_kube(validation = rules::grant_name())]
    pub name: String,
    /// The namespaces it covers: by name, by label, or both.
    pub namespaces: GrantedNamespaces,
    /// As a tools account: which pipelines may be edited; * stands for any characters.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = rules::ENTRIES), extend("items" = rules::pipeline_globs()))]
    pub pipelines: Vec<String>,
    /// As a dev account: which functions may be invoked; * stands for any characters.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = rules::ENTRIES), extend("items" = rules::function_globs()))]
    pub functions: Vec<String>,
    /// The regions of these pipelines (as a tools account) and functions (as a dev account). Absent: every region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = rules::REGIONS), extend("items" = rules::regions()))]
    #[x_kube(validation = rules::regions_not_empty())]
    pub regions: Option<Vec<String>>,
    /// As a dev account: which tools accounts may be trusted, by id.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = rules::ENTRIES), extend("items" = rules::account_ids()))]
    pub callers: Vec<String>,
    /// What is off unless it is listed.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = rules::ENTRIES))]
    pub allow: Vec<Allowance>,
}

/// Namespaces by name or by label.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = rules::some_namespaces())]
pub struct GrantedNamespaces {
    /// Their names.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = rules::ENTRIES), extend("items" = rules::namespace_names()))]
    pub names: Vec<String>,
    /// Their labels; an empty selector is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rules::bounded_selector)]
    #[x_kube(validation = rules::selector_not_empty())]
    pub selector: Option<LabelSelector>,
}

/// What is off unless a grant lists it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Allowance {
    /// spec.invokeRole.trust may be AccountRoot.
    AccountRootTrust,
    /// spec.invokeRole.name may be set.
    NamedRole,
}

/// What is imposed on every invoke role made in the account.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::imposed_tags_not_allowed())]
pub struct InvokeRoles {
    /// Their path, for example /crossinvoke/; /crossinvoke/<installation id>/ when absent. Immutable, presence too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::role_path())]
    pub path: Option<String>,
    /// Their permissions boundary.
    #[serde(rename = "permissionsBoundaryARN", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::ARN))]
    #[x_kube(validation = rules::policy_arn())]
    pub permissions_boundary_arn: Option<String>,
    /// The tag keys that objects may set on their role. Absent: none.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = 50), extend("items" = rules::allowed_tag_keys()))]
    pub allowed_tag_keys: Vec<String>,
    /// Tags that every role gets, for example CostCenter, which no object can set. A tag that is taken out here stays on
    /// the roles that have it.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("nullable" = true, "maxProperties" = rules::IMPOSED_TAGS, "additionalProperties" = rules::tag_values()))]
    #[x_kube(validation = rules::tag_keys())]
    pub tags: BTreeMap<String, String>,
    /// Policies that may be on a role besides our own, for example org-baseline-*: by name (inline and attached ones) or
    /// by ARN (attached ones); * stands for any characters. They are neither reported nor removed. Absent: none.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("nullable" = true, "x-kubernetes-list-type" = "set"))]
    #[schemars(length(max = 50), extend("items" = rules::tolerated_policies()))]
    pub tolerated_policies: Vec<String>,
}

/// Whether the controller can enter the account, and who uses it.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsAccountStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The installation that writes this status. Another one takes over when this one's finalizer in-use-<id> is gone, or
    /// when it did not look for two hours.
    #[serde(rename = "installationID", default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub installation_id: Option<String>,
    /// Ready and GrantsMatched; BulkReads once that is known; Reconciling and Stalled while they are True.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When the account was last entered. While nothing else changes it is written once an hour.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub last_checked_at: Option<Time>,
    /// The last value of the annotation crossinvoke.dev/reconcile-requested-at that was acted on.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_handled_reconcile_at: Option<String>,
    /// Who the controller is in the account.
    #[serde(rename = "callerARN", default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub caller_arn: Option<String>,
    /// How many CrossAccountInvokes name the account.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub objects: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_that_nobody_could_have_written_decodes_as_far_as_it_goes() {
        let status: AwsAccountStatus = serde_json::from_value(json!({
            "observedGeneration": "three", "installationID": 7, "conditions": "none", "callerARN": "arn",
            "lastCheckedAt": "9999-12-31T23:59:59Z", "objects": 2,
        }))
        .unwrap();
        let expected =
            AwsAccountStatus { caller_arn: Some("arn".to_owned()), objects: Some(2), ..AwsAccountStatus::default() };
        assert_eq!(status, expected);
    }

    #[test]
    fn null_means_absent_wherever_it_may_stand() {
        let read = |spec: serde_json::Value| serde_json::from_value::<AwsAccountSpec>(spec).unwrap();
        let absent = read(json!({"accountID": "222222222222"}));
        let null = json!({"accountID": "222222222222", "roleARN": null, "externalID": null, "grants": null, "invokeRoles": null, "reads": null});
        assert!(read(null) == absent);
        let grant = |grant: serde_json::Value| read(json!({"accountID": "222222222222", "grants": [grant]}));
        let null = json!({
            "name": "g", "namespaces": {"names": null, "selector": null},
            "pipelines": null, "functions": null, "regions": null, "callers": null, "allow": null,
        });
        assert!(grant(null) == grant(json!({"name": "g", "namespaces": {}})));
        // An empty list is not an absent one: it opens no region.
        assert!(grant(json!({"name": "g", "namespaces": {}, "regions": []})).grants[0].regions == Some(Vec::new()));
        let roles = |roles: serde_json::Value| read(json!({"accountID": "222222222222", "invokeRoles": roles}));
        let null = json!({
            "path": null, "permissionsBoundaryARN": null, "allowedTagKeys": null, "tags": null, "toleratedPolicies": null,
        });
        assert!(roles(null) == roles(json!({})));
    }
}
