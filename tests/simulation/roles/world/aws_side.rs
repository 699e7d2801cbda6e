//! The side of AWS: what a call that has arrived does and shows.

use std::collections::BTreeSet;

use crossinvoke::{
    domain::{
        policy,
        role_claims::{Facet, Reading},
    },
    engine::role::{Failure, Input, Permit},
};
use serde_json::Value;

use super::{
    super::{
        checks::{Checks, Failed, Own},
        history::Edit,
        model::{role_of, role_of_stray},
    },
    Event, TIMES_OUT, World, words,
};
use crate::{
    aws::time,
    history::{Millis, SECOND, WriteFault},
};

impl World<'_> {
    pub(super) fn person(&mut self, edit: Edit) {
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

    pub(super) fn shown(&mut self, facets: &BTreeSet<Facet>) -> Reading {
        let mut at = self.now;
        if let Some((by, pattern)) = &mut self.lag {
            if *pattern & 1 == 1 {
                at = at.saturating_sub(*by);
            }
            *pattern >>= 1;
        }
        Reading(facets.iter().map(|facet| (*facet, self.role.at(*facet, at))).collect())
    }

    pub(super) fn read_arrives(&mut self, id: u32, facets: &BTreeSet<Facet>, sent: Millis) {
        let answer =
            if std::mem::take(&mut self.next_call_fails) { Err("a call failed") } else { Ok(self.shown(facets)) };
        let input = Input::Read { sent_at: time(sent), answer };
        self.put(self.now + self.latency, Event::Answered(id, input));
    }

    pub(super) fn write_arrives(
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

    pub(super) fn send(&mut self, permit: Permit) -> Result<(), Failed> {
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
        let own = Own::new(id, facet, &shown, document.clone(), self.now);
        self.checks.follows(&own, &shown, self.now)?;
        self.checks.sends(facet, document.as_ref(), &shown, (&self.role, &self.objects), self.now)?;
        if let Some(process) = &mut self.process {
            process.writes = Some(own);
        }
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
}
