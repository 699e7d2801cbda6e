//! Pipelines of one account with all their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::executions::{Execution, Status};

/// All pipelines of one account, over its regions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipelines {
    regions: BTreeMap<String, BTreeMap<String, Pipeline>>,
}

/// One pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    /// Every version, oldest first; the number is the index plus one.
    versions: Vec<Version>,
    /// Newest first.
    pub(super) executions: Vec<Execution>,
    pub(super) created: Timestamp,
}

/// One version of a pipeline.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// As sent, secrets in the clear, without `version`.
    pub(super) declaration: Value,
    pub(super) since: Timestamp,
}

impl Pipelines {
    /// Reads the seed's `pipelines` member of an account: region → pipeline name → declaration without `version`.
    pub(crate) fn from_configuration(configuration: &Value) -> Result<Self, String> {
        let mut pipelines = Self::default();
        let regions = configuration.as_object().ok_or("not an object of regions")?;
        for (region, named) in regions {
            for (name, declaration) in
                named.as_object().ok_or_else(|| format!("{region} is not an object of pipelines"))?
            {
                if declaration.get("name").and_then(Value::as_str) != Some(name) {
                    return Err(format!("the declaration under {name} has another name"));
                }
                super::structure::check(declaration, region).map_err(|error| format!("{name}: {error}"))?;
                pipelines.replace(region, name, declaration.clone(), Timestamp::MIN);
            }
        }
        Ok(pipelines)
    }

    /// The same format back, declarations whole, without `version`.
    pub(crate) fn configuration(&self) -> Value {
        self.shown(|pipeline| pipeline.current().declaration.clone())
    }

    /// Versions and executions: region → pipeline name → `{version, executions: […]}`.
    pub(crate) fn history(&self) -> Value {
        self.shown(|pipeline| {
            let executions: Vec<Value> = pipeline.executions.iter().map(Execution::shown).collect();
            json!({"version": pipeline.version(), "executions": executions})
        })
    }

    fn shown(&self, show: impl Fn(&Pipeline) -> Value) -> Value {
        let regions = self.regions.iter().filter(|(_, named)| !named.is_empty());
        let shown: BTreeMap<&String, BTreeMap<&String, Value>> = regions
            .map(|(region, named)| (region, named.iter().map(|(name, pipeline)| (name, show(pipeline))).collect()))
            .collect();
        json!(shown)
    }

    pub(super) fn get(&self, region: &str, name: &str) -> Option<&Pipeline> {
        self.regions.get(region)?.get(name)
    }

    pub(super) fn get_mut(&mut self, region: &str, name: &str) -> Option<&mut Pipeline> {
        self.regions.get_mut(region)?.get_mut(name)
    }

    pub(super) fn names(&self, region: &str) -> impl Iterator<Item = (&String, &Pipeline)> {
        self.regions.get(region).into_iter().flatten()
    }

    /// Makes a pipeline, or its next version: what runs is cancelled then.
    pub(super) fn replace(&mut self, region: &str, name: &str, mut declaration: Value, now: Timestamp) -> usize {
        if let Some(members) = declaration.as_object_mut() {
            members.shift_remove("version");
        }
        fill_in(&mut declaration, region);
        let version = Version { declaration, since: now };
        let named = self.regions.entry(region.to_owned()).or_default();
        if let Some(pipeline) = named.get_mut(name) {
            pipeline.versions.push(version);
            pipeline.cancel_running(now);
            return pipeline.version();
        }
        let pipeline = Pipeline { versions: vec![version], executions: Vec::new(), created: now };
        named.insert(name.to_owned(), pipeline);
        1
    }

    pub(super) fn remove(&mut self, region: &str, name: &str) -> bool {
        self.regions.get_mut(region).is_some_and(|named| named.remove(name).is_some())
    }
}

/// What AWS fills in where it was left out, and its order of actions.
fn fill_in(declaration: &mut Value, region: &str) {
    let stages = declaration.get_mut("stages").and_then(Value::as_array_mut);
    for stage in stages.into_iter().flatten() {
        let Some(actions) = stage.get_mut("actions").and_then(Value::as_array_mut) else { continue };
        actions.sort_by_key(super::structure::run_order);
        for action in actions.iter_mut().filter_map(Value::as_object_mut) {
            let defaults = [
                ("runOrder", json!(1)),
                ("inputArtifacts", json!([])),
                ("outputArtifacts", json!([])),
                ("region", json!(region)),
            ];
            for (member, value) in defaults {
                action.entry(member).or_insert(value);
            }
        }
    }
}

impl Pipeline {
    pub(super) fn current(&self) -> &Version {
        // A pipeline is made with its first version and never loses one.
        &self.versions[self.versions.len() - 1]
    }

    pub(super) fn version(&self) -> usize {
        self.versions.len()
    }

    /// A version by its number.
    pub(super) fn numbered(&self, number: usize) -> Option<&Version> {
        self.versions.get(number.checked_sub(1)?)
    }

    /// The number of the version that a read shows which lags behind until `time`; the first one at least.
    pub(super) fn version_as_of(&self, time: Timestamp) -> usize {
        self.versions.iter().rposition(|version| version.since <= time).map_or(1, |index| index + 1)
    }

    /// "The pipeline's definition was updated before the execution could be completed" (API reference, Cancelled).
    fn cancel_running(&mut self, now: Timestamp) {
        for execution in self.executions.iter_mut().filter(|execution| execution.status.is_running()) {
            execution.status = Status::Cancelled;
            execution.summary = Some("The pipeline definition was updated.".to_owned());
            execution.updated = now;
            execution.stage = None;
        }
    }
}
