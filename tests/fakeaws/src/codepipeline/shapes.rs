//! The declaration of a pipeline in the service model of 2026 (botocore 1.44): members, bounds and patterns.
//!
//! Sets of values are closed here only where AWS has never added to them; categories, providers, modes, types and results
//! came one after the other. Members that the model lacks are nobody's business: they are neither checked nor touched.

use serde_json::Value;

use super::constraints::{Violations, of};
use crate::error::ServiceError;

/// What a member holds.
enum Shape {
    Text {
        least: usize,
        most: usize,
        pattern: &'static str,
        fits: fn(&str) -> bool,
    },
    OneOf(&'static [&'static str]),
    Integer(i64, i64),
    List {
        least: usize,
        most: usize,
        of: &'static Self,
    },
    /// Texts by name, with the bounds of keys and values. They may be secret: no message shows them.
    Texts {
        keys: usize,
        most: usize,
        values: usize,
    },
    /// Structures by name.
    Map(&'static Self),
    Structure(&'static [Member]),
}

struct Member {
    name: &'static str,
    required: bool,
    shape: &'static Shape,
}

const fn must(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: true, shape }
}

const fn may(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: false, shape }
}

const fn length(least: usize, most: usize) -> Shape {
    Shape::Text { least, most, pattern: ".*", fits: |_| true }
}

const fn list(least: usize, most: usize, of: &'static Shape) -> Shape {
    Shape::List { least, most, of }
}

const ANY: usize = usize::MAX;

static NAME: Shape = Shape::Text { least: 1, most: 100, pattern: "[A-Za-z0-9.@\\-_]+", fits: |text| of(text, ".@-_") };
static ARTIFACT_NAME: Shape =
    Shape::Text { least: 1, most: 100, pattern: "[a-zA-Z0-9_\\-]+", fits: |text| of(text, "_-") };
static NAMESPACE: Shape =
    Shape::Text { least: 1, most: 100, pattern: "[A-Za-z0-9@\\-_]+", fits: |text| of(text, "@-_") };
static VARIABLE_NAME: Shape =
    Shape::Text { least: 1, most: 128, pattern: "[A-Za-z0-9@\\-_]+", fits: |text| of(text, "@-_") };
static ENVIRONMENT_NAME: Shape =
    Shape::Text { least: 1, most: 128, pattern: "[A-Za-z0-9_]+", fits: |text| of(text, "_") };
static ROLE_ARN: Shape =
    Shape::Text { least: 0, most: 1024, pattern: "arn:aws(-[\\w]+)*:iam::[0-9]{12}:role/.*", fits: is_role_arn };
static BUCKET: Shape = Shape::Text { least: 3, most: 63, pattern: "[a-zA-Z0-9\\-\\.]+", fits: |text| of(text, "-.") };
static CATEGORY: Shape = Shape::Text { least: 1, most: 100, pattern: "[0-9A-Za-z_-]+", fits: |text| of(text, "_-") };
static PROVIDER: Shape = Shape::Text { least: 1, most: 35, pattern: "[0-9A-Za-z_-]+", fits: |text| of(text, "_-") };
static TYPE_VERSION: Shape = Shape::Text { least: 1, most: 9, pattern: "[0-9A-Za-z_-]+", fits: |text| of(text, "_-") };
static REGION: Shape = length(4, 30);
static WORD: Shape = length(1, ANY);
static ORDER: Shape = Shape::Integer(1, 999);
static MINUTES: Shape = Shape::Integer(5, 86_400);
static VERSION: Shape = Shape::Integer(1, i64::MAX);

static ENCRYPTION_KEY: Shape = Shape::Structure(&[must("id", &length(1, 400)), must("type", &Shape::OneOf(&["KMS"]))]);
static ARTIFACT_STORE: Shape = Shape::Structure(&[
    must("type", &Shape::OneOf(&["S3"])),
    must("location", &BUCKET),
    may("encryptionKey", &ENCRYPTION_KEY),
]);
static ARTIFACT_STORES: Shape = Shape::Map(&ARTIFACT_STORE);

