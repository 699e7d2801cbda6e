//! What has to hold: at every update that is sent, at every one that AWS takes, and when all is quiet.

use crossinvoke::{
    domain::{pipeline_edit::Json, spacing::Corrections},
    engine::pipeline::{Outcome, Update},
};

use super::{
    aws::{Aws, Status, Version, foreign, ours, role_of, time},
    history::{MINUTE, Millis},
    objects::{Object, Objects},
    process::{Process, Told},
    world::{Error, HOLD, WINDOW},
};

/// An invariant that was broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failed {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

fn failed<T>(invariant: &'static str, detail: impl Into<String>) -> Result<T, Failed> {
    Err(Failed { invariant, detail: detail.into() })
}

/// What was so when AWS answered a check.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) sampled: Millis,
    /// When the machine took the answer.
    pub(crate) taken: Millis,
    pub(crate) is_busy: bool,
    /// Until when somebody may want to retry; only where something of theirs failed.
    pub(crate) held_until: Option<Millis>,
}

impl Checked {
    pub(crate) fn of(aws: &Aws, now: Millis) -> Self {
        let newest = aws.runs.last();
        let retryable =
            newest.filter(|run| matches!(run.status, Status::Failed | Status::Stopped) && !run.failed_in_ours);
        Self {
            sampled: now,
            taken: now,
            is_busy: aws.runs.iter().any(super::aws::Run::is_unfinished),
            held_until: retryable.map(|run| run.updated + HOLD),
        }
    }
}

/// An update on its way.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) base: i64,
    process: u32,
    checked: Millis,
    at: Millis,
}

#[derive(Debug)]
pub(crate) struct Checks {
    /// What objects asked for, and how often.
    pub(crate) goals: usize,
    foreign_edits: usize,
    pub(crate) lost: usize,
    crashes: usize,
    pub(crate) versions: usize,
    last_sent: Millis,
    /// The corrections that the present process sent.
    corrections: Option<Corrections>,
    /// And those before the last update.
    corrections_before: Option<Corrections>,
    /// What is not ours, as somebody else left it.
    truth: String,
    /// The process whose update replaced that.
    replaced_by: Option<u32>,
    /// Whether nobody can know any more what was replaced, or somebody was told to see to it.
    is_excused: bool,
    ended: Vec<u32>,
    /// When the pipeline was made.
    made: Millis,
    /// Until when an update may be applied whose answer was lost.
    pub(crate) late_until: Millis,
    /// Until when the next process may take such an update of one that has ended for its own.
    ambiguous_until: Millis,
}

impl Checks {
    pub(crate) fn new(aws: &Aws) -> Self {
        Self {
            goals: 0,
            foreign_edits: 0,
            lost: 0,
            crashes: 0,
            versions: 0,
            last_sent: 0,
            corrections: None,
            corrections_before: None,
            truth: aws.newest().map(|newest| foreign(&newest.declaration)).unwrap_or_default(),
            replaced_by: None,
            is_excused: false,
            ended: Vec::new(),
            made: 0,
            late_until: 0,
            ambiguous_until: 0,
        }
    }

    /// Somebody else wrote.
    pub(crate) fn edited(&mut self, aws: &Aws) {
        self.foreign_edits += 1;
        self.truth = aws.newest().map(|newest| foreign(&newest.declaration)).unwrap_or_default();
        (self.replaced_by, self.is_excused) = (None, false);
    }

    /// Somebody made the pipeline again.
    pub(crate) fn made(&mut self, aws: &Aws, now: Millis) {
        self.made = now;
        self.edited(aws);
    }

    /// A process is gone, and with it what it knew.
    pub(crate) fn crashed(&mut self, process: &Process) {
        self.crashes += 1;
        self.corrections = None;
        self.ended.push(process.id);
        self.ambiguous_until = self.late_until + 5 * MINUTE;
        self.is_excused |= self.replaced_by == Some(process.id);
    }

