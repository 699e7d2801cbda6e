//! The states of a pipeline and what leads from one to the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Effect, Input, LastLook, Outcome, Settings, Waiting,
    writing::{InFlight, Tries},
};
use crate::domain::{
    fold::{self, Claim, Fold, Folded},
    observed::Pipeline,
    occupancy::{Occupancy, Verdict},
    own_writes::FORGIVEN_FOR,
    pipeline_edit::{self, Json},
    retry::STALE_READ,
    spacing::{Corrections, Pace},
};

/// How soon it is asked again whether everything that is expected has come.
const EXPECTING: Duration = Duration::from_secs(1);

/// Where a pipeline stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nobody wants anything.
    Idle,
    /// More claims may come, so that one version carries all.
    Collecting { since: Timestamp, last: Timestamp },
    /// [`Effect::Read`] was asked for.
    Reading,
    /// [`Effect::Check`] was asked for; `planned` right after a reading on which something has to be written.
    Checking { planned: bool },
    /// It goes on at this time.
    Waiting { until: Timestamp, then: Next },
    /// [`Effect::Write`] was asked for.
    Writing(InFlight),
    /// The answer to an update was lost: it is read until it is known what became of it.
    Unsettled { flight: InFlight, since: Timestamp, next: Timestamp },
    /// Ours replaced a version that it was not planned on: what that held is read.
    Restoring { version: i64 },
}

/// How it goes on after waiting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    Read,
    Check,
    /// Reads when the next correction is due.
    Correct,
    Restore {
        version: i64,
    },
}

/// One pipeline.
#[derive(Debug)]
pub struct Machine<E> {
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) claims: BTreeMap<String, Claim>,
    pub(super) said: BTreeMap<String, Waiting>,
    /// Whose claims are in what was sent since the last pass ended.
    pub(super) sent: BTreeSet<String>,
    /// The reading that the next update is planned on.
    pub(super) reading: Option<Pipeline>,
    /// The version that ours made, or may have made.
    pub(super) written: Option<i64>,
    /// Since when readings show an older version than has been seen.
    stale_since: Option<Timestamp>,
    /// Somebody's version that ours replaced: its declaration is what ours is applied to.
    pub(super) restored: Option<(i64, Arc<Json>)>,
    pub(super) tries: Tries<E>,
    /// The corrections that this machine sent.
    pub(super) corrections: Option<Corrections>,
    /// The versions that it made for something new.
    pub(super) pace: Pace,
    ended: bool,
}

