//! A world: one role, its objects, and one process at a time whose machine is under test.

mod aws_side;
mod object_side;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crossinvoke::{
    domain::{
        ids::{Arn, RoleId},
        role_claims::{Facet, Reading},
    },
    engine::role::{Effect, Input, Machine, Outcome, Settings},
};
use serde_json::Value;

use super::{
    checks::{Checks, Failed, Own},
    history::{History, Step, Stray},
    model::{Object, Objects, Role, role_of_stray},
};
use crate::{
    aws::time,
    history::{MINUTE, Millis, SECOND, WriteFault},
};

/// When the answer to a call that brings none is given up.
const TIMES_OUT: Millis = 10 * SECOND;
/// After all trouble is over the world goes on for this long.
const QUIET: Millis = 60 * MINUTE;
const INTERVAL: Millis = 10 * MINUTE;

pub(crate) type Error = &'static str;

#[derive(Debug)]
enum Event {
    Step(usize),
    ReadArrives(u32, BTreeSet<Facet>, Millis),
    WriteArrives { process: u32, facet: Facet, document: Option<Value>, is_answered: bool, shown: Reading },
    Answered(u32, Input<Error>),
    Woken(u32, Millis),
    Look(u32, usize, Millis),
    Begins,
    Quiet,
}

/// What came of a world.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) events: usize,
    pub(crate) effects: usize,
    pub(crate) writes: usize,
}

struct Process {
    id: u32,
    machine: Machine<Error>,
    wake: Option<Millis>,
    outstanding: bool,
    is_writing: bool,
    /// What is being written, and what that was planned on.
    writes: Option<Own>,
    is_ending: bool,
    /// What the machine was shown last.
    shown: Reading,
    looks: BTreeMap<usize, Millis>,
}

pub(crate) struct World<'a> {
    history: &'a History,
    pub(crate) now: Millis,
    queue: BTreeMap<(Millis, u64), Event>,
    events: u64,
    role: Role,
    objects: Objects,
    incarnations: u32,
    process: Option<Process>,
    processes: u32,
    checks: Checks,
    lag: Option<(Millis, u64)>,
    latency: Millis,
    next_write: Option<WriteFault>,
    next_call_fails: bool,
    unknown_until: Millis,
    figures: Figures,
    log: Option<Vec<String>>,
}

/// Runs a history to its end.
pub(crate) fn run(history: &History) -> Result<Figures, Failed> {
    let mut world = World::new(history, None);
    world.go().map(|()| world.figures)
}

/// Runs it and writes down what happens.
pub(crate) fn run_aloud(history: &History) -> (Option<Failed>, Vec<String>) {
    let mut world = World::new(history, Some(Vec::new()));
    (world.go().err(), world.log.unwrap_or_default())
}

impl<'a> World<'a> {
    fn new(history: &'a History, log: Option<Vec<String>>) -> Self {
        Self {
            history,
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            role: Role::new(),
            objects: Objects { known: BTreeMap::new(), withheld: false },
            incarnations: 0,
            process: None,
            processes: 0,
            checks: Checks::default(),
            lag: None,
            latency: 20,
            next_write: None,
            next_call_fails: false,
            unknown_until: 0,
            figures: Figures::default(),
            log,
        }
    }

