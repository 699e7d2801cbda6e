//! One pipeline in AWS: its versions, its executions, and what a read shows of them.

use std::{collections::VecDeque, rc::Rc};

use crossinvoke::domain::{
    ids::Arn,
    observed::Pipeline,
    occupancy::{Execution, Occupancy, Standing},
    pipeline_edit::Json,
    stage_states::StageState,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::history::{Edit, Millis};

/// AWS keeps this many versions.
const KEPT: usize = 10;

pub(crate) const PIPELINE_ROLE: &str = "arn:aws:iam::111111111111:role/pipeline";
pub(crate) const PIPELINE: &str = "arn:aws:codepipeline:eu-west-1:111111111111:release";
const OUR_ROLES: &str = "arn:aws:iam::222222222222:role/crossinvoke/own-";

pub(crate) fn role_of(object: usize) -> Arn {
    format!("{OUR_ROLES}{object}").parse().expect("a role")
}

/// When the world begins.
pub(crate) fn time(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + i64::try_from(at).expect("soon")).expect("a time")
}

#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) number: i64,
    pub(crate) declaration: Json,
}

impl Version {
    pub(crate) fn read(&self) -> Pipeline {
        Pipeline {
            declaration: self.declaration.clone().into(),
            version: self.number,
            role: PIPELINE_ROLE.parse().expect("a role"),
            arn: PIPELINE.parse().expect("a pipeline"),
            unread: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    InProgress,
    Stopping,
    Succeeded,
    Failed,
    Stopped,
    Cancelled,
}

impl Status {
    fn standing(self) -> Standing {
        match self {
            Self::InProgress | Self::Stopping => Standing::Unfinished,
            Self::Failed | Self::Stopped => Standing::Retryable,
            Self::Succeeded | Self::Cancelled => Standing::Over,
        }
    }
}

/// An execution.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) started: Millis,
    pub(crate) updated: Millis,
    pub(crate) status: Status,
    /// The stage and action that failed.
    pub(crate) failed: Option<(String, String)>,
    /// Whether that is an action of ours.
    pub(crate) failed_in_ours: bool,
}

impl Run {
    pub(crate) fn is_unfinished(&self) -> bool {
        self.status.standing() == Standing::Unfinished
    }
}

#[derive(Debug)]
pub(crate) struct Aws {
    versions: VecDeque<Rc<Version>>,
    /// What was the newest version since when.
    shown: Vec<(Millis, Option<Rc<Version>>)>,
    pub(crate) runs: Vec<Run>,
    added: u32,
}

fn action(name: &str, category: &str) -> Value {
    json!({
        "name": name, "actionTypeId": {"category": category, "owner": "AWS", "provider": "CodeBuild", "version": "1"},
        "configuration": {"Setting": "0"}
    })
}

/// An action that comes after others of its stage, and so after what is put into the stage later.
fn later(mut action: Value) -> Value {
    action["runOrder"] = json!(2);
    action
}

fn first_declaration() -> Json {
    json!({
        "name": "release", "roleArn": PIPELINE_ROLE,
        "stages": [
            {"name": "Source", "actions": [action("Pull", "Source")]},
            {"name": "Build", "actions": [later(action("Make", "Build"))]},
            {"name": "Deploy", "actions": [later(action("Ship", "Deploy"))]},
        ],
        "version": 1,
    })
    .into()
}

impl Aws {
    pub(crate) fn new() -> Self {
        let mut aws = Self { versions: VecDeque::new(), shown: Vec::new(), runs: Vec::new(), added: 0 };
        aws.make(0);
        aws
    }

    pub(crate) fn make(&mut self, now: Millis) {
        if self.newest().is_none() {
            self.put(first_declaration(), now);
        }
    }

    pub(crate) fn delete(&mut self, now: Millis) {
        self.versions.clear();
        self.shown.push((now, None));
        self.runs.clear();
    }

    pub(crate) fn newest(&self) -> Option<&Rc<Version>> {
        self.versions.back()
    }

    pub(crate) fn version(&self, number: i64) -> Option<&Rc<Version>> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// What was there at this time.
    pub(crate) fn at(&self, at: Millis) -> Option<Rc<Version>> {
        self.shown.iter().rev().find(|(since, _)| *since <= at).or(self.shown.first())?.1.clone()
    }

    /// Takes a declaration, whoever sends it; cancels what runs. `None` without a pipeline.
    pub(crate) fn update(&mut self, declaration: Json, now: Millis) -> Option<Rc<Version>> {
        self.newest()?;
        for run in self.runs.iter_mut().filter(|run| run.is_unfinished()) {
            (run.status, run.updated) = (Status::Cancelled, now);
        }
        Some(self.put(declaration, now))
    }

    fn put(&mut self, mut declaration: Json, now: Millis) -> Rc<Version> {
        let number = self.newest().map_or(1, |newest| newest.number + 1);
        set(&mut declaration, "version", json!(number).into());
        let declaration = normalised(&declaration);
        let version = Rc::new(Version { number, declaration });
        self.versions.push_back(version.clone());
        if self.versions.len() > KEPT {
            self.versions.pop_front();
        }
        self.shown.push((now, Some(version.clone())));
        version
    }

