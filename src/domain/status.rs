//! The status that says a verdict: a function of what was, what was read and the time.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    conditions::{self, Known, Look},
    contested::Contested,
    drift::Drift,
    observed::Observed,
    pipeline_edit::Note,
    plan::Situation,
};
use crate::api::{CrossAccountInvokeStatus, DevAccountStatus, InventoryItem, Reason, ToolsAccountStatus, condition};

/// What was read and goes into the status.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    tools: ToolsAccountStatus,
    dev: DevAccountStatus,
    /// Actions that are not ours and keep something of an older spec in place.
    old_role_users: BTreeSet<String>,
    /// How many entries stay in the assume policy although no known object asks for them.
    unexplained: usize,
    /// What a person should know about the place of the action.
    place_notes: Vec<Note>,
}

impl Facts {
    /// What the status says so far.
    #[must_use]
    pub fn of(status: Option<&CrossAccountInvokeStatus>) -> Self {
        let tools = status.and_then(|status| status.tools_account.clone()).unwrap_or_default();
        let dev = status.and_then(|status| status.dev_account.clone()).unwrap_or_default();
        Self { tools, dev, ..Self::default() }
    }

    /// Takes note of what was read; what was not found is no longer said.
    pub fn note(&mut self, situation: &Situation<'_>, observed: &Observed) {
        let pipeline = observed.pipeline(&situation.declared.pipeline);
        self.tools = ToolsAccountStatus {
            pipeline_arn: pipeline.map(|pipeline| pipeline.arn.to_string()),
            pipeline_role_arn: pipeline.map(|pipeline| pipeline.role.to_string()),
            pipeline_version: pipeline.map(|pipeline| pipeline.version),
        };
        let role = observed.role(&situation.declared.role_name);
        self.dev = DevAccountStatus {
            invoke_role_arn: role.map(|role| role.arn.to_string()),
            execution_role_arn: observed.function.as_ref().map(|function| function.role.to_string()),
            function_arn: observed.function.as_ref().map(|function| function.arn.to_string()),
        };
    }

    /// Takes note of actions that are not ours and use a role of an older spec.
    pub fn kept_for(&mut self, users: BTreeSet<String>) {
        self.old_role_users = users;
    }

    /// Takes note of how many entries stay in the assume policy although no known object asks for them.
    pub fn unexplained(&mut self, entries: usize) {
        self.unexplained = entries;
    }

    /// Takes note of what a person should know about the place of the action.
    pub fn note_place(&mut self, notes: Vec<Note>) {
        self.place_notes = notes;
    }

    /// What a person should know about the place of the action.
    #[must_use]
    pub fn place_notes(&self) -> &[Note] {
        &self.place_notes
    }

    /// Whether nothing has to be said beside that everything is in place.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.old_role_users.is_empty() && self.unexplained == 0 && self.place_notes.is_empty()
    }

    /// What to say when everything is in place.
    #[must_use]
    pub fn converged_message(&self) -> String {
        let (pipeline, function) = (self.tools.pipeline_arn.as_deref(), self.dev.function_arn.as_deref());
        let kept = if self.old_role_users.is_empty() {
            String::new()
        } else {
            let users: Vec<&str> = self.old_role_users.iter().map(String::as_str).collect();
            format!(
                "; what an older spec made stays, since {} still names its invoke role: give that action another role or remove it",
                users.join(", ")
            )
        };
        let kept = match self.unexplained {
            0 => kept,
            // Whose they are is for the platform team, which has the log.
            1 => format!("{kept}; the pipeline role's assume policy also keeps 1 entry that no known object asks for"),
            more => {
                format!(
                    "{kept}; the pipeline role's assume policy also keeps {more} entries that no known object asks for"
                )
            }
        };
        let works = format!(
            "{} can invoke {} and receives its result{kept}",
            pipeline.unwrap_or("the pipeline"),
            function.unwrap_or("the function")
        );
        let notes = self.place_notes.iter().map(|note| note.sentence.as_str());
        std::iter::once(works.as_str()).chain(notes).collect::<Vec<_>>().join(". ")
    }
}

/// The next status: a function of what it said, what was read and the time. It equals the previous one, times included,
/// when nothing but time has passed; the time of the last look alone counts once in a while.
#[must_use]
pub fn next(
    previous: Option<&CrossAccountInvokeStatus>,
    look: &Look<'_>,
    checked: Option<Timestamp>,
    facts: &Facts,
    (drift, contested): (&Drift, &Contested),
    inventory: Vec<InventoryItem>,
) -> CrossAccountInvokeStatus {
    let known = known(previous);
    let mut conditions = conditions::after(&known, look);
    // What hides everything hides drift too.
    let said = match conditions::ready_reason(&conditions) {
        Some(Reason::NotChecked) => drift.said_without_looks(),
        _ => drift.said(look.reason.class()),
    };
    if let Some((reason, message)) = said {
        conditions.push(conditions::drifted(known.conditions, reason, &message, look.generation, look.now));
    }
    if let Some((reason, message)) = contested.said() {
        conditions.push(conditions::contested(known.conditions, reason, &message, look.generation, look.now));
    }
    let mut status = CrossAccountInvokeStatus {
        observed_generation: Some(look.generation),
        last_handled_reconcile_at: previous.and_then(|status| status.last_handled_reconcile_at.clone()),
        conditions,
        last_checked_at: previous.and_then(|previous| previous.last_checked_at.clone()),
        tools_account: (facts.tools != ToolsAccountStatus::default()).then(|| facts.tools.clone()),
        dev_account: (facts.dev != DevAccountStatus::default()).then(|| facts.dev.clone()),
        drift: drift.status(),
        contested: contested.status(),
        inventory,
    };
    if previous != Some(&status) || conditions::is_worth_recording(known.last_checked, checked, look.interval) {
        status.last_checked_at = checked.map(Time).or(status.last_checked_at);
    }
    status
}

