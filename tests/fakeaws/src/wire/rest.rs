//! rest-json, the protocol of Lambda: the operation is in method and path.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{Answer, Request};
use crate::error::ServiceError;

/// The operation of a Lambda request, and its input with path and query parameters as members.
pub(crate) fn decode(request: &Request) -> Result<(&'static str, Value), ServiceError> {
    let path = request.path.trim_end_matches('/');
    let segments: Vec<String> =
        path.split('/').skip(1).map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["2015-03-31", "functions"]) => Ok(("ListFunctions", query_members(&request.query))),
        ("POST", ["2015-03-31", "functions"]) => {
            let body = serde_json::from_slice(&request.body).map_err(|error| {
                ServiceError::new("InvalidRequestContentException", format!("Could not parse request body: {error}"))
            })?;
            Ok(("CreateFunction", body))
        }
        ("POST", ["2015-03-31", "functions", name, "aliases"]) => {
            let mut body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            if !body.is_object() {
                let text = "Could not parse request body";
                return Err(ServiceError::new("InvalidRequestContentException", text));
            }
            body["FunctionName"] = json!(name);
            Ok(("CreateAlias", body))
        }
        ("GET", ["2015-03-31", "functions", name]) => Ok(("GetFunction", named(name, &request.query))),
        ("GET", ["2015-03-31", "functions", name, "configuration"]) => {
            Ok(("GetFunctionConfiguration", named(name, &request.query)))
        }
        (method, _) => Err(ServiceError::unsupported(format!("Lambda {method} {}", request.path))),
    }
}

fn named(name: &str, query: &str) -> Value {
    let mut members = query_members(query);
    members["FunctionName"] = json!(name);
    members
}

fn query_members(query: &str) -> Value {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let members: Map<String, Value> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), Value::String(decode(value))))
        .collect();
    Value::Object(members)
}

/// Renders the outcome of an operation.
pub(crate) fn encode(operation: &str, outcome: &Result<Value, ServiceError>) -> Answer {
    let mut headers = vec![("content-type", "application/json".to_owned()), ("x-amzn-requestid", super::request_id())];
    let (status, body) = match outcome {
        Ok(body) => (if operation.starts_with("Create") { 201 } else { 200 }, body.to_string()),
        Err(error) => {
            headers.push(("x-amzn-errortype", error.code.clone()));
            let kind = if error.status < 500 { "User" } else { "Service" };
            (error.status, json!({"Type": kind, "Message": error.message, "message": error.message}).to_string())
        }
    };
    Answer { status, headers, body: body.into_bytes() }
}
