//! A world: one role, its objects, and one process at a time whose machine is under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crossinvoke::{
    domain::{
        ids::{Arn, RoleId},
        policy,
        role_claims::{Facet, Reading},
        shared_policy::Behind,
    },
    engine::role::{Effect, Failure, Input, Machine, Outcome, Permit, Settings},
};
use serde_json::Value;

use super::{
    checks::{Checks, Failed},
    history::{Edit, History, Step, Stray},
    model::{Object, Objects, Role, has, role_of, role_of_stray},
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

    fn look_at_all(&mut self) {
        let all: Vec<usize> = self.objects.known.keys().copied().collect();
        for (place, object) in all.into_iter().enumerate() {
            self.look_soon(object, 100 + 50 * place as Millis);
        }
    }

    fn look_soon(&mut self, object: usize, after: Millis) {
        let at = self.now + after;
        let Some(process) = &mut self.process else { return };
        if process.looks.get(&object).is_none_or(|known| *known > at) {
            process.looks.insert(object, at);
            let id = process.id;
            self.put(at, Event::Look(id, object, at));
        }
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

    fn person(&mut self, edit: Edit) {
        let (mut entries, now) = (self.role.entries(), self.now);
        match edit {
            Edit::Wipe => entries.clear(),
            Edit::WipeCallback => self.role.set(Facet::CallbackPolicy, None, now),
            Edit::TakeOut(object) => _ = entries.remove(&role_of(object)),
            Edit::Add(stray) => _ = entries.insert(role_of_stray(stray)),
        }
        if edit != Edit::WipeCallback {
            self.role.set_entries(&entries, now);
        }
        self.checks.harmed(&self.role, &self.objects);
    }

    /// From here on nothing goes wrong and nobody does anything.
    fn quiet(&mut self) {
        self.say(|| "quiet".to_owned());
        (self.lag, self.next_write, self.next_call_fails, self.latency) = (None, None, false, 20);
        (self.role.others, self.unknown_until) = (0, 0);
        self.checks.crowded(self.now);
        self.look_at_all();
    }

    /// One look at an object: what the controller's reconcile does, in one moment.
    fn look(&mut self, index: usize) -> Result<(), Failed> {
        self.look_soon(index, INTERVAL);
        let now = self.now;
        let Some(object) = self.objects.known.get_mut(&index) else { return Ok(()) };
        if object.leaving {
            return self.leave(index);
        }
        if !object.is_granted {
            let uid = object.uid();
            object.waits.clear();
            for facet in Facet::ALL {
                self.input(Input::Withdraw(uid.clone(), facet))?;
            }
            return Ok(());
        }
        (object.recorded, object.planned) = (true, true);
        self.role.owners.insert(role_of(index), index);
        let shown = self.shown(&Facet::ALL.into());
        // Nobody believes a read beside a write that is on its way, or that may yet be applied.
        let asks = |process: &Process| {
            process.machine.unsettled_until().is_some_and(|until| time(now) < until) || process.machine.is_writing()
        };
        let must_ask = self.process.as_ref().is_some_and(asks);
        let strays = shown.entries().iter().any(|entry| {
            matches!(self.role.behind(entry), Behind::Nothing | Behind::Foreign) && !self.objects.withheld
        });
        for facet in Facet::ALL {
            let object = self.objects.known.get_mut(&index).expect("it was there");
            let is_there = has(&shown, facet, index) && !must_ask && !object.waits.contains(&facet);
            if is_there && !(facet == Facet::AssumePolicy && strays) {
                object.told.insert(facet);
                object.waits.remove(&facet);
            } else {
                // From here on it knows that it does not work.
                object.works &= has(&shown, facet, index);
                object.told.remove(&facet);
                object.waits.insert(facet);
                let claim = object.claim(facet, &self.role, now);
                self.input(Input::Claim(Box::new(claim)))?;
            }
        }
        self.goes_on(index)
    }

    /// P3, then P2, then the role, then the object.
    fn leave(&mut self, index: usize) -> Result<(), Failed> {
        let now = self.now;
        let Some(object) = self.objects.known.get_mut(&index) else { return Ok(()) };
        object.released = true;
        let next = [Facet::AssumePolicy, Facet::CallbackPolicy].into_iter().find(|facet| !object.told.contains(facet));
        if let Some(facet) = next {
            object.waits.insert(facet);
            let claim = object.claim(facet, &self.role, now);
            return self.input(Input::Claim(Box::new(claim)));
        }
        self.say(|| format!("object {index} is gone"));
        self.role.owners.remove(&role_of(index));
        self.objects.known.remove(&index);
        Ok(())
    }

    /// What follows for an object from what it knows.
    fn goes_on(&mut self, index: usize) -> Result<(), Failed> {
        let Some(object) = self.objects.known.get_mut(&index) else { return Ok(()) };
        if object.leaving {
            return if object.waits.is_empty() { self.leave(index) } else { Ok(()) };
        }
        if object.told.len() == 2 && object.is_granted {
            (object.works, object.was_in_place) = (true, true);
            self.checks.placed(&self.role, object, self.now);
        }
        Ok(())
    }

    fn shown(&mut self, facets: &BTreeSet<Facet>) -> Reading {
        let mut at = self.now;
        if let Some((by, pattern)) = &mut self.lag {
            if *pattern & 1 == 1 {
                at = at.saturating_sub(*by);
            }
            *pattern >>= 1;
        }
        Reading(facets.iter().map(|facet| (*facet, self.role.at(*facet, at))).collect())
    }

    fn read_arrives(&mut self, id: u32, facets: &BTreeSet<Facet>, sent: Millis) {
        let answer =
            if std::mem::take(&mut self.next_call_fails) { Err("a call failed") } else { Ok(self.shown(facets)) };
        let input = Input::Read { sent_at: time(sent), answer };
        self.put(self.now + self.latency, Event::Answered(id, input));
    }

    fn write_arrives(
        &mut self,
        process: u32,
        facet: Facet,
        document: Option<Value>,
        is_answered: bool,
        shown: &Reading,
    ) -> Result<(), Failed> {
        let takes = self.role.fits(facet, document.as_ref());
        if takes {
            self.figures.writes += 1;
            self.role.set(facet, document, self.now);
            self.say(|| format!("applied: {facet:?} of process {process}"));
            self.checks.applied(process, shown, (&self.role, &self.objects), self.now);
        }
        if is_answered {
            let answer = if takes { Ok(()) } else { Err(Failure::Refused { too_large: true, error: "too large" }) };
            self.put(self.now + self.latency, Event::Answered(process, Input::Wrote(answer)));
        }
        Ok(())
    }

    fn answered(&mut self, input: Input<Error>) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.outstanding = false;
        match &input {
            Input::Read { answer: Ok(reading), .. } => process.shown = reading.clone(),
            Input::Wrote(_) => process.is_writing = false,
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
            Effect::Write(permit) => return self.send(permit),
            Effect::WakeAt(_) | Effect::Outcome(..) => {}
        }
        Ok(())
    }

    fn send(&mut self, permit: Permit) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.is_writing = true;
        let (id, shown) = (process.id, process.shown.clone());
        let account = permit.write().role.account.clone();
        let write = permit
            .spend(&account, time(self.now))
            .map_err(|void| Failed { invariant: "a permit holds when the write is sent", detail: void.to_string() })?;
        let (name, document) = write.as_policy().expect("shared policies alone are written");
        let (is_callback, document) = (name.contains("callback"), document.cloned());
        let facet = if is_callback { Facet::CallbackPolicy } else { Facet::AssumePolicy };
        let fault = self.next_write.take();
        let entries = document.as_ref().map(policy::assume_entries_of_any_form).unwrap_or_default();
        self.say(|| format!("  writes {facet:?}: {}, {fault:?}", words(&entries)));
        Checks::demand(
            "nothing is begun at the end",
            !self.process.as_ref().is_some_and(|it| it.is_ending),
            String::new,
        )?;
        self.checks.sends(facet, document.as_ref(), &shown, (&self.role, &self.objects))?;
        let (arrives, answered) = match fault {
            None => (Some(self.latency), true),
            Some(WriteFault::LostAfter) => (Some(self.latency), false),
            Some(WriteFault::Late(seconds)) => (Some(Millis::from(seconds) * SECOND), false),
            Some(WriteFault::LostBefore | WriteFault::Throttled | WriteFault::Void) => (None, false),
        };
        if let Some(after) = arrives {
            if !answered {
                self.checks.pending(id, facet, document.clone(), self.now + after);
            }
            self.put(
                self.now + after,
                Event::WriteArrives { process: id, facet, document, is_answered: answered, shown },
            );
        }
        let failure = match fault {
            None => return Ok(()),
            Some(WriteFault::Throttled) => Failure::Refused { too_large: false, error: "throttled" },
            Some(WriteFault::Void) => Failure::NotSent,
            Some(_) => Failure::Unknown("no answer"),
        };
        let after = match fault {
            Some(WriteFault::Void) => 0,
            Some(WriteFault::Throttled) => self.latency,
            _ => TIMES_OUT,
        };
        self.put(self.now + after, Event::Answered(id, Input::Wrote(Err(failure))));
        Ok(())
    }

    fn tell(&mut self, uid: &str, facet: Facet, outcome: &Outcome<Error>) -> Result<(), Failed> {
        self.say(|| format!("  {uid} hears of {facet:?}: {}", brief_outcome(outcome)));
        let process = self.process.as_ref().map(|process| process.id);
        let Some(object) = self.objects.known.values_mut().find(|object| object.uid() == uid) else { return Ok(()) };
        let (index, leaving) = (object.index, object.leaving);
        let after = match outcome {
            Outcome::Waiting(_) => return Ok(()),
            // It is not known what others need; it asks again.
            Outcome::Settled { reading, .. }
                if leaving && facet == Facet::AssumePolicy && has(reading, facet, index) =>
            {
                30 * SECOND
            }
            Outcome::Settled { reading, .. } => {
                object.told.insert(facet);
                object.waits.remove(&facet);
                self.checks.told(process, (facet, index, leaving), reading, self.now)?;
                return self.goes_on(index);
            }
            Outcome::Full { reading } => {
                self.checks.full(index, reading, (&self.role, &self.objects), self.now)?;
                2 * MINUTE
            }
            Outcome::Stale => 500,
            Outcome::Failed(_) | Outcome::Unreached => 5 * SECOND,
        };
        object_waits_no_more(&mut self.objects, index, facet);
        self.look_soon(index, after);
        Ok(())
    }
}

fn object_waits_no_more(objects: &mut Objects, index: usize, facet: Facet) {
    if let Some(object) = objects.known.get_mut(&index) {
        object.waits.remove(&facet);
    }
}

pub(crate) fn words(entries: &BTreeSet<Arn>) -> String {
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry.resource().rsplit('/').next()).collect();
    format!("[{}]", names.join(", "))
}

fn brief(input: &Input<Error>) -> String {
    match input {
        Input::Claim(claim) => format!("claim of {}: {:?}, leaving: {}", claim.uid, claim.goal.facet(), claim.leaving),
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
