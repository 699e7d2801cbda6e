//! Drift: a difference between what is there and what was last seen in place.
//!
//! ```text
//! plan::described ──┐
//! digests (inventory) ├─→ Drift::look ─→ items found, items put right ─→ status, events, metrics
//! items so far (status) ┘
//! ```
//!
//! What is missing while it is being made, and what differs because the spec or an `AwsAccount` changed, is no drift: in
//! both cases what is there is still what the digest says, or there is no digest yet.

mod digest;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use self::digest::Digest;
use super::{
    inventory::{Inventory, Part},
    observed::Resource,
    plan::{Described, FieldValue},
};
use crate::api::{
    CrossAccountInvokeStatus, DriftHandling, DriftItem, DriftKind, DriftReason, DriftStatus, ReasonClass, condition,
};

/// Open differences kept in the status.
const OPEN_MAX: usize = 32;
/// Corrected differences kept in the status.
const CORRECTED_MAX: usize = 16;
/// Characters of a value that are shown.
const VALUE_MAX: usize = 256;
/// Sentences in the condition's message; the items have the rest.
const SENTENCES_MAX: usize = 3;

/// A difference that was just found or put right, for events and metrics.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Which of the five parts.
    pub part: Part,
    /// How it differed.
    pub kind: DriftKind,
    /// Which field.
    pub field: String,
    /// What was wrong, as a sentence without a full stop.
    pub sentence: String,
}

/// Where a difference is: account, ARN and field.
type Place = (String, String, String);

/// The drift of one object, over one reconcile.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    items: Vec<DriftItem>,
    detected: Option<Time>,
    corrected: Option<Time>,
    /// What the condition says so far.
    said: Option<(DriftReason, String)>,
    /// Of this reconcile: what was wrong where.
    sentences: BTreeMap<Place, (Part, String)>,
    /// Of this reconcile: where somebody else put right what had drifted.
    returned: BTreeSet<Place>,
    /// Of this reconcile: where AWS refused a correction while all else went on.
    refused: BTreeSet<Place>,
    /// Whether this reconcile came as far as looking.
    looked: bool,
    found: Vec<Change>,
    put_right: Vec<Change>,
}

/// What [`Drift::look`] has to know of this process's own writes.
pub struct OwnDoing<'a> {
    /// Whether a read shows only what was there before our own write.
    pub stale: &'a dyn Fn(&Described) -> bool,
    /// Whether we have written the part since then.
    pub written_since: &'a dyn Fn(&Described, Timestamp) -> bool,
}

fn place(item: &DriftItem) -> Place {
    (item.account.clone(), item.resource.clone(), item.field.clone())
}

fn is_open(item: &DriftItem) -> bool {
    item.handling != DriftHandling::Corrected
}

/// One field that is not as it shall be.
struct Difference<'a> {
    described: &'a Described,
    field: String,
    kind: DriftKind,
    desired: Option<&'a FieldValue>,
    observed: Option<&'a FieldValue>,
}

impl Drift {
    /// What the status says so far.
    #[must_use]
    pub fn of(status: Option<&CrossAccountInvokeStatus>) -> Self {
        let drift = status.and_then(|status| status.drift.clone()).unwrap_or_default();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let said = conditions.iter().find(|known| known.type_ == condition::DRIFTED);
        Self {
            items: drift.items,
            detected: drift.last_detected_at,
            corrected: drift.last_corrected_at,
            said: said.and_then(|known| Some((known.reason.parse().ok()?, known.message.clone()))),
            ..Self::default()
        }
    }

    /// Compares what is there with what shall be there and with what was last seen in place.
    pub fn look(&mut self, described: &[Described], inventory: &Inventory, own: &OwnDoing<'_>, now: Timestamp) {
        if described.is_empty() {
            return;
        }
        self.looked = true;
        let stale = own.stale;
        let looked_at: Vec<&Described> = described.iter().filter(|part| !stale(part)).collect();
        let differences: Vec<Difference<'_>> = looked_at.iter().flat_map(|part| differences(part)).collect();
        let now = Time(now);
        self.refused.clear();
        for difference in &differences {
            self.note(difference, inventory, &now);
        }
        let differs = |item: &DriftItem| differences.iter().any(|difference| difference.place() == place(item));
        let part_of = |item: &DriftItem| {
            // Policies first: the role that carries one has the same ARN and takes what is no policy's.
            let on_holder = || looked_at.iter().filter(|part| holder_of(part) == item.resource);
            let is_policy = |part: &Described| matches!(part.resource, Resource::RolePolicy { .. });
            let of_policy = on_holder().find(|part| is_policy(part) && words::is_of(part, &item.field));
            of_policy.or_else(|| on_holder().find(|part| !is_policy(part)))
        };
        let hidden = |item: &DriftItem| described.iter().any(|part| holder_of(part) == item.resource && stale(part));
        for item in self.items.iter_mut().filter(|item| is_open(item)) {
            if differs(item) || hidden(item) {
                continue;
            }
            let Some(described) = part_of(item) else { continue };
            // A part that is gone altogether has put nothing right; and what was only reported goes without a word.
            if described.observed.is_none() || item.handling == DriftHandling::Reported {
                continue;
            }
            let told = self
                .sentences
                .entry(place(item))
                .or_insert_with(|| (described.item.part, words::of_item(described, item)));
            let (part, sentence) = told.clone();
            if (own.written_since)(described, item.since.0) {
                self.put_right.push(Change { part, kind: item.kind, field: item.field.clone(), sentence });
            } else {
                self.returned.insert(place(item));
            }
            self.corrected = Some(now.clone());
            item.handling = DriftHandling::Corrected;
            item.corrected_at = Some(now.clone());
        }
        self.items.retain(|item| {
            let gone = item.handling == DriftHandling::Reported && !differs(item) && !hidden(item);
            // An open item of something that the spec no longer names says nothing any more, nor does one of a policy
            // that is not ours: its name has the id of an installation that this controller once ran as.
            let named = part_of(item).is_some() || hidden(item);
            !gone && (!is_open(item) || named)
        });
        self.bound();
    }

