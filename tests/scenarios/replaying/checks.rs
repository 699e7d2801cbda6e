//! What has to hold of a seed: the invariants of the simulation, as far as the double shows them.

use crossinvoke_harness::{Error, Result, objects::has_reason};
use fakeaws::Call;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    history::Wish,
    replay::{Replay, action_of},
    seen::Objects,
};

/// What of a pipeline is not ours. A stage that was made for an action of ours is ours.
pub(super) fn foreign(declaration: &Value, ours: impl Fn(&Value) -> Option<usize>) -> Value {
    let mut declaration = declaration.clone();
    if let Some(members) = declaration.as_object_mut() {
        members.remove("version");
    }
    if let Some(stages) = declaration["stages"].as_array_mut() {
        for stage in stages.iter_mut() {
            if let Some(actions) = stage["actions"].as_array_mut() {
                actions.retain(|action| ours(action).is_none());
                // CodePipeline puts them into the order in which they run.
                actions.sort_by_cached_key(|action| action["name"].to_string());
                for action in actions.iter_mut().filter_map(Value::as_object_mut) {
                    // CodePipeline adds it where it is left out.
                    action.remove("region");
                }
            }
        }
        stages.retain(|stage| stage["name"] != "Made");
    }
    declaration
}

/// When something was surely so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
}

impl Replay {
    /// Whether the pipeline holds what the objects declare, and what is not ours as it was left.
    pub(super) fn is_right(&self, objects: &Objects, asked: &str) -> std::result::Result<(), String> {
        let declaration = self.declaration().map_err(|error| error.to_string())?.ok_or("there is no pipeline")?;
        for object in 0..8 {
            let found = self.actions_of(&declaration, object);
            match self.wishes.get(&object) {
                None if found.is_empty() => {}
                None => return Err(format!("object {object} is gone, and {found:?} is there")),
                Some(wish) => {
                    let name = self.name_of(object);
                    let seen = objects.get(&name).filter(|seen| seen.data["status"]["lastHandledReconcileAt"] == asked);
                    let seen = seen.ok_or_else(|| format!("{name} was not looked at"))?;
                    self.is_as_declared(&declaration, (object, *wish), &found, seen)?;
                }
            }
        }
        let left = foreign(&declaration, self.is_ours());
        if left != self.truth {
            return Err(format!(
                "somebody's edit is lost: {}",
                crossinvoke_harness::difference(&self.truth, &left).join("\n")
            ));
        }
        Ok(())
    }

    fn is_as_declared(
        &self,
        declaration: &Value,
        (object, wish): (usize, Wish),
        found: &[(Value, Value)],
        seen: &DynamicObject,
    ) -> std::result::Result<(), String> {
        let name = self.name_of(object);
        if seen.data["status"]["observedGeneration"].as_i64() != seen.metadata.generation {
            return Err(format!("{name} was not looked at"));
        }
        let place = (json!(wish.stage), json!(action_of(object, wish)));
        let is_there = matches!(found, [(stage, action)] if (stage, &action["name"]) == (&place.0, &place.1)
            && action["configuration"]["UserParameters"] == json!(wish.parameters.to_string())
            && action["configuration"]["FunctionName"] == crossinvoke_harness::accounts::FUNCTION);
        if has_reason(seen, "Converged") && is_there {
            return Ok(());
        }
        let stages = declaration["stages"].as_array().into_iter().flatten();
        let actions = stages
            .filter(|stage| stage["name"] == place.0)
            .flat_map(|stage| stage["actions"].as_array().into_iter().flatten());
        let is_taken =
            actions.clone().any(|action| action["name"] == place.1 && self.is_ours()(action) != Some(object));
        if has_reason(seen, "ActionConflict") && is_taken {
            return Ok(());
        }
        Err(format!("{name}: {found:?}; status {:#}", seen.data["status"]["conditions"]))
    }

    /// The actions of an object, each with the name of its stage.
    fn actions_of(&self, declaration: &Value, object: usize) -> Vec<(Value, Value)> {
        let ours = self.is_ours();
        let stages = declaration["stages"].as_array().into_iter().flatten();
        let actions = stages.flat_map(|stage| {
            let actions = stage["actions"].as_array().into_iter().flatten();
            actions.map(|action| (stage["name"].clone(), action.clone()))
        });
        actions.filter(|(_, action)| ours(action) == Some(object)).collect()
    }

    /// Nothing of ours is in the pipeline any more.
    pub(super) fn nothing_is_left(&self) -> Result<()> {
        let declaration = self.declaration()?.ok_or_else(|| Error::new("there is no pipeline"))?;
        let left: Vec<_> = (0..8).flat_map(|object| self.actions_of(&declaration, object)).collect();
        let has_stage = declaration["stages"].as_array().into_iter().flatten().any(|stage| stage["name"] == "Made");
        if left.is_empty() && !has_stage {
            return Ok(());
        }
        Err(Error::new(format!("seed {}: {left:?} is left, stage Made: {has_stage}", self.seed)))
    }

    /// The calls on its pipeline.
    pub(super) fn calls<'a>(&self, calls: &'a [Call]) -> impl Iterator<Item = &'a Call> + use<'a> {
        let suffix = format!(":{}", self.pipeline);
        calls.iter().filter(move |call| call.resource.as_ref().is_some_and(|arn| arn.ends_with(&suffix)))
    }

    /// No update was sent after nothing was left to be done.
    pub(super) fn it_stayed_quiet(&self, calls: &[Call]) -> Result<()> {
        let is_in = |call: &&Call| self.quiet.is_some_and(|quiet| quiet.began < call.time && call.time < quiet.ended);
        match self.calls(calls).filter(|call| call.operation == "UpdatePipeline").find(is_in) {
            None => Ok(()),
            Some(call) => Err(Error::new(format!("seed {}: {call:?} when all was quiet", self.seed))),
        }
    }

    /// No update came between the begin and the end of an execution, unless the execution began after the list of
    /// executions that the update followed.
    pub(super) fn nothing_was_cancelled(&self, calls: &[Call]) -> Result<()> {
        let mut listed: Option<Timestamp> = None;
        for call in self.calls(calls) {
            match call.operation.as_str() {
                "ListPipelineExecutions" => listed = Some(call.time),
                "UpdatePipeline" if ["OK", "Dropped"].contains(&call.outcome.as_str()) => {
                    let harmed = |span: &&Span| {
                        span.began < call.time && call.time < span.ended && listed.is_none_or(|at| at > span.began)
                    };
                    if let Some(span) = self.spans.iter().find(harmed) {
                        return Err(Error::new(format!("seed {}: {span:?} was cancelled by {call:?}", self.seed)));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
