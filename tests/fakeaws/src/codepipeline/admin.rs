//! Changes of pipelines behind AWS's back.

use serde_json::{Value, json};

use super::{
    declaration::{self, text},
    executions,
    gates::{self, Gate},
    pipelines,
    run::{self, At, Execution},
    state::Status,
};
use crate::state::World;

/// Changes pipelines as somebody else would, unauthorised: one admin command with its arguments. `command` is one of
///
/// - `replace-pipeline` `{declaration}` → `{version}`: creates it, or bumps its version and cancels what runs;
/// - `remove-pipeline` `{name}` → `{}`;
/// - `put-execution` `{name, status, id?, stage?}` → `{id}`: makes or changes an execution by hand. While it is
///   unfinished, it stands in `stage`, or without one between two stages. One that walked stops walking;
/// - `set-started-executions` `{name, status?}` → `{}`: what becomes of executions that are started from now on;
/// - `set-action` `{name, stage, action, outcome}` → `{}`: what becomes of an action that the double does not run
///   itself, from now on and where it is held;
/// - `set-rule` `{name, stage, condition, rule, outcome}` → `{}`: what becomes of a rule of a stage's condition.
pub(crate) fn run(
    world: &mut World,
    account: &str,
    region: &str,
    command: &str,
    arguments: &Value,
) -> Result<Value, String> {
    match command {
        "replace-pipeline" => replace(world, account, region, &arguments["declaration"]),
        "remove-pipeline" => {
            let name = existing(world, account, region, arguments)?;
            pipelines::remove(world, account, region, &name);
            Ok(json!({}))
        }
        "put-execution" => put_execution(world, account, region, arguments),
        "set-started-executions" => {
            let now = world.now();
            let name = existing(world, account, region, arguments)?;
            let status = arguments.get("status").and_then(Value::as_str).map(Status::parse).transpose()?;
            let pipelines = &mut world.account_mut(account).pipelines;
            let mut pipeline = pipelines.current(region, &name).cloned();
            if let Some(pipeline) = &mut pipeline {
                pipeline.started_as = status;
            }
            pipelines.set(region, &name, now, pipeline);
            Ok(json!({}))
        }
        "set-action" => set_action(world, account, region, arguments),
        "set-rule" => set_rule(world, account, region, arguments),
        other => Err(format!("no admin command {other} for pipelines")),
    }
}

fn set_action(world: &mut World, account: &str, region: &str, arguments: &Value) -> Result<Value, String> {
    let name = existing(world, account, region, arguments)?;
    let (stage, action) = (text(arguments, "stage"), text(arguments, "action"));
    let outcome = serde_json::from_value(arguments["outcome"].clone()).map_err(|error| error.to_string())?;
    let pipelines = &mut world.account_mut(account).pipelines;
    let declared = pipelines.current(region, &name).and_then(|pipeline| {
        let mut all = declaration::all_actions(pipeline.current());
        all.find(|(in_stage, declared)| *in_stage == stage && text(declared, "name") == action)
    });
    let Some((_, declared)) = declared else {
        return Err(format!("pipeline {name} has no action {action} in {stage}"));
    };
    let kind = &declared["actionTypeId"];
    if matches!(text(kind, "provider"), "Lambda" | "Manual") {
        let why = "set the function's behaviour, or use PutApprovalResult";
        return Err(format!("the double runs the action {action} of {stage} itself: {why}"));
    }
    pipelines.set_outcome((region, &name), stage, action, outcome);
    run::release(world, &At::new(account, region, &name), stage, action);
    Ok(json!({}))
}

fn set_rule(world: &mut World, account: &str, region: &str, arguments: &Value) -> Result<Value, String> {
    let name = existing(world, account, region, arguments)?;
    let (stage, condition, rule) = (text(arguments, "stage"), text(arguments, "condition"), text(arguments, "rule"));
    let outcome: run::ActionOutcome =
        serde_json::from_value(arguments["outcome"].clone()).map_err(|error| error.to_string())?;
    let gate = Gate::ALL.into_iter().find(|gate| gate.member() == condition);
    let pipelines = &mut world.account_mut(account).pipelines;
    let declared = pipelines.current(region, &name).map(|pipeline| declaration::stages(pipeline.current()));
    let declared = declared.into_iter().flatten().find(|declared| text(declared, "name") == stage);
    let has_rule = |gate| declared.is_some_and(|of| gates::of_gate(of, gate).any(|found| text(found, "name") == rule));
    let Some(gate) = gate.filter(|gate| has_rule(*gate)) else {
        return Err(format!("pipeline {name} has no rule {rule} in {condition} of {stage}"));
    };
    pipelines.set_outcome((region, &name), stage, &run::rule_key(condition, rule), outcome.clone());
    run::release_rule(world, &At::new(account, region, &name), stage, (gate, rule), &outcome);
    Ok(json!({}))
}

/// The name in the arguments, if there is such a pipeline.
fn existing(world: &World, account: &str, region: &str, arguments: &Value) -> Result<String, String> {
    let name = text(arguments, "name");
    let pipelines = world.accounts.get(account).map(|account| &account.pipelines);
    let found = pipelines.and_then(|pipelines| pipelines.current(region, name)).map(|_| name.to_owned());
    found.ok_or_else(|| format!("no pipeline {name} in {region} of account {account}"))
}

fn replace(world: &mut World, account: &str, region: &str, given: &Value) -> Result<Value, String> {
    let name = text(given, "name").to_owned();
    if name.is_empty() {
        return Err("the declaration has no name".to_owned());
    }
    let pipelines = world.accounts.get(account).map(|account| &account.pipelines);
    let before = pipelines.and_then(|pipelines| pipelines.current(region, &name));
    let given = before.map_or_else(|| given.clone(), |before| declaration::unmasked(given, before.current(), region));
    let normal = declaration::normalised(&given, region)?;
    Ok(json!({"version": pipelines::replace(world, account, region, &name, normal)}))
}

fn put_execution(world: &mut World, account: &str, region: &str, arguments: &Value) -> Result<Value, String> {
    let name = existing(world, account, region, arguments)?;
    let status = Status::parse(text(arguments, "status"))?;
    let stage = arguments.get("stage").and_then(Value::as_str);
    let now = world.now();
    let pipelines = &mut world.account_mut(account).pipelines;
    let Some(pipeline) = pipelines.current(region, &name) else { return Err(format!("no pipeline {name}")) };
    let (version, names) = (pipeline.version(), pipeline.stage_names());
    if let Some(unknown) = stage.filter(|stage| !names.contains(stage)) {
        return Err(format!("pipeline {name} has no stage {unknown}; it has {}", names.join(", ")));
    }
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let executions = pipelines.executions_mut(region, &name);
    let place = match arguments.get("id").and_then(Value::as_str) {
        None => {
            executions.push(Execution::new(version, now, json!({"triggerType": "PollForSourceChanges"})));
            executions.len() - 1
        }
        Some(id) => {
            let at = executions.iter().position(|execution| execution.id == id);
            at.ok_or_else(|| format!("pipeline {name} has no execution {id}"))?
        }
    };
    let execution = &mut executions[place];
    execution.walks = false;
    let jobs = execution.abandon_actions(now);
    execution.status = status;
    if status.is_unfinished() || stage.is_some() {
        execution.stand(&names, stage);
    }
    executions::finish(execution, &names, status, now);
    let id = execution.id.clone();
    world.jobs.close_all(&jobs);
    // What waited for it may go on.
    run::walk(world, &At::new(account, region, &name));
    Ok(json!({"id": id}))
}
