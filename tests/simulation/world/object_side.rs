//! The side of the objects: what they are told, how they look, and what they claim.

use crossinvoke::{
    domain::{observed::Pipeline, spacing::Corrections},
    engine::pipeline::{Input, Outcome},
};

use super::{
    super::{
        aws::time,
        checks::Failed,
        history::{MINUTE, SECOND},
        process::Told,
    },
    Error, World, resource, short,
};

impl World<'_> {
    pub(super) fn tell(&mut self, uid: &str, outcome: &Outcome<Error>) -> Result<(), Failed> {
        let what = self.log.is_some().then(|| short(&format!("  {uid}: {outcome:?}")));
        if let Some(what) = what {
            self.say(|| what);
        }
        self.checks.told(outcome);
        let Some(process) = &mut self.process else { return Ok(()) };
        let Some((_, told)) = process.claims.get_mut(uid) else { return Ok(()) };
        let Some(index) = self.objects.by_uid(uid).map(|object| object.index) else { return Ok(()) };
        *told = if matches!(outcome, Outcome::Waiting(_)) { Told::Waits } else { Told::Ended };
        if let (Outcome::Written(written), Some(object)) = (outcome, self.objects.0.get_mut(&index))
            && let Some(corrected) = &written.corrected
        {
            object.corrections = Some(Corrections::and_one(object.corrections, corrected.at));
        }
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
    pub(super) fn look(&mut self, index: usize) -> Result<(), Failed> {
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
                let generation = object.generation;
                if let Some(object) = self.objects.0.get_mut(&index) {
                    object.in_place = Some(generation);
                }
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
    pub(super) fn absent(&mut self, index: usize, uid: &str) -> Result<(), Failed> {
        let is_leaving = self.objects.0.get(&index).is_some_and(|object| object.leaving);
        if is_leaving && self.process.as_ref().is_some_and(|process| process.is_settled(self.now)) {
            self.objects.0.remove(&index);
            self.say(|| format!("object {index} is gone"));
        }
        self.withdraw(uid)
    }

    pub(super) fn claim(&mut self, index: usize, read: &Pipeline) -> Result<(), Failed> {
        let object = &self.objects.0[&index];
        let goal = object.goal(&self.objects.others(object));
        let Some(process) = &mut self.process else { return Ok(()) };
        let closes_gate = !object.leaving && process.settled.get(&object.uid()) == Some(&object.place());
        let claim = object.claim(goal, read, closes_gate);
        let goes_on = |(known, told): &(_, Told)| *told == Told::Waits && claim.asks_the_same(known);
        if process.claims.get(&claim.basis.uid).is_some_and(goes_on) {
            return Ok(());
        }
        process.claims.insert(claim.basis.uid.clone(), (claim.clone(), Told::Waits));
        self.input(Input::Claim(Box::new(claim)))
    }

    pub(super) fn withdraw(&mut self, uid: &str) -> Result<(), Failed> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.claims.remove(uid).is_none() {
            return Ok(());
        }
        self.input(Input::Withdraw(uid.to_owned()))
    }
}
