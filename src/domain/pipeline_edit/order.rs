//! When our action runs: its number among the actions of its stage, and what of it a person should know.

use std::{collections::BTreeSet, sync::Arc};

use super::{DesiredAction, Owned, Refusal, action::role_of, actions, json::Json};

/// What a finding is about; the name is the event's reason.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, strum::Display)]
pub enum NoteKind {
    /// Somebody else's action has the same number.
    RunsInParallel,
    /// Every Deploy action runs before ours.
    RunsAfterDeploy,
}

/// Something about the place of our action that works and may not be what was meant.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Note {
    /// What kind of finding it is.
    pub kind: NoteKind,
    /// In words, without a full stop.
    pub sentence: String,
}

/// An action as it stood in its stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The action.
    pub action: Json,
    /// All of its stage, itself too: the same list for every action there.
    pub stage: Arc<[Beside]>,
}

/// An action of a stage, as far as the order there is concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Beside {
    name: String,
    number: i64,
    role: Option<String>,
}

/// The place that our action had before somebody took it out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Earlier {
    /// Its number.
    pub number: i64,
    /// Names and numbers of other people's actions beside it.
    others: BTreeSet<(String, i64)>,
}

/// Where an action stands: its stage's index and its number there.
pub(super) type Place = (usize, i64);

/// The number of an action; CodePipeline takes a missing one for 1.
pub(super) fn number(action: &Json) -> i64 {
    action.get("runOrder").and_then(Json::as_i64).unwrap_or(1)
}

/// The number that our action gets: the declared one; otherwise the one that it has, or had before somebody took it out
/// of a stage that is still the same, or 1 where it is alone. Among other people's actions a number that nobody chose could
/// run ours beside or behind what it must hold back.
pub(super) fn run_order(stage: &Json, desired: &DesiredAction, owned: &Owned) -> Result<i64, Refusal> {
    if let Some(declared) = desired.run_order {
        return Ok(declared.into());
    }
    let actions = stage.list("actions");
    if let Some(present) = actions.iter().find(|action| action.text("name") == desired.name.as_str()) {
        return Ok(number(present));
    }
    let name = desired.stage.as_str();
    let theirs = actions.iter().filter(|action| !owned.owns(name, action) && !owned.is_neighbours(action));
    let theirs: BTreeSet<(String, i64)> =
        theirs.map(|action| (action.text("name").to_owned(), number(action))).collect();
    let was = match &desired.earlier {
        Some(earlier) if earlier.others == theirs => return Ok(earlier.number),
        _ if theirs.is_empty() => return Ok(1),
        Some(earlier) => earlier.said(desired),
        None => String::new(),
    };
    let known: Vec<String> =
        actions.iter().map(|action| format!("{} ({})", action.text("name"), number(action))).collect();
    Err(Refusal::InvalidPosition(format!(
        "stage {name} has {}{was}: set spec.action.runOrder to say when action {} runs among them",
        in_a_row(&known),
        desired.name
    )))
}

impl Earlier {
    /// What the stage was like, for a refusal to guess.
    fn said(&self, desired: &DesiredAction) -> String {
        let others: Vec<String> = self.others.iter().map(|(name, number)| format!("{name} ({number})")).collect();
        let others = if others.is_empty() { "no other action".to_owned() } else { in_a_row(&others) };
        format!(", and had {others} when action {} was number {} there", desired.name, self.number)
    }
}

/// "A", "A and B", "A, B and C".
pub(super) fn in_a_row(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

/// What a person should know about the place of our action as it is now.
#[must_use]
pub fn notes(declaration: &Json, desired: &DesiredAction, owned: &Owned) -> Vec<Note> {
    let (stage, name) = (desired.stage.as_str(), desired.name.as_str());
    let placed: Vec<(Place, &Json, &Json)> = declaration
        .list("stages")
        .iter()
        .enumerate()
        .flat_map(|(index, stage)| {
            stage.list("actions").iter().map(move |action| ((index, number(action)), stage, action))
        })
        .collect();
    let ours = |of: &Json, action: &Json| of.text("name") == stage && action.text("name") == name;
    let Some((own, ..)) = placed.iter().find(|(_, of, action)| ours(of, action)) else { return Vec::new() };
    let label = |(_, of, action): &(Place, &Json, &Json)| format!("{}/{}", of.text("name"), action.text("name"));
    let mut notes = Vec::new();
    let beside: Vec<String> = placed
        .iter()
        .filter(|(at, of, action)| {
            at == own && !owned.owns(of.text("name"), action) && !owned.is_neighbours(action) && !ours(of, action)
        })
        .map(label)
        .collect();
    if !beside.is_empty() {
        let sentence = format!(
            "{stage}/{name} runs in parallel with {}, which does not wait for it; spec.action.runOrder sets the order",
            in_a_row(&beside)
        );
        notes.push(Note { kind: NoteKind::RunsInParallel, sentence });
    }
    let is_deploy = |action: &Json| action.get("actionTypeId").is_some_and(|kind| kind.text("category") == "Deploy");
    let last_deploy = placed.iter().filter(|(_, _, action)| is_deploy(action)).max_by_key(|(at, ..)| *at);
    if let Some(last) = last_deploy.filter(|(at, ..)| at < own) {
        let sentence = format!(
            "{stage}/{name} runs after every Deploy action (the last one is {}), so it holds none of them back",
            label(last)
        );
        notes.push(Note { kind: NoteKind::RunsAfterDeploy, sentence });
    }
    notes
}

/// An action in its stage, with what stands beside it.
#[must_use]
pub fn placed(declaration: &Json, stage: &str, action: &str) -> Option<Placed> {
    let (of, found) =
        actions(declaration).find(|(of, found)| of.text("name") == stage && found.text("name") == action)?;
    let all = of.list("actions").iter().map(|other| Beside {
        name: other.text("name").to_owned(),
        number: number(other),
        role: role_of(other).map(str::to_owned),
    });
    Some(Placed { action: found.clone(), stage: all.collect() })
}

/// The place of an action that was ours in this stage.
#[must_use]
pub fn place_of_ours(placed: &Placed, stage: &str, owned: &Owned) -> Option<Earlier> {
    let beside = placed.stage.iter().filter(|other| other.name != placed.action.text("name"));
    let theirs = beside.filter(|other| !owned.is_of_installation(&other.name, other.role.as_deref()));
    owned.owns(stage, &placed.action).then(|| Earlier {
        number: number(&placed.action),
        others: theirs.map(|other| (other.name.clone(), other.number)).collect(),
    })
}

/// The number of the action in this place, whoever's it is.
pub(super) fn run_order_of(declaration: &Json, stage: &str, action: &str) -> Option<i64> {
    actions(declaration)
        .find(|(of, found)| of.text("name") == stage && found.text("name") == action)
        .map(|(_, found)| number(found))
}
