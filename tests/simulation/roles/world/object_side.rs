//! The side of the objects: how they look, what they claim, and what they are told.

use crossinvoke::{
    domain::{role_claims::Facet, shared_policy::Behind},
    engine::role::{Input, Outcome},
};

use super::{
    super::{
        checks::Failed,
        model::{Objects, has, role_of},
    },
    Error, Event, INTERVAL, Process, World, brief_outcome,
};
use crate::{
    aws::time,
    history::{MINUTE, Millis, SECOND},
};

impl World<'_> {
    pub(super) fn look_at_all(&mut self) {
        let all: Vec<usize> = self.objects.known.keys().copied().collect();
        for (place, object) in all.into_iter().enumerate() {
            self.look_soon(object, 100 + 50 * place as Millis);
        }
    }

    pub(super) fn look_soon(&mut self, object: usize, after: Millis) {
        let at = self.now + after;
        let Some(process) = &mut self.process else { return };
        if process.looks.get(&object).is_none_or(|known| *known > at) {
            process.looks.insert(object, at);
            let id = process.id;
            self.put(at, Event::Look(id, object, at));
        }
    }

    /// One look at an object: what the controller's reconcile does, in one moment.
    pub(super) fn look(&mut self, index: usize) -> Result<(), Failed> {
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

    pub(super) fn tell(&mut self, uid: &str, facet: Facet, outcome: &Outcome<Error>) -> Result<(), Failed> {
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
