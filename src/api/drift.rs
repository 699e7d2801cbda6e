//! The part of the status that reports drift.
#![allow(unreachable_pub, reason = "the schema derive copies each struct into a function body")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Differences between AWS and what was last seen in place there.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftStatus {
    /// What differs (at most 32), and what was put right lately (at most 16).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(length(max = 48))]
    pub items: Vec<DriftItem>,
    /// When a difference was last found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_detected_at: Option<Time>,
    /// When one was last put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_corrected_at: Option<Time>,
}

/// One difference.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DriftItem {
    /// The account it is in.
    pub account: String,
    /// The ARN of the role or pipeline.
    pub resource: String,
    /// What of it differs, such as trustPolicy or configuration.UserParameters; policies by their names.
    pub field: String,
    /// What is declared. Of configuration values that can hold secrets only the length is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub desired: Option<String>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub observed: Option<String>,
    /// How it differs.
    pub kind: DriftKind,
    /// When it was found.
    pub since: Time,
    /// What became of it.
    pub handling: DriftHandling,
    /// When it was put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected_at: Option<Time>,
}

/// How something differs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum DriftKind {
    /// It is gone.
    Missing,
    /// It is there with another content.
    Modified,
    /// Nobody declared it.
    Extra,
}

/// What became of a difference.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DriftHandling {
    /// It was put right.
    Corrected,
    /// It stays: it only takes away, or it came back after each of three removals in a day.
    Reported,
    /// It is being put right, or waits for something, such as a pipeline that is running.
    Waiting,
    /// Putting it right failed; the condition Ready or Drifted says why.
    Failed,
}
