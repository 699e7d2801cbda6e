//! The part of the status that reports what somebody keeps undoing.
#![allow(unreachable_pub, reason = "the schema derive copies each struct into a function body")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Something that was corrected several times within 24 hours.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContestedItem {
    /// The account it is in.
    pub account: String,
    /// The ARN of the role or pipeline.
    pub resource: String,
    /// What of it came back or was undone, such as a policy by its name, or an action.
    pub field: String,
    /// How often it was corrected.
    pub count: i32,
    /// When it was corrected for the first time.
    pub first_at: Time,
    /// When it was corrected for the last time.
    pub last_at: Time,
    /// When it is corrected again if somebody undoes it, at the earliest; absent where that is not before a day is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_correction_at: Option<Time>,
}
