//! Smithy RPC v2 CBOR, the newer of `CodePipeline`'s two protocols: the operation is in the path, and times have CBOR's
//! tag 1. The newest service model lists it first; botocore has it from 1.44 on (and still prefers JSON by an order of
//! its own), and the AWS SDK for Rust can be switched to it.
//!
//! Source: Smithy specification, "Smithy RPC v2 CBOR protocol".

use ciborium::Value as Cbor;
use serde_json::{Map, Value};

use super::{Answer, Request};
use crate::error::ServiceError;

const PROTOCOL: &str = "rpc-v2-cbor";
const EPOCH_TIME: u64 = 1;

/// Where answers hold times: operation, and the members on the way there (`*` is every element of a list). CBOR tags
/// them, while the same number elsewhere (in a member that is only carried along) is a number.
const TIMES: [(&str, &[&str]); 20] = [
    ("GetPipeline", &["metadata", "created"]),
    ("GetPipeline", &["metadata", "updated"]),
    ("ListPipelines", &["pipelines", "*", "created"]),
    ("ListPipelines", &["pipelines", "*", "updated"]),
    ("GetPipelineState", &["created"]),
    ("GetPipelineState", &["updated"]),
    ("GetPipelineState", &["stageStates", "*", "inboundTransitionState", "lastChangedAt"]),
    ("GetPipelineState", &["stageStates", "*", "actionStates", "*", "latestExecution", "lastStatusChange"]),
    (
        "GetPipelineState",
        &[
            "stageStates",
            "*",
            "beforeEntryConditionState",
            "conditionStates",
            "*",
            "latestExecution",
            "lastStatusChange",
        ],
    ),
    (
        "GetPipelineState",
        &[
            "stageStates",
            "*",
            "beforeEntryConditionState",
            "conditionStates",
            "*",
            "ruleStates",
            "*",
            "latestExecution",
            "lastStatusChange",
        ],
    ),
    (
        "GetPipelineState",
        &["stageStates", "*", "onSuccessConditionState", "conditionStates", "*", "latestExecution", "lastStatusChange"],
    ),
    (
        "GetPipelineState",
        &[
            "stageStates",
            "*",
            "onSuccessConditionState",
            "conditionStates",
            "*",
            "ruleStates",
            "*",
            "latestExecution",
            "lastStatusChange",
        ],
    ),
    (
        "GetPipelineState",
        &["stageStates", "*", "onFailureConditionState", "conditionStates", "*", "latestExecution", "lastStatusChange"],
    ),
    (
        "GetPipelineState",
        &[
            "stageStates",
            "*",
            "onFailureConditionState",
            "conditionStates",
            "*",
            "ruleStates",
            "*",
            "latestExecution",
            "lastStatusChange",
        ],
    ),
    ("ListPipelineExecutions", &["pipelineExecutionSummaries", "*", "startTime"]),
    ("ListPipelineExecutions", &["pipelineExecutionSummaries", "*", "lastUpdateTime"]),
    ("ListActionExecutions", &["actionExecutionDetails", "*", "startTime"]),
    ("ListActionExecutions", &["actionExecutionDetails", "*", "lastUpdateTime"]),
    ("PutApprovalResult", &["approvedAt"]),
    ("GetPipelineExecution", &["pipelineExecution", "artifactRevisions", "*", "created"]),
];

/// The operation, if the request speaks this protocol.
pub(crate) fn operation(request: &Request) -> Option<String> {
    if request.header("smithy-protocol") != Some(PROTOCOL) {
        return None;
    }
    let (_, path) = request.path.rsplit_once("/service/CodePipeline_20150709/")?;
    path.strip_prefix("operation/").map(str::to_owned)
}

/// The input of the operation; an empty body is an empty object.
pub(crate) fn decode(body: &[u8]) -> Result<Value, ServiceError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let cbor = ciborium::from_reader(body).map_err(|error| malformed(format!("the body is no CBOR: {error}")))?;
    from_cbor(cbor)
}

fn malformed(message: String) -> ServiceError {
    ServiceError::new("SerializationException", message)
}

