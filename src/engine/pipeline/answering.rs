//! The answers to claims: why a claim waits, or its result. The machine forgets a claim once it has sent its result.

use jiff::Timestamp;

use super::{
    Effect, Outcome, Waiting,
    machine::{Machine, Next, State},
};
use crate::domain::{
    fold::{Claim, Fold, Folded},
    retry::STALE_READ,
};

impl<E: Clone> Machine<E> {
    /// Answers what AWS keeps otherwise than it was sent, without another version. What ours replaced comes back with all.
    pub(super) fn answer_unreached(&mut self, fold: &Fold, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        if self.restored.is_some() {
            return;
        }
        let unreached = self.tries.unreached(fold, now).map(|(uid, changes)| (uid.to_owned(), changes.to_vec()));
        for (uid, changes) in unreached.collect::<Vec<_>>() {
            self.answer(&uid, Outcome::Unreached { changes }, effects);
        }
    }

    /// Answers what needs no write.
    pub(super) fn settle_unchanged(&mut self, fold: Fold, effects: &mut Vec<Effect<E>>) {
        let role = self.reading.as_ref().map(|reading| reading.role.clone());
        let moved = |claim: &Claim| Some(&claim.pipeline_role) != role.as_ref();
        let moved: Vec<String> =
            self.claims.values().filter(|claim| moved(claim)).map(|claim| claim.basis.uid.clone()).collect();
        for uid in moved {
            self.answer(&uid, Outcome::Stale, effects);
        }
        let is_restoring = self.restored.is_some();
        for (uid, folded) in fold.folded {
            match folded {
                Folded::Changed(_) => {}
                Folded::InPlace if is_restoring => {}
                Folded::InPlace => self.answer(&uid, Outcome::InPlace, effects),
                Folded::Refused(refusal) => self.answer(&uid, Outcome::Blocked(refusal), effects),
                Folded::Unrecorded => self.answer(&uid, Outcome::Stale, effects),
            }
        }
    }

    /// Ends a pass: what came meanwhile is collected.
    pub(super) fn finish(&mut self, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        for (uid, error) in self.tries.end() {
            if let Some(pipeline) = self.reading.clone() {
                self.answer(&uid, Outcome::Refused { error, pipeline: Box::new(pipeline) }, effects);
            }
        }
        self.reading = None;
        self.restored = None;
        self.sent.clear();
        if self.claims.is_empty() {
            self.state = State::Idle;
        } else {
            self.state = State::Collecting { since: now, last: now };
            effects.push(Effect::WakeAt(now + self.settings.collect));
        }
    }

    /// Tells that a version of somebody else is not brought back.
    pub(super) fn give_up(&mut self, replaced: Option<i64>, effects: &mut Vec<Effect<E>>) {
        if let Some(version) = replaced {
            self.answer_all(&Outcome::ForeignWriter { version }, effects);
        }
    }

    /// A call failed. What ours replaced is not forgotten for that: nobody else knows of it.
    pub(super) fn failed(&mut self, error: E, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        match self.restored.as_ref().map(|(version, _)| *version) {
            Some(version) => self.wait(now + STALE_READ, Next::Restore { version }, effects),
            None => self.answer_all(&Outcome::Failed(error), effects),
        }
    }

    /// Tells every claim the same, and is idle.
    pub(super) fn answer_all(&mut self, outcome: &Outcome<E>, effects: &mut Vec<Effect<E>>) {
        let uids: Vec<String> = self.claims.keys().cloned().collect();
        for uid in uids {
            self.answer(&uid, outcome.clone(), effects);
        }
        self.reading = None;
        self.restored = None;
        self.sent.clear();
        let _ = self.tries.end();
        self.state = State::Idle;
    }

    /// Tells what came of a claim, and forgets it.
    pub(super) fn answer(&mut self, uid: &str, outcome: Outcome<E>, effects: &mut Vec<Effect<E>>) {
        if self.claims.contains_key(uid) {
            self.forget(uid);
            effects.push(Effect::Outcome(uid.to_owned(), outcome));
        }
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.claims.remove(uid);
        self.said.remove(uid);
    }

    pub(super) fn say_all(&mut self, waiting: &Waiting, effects: &mut Vec<Effect<E>>) {
        let uids: Vec<String> = self.claims.keys().cloned().collect();
        for uid in uids {
            self.say(&uid, waiting.clone(), effects);
        }
    }

    pub(super) fn say(&mut self, uid: &str, waiting: Waiting, effects: &mut Vec<Effect<E>>) {
        if self.said.get(uid) != Some(&waiting) {
            self.said.insert(uid.to_owned(), waiting.clone());
            effects.push(Effect::Outcome(uid.to_owned(), Outcome::Waiting(waiting)));
        }
    }
}
