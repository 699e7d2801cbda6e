//! `CrossAccountInvoke`: one pipeline stage that invokes one function in another account.
#![allow(unreachable_pub, reason = "the schema derive copies each struct into a function body")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    contested::ContestedItem,
    drift::DriftStatus,
    lenient::{lenient, lenient_items},
    null, rules,
};

/// What a `CrossAccountInvoke` declares.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "crossinvoke.dev",
    version = "v1alpha1",
    kind = "CrossAccountInvoke",
    plural = "crossaccountinvokes",
    shortname = "cai",
    category = "aws",
    category = "crossinvoke",
    namespaced,
    selectable = ".spec.toolsAccount.id",
    selectable = ".spec.devAccount.id",
    selectable = ".spec.pipeline.name",
    selectable = ".spec.function.name",
    status = "CrossAccountInvokeStatus",
    doc = "Lets one stage of a CodePipeline in a tools account invoke a Lambda function in a dev account, and keeps it so.",
    validation = rules::object_name_fits_tag(),
    validation = rules::object_name_fits_action()
)]
#[kube(
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#
)]
#[kube(
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#
)]
#[kube(
    printcolumn = r#"{"name": "Drift", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Drifted\")].reason"}"#
)]
#[kube(printcolumn = r#"{"name": "Pipeline", "type": "string", "jsonPath": ".spec.pipeline.name"}"#)]
#[kube(printcolumn = r#"{"name": "Stage", "type": "string", "jsonPath": ".spec.stage.name"}"#)]
#[kube(printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#)]
#[kube(printcolumn = r#"{"name": "Tools", "type": "string", "priority": 1, "jsonPath": ".spec.toolsAccount.id"}"#)]
#[kube(printcolumn = r#"{"name": "Dev", "type": "string", "priority": 1, "jsonPath": ".spec.devAccount.id"}"#)]
#[kube(
    printcolumn = r#"{"name": "Version", "type": "integer", "priority": 1, "jsonPath": ".status.toolsAccount.pipelineVersion"}"#
)]
#[kube(printcolumn = r#"{"name": "Checked", "type": "date", "priority": 1, "jsonPath": ".status.lastCheckedAt"}"#)]
#[kube(
    printcolumn = r#"{"name": "Message", "type": "string", "priority": 1, "jsonPath": ".status.conditions[?(@.type==\"Ready\")].message"}"#
)]
#[x_kube(validation = rules::two_accounts())]
#[x_kube(validation = rules::tools_account_immutable())]
#[x_kube(validation = rules::dev_account_immutable())]
#[x_kube(validation = rules::execution_role_in_dev_account())]
#[serde(rename_all = "camelCase")]
pub struct CrossAccountInvokeSpec {
    /// The account and region of the pipeline. Immutable.
    pub tools_account: ToolsAccount,
    /// The account and region of the function. Immutable.
    pub dev_account: DevAccount,
    /// The pipeline that gets the action.
    pub pipeline: PipelineReference,
    /// The stage that holds the action.
    pub stage: StageReference,
    /// The action itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// The function that is invoked.
    pub function: FunctionReference,
    /// The role in the dev account that the pipeline assumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_role: Option<InvokeRole>,
    /// How often AWS is compared with this declaration: 10s to 24h, for example 10m (the default), give or take a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "rules::interval_schema")]
    #[x_kube(validation = rules::interval())]
    pub interval: Option<String>,
}

/// The account and region of the pipeline.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct ToolsAccount {
    /// Twelve digits, in quotes: without them YAML reads a number, which is refused as not "of type string".
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::account_id())]
    pub id: String,
    /// The pipeline's region, for example us-east-1.
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::region())]
    pub region: String,
}

/// The account and region of the function.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct DevAccount {
    /// Twelve digits, in quotes (without them YAML reads a number, which is refused as not "of type string"); another
    /// account than the tools account.
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::account_id())]
    pub id: String,
    /// The function's region; the pipeline's region when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::region())]
    pub region: Option<String>,
}

/// A pipeline.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct PipelineReference {
    /// The pipeline's name: 1 to 100 of A-Z a-z 0-9 . @ - _.
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::pipeline_name())]
    pub name: String,
}

/// A stage, and where it goes when it does not exist.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = rules::position_not_itself())]
pub struct StageReference {
    /// The stage's name: 1 to 100 of A-Z a-z 0-9 . @ - _.
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::stage_name())]
    pub name: String,
    /// Where the stage is made when it does not exist. It counts only then: a stage that is moved later stays there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<StagePosition>,
}

/// The place of a new stage: exactly one of the two.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = rules::one_position())]
pub struct StagePosition {
    /// Right behind the stage of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::stage_name())]
    pub after: Option<String>,
    /// Right before the stage of this name, which must not be the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::stage_name())]
    pub before: Option<String>,
}

/// The action in the stage.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// The action's name; the object's name when absent (at most 100 characters then).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::action_name())]
    pub name: Option<String>,
    /// 1 to 999. Actions of a stage with the same number run in parallel. When absent, an action that is there keeps its
    /// number, and a new one gets 1; in a stage with other people's actions it must be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::run_order())]
    pub run_order: Option<i32>,
    /// What the function receives as UserParameters: at most 1000 characters, may use #{…} variables. Put it in quotes:
    /// YAML reads a value that begins with # as a comment.
    #[serde(default, deserialize_with = "null::is_kept", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[x_kube(validation = rules::user_parameters())]
    pub user_parameters: Option<UserParameters>,
    /// The namespace under which later actions find the function's output variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::variables_namespace())]
    #[x_kube(validation = rules::variables_namespace_not_reserved())]
    pub variables_namespace: Option<String>,
}