fn from_cbor(cbor: Cbor) -> Result<Value, ServiceError> {
    Ok(match cbor {
        Cbor::Null => Value::Null,
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Text(text) => Value::String(text),
        Cbor::Integer(number) => {
            let number = i64::try_from(number).map_err(|_| malformed("an integer beyond 64 bits".to_owned()))?;
            Value::from(number)
        }
        Cbor::Float(number) => Value::from(number),
        Cbor::Tag(EPOCH_TIME, time) => from_cbor(*time)?,
        Cbor::Array(values) => Value::Array(values.into_iter().map(from_cbor).collect::<Result<_, _>>()?),
        Cbor::Map(members) => {
            let mut object = Map::new();
            for (name, value) in members {
                let Cbor::Text(name) = name else { return Err(malformed(format!("a member named {name:?}"))) };
                object.insert(name, from_cbor(value)?);
            }
            Value::Object(object)
        }
        other => return Err(ServiceError::unsupported(format!("CBOR {other:?}"))),
    })
}

fn to_cbor(value: &Value, times: &[&[&str]]) -> Cbor {
    let inside = |member: &str| -> Vec<&[&str]> {
        let here = times.iter().filter_map(|path| path.split_first());
        here.filter(|(first, _)| **first == member).map(|(_, rest)| rest).collect()
    };
    match value {
        Value::Number(number) if times.iter().any(|path| path.is_empty()) => {
            Cbor::Tag(EPOCH_TIME, Box::new(Cbor::Float(number.as_f64().unwrap_or_default())))
        }
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(*flag),
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Cbor::Float(number.as_f64().unwrap_or_default()), |integer| Cbor::Integer(integer.into())),
        Value::Array(values) => {
            let times = inside("*");
            Cbor::Array(values.iter().map(|value| to_cbor(value, &times)).collect())
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (Cbor::Text(name.clone()), to_cbor(value, &inside(name)));
            Cbor::Map(members.iter().map(member).collect())
        }
    }
}

/// Renders the outcome. An operation without output has no body.
pub(crate) fn encode(operation: &str, outcome: &Result<Value, ServiceError>) -> Answer {
    let mut headers = vec![("smithy-protocol", PROTOCOL.to_owned()), ("x-amzn-requestid", super::request_id())];
    let text = |text: &str| Cbor::Text(text.to_owned());
    let (status, body) = match outcome {
        Ok(Value::Null) => return Answer { status: 200, headers, body: Vec::new() },
        Ok(output) => {
            let times: Vec<&[&str]> = TIMES.iter().filter(|(of, _)| *of == operation).map(|(_, path)| *path).collect();
            (200, to_cbor(output, &times))
        }
        Err(error) => {
            let kind = format!("com.amazonaws.codepipeline#{}", error.code);
            (error.status, Cbor::Map(vec![(text("__type"), text(&kind)), (text("message"), text(&error.message))]))
        }
    };
    headers.push(("content-type", "application/cbor".to_owned()));
    let mut bytes = Vec::new();
    match ciborium::into_writer(&body, &mut bytes) {
        Ok(()) => Answer { status, headers, body: bytes },
        Err(error) => Answer { status: 500, headers, body: error.to_string().into_bytes() },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // Eighths are exact: serde_json reads other fractions to the nearest but one.
            any::<i32>().prop_map(|number| Value::from(f64::from(number) + 0.125)),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        /// Whatever a declaration holds, known or not, is the same in both protocols.
        #[test]
        fn values_survive_both_protocols(value in any_json()) {
            let answer = encode("UpdatePipeline", &Ok(json!({"pipeline": value.clone()})));
            prop_assert_eq!(&decode(&answer.body).unwrap()["pipeline"], &value);
            let answer = super::super::json::encode("UpdatePipeline", &Ok(json!({"pipeline": value.clone()})));
            prop_assert_eq!(&super::super::json::decode(&answer.body).unwrap()["pipeline"], &value);
        }
    }

    #[test]
    fn only_times_are_tagged_as_times() {
        let output = json!({"pipeline": {"created": 1.5}, "metadata": {"created": 2, "version": 3}});
        let answer = encode("GetPipeline", &Ok(output));
        let Cbor::Map(members) = ciborium::from_reader(answer.body.as_slice()).unwrap() else { panic!("no map") };
        let member = |of: usize, at: usize| members[of].1.as_map().unwrap()[at].1.clone();
        assert_eq!(member(0, 0), Cbor::Float(1.5));
        assert_eq!(member(1, 0), Cbor::Tag(EPOCH_TIME, Box::new(Cbor::Float(2.0))));
        assert_eq!(member(1, 1), Cbor::Integer(3.into()));
    }
}
