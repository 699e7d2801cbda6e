//! A world: one pipeline, its objects, and one process at a time whose machine is under test. Time is a number in a queue of
//! events, so that every run of a history is the same.

mod aws_side;
mod object_side;

use std::{collections::BTreeMap, rc::Rc};

use crossinvoke::{
    domain::{ids::PipelineKey, observed::Resource, own_writes::OwnWrites, pipeline_edit::Json, spacing::Window},
    engine::pipeline::{Effect, Failure, Input, Machine, Permit, Settings},
};

use super::{
    aws::{Aws, Status, time},
    checks::{Checked, Checks, Failed, Sent},
    history::{History, MINUTE, Millis, SECOND, Step, WriteFault},
    objects::{Object, Objects},
    process::Process,
};

pub(crate) const HOLD: Millis = 10 * MINUTE;
/// How far apart corrections are.
pub(crate) const WINDOW: Window =
    Window { first: std::time::Duration::from_mins(2), most: std::time::Duration::from_mins(15) };
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
            Checks::process_goes_on(self.process.as_ref())?;
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
            pipeline: pipeline(),
            collect: std::time::Duration::from_secs(3),
            collect_max: std::time::Duration::from_secs(30),
            idle_poll: std::time::Duration::from_secs(30),
            hold_after_failure: std::time::Duration::from_millis(HOLD),
            corrections: WINDOW,
        });
        self.objects.1 = self.now;
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

    fn terminate(&mut self) -> Result<(), Failed> {
        self.input(Input::Terminate)?;
        if let Some(process) = &mut self.process {
            process.is_ending = true;
            if process.writes_in_flight == 0 {
                self.ends()?;
            }
        }
        Ok(())
    }

    fn ends(&mut self) -> Result<(), Failed> {
        let Some(process) = self.process.take() else { return Ok(()) };
        self.say(|| "the process ends".to_owned());
        self.checks.ends(&process)?;
        self.checks.crashed(&process);
        self.put(self.now + SECOND, Event::Begins { clean: process.is_settled(self.now) });
        Ok(())
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

    fn answered(&mut self, input: Input<Error>, checked: Option<Checked>) -> Result<(), Failed> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        process.outstanding = false;
        process.note(&input, checked, now);
        if matches!(input, Input::Wrote(Err(Failure::Refused { .. }))) {
            self.checks.refused();
        }
        self.input(input)?;
        if self.process.as_ref().is_some_and(|process| process.is_ending && process.writes_in_flight == 0) {
            self.ends()?;
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
        Checks::one_call_at_a_time(process)?;
        process.outstanding = true;
        self.say(|| format!("  {call:?}"));
        self.put(self.now + self.latency, Event::Arrives(id, call));
        Ok(())
    }

    fn send(&mut self, permit: Permit) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        Checks::one_call_at_a_time(process)?;
        let update = permit
            .spend(&pipeline(), time(self.now))
            .map_err(|void| Failed { invariant: "a permit holds when the update is sent", detail: void.to_string() })?;
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
            Some(WriteFault::LostBefore | WriteFault::Throttled | WriteFault::Void) => None,
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
            Some(WriteFault::Void) => {
                let answer = Box::new(Input::Wrote(Err(Failure::NotSent)));
                self.put(self.now, Event::Answered(id, answer, None));
            }
            Some(_) => {
                self.checks.lost += 1;
                self.put(self.now + TIMES_OUT, Event::Answered(id, unknown("no answer"), None));
            }
        }
        Ok(())
    }
}

pub(crate) fn pipeline() -> PipelineKey {
    PipelineKey {
        account: "111111111111".parse().expect("an account"),
        region: "eu-west-1".parse().expect("a region"),
        name: "release".parse().expect("a name"),
    }
}

pub(crate) fn resource() -> Resource {
    let PipelineKey { account, region, name } = pipeline();
    Resource::Pipeline { account, region, name }
}

/// What a process that has just begun remembers.
pub(crate) fn no_writes() -> OwnWrites {
    OwnWrites::default()
}

fn brief(input: &Input<Error>) -> String {
    match input {
        Input::Claim(claim) => format!(
            "claim of {}: {}, closes a gate: {}, saw version {}",
            claim.basis.uid,
            claim.role().map_or("none", |_| "an action"),
            claim.closes_gate,
            claim.seen_version
        ),
        Input::Read(Ok(Some(read))) => format!("read: version {}", read.version),
        Input::ReadVersion(Ok(Some(read))) => format!("read for its own sake: version {}", read.version),
        Input::Wrote(Ok(read)) => format!("written: version {}", read.version),
        Input::Checked(Ok(occupancy)) => {
            format!(
                "checked: busy {}",
                occupancy.executions.iter().any(crossinvoke::domain::occupancy::Execution::is_unfinished)
            )
        }
        other => short(&format!("{other:?}")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
}
