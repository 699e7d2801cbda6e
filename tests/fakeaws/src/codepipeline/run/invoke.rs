//! The action Invoke/AWS/Lambda: `CodePipeline` → the pipeline's role → the action's role → the function.
//!
//! Sources: User Guide, "Invoke an AWS Lambda function in a pipeline" (`actions-invoke-lambda-function`; the event) and
//! "AWS Lambda action reference"; Lambda Developer Guide, "Invoke Lambda with CodePipeline" (the invocation is
//! asynchronous). Without `roleArn` the pipeline's role invokes. The role needs `lambda:ListFunctions` as well, as the
//! guide says.
//!
//! Not documented by AWS, and so inferred: the job belongs to the account of the role that invokes and to the region of
//! the action (the callbacks of functions in other accounts and regions arrive there), and the texts of denied hops at
//! run time are those that the denied calls themselves have.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    execution::{Failure, Place},
    jobs::Job,
};
use crate::{
    codepipeline::declaration::{list, text},
    error::ServiceError,
    lambda,
    server::call_inside,
    state::{Issued, SECRET_KEY, Service, World, authorize::Assumer},
    sts::{self, Assumption},
    wire::request_id,
};

/// How long a function may take to answer; every continuation token starts it again (User Guide, "Quotas").
pub(super) const REPLY: SignedDuration = SignedDuration::from_mins(20);
/// How long all of it may take (User Guide, "Quotas").
const WHOLE: SignedDuration = SignedDuration::from_hours(24);
/// CodePipeline's sessions last an hour (role chaining allows no more).
const SESSION: u32 = 3600;

/// What is to be invoked.
pub(super) struct Invoke<'a> {
    pub(super) place: &'a Place,
    pub(super) declaration: &'a Value,
    pub(super) action: &'a Value,
    /// With its variables resolved.
    pub(super) configuration: &'a BTreeMap<String, String>,
}

/// What waits for the function now.
pub(super) struct Started {
    /// Id of the job.
    pub(super) job: String,
    /// Id of the invocation.
    pub(super) request: String,
}

/// Goes all hops, each of them judged. `continued` is the job that ended with a continuation token, and the token.
///
/// # Errors
/// Why the action fails.
pub(super) fn invoke(
    world: &mut World,
    invoke: &Invoke<'_>,
    continued: Option<(&Job, &str)>,
) -> Result<Started, Failure> {
    let now = world.now();
    let session = now.as_millisecond().to_string();
    let (role, credentials) = enter(world, invoke, &session)?;
    let (job, region) = (request_id(), text(invoke.action, "region").to_owned());
    let event = event(world, invoke, (&job, &role, &session), continued.map(|(_, token)| token));
    let function = invoke.configuration.get("FunctionName").cloned().unwrap_or_default();
    if function.contains(':') {
        // The action reference says "the name of the function"; what else CodePipeline takes is not documented.
        let text = format!("fakeaws cannot do this: a FunctionName that is no plain name: {function}");
        return Err(Failure::new("ConfigurationError", text));
    }
    let input = event.to_string();
    let accepted = call_inside(world, (Service::Lambda, &region), &credentials, ("Invoke", &input), |world, caller| {
        lambda::invoke(world, caller, &function, event.clone())
    })
    .map_err(|error| refused(&error))?;
    let new = Job {
        place: invoke.place.clone(),
        function: accepted.function.clone(),
        execution_role: accepted.execution_role,
        deadline: now + REPLY,
        until: continued.map_or(now + WHOLE, |(job, _)| job.until),
        is_open: true,
    };
    world.jobs.open(&job, new);
    Ok(Started { job, request: accepted.request })
}