/// UserParameters as they were written.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum UserParameters {
    /// A text.
    Text(String),
    /// Null: what YAML makes of a value without quotes that begins with #.
    Null,
}

/// The function that is invoked.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionReference {
    /// The function's plain name: no ARN, alias or version.
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::function_name_not_arn())]
    #[x_kube(validation = rules::function_name())]
    pub name: String,
    /// The ARN of the role the function runs as. Only a check: what Lambda says must equal it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::ARN))]
    #[x_kube(validation = rules::role_arn())]
    pub execution_role: Option<String>,
}

/// The role in the dev account that the pipeline assumes.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct InvokeRole {
    /// The role's name; derived from installation, namespace and name when absent. Needs NamedRole in a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = rules::TEXT))]
    #[x_kube(validation = rules::role_name())]
    #[x_kube(validation = rules::role_name_not_derived())]
    pub name: Option<String>,
    /// Tags of the role; their keys must be allowed by the AwsAccount, and differ in more than case.
    #[serde(default, deserialize_with = "null::is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("nullable" = true, "maxProperties" = 40, "additionalProperties" = rules::tag_values()))]
    #[x_kube(validation = rules::tag_keys())]
    pub tags: BTreeMap<String, String>,
    /// Whom the role trusts: PipelineRole (the default) only the pipeline's service role, AccountRoot the whole tools
    /// account, as in AWS's walkthrough (needs AccountRootTrust in a grant).
    #[serde(default, deserialize_with = "null::is_absent")]
    pub trust: TrustMode,
}

/// Whom an invoke role trusts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TrustMode {
    /// Only the pipeline's service role.
    #[default]
    PipelineRole,
    /// The whole tools account.
    AccountRoot,
}

/// What the controller found and did.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CrossAccountInvokeStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last value of the annotation crossinvoke.dev/reconcile-requested-at that was acted on.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_handled_reconcile_at: Option<String>,
    /// Ready; Reconciling and Stalled while they are True; and, once everything has been in place, Drifted.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When everything was last compared with AWS. While nothing else changes it is written once an hour, or once an
    /// interval where that is longer.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub last_checked_at: Option<Time>,
    /// What was found in the tools account.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub tools_account: Option<ToolsAccountStatus>,
    /// What was found in the dev account.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub dev_account: Option<DevAccountStatus>,
    /// What differed in AWS from what was last seen in place there.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// What came back after it was corrected, counted over 24 hours (at most 16).
    #[serde(default, deserialize_with = "lenient_items", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(length(max = 16))]
    pub contested: Vec<ContestedItem>,
    /// What exists in AWS because of this object, recorded before it is made. It says where to look; it is no authority.
    #[serde(default, deserialize_with = "lenient_items", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(length(max = 200))]
    pub inventory: Vec<InventoryItem>,
}

/// What was found in the tools account.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct ToolsAccountStatus {
    /// The pipeline's ARN.
    #[serde(rename = "pipelineARN", default, skip_serializing_if = "Option::is_none")]
    pub pipeline_arn: Option<String>,
    /// The ARN of the pipeline's service role.
    #[serde(rename = "pipelineRoleARN", default, skip_serializing_if = "Option::is_none")]
    pub pipeline_role_arn: Option<String>,
    /// The pipeline's version when it was last read.
    #[serde(rename = "pipelineVersion", default, skip_serializing_if = "Option::is_none")]
    pub pipeline_version: Option<i64>,
}

/// What was found in the dev account.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct DevAccountStatus {
    /// The invoke role's ARN.
    #[serde(rename = "invokeRoleARN", default, skip_serializing_if = "Option::is_none")]
    pub invoke_role_arn: Option<String>,
    /// The ARN of the role the function runs as.
    #[serde(rename = "executionRoleARN", default, skip_serializing_if = "Option::is_none")]
    pub execution_role_arn: Option<String>,
    /// The function's ARN.
    #[serde(rename = "functionARN", default, skip_serializing_if = "Option::is_none")]
    pub function_arn: Option<String>,
}

/// Which of the five parts an inventory item is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum InventoryKind {
    /// The role with its trust policy.
    InvokeRole,
    /// Its right to invoke the function.
    InvokePolicy,
    /// The function's right to report back.
    CallbackPolicy,
    /// The pipeline role's right to assume the invoke role.
    AssumePolicy,
    /// The action in the pipeline.
    PipelineAction,
}

/// One thing that exists in AWS because of this object.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryItem {
    /// Which of the five parts it is.
    pub kind: InventoryKind,
    /// The account it is in.
    pub account: String,
    /// The ARN of the role or pipeline that holds it.
    pub resource: String,
    /// What of it is this object's: the trusted pipeline role, the function, or the invoke role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The action's stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The action's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Whether the stage was made by this installation; it goes with its last action then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_made: Option<bool>,
    /// When it was last about to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Time>,
    /// Whether it was seen in AWS after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<bool>,
    /// Hashes of what was there when it was last seen in place, to tell drift from a change of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The version of the pipeline in which the action was last seen in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_version: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_that_nobody_could_have_written_decodes_as_far_as_it_goes() {
        let good =
            json!({"kind": "InvokeRole", "account": "222222222222", "resource": "arn:aws:iam::222222222222:role/r"});
        let mut late = good.clone();
        late["writtenAt"] = json!("9999-12-31T23:59:59Z");
        let status: CrossAccountInvokeStatus = serde_json::from_value(json!({
            "observedGeneration": 3,
            "conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "9999-12-31T23:59:59Z"}],
            "toolsAccount": {"pipelineVersion": "seven"},
            "inventory": [good, late],
        }))
        .unwrap();
        assert_eq!((status.observed_generation, status.conditions.len(), status.inventory.len()), (Some(3), 0, 1));
        assert_eq!(status.tools_account, None);
    }
}
