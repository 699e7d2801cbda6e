//! A write: made in one step with the last look, and settled by its answer, by what is read, or by time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Effect, Failure, Outcome, Permit, ShownWrite, Write,
    machine::{Key, Machine, State},
};
use crate::domain::{
    ids::{Arn, InstallationId, ObjectKey},
    own_writes::{self, FORGIVEN_FOR},
    policy,
    retry::STALE_READ,
    role_claims::{Claim, Edit, Facet, Fold, Folded, Goal, Reading},
    role_fold::INLINE_MAX,
};

/// What AWS has accepted can be applied as long as its signature is valid.
const SIGNED_FOR: Duration = Duration::from_mins(5);

/// How often it is looked whether a lost write was applied.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// How long it is remembered that AWS refused a document for its size: other policies of the role may go.
const REFUSED_FOR: Duration = Duration::from_mins(10);

/// A write that was sent.
#[derive(Debug)]
pub(super) struct InFlight {
    facet: Facet,
    /// The claims that it is for.
    keys: Vec<Key>,
    /// Their objects.
    objects: Vec<ObjectKey>,
    before: own_writes::State,
    document: Option<Value>,
    /// The entries that it adds.
    adds: usize,
    sent: Timestamp,
}

impl InFlight {
    /// In words.
    pub(super) fn shown(&self, installation: &InstallationId) -> ShownWrite {
        ShownWrite {
            policy: self.facet.policy(installation),
            deletes: self.document.is_none(),
            objects: self.objects.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The last write of one policy.
#[derive(Debug)]
pub(super) struct Own {
    /// When its answer came.
    pub(super) settled_at: Timestamp,
    /// What was there before it, and before others of ours that a read may not show yet.
    before: Vec<own_writes::State>,
    after: own_writes::State,
    read_back: bool,
}

impl Own {
    /// Whether this is what was there before, which a read may still show for a while.
    pub(super) fn is_stale(&self, state: &own_writes::State, now: Timestamp) -> bool {
        !self.read_back && now < self.settled_at + FORGIVEN_FOR && self.before.contains(state)
    }
}

/// A write whose answer was lost: it may have been applied, or may be yet.
#[derive(Debug)]
pub(super) struct Unsettled {
    facet: Facet,
    document: Option<Value>,
    until: Timestamp,
    /// Before that nothing else is written there: applied after it, this one would undo it.
    held_until: Timestamp,
    /// Whether another write of ours was sent after it.
    is_followed: bool,
}

impl Unsettled {
    fn entries(&self) -> BTreeSet<Arn> {
        self.document.as_ref().map(policy::assume_entries_of_any_form).unwrap_or_default()
    }

    /// Whether it would take away what this claim has in place, or bring back what it has let go.
    fn undoes(&self, claim: &Claim, reading: &Reading) -> bool {
        match &claim.goal {
            goal if goal.facet() != self.facet => false,
            Goal::Callback => self.document.is_none(),
            Goal::NoCallback { .. } => self.document.is_some() && reading.of(self.facet).is_none(),
            Goal::Assume { entries, .. } if entries.is_empty() => !self.entries().is_subset(&reading.entries()),
            Goal::Assume { entries, .. } => !entries.is_subset(&self.entries()),
        }
    }
}

impl<E: Clone> Machine<E> {
    /// The first write that is due, for the claims that need it.
    pub(super) fn write(&mut self, fold: Fold, reading: &Arc<Reading>, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        if self.is_ended() {
            self.state = State::Idle;
            return;
        }
        let edits = fold.edits.into_iter().filter(|edit| !self.is_held(edit.facet, now));
        let due = edits.into_iter().find_map(|edit| {
            let needs = |key: &&Key| {
                let is_written = matches!(fold.folded.get(key), Some(Folded::Changed | Folded::ForNobody));
                key.1 == edit.facet && is_written && self.claims.contains_key(*key)
            };
            let keys: Vec<Key> = fold.folded.keys().filter(needs).cloned().collect();
            // What came after the pass had begun is collected, so that what trickles in does not make a write each.
            let is_due = |key: &Key| self.claims.get(key).is_some_and(|claimed| !self.is_late(claimed.since));
            keys.iter().any(is_due).then_some((edit, keys))
        });
        let Some((Edit { facet, document, .. }, keys)) = due else { return self.finish(now, effects) };
        let mut bases = Vec::new();
        for key in &keys {
            if let Some(claimed) = self.claims.get_mut(key) {
                claimed.writes += 1;
                bases.push(claimed.claim.basis.clone());
            }
        }
        let named = document.as_ref().map(policy::assume_entries_of_any_form).unwrap_or_default();
        let adds = if facet == Facet::AssumePolicy { named.difference(&reading.entries()).count() } else { 0 };
        let before = reading.state(facet);
        for lost in self.unsettled.iter_mut().filter(|lost| lost.facet == facet) {
            lost.is_followed = true;
        }
        let (role, policy) = (self.settings.role.clone(), facet.policy(&self.settings.installation));
        let permit = Permit::new(Write::policy(role, policy, document.clone()), bases, now);
        let objects = permit.objects().cloned().collect();
        self.state = State::Writing(InFlight { facet, keys, objects, before, document, adds, sent: now });
        effects.push(Effect::Write(Box::new(permit)));
    }

    pub(super) fn wrote(&mut self, answer: Result<(), Failure<E>>, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        let State::Writing(flight) = std::mem::replace(&mut self.state, State::Idle) else { return };
        let after = crate::domain::plan::policy_state(flight.document.as_ref());
        match answer {
            Ok(()) => {
                let earlier = self.own.remove(&flight.facet).filter(|own| now < own.settled_at + FORGIVEN_FOR);
                let mut before = earlier.map(|own| own.before).unwrap_or_default();
                before.push(flight.before);
                before.retain(|state| *state != after);
                self.own.insert(flight.facet, Own { settled_at: now, before, after, read_back: false });
                self.room.additions = usize::MAX;
                self.begin_reading(effects);
            }
            Err(Failure::Unknown(error)) => {
                let (until, held_until) = (flight.sent + SIGNED_FOR, flight.sent + self.settings.attempt * 2);
                let (facet, document) = (flight.facet, flight.document);
                self.unsettled.push(Unsettled { facet, document, until, held_until, is_followed: false });
                self.lost = Some(error);
                self.begin_reading(effects);
            }
            Err(Failure::Fault(error)) => {
                self.lost = Some(error);
                self.begin_reading(effects);
            }
            Err(Failure::NotSent) => {
                self.uncount(&flight);
                self.wait(now + STALE_READ, effects);
            }
            Err(Failure::Refused { too_large: true, .. }) if flight.adds > 0 => self.too_large(&flight, now, effects),
            Err(Failure::Refused { error, .. }) => self.fail(&flight.keys, &error, now, effects),
        }
    }

    /// AWS counts all policies of the role. With half of the newcomers it is tried again, until it is known who does not fit.
    fn too_large(&mut self, flight: &InFlight, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        let size = flight.document.as_ref().map_or(0, policy::size);
        self.room.characters = size.saturating_sub(1);
        self.room.additions = if flight.adds > 1 { flight.adds.div_ceil(2) } else { usize::MAX };
        self.refused_at = Some(now);
        self.uncount(flight);
        self.begin_reading(effects);
    }

    /// A write that changed nothing does not count.
    fn uncount(&mut self, flight: &InFlight) {
        for key in &flight.keys {
            if let Some(claimed) = self.claims.get_mut(key) {
                claimed.writes = claimed.writes.saturating_sub(1);
            }
        }
    }

    pub(super) fn forget_old_refusal(&mut self, now: Timestamp) {
        if self.refused_at.is_some_and(|at| now >= at + REFUSED_FOR) {
            (self.room.characters, self.refused_at) = (INLINE_MAX, None);
        }
    }

    /// Takes note of what a read shows of our own writes.
    pub(super) fn note_read(&mut self, reading: &Reading, sent_at: Timestamp, now: Timestamp) {
        for (facet, own) in &mut self.own {
            let is_shown = reading.0.contains_key(facet) && sent_at >= own.settled_at;
            own.read_back |= is_shown && reading.state(*facet) == own.after;
        }
        self.unsettled.retain(|lost| {
            let after = crate::domain::plan::policy_state(lost.document.as_ref());
            let is_shown =
                !lost.is_followed && reading.0.contains_key(&lost.facet) && reading.state(lost.facet) == after;
            now < lost.until && !is_shown
        });
    }

    /// Whether a write whose answer was lost may yet undo what is read for a claim.
    pub(super) fn may_be_undone(&self, claim: &Claim, reading: &Reading, now: Timestamp) -> bool {
        self.unsettled.iter().any(|lost| now < lost.until && lost.undoes(claim, reading))
    }

    /// Whether nothing is written to a policy for now, since a write whose answer was lost may be applied yet.
    pub(super) fn is_held(&self, facet: Facet, now: Timestamp) -> bool {
        self.unsettled.iter().any(|lost| lost.facet == facet && now < lost.held_until)
    }

    /// Whether a write is on its way.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        matches!(self.state, State::Writing(_))
    }

    /// Until when a write whose answer was lost may yet be applied: until then it has to be asked what is in place.
    #[must_use]
    pub fn unsettled_until(&self) -> Option<Timestamp> {
        self.unsettled.iter().map(|lost| lost.until).max()
    }

    /// When it is read again while a lost write may yet be applied.
    pub(super) fn next_look(&self, now: Timestamp) -> Timestamp {
        let ends = self.unsettled.iter().flat_map(|lost| [lost.held_until, lost.until]).filter(|end| now < *end).min();
        ends.map_or(now + LOOK_EVERY, |end| end.min(now + LOOK_EVERY))
    }

    /// What becomes of a claim that was written for as often as it may be.
    pub(super) fn not_reached(&self) -> Outcome<E> {
        self.lost.clone().map_or(Outcome::Unreached, Outcome::Failed)
    }
}
