//! What must hold in every history.

use std::collections::{BTreeMap, BTreeSet};

use crossinvoke::{
    domain::{
        policy,
        role_claims::{Facet, Reading},
        role_fold::INLINE_MAX,
        shared_policy::Behind,
    },
    engine::role::Failure,
};
use serde_json::Value;

use super::{
    model::{Object, Objects, Role, has, role_of},
    world::{stays, words},
};
use crate::history::{MINUTE, Millis, SECOND};

/// What broke, and how.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

/// A write whose answer was lost and that will be applied.
struct Pending {
    process: u32,
    facet: Facet,
    document: Option<Value>,
    until: Millis,
}

/// A write of a process.
pub(crate) struct Own {
    process: u32,
    facet: Facet,
    /// What it was planned on.
    before: Option<Value>,
    after: Option<Value>,
    sent: Millis,
    /// When its answer came.
    answered: Millis,
}

impl Own {
    pub(crate) fn new(process: u32, facet: Facet, shown: &Reading, after: Option<Value>, now: Millis) -> Self {
        Self { process, facet, before: shown.of(facet).cloned(), after, sent: now, answered: 0 }
    }

    fn adds(&self) -> bool {
        !entries(self.after.as_ref()).is_subset(&entries(self.before.as_ref()))
    }

    fn size(&self) -> usize {
        self.after.as_ref().map_or(0, policy::size)
    }
}

#[derive(Default)]
pub(crate) struct Checks {
    /// Writes that were answered, and that no read has shown yet.
    own: BTreeMap<Facet, Own>,
    /// Writes whose answers were lost, and that no read has shown yet.
    lost: BTreeMap<Facet, Own>,
    /// The last assume policy that AWS refused for its size.
    too_large: Option<Own>,
    last_write: Millis,
    crowded: Option<Millis>,
    /// Objects that lack something because a person took it, or a process that is no more.
    harmed: BTreeSet<usize>,
    /// Objects that took their place after a late read, until their next look.
    misled: BTreeSet<usize>,
    pending: Vec<Pending>,
    ended: BTreeSet<u32>,
    /// When objects were last told that there is no room for them.
    left_out: BTreeMap<usize, Millis>,
}

fn entries(document: Option<&Value>) -> BTreeSet<crossinvoke::domain::ids::Arn> {
    document.map(policy::assume_entries_of_any_form).unwrap_or_default()
}

