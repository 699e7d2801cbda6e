//! Whether a declaration that was read is one that was sent.

use super::Json;

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
}