    fn note(&mut self, difference: &Difference<'_>, inventory: &Inventory, now: &Time) {
        let at = difference.place();
        let known = self.items.iter().position(|item| is_open(item) && place(item) == at);
        if known.is_none() && !difference.is_drift(inventory) {
            return;
        }
        let mut item = difference.item(now);
        let part = difference.described.item.part;
        let sentence = words::of_difference(difference);
        if let Some(why) = difference.described.refused.get(&difference.field) {
            self.refused.insert(at.clone());
            self.sentences.insert(at, (part, format!("{sentence}; not corrected: {why}")));
        } else {
            self.sentences.insert(at, (part, sentence.clone()));
        }
        if let Some(index) = known {
            // It is tried again, and nothing about it has changed yet.
            if item.handling == DriftHandling::Waiting && self.items[index].handling == DriftHandling::Failed {
                item.handling = DriftHandling::Failed;
            }
            self.items[index] = DriftItem { since: self.items[index].since.clone(), ..item };
        } else {
            self.found.push(Change { part, kind: item.kind, field: item.field.clone(), sentence });
            self.detected = Some(now.clone());
            self.items.push(item);
        }
    }

    /// Whether putting things right failed, in which case the open items say so.
    pub fn failed(&mut self, failed: bool) {
        let refused = &self.refused;
        for item in self.items.iter_mut().filter(|item| !refused.contains(&place(item))) {
            match item.handling {
                DriftHandling::Waiting if failed => item.handling = DriftHandling::Failed,
                DriftHandling::Failed if !failed => item.handling = DriftHandling::Waiting,
                _ => {}
            }
        }
    }

    /// Whether the correction of this field failed at the last look.
    #[must_use]
    pub fn has_failed(&self, field: &str) -> bool {
        self.items.iter().any(|item| item.handling == DriftHandling::Failed && item.field == field)
    }

    /// Drops what was put right longer than `retention` ago.
    pub fn expire(&mut self, retention: Duration, now: Timestamp) {
        let retention = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
        let old = |item: &DriftItem| item.corrected_at.as_ref().is_some_and(|at| now.duration_since(at.0) >= retention);
        self.items.retain(|item| is_open(item) || !old(item));
        self.bound();
    }

    /// Drops more than the status holds.
    fn bound(&mut self) {
        self.items.sort_by_key(|item| (!is_open(item), std::cmp::Reverse(item.corrected_at.clone().map(|at| at.0))));
        let (mut open, mut corrected) = (0, 0);
        self.items.retain(|item| {
            let count = if is_open(item) { &mut open } else { &mut corrected };
            *count += 1;
            *count <= if is_open(item) { OPEN_MAX } else { CORRECTED_MAX }
        });
    }

    /// When the next corrected item expires.
    #[must_use]
    pub fn expires_in(&self, retention: Duration, now: Timestamp) -> Option<Duration> {
        let corrected = self.items.iter().filter(|item| !is_open(item));
        let first = corrected.filter_map(|item| item.corrected_at.as_ref()).map(|at| at.0).min()?;
        let age = Duration::try_from(now.duration_since(first)).unwrap_or_default();
        Some(retention.saturating_sub(age))
    }

    /// When the oldest difference was found that shall be put right and is not yet.
    #[must_use]
    pub fn oldest_uncorrected(&self) -> Option<Timestamp> {
        let waiting = |item: &&DriftItem| matches!(item.handling, DriftHandling::Waiting | DriftHandling::Failed);
        self.items.iter().filter(waiting).map(|item| item.since.0).min()
    }

