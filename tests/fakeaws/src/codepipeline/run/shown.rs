//! `GetPipelineState`.

use serde_json::{Value, json};

use super::{
    execution::{ActionRun, ActionStatus, Execution, Mode, StageRun, WaitsFor},
    walk::waits_at,
};
use crate::{
    codepipeline::{
        declaration::{actions, stages, text},
        gates::Gate,
        on_pipeline, read,
        state::Pipelines,
        time,
    },
    error::ServiceError,
    state::{Caller, World},
};

/// Per stage the latest execution that entered it, the ones that wait before it, its transition, its conditions and its
/// retries. A pipeline in PARALLEL mode shows no executions here (User Guide, "View executions"): it has no latest one. An execution between two stages shows in none as running.
pub(crate) fn state(world: &mut World, caller: &Caller, body: &Value) -> Result<Value, ServiceError> {
    let name = on_pipeline(world, caller, "GetPipelineState", body, "name")?;
    let pipeline = read(world, caller, name)?;
    let account = world.accounts.get(&caller.account);
    let none = Pipelines::default();
    let view = View {
        pipelines: account.map_or(&none, |account| &account.pipelines),
        region: &caller.region,
        name,
        mode: Mode::of(pipeline.current()),
    };
    let shown = stages(pipeline.current()).iter().enumerate().map(|(place, stage)| view.stage(place, stage));
    Ok(json!({
        "pipelineName": name,
        "pipelineVersion": pipeline.version(),
        "stageStates": shown.collect::<Vec<_>>(),
        "created": time(pipeline.created),
        "updated": time(pipeline.updated),
    }))
}

struct View<'w> {
    pipelines: &'w Pipelines,
    region: &'w str,
    name: &'w str,
    mode: Mode,
}

impl View<'_> {
    fn executions(&self) -> &[Execution] {
        self.pipelines.executions(self.region, self.name)
    }

    fn stage(&self, place: usize, stage: &Value) -> Value {
        let stage_name = text(stage, "name");
        let action_states: Vec<Value> =
            actions(stage).iter().map(|action| self.action(stage_name, text(action, "name"))).collect();
        let mut shown = json!({"stageName": stage_name, "actionStates": action_states});
        if place > 0 {
            shown["inboundTransitionState"] = self.transition(stage_name);
        }
        if self.mode == Mode::Parallel {
            return shown;
        }
        let inbound = self.executions().iter().filter(|execution| waits_at(execution) == Some(place));
        let inbound: Vec<Value> = inbound.map(|execution| stage_execution(execution, "InProgress")).collect();
        if let Some(latest) = inbound.last() {
            shown["inboundExecution"] = latest.clone();
            shown["inboundExecutions"] = json!(inbound);
        }
        if let Some((execution, run)) = self.entered(stage_name).next() {
            shown["latestExecution"] = stage_execution(execution, run.status.as_str());
            for gate in Gate::ALL {
                if let Some(check) = run.check(gate) {
                    shown[format!("{}ConditionState", gate.member())] = check.shown();
                }
            }
            if let Some(latest) = run.retries.latest {
                shown["retryStageMetadata"] = json!({
                    "autoStageRetryAttempt": run.retries.automatic,
                    "manualStageRetryAttempt": run.retries.manual,
                    "latestRetryTrigger": latest,
                });
            }
        }
        shown
    }

    /// The executions that have entered a stage, latest first.
    fn entered(&self, stage: &str) -> impl Iterator<Item = (&Execution, &StageRun)> {
        let executions = self.executions().iter().rev();
        executions
            .filter_map(move |execution| Some((execution, execution.stages.iter().find(|run| run.name == stage)?)))
    }

    fn transition(&self, stage: &str) -> Value {
        let Some(switch) = self.pipelines.switch(self.region, self.name, stage) else {
            return json!({"enabled": true});
        };
        let mut shown = json!({
            "enabled": switch.reason.is_none(),
            "lastChangedBy": switch.by,
            "lastChangedAt": time(switch.at),
        });
        if let Some(reason) = &switch.reason {
            shown["disabledReason"] = json!(reason);
        }
        shown
    }

    /// The latest run of an action. What was moved by hand has no runs: its actions do what their stage does.
    fn action(&self, stage: &str, action: &str) -> Value {
        let mut shown = json!({"actionName": action});
        if self.mode == Mode::Parallel {
            return shown;
        }
        let latest = self.entered(stage).find_map(|(execution, run)| match run.action(action) {
            Some(action) => Some(Self::run(action)),
            None if execution.walks => None,
            None => {
                let status = ActionStatus::of_stage(run.status).as_str();
                Some(json!({"status": status, "lastStatusChange": time(execution.updated)}))
            }
        });
        if let Some(latest) = latest {
            shown["latestExecution"] = latest;
        }
        shown
    }

    fn run(run: &ActionRun) -> Value {
        let mut shown = json!({
            "actionExecutionId": run.id,
            "status": run.status.as_str(),
            "lastStatusChange": time(run.updated),
        });
        let mut member = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                shown[name] = value;
            }
        };
        member("summary", run.summary.as_ref().map(|summary| json!(summary)));
        member("lastUpdatedBy", run.updated_by.as_ref().map(|by| json!(by)));
        member("externalExecutionId", run.external_id.as_ref().map(|id| json!(id)));
        member("errorDetails", run.error.as_ref().map(super::execution::Failure::shown));
        if let WaitsFor::Approval { token, .. } = &run.waits_for {
            member("token", Some(json!(token)));
        }
        shown
    }
}

fn stage_execution(execution: &Execution, status: &str) -> Value {
    json!({"pipelineExecutionId": execution.id, "status": status, "type": execution.kind()})
}
