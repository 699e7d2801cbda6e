//! Who may begin: looks at work and under way, by tools account, pair of accounts and pipeline. Due looks are numbers here, in
//! the order in which they became due.

use std::collections::{BTreeMap, BTreeSet};

use super::{Limits, Place};

/// After so many looks of a pair on open pipelines its oldest comes next, whatever the room, so that pipelines whose objects are
/// asked for again and again do not keep out the others.
const OPEN_IN_A_ROW: u32 = 256;

/// Of a pair of which so many looks are under way no settled object is let in without room.
const FEW: usize = 2;

#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    tools: BTreeMap<String, OfTools>,
    /// Looks at work by account, whichever of the two it is.
    at_work: BTreeMap<String, usize>,
}

/// One tools account.
#[derive(Debug, Default)]
struct OfTools {
    /// What of the room is used: looks under way, and those that are due on open pipelines; of one pipeline a quarter at most,
    /// so that no single one uses up all of it.
    used: usize,
    /// By dev account.
    pairs: BTreeMap<String, OfPair>,
    /// Dev accounts of which looks are due and not too many are at work: by looks at work, then by age.
    waiting: BTreeSet<(usize, u64, String)>,
    pipelines: BTreeMap<String, OfPipeline>,
}

/// The tools account with one dev account.
#[derive(Debug, Default)]
struct OfPair {
    at_work: usize,
    under_way: usize,
    due: BTreeSet<u64>,
    /// Those of `due` whose object is settled.
    settled: BTreeSet<u64>,
    on: BTreeMap<String, BTreeSet<u64>>,
    /// Pipelines that are open, on which looks are due.
    open: BTreeSet<String>,
    open_in_a_row: u32,
}

#[derive(Debug, Default)]
struct OfPipeline {
    due: usize,
    under_way: usize,
    /// Its objects come before those that would open another one.
    is_open: bool,
    /// Dev accounts of which looks are due on it.
    devs: BTreeSet<String>,
}

impl OfPair {
    fn is_empty(&self) -> bool {
        self.under_way == 0 && self.due.is_empty()
    }

    fn entry(&self, dev: &str, limits: Limits) -> Option<(usize, u64, String)> {
        let first = *self.due.first()?;
        (self.at_work < limits.of_a_pair).then(|| (self.at_work, first, dev.to_owned()))
    }

    fn take_out(&mut self, pipeline: &str, number: u64) {
        self.due.remove(&number);
        self.settled.remove(&number);
        if let Some(numbers) = self.on.get_mut(pipeline) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.on.remove(pipeline);
                self.open.remove(pipeline);
            }
        }
    }
}

impl OfPipeline {
    fn used(&self, limits: Limits) -> usize {
        let all = self.under_way + if self.is_open { self.due } else { 0 };
        all.min(limits.under_way.div_ceil(4))
    }
}

impl OfTools {
    fn change(&mut self, dev: &str, limits: Limits, change: impl FnOnce(&mut OfPair)) {
        let pair = self.pairs.entry(dev.to_owned()).or_default();
        let before = pair.entry(dev, limits);
        change(pair);
        let after = pair.entry(dev, limits);
        let is_empty = pair.is_empty();
        if before != after {
            before.map(|entry| self.waiting.remove(&entry));
            self.waiting.extend(after);
        }
        if is_empty {
            self.pairs.remove(dev);
        }
    }

    /// The next look of a pair, if one more of it may be under way.
    fn next(&self, dev: &str, limits: Limits) -> Option<u64> {
        let pair = self.pairs.get(dev)?;
        if pair.open_in_a_row >= OPEN_IN_A_ROW {
            return pair.due.first().copied();
        }
        let on_open = pair.open.first().and_then(|pipeline| pair.on.get(pipeline)?.first());
        // The other half is for those whose looks come to their end.
        let has_room = self.has_room(limits) && pair.under_way < limits.under_way.div_ceil(2);
        let oldest = || pair.due.first().filter(|_| has_room);
        let settled = || pair.settled.first().filter(|_| pair.under_way < FEW);
        on_open.or_else(oldest).or_else(settled).copied()
    }

    fn has_room(&self, limits: Limits) -> bool {
        self.used < limits.under_way
    }

    /// Changes what is counted of a pipeline.
    fn count(&mut self, pipeline: &str, limits: Limits, change: impl FnOnce(&mut OfPipeline)) {
        let known = self.pipelines.entry(pipeline.to_owned()).or_default();
        let before = known.used(limits);
        change(known);
        self.used = self.used + known.used(limits) - before;
        if known.due == 0 && known.under_way == 0 {
            self.pipelines.remove(pipeline);
        }
    }

