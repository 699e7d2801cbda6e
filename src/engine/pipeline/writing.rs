//! An update: made in one step with the last look, and settled by its answer or by what is read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Effect, Failure, LastLook, Outcome, Permit, Update, Waiting, Written,
    machine::{Machine, Next, State},
};
use crate::domain::{
    fold::{self, Claim, Fold, Folded},
    ids::Arn,
    observed::Pipeline,
    occupancy::Verdict,
    pipeline_edit::{self, Json},
    plan::PipelineGoal,
    retry::STALE_READ,
    spacing::{Corrected, Corrections},
};

/// Refused updates of one pass at most; each has a check of its own.
const TRIES: u8 = 8;

/// How often a version of somebody else is brought back in a row.
const ROUNDS: u8 = 3;

/// How long a lost update is looked for often, and how long at all: what AWS has accepted can be applied as long as its
/// signature is valid, which is five minutes, and a read can show for two more what was there before.
const SOON: Duration = Duration::from_mins(1);
const AT_MOST: Duration = Duration::from_mins(7);

/// How often it is tried again to write what AWS keeps otherwise than it is sent: each try is a version.
const UNREACHED: Duration = Duration::from_hours(1);

/// How often it is looked for after that first minute.
const SELDOM: Duration = Duration::from_mins(1);

/// An update that was sent.
#[derive(Debug)]
pub(super) struct InFlight {
    base: i64,
    /// The claims in it, with what changes for each.
    claims: Vec<(Claim, Vec<String>)>,
    /// What was sent.
    declaration: Json,
    /// The version of somebody else that it brings back.
    pub(super) restores: Option<i64>,
    /// The corrections that were known before it.
    corrections: Option<Corrections>,
}

impl InFlight {
    /// The version that it was planned on, and the objects in it.
    pub(super) fn shown(&self) -> (i64, Vec<String>) {
        (self.base, self.claims.iter().map(|(claim, _)| claim.basis.key.to_string()).collect())
    }
}

/// What was tried in this pass, and what AWS does not take.
#[derive(Debug)]
pub(super) struct Tries<E> {
    refused: u8,
    /// Claims that are left out because AWS refused an update with them, and what it said.
    left_out: BTreeMap<String, E>,
    /// Versions of somebody else in a row that ours replaced.
    rounds: u8,
    /// Claims that AWS took and did not show afterwards.
    unreached: BTreeMap<String, Unreached>,
}

/// How often in a row an update did not lead to what was claimed.
#[derive(Debug)]
struct Unreached {
    count: u8,
    /// The difference that was left.
    changes: Vec<String>,
    /// Until when it is not tried again.
    until: Timestamp,
}

impl<E> Default for Tries<E> {
    fn default() -> Self {
        Self { refused: 0, left_out: BTreeMap::new(), rounds: 0, unreached: BTreeMap::new() }
    }
}

impl<E> Tries<E> {
    /// Ends the pass; returns what was left out.
    pub(super) fn end(&mut self) -> BTreeMap<String, E> {
        self.refused = 0;
        std::mem::take(&mut self.left_out)
    }

    /// Takes note of whether an update led to what was claimed. Returns how often in a row it did not.
    fn note(&mut self, uid: &str, folded: Option<&Folded>, now: Timestamp) -> u8 {
        let Some(Folded::Changed(changes)) = folded else {
            self.unreached.remove(uid);
            return 0;
        };
        let count = self.unreached.get(uid).map_or(0, |unreached| unreached.count).saturating_add(1);
        let unreached = Unreached { count, changes: changes.clone(), until: now + UNREACHED };
        self.unreached.insert(uid.to_owned(), unreached);
        count
    }

    /// Claims that two updates did not lead to, and of which the same difference is left.
    pub(super) fn unreached<'a>(
        &'a self,
        fold: &'a Fold,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a str, &'a [String])> {
        self.unreached.iter().filter_map(move |(uid, unreached)| {
            let Some(Folded::Changed(changes)) = fold.folded.get(uid) else { return None };
            let stays = unreached.count > 1 && unreached.changes == *changes && now < unreached.until;
            stays.then_some((uid.as_str(), changes.as_slice()))
        })
    }
}

