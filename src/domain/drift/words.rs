//! Drift in sentences, for somebody who knows AWS and not this controller.

use super::{Difference, SENTENCES_MAX};
use crate::{
    api::{DriftItem, DriftKind},
    domain::{
        inventory::Part,
        observed::Resource,
        pipeline_edit::UNTOLD,
        plan::{Described, FieldValue, OTHERS_ENTRIES, STRAY_ENTRIES},
    },
};

/// What was found of a part that is gone altogether.
pub(super) const GONE: &str = "nothing";

/// The field that stands for a part that is gone altogether.
pub(super) fn whole(part: &Described) -> String {
    match part.item.part {
        Part::InvokeRole => "role",
        Part::InvokePolicy | Part::CallbackPolicy | Part::AssumePolicy => "policyDocument",
        Part::PipelineAction => "action",
    }
    .to_owned()
}

/// The field as it is shown in the status: of a policy with its name, since a role has several.
pub(super) fn field(part: &Described, field: &str) -> String {
    match &part.resource {
        Resource::RolePolicy { policy, .. } if field == "policyDocument" => {
            format!("inline policy {policy}")
        }
        Resource::RolePolicy { policy, .. } => format!("inline policy {policy}: {field}"),
        _ => field.to_owned(),
    }
}

/// Whether the field, as it is shown, is one of this part's.
pub(super) fn is_of(part: &Described, shown: &str) -> bool {
    let policy = field(part, "policyDocument");
    match &part.resource {
        Resource::RolePolicy { .. } => {
            shown.strip_prefix(&policy).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        }
        _ => true,
    }
}

/// What is wrong, without a full stop.
pub(super) fn of_difference(difference: &Difference<'_>) -> String {
    let part = difference.described;
    let value = |value: Option<&FieldValue>| value.map(|value| super::shortened(&value.shown));
    let (desired, observed) = (value(difference.desired), value(difference.observed));
    let what = if part.observed.is_none() {
        Wrong::Gone
    } else if part.includes_desired {
        Wrong::More
    } else if part.wider {
        Wrong::Wider
    } else {
        Wrong::Different
    };
    sentence(part, &difference.field, difference.kind, desired.as_deref(), observed.as_deref(), what)
}

/// What was wrong with something that is as it shall be again: found by an earlier reconcile, of which the item is left.
pub(super) fn of_item(part: &Described, item: &DriftItem) -> String {
    let shown = field(part, "policyDocument");
    let raw = match item.field.strip_prefix(&shown) {
        Some("") => "policyDocument",
        Some(rest) => rest.trim_start_matches(": "),
        None => item.field.as_str(),
    };
    let gone = item.observed.as_deref() == Some(GONE);
    let what = if gone { Wrong::Gone } else { Wrong::Different };
    sentence(part, raw, item.kind, item.desired.as_deref(), item.observed.as_deref(), what)
}

/// How a part as a whole is wrong.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Wrong {
    Gone,
    /// All that shall be there is, and something else.
    More,
    /// A trust policy that trusts the whole tools account or everybody.
    Wider,
    Different,
}

fn sentence(
    part: &Described,
    field: &str,
    kind: DriftKind,
    desired: Option<&str>,
    observed: Option<&str>,
    what: Wrong,
) -> String {
    let (noun, purpose) = (&part.noun, &part.purpose);
    let (desired, observed) = (desired.unwrap_or("none"), observed.unwrap_or("none"));
    match (field, kind) {
        _ if what == Wrong::Gone => format!("{noun}, which {purpose}, was gone"),
        ("trustPolicy", _) => match what {
            Wrong::More => format!("trust policy of {noun} {purpose} and somebody else"),
            Wrong::Wider => format!("trust policy of {noun} no longer {purpose} alone"),
            Wrong::Different | Wrong::Gone => format!("trust policy of {noun} no longer {purpose}"),
        },
        ("policyDocument", _) if what == Wrong::More => format!("{noun} {purpose} and more"),
        ("policyDocument", _) => format!("{noun}, which {purpose}, was changed"),
        (STRAY_ENTRIES, _) => format!("{noun} had {observed} that no object asks for"),
        (OTHERS_ENTRIES, DriftKind::Missing) => format!("{noun} no longer had {desired}"),
        (OTHERS_ENTRIES, _) => format!("{noun} had {observed} instead of {desired}"),
        ("roleArn", kind) if part.item.part == Part::PipelineAction && kind != DriftKind::Extra => {
            format!("roleArn of {noun} was {observed} instead of {desired}; {}", since_then(desired, observed))
        }
        (field, DriftKind::Extra) => format!("{noun} had {field}, which nobody declared ({observed})"),
        (field, DriftKind::Missing) => format!("{noun} had no {field} instead of {desired}"),
        (field, DriftKind::Modified) => format!("{field} of {noun} was {observed} instead of {desired}"),
    }
}

/// What an action under another role than ours means for the runs since then: without a role of the dev account it looks
/// for the function elsewhere.
fn since_then(desired: &str, observed: &str) -> &'static str {
    let account = |role: &str| role.split(':').nth(4).map(str::to_owned);
    if observed == UNTOLD {
        "runs since then asked, if anything, as that role"
    } else if account(observed).is_some() && account(observed) == account(desired) {
        "runs since then asked the function, if they did, as that role"
    } else {
        "runs since then did not ask the function in the dev account"
    }
}

/// The same of something that the spec does not name any more.
pub(super) fn of_stray_item(item: &DriftItem) -> String {
    let DriftItem { account, resource, field, .. } = item;
    match item.kind {
        DriftKind::Missing => format!("{field} of {resource} in {account} was missing"),
        DriftKind::Modified => format!("{field} of {resource} in {account} was not as declared"),
        DriftKind::Extra => format!("{resource} in {account} had {field}, which nobody declared"),
    }
}

/// Several sentences as one message.
pub(super) fn joined(sentences: Vec<String>, end: &str) -> String {
    let more = sentences.len().saturating_sub(SENTENCES_MAX);
    let text = sentences.into_iter().take(SENTENCES_MAX).collect::<Vec<_>>().join("; ");
    let rest = if more > 0 { format!("; and {more} more, which status.drift.items has") } else { String::new() };
    text + &rest + end
}
