//! Namespaces of variables, and references to them (User Guide, "Variables reference").
//!
//! The texts for a namespace that is used twice (aws/aws-cdk #6111, #16142) and for a reference to a namespace that does
//! not exist are AWS's; the others say in our words what the guide says.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    declaration::{actions, category, list, run_order, stages, text},
    gates::{self, Gate},
    structure::invalid_action,
};
use crate::error::ServiceError;

/// Namespaces that are there without an action: of the execution, and of the pipeline's variables.
const RESERVED: [&str; 2] = ["codepipeline", "variables"];

pub(super) fn check(declaration: &Value) -> Result<(), ServiceError> {
    unique(declaration)?;
    let mut earlier: BTreeSet<&str> = BTreeSet::new();
    for stage in stages(declaration) {
        let stage_name = text(stage, "name");
        let scope = |known: &BTreeSet<&str>, holder: &Holder<'_>| references(declaration, stage_name, known, holder);
        let rules: Vec<gates::Rule<'_>> = gates::rules(stage).collect();
        for rule in rules.iter().filter(|rule| rule.gate == Gate::BeforeEntry) {
            scope(&earlier, &Holder::of_rule(rule.declaration))?;
        }
        for action in actions(stage) {
            let before = actions(stage).iter().filter(|other| run_order(other) < run_order(action));
            let known = earlier.iter().copied().chain(before.filter_map(namespace)).collect();
            scope(&known, &Holder::of_action(action))?;
        }
        earlier.extend(actions(stage).iter().filter_map(namespace));
        for rule in rules.iter().filter(|rule| rule.gate != Gate::BeforeEntry) {
            scope(&earlier, &Holder::of_rule(rule.declaration))?;
        }
    }
    Ok(())
}

fn namespace(action: &Value) -> Option<&str> {
    action.get("namespace").and_then(Value::as_str)
}

/// A namespace belongs to one action, is not reserved, and is not the name of an artifact.
fn unique(declaration: &Value) -> Result<(), ServiceError> {
    let named = stages(declaration).iter().flat_map(|stage| {
        actions(stage).iter().filter_map(|action| Some((text(stage, "name"), text(action, "name"), namespace(action)?)))
    });
    let mut seen = BTreeSet::new();
    let mut again = Vec::new();
    for (stage, action, namespace) in named.clone() {
        if !seen.insert(namespace) {
            again.push(format!("StageName=[{stage}], ActionName=[{action}], Namespace=[{namespace}]"));
        }
    }
    if !again.is_empty() {
        let text = "Namespaces must be unique across the pipeline definition. The following occur more than once in the \
                    pipeline.";
        return Err(invalid_action(format!("{text}\n{}", again.join("\n"))));
    }
    let artifacts: BTreeSet<&str> = stages(declaration)
        .iter()
        .flat_map(actions)
        .flat_map(|action| list(action, "outputArtifacts"))
        .map(|artifact| text(artifact, "name"))
        .collect();
    for (stage, action, namespace) in named {
        let place = format!("StageName=[{stage}], ActionName=[{action}], Namespace=[{namespace}]");
        if RESERVED.contains(&namespace) {
            return Err(invalid_action(format!("The following namespace is reserved and cannot be used.\n{place}")));
        }
        if artifacts.contains(namespace) {
            let text =
                "Namespaces must differ from the names of artifacts. The following is the name of an artifact too.";
            return Err(invalid_action(format!("{text}\n{place}")));
        }
    }
    Ok(())
}

/// What holds configuration in which variables are resolved: an action, or a rule.
struct Holder<'v> {
    /// `ActionName=[Approve]`.
    place: String,
    is_source: bool,
    values: Vec<(&'v str, &'v str)>,
}

impl<'v> Holder<'v> {
    fn of_action(action: &'v Value) -> Self {
        Self::new("ActionName", action, category(action) == "Source")
    }

    fn of_rule(rule: &'v Value) -> Self {
        Self::new("RuleName", rule, false)
    }

    fn new(member: &str, holder: &'v Value, is_source: bool) -> Self {
        let configuration = holder.get("configuration").and_then(Value::as_object).into_iter().flatten();
        let configured = configuration.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
        let environment = list(holder, "environmentVariables");
        let environment = environment.iter().map(|variable| (text(variable, "name"), text(variable, "value")));
        let values = configured.chain(environment).collect();
        Self { place: format!("{member}=[{}]", text(holder, "name")), is_source, values }
    }
}

/// Every reference in every value, also inside JSON that is a string: the text is all that counts.
fn references(
    declaration: &Value,
    stage: &str,
    known: &BTreeSet<&str>,
    holder: &Holder<'_>,
) -> Result<(), ServiceError> {
    for (key, value) in &holder.values {
        for (namespace, name) in found(value) {
            let at = |text: &str| {
                let place = format!("StageName=[{stage}], {}, ActionConfigurationKey=[{key}]", holder.place);
                invalid_action(format!("{text}\n{place}, VariableReferenceText=[{namespace}.{name}]"))
            };
            let variables = list(declaration, "variables");
            match namespace {
                "codepipeline" => {}
                "variables" if !variables.is_empty() => {
                    if holder.is_source {
                        return Err(at("Variables at the pipeline level cannot be used in source actions."));
                    }
                    if !variables.iter().any(|variable| text(variable, "name") == name) {
                        return Err(at("The referenced variables haven't been declared."));
                    }
                }
                _ if known.contains(namespace) => {}
                _ => {
                    return Err(at(
                        "Valid format for a pipeline execution variable reference is a namespace and a key separated by a \
                         period (.). The following pipeline execution variables are referencing a namespace that does not \
                         exist.",
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Namespace and name of every `#{namespace.name}`.
fn found(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let allowed = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "@-_".contains(c));
    value.split("#{").skip(1).filter_map(move |rest| {
        let (inside, _) = rest.split_once('}')?;
        inside.split_once('.').filter(|(namespace, name)| allowed(namespace) && allowed(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let all = |text: &'static str| found(text).collect::<Vec<_>>();
        assert_eq!(all(r##"[{"name":"A","value":"#{a.b}"},{"value":"x#{c.d}"}]"##), [("a", "b"), ("c", "d")]);
        assert_eq!(all("#{#{a.b}}"), [("a", "b")]);
        assert!(["", "#{", "#{a}", "#{a.}", "#{a.b", "#{a b.c}", "${a.b}"].iter().all(|text| found(text).count() == 0));
    }
}
