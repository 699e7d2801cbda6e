//! AWS CodePipeline: declarations, versions, executions.
//!
//! The server decodes JSON 1.1 or CBOR, authenticates, applies the knobs, and calls [`handle`] with the body as JSON.
//! The region is `caller.region`; time is `world.now()`; every operation first calls `world.authorize(…)`.

use serde_json::{Value, json};

use crate::{
    error::ServiceError,
    state::{Caller, World},
};

/// All pipelines of one account, over its regions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipelines {}

impl Pipelines {
    /// Reads the seed's `pipelines` member of an account: region → pipeline name → declaration without `version`.
    pub(crate) fn from_configuration(_configuration: &Value) -> Result<Self, String> {
        Ok(Self::default())
    }

    /// The same format back, declarations whole, without `version`.
    pub(crate) fn configuration(&self) -> Value {
        json!({})
    }

    /// Versions and executions: region → pipeline name → `{version, executions: […]}`.
    pub(crate) fn history(&self) -> Value {
        json!({})
    }
}

/// Answers one call. The body is the request's JSON; the answer is the response's.
pub(crate) fn handle(
    _world: &mut World,
    _caller: &Caller,
    operation: &str,
    _body: Value,
) -> Result<Value, ServiceError> {
    Err(ServiceError::new("UnknownOperationException", format!("no operation {operation}")))
}

/// Changes pipelines as somebody else would, unauthorised: one admin command with its arguments. `command` is one of
/// `replace-pipeline` `{declaration}` (creates it, or bumps its version and cancels what runs) → `{version}`,
/// `remove-pipeline` `{name}` → `{}`, `put-execution` `{name, status, id?, stage?}` (makes or changes an execution by
/// hand; without `stage` it stands between two stages) → `{id}`.
pub(crate) fn admin(
    _world: &mut World,
    _account: &str,
    _region: &str,
    command: &str,
    _arguments: Value,
) -> Result<Value, String> {
    Err(format!("no admin command {command} for pipelines"))
}
