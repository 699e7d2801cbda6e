//! What a running execution waits for, from the pipeline's state by stages.
//!
//! The words hold no time and no id, so that a message changes when the execution moves, and not from one look to the next.

use std::fmt;

use super::drift::shortened;

/// A stage as `GetPipelineState` shows it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StageState {
    /// Its name.
    pub name: String,
    /// The execution that entered it last, if it has not left it yet.
    pub inside: Option<String>,
    /// The executions that wait before it.
    pub inbound: Vec<String>,
    /// Who disabled the transition into it, and why; `None` while it is enabled.
    pub disabled: Option<Disabled>,
    /// Its actions that are in progress.
    pub in_progress: Vec<ActionInProgress>,
    /// The execution that failed in it or was stopped in it, if it is the last that entered: it can be retried there.
    pub retryable: Option<String>,
    /// Its actions that failed when they ran last.
    pub failed: Vec<String>,
}

impl StageState {
    /// Whether this execution can be retried in this stage.
    #[must_use]
    pub fn is_retryable(&self, execution: &str) -> bool {
        self.retryable.as_deref() == Some(execution)
    }
}

/// A transition that lets nothing through.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Disabled {
    /// Who disabled it; empty where AWS does not say.
    pub by: String,
    /// The reason that was given; empty where AWS does not say.
    pub reason: String,
}

/// An action that is in progress.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActionInProgress {
    /// Its name.
    pub name: String,
    /// Whether it ends by somebody's approval or rejection.
    pub is_approval: bool,
}

/// What an execution waits for. Written, it goes on from "which".
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Waiting<'a> {
    /// Somebody's approval: the stage and its action.
    Approval(&'a str, &'a str),
    /// The end of an action: the stage and its action.
    Action(&'a str, &'a str),
    /// Something in this stage that is no action, such as the rules of a condition.
    Stage(&'a str),
    /// Somebody who enables the transition into this stage.
    Transition(&'a str, &'a Disabled),
    /// The execution that is in this stage, and what that one waits for there.
    Queue(&'a str, Option<Box<Self>>),
}

/// What an execution waits for. `None` where the state does not show it, as with every execution of a pipeline in PARALLEL
/// mode.
#[must_use]
pub fn waits_for<'a>(state: &'a [StageState], execution: &str) -> Option<Waiting<'a>> {
    state.iter().find_map(|stage| {
        let name = stage.name.as_str();
        if stage.inside.as_deref() == Some(execution) {
            return Some(inside(stage));
        }
        if !stage.inbound.iter().any(|inbound| inbound == execution) {
            return None;
        }
        Some(match &stage.disabled {
            Some(disabled) => Waiting::Transition(name, disabled),
            // The newest execution is asked for, and an older one may be what somebody has to act on.
            None => Waiting::Queue(name, stage.inside.is_some().then(|| Box::new(inside(stage)))),
        })
    })
}

/// What the execution that is in this stage waits for there.
fn inside(stage: &StageState) -> Waiting<'_> {
    let approval = stage.in_progress.iter().find(|action| action.is_approval);
    match approval.or_else(|| stage.in_progress.first()) {
        Some(action) if action.is_approval => Waiting::Approval(&stage.name, &action.name),
        Some(action) => Waiting::Action(&stage.name, &action.name),
        None => Waiting::Stage(&stage.name),
    }
}

impl fmt::Display for Waiting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approval(stage, action) => {
                write!(f, "waits for approval action {} of stage {}", on_one_line(action), on_one_line(stage))
            }
            Self::Action(stage, action) => {
                write!(f, "runs action {} of stage {}", on_one_line(action), on_one_line(stage))
            }
            Self::Stage(stage) => write!(f, "is in stage {}", on_one_line(stage)),
            Self::Queue(stage, inside) => {
                write!(f, "waits before stage {} until the execution in it leaves it", on_one_line(stage))?;
                match inside.as_deref() {
                    None | Some(Self::Stage(_)) => Ok(()),
                    Some(inside) => write!(f, ", which {inside}"),
                }
            }
            Self::Transition(stage, disabled) => {
                write!(f, "waits before stage {}, the transition into which is disabled", on_one_line(stage))?;
                let (by, reason) = (on_one_line(&disabled.by), on_one_line(&disabled.reason));
                if !by.is_empty() {
                    write!(f, " by {by}")?;
                }
                if !reason.is_empty() {
                    write!(f, " with the reason \"{reason}\"")?;
                }
                Ok(())
            }
        }
    }
}

