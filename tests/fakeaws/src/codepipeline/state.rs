//! Pipelines, their versions and their executions.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{constraints, declaration, structure};
use crate::{state::versioned::Versioned, wire::request_id};

/// All pipelines of one account, over its regions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipelines {
    regions: BTreeMap<String, BTreeMap<String, Versioned<Pipeline>>>,
    /// Executions by region and pipeline, oldest first. They are not versioned: they do not lag.
    executions: BTreeMap<(String, String), Vec<Execution>>,
}

/// One pipeline as it is at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    /// All declarations in full (secrets unmasked, without `version`); the last is the current one.
    versions: Vec<Arc<Value>>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// What becomes of an execution that is started: `InProgress` is a run that goes on until it is changed by hand.
    pub(super) started_as: Status,
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
        }
    }

    /// Whether the execution may still do something.
    pub(super) fn is_unfinished(self) -> bool {
        matches!(self, Self::InProgress | Self::Stopping)
    }
}

/// One execution of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) summary: Option<String>,
    pub(super) started: Timestamp,
    pub(super) updated: Timestamp,
    /// The version of the pipeline that it runs.
    pub(super) version: usize,
    /// The stages it has entered, in order, and what they did. One that is still running is the last.
    pub(super) stages: Vec<(String, Status)>,
    pub(super) trigger: Value,
    pub(super) stop_reason: Option<String>,
    pub(super) variables: Vec<Value>,
}

impl Pipeline {
    pub(super) fn new(declaration: Value, now: Timestamp) -> Self {
        Self { versions: vec![Arc::new(declaration)], created: now, updated: now, started_as: Status::InProgress }
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
    pub(super) fn declaration(&self, version: usize) -> Option<&Value> {
        self.versions.get(version.checked_sub(1)?).map(Arc::as_ref)
    }

    /// A version's declaration as the API shows it.
    pub(super) fn shown(&self, version: usize) -> Option<Value> {
        let mut shown = declaration::masked(self.declaration(version)?);
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

impl Execution {
    pub(super) fn new(version: usize, now: Timestamp, trigger: Value) -> Self {
        Self {
            id: request_id(),
            status: Status::InProgress,
            summary: None,
            started: now,
            updated: now,
            version,
            stages: Vec::new(),
            trigger,
            stop_reason: None,
            variables: Vec::new(),
        }
    }

    /// Puts the execution into a stage, after the stages before it, or (`None`) between two stages, after the ones
    /// that it has entered.
    pub(super) fn stand(&mut self, stage_names: &[&str], stage: Option<&str>) {
        let succeeded = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Status::Succeeded)).collect();
        match stage.and_then(|stage| stage_names.iter().position(|name| *name == stage)) {
            Some(at) => {
                self.stages = succeeded(&stage_names[..at]);
                self.stages.push((stage_names[at].to_owned(), self.status));
            }
            // Between two stages at least the first is over.
            None if self.stages.is_empty() => self.stages = succeeded(&stage_names[..stage_names.len().min(1)]),
            None => self.stages.iter_mut().for_each(|(_, status)| *status = Status::Succeeded),
        }
    }

    /// Gives the execution, and the stage that it is running, another status.
    pub(super) fn turn(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        self.updated = now;
        if let Some((_, stage)) = self.stages.last_mut().filter(|(_, stage)| stage.is_unfinished()) {
            *stage = status;
        }
    }

    /// Whether a stage is running, so that a stop has something to wait for.
    pub(super) fn is_in_a_stage(&self) -> bool {
        self.stages.last().is_some_and(|(_, status)| status.is_unfinished())
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
                constraints::declaration(given).map_err(|error| refused(&error))?;
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

    /// Versions and executions: region → pipeline name → `{version, executions: […]}`.
    pub(crate) fn history(&self) -> Value {
        self.shown(|(region, name), pipeline| {
            let executions = self.executions(region, name).iter().map(|execution| {
                json!({
                    "id": execution.id,
                    "status": execution.status.as_str(),
                    "version": execution.version,
                    "stages": execution.stages.iter().map(|(n, s)| json!({"name": n, "status": s.as_str()})).collect::<Vec<_>>(),
                })
            });
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
