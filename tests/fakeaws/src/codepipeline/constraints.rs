//! The constraints of the service model: what a request must look like before its meaning is looked at.
//!
//! All that is wrong is told at once: "2 validation errors detected: …; …".

use serde_json::Value;

use super::declaration;
use crate::error::ServiceError;

const NAME: &str = "[A-Za-z0-9.@\\-_]+";
const ARTIFACT: &str = "[a-zA-Z0-9_\\-]+";
const NAMESPACE: &str = "[A-Za-z0-9@\\-_]+";
const JOB_ID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const FAILURE_TYPE: &str =
    "JobFailed|ConfigurationError|PermissionError|RevisionOutOfSync|RevisionUnavailable|SystemUnavailable";
const ROLE_ARN: &str = "arn:aws(-[\\w]+)*:iam::[0-9]{12}:role/.*";

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    /// `ValidationException` with everything that was found, if there was anything.
    pub(super) fn into_result(self) -> Result<(), ServiceError> {
        let Self(found) = self;
        let errors = match found.len() {
            0 => return Ok(()),
            1 => "1 validation error".to_owned(),
            n => format!("{n} validation errors"),
        };
        Err(ServiceError::new("ValidationException", format!("{errors} detected: {}", found.join("; "))))
    }

    fn add(&mut self, value: Option<&str>, path: &str, rule: &str) {
        let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
        self.0.push(format!("Value {value} at '{path}' failed to satisfy constraint: {rule}"));
    }

    /// A text of so many characters that fits a pattern. Absence is an error only where it is required.
    pub(super) fn text(&mut self, holder: &Value, path: &str, member: &str, rule: &Rule) {
        let path = if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
        match holder.get(member) {
            None | Some(Value::Null) if rule.required => self.add(None, &path, "Member must not be null"),
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                let length = text.chars().count();
                if length < rule.least {
                    let text_rule = format!("Member must have length greater than or equal to {}", rule.least);
                    self.add(Some(text), &path, &text_rule);
                }
                if length > rule.most {
                    let text_rule = format!("Member must have length less than or equal to {}", rule.most);
                    self.add(Some(text), &path, &text_rule);
                }
                if !(rule.fits)(text) {
                    let text_rule = format!("Member must satisfy regular expression pattern: {}", rule.pattern);
                    self.add(Some(text), &path, &text_rule);
                }
            }
            Some(other) => self.add(Some(&other.to_string()), &path, "Member must be a string"),
        }
    }

    /// An integer between two bounds.
    pub(super) fn integer(&mut self, holder: &Value, path: &str, member: &str, (least, most): (i64, i64)) {
        let Some(value) = holder.get(member).filter(|value| !value.is_null()) else { return };
        let path = if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
        let shown = value.to_string();
        match value.as_i64() {
            Some(number) if number < least => {
                self.add(Some(&shown), &path, &format!("Member must have value greater than or equal to {least}"));
            }
            Some(number) if number > most => {
                self.add(Some(&shown), &path, &format!("Member must have value less than or equal to {most}"));
            }
            Some(_) => {}
            None => self.add(Some(&shown), &path, "Member must be an integer"),
        }
    }

    /// Something that must be there.
    pub(super) fn present(&mut self, holder: &Value, path: &str, member: &str) {
        if holder.get(member).is_none_or(Value::is_null) {
            let path = if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
            self.add(None, &path, "Member must not be null");
        }
    }

    /// Output variables: names that a reference can hold, and values that are texts.
    pub(super) fn variables(&mut self, holder: &Value, member: &str) {
        let Some(variables) = holder.get(member).and_then(Value::as_object) else { return };
        if !variables.keys().all(|name| of(name, "@-_")) {
            let rule = "Member must satisfy regular expression pattern: [A-Za-z0-9@\\-_]+";
            self.0.push(format!(
                "Value at '{member}' failed to satisfy constraint: Map keys must satisfy constraint: [{rule}]"
            ));
        }
        if !variables.values().all(Value::is_string) {
            self.0.push(format!("Value at '{member}' failed to satisfy constraint: Map values must be strings"));
        }
    }
}

/// What a text must be.
pub(super) struct Rule {
    required: bool,
    least: usize,
    most: usize,
    /// As AWS prints it.
    pattern: &'static str,
    fits: fn(&str) -> bool,
}

