//! Our action as named members, for a report that says which of them differ. Values can hold secrets: of configuration
//! values other than the function's name only the length is shown.

use std::collections::BTreeMap;

use super::{
    DesiredAction, Owned, action, actions,
    json::Json,
    order::{number, run_order_of},
};
use crate::domain::ids::Region;

/// One member: what it means, to be compared, and what may be shown of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its canonical text.
    pub meaning: String,
    /// What a person may see.
    pub shown: String,
}

/// The members of the action as it must be in this pipeline.
#[must_use]
pub fn desired_members(
    declaration: &Json,
    desired: &DesiredAction,
    pipeline_region: &Region,
) -> BTreeMap<String, Member> {
    let (stage, name) = (desired.stage.as_str(), desired.name.as_str());
    // A number that nobody declares is right as it is.
    let run_order = desired.run_order.map(i64::from).or_else(|| run_order_of(declaration, stage, name));
    let run_order = run_order.or_else(|| desired.earlier.as_ref().map(|earlier| earlier.number));
    members(stage, &action::render(desired, run_order.unwrap_or(1)), pipeline_region)
}

/// The members of our action as it is: the one of that stage and name, or else one that is ours elsewhere; or one in its
/// place that differs from it in the role that it names.
#[must_use]
pub fn found_members(
    declaration: &Json,
    desired: &DesiredAction,
    owned: &Owned,
    pipeline_region: &Region,
) -> Option<BTreeMap<String, Member>> {
    let ours = || actions(declaration).filter(|(stage, action)| owned.owns(stage.text("name"), action));
    let named = |(_, action): &(&Json, &Json)| action.text("name") == desired.name.as_str();
    let here = |found: &(&Json, &Json)| found.0.text("name") == desired.stage.as_str() && named(found);
    let under_another_role = || actions(declaration).find(|found| here(found) && action::invokes(found.1, desired));
    let (stage, action) = ours().find(here).or_else(|| ours().find(named)).or_else(under_another_role)?;
    let mut members = members(stage.text("name"), action, pipeline_region);
    if let Some(role) = members.get_mut("roleArn") {
        role.shown = owned.untold.shown(&role.shown).to_owned();
    }
    for (other_stage, other) in ours().filter(|(_, other)| !std::ptr::eq(*other, action)) {
        let place = format!("{}/{}", other_stage.text("name"), other.text("name"));
        let shown = "another action with our role".to_owned();
        members.insert(format!("action {place}"), Member { meaning: place, shown });
    }
    Some(members)
}

/// Only what is declared: members that this code does not know are left alone and so make no difference.
fn members(stage: &str, action: &Json, pipeline_region: &Region) -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    let mut put = |name: &str, meaning: String, shown: Option<String>| {
        let shown = shown.unwrap_or_else(|| meaning.clone());
        members.insert(name.to_owned(), Member { meaning, shown });
    };
    put("stage", stage.to_owned(), None);
    put("runOrder", number(action).to_string(), None);
    for name in ["actionTypeId", "roleArn", "namespace"] {
        if let Some(value) = action.said(name) {
            put(name, text(value), None);
        }
    }
    let region = action.get("region").and_then(Json::as_str).unwrap_or(pipeline_region.as_str());
    put("region", region.to_owned(), None);
    for name in ["inputArtifacts", "outputArtifacts"] {
        if let Some(artifacts) = action.said(name).filter(|value| value.as_list().is_none_or(|list| !list.is_empty())) {
            put(name, text(artifacts), None);
        }
    }
    let configuration = action.get("configuration").map(Json::members).unwrap_or_default();
    for member in configuration.iter().filter(|member| !member.value().is_null()) {
        let (key, value) = (member.name(), member.value());
        let shown = (key != "FunctionName").then(|| format!("{} characters", text(value).chars().count()));
        put(&format!("configuration.{key}"), text(value), shown);
    }
    members
}

fn text(value: &Json) -> String {
    // The same members in another order are the same type of action.
    value.as_str().map_or_else(|| value.canonical(), str::to_owned)
}
