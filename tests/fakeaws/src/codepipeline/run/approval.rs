//! Manual approvals: the action Approval/AWS/Manual waits for `PutApprovalResult` (User Guide, "Add a manual approval
//! action to a stage").

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    execution::{ActionRun, At, Failure, Outcome, Place, WaitsFor},
    walk::{complete, edit},
};
use crate::{
    codepipeline::{
        constraints::{self, Violations},
        current,
        declaration::{actions, stages, text},
        pipeline_arn, time,
    },
    error::ServiceError,
    state::{Caller, World},
};

pub(crate) fn put(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let mut violations = Violations::default();
    for member in ["pipelineName", "stageName", "actionName"] {
        violations.text(body, "", member, &constraints::name());
    }
    violations.text(body, "", "token", &constraints::job_id());
    violations.present(body, "", "result");
    if let Some(result) = body.get("result") {
        violations.text(result, "result", "status", &constraints::approval_status());
        violations.text(result, "result", "summary", &constraints::length(0, 512).required());
    }
    violations.into_result()?;
    let (pipeline, stage, action) = (text(body, "pipelineName"), text(body, "stageName"), text(body, "actionName"));
    let resource = format!("{}/{stage}/{action}", pipeline_arn(caller, pipeline));
    world.authorize(caller, "codepipeline:PutApprovalResult", &resource, &[])?;
    declared(current(world, caller, pipeline)?.current(), stage, action)?;
    let at = At::new(&caller.account, &caller.region, pipeline);
    let token = text(body, "token");
    let place = open_request(world, &at, (stage, action), token)?;
    let result = &body["result"];
    let (by, summary) = (caller.arn.clone(), text(result, "summary").to_owned());
    edit(world, &place, |run| {
        run.updated_by = Some(by.clone());
        run.summary = Some(summary.clone());
    });
    let outcome = match text(result, "status") {
        "Approved" => Outcome::Succeeded(BTreeMap::new()),
        _ => Outcome::Failed(Failure::new("JobFailed", format!("Rejected by {by}: {summary}"))),
    };
    let now = world.now();
    complete(world, &place, outcome);
    Ok(json!({"approvedAt": time(now)}))
}

fn declared(declaration: &Value, stage: &str, action: &str) -> Result<(), ServiceError> {
    let Some(found) = stages(declaration).iter().find(|candidate| text(candidate, "name") == stage) else {
        let text = format!("The pipeline has no stage with the name '{stage}'");
        return Err(ServiceError::new("StageNotFoundException", text));
    };
    if actions(found).iter().any(|candidate| text(candidate, "name") == action) {
        return Ok(());
    }
    let text = format!("Stage '{stage}' has no action with the name '{action}'");
    Err(ServiceError::new("ActionNotFoundException", text))
}

/// The request that the token identifies, if nobody has answered it.
fn open_request(world: &mut World, at: &At, named: (&str, &str), token: &str) -> Result<Place, ServiceError> {
    let asked = |run: &ActionRun| run.approval_token.as_deref() == Some(token);
    let executions = world.pipelines_mut(at).executions(&at.region, &at.pipeline);
    let found = executions.iter().find_map(|execution| {
        let mut runs = execution.runs();
        runs.find(|(stage, run)| (stage.name.as_str(), run.name.as_str()) == named && asked(run))
            .map(|(_, run)| (execution, run))
    });
    match found {
        Some((execution, run)) if matches!(run.waits_for, WaitsFor::Approval { .. }) => {
            Ok(Place { at: at.clone(), execution: execution.id.clone(), action: run.id.clone() })
        }
        Some(_) => {
            let text = "The approval action has already been approved or rejected.";
            Err(ServiceError::new("ApprovalAlreadyCompletedException", text))
        }
        None => {
            let text = "The approval request already received a response or has expired.";
            Err(ServiceError::new("InvalidApprovalTokenException", text))
        }
    }
}