impl Checks {
    pub(crate) fn demand(invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Result<(), Failed> {
        if holds { Ok(()) } else { Err(Failed { invariant, detail: detail() }) }
    }

    pub(crate) fn ended(&mut self, process: u32) {
        self.ended.insert(process);
    }

    pub(crate) fn crowded(&mut self, now: Millis) {
        self.crowded = Some(now);
    }

    pub(crate) fn pending(&mut self, process: u32, facet: Facet, document: Option<Value>, until: Millis) {
        self.pending.push(Pending { process, facet, document, until });
    }

    fn lacks(role: &Role, object: &Object) -> bool {
        role.now(Facet::CallbackPolicy).is_none() || !role.entries().contains(&role_of(object.index))
    }

    pub(crate) fn wrote<E>(&mut self, own: Option<Own>, answer: &Result<(), Failure<E>>, now: Millis) {
        let Some(own) = own.map(|own| Own { answered: now, ..own }) else { return };
        match answer {
            Ok(()) => _ = self.own.insert(own.facet, own),
            Err(Failure::Unknown(_)) => _ = self.lost.insert(own.facet, own),
            Err(Failure::Refused { too_large: true, .. }) if own.adds() => self.too_large = Some(own),
            Err(_) => {}
        }
    }

    pub(crate) fn read_back(&mut self, reading: &Reading) {
        let is_hidden =
            |facet: &Facet, own: &mut Own| !reading.0.contains_key(facet) || reading.of(*facet) != own.after.as_ref();
        self.own.retain(is_hidden);
        self.lost.retain(is_hidden);
    }

    /// How a write of a process follows those before it.
    pub(crate) fn follows(&self, own: &Own, shown: &Reading, now: Millis) -> Result<(), Failed> {
        self.is_planned_on_the_last(own.process, own.facet, shown, now)?;
        let is_beside = |lost: &Own| lost.process == own.process && now < lost.sent + 20 * SECOND;
        Self::demand(
            "nothing is written beside a write that most likely comes yet",
            !self.lost.get(&own.facet).is_some_and(is_beside),
            || format!("{:?}", own.facet),
        )?;
        let refused = self
            .too_large
            .as_ref()
            .filter(|it| it.process == own.process && it.facet == own.facet && now < it.answered + 10 * MINUTE);
        let is_again = own.adds() && refused.is_some_and(|refused| own.size() >= refused.size());
        Self::demand("what is too large is not sent again for a while", !is_again, || format!("{:?}", own.facet))
    }

    /// While a read may show what was there before the last write, nothing comes of that.
    pub(crate) fn is_planned_on_the_last(
        &self,
        process: u32,
        facet: Facet,
        shown: &Reading,
        now: Millis,
    ) -> Result<(), Failed> {
        let is_late = |own: &&Own| {
            let is_older = own.before != own.after && shown.of(facet) == own.before.as_ref();
            own.process == process && is_older && now < own.answered + 2 * MINUTE
        };
        Self::demand(
            "nothing comes of what was there before the last write",
            !self.own.get(&facet).is_some_and(|own| is_late(&own)),
            || format!("{facet:?}"),
        )
    }

    /// A person took what they took.
    pub(crate) fn harmed(&mut self, role: &Role, objects: &Objects) {
        self.harmed.extend(objects.known.values().filter(|it| it.works && Self::lacks(role, it)).map(|it| it.index));
    }

    /// An object takes its place, after a read that may have shown what was there before.
    pub(crate) fn placed(&mut self, role: &Role, object: &Object, now: Millis) {
        let since = now.saturating_sub(4 * MINUTE);
        let was_there = |facet| {
            (since..=now).rev().step_by(1_000).any(|at| {
                let shown = Reading([(facet, role.at(facet, at))].into());
                has(&shown, facet, object.index)
            })
        };
        if Self::lacks(role, object) && Facet::ALL.into_iter().all(was_there) {
            self.misled.insert(object.index);
        } else {
            self.misled.remove(&object.index);
        }
    }

    /// A path that worked, and whose object did not ask otherwise, works.
    pub(crate) fn paths(&mut self, role: &Role, objects: &Objects) -> Result<(), Failed> {
        for object in objects.known.values().filter(|object| object.works && !object.leaving) {
            let lacks = Self::lacks(role, object);
            if !lacks {
                self.harmed.remove(&object.index);
            }
            let is_excused = self.harmed.contains(&object.index) || self.misled.contains(&object.index);
            Self::demand("a path that worked works", !lacks || is_excused, || {
                format!("object {} lacks something: {}", object.index, words(&role.entries()))
            })?;
        }
        Ok(())
    }

    /// Nothing leaves without a claim of its owner or a proof, and nothing comes without a grant.
    pub(crate) fn sends(
        &self,
        facet: Facet,
        document: Option<&Value>,
        shown: &Reading,
        (role, objects): (&Role, &Objects),
        now: Millis,
    ) -> Result<(), Failed> {
        self.adds(facet, document, shown, objects, now)?;
        if facet == Facet::CallbackPolicy {
            let needed = objects.known.values().any(|it| !it.leaving && (it.planned || it.recorded));
            let may_go = !needed && !objects.withheld;
            return Self::demand("a callback policy that is needed stays", document.is_some() || may_go, String::new);
        }
        Self::demand("a document has room in a role", document.map_or(0, policy::size) <= INLINE_MAX, String::new)?;
        for lost in shown.entries().difference(&entries(document)) {
            let owner = objects.known.values().find(|object| role_of(object.index) == *lost);
            let may_go = match owner {
                Some(owner) => owner.leaving,
                None => !stays(lost) && matches!(role.behind(lost), Behind::Nothing | Behind::Foreign),
            };
            Self::demand("no entry leaves without a claim or a proof", may_go && !objects.withheld, || {
                lost.to_string()
            })?;
        }
        Ok(())
    }

    /// Nothing comes without a grant. Where room is short, it goes to what was in place, then to the oldest that asks for it.
    fn adds(
        &self,
        facet: Facet,
        document: Option<&Value>,
        shown: &Reading,
        objects: &Objects,
        now: Millis,
    ) -> Result<(), Failed> {
        const RULE: &str = "nothing comes without a grant";
        if facet == Facet::CallbackPolicy {
            let is_granted = objects.known.values().any(|it| it.is_granted && !it.leaving);
            return Self::demand(RULE, document.is_none() || is_granted, String::new);
        }
        let named = entries(document);
        let asks = |object: &Object| {
            object.waits.contains(&facet) || self.left_out.get(&object.index).is_some_and(|at| *at == now)
        };
        let is_owner_of = |entry: &_| objects.known.values().find(|object| role_of(object.index) == *entry);
        for entry in named.difference(&shown.entries()) {
            let owner = is_owner_of(entry).filter(|owner| owner.is_granted);
            Self::demand(RULE, owner.is_some(), || entry.to_string())?;
            let Some(owner) = owner.filter(|owner| !owner.was_in_place) else { continue };
            let mut out = objects.known.values().filter(|it| it.is_granted && !it.leaving);
            let comes_first = out.find(|it| {
                let is_older = !asks(owner) || (it.created, it.uid()) < (owner.created, owner.uid());
                !named.contains(&role_of(it.index)) && (it.was_in_place || (asks(it) && is_older))
            });
            Self::demand("room goes to what was in place, then to the oldest", comes_first.is_none(), || {
                format!("object {} before {comes_first:?}", owner.index)
            })?;
        }
        Ok(())
    }

    /// A write was applied.
    pub(crate) fn applied(&mut self, process: u32, shown: &Reading, (role, objects): (&Role, &Objects), now: Millis) {
        self.last_write = now;
        let is_ended = self.ended.contains(&process);
        for object in objects.known.values().filter(|object| object.works && Self::lacks(role, object)) {
            // What a late read hid comes back with whoever may still add it.
            let hides = |facet| shown.0.contains_key(&facet) && !has(shown, facet, object.index);
            let was_ungranted = object.ungranted_until > 0 && now < object.ungranted_until + 5 * MINUTE;
            let is_hidden = was_ungranted && Facet::ALL.into_iter().any(hides);
            if is_ended || is_hidden {
                self.harmed.insert(object.index);
            }
        }
    }

    /// What an object hears is so, and stays so.
    pub(crate) fn told(
        &self,
        process: Option<u32>,
        (facet, index, leaving): (Facet, usize, bool),
        reading: &Reading,
        now: Millis,
    ) -> Result<(), Failed> {
        self.is_planned_on_the_last(process.unwrap_or_default(), facet, reading, now)?;
        let own = role_of(index);
        let is_assume = facet == Facet::AssumePolicy;
        Self::demand("what is told was read", leaving || has(reading, facet, index), || format!("object {index}"))?;
        let undoes = |pending: &&Pending| {
            let holds =
                if is_assume { entries(pending.document.as_ref()).contains(&own) } else { pending.document.is_some() };
            let is_of_living = Some(pending.process) == process && pending.until > now && pending.facet == facet;
            // Of a callback policy that others keep nobody is told that it has gone.
            is_of_living && (if leaving { is_assume && holds } else { !holds })
        };
        Self::demand("nothing is told that a lost write may undo", !self.pending.iter().any(|it| undoes(&it)), || {
            format!("object {index}, {facet:?}")
        })
    }

    /// Nobody is told that there is no room where there is.
    pub(crate) fn full(
        &mut self,
        index: usize,
        reading: &Reading,
        (role, objects): (&Role, &Objects),
        now: Millis,
    ) -> Result<(), Failed> {
        self.left_out.insert(index, now);
        if self.crowded.is_some_and(|at| now < at + 11 * MINUTE) {
            return Ok(());
        }
        let mut all = reading.entries();
        all.extend(objects.known.values().map(|object| role_of(object.index)));
        all.extend(role.entries());
        let fits = role.fits(Facet::AssumePolicy, Some(&policy::assume(&all)));
        Self::demand("who hears of no room has none", !fits, || format!("object {index}"))
    }

    pub(crate) fn at_the_end(&self, role: &Role, objects: &Objects, end: Millis) -> Result<(), Failed> {
        let entries = role.entries();
        for object in objects.known.values() {
            Self::demand("what goes ends", !object.leaving, || format!("object {}", object.index))?;
            if object.is_granted {
                Self::demand("when quiet all is in place", object.works && !Self::lacks(role, object), || {
                    format!("object {}: {object:?}, {}", object.index, words(&entries))
                })?;
            }
        }
        if objects.known.values().any(|object| object.is_granted) {
            let own = |entry: &_| objects.known.keys().any(|index| role_of(*index) == *entry);
            let strays = entries.iter().filter(|entry| !own(*entry));
            for stray in strays {
                Self::demand("when quiet nothing is left over", stays(stray), || stray.to_string())?;
            }
        }
        Self::demand("when quiet nothing is written", self.last_write + 20 * MINUTE < end, || {
            format!("the last write was applied at {} s", self.last_write / 1_000)
        })?;
        Ok(())
    }
}
