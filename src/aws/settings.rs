//! The settings of a pipeline can hold tokens, of other teams too, and AWS's texts reach status and logs: what they
//! quote of them is struck out, whole or in part.

use std::collections::BTreeSet;

use super::AwsError;
use crate::domain::pipeline_edit::Json;

/// Shorter values stay: they are no secrets, and may be part of any word.
const SECRET_MIN: usize = 6;
/// Members that say what something is called: whatever equals one of them is in everybody's sight already.
const NAMES: [&str; 7] = ["name", "namespace", "category", "owner", "provider", "version", "region"];
/// Members that say what an action does, in words of the pipeline's owner.
const FREE: [&str; 2] = ["configuration", "commands"];
/// How deep a text is read as JSON in a text.
const DEPTH_MAX: usize = 4;

/// The error without the settings that its message quotes.
pub(super) fn without_settings(error: AwsError, declaration: &Json) -> AwsError {
    AwsError { message: struck_from(error.message, declaration), ..error }
}

/// The text without the settings that it quotes.
pub(super) fn struck_from(text: String, declaration: &Json) -> String {
    let (mut settings, mut names) = (BTreeSet::new(), BTreeSet::new());
    collect(declaration, &mut settings, &mut names);
    let is_open = |setting: &String| names.contains(setting.as_str()) || setting.starts_with("arn:");
    let mut settings: Vec<String> = settings.into_iter().filter(|setting| !is_open(setting)).collect();
    // The longest first, as one may be part of another.
    settings.sort_by_key(|setting| std::cmp::Reverse(setting.len()));
    settings.iter().fold(text, |text, setting| struck_out(&text, setting))
}

fn collect<'a>(json: &'a Json, settings: &mut BTreeSet<String>, names: &mut BTreeSet<&'a str>) {
    json.as_list().unwrap_or_default().iter().for_each(|item| collect(item, settings, names));
    for member in json.members() {
        let (name, value) = (member.name(), member.value());
        match value.as_str() {
            Some(text) if NAMES.contains(&name) => {
                names.insert(text);
            }
            Some(text) if ["value", "defaultValue"].contains(&name) => hide(text, DEPTH_MAX, settings),
            None if FREE.contains(&name) => value.each_text(&mut |text| hide(text, DEPTH_MAX, settings)),
            _ => collect(value, settings, names),
        }
    }
}

/// A text, as it is and as JSON quotes it; what it holds where it is JSON itself; its lines; and words that look like keys.
fn hide(text: &str, depth: usize, settings: &mut BTreeSet<String>) {
    let text = text.trim();
    if text.len() < SECRET_MIN {
        return;
    }
    settings.insert(text.to_owned());
    let quoted = serde_json::Value::from(text).to_string();
    settings.insert(quoted[1..quoted.len() - 1].to_owned());
    if depth == 0 {
        return;
    }
    if text.starts_with(['{', '[', '"'])
        && let Ok(json) = Json::parse(text)
    {
        json.each_text(&mut |inner| hide(inner, depth - 1, settings));
        return;
    }
    for line in text.lines().filter(|line| line.len() < text.len()) {
        hide(line, depth - 1, settings);
    }
    let apart = |c: char| c.is_whitespace() || "'\"`=,;&?|<>(){}[]".contains(c);
    let is_key = |word: &&str| {
        let (letters, digits) = (word.contains(|c: char| c.is_alphabetic()), word.contains(|c: char| c.is_numeric()));
        word.len() >= SECRET_MIN && letters && digits
    };
    settings.extend(text.split(apart).filter(is_key).map(str::to_owned));
}

/// Strikes out a text where it stands as a word of its own.
fn struck_out(message: &str, setting: &str) -> String {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/');
    // A text that begins or ends with a sign is no word there.
    let (begins, ends) = (setting.starts_with(in_word), setting.ends_with(in_word));
    let mut kept = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(setting) {
        let part_of_a_word =
            (begins && before.chars().next_back().is_some_and(in_word)) || (ends && after.starts_with(in_word));
        kept.push_str(before);
        kept.push_str(if part_of_a_word { setting } else { "…" });
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aws::AwsErrorKind;

    /// What is left of a message about a pipeline with this action, when AWS quotes a piece of it.
    fn told(action: &serde_json::Value, quoted: &str) -> String {
        let declaration: Json =
            json!({"name": "payments-release", "stages": [{"name": "Build", "actions": [action]}]}).into();
        let error = AwsError {
            message: format!("Action at Build of payments-release is wrong near: {quoted}."),
            service: "codepipeline",
            operation: "UpdatePipeline",
            account: None,
            resource: String::new(),
            caller: None,
            code: None,
            also_missing: None,
            request_id: None,
            kind: AwsErrorKind::PipelineRefused,
            outcome_unknown: false,
        };
        without_settings(error, &declaration).message
    }

    #[test]
    fn no_part_of_a_setting_is_told() {
        let parameters =
            r#"{"suite":"smoke-tests","login":{"token":"s3cr\"et!","pin":493817},"hosts":["db.internal"]}"#;
        let variables = r#"[{"name":"TOKEN","value":"{\"key\":\"hunter22\"}","type":"PLAINTEXT"}]"#;
        let configuration = json!({"configuration": {"UserParameters": parameters, "EnvironmentVariables": variables,
            "Deeper": {"list": ["in-a-list", {"x": "in-an-object"}]}, "Free": "--token=ab12cd34 --verbose\nsecond line"}});
        let commands = json!({"commands": ["curl -H 'Authorization: Bearer ab12cd34' https://x.example", "npm run publish"],
            "environmentVariables": [{"name": "PASSWORD", "value": "[\"hunter22\"]"}]});
        for (action, secret, quoted) in [
            (&configuration, "smoke-tests", "\"smoke-tests\""),
            (&configuration, "cr\"et!", "s3cr\"et!"),
            (&configuration, "cr\\\"et", r#"{\"token\":\"s3cr\"et!\"}"#),
            (&configuration, "493817", "493817"),
            (&configuration, "db.internal", "hosts[0]=db.internal"),
            (&configuration, "hunter22", "hunter22"),
            (&configuration, "hunter22", r#"{"key":"hunter22"}"#),
            (&configuration, "in-a-list", "in-a-list"),
            (&configuration, "in-an-object", "x=in-an-object"),
            (&configuration, "ab12cd34", "--token=ab12cd34"),
            (&configuration, "second line", "second line"),
            (&configuration, "suite", parameters),
            (&commands, "ab12cd34", "Bearer ab12cd34"),
            (&commands, "npm run publish", "npm run publish"),
            (&commands, "hunter22", "[hunter22]"),
        ] {
            let told = told(action, quoted);
            assert!(!told.contains(secret), "{quoted}: {told}");
            assert!(told.starts_with("Action at Build of payments-release is wrong near: "), "{told}");
        }
    }

    #[test]
    fn what_is_no_setting_stays() {
        let action = json!({"name": "deploy-to-production", "roleArn": "arn:aws:iam::222222222222:role/deployer",
            "configuration": {"Branch": "main", "RoleArn": "arn:aws:iam::222222222222:role/deployer", "Stage": "Build"}});
        let quoted = "deploy-to-production arn:aws:iam::222222222222:role/deployer main";
        assert!(told(&action, quoted).ends_with(&format!("{quoted}.")));
    }
}