    /// A process ends after its work: what it replaced, and knows of, it has told somebody who was there to be told.
    pub(crate) fn ends(&self, process: &Process) -> Result<(), Failed> {
        let knows = self.replaced_by == Some(process.id) && !self.is_excused && !process.machine.is_settling();
        let waiting = process.claims.iter().find(|(_, (_, told))| *told == Told::Waits);
        match waiting.filter(|_| knows) {
            Some((uid, _)) => {
                failed("what was replaced is told", format!("{uid} was told nothing: {:?}", process.machine))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn one_call_at_a_time(process: &Process) -> Result<(), Failed> {
        if process.outstanding {
            return failed("one call at a time", "the answer to another call is still awaited");
        }
        Ok(())
    }

    /// A machine that is not idle waits for an answer or for a time.
    pub(crate) fn process_goes_on(process: Option<&Process>) -> Result<(), Failed> {
        match process {
            Some(process) if !process.machine.is_idle() && !process.outstanding && process.wake.is_none() => {
                failed("never stuck", format!("waits for nothing: {:?}", process.machine))
            }
            _ => Ok(()),
        }
    }

    /// Right before an update leaves.
    pub(crate) fn sends(
        &mut self,
        update: &Update,
        process: &mut Process,
        (aws, objects): (&Aws, &Objects),
        count: usize,
        now: Millis,
    ) -> Result<Sent, Failed> {
        let Some(checked) = process.checked.take().filter(|checked| checked.taken == now) else {
            return failed("a check of its own", "it was not checked right before");
        };
        if checked.is_busy {
            return failed("nothing is cancelled", "the check showed something running");
        }
        let Some(read) = process.read.as_ref().filter(|read| read.version == update.base) else {
            return failed("planned on a reading", format!("version {} was not the last reading", update.base));
        };
        let restored: Option<&Json> = process.restored.as_ref().map(|restored| &*restored.declaration);
        let known: Vec<&Json> = std::iter::once(&*read.declaration).chain(restored).collect();
        let is_foreign_kept = known.iter().any(|known| foreign(known) == foreign(&update.declaration));
        if !is_foreign_kept {
            return failed("foreign members stay", "they are neither as read nor as somebody else left them");
        }
        // Whoever took it out is not overruled by bringing back what they wrote.
        let by_others = |index: usize| {
            let version = process.restored.as_ref().and_then(|restored| aws.version(restored.version - 1));
            let lacks = restored.is_some_and(|restored| ours(restored, index).is_empty());
            // A pipeline that was made anew has none of ours.
            lacks && version.is_none_or(|version| !ours(&version.declaration, index).is_empty())
        };
        let is_held = checked.held_until.is_some_and(|until| until > now);
        for index in 0..count {
            let object = objects.0.get(&index);
            let (before, after) = (ours(&read.declaration, index), ours(&update.declaration, index));
            let holds = object.is_some_and(|object| object.leaving || object.is_granted);
            let is_taken = !before.is_empty() && after.is_empty() && !by_others(index);
            if is_taken && holds && object.is_some_and(|object| !object.leaving) {
                return failed("what is in place stays", format!("the action of object {index} is taken away"));
            }
            if known.iter().any(|known| ours(known, index) == after) {
                continue;
            }
            let Some(object) = object.filter(|object| holds && is_wanted(object, &after)) else {
                return failed("only what holds now", format!("object {index} wants no {after:?} now: {object:?}"));
            };
            let claim = process.claims.get(&object.uid());
            if is_held && !claim.is_some_and(|(claim, _)| claim.closes_gate) {
                return failed("held is held", format!("object {index} closes no gate"));
            }
        }
        self.corrections_are_apart((&read.declaration, restored), update, (objects, count), now)?;
        self.last_sent = now;
        Ok(Sent { base: update.base, process: process.id, checked: checked.sampled, at: now })
    }

    /// Nothing but corrections is sent before their time. The first is due at once; the times double up to a most, and whoever
    /// begins knows what was recorded.
    fn corrections_are_apart(
        &mut self,
        (read, restored): (&Json, Option<&Json>),
        update: &Update,
        (objects, count): (&Objects, usize),
        now: Millis,
    ) -> Result<(), Failed> {
        self.corrections_before = self.corrections;
        // What ours replaced is brought back at once; it may hold an action that a process made before this one.
        let is_brought_back =
            |index: usize| restored.is_some_and(|restored| ours(restored, index) == ours(&update.declaration, index));
        let is_changed = |index: usize| ours(read, index) != ours(&update.declaration, index);
        let changed = || (0..count).filter(|index| is_changed(*index) && !is_brought_back(*index));
        let corrects = |index: &usize| objects.0.get(index).is_some_and(Object::corrects);
        let is_only = changed().all(|index| corrects(&index)) && foreign(read) == foreign(&update.declaration);
        if !changed().any(|index| corrects(&index)) {
            return Ok(());
        }
        let known =
            [self.corrections, objects.recorded()].into_iter().flatten().reduce(|one, other| one.and(Some(other)));
        if let Some(known) = known.filter(|_| is_only) {
            let doubled = WINDOW.first.saturating_mul(1 << (known.count - 1).min(10)).min(WINDOW.most);
            let due = known.last + doubled;
            if time(now) < due {
                return failed("corrections are apart", format!("one is sent before {due}: {known:?}"));
            }
        }
        let count = known.map_or(0, |known| known.count) + 1;
        self.corrections = Some(Corrections { count, last: time(now) });
        Ok(())
    }

    /// An update reaches AWS and will be applied.
    pub(crate) fn arrives(sent: &Sent, aws: &Aws, now: Millis) -> Result<(), Failed> {
        let cancelled = aws.runs.iter().find(|run| run.is_unfinished() && run.started < sent.checked);
        match cancelled {
            Some(run) => failed("nothing is cancelled", format!("{run:?} is cancelled at {now}")),
            None => Ok(()),
        }
    }

    /// AWS did not take the last update: it corrected nothing.
    pub(crate) fn refused(&mut self) {
        self.corrections = self.corrections_before;
    }

    pub(crate) fn applied(&mut self, sent: &Sent, before: Option<&Version>, made: &Version) -> Result<(), Failed> {
        self.versions += 1;
        let is_same =
            |before: &&Version| before.number == sent.base && without_version(before) == without_version(made);
        if let Some(before) = before.filter(is_same) {
            return failed("no version for nothing", format!("version {} is as {} was", made.number, before.number));
        }
        let after = foreign(&made.declaration);
        if after == self.truth {
            (self.replaced_by, self.is_excused) = (None, false);
        } else if before.is_some_and(|before| foreign(&before.declaration) != after) {
            self.replaced_by = Some(sent.process);
            // Nobody is left who could know it; or a new pipeline stands at the version that the old one had.
            self.is_excused |= self.ended.contains(&sent.process)
                || sent.at < self.ambiguous_until.max(self.made)
                || before.is_some_and(|before| before.number == sent.base);
        }
        Ok(())
    }

    pub(crate) fn told(&mut self, outcome: &Outcome<Error>) {
        if matches!(outcome, Outcome::ForeignWriter { .. }) {
            self.is_excused = true;
        }
    }

    pub(crate) fn at_the_end(
        &self,
        aws: &Aws,
        objects: &Objects,
        process: Option<&Process>,
        now: Millis,
    ) -> Result<(), Failed> {
        let Some(process) = process else { return failed("never stuck", "there is no process") };
        let Some(newest) = aws.newest() else { return failed("quiet", "there is no pipeline") };
        if let Some((uid, _)) = process.claims.iter().find(|(_, (_, told))| *told == Told::Waits) {
            return failed("every claim is answered", format!("{uid} still waits: {:?}", process.machine));
        }
        if self.last_sent + 20 * MINUTE > now {
            return failed("quiet", format!("an update was sent at {}", self.last_sent));
        }
        if !self.is_excused && foreign(&newest.declaration) != self.truth {
            return failed(
                "foreign edits come back",
                format!("{} instead of {}", foreign(&newest.declaration), self.truth),
            );
        }
        for index in 0..8 {
            let found = ours(&newest.declaration, index);
            let is_right = match objects.0.get(&index) {
                None => found.is_empty(),
                Some(object) if object.leaving => false,
                Some(object) if !object.is_granted => true,
                Some(object) => is_wanted(object, &found) || has_no_place(object, objects, newest),
            };
            if !is_right {
                return failed(
                    "what is declared is there",
                    format!("object {index}: {found:?}, {:?}", objects.0.get(&index)),
                );
            }
        }
        let most = self.goals + 2 * (self.foreign_edits + self.lost + self.crashes);
        if self.versions > most {
            return failed("no more versions than reasons", format!("{} versions for {most} reasons", self.versions));
        }
        Ok(())
    }
}

fn without_version(version: &Version) -> String {
    version.declaration.canonical().replacen(&format!("\"version\":{}", version.number), "", 1)
}

/// Whether these actions are what the object wants now.
fn is_wanted(object: &Object, actions: &[(String, String)]) -> bool {
    if object.leaving {
        return actions.is_empty();
    }
    let (stage, name) = object.place();
    let [(of, action)] = actions else { return false };
    let has = |text: String| action.contains(&text);
    *of == stage
        && has(format!("\"name\":\"{name}\""))
        && has(format!("\"FunctionName\":\"validate\",\"UserParameters\":\"{}\"", object.wish.parameters))
        && has(role_of(object.index).to_string())
}

/// Whether somebody else has the place that the object wants.
fn has_no_place(object: &Object, objects: &Objects, newest: &Version) -> bool {
    let (stage, name) = object.place();
    let taken = crossinvoke::domain::pipeline_edit::action_at(&newest.declaration, &stage, &name);
    let is_others = taken.is_some_and(|taken| super::aws::owner(taken) != Some(object.index));
    is_others && objects.0.contains_key(&object.index)
}
