//! Stages: where a missing one goes, and which may go with our action.

use serde_json::json;

use super::{DesiredAction, Owned, Position, Refusal, actions, json::Json, stage_index};
use crate::domain::ids::ActionName;

/// Whether the stage holds the pipeline's sources.
pub(super) fn holds_sources(stage: &Json) -> bool {
    let category = |action: &Json| action.get("actionTypeId").is_some_and(|kind| kind.text("category") == "Source");
    stage.list("actions").iter().any(category)
}

/// Inserts the missing stage at its position and returns its index.
pub(super) fn insert(stages: &mut Vec<Json>, desired: &DesiredAction) -> Result<usize, Refusal> {
    let missing = |what: String, stages: &[Json]| Refusal::StageNotFound {
        what,
        stages: stages.iter().map(|stage| stage.text("name")).collect::<Vec<_>>().join(", "),
        last: stages.last().map(|stage| stage.text("name")).unwrap_or_default().to_owned(),
    };
    let (anchor, offset) = match &desired.position {
        None => return Err(missing(format!("stage {}", desired.stage), stages)),
        Some(Position::After(anchor)) => (anchor, 1),
        Some(Position::Before(anchor)) => (anchor, 0),
    };
    let at = stage_index(stages, anchor.as_str())
        .ok_or_else(|| missing(format!("stage {anchor}, which spec.stage.position names,"), stages))?
        + offset;
    if at == 0 {
        return Err(Refusal::InvalidPosition(format!(
            "stage {} cannot go before {anchor}, the pipeline's first stage: only sources may come first; use {{after: {anchor}}}",
            desired.stage
        )));
    }
    stages.insert(at, json!({"name": desired.stage.as_str(), "actions": []}).into());
    Ok(at)
}

/// What a stage carries besides its name and actions.
pub(super) fn additions(stage: &Json) -> Vec<String> {
    let members = stage.members().iter().filter(|member| !["name", "actions"].contains(&member.name()));
    members.filter(|member| !member.value().is_blank()).map(|member| member.name().to_owned()).collect()
}

/// Whether every action of this stage is ours: such a stage would be empty without us.
#[must_use]
pub fn stage_is_only_ours(declaration: &Json, stage: &str, owned: &Owned) -> bool {
    let mut found = actions(declaration).filter(|(of, _)| of.text("name") == stage).peekable();
    found.peek().is_some() && found.all(|(of, action)| owned.owns(of.text("name"), action))
}

/// The stage that holds our action although nothing declares a stage of that name: ours, renamed by somebody. A stage
/// with other people's actions is not it: our action was moved there.
#[must_use]
pub fn renamed<'a>(declaration: &'a Json, action: &ActionName, owned: &Owned) -> Option<&'a str> {
    declaration.list("stages").iter().find_map(|stage| {
        let name = stage.text("name");
        let is_ours = |found: &Json| owned.owns(name, found);
        let found = stage.list("actions");
        (!owned.stages_known.iter().any(|known| known.as_str() == name)
            && found.iter().any(|found| is_ours(found) && found.text("name") == action.as_str())
            && found.iter().all(|found| is_ours(found) || owned.is_neighbours(found)))
        .then_some(name)
    })
}
