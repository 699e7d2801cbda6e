//! The cbor protocol of CodePipeline.

use serde_json::Value;

use super::{Answer, Request};
use crate::error::ServiceError;

/// The operation, if the request speaks this protocol.
pub(crate) fn operation(_request: &Request) -> Option<String> {
    None
}

/// The input of the operation.
pub(crate) fn decode(_body: &[u8]) -> Result<Value, ServiceError> {
    Ok(Value::Null)
}

/// Renders the outcome. `operation` is for formats that depend on it (timestamps).
pub(crate) fn encode(_operation: &str, _outcome: &Result<Value, ServiceError>) -> Answer {
    Answer { status: 500, headers: Vec::new(), body: Vec::new() }
}