/// A text of somebody else's, as part of a sentence.
fn on_one_line(text: &str) -> String {
    let apart = |c: char| c.is_whitespace() || c.is_control();
    let words: Vec<&str> = text.split(apart).filter(|word| !word.is_empty()).collect();
    shortened(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> StageState {
        StageState { name: name.to_owned(), ..StageState::default() }
    }

    fn inside(name: &str, execution: &str, actions: &[(&str, bool)]) -> StageState {
        let in_progress = |(name, is_approval): &(&str, bool)| ActionInProgress {
            name: (*name).to_owned(),
            is_approval: *is_approval,
        };
        StageState {
            inside: Some(execution.to_owned()),
            in_progress: actions.iter().map(in_progress).collect(),
            ..stage(name)
        }
    }

    fn before(name: &str, executions: &[&str], disabled: Option<(&str, &str)>) -> StageState {
        StageState {
            inbound: executions.iter().map(|&execution| execution.to_owned()).collect(),
            disabled: disabled.map(|(by, reason)| Disabled { by: by.to_owned(), reason: reason.to_owned() }),
            ..stage(name)
        }
    }

    #[test]
    fn a_running_execution_is_found_with_what_it_waits_for() {
        let alice = "arn:aws:iam::111111111111:user/alice";
        let with_queue =
            StageState { inbound: vec!["ours".to_owned()], ..inside("Build", "other", &[("Make", false)]) };
        let closed_with_another_in_it =
            StageState { disabled: Some(Disabled::default()), ..inside("Build", "ours", &[("Make", false)]) };
        for (what, state, expected) in [
            ("nothing is shown, as in PARALLEL mode", vec![stage("Source"), stage("Build")], None),
            ("a pipeline without stages", vec![], None),
            (
                "another execution is in the stage, and nothing shows ours",
                vec![inside("Build", "other", &[("Approve", true)])],
                None,
            ),
            (
                "an approval",
                vec![stage("Source"), inside("Build", "ours", &[("Approve", true)])],
                Some("waits for approval action Approve of stage Build"),
            ),
            (
                "an approval beside another action takes longer than that",
                vec![inside("Build", "ours", &[("Make", false), ("Approve", true)])],
                Some("waits for approval action Approve of stage Build"),
            ),
            (
                "an action",
                vec![inside("Build", "ours", &[("Make", false), ("Test", false)])],
                Some("runs action Make of stage Build"),
            ),
            ("no action is in progress", vec![inside("Build", "ours", &[])], Some("is in stage Build")),
            (
                "the queue before a stage",
                vec![stage("Source"), with_queue],
                Some(
                    "waits before stage Build until the execution in it leaves it, which runs action Make of stage Build",
                ),
            ),
            (
                "the queue before a stage where an older execution is at an approval",
                vec![
                    stage("Source"),
                    StageState { inbound: vec!["ours".to_owned()], ..inside("Build", "older", &[("Approve", true)]) },
                ],
                Some(
                    "waits before stage Build until the execution in it leaves it, which waits for approval action \
                     Approve of stage Build",
                ),
            ),
            (
                "the queue before a stage that shows nothing in progress",
                vec![StageState { inbound: vec!["ours".to_owned()], ..inside("Build", "older", &[]) }],
                Some("waits before stage Build until the execution in it leaves it"),
            ),
            (
                "the queue before a stage that is empty by now",
                vec![before("Build", &["ours"], None)],
                Some("waits before stage Build until the execution in it leaves it"),
            ),
            (
                "a disabled transition",
                vec![before("Deploy", &["older", "ours"], Some((alice, "freeze until Monday")))],
                Some(
                    "waits before stage Deploy, the transition into which is disabled by \
                     arn:aws:iam::111111111111:user/alice with the reason \"freeze until Monday\"",
                ),
            ),
            (
                "a disabled transition of which AWS says no more",
                vec![before("Deploy", &["ours"], Some(("", "")))],
                Some("waits before stage Deploy, the transition into which is disabled"),
            ),
            (
                "a disabled transition that ours is past",
                vec![closed_with_another_in_it],
                Some("runs action Make of stage Build"),
            ),
            (
                "a disabled transition that ours has not reached",
                vec![before("Deploy", &["older"], Some((alice, "")))],
                None,
            ),
        ] {
            let found = waits_for(&state, "ours").map(|waiting| waiting.to_string());
            assert_eq!(found.as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn a_foreign_text_stays_short_and_on_its_line() {
        let reason = format!("freeze\r\n\nstatus: \u{1b}[31mConverged\t{}", "x".repeat(5000));
        let state = [before("Deploy", &["ours"], Some(("", &reason)))];
        let said = waits_for(&state, "ours").unwrap().to_string();
        let begin = "waits before stage Deploy, the transition into which is disabled with the reason \"freeze status: [31mConverged xxx";
        assert!(said.starts_with(begin) && said.ends_with("x…\""), "{said}");
        assert!(said.chars().count() < 350, "{said}");
    }
}