static TYPE_ID: Shape = Shape::Structure(&[
    must("category", &CATEGORY),
    must("owner", &CATEGORY),
    must("provider", &PROVIDER),
    must("version", &TYPE_VERSION),
]);
static COMMANDS: Shape = list(1, 50, &COMMAND);
static COMMAND: Shape = length(1, 1000);
static FILES: Shape = list(1, 10, &FILE);
static FILE: Shape = length(1, 128);
static INPUTS: Shape = list(0, ANY, &INPUT);
static INPUT: Shape = Shape::Structure(&[must("name", &ARTIFACT_NAME)]);
static OUTPUTS: Shape = list(0, ANY, &OUTPUT);
static OUTPUT: Shape = Shape::Structure(&[must("name", &ARTIFACT_NAME), may("files", &FILES)]);
static OUTPUT_VARIABLES: Shape = list(1, 15, &FILE);
static ENVIRONMENT: Shape = list(1, 10, &ENVIRONMENT_VARIABLE);
static ENVIRONMENT_VARIABLE: Shape =
    Shape::Structure(&[must("name", &ENVIRONMENT_NAME), must("value", &length(1, 2000)), may("type", &WORD)]);
static ACTIONS: Shape = list(0, ANY, &ACTION);
static ACTION: Shape = Shape::Structure(&[
    must("name", &NAME),
    must("actionTypeId", &TYPE_ID),
    may("runOrder", &ORDER),
    may("configuration", &Shape::Texts { keys: 50, most: ANY, values: 1000 }),
    may("commands", &COMMANDS),
    may("outputArtifacts", &OUTPUTS),
    may("inputArtifacts", &INPUTS),
    may("outputVariables", &OUTPUT_VARIABLES),
    may("roleArn", &ROLE_ARN),
    may("region", &REGION),
    may("namespace", &NAMESPACE),
    may("timeoutInMinutes", &MINUTES),
    may("environmentVariables", &ENVIRONMENT),
]);

static RULE_TYPE_ID: Shape = Shape::Structure(&[
    must("category", &Shape::OneOf(&["Rule"])),
    may("owner", &Shape::OneOf(&["AWS"])),
    must("provider", &PROVIDER),
    may("version", &TYPE_VERSION),
]);
static RULES: Shape = list(1, 5, &RULE);
static RULE: Shape = Shape::Structure(&[
    must("name", &NAME),
    must("ruleTypeId", &RULE_TYPE_ID),
    may("configuration", &Shape::Texts { keys: 50, most: 200, values: 10_000 }),
    may("commands", &COMMANDS),
    may("inputArtifacts", &INPUTS),
    may("roleArn", &ROLE_ARN),
    may("region", &REGION),
    may("timeoutInMinutes", &MINUTES),
]);
static CONDITIONS: Shape = list(1, 1, &CONDITION);
static CONDITION: Shape = Shape::Structure(&[may("result", &WORD), may("rules", &RULES)]);
static GATE: Shape = Shape::Structure(&[must("conditions", &CONDITIONS)]);
static RETRY: Shape = Shape::Structure(&[may("retryMode", &Shape::OneOf(&["FAILED_ACTIONS", "ALL_ACTIONS"]))]);
static ON_FAILURE: Shape =
    Shape::Structure(&[may("result", &WORD), may("retryConfiguration", &RETRY), may("conditions", &CONDITIONS)]);
static BLOCKERS: Shape = list(0, ANY, &BLOCKER);
static BLOCKER: Shape = Shape::Structure(&[must("name", &length(1, 100)), must("type", &Shape::OneOf(&["Schedule"]))]);
static STAGES: Shape = list(0, ANY, &STAGE);
static STAGE: Shape = Shape::Structure(&[
    must("name", &NAME),
    may("blockers", &BLOCKERS),
    must("actions", &ACTIONS),
    may("onFailure", &ON_FAILURE),
    may("onSuccess", &GATE),
    may("beforeEntry", &GATE),
]);

static VARIABLES: Shape = list(0, 50, &VARIABLE);
static VARIABLE: Shape = Shape::Structure(&[
    must("name", &VARIABLE_NAME),
    may("defaultValue", &length(1, 1000)),
    may("description", &length(0, 200)),
]);
static PATTERNS: Shape = list(1, 8, &PATTERN);
static PATTERN: Shape = length(1, 255);
static CRITERIA: Shape = Shape::Structure(&[may("includes", &PATTERNS), may("excludes", &PATTERNS)]);
static PUSH: Shape =
    Shape::Structure(&[may("tags", &CRITERIA), may("branches", &CRITERIA), may("filePaths", &CRITERIA)]);
