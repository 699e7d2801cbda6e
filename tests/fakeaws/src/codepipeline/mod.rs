//! AWS CodePipeline: declarations, versions, executions.
//!
//! The server decodes JSON 1.1 or CBOR, authenticates, applies the knobs, and calls [`handle`] with the body as JSON.
//! The region is `caller.region`; time is `world.now()`; every operation first calls `world.authorize(…)`.

mod executions;
mod masking;
mod operations;
mod store;
mod structure;

pub(crate) use self::{operations::handle, store::Pipelines};

use serde_json::{Value, json};

use self::executions::Status;
use crate::state::World;

/// Changes pipelines as somebody else would, unauthorised: one admin command with its arguments. `command` is one of
/// `replace-pipeline` `{declaration}` (creates it, or bumps its version and cancels what runs) → `{version}`,
/// `remove-pipeline` `{name}` → `{}`, `put-execution` `{name, status, id?, stage?}` (makes or changes an execution by
/// hand; without `stage` it stands between two stages) → `{id}`.
pub(crate) fn admin(
    world: &mut World,
    account: &str,
    region: &str,
    command: &str,
    arguments: &Value,
) -> Result<Value, String> {
    let now = world.now();
    let pipelines = &mut world.account_mut(account).pipelines;
    let name = arguments.get("name").and_then(Value::as_str).unwrap_or_default();
    match command {
        "replace-pipeline" => {
            let declaration = arguments.get("declaration").cloned().unwrap_or_default();
            let name = declaration.get("name").and_then(Value::as_str).ok_or("the declaration has no name")?.to_owned();
            Ok(json!({"version": pipelines.replace(region, &name, declaration, now)}))
        }
        "remove-pipeline" if pipelines.remove(region, name) => Ok(json!({})),
        "remove-pipeline" => Err(format!("there is no pipeline {name} in {region}")),
        "put-execution" => {
            let status = arguments.get("status").and_then(Value::as_str).unwrap_or_default();
            let status: Status = status.parse()?;
            let text = |member: &str| arguments.get(member).and_then(Value::as_str).map(str::to_owned);
            let pipeline =
                pipelines.get_mut(region, name).ok_or_else(|| format!("there is no pipeline {name} in {region}"))?;
            Ok(json!({"id": pipeline.put_execution(text("id"), status, text("stage"), now)?}))
        }
        other => Err(format!("no admin command {other} for pipelines")),
    }
}