impl<E: Clone> Machine<E> {
    /// The last look, the fold and the permit, in one step.
    pub(super) fn write(
        &mut self,
        verdict: &Verdict,
        now: Timestamp,
        look: &impl LastLook,
        effects: &mut Vec<Effect<E>>,
    ) {
        let gone: Vec<String> =
            self.claims.values().filter(|claim| !look.holds(claim)).map(|claim| claim.basis.uid.clone()).collect();
        let is_any_gone = !gone.is_empty();
        for uid in gone {
            self.answer(&uid, Outcome::Stale, effects);
        }
        if let Some((version, _)) = self.restored.as_ref().filter(|_| is_any_gone) {
            // Its action may be in ours, and would be taken away: it is given the time to claim what it wants now.
            return self.wait(now + self.settings.collect, Next::Restore { version: *version }, effects);
        }
        // Who claimed after the reading may have seen a later version, which this would replace.
        if let Some(version) = self.reading.as_ref().map(|reading| reading.version)
            && self.is_stale(version, now)
        {
            return self.begin_reading(effects);
        }
        let held = *verdict != Verdict::Free;
        let fold = self.fold(|claim| self.may_be_in(claim, held));
        let base = self.reading.as_ref().map(|reading| reading.version);
        let (Some(fold), Some(base)) = (fold, base) else { return self.begin_reading(effects) };
        let is_lost = self.restored.is_some();
        let included = |uid: &String| match fold.folded.get(uid)? {
            Folded::Changed(changes) => Some(changes.clone()),
            // What ours replaced has to come back even if ours is in it already.
            Folded::InPlace if is_lost => Some(Vec::new()),
            _ => None,
        };
        let claims: Vec<(Claim, Vec<String>)> =
            self.claims.iter().filter_map(|(uid, claim)| Some((claim.clone(), included(uid)?))).collect();
        let declaration = fold.declaration.clone();
        self.settle_unchanged(fold, effects);
        let closes_gate = claims.iter().any(|(claim, changes)| claim.closes_gate && !changes.is_empty());
        if (claims.is_empty() && !is_lost) || (held && !closes_gate) || self.is_ended() {
            if held && (is_lost || !self.claims.is_empty()) {
                return self.wait_for_pipeline(verdict, now, effects);
            }
            return self.finish(now, effects);
        }
        let changing = || claims.iter().filter(|(_, changes)| !changes.is_empty()).map(|(claim, _)| claim);
        if let Some(until) = self.hold_of_corrections(changing(), now, look) {
            return self.wait_to_correct(until, Some((verdict, now + self.settings.idle_poll)), effects);
        }
        let restores = self.restored.as_ref().map(|(version, _)| *version);
        let corrections = self.corrections;
        if changing().any(|claim| claim.corrects) {
            self.corrections = Some(Corrections::and_one(self.known_corrections(look), now));
        }
        let bases = claims.iter().map(|(claim, _)| claim.basis.clone()).collect();
        self.sent.extend(claims.iter().map(|(claim, _)| claim.basis.uid.clone()));
        let pipeline = self.settings.pipeline.clone();
        let permit = Permit::new(Update { pipeline, base, declaration: declaration.clone() }, bases, now);
        self.state = State::Writing(InFlight { base, claims, declaration, restores, corrections });
        effects.push(Effect::Write(permit));
    }

    /// While somebody may want to retry only an open gate is closed; what ours has in place already stays in it.
    fn may_be_in(&self, claim: &Claim, held: bool) -> bool {
        let is_in_ours = || {
            let reading = self.reading.as_ref().filter(|_| self.restored.is_some());
            reading.is_some_and(|read| {
                matches!(claim.goal.edit(&read.declaration, &self.settings.pipeline.region), Ok(None))
            })
        };
        !self.tries.left_out.contains_key(&claim.basis.uid) && (!held || claim.closes_gate || is_in_ours())
    }

    pub(super) fn wrote(&mut self, answer: Result<Pipeline, Failure<E>>, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        let State::Writing(flight) = std::mem::replace(&mut self.state, State::Idle) else { return };
        match answer {
            Err(_) if self.is_ended() && flight.restores.is_some() => self.give_up(flight.restores, effects),
            Ok(pipeline) => self.settled(flight, &pipeline, now, effects),
            Err(Failure::Unknown(_)) => {
                self.written = Some(flight.base + 1);
                self.say_all(&Waiting::Settling, effects);
                let next = now + STALE_READ;
                self.state = State::Unsettled { flight, since: now, next };
                effects.push(Effect::WakeAt(next));
            }
            Err(Failure::NotSent) => {
                self.corrections = flight.corrections;
                let then = flight.restores.map_or(Next::Read, |version| Next::Restore { version });
                self.wait(now + STALE_READ, then, effects);
            }
            Err(Failure::Refused { role, of_declaration, error }) => {
                self.corrections = flight.corrections;
                self.refused(&flight, (role, of_declaration, error), now, effects);
            }
        }
    }

