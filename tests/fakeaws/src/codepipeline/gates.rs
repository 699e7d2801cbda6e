//! Conditions of stages: what is checked before a stage is entered, and after it has succeeded or failed.
//!
//! Sources: User Guide, "How do stage conditions work?", "Configure conditions for a stage", "Configure stage rollback" and
//! "Configure stage retry"; service model (`BeforeEntryConditions`, `SuccessConditions`, `FailureConditions`).

use serde_json::Value;

use super::{
    declaration::{list, stages, text},
    structure::{invalid_stage, invalid_structure},
};
use crate::error::ServiceError;

/// Which of the three.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Gate {
    BeforeEntry,
    OnSuccess,
    OnFailure,
}

impl Gate {
    pub(super) const ALL: [Self; 3] = [Self::BeforeEntry, Self::OnSuccess, Self::OnFailure];

    /// The member of a stage's declaration.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::BeforeEntry => "beforeEntry",
            Self::OnSuccess => "onSuccess",
            Self::OnFailure => "onFailure",
        }
    }

    /// Results that its conditions may have. Of the failure conditions the API lists every result.
    fn results(self) -> &'static [&'static str] {
        match self {
            Self::BeforeEntry => &["FAIL", "SKIP"],
            Self::OnSuccess => &["ROLLBACK", "FAIL"],
            Self::OnFailure => &["ROLLBACK", "RETRY", "FAIL", "SKIP"],
        }
    }
}

/// A rule of a condition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule<'v> {
    pub(super) gate: Gate,
    pub(super) declaration: &'v Value,
}

/// All rules of a stage.
pub(super) fn rules(stage: &Value) -> impl Iterator<Item = Rule<'_>> {
    Gate::ALL.into_iter().flat_map(move |gate| of_gate(stage, gate).map(move |declaration| Rule { gate, declaration }))
}

/// The rules of one gate of a stage.
pub(super) fn of_gate(stage: &Value, gate: Gate) -> impl Iterator<Item = &Value> {
    conditions(stage, gate).iter().flat_map(|condition| list(condition, "rules"))
}

fn conditions(stage: &Value, gate: Gate) -> &[Value] {
    stage.get(gate.member()).map_or(&[], |gate| list(gate, "conditions"))
}

/// What happens when a gate does not let an execution through.
pub(super) fn result(stage: &Value, gate: Gate) -> &str {
    let of_condition = conditions(stage, gate).first().map_or("", |condition| text(condition, "result"));
    let of_gate = stage.get(gate.member()).map_or("", |gate| text(gate, "result"));
    [of_condition, of_gate].into_iter().find(|result| !result.is_empty()).unwrap_or("FAIL")
}

/// Results that fit their gate, and rollbacks where there is something to roll back.
pub(super) fn check(declaration: &Value) -> Result<(), ServiceError> {
    let parallel = text(declaration, "executionMode") == "PARALLEL";
    for (n, stage) in stages(declaration).iter().enumerate() {
        let name = text(stage, "name");
        for gate in Gate::ALL {
            let Some(declared) = stage.get(gate.member()) else { continue };
            let results = conditions(stage, gate).iter().map(|condition| text(condition, "result"));
            for result in results.chain([text(declared, "result")]).filter(|result| !result.is_empty()) {
                if !gate.results().contains(&result) {
                    let text = format!("The result {result} is not supported by {} of stage '{name}'", gate.member());
                    return Err(invalid_stage(text));
                }
                if result == "ROLLBACK" && n == 0 {
                    return Err(invalid_stage(format!("Rollback is not supported by the source stage '{name}'")));
                }
                if result == "ROLLBACK" && parallel {
                    return Err(invalid_structure("Rollback is not supported by pipelines in PARALLEL mode"));
                }
            }
            if declared.get("retryConfiguration").is_some() && text(declared, "result") != "RETRY" {
                let text = format!("Stage '{name}' has a retryConfiguration, but its result is not RETRY");
                return Err(invalid_stage(text));
            }
        }
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = rules(stage).find(|rule| !names.insert((rule.gate, text(rule.declaration, "name")))) {
            let rule = text(twice.declaration, "name");
            return Err(invalid_stage(format!("Rule name '{rule}' is used more than once in stage '{name}'")));
        }
    }
    Ok(())
}