static EVENT: Shape = Shape::OneOf(&["OPEN", "UPDATED", "CLOSED"]);
static EVENTS: Shape = list(1, 3, &EVENT);
static PULL_REQUEST: Shape =
    Shape::Structure(&[may("events", &EVENTS), may("branches", &CRITERIA), may("filePaths", &CRITERIA)]);
static PUSHES: Shape = list(1, 3, &PUSH);
static PULL_REQUESTS: Shape = list(1, 3, &PULL_REQUEST);
static GIT: Shape =
    Shape::Structure(&[must("sourceActionName", &NAME), may("push", &PUSHES), may("pullRequest", &PULL_REQUESTS)]);
static TRIGGERS: Shape = list(0, 50, &TRIGGER);
static TRIGGER: Shape = Shape::Structure(&[must("providerType", &WORD), must("gitConfiguration", &GIT)]);

static PIPELINE: Shape = Shape::Structure(&[
    must("name", &NAME),
    must("roleArn", &ROLE_ARN),
    may("artifactStore", &ARTIFACT_STORE),
    may("artifactStores", &ARTIFACT_STORES),
    must("stages", &STAGES),
    may("version", &VERSION),
    may("executionMode", &WORD),
    may("pipelineType", &WORD),
    may("variables", &VARIABLES),
    may("triggers", &TRIGGERS),
]);

/// Checks a whole declaration, as it came.
pub(super) fn declaration(declaration: &Value) -> Result<(), ServiceError> {
    let mut violations = Violations::default();
    check(&mut violations, declaration, "pipeline", &PIPELINE);
    violations.into_result()
}

/// Takes the nulls out of members that the model knows: there null is absent. Of any other member AWS keeps what it got.
pub(super) fn strip_nulls(declaration: &mut Value) {
    strip(declaration, &PIPELINE);
}

fn strip(value: &mut Value, shape: &Shape) {
    match (value, shape) {
        (Value::Object(given), Shape::Structure(members)) => {
            for member in *members {
                if given.get(member.name).is_some_and(Value::is_null) {
                    given.shift_remove(member.name);
                }
                if let Some(value) = given.get_mut(member.name) {
                    strip(value, member.shape);
                }
            }
        }
        (Value::Object(given), Shape::Map(of)) => given.values_mut().for_each(|value| strip(value, of)),
        (Value::Array(values), Shape::List { of, .. }) => values.iter_mut().for_each(|value| strip(value, of)),
        _ => {}
    }
}

fn check(violations: &mut Violations, value: &Value, path: &str, shape: &Shape) {
    match (shape, value) {
        (Shape::Text { least, most, pattern, fits }, Value::String(text)) => {
            lengths(violations, Some(text), text.chars().count(), path, (*least, *most));
            if !fits(text) {
                let rule = format!("Member must satisfy regular expression pattern: {pattern}");
                violations.add(Some(text), path, &rule);
            }
        }
        (Shape::OneOf(values), Value::String(text)) => {
            if !values.contains(&text.as_str()) {
                let rule = format!("Member must satisfy enum value set: [{}]", values.join(", "));
                violations.add(Some(text), path, &rule);
            }
        }
        (Shape::Integer(least, most), Value::Number(number)) => {
            let shown = number.to_string();
            match number.as_i64() {
                None => violations.add(Some(&shown), path, "Member must be an integer"),
                Some(number) if number < *least => {
                    let rule = format!("Member must have value greater than or equal to {least}");
                    violations.add(Some(&shown), path, &rule);
                }
                Some(number) if number > *most => {
                    let rule = format!("Member must have value less than or equal to {most}");
                    violations.add(Some(&shown), path, &rule);
                }
                Some(_) => {}
            }
        }
        (Shape::List { least, most, of }, Value::Array(values)) => {
            lengths(violations, None, values.len(), path, (*least, *most));
            for (n, value) in values.iter().enumerate() {
                check(violations, value, &format!("{path}.{}.member", n + 1), of);
            }
        }
        (Shape::Map(of), Value::Object(values)) => {
            for (name, value) in values {
                check(violations, value, &format!("{path}.{name}.member"), of);
            }
        }
        (Shape::Texts { keys, most, values }, Value::Object(given)) => {
            lengths(violations, None, given.len(), path, (0, *most));
            texts(violations, given, path, (*keys, *values));
        }
        (Shape::Structure(members), Value::Object(given)) => {
            for Member { name, required, shape } in *members {
                let path = format!("{path}.{name}");
                match given.get(*name).filter(|value| !value.is_null()) {
                    Some(value) => check(violations, value, &path, shape),
                    None if *required => violations.add(None, &path, "Member must not be null"),
                    None => {}
                }
            }
        }
        (_, other) => {
            violations.0.push(format!("Value at '{path}' failed to satisfy constraint: {}", wrong_kind(shape, other)));
        }
    }
}

