//! Lambda: functions as far as they are looked up, and their asynchronous invocations.
//!
//! `CodePipeline` is the only one who invokes: `Invoke` is not offered over the wire.

mod behaviour;
mod invocations;
mod python;
mod script;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

pub use self::behaviour::Behaviour;
pub(crate) use self::{
    invocations::{Delivery, Ended, FunctionAt, Invocations},
    python::Process,
};
use crate::{
    error::ServiceError,
    state::{Caller, Function, World, authorize::Assumer},
    wire::request_id,
};

/// Answers one call.
pub(crate) fn handle(
    world: &mut World,
    caller: &Caller,
    operation: &str,
    input: &Value,
) -> Result<Value, ServiceError> {
    match operation {
        "CreateFunction" => create(world, caller, input),
        "GetFunction" => {
            let (name, function) = find(world, caller, "lambda:GetFunction", input)?;
            let mut answer = json!({
                "Configuration": configuration(caller, &name, &function),
                "Code": {"RepositoryType": "S3", "Location": "https://fakeaws.invalid/code.zip"},
            });
            if !function.tags.is_empty() {
                answer["Tags"] = json!(function.tags);
            }
            Ok(answer)
        }
        "GetFunctionConfiguration" => {
            let (name, function) = find(world, caller, "lambda:GetFunctionConfiguration", input)?;
            Ok(configuration(caller, &name, &function))
        }
        "CreateAlias" => create_alias(world, caller, input),
        "ListFunctions" => list(world, caller, input),
        other => Err(ServiceError::unsupported(other)),
    }
}

fn text<'v>(input: &'v Value, member: &str) -> Option<&'v str> {
    input.get(member).and_then(Value::as_str)
}

fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidParameterValueException", message)
}

fn arn(caller: &Caller, name: &str) -> String {
    format!("arn:{}:lambda:{}:{}:function:{name}", caller.partition, caller.region, caller.account)
}

/// The function that the input names, by name or by ARN, after authorisation. Functions have one version here.
fn find(world: &mut World, caller: &Caller, action: &str, input: &Value) -> Result<(String, Function), ServiceError> {
    let named = text(input, "FunctionName").unwrap_or_default();
    let own = arn(caller, "");
    let asked = if named.starts_with("arn:") { named.to_owned() } else { format!("{own}{named}") };
    world.authorize(caller, action, &asked, &[])?;
    let Some(name) = asked.strip_prefix(&own) else {
        // A function elsewhere would need a resource policy that allows this account; functions have none here.
        let text = format!("User: {} is not authorized to perform: {action} on resource: {asked}", caller.arn);
        let why = "because no resource-based policy allows the action";
        return Err(caller.service.access_denied(format!("{text} {why} {action}")));
    };
    let functions = world.accounts.get(&caller.account).and_then(|account| account.functions.get(&caller.region));
    let latest = matches!(text(input, "Qualifier"), None | Some("$LATEST"));
    let function = functions.and_then(|functions| functions.get(name)).filter(|_| latest).ok_or_else(|| {
        ServiceError::new("ResourceNotFoundException", format!("Function not found: {asked}")).with_status(404)
    })?;
    let mut function = function.clone();
    function.settle(world.now());
    Ok((name.to_owned(), function))
}

/// An invocation that was accepted.
pub(crate) struct Accepted {
    /// Its request id.
    pub(crate) request: String,
    pub(crate) function: FunctionAt,
    /// ARN of the function's role.
    pub(crate) execution_role: String,
}