impl<E: Clone> Machine<E> {
    /// A machine that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::Idle,
            claims: BTreeMap::new(),
            said: BTreeMap::new(),
            sent: BTreeSet::new(),
            reading: None,
            written: None,
            stale_since: None,
            restored: None,
            tries: Tries::default(),
            corrections: None,
            pace: Pace::default(),
            ended: false,
        }
    }

    /// Whether it wants nothing and waits for nothing: such a machine may be dropped.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.claims.is_empty()
    }

    /// Whether it knows of corrections that count: dropped, it would forget how far apart the next ones are.
    #[must_use]
    pub fn remembers(&self, now: Timestamp) -> bool {
        self.corrections.is_some_and(|known| known.counts(now))
    }

    /// Whether it looks for an update whose answer was lost.
    #[must_use]
    pub fn is_settling(&self) -> bool {
        matches!(self.state, State::Unsettled { .. })
    }

    /// Takes one input.
    pub fn step(&mut self, input: Input<E>, now: Timestamp, look: &impl LastLook) -> Vec<Effect<E>> {
        let mut effects = Vec::new();
        match input {
            Input::Claim(claim) => self.claim(*claim, now, &mut effects),
            // What is in an update that was sent, or in a version to be brought back, is answered first. Whatever came
            // later would be written although its object no longer wants it.
            Input::Withdraw(uid) if self.is_under_way() && self.sent.contains(&uid) => {}
            Input::Withdraw(uid) => {
                self.forget(&uid);
                if self.claims.is_empty() && matches!(self.state, State::Collecting { .. } | State::Waiting { .. }) {
                    self.state = State::Idle;
                }
            }
            Input::Woken => self.woken(now, look, &mut effects),
            Input::Read(answer) => self.read(answer, now, look, &mut effects),
            Input::ReadVersion(answer) => self.read_version(answer, now, &mut effects),
            Input::Checked(answer) => self.checked(answer, now, look, &mut effects),
            Input::Wrote(answer) => self.wrote(answer, now, &mut effects),
            Input::Terminate => self.terminate(&mut effects),
        }
        effects
    }

    /// Nothing is begun any more. What ours replaced is not brought back then, and nobody else knows of it: whoever claims
    /// something is told the version that holds it.
    fn terminate(&mut self, effects: &mut Vec<Effect<E>>) {
        self.ended = true;
        let replaced = match &self.state {
            State::Restoring { version } | State::Waiting { then: Next::Restore { version }, .. } => Some(*version),
            State::Unsettled { flight, .. } => flight.restores,
            // Its answer is waited for.
            State::Writing(_) => None,
            _ => self.restored.as_ref().map(|(version, _)| *version),
        };
        self.give_up(replaced, effects);
    }

    fn is_under_way(&self) -> bool {
        let sent = matches!(self.state, State::Writing(_) | State::Unsettled { .. } | State::Restoring { .. });
        let restores = matches!(self.state, State::Waiting { then: Next::Restore { .. }, .. });
        sent || restores || self.restored.is_some()
    }

    fn claim(&mut self, claim: Claim, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        if self.claims.get(&claim.basis.uid).is_some_and(|known| known.asks_the_same(&claim)) {
            return;
        }
        let uid = claim.basis.uid.clone();
        self.said.remove(&uid);
        self.claims.insert(uid.clone(), claim);
        match &mut self.state {
            // What is new does not wait for the time of a correction.
            State::Idle | State::Waiting { then: Next::Correct, .. } => {
                self.state = State::Collecting { since: now, last: now };
            }
            State::Collecting { last, .. } => *last = now,
            _ => {}
        }
        self.say(&uid, if self.is_settling() { Waiting::Settling } else { Waiting::Others }, effects);
        if matches!(self.state, State::Collecting { .. }) {
            effects.push(Effect::WakeAt(now + self.settings.collect));
        }
    }

    fn woken(&mut self, now: Timestamp, look: &impl LastLook, effects: &mut Vec<Effect<E>>) {
        match &mut self.state {
            State::Collecting { since, last } => {
                let (mut quiet, mut end) = (*last + self.settings.collect, *since + self.settings.collect_max);
                let is_new = self.claims.values().any(|claim| !claim.corrects);
                if let Some(next) = self.pace.next(self.settings.collect, now).filter(|_| is_new) {
                    (quiet, end) = (quiet.max(next), end.max(next));
                }
                if now >= end || (now >= quiet && !look.are_more_expected()) {
                    self.begin_reading(effects);
                } else {
                    effects.push(Effect::WakeAt(quiet.max(now + EXPECTING).min(end)));
                }
            }
            State::Waiting { until, then } if now >= *until => match *then {
                Next::Read | Next::Correct => self.begin_reading(effects),
                Next::Check => {
                    self.state = State::Checking { planned: false };
                    effects.push(Effect::Check);
                }
                Next::Restore { version } => {
                    self.state = State::Restoring { version };
                    effects.push(Effect::ReadVersion(version));
                }
            },
            State::Waiting { until, .. } => effects.push(Effect::WakeAt(*until)),
            State::Unsettled { next, .. } if now >= *next => effects.push(Effect::Read),
            State::Unsettled { next, .. } => effects.push(Effect::WakeAt(*next)),
            _ => {}
        }
    }

    pub(super) fn begin_reading(&mut self, effects: &mut Vec<Effect<E>>) {
        self.reading = None;
        self.state = State::Reading;
        effects.push(Effect::Read);
    }

    fn read(
        &mut self,
        answer: Result<Option<Pipeline>, E>,
        now: Timestamp,
        look: &impl LastLook,
        effects: &mut Vec<Effect<E>>,
    ) {
        if matches!(self.state, State::Unsettled { .. }) {
            return self.read_unsettled(answer, now, effects);
        }
        if !matches!(self.state, State::Reading) {
            return;
        }
        match answer {
            Err(error) => self.failed(error, now, effects),
            Ok(None) => self.answer_all(&Outcome::Stale, effects),
            Ok(Some(pipeline)) if self.is_stale(pipeline.version, now) => {
                self.say_all(&Waiting::Reading, effects);
                self.wait(now + STALE_READ, Next::Read, effects);
            }
            Ok(Some(pipeline)) => {
                self.restored = self.restored.take().filter(|_| Some(pipeline.version) == self.written);
                self.reading = Some(pipeline);
                self.forget_what_is_not_lost();
                if let Some(fold) = self.fold(|_| true) {
                    self.answer_unreached(&fold, now, effects);
                    self.settle_unchanged(fold, effects);
                }
                // What ours replaced comes back even if nobody wants anything any more.
                if self.claims.is_empty() && self.restored.is_none() {
                    self.finish(now, effects);
                } else if let Some(until) = self.hold_of_corrections(self.claims.values(), now, look) {
                    self.wait_to_correct(until, None, effects);
                } else {
                    self.state = State::Checking { planned: true };
                    effects.push(Effect::Check);
                }
            }
        }
    }

    /// Whether an older version is shown than has been seen. A pipeline that was deleted and made again begins at 1, so that
    /// counts for two minutes only.
    pub(super) fn is_stale(&mut self, version: i64, now: Timestamp) -> bool {
        let seen = self.claims.values().map(|claim| claim.seen_version).chain(self.written).max();
        if seen.is_none_or(|seen| version >= seen) {
            self.stale_since = None;
            return false;
        }
        let since = *self.stale_since.get_or_insert(now);
        if now < since + FORGIVEN_FOR {
            return true;
        }
        self.written = None;
        false
    }

    /// Folds the claims that may be folded into the reading, or into what ours replaced.
    pub(super) fn fold(&self, may: impl Fn(&Claim) -> bool) -> Option<Fold> {
        let lost = self.restored.as_ref().map(|(_, declaration)| declaration);
        let declaration = lost.or_else(|| Some(&self.reading.as_ref()?.declaration))?;
        // A claim for another pipeline role has no access in place for this one, also if it came after the reading.
        let role = self.reading.as_ref().map(|reading| &reading.role);
        let claims = self.claims.values().filter(|claim| Some(&claim.pipeline_role) == role && may(claim));
        Some(fold::fold(declaration, &self.settings.pipeline.region, claims))
    }

    /// Somebody's version that ours replaced, and that ours holds all the same, need not be brought back.
    fn forget_what_is_not_lost(&mut self) {
        if self.restored.is_none() {
            return;
        }
        let (Some(fold), Some(reading)) = (self.fold(|_| true), &self.reading) else { return };
        if pipeline_edit::is_kept_as(&fold.declaration, &reading.declaration, &self.settings.pipeline.region) {
            self.restored = None;
        }
    }

    fn checked(
        &mut self,
        answer: Result<Occupancy, E>,
        now: Timestamp,
        look: &impl LastLook,
        effects: &mut Vec<Effect<E>>,
    ) {
        let State::Checking { planned } = self.state else { return };
        let occupancy = match answer {
            Ok(occupancy) => occupancy,
            Err(error) => return self.failed(error, now, effects),
        };
        let verdict = {
            let reading = self.reading.as_ref();
            let is_ours = |stage: &str, action: &str| {
                reading.is_some_and(|read| fold::is_ours(&read.declaration, stage, action, self.claims.values()))
            };
            occupancy.verdict(now, self.settings.hold_after_failure, is_ours)
        };
        // A pipeline that nobody may write at all need not be read again.
        let may_go_on = match &verdict {
            Verdict::Free => true,
            Verdict::Busy { .. } | Verdict::NotLookedThrough => false,
            Verdict::Held { .. } => self.claims.values().any(|claim| claim.closes_gate),
        };
        match (may_go_on, planned) {
            (false, _) => self.wait_for_pipeline(&verdict, now, effects),
            (true, false) => self.begin_reading(effects),
            (true, true) => self.write(&verdict, now, look, effects),
        }
    }

    pub(super) fn wait_for_pipeline(&mut self, verdict: &Verdict, now: Timestamp, effects: &mut Vec<Effect<E>>) {
        let until = match verdict {
            Verdict::Held { until, .. } => (*until).min(now + self.settings.idle_poll),
            Verdict::NotLookedThrough => now + STALE_READ.min(self.settings.idle_poll),
            _ => now + self.settings.idle_poll,
        };
        for (uid, changes) in self.changes() {
            self.say(&uid, Waiting::Pipeline { verdict: verdict.clone(), changes }, effects);
        }
        self.wait(until, Next::Check, effects);
    }

    /// When the next correction is due, if these claims are nothing but corrections and that is later than now. What ours
    /// replaced comes back at once, with all that is in ours.
    pub(super) fn hold_of_corrections<'a>(
        &self,
        claims: impl IntoIterator<Item = &'a Claim>,
        now: Timestamp,
        look: &impl LastLook,
    ) -> Option<Timestamp> {
        if self.restored.is_some() || claims.into_iter().any(|claim| !claim.corrects) {
            return None;
        }
        Corrections::hold(self.known_corrections(look), self.settings.corrections, now)
    }

    pub(super) fn known_corrections(&self, look: &impl LastLook) -> Option<Corrections> {
        let told = look.corrections();
        self.corrections.map(|own| own.and(told)).or(told)
    }

    /// What is no correction waits for the pipeline, if for anything, and is asked about as often as ever.
    pub(super) fn wait_to_correct(
        &mut self,
        until: Timestamp,
        others: Option<(&Verdict, Timestamp)>,
        effects: &mut Vec<Effect<E>>,
    ) {
        for (uid, changes) in self.changes() {
            let waiting = match others.filter(|_| self.claims.get(&uid).is_some_and(|claim| !claim.corrects)) {
                Some((verdict, _)) => Waiting::Pipeline { verdict: verdict.clone(), changes },
                None => Waiting::Correction { until, changes },
            };
            self.say(&uid, waiting, effects);
        }
        let is_all = self.claims.values().all(|claim| claim.corrects);
        let next = others.filter(|_| !is_all).map_or(until, |(_, next)| until.min(next));
        self.wait(next, Next::Correct, effects);
    }

    /// What would change for each claim.
    fn changes(&self) -> Vec<(String, Vec<String>)> {
        let fold = self.fold(|_| true);
        let of = |uid: &String| match fold.as_ref().and_then(|fold| fold.folded.get(uid)) {
            Some(Folded::Changed(changes)) => changes.clone(),
            _ => Vec::new(),
        };
        self.claims.keys().map(|uid| (uid.clone(), of(uid))).collect()
    }

    pub(super) fn wait(&mut self, until: Timestamp, then: Next, effects: &mut Vec<Effect<E>>) {
        self.state = State::Waiting { until, then };
        effects.push(Effect::WakeAt(until));
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }
}
