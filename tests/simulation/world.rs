//! A world: one pipeline, its objects, and one process at a time whose machine is under test. Time is a number in a queue of
//! events, so that every run of a history is the same.

use std::{collections::BTreeMap, rc::Rc};

use crossinvoke::{
    domain::{
        observed::{Pipeline, Resource},
        own_writes::OwnWrites,
        pipeline_edit::Json,
    },
    engine::pipeline::{Effect, Failure, Input, Machine, Outcome, Permit, Settings},
};

use super::{
    aws::{Aws, Run, Status, Version, foreign, owner, role_of, time},
    checks::{Checked, Checks, Failed, Sent},
    history::{History, MINUTE, Millis, SECOND, Step, WriteFault},
    objects::{Object, Objects},
    process::{Process, Told},
};

pub(crate) const HOLD: Millis = 10 * MINUTE;
/// When the answer to a call that brings none is given up.
const TIMES_OUT: Millis = 10 * SECOND;
/// After all trouble is over the world goes on for this long.
const QUIET: Millis = 60 * MINUTE;

pub(crate) type Error = &'static str;

#[derive(Debug)]
enum Event {
    Step(usize),
    /// A call of a process reaches AWS.
    Arrives(u32, Call),
    Answered(u32, Box<Input<Error>>, Option<Checked>),
    Woken(u32, Millis),
    Look(u32, usize),
    Begins {
        clean: bool,
    },
    Quiet,
}

#[derive(Debug)]
enum Call {
    Read,
    Version(i64),
    Check,
    Write { sent: Rc<Sent>, declaration: Json, is_answered: bool },
}

/// What came of a world.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) events: usize,
    pub(crate) effects: usize,
    pub(crate) versions: usize,
    pub(crate) restored: usize,
}

pub(crate) struct World<'a> {
    history: &'a History,
    now: Millis,
    queue: BTreeMap<(Millis, u64), Event>,
    events: u64,
    aws: Aws,
    objects: Objects,
    incarnations: u32,
    process: Option<Process>,
    processes: u32,
    checks: Checks,
    lag: Option<(Millis, u64)>,
    latency: Millis,
    next_write: Option<WriteFault>,
    next_call_fails: bool,
    role_refused: BTreeMap<usize, Millis>,
    action_refused: BTreeMap<usize, Millis>,
    figures: Figures,
    log: Option<Vec<String>>,
}

/// Runs a history to its end.
pub(crate) fn run(history: &History) -> Result<Figures, Failed> {
    World::new(history, None).run().0
}

/// Runs it and writes down what happens.
pub(crate) fn run_aloud(history: &History) -> (Result<Figures, Failed>, Vec<String>) {
    let (result, log) = World::new(history, Some(Vec::new())).run();
    (result, log.unwrap_or_default())
}

impl<'a> World<'a> {
    fn new(history: &'a History, log: Option<Vec<String>>) -> Self {
        let aws = Aws::new();
        let checks = Checks::new(&aws);
        Self {
            history,
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            aws,
            objects: Objects::default(),
            incarnations: 0,
            process: None,
            processes: 0,
            checks,
            lag: None,
            latency: 20,
            next_write: None,
            next_call_fails: false,
            role_refused: BTreeMap::new(),
            action_refused: BTreeMap::new(),
            figures: Figures::default(),
            log,
        }
    }

    fn run(mut self) -> (Result<Figures, Failed>, Option<Vec<String>>) {
        let result = self.go();
        (result.map(|()| self.figures), self.log)
    }

    fn go(&mut self) -> Result<(), Failed> {
        self.put(0, Event::Begins { clean: true });
        for (index, timed) in self.history.steps.iter().enumerate() {
            self.put(timed.at, Event::Step(index));
        }
        let quiet = self.history.steps.iter().map(|timed| timed.at).max().unwrap_or_default() + SECOND;
        self.put(quiet, Event::Quiet);
        let end = quiet + QUIET;
        while let Some((at, event)) = self.next() {
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.figures.events += 1;
            self.happens(event)?;
            self.checks.process_goes_on(self.process.as_ref())?;
        }
        self.now = end;
        self.figures.versions = self.checks.versions;
        self.checks.at_the_end(&self.aws, &self.objects, self.process.as_ref(), self.now)
    }