/// `Invoke` with the invocation type `Event`: the event is taken, and delivered when its turn comes.
pub(crate) fn invoke(
    world: &mut World,
    caller: &Caller,
    function: &str,
    event: Value,
) -> Result<Accepted, ServiceError> {
    let (name, found) = find(world, caller, "lambda:InvokeFunction", &json!({"FunctionName": function}))?;
    // User Guide, "AWS Lambda action reference": the role needs lambda:ListFunctions as well, "otherwise, pipelines that
    // include Lambda actions fail". In what words they fail is not documented.
    world.authorize(caller, "lambda:ListFunctions", "*", &[])?;
    is_ready(world, caller, &name, &found)?;
    let function = FunctionAt { account: caller.account.clone(), region: caller.region.clone(), name };
    let request = request_id();
    let now = world.now();
    world.invocations.push(function.clone(), request.clone(), event, now);
    world.signals.changed();
    Ok(Accepted { request, function, execution_role: found.role })
}

/// How long a function that was idle takes to get its resources back; AWS names no bound.
const WAKING: SignedDuration = SignedDuration::from_mins(1);

/// A function that is not active takes no invocation; an idle one is woken by it (Lambda Developer Guide, "Lambda function
/// states": the invocation fails, and the function is Pending until its resources are there again).
fn is_ready(world: &mut World, caller: &Caller, name: &str, found: &Function) -> Result<(), ServiceError> {
    if found.state == "Active" {
        return Ok(());
    }
    let now = world.now();
    let functions = world.account_mut(&caller.account).functions.get_mut(&caller.region);
    if let Some(function) = functions.and_then(|functions| functions.get_mut(name)).filter(|of| of.state == "Inactive")
    {
        "Pending".clone_into(&mut function.state);
        function.state_reason = Some("The function is being restored.".to_owned());
        function.state_reason_code = Some("Restoring".to_owned());
        function.awake_at = Some(now + WAKING);
    }
    let state = &found.state;
    let text = "The operation cannot be performed at this time. The function is currently in the following state:";
    Err(ServiceError::new("ResourceConflictException", format!("{text} {state}")).with_status(409))
}

/// What becomes of an event when the environment cannot be decrypted (AWS re:Post, "How do I resolve KMS exception
/// permission errors from Lambda?"; serverless/examples #279, with silence in the function's own logs).
const UNDECRYPTABLE: &str = "Lambda was unable to decrypt the environment variables because KMS access was denied. Please \
                             check the function's AWS KMS key settings.";

impl Function {
    /// Lambda encrypts environment variables, and grants the key's use to the execution role as it is at that time: one
    /// that is made again under the same name has another id, and the grant is not for it.
    pub(crate) fn grant(&mut self, world: &World) {
        let role = world.role_by_arn(&self.role, world.now()).map(|(_, role)| role.id.clone());
        self.grantee = role.filter(|_| !self.environment.is_empty());
    }

    /// What a woken function is by now.
    fn settle(&mut self, now: Timestamp) {
        if self.awake_at.is_some_and(|awake| awake <= now) {
            "Active".clone_into(&mut self.state);
            (self.state_reason, self.state_reason_code, self.awake_at) = (None, None, None);
        }
    }
}

/// Delivers the latest event of a function once more.
pub(crate) fn deliver_again(world: &mut World, function: &FunctionAt) -> Result<(), String> {
    let now = world.now();
    world.invocations.repeat(function, now)?;
    world.signals.changed();
    Ok(())
}

