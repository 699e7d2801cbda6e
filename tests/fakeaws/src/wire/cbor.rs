//! smithy-rpc-v2-cbor, which botocore from 1.44 prefers for CodePipeline (Smithy RPC v2 CBOR protocol).

use ciborium::Value as Cbor;
use serde_json::{Map, Value, json};

use super::{Answer, Request, request_id};
use crate::error::ServiceError;

const PROTOCOL: &str = "rpc-v2-cbor";
/// CBOR's tag of a time in seconds since 1970 (RFC 8949, section 3.4.2).
const EPOCH_TIME: u64 = 1;
/// Members of CodePipeline's answers that are times; in this protocol they are tagged, in JSON they are plain numbers.
const TIMES: [&str; 7] =
    ["created", "updated", "startTime", "lastUpdateTime", "lastStatusChange", "lastChangedAt", "pollingDisabledAt"];

/// The operation, if the request speaks this protocol: `/service/CodePipeline_20150709/operation/NAME`.
pub(crate) fn operation(request: &Request) -> Option<String> {
    if request.header("smithy-protocol") != Some(PROTOCOL) {
        return None;
    }
    request.path.rsplit_once("/operation/").map(|(_, operation)| operation.to_owned())
}

/// The input of the operation.
pub(crate) fn decode(body: &[u8]) -> Result<Value, ServiceError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let unreadable = |what: String| ServiceError::new("SerializationException", what);
    let value: Cbor =
        ciborium::from_reader(body).map_err(|error| unreadable(format!("the body is no CBOR: {error}")))?;
    to_json(&value).map_err(unreadable)
}

/// Renders the outcome.
pub(crate) fn encode(_operation: &str, outcome: &Result<Value, ServiceError>) -> Answer {
    let headers = vec![
        ("content-type", "application/cbor".to_owned()),
        ("smithy-protocol", PROTOCOL.to_owned()),
        ("x-amzn-requestid", request_id()),
    ];
    let (status, value) = match outcome {
        Ok(body) => (200, to_cbor("", body)),
        Err(error) => {
            let kind = format!("com.amazonaws.codepipeline#{}", error.code);
            (error.status, to_cbor("", &json!({"__type": kind, "message": error.message})))
        }
    };
    let mut body = Vec::new();
    match ciborium::into_writer(&value, &mut body) {
        Ok(()) => Answer { status, headers, body },
        Err(error) => Answer { status: 500, headers, body: error.to_string().into_bytes() },
    }
}

fn to_json(value: &Cbor) -> Result<Value, String> {
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(value) => json!(value),
        Cbor::Integer(value) => {
            let number = i64::try_from(*value).map_err(|_| "an integer beyond 64 bits".to_owned())?;
            json!(number)
        }
        Cbor::Float(value) => json!(value),
        Cbor::Text(value) => json!(value),
        Cbor::Array(items) => Value::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Cbor::Map(members) => {
            let mut result = Map::new();
            for (name, value) in members {
                let name = name.as_text().ok_or("a map whose key is no text")?;
                result.insert(name.to_owned(), to_json(value)?);
            }
            Value::Object(result)
        }
        Cbor::Tag(_, value) => to_json(value)?,
        other => return Err(format!("{other:?} has no place in this API")),
    })
}

fn to_cbor(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(value) => Cbor::Bool(*value),
        Value::Number(number) if TIMES.contains(&name) => {
            Cbor::Tag(EPOCH_TIME, Box::new(Cbor::Float(number.as_f64().unwrap_or_default())))
        }
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cbor::Integer(integer.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| to_cbor("", item)).collect()),
        Value::Object(members) => {
            Cbor::Map(members.iter().map(|(name, value)| (Cbor::Text(name.clone()), to_cbor(name, value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_as_it_went_and_times_are_tagged() {
        let value = json!({"a": [1, -2, 2.5, null, true, "x"], "created": 1_800_000_000.25});
        let cbor = to_cbor("", &value);
        let Cbor::Map(members) = &cbor else { panic!("{cbor:?}") };
        assert!(matches!(&members[1].1, Cbor::Tag(1, _)), "{members:?}");
        assert_eq!(to_json(&cbor).unwrap(), value);
    }
}