/// What a status says so far, for [`conditions`].
#[must_use]
pub fn known(status: Option<&CrossAccountInvokeStatus>) -> Known<'_> {
    status.map_or_else(Known::default, |status| Known {
        conditions: &status.conditions,
        observed_generation: status.observed_generation,
        last_checked: status.last_checked_at.as_ref().map(|at| at.0),
    })
}

/// Whether the status says that everything is in place, although the latest looks may have failed.
#[must_use]
pub fn is_ready(status: &CrossAccountInvokeStatus) -> bool {
    conditions::is_true(&status.conditions, condition::READY)
}

/// Whether the status says that something comes back after each correction.
#[must_use]
pub fn is_contested(status: Option<&CrossAccountInvokeStatus>) -> bool {
    status.is_some_and(|status| conditions::is_true(&status.conditions, condition::CONTESTED))
}

/// Whether the status says that the controller is at work.
#[must_use]
pub fn is_reconciling(status: &CrossAccountInvokeStatus) -> bool {
    conditions::is_true(&status.conditions, condition::RECONCILING) && !is_ready(status)
}

/// Whether the status says that somebody has to act.
#[must_use]
pub fn is_stalled(status: &CrossAccountInvokeStatus) -> bool {
    conditions::is_true(&status.conditions, condition::STALLED)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::{
        DriftHandling, DriftItem, DriftKind, DriftReason, DriftStatus,
        condition::{DRIFTED, READY},
    };

    const INTERVAL: Duration = Duration::from_mins(10);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn look(reason: Reason, failures: u32, minute: i64) -> Look<'static> {
        let last_look = if failures == 0 { at(minute) } else { at(0) };
        Look { reason, message: "m", generation: 1, interval: INTERVAL, failures, last_look, now: at(minute) }
    }

    fn item(handling: DriftHandling) -> DriftItem {
        DriftItem {
            account: "222222222222".to_owned(),
            resource: "arn:aws:iam::222222222222:role/invoke".to_owned(),
            field: "inline policy audit".to_owned(),
            desired: None,
            observed: Some("only denies".to_owned()),
            kind: DriftKind::Extra,
            since: Time(at(-10)),
            handling,
            corrected_at: (handling == DriftHandling::Corrected).then(|| Time(at(-5))),
        }
    }

    /// A ready object whose `Drifted` says this.
    fn ready(reason: Option<DriftReason>, items: Vec<DriftItem>) -> CrossAccountInvokeStatus {
        let mut conditions = conditions::after(&Known::default(), &look(Reason::Converged, 0, 0));
        conditions.extend(reason.map(|reason| conditions::drifted(&[], reason, "as it was", 1, at(0))));
        let drift = (!items.is_empty()).then(|| DriftStatus { items, ..DriftStatus::default() });
        CrossAccountInvokeStatus {
            observed_generation: Some(1),
            conditions,
            drift,
            ..CrossAccountInvokeStatus::default()
        }
    }

    fn after(status: &CrossAccountInvokeStatus, look: &Look<'_>) -> CrossAccountInvokeStatus {
        let drift = Drift::of(Some(status));
        next(Some(status), look, None, &Facts::default(), (&drift, &Contested::default()), Vec::new())
    }

    fn says(status: &CrossAccountInvokeStatus, kind: &str) -> Option<String> {
        let found = conditions::find(&status.conditions, kind)?;
        Some(format!("{} {}", found.status, found.reason))
    }

    #[test]
    fn drift_is_unknown_once_looks_have_failed_for_three_intervals() {
        use DriftHandling as H;
        use DriftReason as D;
        let unknown = Some("Unknown NotCompared");
        for (reason, items, until_then, after_that) in [
            (None, vec![], None, None),
            (Some(D::InSync), vec![], Some("False InSync"), unknown),
            (Some(D::Corrected), vec![item(H::Corrected)], Some("False Corrected"), unknown),
            (Some(D::Reported), vec![item(H::Reported)], Some("True Reported"), unknown),
            (Some(D::Reported), vec![item(H::Reported), item(H::Corrected)], Some("True Reported"), unknown),
            // A correction that was refused leaves the object ready.
            (Some(D::Correcting), vec![item(H::Failed)], Some("True Correcting"), unknown),
        ] {
            let what = format!("{reason:?} {}", items.len());
            let before = ready(reason, items);
            let failing = after(&before, &look(Reason::AwsUnavailable, 2, 29));
            let words = (says(&failing, READY), says(&failing, DRIFTED));
            assert_eq!((words.0.as_deref(), words.1.as_deref()), (Some("True Converged"), until_then), "{what}");

            let mut unseen = after(&failing, &look(Reason::AwsUnavailable, 3, 31));
            // And it stays so, look after failed look.
            for minute in [32, 33] {
                let words = (says(&unseen, READY), says(&unseen, DRIFTED));
                assert_eq!(
                    (words.0.as_deref(), words.1.as_deref()),
                    (Some("Unknown NotChecked"), after_that),
                    "{what}"
                );
                assert_eq!(unseen.drift, before.drift, "{what}: the items stay");
                unseen = after(&unseen, &look(Reason::AwsUnavailable, 4, minute));
            }
            // With the first complete look it is as before, but for what a look of its own finds.
            let seen = after(&unseen, &look(Reason::Converged, 0, 40));
            let again = until_then.or(Some("False InSync"));
            assert_eq!(says(&seen, DRIFTED).as_deref(), again, "{what}");
        }
    }
}