/// Delivers an event. What is scripted is over when this returns; a process is left to the caller.
pub(crate) fn deliver(world: &mut World, delivery: Delivery) -> Option<Process> {
    let now = world.now();
    let failed = |text: &str| Ended { result: Err(text.to_owned()), log: String::new() };
    let FunctionAt { account, region, name } = &delivery.function;
    let functions = world.accounts.get(account).and_then(|account| account.functions.get(region));
    let Some(function) = functions.and_then(|functions| functions.get(name)).cloned() else {
        world.invocations.end(&delivery, failed("the function was deleted"), now);
        return None;
    };
    let service = Assumer::Service("lambda.amazonaws.com");
    let trusted = world.may_assume(service, &function.role, None).unwrap_or_default();
    let role =
        world.role_by_arn(&function.role, now).filter(|_| trusted).map(|(of, role)| (of.to_owned(), role.clone()));
    let Some((of, role)) = role else {
        let text = "The role defined for the function cannot be assumed by Lambda.";
        world.invocations.end(&delivery, failed(text), now);
        return None;
    };
    if function.grantee.as_ref().is_some_and(|grantee| *grantee != role.id) {
        world.invocations.end(&delivery, failed(UNDECRYPTABLE), now);
        return None;
    }
    let credentials = world.issue_session(&of, &role, name, role.max_session_duration);
    match function.behaviour.clone().unwrap_or_default() {
        Behaviour::Python { file, python, trusts } => {
            let partition = world.accounts.get(account).map_or("aws", |account| account.partition.as_str());
            let arn = format!("arn:{partition}:lambda:{region}:{account}:function:{name}");
            Some(Process { delivery, function, arn, file, python, trusts, credentials })
        }
        scripted => {
            let ended = script::run(world, &delivery, &scripted, &credentials);
            world.invocations.end(&delivery, ended, now);
            None
        }
    }
}

fn configuration(caller: &Caller, name: &str, function: &Function) -> Value {
    let mut shown = json!({
        "FunctionName": name,
        "FunctionArn": arn(caller, name),
        "Runtime": function.runtime,
        "Role": function.role,
        "Handler": function.handler,
        "Description": function.description,
        "Timeout": function.timeout,
        "MemorySize": 128,
        "CodeSize": 0,
        "CodeSha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "LastModified": "2026-01-01T00:00:00.000+0000",
        "Version": "$LATEST",
        "State": function.state,
        "LastUpdateStatus": function.last_update_status,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
    });
    for (member, value) in [
        ("StateReason", &function.state_reason),
        ("StateReasonCode", &function.state_reason_code),
        ("LastUpdateStatusReason", &function.last_update_status_reason),
    ] {
        if let Some(value) = value {
            shown[member] = json!(value);
        }
    }
    if let Some(vpc) = &function.vpc_config {
        shown["VpcConfig"] = vpc.clone();
    }
    if !function.environment.is_empty() {
        shown["Environment"] = json!({"Variables": function.environment});
    }
    shown
}

fn create(world: &mut World, caller: &Caller, input: &Value) -> Result<Value, ServiceError> {
    let name = text(input, "FunctionName").unwrap_or_default().to_owned();
    let role = text(input, "Role").unwrap_or_default();
    world.authorize(caller, "lambda:CreateFunction", &arn(caller, &name), &[])?;
    world.authorize(caller, "iam:PassRole", role, &[("iam:PassedToService", "lambda.amazonaws.com")])?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(1..=64).contains(&name.len()) || !name.chars().all(allowed) {
        let text = format!("Value '{name}' at 'functionName' failed to satisfy constraint: [a-zA-Z0-9-_]{{1,64}}");
        return Err(ServiceError::new("ValidationException", text));
    }
    if !world.may_assume(Assumer::Service("lambda.amazonaws.com"), role, None)? {
        return Err(invalid("The role defined for the function cannot be assumed by Lambda."));
    }
    let tags = input.get("Tags").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    let seed = json!({
        "role": role,
        "runtime": text(input, "Runtime").unwrap_or("python3.13"),
        "handler": text(input, "Handler").unwrap_or("index.handler"),
        "description": text(input, "Description").unwrap_or_default(),
        "timeout": input.get("Timeout").and_then(Value::as_u64).unwrap_or(3),
        "environment": input.pointer("/Environment/Variables").unwrap_or(&json!({})),
        "tags": tags,
    });
    let mut function: Function = serde_json::from_value(seed).map_err(|error| invalid(error.to_string()))?;
    function.grant(world);
    let functions = world.account_mut(&caller.account).functions.entry(caller.region.clone()).or_default();
    if functions.contains_key(&name) {
        let text = format!("Function already exist: {name}");
        return Err(ServiceError::new("ResourceConflictException", text).with_status(409));
    }
    functions.insert(name.clone(), function.clone());
    Ok(configuration(caller, &name, &function))
}