    /// Distances count from when it is known what became of an update: until then it may have reached AWS at any time.
    fn keep_distance_from(&mut self, flight: &InFlight, now: Timestamp) {
        let changes_any = |is_it: fn(&Claim) -> bool| {
            flight.claims.iter().any(|(claim, changes)| is_it(claim) && !changes.is_empty())
        };
        if changes_any(|claim| !claim.corrects) {
            self.pace.note(now);
        }
        if changes_any(|claim| claim.corrects) {
            self.corrections = self.corrections.map(|sent| Corrections { last: now, ..sent });
        }
    }

    /// AWS took the update.
    fn settled(&mut self, flight: InFlight, pipeline: &Pipeline, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        self.keep_distance_from(&flight, now);
        self.written = Some(pipeline.version);
        self.restored = None;
        let others = pipeline.version - 1;
        // Of a pipeline that was made again meanwhile the versions are lower.
        let has_replaced = others != flight.base;
        if has_replaced && self.tries.rounds < ROUNDS && !self.is_ended() {
            // Somebody wrote between our reading and our write, and ours replaced that.
            self.tries.rounds += 1;
            self.state = State::Restoring { version: others };
            effects.push(Effect::ReadVersion(others));
            return;
        }
        let foreign = has_replaced.then_some(others);
        let claims: Vec<&Claim> = flight.claims.iter().map(|(claim, _)| claim).collect();
        let again = fold::fold(&pipeline.declaration, &self.settings.pipeline.region, claims.iter().copied());
        let next = Corrections::hold(self.corrections, self.settings.corrections, now);
        let corrected = |claim: &Claim| {
            let PipelineGoal::Holds(action, _) = &claim.goal else { return None };
            let (object, stage, action) = (claim.basis.key.clone(), action.stage.clone(), action.name.clone());
            claim.corrects.then_some(Corrected { object, stage, action, at: now, next })
        };
        let (count, shared) = (flight.claims.len(), Arc::new(pipeline.clone()));
        for (claim, changes) in flight.claims {
            let unreached = self.tries.note(&claim.basis.uid, again.folded.get(&claim.basis.uid), now);
            let outcome = match (again.folded.get(&claim.basis.uid), foreign) {
                (_, Some(version)) => Outcome::ForeignWriter { version },
                (Some(Folded::Changed(changes)), None) if unreached > 1 => {
                    Outcome::Unreached { changes: changes.clone() }
                }
                _ => Outcome::Written(Written {
                    pipeline: shared.clone(),
                    changes,
                    claims: count,
                    corrected: corrected(&claim).filter(|_| flight.restores.is_none()),
                    replaced: flight.restores,
                }),
            };
            // An object that wants something else by now hears of its new claim only.
            if self.claims.get(&claim.basis.uid).is_some_and(|known| known.asks_the_same(&claim)) {
                self.answer(&claim.basis.uid, outcome, effects);
            }
        }
        self.tries.rounds = 0;
        self.reading = Some(pipeline.clone());
        self.finish(now, effects);
    }

    /// What ours replaced is here: ours is applied to it, and written again.
    pub(super) fn read_version(
        &mut self,
        answer: Result<Option<Pipeline>, E>,
        now: Timestamp,
        effects: &mut Vec<Effect<E>>,
    ) {
        let State::Restoring { version } = self.state else { return self.read_next_version(answer, now, effects) };
        match answer {
            Ok(Some(foreign)) => {
                self.restored = Some((version, foreign.declaration));
                self.begin_reading(effects);
            }
            // AWS keeps the newest only.
            Ok(None) => self.begin_reading(effects),
            Err(_) => self.wait(now + STALE_READ, Next::Restore { version }, effects),
        }
    }