    /// The next event, or the one after it where the history says so.
    fn next(&mut self) -> Option<(Millis, Event)> {
        let ((at, _), event) = self.queue.pop_first()?;
        let is_swapped = self.history.swapped.contains(&self.figures.events);
        let second = || self.queue.first_key_value().map(|((second, _), _)| *second);
        match second().filter(|second| is_swapped && second.saturating_sub(at) < 5 * SECOND) {
            Some(second_at) => {
                let (_, second) = self.queue.pop_first()?;
                self.put(second_at, event);
                Some((second_at, second))
            }
            None => Some((at, event)),
        }
    }

    fn put(&mut self, at: Millis, event: Event) {
        self.events += 1;
        self.queue.insert((at, self.events), event);
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{:>8}.{:03} s  {}", now / SECOND, now % SECOND, what()));
        }
    }

    fn happens(&mut self, event: Event) -> Result<(), Failed> {
        let of = match &event {
            Event::Answered(process, ..) | Event::Woken(process, _) | Event::Look(process, _) => Some(*process),
            _ => None,
        };
        if let Some(of) = of {
            let Some(process) = self.process.as_ref().filter(|process| process.id == of) else { return Ok(()) };
            if process.stalled_until > self.now {
                let at = process.stalled_until;
                self.put(at, event);
                return Ok(());
            }
        }
        match event {
            Event::Step(index) => self.step(self.history.steps[index].step)?,
            Event::Arrives(process, call) => self.arrives(process, call)?,
            Event::Answered(_, input, checked) => self.answered(*input, checked)?,
            Event::Woken(_, at) => {
                let process = self.process.as_mut().filter(|process| process.wake == Some(at));
                if let Some(process) = process {
                    process.wake = None;
                    self.input(Input::Woken)?;
                }
            }
            Event::Look(_, object) => self.look(object)?,
            Event::Begins { clean } => self.begins(clean),
            Event::Quiet => self.quiet()?,
        }
        Ok(())
    }

    fn begins(&mut self, clean: bool) {
        self.processes += 1;
        let machine = Machine::new(Settings {
            region: "eu-west-1".parse().expect("a region"),
            collect: std::time::Duration::from_secs(3),
            collect_max: std::time::Duration::from_secs(30),
            idle_poll: std::time::Duration::from_secs(30),
            hold_after_failure: std::time::Duration::from_millis(HOLD),
        });
        self.process = Some(Process::new(self.processes, machine, self.now, clean));
        self.say(|| "a process begins".to_owned());
        for object in self.objects.0.values_mut() {
            object.looked = 0;
        }
        self.look_at_all();
    }

    fn look_at_all(&mut self) {
        let objects: Vec<usize> = self.objects.0.keys().copied().collect();
        for (place, object) in objects.into_iter().enumerate() {
            self.look_soon(object, 100 + 50 * place as Millis);
        }
    }

    fn look_soon(&mut self, object: usize, after: Millis) {
        let at = self.now + after;
        let Some(process) = &mut self.process else { return };
        if process.looks.get(&object).is_none_or(|known| *known > at) {
            process.looks.insert(object, at);
            let id = process.id;
            self.put(at, Event::Look(id, object));
        }
    }

    fn crash(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.say(|| "the process crashes".to_owned());
        self.checks.crashed(&process);
        self.put(self.now + 5 * SECOND, Event::Begins { clean: false });
    }

    fn step(&mut self, step: Step) -> Result<(), Failed> {
        self.say(|| format!("step: {step:?}"));
        match step {
            Step::Declare(index, wish) => {
                match self.objects.0.get_mut(&index) {
                    Some(object) if object.leaving || object.wish == wish => return Ok(()),
                    Some(object) => object.declare(wish),
                    None => {
                        self.incarnations += 1;
                        self.objects.0.insert(index, Object::new(index, self.incarnations, self.now, wish));
                    }
                }
                self.checks.goals += 1;
                self.look_soon(index, 100);
            }
            Step::Delete(index) => {
                if let Some(object) = self.objects.0.get_mut(&index).filter(|object| !object.leaving) {
                    object.leaving = true;
                    object.generation += 1;
                    self.checks.goals += 1;
                    self.look_soon(index, 100);
                }
            }
            Step::Grant(index, granted) => {
                if let Some(object) = self.objects.0.get_mut(&index) {
                    self.checks.goals += usize::from(object.is_granted != granted);
                    object.is_granted = granted;
                    self.look_soon(index, 100);
                }
            }
            Step::Person(edit) => {
                if self.aws.edit(edit, self.now) {
                    self.checks.edited(&self.aws);
                    let version = self.aws.newest().map_or(0, |newest| newest.number);
                    self.say(|| format!("somebody made version {version}"));
                }
            }
            Step::DeletePipeline => self.aws.delete(self.now),
            Step::MakePipeline if self.aws.newest().is_none() => {
                self.aws.make(self.now);
                self.checks.made(&self.aws, self.now);
            }
            Step::MakePipeline => {}
            Step::Lag { by, pattern } => self.lag = Some((by, pattern)),
            Step::Latency(latency) => self.latency = latency,
            Step::NextWrite(fault) => self.next_write = Some(fault),
            Step::NextCallFails => self.next_call_fails = true,
            Step::RoleRefused(object, long) => _ = self.role_refused.insert(object, self.now + long),
            Step::ActionRefused(object, long) => _ = self.action_refused.insert(object, self.now + long),
            Step::Crash => self.crash(),
            Step::Restart => self.terminate()?,
            Step::Stall(long) => {
                if let Some(process) = &mut self.process {
                    process.stalled_until = self.now + long;
                }
            }
            _ => self.execution(step),
        }
        Ok(())
    }

    fn execution(&mut self, step: Step) {
        let (now, newest) = (self.now, self.aws.newest().cloned());
        let Some(newest) = newest else { return };
        if step == Step::Start {
            let (status, failed) = (Status::InProgress, None);
            return self.aws.runs.push(Run { started: now, updated: now, status, failed, failed_in_ours: false });
        }
        let ours = || {
            let stages = newest.declaration.list("stages").iter();
            let mut actions = stages.flat_map(|stage| stage.list("actions").iter().map(move |action| (stage, action)));
            let (stage, action) = actions.find(|(_, action)| owner(action).is_some())?;
            Some((stage.text("name").to_owned(), action.text("name").to_owned()))
        };
        let Some(run) = self.aws.running() else { return };
        run.updated = now;
        match step {
            Step::Finish => run.status = Status::Succeeded,
            Step::Stop => run.status = Status::Stopping,
            Step::Stopped => run.status = Status::Stopped,
            Step::Fail { in_ours } => {
                let ours = in_ours.then(ours).flatten();
                run.status = Status::Failed;
                run.failed_in_ours = ours.is_some();
                run.failed = Some(ours.unwrap_or_else(|| ("Build".to_owned(), "Make".to_owned())));
            }
            _ => {}
        }
    }

    fn terminate(&mut self) -> Result<(), Failed> {
        self.input(Input::Terminate)?;
        if let Some(process) = &mut self.process {
            process.is_ending = true;
            if process.writes_in_flight == 0 {
                self.ends();
            }
        }
        Ok(())
    }

    fn ends(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.checks.crashed(&process);
        self.put(self.now + SECOND, Event::Begins { clean: process.is_settled(self.now) });
    }

    /// From here on nothing goes wrong and nobody does anything.
    fn quiet(&mut self) -> Result<(), Failed> {
        self.say(|| "quiet".to_owned());
        (self.lag, self.next_write, self.next_call_fails, self.latency) = (None, None, false, 20);
        self.role_refused.clear();
        self.action_refused.clear();
        if let Some(process) = &mut self.process {
            process.stalled_until = 0;
        }
        for run in self.aws.runs.iter_mut().filter(|run| run.is_unfinished()) {
            (run.status, run.updated) = (Status::Succeeded, self.now);
        }
        self.step(Step::MakePipeline)
    }

    /// What a read shows now.
    fn sample(&mut self) -> Option<Rc<Version>> {
        let mut behind = 0;
        if let Some((by, pattern)) = &mut self.lag {
            behind = if *pattern & 1 == 1 { *by } else { 0 };
            *pattern >>= 1;
        }
        self.aws.at(self.now.saturating_sub(behind))
    }

    fn arrives(&mut self, process: u32, call: Call) -> Result<(), Failed> {
        let fails = !matches!(call, Call::Write { .. }) && std::mem::take(&mut self.next_call_fails);
        let (input, checked) = match call {
            Call::Read if fails => (Input::Read(Err("unavailable")), None),
            Call::Version(_) if fails => (Input::ReadVersion(Err("unavailable")), None),
            Call::Check if fails => (Input::Checked(Err("unavailable")), None),
            Call::Read => (Input::Read(Ok(self.sample().map(|version| version.read()))), None),
            Call::Version(number) => {
                (Input::ReadVersion(Ok(self.aws.version(number).map(|version| version.read()))), None)
            }
            Call::Check => {
                let checked = Checked::of(&self.aws, self.now);
                (Input::Checked(Ok(self.aws.occupancy())), Some(checked))
            }
            Call::Write { sent, declaration, is_answered } => {
                let answer = self.update(&sent, declaration)?;
                if !is_answered {
                    return Ok(());
                }
                (Input::Wrote(answer), None)
            }
        };
        self.put(self.now + self.latency, Event::Answered(process, Box::new(input), checked));
        Ok(())
    }

    fn update(&mut self, sent: &Sent, declaration: Json) -> Result<Result<Pipeline, Failure<Error>>, Failed> {
        let refused =
            |role, of_declaration| Ok(Err(Failure::Refused { role, of_declaration, error: "refused by AWS" }));
        let is_in = |object: &usize| !super::aws::ours(&declaration, *object).is_empty();
        let now = self.now;
        let because = |refusing: &BTreeMap<usize, Millis>| {
            refusing.iter().find(|(object, until)| **until > now && is_in(object)).map(|(object, _)| *object)
        };
        if let Some(object) = because(&self.role_refused) {
            return refused(Some(role_of(object)), true);
        }
        if because(&self.action_refused).is_some() {
            return refused(None, true);
        }
        let before = self.aws.newest().cloned();
        self.checks.arrives(sent, &self.aws, self.now)?;
        let Some(made) = self.aws.update(declaration, self.now) else { return refused(None, false) };
        self.checks.applied(sent, before.as_deref(), &made);
        let is_lost = before.is_some_and(|before| foreign(&before.declaration) != foreign(&made.declaration));
        self.say(|| {
            format!(
                "AWS makes version {} of an update planned on {}; another's edit is lost: {is_lost}",
                made.number, sent.base
            )
        });
        Ok(Ok(Pipeline { unread: true, ..made.read() }))
    }

    fn answered(&mut self, input: Input<Error>, checked: Option<Checked>) -> Result<(), Failed> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        process.outstanding = false;
        process.note(&input, checked, now);
        self.input(input)?;
        if self.process.as_ref().is_some_and(|process| process.is_ending && process.writes_in_flight == 0) {
            self.ends();
        }
        Ok(())
    }

    fn input(&mut self, input: Input<Error>) -> Result<(), Failed> {
        let now = time(self.now);
        let Some(process) = &mut self.process else { return Ok(()) };
        let what = self.log.is_some().then(|| brief(&input));
        let effects = process.machine.step(input, now, &self.objects);
        if let Some(what) = what {
            self.say(|| what);
        }
        for effect in effects {
            self.figures.effects += 1;
            self.carry_out(effect)?;
            if self.history.crash_after == Some(self.figures.effects) {
                self.crash();
                return Ok(());
            }
        }
        if let Some(process) = &mut self.process {
            // A check counts in the step that takes it.
            process.checked = None;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect<Error>) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let id = process.id;
        let call = match effect {
            Effect::WakeAt(at) => {
                let at = u64::try_from(at.as_millisecond() - time(0).as_millisecond()).unwrap_or(0).max(self.now);
                process.wake = Some(at);
                self.put(at, Event::Woken(id, at));
                return Ok(());
            }
            Effect::Outcome(uid, outcome) => return self.tell(&uid, &outcome),
            Effect::Read => Call::Read,
            Effect::ReadVersion(version) => {
                self.figures.restored += 1;
                Call::Version(version)
            }
            Effect::Check => Call::Check,
            Effect::Write(permit) => return self.send(permit),
        };
        self.checks.one_call_at_a_time(process)?;
        process.outstanding = true;
        self.say(|| format!("  {call:?}"));
        self.put(self.now + self.latency, Event::Arrives(id, call));
        Ok(())
    }

    fn send(&mut self, permit: Permit) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        self.checks.one_call_at_a_time(process)?;
        let update = permit.into_update();
        let sent =
            Rc::new(self.checks.sends(&update, process, (&self.aws, &self.objects), self.history.objects, self.now)?);
        process.outstanding = true;
        process.sends(update.base, self.now);
        let (id, base, declaration) = (process.id, update.base, update.declaration);
        let fault = self.next_write.take();
        self.say(|| format!("  Write planned on version {base}, {fault:?}"));
        let unknown = |what| Box::new(Input::Wrote(Err(Failure::Unknown(what))));
        let arrives = match fault {
            None => Some((self.latency, true)),
            Some(WriteFault::LostAfter) => Some((self.latency, false)),
            Some(WriteFault::Late(seconds)) => Some((Millis::from(seconds) * SECOND, false)),
            Some(WriteFault::LostBefore | WriteFault::Throttled) => None,
        };
        if let Some((after, is_answered)) = arrives {
            self.checks.late_until = self.checks.late_until.max(self.now + after);
            self.put(self.now + after, Event::Arrives(id, Call::Write { sent, declaration, is_answered }));
        }
        match fault {
            None => {}
            Some(WriteFault::Throttled) => {
                let failure = Failure::Refused { role: None, of_declaration: false, error: "throttled" };
                self.put(self.now + self.latency, Event::Answered(id, Box::new(Input::Wrote(Err(failure))), None));
            }
            Some(_) => {
                self.checks.lost += 1;
                self.put(self.now + TIMES_OUT, Event::Answered(id, unknown("no answer"), None));
            }
        }
        Ok(())
    }

    fn tell(&mut self, uid: &str, outcome: &Outcome<Error>) -> Result<(), Failed> {
        let what = self.log.is_some().then(|| short(&format!("  {uid}: {outcome:?}")));
        if let Some(what) = what {
            self.say(|| what);
        }
        self.checks.told(outcome);
        let Some(process) = &mut self.process else { return Ok(()) };
        let Some((_, told)) = process.claims.get_mut(uid) else { return Ok(()) };
        let Some(index) = self.objects.by_uid(uid).map(|object| object.index) else { return Ok(()) };
        *told = if matches!(outcome, Outcome::Waiting(_)) { Told::Waits } else { Told::Ended };
        let after = match outcome {
            Outcome::Waiting(_) => return Ok(()),
            Outcome::InPlace | Outcome::Written(_) | Outcome::Stale => SECOND,
            Outcome::Failed(_) => 5 * SECOND,
            Outcome::Refused { .. } => 30 * SECOND,
            Outcome::Blocked(_) => MINUTE,
            Outcome::Unreached { .. } | Outcome::ForeignWriter { .. } => 2 * MINUTE,
        };
        self.look_soon(index, after);
        Ok(())
    }

    /// An object looks at the pipeline and claims what differs.
    fn look(&mut self, index: usize) -> Result<(), Failed> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.looks.get(&index) != Some(&now) && process.looks.get(&index).is_some_and(|at| *at > now) {
            return Ok(());
        }
        process.looks.remove(&index);
        let Some(object) = self.objects.0.get_mut(&index).filter(|_| !process.is_ending) else { return Ok(()) };
        object.looked = object.generation;
        let (uid, is_free) = (object.uid(), object.is_granted || object.leaving);
        if !is_free {
            self.look_soon(index, MINUTE);
            return self.withdraw(&uid);
        }
        let Some(read) = self.sample().map(|version| version.read()) else {
            self.look_soon(index, MINUTE);
            return self.absent(index, &uid);
        };
        let (Some(process), resource) = (&mut self.process, resource()) else { return Ok(()) };
        let state = Some(read.version.to_string());
        process.writes.note_read(&resource, &state);
        if self.history.objects_remember && process.writes.is_stale(&resource, &state, time(now)) {
            self.look_soon(index, 5 * SECOND);
            return self.withdraw(&uid);
        }
        let (object, region) = (&self.objects.0[&index], "eu-west-1".parse().expect("a region"));
        match object.goal(&self.objects.others(object)).edit(&read.declaration, &region) {
            Ok(None) if object.leaving => {
                self.look_soon(index, 30 * SECOND);
                self.absent(index, &uid)
            }
            Ok(None) => {
                process.settled.insert(uid.clone(), object.place());
                self.look_soon(index, 5 * MINUTE);
                self.withdraw(&uid)
            }
            Err(_) => {
                self.look_soon(index, MINUTE);
                self.withdraw(&uid)
            }
            Ok(Some(edited)) => {
                let others = self.objects.others(object);
                let made = edited.stage_made || others.iter().any(|other| other.made().contains(object.wish.stage));
                if let Some(object) = self.objects.0.get_mut(&index).filter(|object| !object.leaving) {
                    object.record(made);
                }
                self.look_soon(index, MINUTE);
                self.claim(index, &read)
            }
        }
    }

    /// The action of an object that is leaving is not to be seen. That it is gone is known when nothing can bring it back.
    fn absent(&mut self, index: usize, uid: &str) -> Result<(), Failed> {
        let is_leaving = self.objects.0.get(&index).is_some_and(|object| object.leaving);
        if is_leaving && self.process.as_ref().is_some_and(|process| process.is_settled(self.now)) {
            self.objects.0.remove(&index);
            self.say(|| format!("object {index} is gone"));
        }
        self.withdraw(uid)
    }

    fn claim(&mut self, index: usize, read: &Pipeline) -> Result<(), Failed> {
        let object = &self.objects.0[&index];
        let goal = object.goal(&self.objects.others(object));
        let Some(process) = &mut self.process else { return Ok(()) };
        let closes_gate = !object.leaving && process.settled.get(&object.uid()) == Some(&object.place());
        let claim = object.claim(goal, read, closes_gate);
        let goes_on = |(known, told): &(_, Told)| *told == Told::Waits && claim.asks_the_same(known);
        if process.claims.get(&claim.uid).is_some_and(goes_on) {
            return Ok(());
        }
        process.claims.insert(claim.uid.clone(), (claim.clone(), Told::Waits));
        self.input(Input::Claim(Box::new(claim)))
    }

    fn withdraw(&mut self, uid: &str) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.claims.remove(uid).is_none() {
            return Ok(());
        }
        self.input(Input::Withdraw(uid.to_owned()))
    }
}

pub(crate) fn resource() -> Resource {
    Resource::Pipeline {
        account: "111111111111".parse().expect("an account"),
        region: "eu-west-1".parse().expect("a region"),
        name: "release".parse().expect("a name"),
    }
}

/// What a process that has just begun remembers.
pub(crate) fn no_writes() -> OwnWrites {
    OwnWrites::default()
}

fn brief(input: &Input<Error>) -> String {
    match input {
        Input::Claim(claim) => format!(
            "claim of {}: {}, closes a gate: {}, saw version {}",
            claim.uid,
            claim.role().map_or("none", |_| "an action"),
            claim.closes_gate,
            claim.seen_version
        ),
        Input::Read(Ok(Some(read))) => format!("read: version {}", read.version),
        Input::ReadVersion(Ok(Some(read))) => format!("read for its own sake: version {}", read.version),
        Input::Wrote(Ok(read)) => format!("written: version {}", read.version),
        Input::Checked(Ok(occupancy)) => format!("checked: busy {}", occupancy.is_busy()),
        other => short(&format!("{other:?}")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}
