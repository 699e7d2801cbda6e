//! Lambda: functions as far as somebody looks them up.

use serde_json::Value;

use crate::{
    error::ServiceError,
    state::{Caller, World},
};

/// Answers one call.
pub(crate) fn handle(
    _world: &mut World,
    _caller: &Caller,
    operation: &str,
    _input: &Value,
) -> Result<Value, ServiceError> {
    Err(ServiceError::unsupported(operation))
}
