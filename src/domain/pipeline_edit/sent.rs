//! Whether a declaration that was read is one that was sent.

use super::{Json, json::Property};
use crate::domain::ids::Region;

/// Whether AWS made this declaration of the one that was sent. AWS sets the version, orders actions by their `runOrder`, and
/// fills in members of actions that were left out, such as the region.
#[must_use]
pub fn is_made_of(read: &Json, sent: &Json) -> bool {
    let is_rest_same =
        has_the_same(read, sent, &["version", "stages"]) && has_the_same(sent, read, &["version", "stages"]);
    let (made, stages) = (read.list("stages"), sent.list("stages"));
    is_rest_same
        && made.len() == stages.len()
        && made.iter().zip(stages).all(|(made, stage)| is_stage_made_of(made, stage))
}

fn is_stage_made_of(read: &Json, sent: &Json) -> bool {
    let is_rest_same = has_the_same(read, sent, &["actions"]) && has_the_same(sent, read, &["actions"]);
    let (made, actions) = (read.list("actions"), sent.list("actions"));
    let is_there = |action: &Json| {
        made.iter()
            .find(|made| made.text("name") == action.text("name"))
            .is_some_and(|made| has_the_same(made, action, &[]))
    };
    is_rest_same && made.len() == actions.len() && actions.iter().all(is_there)
}

/// Whether AWS keeps a declaration as this one, so that sending it changes nothing: nothing is there besides what AWS fills in.
#[must_use]
pub fn is_kept_as(sent: &Json, read: &Json, region: &Region) -> bool {
    let given = |stage: &Json, name: &str| {
        let stages = sent.list("stages").iter().filter(|given| given.text("name") == stage.text("name"));
        stages.flat_map(|given| given.list("actions")).find(|action| action.text("name") == name)
    };
    let is_filled_in = |member: &Property, action: Option<&Json>| {
        let is_left_out = match member.name() {
            "region" => member.value().as_str() == Some(region.as_str()),
            "runOrder" => member.value().means(&serde_json::json!(1).into()),
            "inputArtifacts" | "outputArtifacts" => member.value().canonical() == "[]",
            _ => false,
        };
        is_left_out || action.is_some_and(|action| action.get(member.name()).is_some())
    };
    let stages = read.list("stages").iter();
    let mut actions = stages.flat_map(|stage| stage.list("actions").iter().map(move |action| (stage, action)));
    is_made_of(read, sent)
        && actions.all(|(stage, action)| {
            action.members().iter().all(|member| is_filled_in(member, given(stage, action.text("name"))))
        })
}

/// Whether `json` has every member of `other`, with the same meaning.
fn has_the_same(json: &Json, other: &Json, but: &[&str]) -> bool {
    let mut members = other.members().iter().filter(|member| !but.contains(&member.name()));
    members.all(|member| json.get(member.name()).is_some_and(|found| found.means(member.value())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_aws_sets_and_fills_in_makes_no_difference() {
        let pipeline = |version: i64, actions: serde_json::Value, more: &str| -> Json {
            json!({"name": "p", "more": more, "version": version, "stages": [{"name": "Build", "actions": actions}]})
                .into()
        };
        let sent = pipeline(3, json!([{"name": "a", "runOrder": 2}, {"name": "b", "runOrder": 1}]), "");
        for (what, read, expected) in [
            (
                "another version",
                pipeline(4, json!([{"name": "a", "runOrder": 2}, {"name": "b", "runOrder": 1}]), ""),
                true,
            ),
            (
                "another order",
                pipeline(4, json!([{"name": "b", "runOrder": 1}, {"name": "a", "runOrder": 2}]), ""),
                true,
            ),
            (
                "a region filled in",
                pipeline(4, json!([{"name": "a", "runOrder": 2, "region": "r"}, {"name": "b", "runOrder": 1}]), ""),
                true,
            ),
            (
                "an action more",
                pipeline(4, json!([{"name": "a", "runOrder": 2}, {"name": "b", "runOrder": 1}, {"name": "c"}]), ""),
                false,
            ),
            ("an action less", pipeline(4, json!([{"name": "a", "runOrder": 2}]), ""), false),
            (
                "an action changed",
                pipeline(4, json!([{"name": "a", "runOrder": 3}, {"name": "b", "runOrder": 1}]), ""),
                false,
            ),
            (
                "another member",
                pipeline(4, json!([{"name": "a", "runOrder": 2}, {"name": "b", "runOrder": 1}]), "x"),
                false,
            ),
        ] {
            assert_eq!(is_made_of(&read, &sent), expected, "{what}");
        }
    }

    #[test]
    fn what_somebody_took_out_is_not_filled_in() {
        let action = |more: serde_json::Value| -> Json {
            let mut action = json!({"name": "a", "configuration": {"Setting": "1"}});
            action.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"name": "p", "version": 1, "stages": [{"name": "Build", "actions": [action]}]}).into()
        };
        let (sent, region) = (action(json!({})), "eu-west-1".parse().unwrap());
        let filled = json!({"runOrder": 1, "region": "eu-west-1", "inputArtifacts": [], "outputArtifacts": []});
        for (what, more, expected) in [
            ("nothing", json!({}), true),
            ("all that AWS fills in", filled, true),
            ("another region", json!({"region": "us-east-1"}), false),
            ("another order", json!({"runOrder": 2}), false),
            ("artifacts", json!({"inputArtifacts": [{"name": "source"}]}), false),
            ("a namespace", json!({"namespace": "n"}), false),
        ] {
            assert_eq!(is_kept_as(&sent, &action(more), &region), expected, "{what}");
        }
    }
}
