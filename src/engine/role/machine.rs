//! The states of a role and what leads from one to the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    Effect, Input, LastLook, Outcome, Settings, Waiting,
    writing::{InFlight, Own, Unsettled},
};
use crate::domain::{
    ids::Arn,
    retry::STALE_READ,
    role_claims::{self, Claim, Facet, Fold, Folded, Reading, Room},
    shared_policy::Behind,
};

/// Writes of one claim that a reading did not show, at most.
pub(super) const ROUNDS: u8 = 2;

/// Where a role stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nobody wants anything.
    Idle,
    /// More claims may come, so that one write carries all.
    Collecting { since: Timestamp, last: Timestamp },
    /// [`Effect::Read`] was asked for.
    Reading,
    /// [`Effect::Evidence`] was asked for.
    Proving,
    /// It is read again at this time.
    Waiting { until: Timestamp },
    /// [`Effect::Write`] was asked for.
    Writing(InFlight),
}

/// A claim, and what is known of it.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) claim: Claim,
    /// Only a reading that was sent after this answers it.
    pub(super) since: Timestamp,
    /// How often something was written for it.
    pub(super) writes: u8,
    pub(super) said: Option<Waiting>,
}

/// An object's UID, and what of the role it wants something of.
pub(super) type Key = (String, Facet);

/// One role.
#[derive(Debug)]
pub struct Machine<E> {
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) claims: BTreeMap<Key, Claimed>,
    /// When the pass began: what is claimed after it is collected for the next one, unless this one writes anyway.
    pub(super) began: Option<Timestamp>,
    /// What was read last, and when that was sent.
    pub(super) reading: Option<(Arc<Reading>, Timestamp)>,
    /// What stands behind entries, as it was read in this pass.
    evidence: BTreeMap<Arn, Behind>,
    /// The last write of each policy.
    pub(super) own: BTreeMap<Facet, Own>,
    /// Writes whose answers were lost.
    pub(super) unsettled: Vec<Unsettled>,
    /// What AWS leaves of the quota, as far as it is known.
    pub(super) room: Room,
    pub(super) refused_at: Option<Timestamp>,
    ended: bool,
    /// What was last said of a write whose answer was lost.
    pub(super) lost: Option<E>,
}

