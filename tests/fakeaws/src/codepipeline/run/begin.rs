//! How an action begins.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    execution::{ActionRun, At, Execution, Failure, Mode, Outcome, Place, WaitsFor},
    invoke, variables,
    walk::complete,
};
use crate::{
    codepipeline::declaration::{self, all_actions, text},
    state::World,
    wire::request_id,
};

/// What becomes of an action that the double does not run itself: a source, a build, a deployment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ActionOutcome {
    /// It succeeds at once.
    Succeed {
        /// Its output variables, such as a source's `CommitId`.
        #[serde(default)]
        output_variables: BTreeMap<String, String>,
    },
    /// It fails at once.
    Fail {
        /// The code of the error details.
        #[serde(default = "job_failed")]
        code: String,
        /// Their text.
        message: String,
    },
    /// It stays in progress until another outcome is set.
    Hold {},
}

fn job_failed() -> String {
    "JobFailed".to_owned()
}

impl Default for ActionOutcome {
    fn default() -> Self {
        Self::Succeed { output_variables: BTreeMap::new() }
    }
}

impl ActionOutcome {
    pub(super) fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Succeed { output_variables } => Some(Outcome::Succeeded(output_variables)),
            Self::Fail { code, message } => Some(Outcome::Failed(Failure::new(code, message))),
            Self::Hold {} => None,
        }
    }
}

/// The longest wait for an approval (User Guide, "Quotas"), unless the action has a `timeoutInMinutes`.
const APPROVAL_DAYS: i64 = 7;

/// Begins an action of the stage that an execution is in.
pub(super) fn begin(world: &mut World, at: &At, execution: &str, declaration: &Value, action: &Value) {
    let now = world.now();
    let Some(found) = found(world, at, execution) else { return };
    let Some(stage) = found.stage().map(|stage| stage.name.clone()) else { return };
    let resolved = variables::resolved(declaration, found, &action["configuration"]);
    let input = input(declaration, &stage, action, resolved.as_ref().ok());
    let mut run = ActionRun::new(text(action, "name"), input, now);
    let place = Place { at: at.clone(), execution: execution.to_owned(), action: run.id.clone() };
    let kind = &action["actionTypeId"];
    let ended = match (resolved, text(kind, "category"), text(kind, "owner"), text(kind, "provider")) {
        (Err(failure), ..) => Some(Outcome::Failed(failure)),
        (Ok(configuration), "Invoke", "AWS", "Lambda") => {
            let invoke = invoke::Invoke { place: &place, declaration, action, configuration: &configuration };
            match invoke::invoke(world, &invoke, None) {
                Ok(started) => {
                    run.waits_for = WaitsFor::Job { id: started.job };
                    run.external_id = Some(started.request);
                    None
                }
                Err(failure) => Some(Outcome::Failed(failure)),
            }
        }
        (Ok(_), "Approval", "AWS", "Manual") => {
            let token = request_id();
            let minutes = action.get("timeoutInMinutes").and_then(Value::as_i64);
            let wait = minutes.map_or(SignedDuration::from_hours(24 * APPROVAL_DAYS), SignedDuration::from_mins);
            // In PARALLEL mode the token of an approval is the externalExecutionId (API reference, PutApprovalResult).
            run.external_id = (Mode::of(declaration) == Mode::Parallel).then(|| token.clone());
            run.approval_token = Some(token.clone());
            run.waits_for = WaitsFor::Approval { token, until: now + wait };
            None
        }
        // Its worker has to poll for it.
        (Ok(_), _, "Custom", _) if world.pipelines_mut(at).is_custom_type(&at.region, kind) => {
            run.waits_for = WaitsFor::Release;
            None
        }
        _ => {
            let outcome = world.pipelines_mut(at).outcome(&at.region, &at.pipeline, &stage, text(action, "name"));
            let outcome = outcome.outcome().map(|outcome| with_usual_variables(outcome, action));
            if outcome.is_none() {
                run.waits_for = WaitsFor::Release;
            }
            outcome
        }
    };
    if let Some(outcome) = ended {
        run.end(outcome, now);
    }
    let executions = world.pipelines_mut(at).executions_mut(&at.region, &at.pipeline);
    let execution = executions.iter_mut().find(|candidate| candidate.id == execution);
    if let Some(stage) = execution.and_then(|execution| execution.stages.last_mut()) {
        stage.actions.push(run);
    }
}