/// The role that invokes, by ARN, and a session of it.
fn enter(world: &mut World, invoke: &Invoke<'_>, session: &str) -> Result<(String, Issued), Failure> {
    let denied = |message: String| Failure::new("PermissionError", message);
    let pipeline_role = text(invoke.declaration, "roleArn").to_owned();
    let service = Assumer::Service("codepipeline.amazonaws.com");
    let allowed = world.may_assume(service, &pipeline_role, None).map_err(|error| refused(&error))?;
    let found =
        world.role_by_arn(&pipeline_role, world.now()).map(|(account, role)| (account.to_owned(), role.clone()));
    let Some((account, role)) = found.filter(|_| allowed) else {
        return Err(denied(format!("CodePipeline is not authorized to perform AssumeRole on role {pipeline_role}")));
    };
    let credentials = world.issue_session(&account, &role, session, SESSION);
    let Some(action_role) = invoke.action.get("roleArn").and_then(Value::as_str) else {
        return Ok((pipeline_role, credentials));
    };
    let scope = (Service::Sts, invoke.place.at.region.as_str());
    let asked = Assumption { role_arn: action_role, session, external_id: None, seconds: SESSION };
    let assumed = call_inside(world, scope, &credentials, ("AssumeRole", action_role), |world, caller| {
        sts::assume(world, caller, &asked)
    });
    match assumed {
        Ok(assumed) => Ok((action_role.to_owned(), assumed.credentials)),
        // In the words of the same check on UpdatePipeline.
        Err(error) if error.code == "AccessDenied" => Err(denied(format!(
            "Pipeline role {pipeline_role} is not authorized to perform AssumeRole on action role {action_role}"
        ))),
        Err(error) => Err(refused(&error)),
    }
}

/// The failure of an action whose call to another service was refused.
fn refused(error: &ServiceError) -> Failure {
    let code = match error.code.as_str() {
        "AccessDenied" | "AccessDeniedException" => "PermissionError",
        "ResourceNotFoundException" => "ConfigurationError",
        "ResourceConflictException" => "JobFailed",
        _ => "SystemUnavailable",
    };
    Failure::new(code, &error.message)
}

/// The event as the User Guide shows it. The artifact credentials are a session of the role that invokes; the callback
/// with them is denied (aws/aws-cdk #15235).
fn event(
    world: &mut World,
    invoke: &Invoke<'_>,
    (job, role, session): (&str, &str, &str),
    token: Option<&str>,
) -> Value {
    let now = world.now();
    let holder = world.role_by_arn(role, now).map(|(account, role)| (account.to_owned(), role.clone()));
    let account = holder.as_ref().map_or("", |(account, _)| account.as_str()).to_owned();
    let mut data = json!({
        "actionConfiguration": {"configuration": invoke.configuration},
        "inputArtifacts": artifacts(invoke, "inputArtifacts"),
        "outputArtifacts": artifacts(invoke, "outputArtifacts"),
    });
    if let Some((account, role)) = holder {
        let issued = world.issue_artifact_session(&account, &role, session, SESSION);
        data["artifactCredentials"] = json!({
            "accessKeyId": issued.access_key,
            "secretAccessKey": SECRET_KEY,
            "sessionToken": issued.token,
            "expirationTime": issued.expires.as_millisecond(),
        });
    }
    if let Some(key) = store(invoke).get("encryptionKey") {
        data["encryptionKey"] = key.clone();
    }
    if let Some(token) = token {
        data["continuationToken"] = json!(token);
    }
    json!({"CodePipeline.job": {"id": job, "accountId": account, "data": data}})
}

/// The artifact store of the action's region.
fn store<'v>(invoke: &Invoke<'v>) -> &'v Value {
    let stores = invoke.declaration.get("artifactStores").and_then(|stores| stores.get(text(invoke.action, "region")));
    stores.unwrap_or_else(|| &invoke.declaration["artifactStore"])
}

fn artifacts(invoke: &Invoke<'_>, member: &str) -> Value {
    let Place { at, execution, .. } = invoke.place;
    let artifact = |artifact: &Value| {
        let name = text(artifact, "name");
        let cut = |text: &str, length: usize| text.chars().take(length).collect::<String>();
        let key = format!("{}/{}/{}", cut(&at.pipeline, 20), cut(name, 10), cut(execution, 7));
        let bucket = text(store(invoke), "location");
        json!({
            "location": {"s3Location": {"bucketName": bucket, "objectKey": key}, "type": "S3"},
            "revision": null,
            "name": name,
        })
    };
    list(invoke.action, member).iter().map(artifact).collect()
}
