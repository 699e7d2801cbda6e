//! Fills in the placeholders of a policy, as somebody who copies the file does.

use serde_json::Value;

use crate::error::{Error, Result};

/// The policy with every `${Name}` filled in; a text whose placeholder has several values becomes several texts.
pub(super) fn fill(value: &Value, values: &impl Fn(&str) -> Option<Vec<String>>) -> Result<Value> {
    Ok(match value {
        Value::String(text) => match filled(text, values)?.as_slice() {
            [one] => Value::from(one.as_str()),
            many => Value::from(many.to_vec()),
        },
        Value::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                match fill(item, values)? {
                    Value::Array(several) if item.is_string() => all.extend(several),
                    one => all.push(one),
                }
            }
            Value::Array(all)
        }
        Value::Object(members) => {
            let filled = members.iter().map(|(name, member)| Ok((name.clone(), fill(member, values)?)));
            Value::Object(filled.collect::<Result<_>>()?)
        }
        other => other.clone(),
    })
}

fn filled(text: &str, values: &impl Fn(&str) -> Option<Vec<String>>) -> Result<Vec<String>> {
    let Some((before, after)) = text.split_once("${") else { return Ok(vec![text.to_owned()]) };
    let (name, behind) = after.split_once('}').ok_or_else(|| Error::new("a ${ without }"))?;
    let found = values(name).ok_or_else(|| Error::new(format!("unknown placeholder ${{{name}}}")))?;
    let rest = filled(behind, values)?;
    Ok(found.iter().flat_map(|value| rest.iter().map(move |rest| format!("{before}{value}{rest}"))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_filled_and_unknown_ones_named() {
        let values = |name: &str| match name {
            "A" => Some(vec!["1".to_owned()]),
            "L" => Some(vec!["1".to_owned(), "2".to_owned()]),
            _ => None,
        };
        let policy = json!({"x": "x${A}y${A}", "list": ["${L}", "${A}"], "one": "a${L}"});
        assert_eq!(fill(&policy, &values).unwrap(), json!({"x": "x1y1", "list": ["1", "2", "1"], "one": ["a1", "a2"]}));
        assert!(fill(&json!("${B}"), &values).unwrap_err().to_string().contains("${B}"));
        assert!(fill(&json!("${A"), &values).is_err());
    }
}
