//! The settings of a pipeline can hold tokens, of other teams too, and an error's text reaches status and logs: what AWS
//! quotes of them is struck out.

use std::collections::BTreeSet;

use super::AwsError;
use crate::domain::pipeline_edit::Json;

/// Shorter values stay: they are no secrets, and may be part of any word.
const SECRET_MIN: usize = 6;
/// Members that say what something is called: whatever equals one of them is in everybody's sight already.
const NAMES: [&str; 7] = ["name", "namespace", "category", "owner", "provider", "version", "region"];

/// The error without the settings that its message quotes.
pub(super) fn without_settings(error: AwsError, declaration: &Json) -> AwsError {
    let (mut settings, mut names) = (BTreeSet::new(), BTreeSet::new());
    collect(declaration, &mut settings, &mut names);
    let is_open = |setting: &&str| names.contains(setting) || setting.starts_with("arn:");
    let mut settings: Vec<&str> = settings.into_iter().filter(|setting| !is_open(setting)).collect();
    // The longest first, as one may be part of another.
    settings.sort_by_key(|setting| std::cmp::Reverse(setting.len()));
    let message = settings.iter().fold(error.message, |message, setting| struck_out(&message, setting));
    AwsError { message, ..error }
}

fn collect<'a>(json: &'a Json, settings: &mut BTreeSet<&'a str>, names: &mut BTreeSet<&'a str>) {
    json.as_list().unwrap_or_default().iter().for_each(|item| collect(item, settings, names));
    for member in json.members() {
        let (name, value) = (member.name(), member.value());
        match value.as_str() {
            Some(text) if NAMES.contains(&name) => {
                names.insert(text);
            }
            Some(text) if ["value", "defaultValue"].contains(&name) && text.len() >= SECRET_MIN => {
                settings.insert(text);
            }
            None if name == "configuration" => {
                value.each_text(&mut |text| {
                    if text.len() >= SECRET_MIN {
                        settings.insert(text);
                    }
                });
            }
            _ => collect(value, settings, names),
        }
    }
}

/// Strikes out a text where it stands as a word of its own.
fn struck_out(message: &str, setting: &str) -> String {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/');
    let mut kept = String::new();
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(setting) {
        let part_of_a_word = before.chars().next_back().is_some_and(in_word) || after.starts_with(in_word);
        kept.push_str(before);
        kept.push_str(if part_of_a_word { setting } else { "…" });
        rest = after;
    }
    kept + rest
}
