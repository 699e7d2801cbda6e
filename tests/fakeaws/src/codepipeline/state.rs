//! Pipelines, their versions and their executions.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    custom::CustomType,
    declaration,
    run::{ActionOutcome, Execution, Switch},
    shapes, structure,
};
use crate::state::versioned::Versioned;

/// All pipelines of one account, over its regions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipelines {
    regions: BTreeMap<String, BTreeMap<String, Versioned<Pipeline>>>,
    /// Executions by region and pipeline, oldest first. They are not versioned: they do not lag.
    executions: BTreeMap<(String, String), Vec<Execution>>,
    /// What becomes of actions that the double does not run itself, by region, pipeline, stage and action.
    outcomes: BTreeMap<ActionKey, ActionOutcome>,
    /// Transitions into stages that were switched, by region, pipeline and stage.
    switches: BTreeMap<(String, String, String), Switch>,
    /// Custom action types that were made, by region, and whether they still exist.
    custom_types: BTreeMap<String, BTreeMap<CustomType, bool>>,
}

/// Region, pipeline, stage and action.
type ActionKey = (String, String, String, String);

/// One pipeline as it is at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    /// All declarations in full (secrets unmasked, without `version`); the last is the current one.
    versions: Vec<Arc<Value>>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// What becomes of an execution that is started: `None` walks through the stages, `InProgress` goes on until it is
    /// changed by hand, and the others are over at once.
    pub(super) started_as: Option<Status>,
}

/// What an execution, or its part in a stage, is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    InProgress,
    Stopping,
    Succeeded,
    Failed,
    Stopped,
    Cancelled,
    Superseded,
    /// Of a stage only: its entry condition, or its failure, let the execution pass by.
    Skipped,
}

impl Status {
    /// From the wire.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "InProgress" => Self::InProgress,
            "Stopping" => Self::Stopping,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            "Stopped" => Self::Stopped,
            "Cancelled" => Self::Cancelled,
            "Superseded" => Self::Superseded,
            other => return Err(format!("no execution status {other}")),
        })
    }

    /// As on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Stopping => "Stopping",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
            Self::Cancelled => "Cancelled",
            Self::Superseded => "Superseded",
            Self::Skipped => "Skipped",
        }
    }

    /// Whether the execution may still do something.
    pub(super) fn is_unfinished(self) -> bool {
        matches!(self, Self::InProgress | Self::Stopping)
    }
}

impl Pipeline {
    pub(super) fn new(declaration: Value, now: Timestamp) -> Self {
        Self { versions: vec![Arc::new(declaration)], created: now, updated: now, started_as: None }
    }

    /// The number of the current version, from 1.
    pub(super) fn version(&self) -> usize {
        self.versions.len()
    }

    /// The current declaration in full.
    pub(super) fn current(&self) -> &Value {
        self.versions.last().map_or(&Value::Null, Arc::as_ref)
    }

    /// A version's declaration in full.
    pub(super) fn declaration(&self, version: usize) -> Option<&Arc<Value>> {
        self.versions.get(version.checked_sub(1)?)
    }

    /// A version's declaration as the API shows it.
    pub(super) fn shown(&self, version: usize) -> Option<Value> {
        let mut shown = declaration::masked(self.declaration(version)?.as_ref());
        shown["version"] = json!(version);
        Some(shown)
    }

    pub(super) fn update(&mut self, declaration: Value, now: Timestamp) {
        self.versions.push(Arc::new(declaration));
        self.updated = now;
    }

    /// The names of the stages, in order.
    pub(super) fn stage_names(&self) -> Vec<&str> {
        declaration::stages(self.current()).iter().map(|stage| stage["name"].as_str().unwrap_or_default()).collect()
    }
}

impl Pipelines {
    /// Reads the seed's `pipelines` member of an account: region → pipeline name → declaration without `version`.
    pub(crate) fn from_configuration(configuration: &Value) -> Result<Self, String> {
        let mut pipelines = Self::default();
        let regions = configuration.as_object().ok_or("pipelines are no object of regions")?;
        for (region, of_region) in regions {
            let named = of_region.as_object().ok_or_else(|| format!("{region} is no object of pipelines"))?;
            for (name, given) in named {
                if given["name"].as_str() != Some(name) {
                    return Err(format!("{region}, {name}: the declaration's name is {}", given["name"]));
                }
                let refused = |error: &dyn std::fmt::Display| format!("{region}, {name}: {error}");
                shapes::declaration(given).map_err(|error| refused(&error))?;
                let normal = declaration::normalised(given, region).map_err(|error| refused(&error))?;
                structure::check(&normal, region).map_err(|error| refused(&error))?;
                let pipeline = Pipeline::new(normal, Timestamp::UNIX_EPOCH);
                let of_region = pipelines.regions.entry(region.clone()).or_default();
                of_region.insert(name.clone(), Versioned::since_ever(pipeline));
            }
        }
        Ok(pipelines)
    }

    /// The same format back: declarations whole, secrets unmasked, without `version`.
    pub(crate) fn configuration(&self) -> Value {
        self.shown(|_, pipeline| pipeline.current().clone())
    }

    /// One pipeline of it, if there is one.
    pub(crate) fn configuration_of(&self, region: &str, name: &str) -> Option<Value> {
        Some(self.regions.get(region)?.get(name)?.current()?.current().clone())
    }