impl Rule {
    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// The name of a pipeline, stage or action.
pub(super) fn name() -> Rule {
    Rule { required: true, least: 1, most: 100, pattern: NAME, fits: |text| of(text, ".@-_") }
}

fn artifact_name() -> Rule {
    Rule { required: true, least: 1, most: 100, pattern: ARTIFACT, fits: |text| of(text, "_-") }
}

fn namespace() -> Rule {
    Rule { required: false, least: 1, most: 100, pattern: NAMESPACE, fits: |text| of(text, "@-_") }
}

fn role_arn() -> Rule {
    Rule { required: false, least: 0, most: 1024, pattern: ROLE_ARN, fits: is_role_arn }
}

fn action_type(most: usize) -> Rule {
    Rule { required: true, least: 1, most, pattern: "[0-9A-Za-z_-]+", fits: |text| of(text, "_-") }
}

/// The id of a job, and the token of an approval.
pub(super) fn job_id() -> Rule {
    Rule { required: true, least: 36, most: 36, pattern: JOB_ID, fits: is_uuid }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = |c: char| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c);
    lengths == [8, 4, 4, 4, 12] && text.chars().all(hex)
}

/// `FailureDetails.type`.
pub(super) fn failure_type() -> Rule {
    const TYPES: &[&str] = &[
        "JobFailed",
        "ConfigurationError",
        "PermissionError",
        "RevisionOutOfSync",
        "RevisionUnavailable",
        "SystemUnavailable",
    ];
    Rule { required: true, least: 0, most: usize::MAX, pattern: FAILURE_TYPE, fits: |text| TYPES.contains(&text) }
}

/// `ApprovalResult.status`.
pub(super) fn approval_status() -> Rule {
    let fits = |text: &str| text == "Approved" || text == "Rejected";
    Rule { required: true, least: 0, most: usize::MAX, pattern: "Approved|Rejected", fits }
}

/// `StageTransitionType`.
pub(super) fn transition_type() -> Rule {
    let fits = |text: &str| text == "Inbound" || text == "Outbound";
    Rule { required: true, least: 0, most: usize::MAX, pattern: "Inbound|Outbound", fits }
}

/// `StageRetryMode`.
pub(super) fn retry_mode() -> Rule {
    let fits = |text: &str| text == "FAILED_ACTIONS" || text == "ALL_ACTIONS";
    Rule { required: true, least: 0, most: usize::MAX, pattern: "FAILED_ACTIONS|ALL_ACTIONS", fits }
}

/// A text that is bounded in length only.
pub(super) fn length(least: usize, most: usize) -> Rule {
    Rule { required: false, least, most, pattern: ".*", fits: |_| true }
}

fn of(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else { return false };
    let partition = partition == "aws" || partition.strip_prefix("aws-").is_some_and(|rest| of(rest, "-_"));
    partition && account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && resource.starts_with("role/")
}

/// A whole declaration, as it came.
pub(super) fn declaration(declaration: &Value) -> Result<(), ServiceError> {
    let mut violations = Violations::default();
    violations.text(declaration, "pipeline", "name", &name());
    violations.text(declaration, "pipeline", "roleArn", &role_arn().required());
    violations.present(declaration, "pipeline", "stages");
    if let Some(store) = declaration.get("artifactStore") {
        artifact_store(&mut violations, store, "pipeline.artifactStore");
    }
    for (region, store) in declaration.get("artifactStores").and_then(Value::as_object).into_iter().flatten() {
        artifact_store(&mut violations, store, &format!("pipeline.artifactStores.{region}.member"));
    }
    for (n, stage) in declaration::stages(declaration).iter().enumerate() {
        let path = format!("pipeline.stages.{}.member", n + 1);
        violations.text(stage, &path, "name", &name());
        violations.present(stage, &path, "actions");
        for (n, one) in declaration::actions(stage).iter().enumerate() {
            action(&mut violations, one, &format!("{path}.actions.{}.member", n + 1));
        }
    }
    violations.into_result()
}

fn artifact_store(violations: &mut Violations, store: &Value, path: &str) {
    violations.present(store, path, "type");
    violations.text(store, path, "location", &length(3, 63).required());
}