    /// What was found and what was put right since this was last asked.
    pub fn changes(&mut self) -> (Vec<Change>, Vec<Change>) {
        (std::mem::take(&mut self.found), std::mem::take(&mut self.put_right))
    }

    /// The status member; `None` while nothing was ever found.
    #[must_use]
    pub fn status(&self) -> Option<DriftStatus> {
        let status = DriftStatus {
            items: self.items.clone(),
            last_detected_at: self.detected.clone(),
            last_corrected_at: self.corrected.clone(),
        };
        (status != DriftStatus::default()).then_some(status)
    }

    /// What the condition says, beside a `Ready` of this class: nothing before the object has once converged.
    #[must_use]
    pub fn said(&self, class: ReasonClass) -> Option<(DriftReason, String)> {
        let (converged, stalled) = (class == ReasonClass::Ready, class == ReasonClass::Stalled);
        let waiting = |item: &&DriftItem| matches!(item.handling, DriftHandling::Waiting | DriftHandling::Failed);
        let reported = |item: &&DriftItem| item.handling == DriftHandling::Reported;
        let sentence = |item: &DriftItem| {
            self.sentences
                .get(&place(item))
                .map_or_else(|| words::of_stray_item(item), |(_, sentence)| sentence.clone())
        };
        let of = |reason: DriftReason, items: Vec<&DriftItem>, end: &str| {
            // A reconcile that did not come as far as looking repeats what was said.
            let known = self.said.clone().filter(|(said, _)| *said == reason && self.sentences.is_empty());
            known.unwrap_or_else(|| (reason, words::joined(items.into_iter().map(sentence).collect(), end)))
        };
        let (waiting, reported): (Vec<_>, Vec<_>) =
            (self.items.iter().filter(waiting).collect(), self.items.iter().filter(reported).collect());
        if !waiting.is_empty() {
            let failed = waiting.iter().any(|item| item.handling == DriftHandling::Failed);
            let refused = waiting.iter().all(|item| self.refused.contains(&place(item)));
            let end = match (refused, failed) {
                (true, _) => "",
                (false, true) => "; not corrected, the condition Ready says why",
                (false, false) => "; being corrected",
            };
            return Some(of(DriftReason::Correcting, waiting, end));
        }
        if !reported.is_empty() {
            return Some(of(DriftReason::Reported, reported, "; reported and left as it is"));
        }
        let corrected: Vec<&DriftItem> = self.items.iter().filter(|item| !is_open(item)).collect();
        if let Some(at) = corrected.iter().filter_map(|item| item.corrected_at.clone()).map(|at| at.0).max() {
            let latest: Vec<&DriftItem> =
                corrected.into_iter().filter(|item| item.corrected_at == Some(Time(at))).collect();
            let by_others = latest.iter().all(|item| self.returned.contains(&place(item)));
            let end = if by_others { "; corrected by somebody else, seen at" } else { "; corrected at" };
            return Some(of(DriftReason::Corrected, latest, &format!("{end} {at}")));
        }
        if converged || (self.looked && self.said.is_some()) {
            return Some((DriftReason::InSync, "AWS holds what was last seen in place".to_owned()));
        }
        let told = |said: &DriftReason| matches!(said, DriftReason::InSync | DriftReason::NotCompared);
        match &self.said {
            // What stands in the way of a look may hide anything.
            Some((said, _)) if stalled && told(said) => Some(not_compared()),
            said => said.clone().filter(|(said, _)| told(said)),
        }
    }

    /// What the condition says while no look has been complete for so long that `Ready` is unknown too. What was found,
    /// reported or corrected may have changed since. The items stay.
    #[must_use]
    pub fn said_without_looks(&self) -> Option<(DriftReason, String)> {
        (self.said.is_some() || !self.items.is_empty()).then(not_compared)
    }
}

fn not_compared() -> (DriftReason, String) {
    let message = "AWS could not be compared with what was last seen in place; the condition Ready says why";
    (DriftReason::NotCompared, message.to_owned())
}

fn holder_of(part: &Described) -> &str {
    part.item.holder.as_str()
}

fn differences(part: &Described) -> Vec<Difference<'_>> {
    let difference = |field: &str, kind, desired, observed| Difference {
        described: part,
        field: field.to_owned(),
        kind,
        desired,
        observed,
    };
    let Some(observed) = &part.observed else {
        let main = part.desired.get("trustPolicy").or_else(|| part.desired.get("policyDocument"));
        return vec![difference(&words::whole(part), DriftKind::Missing, main, None)];
    };
    let mut found = Vec::new();
    for (field, desired) in &part.desired {
        match observed.get(field) {
            None => found.push(difference(field, DriftKind::Missing, Some(desired), None)),
            Some(value) if value.meaning != desired.meaning => {
                found.push(difference(field, DriftKind::Modified, Some(desired), Some(value)));
            }
            Some(_) => {}
        }
    }
    let undeclared = observed.iter().filter(|(field, _)| !part.desired.contains_key(*field));
    found.extend(undeclared.map(|(field, value)| difference(field, DriftKind::Extra, None, Some(value))));
    found
}

