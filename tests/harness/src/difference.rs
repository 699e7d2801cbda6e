//! What differs between two JSON values, a line per place.

use serde_json::Value;

/// The differences from `before` to `after`; empty when there are none. Each line is `path: before -> after`.
#[must_use]
pub fn difference(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", Some(before), Some(after), &mut lines);
    lines
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<String>) {
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                compare(&format!("{path}/{key}"), a.get(key), b.get(key), lines);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{index}"), Some(a), Some(b), lines);
            }
        }
        (a, b) if a == b => (),
        (a, b) => lines.push(format!("{path}: {} -> {}", shown(a), shown(b))),
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_difference_is_named_with_its_place() {
        let before = json!({"same": [1, {"a": 1}], "gone": 1, "list": [1, 2], "longer": [1], "null": null});
        let after = json!({"same": [1, {"a": 1}], "new": {}, "list": [1, 3], "longer": [1, 2]});
        let expected = [
            "/gone: 1 -> absent",
            "/list/1: 2 -> 3",
            "/longer: [1] -> [1,2]",
            "/new: absent -> {}",
            "/null: null -> absent",
        ];
        assert_eq!(difference(&before, &after), expected);
        assert!(difference(&before, &before).is_empty());
    }
}