impl<E: Clone> Machine<E> {
    /// A machine that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Idle,
            claims: BTreeMap::new(),
            began: None,
            reading: None,
            evidence: BTreeMap::new(),
            own: BTreeMap::new(),
            unsettled: Vec::new(),
            room: Room::default(),
            refused_at: None,
            ended: false,
            lost: None,
        }
    }

    /// Whether it wants nothing and waits for nothing: such a machine may be dropped.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.claims.is_empty()
    }

    /// Takes one input.
    pub fn step(&mut self, input: Input<E>, now: Timestamp, look: &impl LastLook) -> Vec<Effect<E>> {
        let mut effects = Vec::new();
        match input {
            Input::Claim(claim) => self.claim(*claim, now, &mut effects),
            Input::Withdraw(uid, facet) => self.withdraw(&(uid, facet)),
            Input::Woken => self.woken(now, &mut effects),
            Input::Read { sent_at, answer } => self.read(sent_at, answer, now, look, &mut effects),
            Input::Evidence(behind) if matches!(self.state, State::Proving) => {
                self.evidence = behind;
                self.plan(true, now, look, &mut effects);
            }
            Input::Evidence(_) => {}
            Input::Wrote(answer) => self.wrote(answer, now, &mut effects),
            Input::Terminate => self.ended = true,
        }
        effects
    }

    fn claim(&mut self, claim: Claim, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        let key = (claim.basis.uid.clone(), claim.goal.facet());
        if let Some(known) = self.claims.get_mut(&key).filter(|known| known.claim.asks_the_same(&claim)) {
            // What was found out since counts.
            known.claim = claim;
            return;
        }
        self.claims.insert(key.clone(), Claimed { claim, since: now, writes: 0, said: None });
        match &mut self.state {
            State::Idle => self.state = State::Collecting { since: now, last: now },
            State::Collecting { last, .. } => *last = now,
            State::Waiting { until } => {
                *until = (*until).min(now + self.settings.collect);
                effects.push(Effect::WakeAt(*until));
            }
            _ => {}
        }
        self.say(&key, Waiting::Others, effects);
        if matches!(self.state, State::Collecting { .. }) {
            effects.push(Effect::WakeAt(now + self.settings.collect));
        }
    }

    fn withdraw(&mut self, key: &Key) {
        self.claims.remove(key);
        if self.claims.is_empty() && matches!(self.state, State::Collecting { .. } | State::Waiting { .. }) {
            self.state = State::Idle;
        }
    }

    fn woken(&mut self, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        match &self.state {
            State::Collecting { since, last } => {
                let due = self.collected(*since, *last);
                if now >= due { self.begin(now, effects) } else { effects.push(Effect::WakeAt(due)) }
            }
            State::Waiting { until } if now >= *until => self.begin(now, effects),
            State::Waiting { until } => effects.push(Effect::WakeAt(*until)),
            _ => {}
        }
    }

    /// When collecting ends.
    pub(super) fn collected(&self, since: Timestamp, last: Timestamp) -> Timestamp {
        (last + self.settings.collect).min(since + self.settings.collect_max)
    }

    fn begin(&mut self, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        self.began = Some(now);
        self.begin_reading(effects);
    }

    pub(super) fn begin_reading(&mut self, effects: &mut Vec<Effect<E>>) {
        let facets: BTreeSet<Facet> = self.claims.keys().map(|(_, facet)| *facet).collect();
        self.reading = None;
        self.evidence.clear();
        if facets.is_empty() {
            self.state = State::Idle;
        } else {
            self.state = State::Reading;
            effects.push(Effect::Read(facets));
        }
    }

    fn read(
        &mut self,
        sent_at: Timestamp,
        answer: Result<Reading, E>,
        now: Timestamp,
        look: &impl LastLook,
        effects: &mut Vec<Effect<E>>,
    ) {
        if !matches!(self.state, State::Reading) {
            return;
        }
        let reading = match answer {
            Ok(reading) => reading,
            Err(error) => {
                let all: Vec<Key> = self.claims.keys().cloned().collect();
                return self.fail(&all, &error, now, effects);
            }
        };
        self.note_read(&reading, sent_at, now);
        // One that was sent before the answer to our own write may show what was there before.
        if self.own.values().any(|own| sent_at < own.settled_at) {
            return self.begin_reading(effects);
        }
        let stale = |facet: &Facet| self.own.get(facet).is_some_and(|own| own.is_stale(&reading.state(*facet), now));
        if reading.0.keys().any(stale) {
            let written = self.claims.iter().filter(|(_, claimed)| claimed.writes > 0);
            let written: Vec<Key> = written.map(|(key, _)| key.clone()).collect();
            for key in written {
                self.say(&key, Waiting::Reading, effects);
            }
            return self.wait(now + STALE_READ, effects);
        }
        self.reading = Some((Arc::new(reading), sent_at));
        self.plan(false, now, look, effects);
    }

    /// The last look and the fold, on one reading, and then what comes of it: outcomes, a question, or one write.
    fn plan(&mut self, is_proven: bool, now: Timestamp, look: &impl LastLook, effects: &mut Vec<Effect<E>>) {
        let Some((reading, sent_at)) = self.reading.clone() else { return self.begin_reading(effects) };
        let gone: Vec<Key> =
            self.claims.iter().filter(|(_, it)| !look.holds(&it.claim)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.answer(&key, Outcome::Stale, effects);
        }
        let claiming: BTreeSet<Key> = self.claims.keys().cloned().collect();
        let users = look.users(&claiming);
        self.forget_old_refusal(now);
        // One whose policy was not read yet is folded with the next reading.
        let claims =
            self.claims.iter().filter(|((_, facet), _)| reading.0.contains_key(facet)).map(|(_, it)| &it.claim);
        let fold = role_claims::fold(&reading, claims, &users, &self.evidence, self.room, now);
        if !is_proven && !fold.unproven.is_empty() {
            self.state = State::Proving;
            effects.push(Effect::Evidence(fold.unproven));
            return;
        }
        self.settle(&fold, &reading, sent_at, now, effects);
        self.write(fold, &reading, now, effects);
    }

    /// Answers what needs no write.
    fn settle(
        &mut self,
        fold: &Fold,
        reading: &Arc<Reading>,
        sent_at: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect<E>>,
    ) {
        for (key, folded) in &fold.folded {
            let Some(claimed) = self.claims.get(key).filter(|claimed| claimed.since <= sent_at) else { continue };
            let is_guess = self.room.additions != usize::MAX;
            let outcome = match folded {
                // What others have come to need since is theirs to claim.
                Folded::ForNobody if claimed.writes > 0 && !self.may_be_undone(&claimed.claim, reading, now) => {
                    Outcome::Settled { reading: reading.clone(), written: true }
                }
                Folded::Changed if claimed.writes >= ROUNDS => self.not_reached(),
                Folded::Changed | Folded::ForNobody if self.is_held(key.1, now) => {
                    self.say(key, Waiting::Settling, effects);
                    continue;
                }
                Folded::ForNobody if claimed.writes > 0 => {
                    self.say(key, Waiting::Settling, effects);
                    continue;
                }
                Folded::Changed | Folded::ForNobody => continue,
                Folded::Full if is_guess => continue,
                Folded::Full => Outcome::Full { reading: reading.clone() },
                Folded::Outdated => Outcome::Stale,
                Folded::Done if self.may_be_undone(&claimed.claim, reading, now) => {
                    self.say(key, Waiting::Settling, effects);
                    continue;
                }
                Folded::Done => Outcome::Settled { reading: reading.clone(), written: claimed.writes > 0 },
            };
            self.answer(key, outcome, effects);
        }
    }

    /// Ends a pass: what came meanwhile is collected, and what may be undone is read again.
    pub(super) fn finish(&mut self, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        self.room.additions = usize::MAX;
        self.lost = None;
        self.reading = None;
        self.evidence.clear();
        if self.claims.is_empty() {
            self.state = State::Idle;
        } else if self.claims.values().all(|claimed| claimed.said == Some(Waiting::Settling)) {
            self.wait(self.next_look(now), effects);
        } else {
            // Those that came meanwhile have waited since then.
            let came = self.claims.values().map(|claimed| claimed.since).filter(|since| self.is_late(*since));
            let since = came.clone().min().unwrap_or(now);
            let last = came.max().unwrap_or(now);
            self.state = State::Collecting { since, last };
            effects.push(Effect::WakeAt(self.collected(since, last).max(now)));
        }
    }

    /// Whether a claim came after the pass had begun.
    pub(super) fn is_late(&self, since: Timestamp) -> bool {
        self.began.is_some_and(|began| since > began)
    }

    pub(super) fn wait(&mut self, until: Timestamp, effects: &mut Vec<Effect<E>>) {
        self.state = State::Waiting { until };
        effects.push(Effect::WakeAt(until));
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// A call failed for these claims.
    pub(super) fn fail(&mut self, keys: &[Key], error: &E, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        for key in keys {
            self.answer(key, Outcome::Failed(error.clone()), effects);
        }
        self.finish(now, effects);
    }

    /// Tells what came of a claim, and forgets it.
    pub(super) fn answer(&mut self, key: &Key, outcome: Outcome<E>, effects: &mut Vec<Effect<E>>) {
        if self.claims.remove(key).is_some() {
            effects.push(Effect::Outcome(key.0.clone(), key.1, outcome));
        }
    }

    fn say(&mut self, key: &Key, waiting: Waiting, effects: &mut Vec<Effect<E>>) {
        let Some(claimed) = self.claims.get_mut(key).filter(|claimed| claimed.said != Some(waiting)) else { return };
        claimed.said = Some(waiting);
        effects.push(Effect::Outcome(key.0.clone(), key.1, Outcome::Waiting(waiting)));
    }
}