/// An alias of the one version that functions have here. Nothing is found by it: what `CodePipeline` makes of a qualifier is
/// not documented.
fn create_alias(world: &mut World, caller: &Caller, input: &Value) -> Result<Value, ServiceError> {
    let alias = text(input, "Name").unwrap_or_default().to_owned();
    let version = text(input, "FunctionVersion").unwrap_or_default();
    let (name, _) = find(world, caller, "lambda:CreateAlias", &json!({"FunctionName": text(input, "FunctionName")}))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if alias.is_empty() || alias.chars().all(|c| c.is_ascii_digit()) || !alias.chars().all(allowed) {
        let pattern = "(?!^[0-9]+$)([a-zA-Z0-9-_]+)";
        let text = format!("Value '{alias}' at 'name' failed to satisfy constraint: {pattern}");
        return Err(ServiceError::new("ValidationException", text));
    }
    let arn = arn(caller, &name);
    if version != "$LATEST" {
        let text = format!("Function not found: {arn}:{version}");
        return Err(ServiceError::new("ResourceNotFoundException", text).with_status(404));
    }
    let functions = world.account_mut(&caller.account).functions.entry(caller.region.clone()).or_default();
    if functions.get_mut(&name).is_none_or(|function| !function.aliases.insert(alias.clone())) {
        let text = format!("Alias already exists: {arn}:{alias}");
        return Err(ServiceError::new("ResourceConflictException", text).with_status(409));
    }
    Ok(json!({"AliasArn": format!("{arn}:{alias}"), "Name": alias, "FunctionVersion": version, "Description": ""}))
}

/// Members that a list leaves out (API reference, `ListFunctions`).
const NOT_LISTED: [&str; 6] = [
    "State",
    "StateReason",
    "StateReasonCode",
    "LastUpdateStatus",
    "LastUpdateStatusReason",
    "LastUpdateStatusReasonCode",
];

/// The unpublished version of every function: 50 a page at most, though `MaxItems` may be up to 10,000 (API reference,
/// `ListFunctions`). Versions and the replicas of Lambda@Edge are not kept here.
fn list(world: &mut World, caller: &Caller, input: &Value) -> Result<Value, ServiceError> {
    world.authorize(caller, "lambda:ListFunctions", "*", &[])?;
    if let Some(member) = ["FunctionVersion", "MasterRegion"].into_iter().find(|member| input.get(member).is_some()) {
        return Err(ServiceError::unsupported(format!("ListFunctions with {member}")));
    }
    let number = |member: &str| text(input, member).map(str::parse::<usize>).transpose();
    let start = number("Marker").map_err(|_| invalid("Could not interpret marker"))?.unwrap_or(0);
    let size = number("MaxItems").ok().map(|size| size.unwrap_or(50)).filter(|size| (1..=10_000).contains(size));
    let size = size.ok_or_else(|| {
        let rule = "Member must have value greater than or equal to 1 and less than or equal to 10000";
        let text = format!("1 validation error detected: Value at 'maxItems' failed to satisfy constraint: {rule}");
        ServiceError::new("ValidationException", text)
    })?;
    let size = size.min(50);
    let functions = world.accounts.get(&caller.account).and_then(|account| account.functions.get(&caller.region));
    let all = functions.into_iter().flatten();
    let page: Vec<Value> = all
        .clone()
        .skip(start)
        .take(size)
        .map(|(name, function)| {
            let mut shown = configuration(caller, name, function);
            if let Some(members) = shown.as_object_mut() {
                members.retain(|member, _| !NOT_LISTED.contains(&member.as_str()));
            }
            shown
        })
        .collect();
    let mut answer = json!({"Functions": page});
    if all.count() > start + size {
        answer["NextMarker"] = json!((start + size).to_string());
    }
    Ok(answer)
}