/// Output variables that such an action always has, where the test gave none (User Guide, "Variables reference"; a Commands
/// action has those it declares).
fn with_usual_variables(outcome: Outcome, action: &Value) -> Outcome {
    let Outcome::Succeeded(variables) = outcome else { return outcome };
    if !variables.is_empty() {
        return Outcome::Succeeded(variables);
    }
    let configured = |key: &str| text(&action["configuration"], key).to_owned();
    let declared = declaration::list(action, "outputVariables").iter().filter_map(Value::as_str);
    let mut usual: BTreeMap<String, String> =
        declared.map(|name| (name.to_owned(), format!("a value of {name}"))).collect();
    if text(&action["actionTypeId"], "provider") == "CodeStarSourceConnection" {
        usual.extend([
            ("AuthorDate".to_owned(), "2026-11-02T08:00:00Z".to_owned()),
            ("BranchName".to_owned(), configured("BranchName")),
            ("CommitId".to_owned(), "0123456789abcdef0123456789abcdef01234567".to_owned()),
            ("CommitMessage".to_owned(), "A commit".to_owned()),
            ("ConnectionArn".to_owned(), configured("ConnectionArn")),
            ("FullRepositoryName".to_owned(), configured("FullRepositoryId")),
        ]);
    }
    Outcome::Succeeded(usual)
}

fn found<'w>(world: &'w World, at: &At, execution: &str) -> Option<&'w Execution> {
    let executions = world.accounts.get(&at.account)?.pipelines.executions(&at.region, &at.pipeline);
    executions.iter().find(|candidate| candidate.id == execution)
}

/// The member `input` of `ListActionExecutions`: the action as declared, with secrets masked.
fn input(declaration: &Value, stage: &str, action: &Value, resolved: Option<&BTreeMap<String, String>>) -> Value {
    let name = text(action, "name");
    let masked = declaration::masked(declaration);
    let shown = all_actions(&masked).find(|(in_stage, shown)| *in_stage == stage && text(shown, "name") == name);
    let configuration = shown.map_or(&Value::Null, |(_, shown)| &shown["configuration"]);
    let mut input = json!({"actionTypeId": action["actionTypeId"], "region": action["region"]});
    for member in ["roleArn", "namespace", "inputArtifacts"] {
        if let Some(value) = action.get(member) {
            input[member] = value.clone();
        }
    }
    if let Some(declared) = configuration.as_object() {
        input["configuration"] = configuration.clone();
        let resolve = |(key, value): (&String, &Value)| {
            let hidden = value == declaration::MASK;
            let known = resolved.and_then(|resolved| resolved.get(key)).filter(|_| !hidden);
            (key.clone(), known.map_or_else(|| value.clone(), |text| json!(text)))
        };
        input["resolvedConfiguration"] = Value::Object(declared.iter().map(resolve).collect());
    }
    input
}

/// Ends what is held at an action, now that another outcome is set for it.
pub(crate) fn release(world: &mut World, at: &At, stage: &str, action: &str) {
    let pipelines = world.pipelines_mut(at);
    let Some(outcome) = pipelines.outcome(&at.region, &at.pipeline, stage, action).outcome() else { return };
    let held: Vec<Place> = pipelines
        .executions(&at.region, &at.pipeline)
        .iter()
        .flat_map(|execution| execution.runs().map(move |(stage, run)| (execution, stage, run)))
        .filter(|(_, in_stage, run)| in_stage.name == stage && run.name == action && run.waits_for == WaitsFor::Release)
        .map(|(execution, _, run)| Place { at: at.clone(), execution: execution.id.clone(), action: run.id.clone() })
        .collect();
    for place in held {
        complete(world, &place, outcome.clone());
    }
}