fn wrong_kind(shape: &Shape, given: &Value) -> String {
    let wanted = match shape {
        Shape::Text { .. } | Shape::OneOf(_) => "a string",
        Shape::Integer(..) => "an integer",
        Shape::List { .. } => "a list",
        Shape::Texts { .. } | Shape::Map(_) | Shape::Structure(_) => "an object",
    };
    let given = match given {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("Member must be {wanted}, not {given}")
}

fn lengths(violations: &mut Violations, value: Option<&str>, length: usize, path: &str, (least, most): (usize, usize)) {
    let rule = if length < least {
        format!("Member must have length greater than or equal to {least}")
    } else if length > most {
        format!("Member must have length less than or equal to {most}")
    } else {
        return;
    };
    match value {
        Some(_) => violations.add(value, path, &rule),
        None => violations.0.push(format!("Value at '{path}' failed to satisfy constraint: {rule}")),
    }
}

/// Keys and values within their bounds, and no word about which.
fn texts(
    violations: &mut Violations,
    given: &serde_json::Map<String, Value>,
    path: &str,
    (keys, values): (usize, usize),
) {
    let bounded = |text: &str, most: usize| (1..=most).contains(&text.chars().count());
    let rule = |what: &str, most: usize| {
        format!(
            "Value at '{path}' failed to satisfy constraint: Map {what} must satisfy constraint: [Member must have length \
             less than or equal to {most}, Member must have length greater than or equal to 1]"
        )
    };
    if !given.keys().all(|key| bounded(key, keys)) {
        violations.0.push(rule("keys", keys));
    }
    if !given.values().all(|value| value.as_str().is_some_and(|text| bounded(text, values))) {
        violations.0.push(rule("value", values));
    }
}

fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else { return false };
    let partition = partition == "aws" || partition.strip_prefix("aws-").is_some_and(|rest| of(rest, "-_"));
    partition && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && resource.starts_with("role/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        let action = |category: &str| {
            json!({
                "name": "Act", "runOrder": 1, "configuration": {"Key": "value"},
                "actionTypeId": {"category": category, "owner": "AWS", "provider": "X", "version": "1"},
            })
        };
        json!({
            "name": "p", "roleArn": "arn:aws-us-gov:iam::111111111111:role/service-role/p",
            "artifactStore": {"type": "S3", "location": "bucket"},
            "stages": [
                {"name": "Source", "actions": [action("Source")]},
                {"name": "Build", "actions": [action("Build")]},
            ],
        })
    }

    /// Sets what a JSON pointer names in a good declaration; null removes it.
    fn refusal(pointer: &str, value: Value) -> String {
        let mut declaration = whole();
        let (holder, member) = pointer.rsplit_once('/').unwrap();
        declaration.pointer_mut(holder).unwrap()[member] = value;
        super::declaration(&declaration).map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn a_good_declaration_is_accepted() {
        assert_eq!(refusal("/name", json!("a.b@c-d_E9")), "accepted");
    }

    #[test]
    fn constraints_of_the_service_model() {
        let of = |path: &str, rule: &str| format!("at '{path}' failed to satisfy constraint: {rule}");
        let name = "[A-Za-z0-9.@\\-_]+";
        let role_arn = "arn:aws(-[\\w]+)*:iam::[0-9]{12}:role/.*";
        let pattern = |regex: &str| format!("Member must satisfy regular expression pattern: {regex}");
        let long = "a".repeat(1001);
        let act = "/stages/1/actions/0";
        let path = "pipeline.stages.2.member.actions.1.member";
        let not_null = "Member must not be null";
        let value = "Map value must satisfy constraint: [Member must have length less than or equal to 1000, Member must have length greater than or equal to 1]";
        let cases: Vec<(String, Value, String)> = vec![
            ("/name".into(), json!(null), of("pipeline.name", not_null)),
            ("/name".into(), json!("a b"), of("pipeline.name", &pattern(name))),
            ("/name".into(), json!(long), of("pipeline.name", "Member must have length less than or equal to 100")),
            ("/roleArn".into(), json!(null), of("pipeline.roleArn", not_null)),
            ("/roleArn".into(), json!("arn:aws:iam::1:role/p"), of("pipeline.roleArn", &pattern(role_arn))),
            ("/stages".into(), json!(null), of("pipeline.stages", not_null)),
            ("/artifactStore/location".into(), json!(null), of("pipeline.artifactStore.location", not_null)),
            ("/stages/1/name".into(), json!("ä"), of("pipeline.stages.2.member.name", &pattern(name))),
            ("/stages/1/actions".into(), json!(null), of("pipeline.stages.2.member.actions", not_null)),
            (format!("{act}/name"), json!(""), of(&format!("{path}.name"), &pattern(name))),
            (format!("{act}/actionTypeId"), json!(null), of(&format!("{path}.actionTypeId"), not_null)),
            (
                format!("{act}/actionTypeId/category"),
                json!(null),
                of(&format!("{path}.actionTypeId.category"), not_null),
            ),
            (format!("{act}/actionTypeId/owner"), json!(null), of(&format!("{path}.actionTypeId.owner"), not_null)),
            (
                format!("{act}/actionTypeId/provider"),
                json!(null),
                of(&format!("{path}.actionTypeId.provider"), not_null),
            ),
            (format!("{act}/actionTypeId/version"), json!(null), of(&format!("{path}.actionTypeId.version"), not_null)),
            (
                format!("{act}/runOrder"),
                json!(0),
                of(&format!("{path}.runOrder"), "Member must have value greater than or equal to 1"),
            ),
            (
                format!("{act}/runOrder"),
                json!(1000),
                of(&format!("{path}.runOrder"), "Member must have value less than or equal to 999"),
            ),
            (format!("{act}/roleArn"), json!("role"), of(&format!("{path}.roleArn"), &pattern(role_arn))),
            (
                format!("{act}/region"),
                json!("x"),
                of(&format!("{path}.region"), "Member must have length greater than or equal to 4"),
            ),
            (format!("{act}/namespace"), json!("a.b"), of(&format!("{path}.namespace"), &pattern("[A-Za-z0-9@\\-_]+"))),
            (
                format!("{act}/inputArtifacts"),
                json!([{"name": "a.b"}]),
                of(&format!("{path}.inputArtifacts.1.member.name"), &pattern("[a-zA-Z0-9_\\-]+")),
            ),
            (format!("{act}/configuration/UserParameters"), json!(""), of(&format!("{path}.configuration"), value)),
            (format!("{act}/configuration/UserParameters"), json!(long), of(&format!("{path}.configuration"), value)),
        ];
        for (pointer, value, expected) in cases {
            let refusal = refusal(&pointer, value.clone());
            assert!(refusal.starts_with("ValidationException: "), "{pointer} {value}: {refusal}");
            assert!(refusal.contains(&expected), "{pointer} {value}: {refusal}, expected {expected}");
        }
    }

    #[test]
    fn all_errors_come_together() {
        let mut declaration = whole();
        declaration["name"] = json!("a b");
        declaration["roleArn"] = json!(null);
        let refusal = super::declaration(&declaration).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "ValidationException: 2 validation errors detected: Value 'a b' at 'pipeline.name' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+; Value null at \
             'pipeline.roleArn' failed to satisfy constraint: Member must not be null"
        );
    }
}