    /// Versions and executions: region → pipeline name → `{version, executions: […]}`.
    pub(crate) fn history(&self) -> Value {
        self.shown(|(region, name), pipeline| {
            let executions = self.executions(region, name).iter().map(Execution::history);
            json!({"version": pipeline.version(), "executions": executions.collect::<Vec<_>>()})
        })
    }

    fn shown(&self, show: impl Fn((&str, &str), &Pipeline) -> Value) -> Value {
        let mut regions = Map::new();
        for (region, pipelines) in &self.regions {
            let living = pipelines.iter().filter_map(|(name, pipeline)| Some((name, pipeline.current()?)));
            let shown: Map<String, Value> =
                living.map(|(name, pipeline)| (name.clone(), show((region, name), pipeline))).collect();
            if !shown.is_empty() {
                regions.insert(region.clone(), Value::Object(shown));
            }
        }
        Value::Object(regions)
    }

    /// A pipeline as it really is.
    pub(super) fn current(&self, region: &str, name: &str) -> Option<&Pipeline> {
        self.regions.get(region)?.get(name)?.current()
    }

    /// A pipeline as it was.
    pub(super) fn as_of(&self, region: &str, name: &str, time: Timestamp) -> Option<&Pipeline> {
        self.regions.get(region)?.get(name)?.as_of(time)
    }

    /// The pipelines of a region as they were.
    pub(super) fn all_as_of(&self, region: &str, time: Timestamp) -> impl Iterator<Item = (&str, &Pipeline)> {
        let pipelines = self.regions.get(region).into_iter().flatten();
        pipelines.filter_map(move |(name, pipeline)| Some((name.as_str(), pipeline.as_of(time)?)))
    }

    /// Writes a pipeline as it is from now on; `None` deletes it, and its executions are forgotten.
    pub(super) fn set(&mut self, region: &str, name: &str, now: Timestamp, pipeline: Option<Pipeline>) {
        if pipeline.is_none() {
            self.executions.remove(&(region.to_owned(), name.to_owned()));
            self.outcomes.retain(|(in_region, of, ..), _| (in_region.as_str(), of.as_str()) != (region, name));
            self.switches.retain(|(in_region, of, _), _| (in_region.as_str(), of.as_str()) != (region, name));
        }
        let of_region = self.regions.entry(region.to_owned()).or_default();
        of_region.entry(name.to_owned()).or_default().set(now, pipeline);
    }

    /// The executions of a pipeline, oldest first.
    pub(super) fn executions(&self, region: &str, name: &str) -> &[Execution] {
        self.executions.get(&(region.to_owned(), name.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The same, to be changed.
    pub(super) fn executions_mut(&mut self, region: &str, name: &str) -> &mut Vec<Execution> {
        self.executions.entry((region.to_owned(), name.to_owned())).or_default()
    }

    /// Every pipeline that has executions: region, name, executions.
    pub(super) fn all_executions(&self) -> impl Iterator<Item = (&str, &str, &[Execution])> {
        self.executions.iter().map(|((region, name), of)| (region.as_str(), name.as_str(), of.as_slice()))
    }

    /// The custom action types of a region.
    pub(super) fn custom_types(&mut self, region: &str) -> &mut BTreeMap<CustomType, bool> {
        self.custom_types.entry(region.to_owned()).or_default()
    }

    /// Whether this type of action was made and exists.
    pub(super) fn is_custom_type(&self, region: &str, kind: &Value) -> bool {
        self.custom_types.get(region).and_then(|types| types.get(&CustomType::of(kind))) == Some(&true)
    }

    /// What becomes of an action that the double does not run itself.
    pub(super) fn outcome(&self, region: &str, name: &str, stage: &str, action: &str) -> ActionOutcome {
        let key = (region.to_owned(), name.to_owned(), stage.to_owned(), action.to_owned());
        self.outcomes.get(&key).cloned().unwrap_or_default()
    }

    /// Says what becomes of an action from now on.
    pub(super) fn set_outcome(&mut self, (region, name): (&str, &str), stage: &str, action: &str, to: ActionOutcome) {
        let key = (region.to_owned(), name.to_owned(), stage.to_owned(), action.to_owned());
        self.outcomes.insert(key, to);
    }

    /// How the transition into a stage was switched last, if it ever was.
    pub(super) fn switch(&self, region: &str, name: &str, stage: &str) -> Option<&Switch> {
        self.switches.get(&(region.to_owned(), name.to_owned(), stage.to_owned()))
    }

    /// Switches the transition into a stage.
    pub(super) fn set_switch(&mut self, (region, name): (&str, &str), stage: &str, switch: Switch) {
        self.switches.insert((region.to_owned(), name.to_owned(), stage.to_owned()), switch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_holds_only_what_aws_could_hold() {
        let refusal = |pipelines: Value| Pipelines::from_configuration(&pipelines).unwrap_err();
        let two_names = refusal(json!({"us-east-1": {"p": {"name": "q"}}}));
        assert_eq!(two_names, "us-east-1, p: the declaration's name is \"q\"");
        let role = "arn:aws:iam::111111111111:role/p";
        let no_stages = refusal(json!({"us-east-1": {"p": {"name": "p", "roleArn": role, "stages": []}}}));
        assert!(no_stages.starts_with("us-east-1, p: InvalidStructureException: Pipeline has only 0"), "{no_stages}");
        let no_role = refusal(json!({"us-east-1": {"p": {"name": "p", "stages": []}}}));
        assert!(no_role.contains("pipeline.roleArn"), "{no_role}");
        assert!(Pipelines::from_configuration(&json!({"us-east-1": []})).is_err());
    }
}
