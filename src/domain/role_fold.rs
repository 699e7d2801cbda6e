//! What many objects want of the policies that they share on one role, folded into one document each.
//!
//! A document is the one that was read, edited: what is in place stays unless something proves that it may leave. The order
//! in which objects come decides nothing. Where not all fits, what was in place comes first, then the oldest object; the
//! others are left out, and they alone are told.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    ids::Arn,
    policy,
    shared_policy::{self, AssumeUser, Entries},
};

/// IAM's quota of all inline policies of a role together, in characters without white space (IAM User Guide, quotas).
pub const INLINE_MAX: usize = 10_240;

/// What one object wants of an assume policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wish {
    /// The object's UID.
    pub uid: String,
    /// When it was created: where room is short, the older one has it.
    pub created: Timestamp,
    /// The entries that it needs; none where it only lets go.
    pub entries: BTreeSet<Arn>,
    /// Whether all of them were seen in place.
    pub was_in_place: bool,
}

/// The entries of an assume policy, and whom they leave out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Folded {
    /// All that it must name.
    pub entries: Entries,
    /// The UIDs of those whose entries do not fit.
    pub left_out: BTreeSet<String>,
}

/// Everything that decides about the entries of one assume policy.
#[derive(Clone, Copy, Debug)]
pub struct Assume<'a> {
    /// The entries in place.
    pub in_place: &'a BTreeSet<Arn>,
    /// What objects want that are being converged or removed.
    pub wishes: &'a [Wish],
    /// All other objects.
    pub others: &'a [AssumeUser],
    /// Roles that actions of the pipelines use.
    pub used: &'a BTreeSet<Arn>,
    /// The characters that the document may have.
    pub room: usize,
    /// How many objects' entries are added at most.
    pub additions: usize,
}

/// Folds them. `may_leave` says which entries may leave that no object asks for.
#[must_use]
pub fn assume(of: Assume<'_>, may_leave: impl Fn(&Arn) -> bool) -> Folded {
    let own: BTreeSet<Arn> = of.wishes.iter().flat_map(|wish| wish.entries.iter().cloned()).collect();
    let Entries { named, unexplained } = shared_policy::entries(of.in_place, &own, of.others, of.used, may_leave);
    let mut folded = Folded::default();
    let mut entries: BTreeSet<Arn> = named.intersection(of.in_place).cloned().collect();
    let in_place = entries.clone();
    let mut left = of.additions;
    let mut is_called_for = !of.in_place.is_subset(&named);
    for group in groups(&of, &named) {
        let missing: BTreeSet<&Arn> = group.entries.iter().filter(|entry| !entries.contains(*entry)).copied().collect();
        if missing.is_empty() {
            continue;
        }
        let with: BTreeSet<Arn> = entries.iter().chain(missing).cloned().collect();
        if left > 0 && policy::size(&policy::assume(&with)) <= of.room {
            (entries, left) = (with, left - 1);
            is_called_for |= group.rank.0 != Rank::Foreseen;
        } else {
            folded.left_out.extend(group.uid.cloned());
        }
    }
    // What others will come to want goes along, and is no reason to write.
    let named = if is_called_for { entries } else { in_place };
    folded.entries = Entries { named, unexplained };
    folded
}

/// Entries that come together, or not at all.
struct Group<'a> {
    rank: (Rank, Timestamp, &'a str),
    uid: Option<&'a String>,
    entries: Vec<&'a Arn>,
}

/// Who comes first where room is short.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    /// It was in place, and somebody took it out.
    PutBack,
    /// It is wanted, and never was in place.
    New,
    /// Another object will want it, which says so itself when it does not fit.
    Foreseen,
}

fn groups<'a>(of: &Assume<'a>, named: &'a BTreeSet<Arn>) -> Vec<Group<'a>> {
    let wished = of.wishes.iter().map(|wish| Group {
        rank: (if wish.was_in_place { Rank::PutBack } else { Rank::New }, wish.created, wish.uid.as_str()),
        uid: Some(&wish.uid),
        entries: wish.entries.iter().collect(),
    });
    let own: BTreeSet<&Arn> = of.wishes.iter().flat_map(|wish| &wish.entries).collect();
    let seen: BTreeSet<&Arn> = of.others.iter().filter(|other| other.granted).flat_map(|it| &it.verified).collect();
    let others = named.difference(of.in_place).filter(|entry| !own.contains(entry)).map(|entry| {
        let rank = if seen.contains(entry) { Rank::PutBack } else { Rank::Foreseen };
        Group { rank: (rank, Timestamp::MAX, entry.as_str()), uid: None, entries: vec![entry] }
    });
    let mut groups: Vec<Group<'a>> = wished.chain(others).collect();
    groups.sort_by_key(|group| group.rank);
    groups
}

#[cfg(test)]
mod tests;