    fn go(&mut self) -> Result<(), Failed> {
        self.put(0, Event::Begins);
        for (index, timed) in self.history.steps.iter().enumerate() {
            self.put(timed.at, Event::Step(index));
        }
        let quiet = self.history.steps.iter().map(|timed| timed.at).max().unwrap_or_default() + SECOND;
        self.put(quiet, Event::Quiet);
        let end = quiet + QUIET;
        while let Some((at, event)) = self.next().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.objects.withheld = self.now < self.unknown_until;
            self.figures.events += 1;
            self.happens(event)?;
            for object in self.objects.known.values_mut().filter(|object| !object.is_granted) {
                object.ungranted_until = self.now;
            }
            self.checks.paths(&self.role, &self.objects)?;
            if let Some(process) = self.process.as_ref().filter(|process| !process.is_ending) {
                let waits = process.outstanding || process.wake.is_some() || process.machine.is_idle();
                Checks::demand("the machine goes on", waits, || format!("{:?}", process.machine))?;
            }
        }
        self.checks.at_the_end(&self.role, &self.objects, end)
    }

    /// The next event, or the one after it where the history says so.
    fn next(&mut self) -> Option<(Millis, Event)> {
        let ((at, _), event) = self.queue.pop_first()?;
        let second = self.queue.first_key_value().map(|((second, _), _)| *second);
        let is_swapped = self.history.swapped.contains(&self.figures.events);
        if let Some(second_at) = second.filter(|second| is_swapped && second.saturating_sub(at) < 5 * SECOND) {
            let (_, second) = self.queue.pop_first()?;
            self.put(second_at, event);
            return Some((second_at, second));
        }
        Some((at, event))
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

    fn is_of_process(&self, id: u32) -> bool {
        self.process.as_ref().is_some_and(|process| process.id == id)
    }

    fn happens(&mut self, event: Event) -> Result<(), Failed> {
        match event {
            Event::Begins => self.begins(),
            Event::Quiet => self.quiet(),
            Event::Step(index) => return self.step(self.history.steps[index].step),
            Event::WriteArrives { process, facet, document, is_answered, shown } => {
                return self.write_arrives(process, facet, document, is_answered, &shown);
            }
            Event::ReadArrives(id, facets, sent) if self.is_of_process(id) => self.read_arrives(id, &facets, sent),
            Event::Answered(id, input) if self.is_of_process(id) => return self.answered(input),
            Event::Woken(id, at) if self.is_of_process(id) => {
                if let Some(process) = self.process.as_mut().filter(|process| process.wake == Some(at)) {
                    process.wake = None;
                    return self.input(Input::Woken);
                }
            }
            Event::Look(id, object, at) if self.is_of_process(id) => {
                if let Some(process) = self.process.as_mut().filter(|it| it.looks.get(&object) == Some(&at)) {
                    process.looks.remove(&object);
                    return self.look(object);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begins(&mut self) {
        self.processes += 1;
        let machine = Machine::new(Settings {
            role: RoleId {
                account: "111111111111".parse().expect("an account"),
                name: "pipeline".parse().expect("a name"),
            },
            installation: "x".parse().expect("an installation"),
            collect: Duration::from_secs(1),
            collect_max: Duration::from_secs(10),
            attempt: Duration::from_secs(10),
        });
        self.process = Some(Process {
            id: self.processes,
            machine,
            wake: None,
            outstanding: false,
            is_writing: false,
            writes: None,
            is_ending: false,
            shown: Reading::default(),
            looks: BTreeMap::new(),
        });
        self.say(|| "a process begins".to_owned());
        for object in self.objects.known.values_mut() {
            (object.planned, object.released) = (false, false);
            object.waits.clear();
            object.told.clear();
        }
        self.look_at_all();
    }

    fn crash(&mut self) {
        if let Some(process) = self.process.take() {
            self.say(|| "the process crashes".to_owned());
            self.checks.ended(process.id);
            self.put(self.now + 5 * SECOND, Event::Begins);
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Failed> {
        self.say(|| format!("step: {step:?}"));
        match step {
            Step::Make(index) if !self.objects.known.contains_key(&index) => {
                self.incarnations += 1;
                self.objects.known.insert(index, Object::new(index, self.incarnations, self.now));
                self.look_soon(index, 100);
            }
            Step::Make(_) => {}
            Step::Delete(index) => {
                if let Some(object) = self.objects.known.get_mut(&index).filter(|object| !object.leaving) {
                    (object.leaving, object.works) = (true, false);
                    object.generation += 1;
                    object.told.clear();
                    object.waits.clear();
                    self.look_soon(index, 100);
                }
            }
            Step::Grant(index, granted) => {
                if let Some(object) = self.objects.known.get_mut(&index) {
                    object.is_granted = granted;
                    self.look_soon(index, 100);
                }
            }
            Step::Person(edit) => self.person(edit),
            Step::Lag { by, pattern } => self.lag = Some((by, pattern)),
            Step::Latency(latency) => self.latency = latency,
            Step::NextWrite(fault) => self.next_write = Some(fault),
            Step::NextCallFails => self.next_call_fails = true,
            Step::Crowd(entries) => {
                self.role.crowd(entries);
                self.checks.crowded(self.now);
            }
            Step::Unknown(long) => self.unknown_until = self.now + long,
            Step::Look(object) => self.look_soon(object, 100),
            Step::Crash => self.crash(),
            Step::Restart => {
                self.input(Input::Terminate)?;
                if let Some(process) = &mut self.process {
                    process.is_ending = true;
                }
                self.end_if_settled();
            }
        }
        Ok(())
    }

    fn end_if_settled(&mut self) {
        if self.process.as_ref().is_some_and(|process| process.is_ending && !process.is_writing) {
            // The next one does not know of a write whose answer was lost.
            if let Some(process) = self.process.take() {
                self.checks.ended(process.id);
            }
            self.put(self.now + SECOND, Event::Begins);
        }
    }

    /// From here on nothing goes wrong and nobody does anything.
    fn quiet(&mut self) {
        self.say(|| "quiet".to_owned());
        (self.lag, self.next_write, self.next_call_fails, self.latency) = (None, None, false, 20);
        (self.role.others, self.unknown_until) = (0, 0);
        self.checks.crowded(self.now);
        self.look_at_all();
    }

    fn answered(&mut self, input: Input<Error>) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.outstanding = false;
        match &input {
            Input::Read { answer: Ok(reading), .. } => {
                process.shown = reading.clone();
                self.checks.read_back(reading);
            }
            Input::Wrote(answer) => {
                process.is_writing = false;
                self.checks.wrote(process.writes.take(), answer, self.now);
            }
            _ => {}
        }
        self.input(input)?;
        self.end_if_settled();
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
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect<Error>) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let id = process.id;
        match effect {
            Effect::WakeAt(at) => {
                let at = u64::try_from(at.as_millisecond() - time(0).as_millisecond()).unwrap_or(0).max(self.now);
                process.wake = Some(at);
                self.put(at, Event::Woken(id, at));
                return Ok(());
            }
            Effect::Outcome(uid, facet, outcome) => return self.tell(&uid, facet, &outcome),
            _ => {}
        }
        Checks::demand("one call at a time", !process.outstanding, || format!("{effect:?}"))?;
        process.outstanding = true;
        match effect {
            Effect::Read(facets) => self.put(self.now + self.latency, Event::ReadArrives(id, facets, self.now)),
            Effect::Evidence(entries) => {
                self.say(|| format!("  looks behind {}", words(&entries)));
                let behind = entries.into_iter().map(|entry| (entry.clone(), self.role.behind(&entry))).collect();
                self.put(self.now + self.latency, Event::Answered(id, Input::Evidence(behind)));
            }
            Effect::Write(permit) => return self.send(*permit),
            Effect::WakeAt(_) | Effect::Outcome(..) => {}
        }
        Ok(())
    }
}

pub(crate) fn words(entries: &BTreeSet<Arn>) -> String {
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry.resource().rsplit('/').next()).collect();
    format!("[{}]", names.join(", "))
}

fn brief(input: &Input<Error>) -> String {
    match input {
        Input::Claim(claim) => {
            format!("claim of {}: {:?}, leaving: {}", claim.basis.uid, claim.goal.facet(), claim.basis.leaving)
        }
        Input::Read { answer: Ok(reading), .. } => {
            format!("read: {}, callback {}", words(&reading.entries()), reading.of(Facet::CallbackPolicy).is_some())
        }
        other => format!("{other:?}").chars().take(160).collect(),
    }
}

fn brief_outcome(outcome: &Outcome<Error>) -> String {
    match outcome {
        Outcome::Settled { reading, written } => format!("settled, {}, written: {written}", words(&reading.entries())),
        Outcome::Full { .. } => "full".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Strays that nothing lets go.
pub(crate) fn stays(stray: &Arn) -> bool {
    [Stray::Unwatched, Stray::Unreadable].into_iter().any(|kind| role_of_stray(kind) == *stray)
}
