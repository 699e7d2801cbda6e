//! AWS JSON 1.1, which the Rust SDK and older botocore speak to CodePipeline.

use serde_json::{Value, json};

use super::{Answer, Request, request_id};
use crate::error::ServiceError;

const TARGET: &str = "CodePipeline_20150709.";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The operation, if the request speaks this protocol.
pub(crate) fn operation(request: &Request) -> Option<String> {
    request.header("x-amz-target")?.strip_prefix(TARGET).map(str::to_owned)
}

/// The input of the operation.
pub(crate) fn decode(body: &[u8]) -> Result<Value, ServiceError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body)
        .map_err(|error| ServiceError::new("SerializationException", format!("the body is no JSON: {error}")))
}

/// Renders the outcome. Timestamps are numbers of seconds in this protocol, as they are in the double's values.
pub(crate) fn encode(_operation: &str, outcome: &Result<Value, ServiceError>) -> Answer {
    let mut headers = vec![("content-type", CONTENT_TYPE.to_owned()), ("x-amzn-requestid", request_id())];
    let (status, body) = match outcome {
        Ok(body) => (200, body.clone()),
        Err(error) => {
            headers.push(("x-amzn-errortype", error.code.clone()));
            (error.status, json!({"__type": error.code, "message": error.message}))
        }
    };
    Answer { status, headers, body: body.to_string().into_bytes() }
}