    /// A person reads, edits and writes; returns whether that made a version.
    pub(crate) fn edit(&mut self, edit: Edit, now: Millis) -> bool {
        let Some(newest) = self.newest() else { return false };
        let before = newest.declaration.clone();
        let mut declaration = before.clone();
        match edit {
            Edit::Configure(setting) => {
                for made in
                    actions_mut(&mut declaration, "Build").iter_mut().filter(|found| found.text("name") == "Make")
                {
                    set(made, "configuration", json!({"Setting": setting.to_string()}).into());
                }
            }
            Edit::Add(setting) => {
                self.added += 1;
                let mut added: Json = action(&format!("Extra-{}", self.added), "Test").into();
                set(&mut added, "configuration", json!({"Setting": setting.to_string()}).into());
                actions_mut(&mut declaration, "Deploy").push(added);
            }
            Edit::TakeOut => {
                let actions = actions_mut(&mut declaration, "Deploy");
                if let Some(last) = actions.iter().rposition(|found| found.text("name").starts_with("Extra-")) {
                    actions.remove(last);
                }
            }
            Edit::TakeOursOut(object) => take_out(&mut declaration, |action| owner(action) == Some(object)),
            Edit::ChangeOurs(object) => {
                for stage in stages_mut(&mut declaration) {
                    let actions = stage.get_mut("actions").and_then(Json::as_list_mut).into_iter().flatten();
                    for action in actions.filter(|action| owner(action) == Some(object)) {
                        set(action, "configuration", json!({"FunctionName": "other"}).into());
                    }
                }
            }
            Edit::Occupy => {
                let actions = actions_mut(&mut declaration, "Build");
                match actions.iter().position(|found| found.text("name") == "Check") {
                    None => actions.push(action("Check", "Test").into()),
                    Some(at) if owner(&actions[at]).is_none() => _ = actions.remove(at),
                    Some(_) => {}
                }
            }
        }
        declaration != before && self.update(declaration, now).is_some()
    }

    pub(crate) fn running(&mut self) -> Option<&mut Run> {
        self.runs.iter_mut().rev().find(|run| run.is_unfinished())
    }

    /// The executions as they are now, and the stages as they were a moment ago.
    pub(crate) fn occupancy(&self) -> Occupancy {
        let listed = self.runs.iter().enumerate().rev().take(100).map(|(index, run)| Execution {
            id: index.to_string(),
            status: format!("{:?}", run.status),
            standing: run.status.standing(),
            started: Some(time(run.started)),
            updated: Some(time(run.updated)),
        });
        let stages = self.newest().map(|newest| newest.declaration.list("stages").to_vec()).unwrap_or_default();
        let last = self.runs.len().checked_sub(1);
        let state = |stage: &Json| {
            let mut state = StageState { name: stage.text("name").to_owned(), ..StageState::default() };
            let Some((index, run)) = last.map(|index| (index, &self.runs[index])) else { return state };
            let stopped_here = run.failed.as_ref().map_or("Build", |(of, _)| of) == state.name;
            if run.is_unfinished() && state.name == "Build" {
                state.inside = Some(index.to_string());
            } else if run.status.standing() == Standing::Retryable && stopped_here {
                state.retryable = Some(index.to_string());
                state.failed = run.failed.iter().map(|(_, action)| action.clone()).collect();
            }
            state
        };
        Occupancy {
            stages: stages.iter().map(state).collect(),
            executions: listed.collect(),
            not_looked_through: false,
        }
    }
}

/// CodePipeline orders the actions of a stage by their run order, and fills in what is left out.
fn normalised(declaration: &Json) -> Json {
    let mut declaration: Value = serde_json::from_str(&declaration.canonical()).expect("it is JSON");
    for stage in declaration["stages"].as_array_mut().expect("it has stages") {
        let actions = stage["actions"].as_array_mut().expect("it has actions");
        for action in actions.iter_mut().filter_map(Value::as_object_mut) {
            action.entry("runOrder").or_insert(json!(1));
            action.entry("region").or_insert(json!("eu-west-1"));
            action.entry("inputArtifacts").or_insert(json!([]));
            action.entry("outputArtifacts").or_insert(json!([]));
        }
        actions.sort_by_key(|action| action["runOrder"].as_i64());
    }
    declaration.into()
}

/// Sets a member that is there.
fn set(json: &mut Json, member: &str, value: Json) {
    *json.get_mut(member).expect("it has that member") = value;
}

fn stages_mut(declaration: &mut Json) -> &mut Vec<Json> {
    declaration.get_mut("stages").and_then(Json::as_list_mut).expect("it has stages")
}

fn actions_mut<'a>(declaration: &'a mut Json, stage: &str) -> &'a mut Vec<Json> {
    let found =
        stages_mut(declaration).iter_mut().find(|found| found.text("name") == stage).expect("nobody removes it");
    found.get_mut("actions").and_then(Json::as_list_mut).expect("it has actions")
}

fn take_out(declaration: &mut Json, goes: impl Fn(&Json) -> bool) {
    let stages = stages_mut(declaration);
    for stage in stages.iter_mut() {
        if let Some(actions) = stage.get_mut("actions").and_then(Json::as_list_mut) {
            actions.retain(|action| !goes(action));
        }
    }
    stages.retain(|stage| !stage.list("actions").is_empty());
}

/// The object whose action it is.
pub(crate) fn owner(action: &Json) -> Option<usize> {
    action.text("roleArn").strip_prefix(OUR_ROLES)?.parse().ok()
}

/// What is not ours of a declaration.
pub(crate) fn foreign(declaration: &Json) -> String {
    let mut foreign = declaration.clone();
    take_out(&mut foreign, |action| owner(action).is_some());
    set(&mut foreign, "version", json!(0).into());
    foreign.canonical()
}

/// The actions of one object: where they are, and what they are.
pub(crate) fn ours(declaration: &Json, object: usize) -> Vec<(String, String)> {
    let stages = declaration.list("stages").iter();
    let actions = stages.flat_map(|stage| stage.list("actions").iter().map(move |action| (stage.text("name"), action)));
    actions
        .filter(|(_, action)| owner(action) == Some(object))
        .map(|(stage, action)| (stage.to_owned(), action.canonical()))
        .collect()
}