impl Difference<'_> {
    fn place(&self) -> Place {
        let holder = &self.described.item.holder;
        (holder.account().to_owned(), holder.to_string(), self.label())
    }

    /// The field as it is shown: of a policy with its name, since a role has several.
    fn label(&self) -> String {
        words::field(self.described, &self.field)
    }

    /// Whether this part was once seen in place, and the field was something else then than it is now.
    fn is_drift(&self, inventory: &Inventory) -> bool {
        let known = inventory.0.iter().find(|item| item.same_thing(&self.described.item));
        let Some(digest) = known.and_then(|item| item.digest.as_ref()) else { return false };
        self.described.observed.is_none()
            || self.described.vouched.contains(&self.field)
            || !digest.says(&self.field, self.observed.map(|value| value.meaning.as_str()))
    }

    fn item(&self, now: &Time) -> DriftItem {
        let handling = if self.described.tolerated.contains(&self.field) {
            DriftHandling::Reported
        } else if self.described.refused.contains_key(&self.field) {
            DriftHandling::Failed
        } else {
            DriftHandling::Waiting
        };
        let shown = |value: Option<&FieldValue>| value.map(|value| shortened(&value.shown));
        DriftItem {
            account: self.described.item.holder.account().to_owned(),
            resource: self.described.item.holder.to_string(),
            field: self.label(),
            desired: shown(self.desired),
            observed: match &self.described.observed {
                None => Some(words::GONE.to_owned()),
                Some(_) => shown(self.observed),
            },
            kind: self.kind,
            since: now.clone(),
            handling,
            corrected_at: None,
        }
    }
}

/// What is shown of a text that somebody else wrote.
pub(super) fn shortened(value: &str) -> String {
    if value.chars().count() <= VALUE_MAX {
        return value.to_owned();
    }
    value.chars().take(VALUE_MAX - 1).chain(['…']).collect()
}

/// Whether our action was last seen in place as it is declared now, and is there no more, or is something that neither we
/// wrote nor a spec asked for.
#[must_use]
pub fn is_action_undone(described: &[Described], inventory: &Inventory, own: &OwnDoing<'_>) -> bool {
    let parts = described.iter().filter(|part| part.item.part == Part::PipelineAction && !part.in_place());
    parts.filter(|part| !(own.stale)(part)).any(|part| {
        let known = inventory.0.iter().find(|item| item.same_thing(&part.item));
        let Some(digest) = known.and_then(|item| item.digest.as_ref()) else { return false };
        let was = part.desired.iter().all(|(field, value)| digest.says(field, Some(&value.meaning)));
        was && differences(part).iter().any(|difference| difference.is_drift(inventory))
    })
}

/// Notes in the inventory what was just seen in place. What is only tolerated keeps the digest it had.
pub fn verify(inventory: &mut Inventory, described: &[Described]) {
    for part in described.iter().filter(|part| part.in_place()) {
        let Some(item) = inventory.0.iter_mut().find(|item| item.same_thing(&part.item)) else { continue };
        let mut digest = Digest::of(part.desired.iter().filter(|(field, _)| !part.vouched.contains(*field)));
        if let Some(before) = &item.digest {
            digest.keep(before, &part.tolerated);
        }
        item.digest = Some(digest);
        if item.part == Part::PipelineAction {
            item.pipeline_version = part.state.as_deref().and_then(|version| version.parse().ok());
        }
    }
}

/// Notes in the inventory that these parts are about to be written: they may then be found as they were or as they will
/// be, and neither is drift. Of what an older spec made on another holder, or as another action, nothing is known any more.
pub fn expect(inventory: &mut Inventory, described: &[Described], parts: &BTreeSet<Part>) {
    for item in inventory.0.iter_mut().filter(|item| parts.contains(&item.part)) {
        let same_holder = |part: &&Described| part.item.part == item.part && part.item.holder == item.holder;
        let coming =
            described.iter().find(|part| part.item.same_thing(item)).or_else(|| described.iter().find(same_holder));
        // Of these two each item is an entry of its own among others, which the write may take out.
        let is_entry = matches!(item.part, Part::AssumePolicy | Part::PipelineAction);
        let coming = coming.filter(|part| !is_entry || part.item.same_thing(item));
        let Some(part) = coming else {
            item.digest = None;
            continue;
        };
        if let Some(digest) = &mut item.digest {
            let own = part.desired.iter().filter(|(field, _)| !part.vouched.contains(*field));
            digest.expect(&own.map(|(field, value)| (field.clone(), value.clone())).collect());
        }
    }
}