    fn refused(
        &mut self,
        flight: &InFlight,
        (role, of_declaration, error): (Option<Arn>, bool, E),
        now: Timestamp,
        effects: &mut Vec<Effect<E>>,
    ) {
        let Some(reading) = self.reading.clone() else { return self.finish(now, effects) };
        if let Some(version) = flight.restores {
            return self.restore_refused(flight, version, now, effects);
        }
        let refused = Outcome::Refused { error: error.clone(), pipeline: Box::new(reading.clone()) };
        let behind: Vec<&Claim> = match &role {
            Some(role) => {
                flight.claims.iter().map(|(claim, _)| claim).filter(|claim| claim.role() == Some(role)).collect()
            }
            None => Vec::new(),
        };
        self.tries.refused += 1;
        let newest = || {
            let there = |claim: &Claim| claim.goal.is_there(&reading.declaration);
            let candidates = flight.claims.iter().map(|(claim, _)| claim).filter(|claim| !there(claim));
            candidates.max_by_key(|claim| (claim.created, claim.basis.uid.clone()))
        };
        let tries_left = self.tries.refused < TRIES;
        if !of_declaration {
            let uids: Vec<String> = flight.claims.iter().map(|(claim, _)| claim.basis.uid.clone()).collect();
            for uid in uids {
                self.answer(&uid, Outcome::Failed(error.clone()), effects);
            }
        } else if !behind.is_empty() {
            for claim in behind {
                self.answer(&claim.basis.uid, refused.clone(), effects);
            }
            if tries_left && !self.claims.is_empty() {
                return self.begin_reading(effects);
            }
            if !self.claims.is_empty() {
                return self.wait(now + STALE_READ, Next::Read, effects);
            }
        } else if let Some(claim) = newest().filter(|_| role.is_none() && tries_left && flight.claims.len() > 1) {
            self.tries.left_out.insert(claim.basis.uid.clone(), error);
            return self.begin_reading(effects);
        } else {
            for (claim, _) in &flight.claims {
                self.answer(&claim.basis.uid, refused.clone(), effects);
            }
        }
        self.finish(now, effects);
    }

    /// What ours replaced is not taken back. Nobody is left out of it: that would take away what ours has in place.
    fn restore_refused(&mut self, flight: &InFlight, version: i64, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        let wait = STALE_READ.saturating_mul(1 << self.tries.refused.min(TRIES));
        self.tries.refused += 1;
        if self.tries.refused < TRIES {
            return self.wait(now + wait, Next::Restore { version }, effects);
        }
        for (claim, _) in &flight.claims {
            self.answer(&claim.basis.uid, Outcome::ForeignWriter { version }, effects);
        }
        self.finish(now, effects);
    }

    /// The answer was lost: a version that is what was sent tells.
    pub(super) fn read_unsettled(
        &mut self,
        answer: Result<Option<Pipeline>, E>,
        now: Timestamp,
        effects: &mut Vec<Effect<E>>,
    ) {
        let State::Unsettled { flight, since, .. } = std::mem::replace(&mut self.state, State::Idle) else { return };
        match answer {
            Ok(Some(read)) if self.is_made_by(&flight, &read) => self.settled(flight, &read, now, effects),
            Ok(None) => self.begin_reading(effects),
            // Also while somebody else's version is shown: ours may come after it, and would replace it.
            _ if now >= since + AT_MOST => {
                self.keep_distance_from(&flight, now);
                let Some(version) = flight.restores else {
                    self.written = None;
                    return self.begin_reading(effects);
                };
                // The version that replaced it is ours as well.
                self.written = Some(flight.base);
                self.state = State::Restoring { version };
                effects.push(Effect::ReadVersion(version));
            }
            // Somebody wrote since, perhaps after ours.
            Ok(Some(read)) if read.version > flight.base + 1 => {
                effects.push(Effect::ReadVersion(flight.base + 1));
                self.state = State::Unsettled { flight, since, next: now };
            }
            _ => self.look_for(flight, since, now, effects),
        }
    }

    /// The version after the one that an unanswered update was planned on, asked for by its number.
    fn read_next_version(&mut self, answer: Result<Option<Pipeline>, E>, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Unsettled { flight, since, .. } => match answer {
                Ok(Some(read)) if self.is_made_by(&flight, &read) => self.settled(flight, &read, now, effects),
                _ => self.look_for(flight, since, now, effects),
            },
            other => self.state = other,
        }
    }

    fn look_for(&mut self, flight: InFlight, since: Timestamp, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        let next = now + (if now < since + SOON { STALE_READ } else { SELDOM });
        self.state = State::Unsettled { flight, since, next };
        effects.push(Effect::WakeAt(next));
    }

    /// Whether a version is what became of an update.
    fn is_made_by(&self, flight: &InFlight, read: &Pipeline) -> bool {
        let claims = flight.claims.iter().map(|(claim, _)| claim);
        let has_all =
            || fold::fold(&read.declaration, &self.settings.pipeline.region, claims).changed().next().is_none();
        // What is only brought back has all of that before.
        let is_next = read.version == flight.base + 1 && flight.restores.is_none();
        read.version != flight.base
            && (pipeline_edit::is_made_of(&read.declaration, &flight.declaration) || (is_next && has_all()))
    }
}
