//! How many looks are at work and under way, and who may come next.

use std::collections::{BTreeMap, BTreeSet};

use super::{Limits, OnPipeline, Pair, Place};

#[derive(Debug)]
pub(super) struct Counts {
    limits: Limits,
    pairs: BTreeMap<Pair, OfPair>,
    /// Looks at work by account, whichever of the two it is.
    accounts: BTreeMap<String, usize>,
    pipelines: BTreeMap<OnPipeline, OfPipeline>,
    /// Looks under way, and due ones on open pipelines.
    promised: usize,
    /// Open pipelines on which looks are due.
    open_with_due: BTreeSet<OnPipeline>,
}

#[derive(Debug, Default)]
struct OfPair {
    at_work: usize,
    under_way: usize,
}

#[derive(Debug, Default)]
struct OfPipeline {
    due: usize,
    under_way: usize,
    /// All its objects are let in: the limit of looks under way was not reached when the first of them was.
    is_open: bool,
}

impl OfPipeline {
    fn promised(&self) -> usize {
        self.under_way + if self.is_open { self.due } else { 0 }
    }
}

impl Counts {
    pub(super) fn new(limits: Limits) -> Self {
        let (pairs, accounts, pipelines) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { limits, pairs, accounts, pipelines, promised: 0, open_with_due: BTreeSet::new() }
    }

    pub(super) fn open_with_due(&self) -> impl Iterator<Item = &OnPipeline> {
        self.open_with_due.iter()
    }

    pub(super) fn may_work(&self, place: &Place) -> bool {
        self.pair_may_work(&place.pair())
    }

    pub(super) fn pair_may_work(&self, pair: &Pair) -> bool {
        let (tools, dev) = pair;
        let in_account = |account: &String| self.accounts.get(account).copied().unwrap_or_default();
        self.pairs.get(pair).is_none_or(|known| known.at_work < self.limits.of_a_pair)
            && in_account(tools) < self.limits.in_an_account
            && in_account(dev) < self.limits.in_an_account
    }

    /// Whether one more of this pair may be under way: a pair that has none keeps nobody waiting.
    pub(super) fn has_room_for(&self, pair: &Pair) -> bool {
        self.has_room() || self.pairs.get(pair).is_none_or(|known| known.under_way == 0)
    }

    fn has_room(&self) -> bool {
        self.promised < self.limits.under_way
    }

    pub(super) fn due(&mut self, pipeline: &OnPipeline) {
        self.change(pipeline, |known| known.due += 1);
    }

    pub(super) fn begin(&mut self, place: &Place) {
        let has_room = self.has_room();
        self.change(&place.on(), |known| {
            known.due = known.due.saturating_sub(1);
            known.is_open |= has_room;
            known.under_way += 1;
        });
        let pair = self.pairs.entry(place.pair()).or_default();
        pair.under_way += 1;
        pair.at_work += 1;
        for account in accounts(place) {
            *self.accounts.entry(account.clone()).or_default() += 1;
        }
    }

    pub(super) fn only_waits(&mut self, place: &Place) {
        if let Some(pair) = self.pairs.get_mut(&place.pair()) {
            pair.at_work = pair.at_work.saturating_sub(1);
        }
        for account in accounts(place) {
            if let Some(at_work) = self.accounts.get_mut(account) {
                *at_work = at_work.saturating_sub(1);
                if *at_work == 0 {
                    self.accounts.remove(account);
                }
            }
        }
    }

    pub(super) fn ended(&mut self, place: &Place) {
        let pair = place.pair();
        if let Some(known) = self.pairs.get_mut(&pair) {
            known.under_way = known.under_way.saturating_sub(1);
            if known.under_way == 0 {
                self.pairs.remove(&pair);
            }
        }
        self.change(&place.on(), |known| {
            known.under_way = known.under_way.saturating_sub(1);
            known.is_open &= known.under_way > 0;
        });
    }

    fn change(&mut self, pipeline: &OnPipeline, change: impl FnOnce(&mut OfPipeline)) {
        let known = self.pipelines.entry(pipeline.clone()).or_default();
        self.promised -= known.promised();
        change(known);
        self.promised += known.promised();
        if known.is_open && known.due > 0 {
            self.open_with_due.insert(pipeline.clone());
        } else {
            self.open_with_due.remove(pipeline);
        }
        if known.due == 0 && known.under_way == 0 {
            self.pipelines.remove(pipeline);
        }
    }
}

/// The accounts of a place, each once.
fn accounts(place: &Place) -> impl Iterator<Item = &String> {
    std::iter::once(&place.tools).chain(Some(&place.dev).filter(|dev| **dev != place.tools))
}

#[cfg(test)]
impl Counts {
    /// Whether nothing is counted, as where there is nothing.
    pub(super) fn is_clear(&self) -> bool {
        self.pairs.is_empty()
            && self.accounts.is_empty()
            && self.pipelines.is_empty()
            && self.promised == 0
            && self.open_with_due.is_empty()
    }
}
