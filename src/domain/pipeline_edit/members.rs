//! Our action as named members, for a report that says which of them differ. Values can hold secrets: of configuration
//! values other than the function's name only the length is shown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{DesiredAction, Owned, actions, is_owned, name_of, render};
use crate::domain::ids::Region;

/// One member: what it means, to be compared, and what may be shown of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its canonical text.
    pub meaning: String,
    /// What a person may see.
    pub shown: String,
}

/// The members of the action as it shall be.
#[must_use]
pub fn desired_members(desired: &DesiredAction, pipeline_region: &Region) -> BTreeMap<String, Member> {
    members(desired.stage.as_str(), &render(desired), pipeline_region)
}

/// The members of our action as it is: the one of that stage and name, or else one that is ours elsewhere.
#[must_use]
pub fn found_members(
    declaration: &Value,
    desired: &DesiredAction,
    owned: &Owned,
    pipeline_region: &Region,
) -> Option<BTreeMap<String, Member>> {
    let ours = || actions(declaration).filter(|(_, action)| is_owned(action, owned));
    let named = |(_, action): &(&Value, &Value)| name_of(action) == desired.name.as_str();
    let here = |found: &(&Value, &Value)| name_of(found.0) == desired.stage.as_str() && named(found);
    let (stage, action) = ours().find(here).or_else(|| ours().find(named))?;
    let mut members = members(name_of(stage), action, pipeline_region);
    for (other_stage, other) in ours().filter(|(_, other)| !std::ptr::eq(*other, action)) {
        let place = format!("{}/{}", name_of(other_stage), name_of(other));
        let shown = "another action with our role".to_owned();
        members.insert(format!("action {place}"), Member { meaning: place, shown });
    }
    Some(members)
}

/// Only what is declared: members that this code does not know are left alone and so make no difference.
fn members(stage: &str, action: &Value, pipeline_region: &Region) -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    let mut put = |name: &str, meaning: String, shown: Option<String>| {
        let shown = shown.unwrap_or_else(|| meaning.clone());
        members.insert(name.to_owned(), Member { meaning, shown });
    };
    put("stage", stage.to_owned(), None);
    for name in ["actionTypeId", "runOrder", "roleArn", "namespace"] {
        if let Some(value) = action.get(name) {
            put(name, text(value), None);
        }
    }
    let region = action.get("region").and_then(Value::as_str).unwrap_or(pipeline_region.as_str());
    put("region", region.to_owned(), None);
    for name in ["inputArtifacts", "outputArtifacts"] {
        if let Some(artifacts) = action.get(name).filter(|value| value.as_array().is_none_or(|list| !list.is_empty())) {
            put(name, text(artifacts), None);
        }
    }
    for (key, value) in action.get("configuration").and_then(Value::as_object).into_iter().flatten() {
        let shown = (key != "FunctionName").then(|| format!("{} characters", text(value).chars().count()));
        put(&format!("configuration.{key}"), text(value), shown);
    }
    members
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // The same members in another order are the same type of action.
        Value::Object(members) => {
            let ordered: BTreeMap<_, _> = members.iter().collect();
            serde_json::json!(ordered).to_string()
        }
        other => other.to_string(),
    }
}
