//! Functions that follow a script.

use serde_json::{Value, json};

use super::{
    behaviour::Behaviour,
    invocations::{Delivery, Ended},
};
use crate::{
    codepipeline,
    error::ServiceError,
    server::call_inside,
    state::{Issued, Service, World},
};

/// One delivery to a scripted function, over before anything else happens.
pub(super) fn run(world: &mut World, delivery: &Delivery, behaviour: &Behaviour, credentials: &Issued) -> Ended {
    let job = &delivery.event["CodePipeline.job"];
    let mut call = Callback { world, delivery, credentials, job: &job["id"], log: Vec::new() };
    let success = |call: &mut Callback<'_>, members: Value| call.put("PutJobSuccessResult", members);
    let result = match behaviour {
        Behaviour::Succeed { output_variables } => success(&mut call, json!({"outputVariables": output_variables})),
        Behaviour::Fail { message, failure_type } => {
            let details = json!({"type": failure_type, "message": message});
            call.put("PutJobFailureResult", json!({"failureDetails": details}))
        }
        Behaviour::NeverAnswer {} => Ok(()),
        Behaviour::AnswerTwice {} => {
            let first = success(&mut call, json!({}));
            // Whatever the second answer is, the handler has done its work.
            let _ = success(&mut call, json!({}));
            first
        }
        Behaviour::Raise { message, times } if times.is_none_or(|times| delivery.earlier < times) => {
            Err(format!("RuntimeError: {message}"))
        }
        Behaviour::Raise { .. } => success(&mut call, json!({})),
        Behaviour::Continue { token, times } => {
            let given = job["data"]["continuationToken"].as_str();
            let last = given.and_then(|given| given.rsplit_once('-')?.1.parse().ok()).unwrap_or(0);
            let token = (last < *times).then(|| format!("{token}-{}", last + 1));
            success(&mut call, token.map_or_else(|| json!({}), |token| json!({"continuationToken": token})))
        }
        Behaviour::Python { .. } => Err("a Python function is no script".to_owned()),
    };
    Ended { result, log: call.log.join("\n") }
}

struct Callback<'a> {
    world: &'a mut World,
    delivery: &'a Delivery,
    credentials: &'a Issued,
    job: &'a Value,
    log: Vec<String>,
}

impl Callback<'_> {
    /// One callback. The error is what boto3 would raise.
    fn put(&mut self, operation: &str, members: Value) -> Result<(), String> {
        let mut body = members;
        body["jobId"] = self.job.clone();
        let scope = (Service::CodePipeline, self.delivery.function.region.as_str());
        let text = body.to_string();
        let outcome = call_inside(self.world, scope, self.credentials, (operation, &text), |world, caller| {
            codepipeline::handle(world, caller, operation, &body)
        });
        let told = outcome.as_ref().map_or_else(ServiceError::to_string, |_| "OK".to_owned());
        self.log.push(format!("{operation}: {told}"));
        outcome.map(|_| ()).map_err(|error| {
            let ServiceError { code, message, .. } = error;
            format!("ClientError: An error occurred ({code}) when calling the {operation} operation: {message}")
        })
    }
}
