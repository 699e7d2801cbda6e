//! JSON 1.1, the older of `CodePipeline`'s two protocols: the operation is in `X-Amz-Target`, and times are epoch seconds.
//!
//! The AWS SDK for Rust and the AWS CLI speak it.

use serde_json::{Value, json};

use super::{Answer, Request, exact};
use crate::error::ServiceError;

const TARGET: &str = "CodePipeline_20150709.";

/// The operation, if the request speaks this protocol.
pub(crate) fn operation(request: &Request) -> Option<String> {
    request.header("x-amz-target")?.strip_prefix(TARGET).map(str::to_owned)
}

/// The input of the operation; an empty body is an empty object.
pub(crate) fn decode(body: &[u8]) -> Result<Value, ServiceError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| ServiceError::new("SerializationException", format!("the body is no UTF-8: {error}")))?;
    serde_json::from_str(&exact::hide(text))
        .map_err(|error| ServiceError::new("SerializationException", format!("the body is no JSON: {error}")))
}

/// Renders the outcome. An operation without output has no body.
pub(crate) fn encode(_operation: &str, outcome: &Result<Value, ServiceError>) -> Answer {
    let id = super::request_id();
    let headers = vec![("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amzn-requestid", id)];
    let (status, body) = match outcome {
        Ok(Value::Null) => (200, Vec::new()),
        Ok(output) => (200, exact::show(&output.to_string()).into_bytes()),
        Err(error) => {
            let body = json!({"__type": error.code, "message": error.message});
            (error.status, body.to_string().into_bytes())
        }
    };
    Answer { status, headers, body }
}
