//! `PutJobSuccessResult` and `PutJobFailureResult`. The permissions reference of the User Guide: they support only
//! `"Resource": "*"`. Lambda functions use them although the API reference says "custom actions only".
//!
//! A job is taken from the execution role of the function that got it. For anybody else's job the double answers
//! `JobNotFoundException`, as for none: that jobs are invisible outside their account is inferred (the API reference has
//! no other error for it), and that it is so for other principals of the same account is a choice of the double.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    execution::{Failure, Outcome, WaitsFor},
    invoke,
    jobs::Job,
    variables,
    walk::{complete, edit, walk},
};
use crate::{
    codepipeline::{
        constraints::{self, Violations},
        declaration::{actions, stages, text},
    },
    error::ServiceError,
    state::{Caller, Identity, World},
};

/// All output variables of an action (User Guide, "Quotas").
const VARIABLES_BYTES: usize = 122_880;

pub(crate) fn success(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let mut violations = Violations::default();
    violations.text(body, "", "jobId", &constraints::job_id());
    violations.text(body, "", "continuationToken", &constraints::length(1, 2048));
    let details = body.get("executionDetails").unwrap_or(&Value::Null);
    violations.text(details, "executionDetails", "summary", &constraints::length(0, 2048));
    violations.text(details, "executionDetails", "externalExecutionId", &constraints::length(1, 1500));
    violations.integer(details, "executionDetails", "percentComplete", (0, 100));
    violations.variables(body, "outputVariables");
    violations.into_result()?;
    let (id, job) = own_job(world, caller, "PutJobSuccessResult", body)?;
    let variables = body.get("outputVariables").and_then(Value::as_object).filter(|variables| !variables.is_empty());
    let token = body.get("continuationToken").and_then(Value::as_str);
    if token.is_some() && variables.is_some() {
        let text = "Output variables cannot be set together with a continuation token";
        return Err(ServiceError::new("ValidationException", text));
    }
    let pairs =
        variables.into_iter().flatten().map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").into()));
    let variables: BTreeMap<String, String> = pairs.collect();
    if variables.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > VARIABLES_BYTES {
        let text = format!("The output variables of an action cannot exceed {VARIABLES_BYTES} bytes");
        return Err(ServiceError::new("OutputVariablesSizeExceededException", text));
    }
    world.jobs.close(&id);
    edit(world, &job.place, |run| {
        if let Some(summary) = details.get("summary").and_then(Value::as_str) {
            run.summary = Some(summary.to_owned());
        }
        if let Some(external) = details.get("externalExecutionId").and_then(Value::as_str) {
            run.external_id = Some(external.to_owned());
        }
    });
    match token {
        Some(token) => proceed(world, &job, token),
        None => complete(world, &job.place, Outcome::Succeeded(variables)),
    }
    Ok(Value::Null)
}

pub(crate) fn failure(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let mut violations = Violations::default();
    violations.text(body, "", "jobId", &constraints::job_id());
    violations.present(body, "", "failureDetails");
    if let Some(details) = body.get("failureDetails") {
        violations.text(details, "failureDetails", "type", &constraints::failure_type());
        violations.text(details, "failureDetails", "message", &constraints::length(1, 5000).required());
        violations.text(details, "failureDetails", "externalExecutionId", &constraints::length(1, 1500));
    }
    violations.into_result()?;
    let (id, job) = own_job(world, caller, "PutJobFailureResult", body)?;
    world.jobs.close(&id);
    let details = &body["failureDetails"];
    edit(world, &job.place, |run| {
        if let Some(external) = details.get("externalExecutionId").and_then(Value::as_str) {
            run.external_id = Some(external.to_owned());
        }
    });
    let failure = Failure::new(text(details, "type"), text(details, "message"));
    complete(world, &job.place, Outcome::Failed(failure));
    Ok(Value::Null)
}

/// The job that the caller may answer, if it still takes a result.
fn own_job(world: &mut World, caller: &Caller, operation: &str, body: &Value) -> Result<(String, Job), ServiceError> {
    world.authorize(caller, &format!("codepipeline:{operation}"), "*", &[])?;
    let id = text(body, "jobId");
    let role = match &caller.identity {
        Identity::Role { name, .. } => {
            let account = world.accounts.get(&caller.account);
            account.and_then(|account| Some(account.role_arn(account.role(name)?)))
        }
        _ => None,
    };
    let own = |job: &&Job| {
        (job.function.account == caller.account && job.function.region == caller.region)
            && role.as_deref() == Some(job.execution_role.as_str())
    };
    let job = world
        .jobs
        .get(id)
        .filter(own)
        .cloned()
        .ok_or_else(|| ServiceError::new("JobNotFoundException", format!("Job with id '{id}' does not exist")))?;
    if !job.is_open {
        let text = format!("Job with id '{id}' is not in progress, so it takes no result");
        return Err(ServiceError::new("InvalidJobStateException", text));
    }
    Ok((id.to_owned(), job))
}

/// The job has ended with a continuation token: another one begins, with a clock of its own.
fn proceed(world: &mut World, job: &Job, token: &str) {
    let at = &job.place.at;
    let pipelines = world.pipelines_mut(at);
    let continued = pipelines.executions(&at.region, &at.pipeline).iter().find_map(|execution| {
        let (stage, run) = execution.runs().find(|(_, run)| run.id == job.place.action)?;
        let declaration = pipelines.current(&at.region, &at.pipeline)?.declaration(execution.version)?;
        let stage = stages(declaration).iter().find(|candidate| text(candidate, "name") == stage.name)?;
        let action = actions(stage).iter().find(|action| text(action, "name") == run.name)?;
        let configuration = variables::resolved(declaration, execution, &action["configuration"]);
        Some((Arc::clone(declaration), action.clone(), configuration))
    });
    let Some((declaration, action, configuration)) = continued else { return };
    let started = configuration.and_then(|configuration| {
        let again = invoke::Invoke {
            place: &job.place,
            declaration: &declaration,
            action: &action,
            configuration: &configuration,
        };
        invoke::invoke(world, &again, Some((job, token)))
    });
    match started {
        Ok(started) => {
            edit(world, &job.place, |run| run.waits_for = WaitsFor::Job { id: started.job });
            walk(world, at);
        }
        Err(failure) => complete(world, &job.place, Outcome::Failed(failure)),
    }
}
