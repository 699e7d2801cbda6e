//! The constraints of the service model: what a request must look like before its meaning is looked at.
//!
//! All that is wrong is told at once: "2 validation errors detected: …; …".

use serde_json::Value;

use crate::error::ServiceError;

const NAME: &str = "[A-Za-z0-9.@\\-_]+";
const JOB_ID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const FAILURE_TYPE: &str =
    "JobFailed|ConfigurationError|PermissionError|RevisionOutOfSync|RevisionUnavailable|SystemUnavailable";

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Violations(pub(super) Vec<String>);

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

    pub(super) fn add(&mut self, value: Option<&str>, path: &str, rule: &str) {
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

/// Whether a text is made of letters, digits and these.
pub(super) fn of(text: &str, others: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}