    fn set_open(&mut self, pipeline: &str, limits: Limits, is_open: bool) {
        self.count(pipeline, limits, |known| known.is_open = is_open);
        let Some(known) = self.pipelines.get(pipeline) else { return };
        for dev in &known.devs {
            if let Some(pair) = self.pairs.get_mut(dev) {
                if is_open {
                    pair.open.insert(pipeline.to_owned())
                } else {
                    pair.open.remove(pipeline)
                };
            }
        }
    }
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, tools: BTreeMap::new(), at_work: BTreeMap::new() }
    }

    pub(super) fn due(&mut self, place: &Place, number: u64) {
        let of = self.tools.entry(place.tools.clone()).or_default();
        let mut is_open = false;
        of.count(&place.pipeline, self.limits, |pipeline| {
            pipeline.due += 1;
            pipeline.devs.insert(place.dev.clone());
            is_open = pipeline.is_open;
        });
        of.change(&place.dev, self.limits, |pair| {
            pair.due.insert(number);
            if place.is_settled {
                pair.settled.insert(number);
            }
            pair.on.entry(place.pipeline.clone()).or_default().insert(number);
            if is_open {
                pair.open.insert(place.pipeline.clone());
            }
        });
    }

    /// The look that comes next: of the pair with the fewest at work, so that a slow account, which has many, comes last.
    pub(super) fn next(&self) -> Option<u64> {
        let mut best: Option<(usize, u64, u64)> = None;
        for (tools, of) in &self.tools {
            for (at_work, first, dev) in &of.waiting {
                let is_better = best.is_none_or(|(fewest, oldest, _)| (*at_work, *first) < (fewest, oldest));
                // With fewer at work there is none left, and those with more may not either.
                if !is_better || !self.may_work(tools, *at_work) {
                    break;
                }
                let number = of.next(dev, self.limits).filter(|_| self.may_work(dev, *at_work));
                if let Some(number) = number {
                    best = Some((*at_work, *first, number));
                    break;
                }
            }
        }
        best.map(|(_, _, number)| number)
    }

    /// Whether one more look may be at work in an account, of a pair that has so many. Pairs without any have as much again, so
    /// that sixteen slow dev accounts do not use up a tools account.
    fn may_work(&self, account: &str, of_pair: usize) -> bool {
        let limit = if of_pair == 0 { self.limits.in_an_account * 2 } else { self.limits.in_an_account };
        self.at_work.get(account).is_none_or(|at_work| *at_work < limit)
    }

    pub(super) fn begin(&mut self, place: &Place, number: u64) {
        let limits = self.limits;
        let Some(of) = self.tools.get_mut(&place.tools) else { return };
        let was_open = of.pipelines.get(&place.pipeline).is_some_and(|pipeline| pipeline.is_open);
        let (mut opens, mut is_last) = (of.has_room(limits), false);
        of.change(&place.dev, limits, |pair| {
            opens |= pair.open_in_a_row >= OPEN_IN_A_ROW;
            pair.open_in_a_row = if was_open { pair.open_in_a_row.saturating_add(1) } else { 0 };
            pair.take_out(&place.pipeline, number);
            pair.under_way += 1;
            pair.at_work += 1;
            is_last = !pair.on.contains_key(&place.pipeline);
        });
        of.count(&place.pipeline, limits, |pipeline| {
            pipeline.due = pipeline.due.saturating_sub(1);
            pipeline.under_way += 1;
            if is_last {
                pipeline.devs.remove(&place.dev);
            }
        });
        if opens && !was_open {
            of.set_open(&place.pipeline, limits, true);
        }
        for account in accounts(place) {
            *self.at_work.entry(account.clone()).or_default() += 1;
        }
    }

    pub(super) fn only_waits(&mut self, place: &Place) {
        if let Some(of) = self.tools.get_mut(&place.tools) {
            of.change(&place.dev, self.limits, |pair| pair.at_work = pair.at_work.saturating_sub(1));
        }
        for account in accounts(place) {
            if let Some(at_work) = self.at_work.get_mut(account) {
                *at_work = at_work.saturating_sub(1);
                if *at_work == 0 {
                    self.at_work.remove(account);
                }
            }
        }
    }

    pub(super) fn ended(&mut self, place: &Place) {
        let limits = self.limits;
        let Some(of) = self.tools.get_mut(&place.tools) else { return };
        of.change(&place.dev, limits, |pair| pair.under_way = pair.under_way.saturating_sub(1));
        let mut is_over = false;
        of.count(&place.pipeline, limits, |pipeline| {
            pipeline.under_way = pipeline.under_way.saturating_sub(1);
            is_over = pipeline.under_way == 0;
        });
        if is_over && of.pipelines.contains_key(&place.pipeline) {
            of.set_open(&place.pipeline, limits, false);
        }
        if of.pairs.is_empty() {
            self.tools.remove(&place.tools);
        }
    }

    #[cfg(test)]
    pub(super) fn is_clear(&self) -> bool {
        self.tools.is_empty() && self.at_work.is_empty()
    }
}

/// The accounts of a place, each once.
fn accounts(place: &Place) -> impl Iterator<Item = &String> {
    std::iter::once(&place.tools).chain(Some(&place.dev).filter(|dev| **dev != place.tools))
}