fn action(violations: &mut Violations, action: &Value, path: &str) {
    violations.text(action, path, "name", &name());
    violations.present(action, path, "actionTypeId");
    let kind = format!("{path}.actionTypeId");
    if let Some(type_id) = action.get("actionTypeId") {
        violations.text(type_id, &kind, "category", &action_type(100));
        violations.text(type_id, &kind, "owner", &action_type(100));
        violations.text(type_id, &kind, "provider", &action_type(35));
        violations.text(type_id, &kind, "version", &action_type(9));
    }
    violations.integer(action, path, "runOrder", (1, 999));
    violations.integer(action, path, "timeoutInMinutes", (5, 86_400));
    violations.text(action, path, "roleArn", &role_arn());
    violations.text(action, path, "region", &length(4, 30));
    violations.text(action, path, "namespace", &namespace());
    for artifacts in ["inputArtifacts", "outputArtifacts"] {
        for (n, artifact) in declaration::list(action, artifacts).iter().enumerate() {
            violations.text(artifact, &format!("{path}.{artifacts}.{}.member", n + 1), "name", &artifact_name());
        }
    }
    configuration(violations, action, path);
}

/// Keys of 1–50 characters, values of 1–1000, and no word about which (they may be secret).
fn configuration(violations: &mut Violations, action: &Value, path: &str) {
    let Some(configuration) = action.get("configuration").and_then(Value::as_object) else { return };
    let bounded = |text: &str, most: usize| (1..=most).contains(&text.chars().count());
    let rule = |what: &str, most: usize| {
        format!(
            "Value at '{path}.configuration' failed to satisfy constraint: Map {what} must satisfy constraint: [Member \
             must have length less than or equal to {most}, Member must have length greater than or equal to 1]"
        )
    };
    if !configuration.keys().all(|key| bounded(key, 50)) {
        violations.0.push(rule("keys", 50));
    }
    if !configuration.values().all(|value| value.as_str().is_some_and(|text| bounded(text, 1000))) {
        violations.0.push(rule("value", 1000));
    }
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
        let pattern = |regex: &str| format!("Member must satisfy regular expression pattern: {regex}");
        let long = "a".repeat(1001);
        let act = "/stages/1/actions/0";
        let path = "pipeline.stages.2.member.actions.1.member";
        let not_null = "Member must not be null";
        let value = "Map value must satisfy constraint: [Member must have length less than or equal to 1000, Member must have length greater than or equal to 1]";
        let cases: Vec<(String, Value, String)> = vec![
            ("/name".into(), json!(null), of("pipeline.name", not_null)),
            ("/name".into(), json!("a b"), of("pipeline.name", &pattern(NAME))),
            ("/name".into(), json!(long), of("pipeline.name", "Member must have length less than or equal to 100")),
            ("/roleArn".into(), json!(null), of("pipeline.roleArn", not_null)),
            ("/roleArn".into(), json!("arn:aws:iam::1:role/p"), of("pipeline.roleArn", &pattern(ROLE_ARN))),
            ("/stages".into(), json!(null), of("pipeline.stages", not_null)),
            ("/artifactStore/location".into(), json!(null), of("pipeline.artifactStore.location", not_null)),
            ("/stages/1/name".into(), json!("ä"), of("pipeline.stages.2.member.name", &pattern(NAME))),
            ("/stages/1/actions".into(), json!(null), of("pipeline.stages.2.member.actions", not_null)),
            (format!("{act}/name"), json!(""), of(&format!("{path}.name"), &pattern(NAME))),
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
            (format!("{act}/roleArn"), json!("role"), of(&format!("{path}.roleArn"), &pattern(ROLE_ARN))),
            (
                format!("{act}/region"),
                json!("x"),
                of(&format!("{path}.region"), "Member must have length greater than or equal to 4"),
            ),
            (format!("{act}/namespace"), json!("a.b"), of(&format!("{path}.namespace"), &pattern(NAMESPACE))),
            (
                format!("{act}/inputArtifacts"),
                json!([{"name": "a.b"}]),
                of(&format!("{path}.inputArtifacts.1.member.name"), &pattern(ARTIFACT)),
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
