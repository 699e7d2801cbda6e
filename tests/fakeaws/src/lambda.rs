//! Lambda: functions as far as they are looked up.

use serde_json::{Map, Value, json};

use crate::{
    error::ServiceError,
    state::{Caller, Function, World, authorize::Assumer},
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
    Ok((name.to_owned(), function.clone()))
}

fn configuration(caller: &Caller, name: &str, function: &Function) -> Value {
    json!({
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
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
    })
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
        "tags": tags,
    });
    let function: Function = serde_json::from_value(seed).map_err(|error| invalid(error.to_string()))?;
    let functions = world.account_mut(&caller.account).functions.entry(caller.region.clone()).or_default();
    if functions.contains_key(&name) {
        let text = format!("Function already exist: {name}");
        return Err(ServiceError::new("ResourceConflictException", text).with_status(409));
    }
    functions.insert(name.clone(), function.clone());
    Ok(configuration(caller, &name, &function))
}

/// `Marker` and `MaxItems`: 50 functions a page at most (API reference, `ListFunctions`).
fn list(world: &mut World, caller: &Caller, input: &Value) -> Result<Value, ServiceError> {
    world.authorize(caller, "lambda:ListFunctions", "*", &[])?;
    let number = |member: &str| text(input, member).and_then(|text| text.parse::<usize>().ok());
    let start = number("Marker").unwrap_or(0);
    let size = number("MaxItems").unwrap_or(50).clamp(1, 50);
    let functions = world.accounts.get(&caller.account).and_then(|account| account.functions.get(&caller.region));
    let all = functions.into_iter().flatten();
    let page: Vec<Value> =
        all.clone().skip(start).take(size).map(|(name, function)| configuration(caller, name, function)).collect();
    let mut answer = json!({"Functions": page});
    if all.count() > start + size {
        answer["NextMarker"] = json!((start + size).to_string());
    }
    Ok(answer)
}
