//! What many objects claim of the policies that they share on one role, and what is written for it.
//!
//! A document is never composed: it is the one that was read, edited. [`Edit::of`] compares both and refuses one that loses
//! an entry without a [`Leaving`], which only a claim of the entry's owner or a proof makes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    basis::Basis,
    ids::{Arn, InstallationId, ObjectKey},
    names,
    own_writes::State,
    plan::policy_state,
    policy,
    role_fold::{self, Assume, Wish},
    shared_policy::{AssumeUser, Behind, Proof},
};

/// A policy that objects share on a role.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Facet {
    /// P2, on a function's execution role.
    CallbackPolicy,
    /// P3, on a pipeline's service role.
    AssumePolicy,
}

impl Facet {
    /// Both.
    pub const ALL: [Self; 2] = [Self::CallbackPolicy, Self::AssumePolicy];

    /// The name of the inline policy.
    #[must_use]
    pub fn policy(self, installation: &InstallationId) -> String {
        match self {
            Self::CallbackPolicy => names::callback_policy(installation),
            Self::AssumePolicy => names::assume_policy(installation),
        }
    }
}

/// What one object wants of one facet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Goal {
    /// The callback policy is there.
    Callback,
    /// The callback policy goes, unless somebody else needs it.
    NoCallback {
        /// Until when it stands what AWS showed of roles that may need it and that no object asks for.
        proven_until: Timestamp,
    },
    /// The assume policy names these, and no other role of this object; with none of them everything of it leaves.
    Assume {
        /// The roles.
        entries: BTreeSet<Arn>,
        /// Whether all of them were seen in place.
        was_in_place: bool,
        /// Roles that actions of the object's pipelines use.
        used: BTreeSet<Arn>,
        /// What stands behind entries whose roles the object has read.
        behind: BTreeMap<Arn, Behind>,
    },
}

impl Goal {
    /// The facet that it is about.
    #[must_use]
    pub fn facet(&self) -> Facet {
        match self {
            Self::Callback | Self::NoCallback { .. } => Facet::CallbackPolicy,
            Self::Assume { .. } => Facet::AssumePolicy,
        }
    }

    fn asks_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Assume { entries, .. }, Self::Assume { entries: others, .. }) => entries == others,
            (Self::NoCallback { .. }, Self::NoCallback { .. }) => true,
            (one, other) => one == other,
        }
    }
}

/// What one object wants of one role.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The object as it was when this claim was planned; a write for the claim rests on that.
    pub basis: Basis,
    /// When the object was created: where room is short, the older one has it.
    pub created: Timestamp,
    /// What it wants.
    pub goal: Goal,
}

impl Claim {
    /// Whether it asks for the same as another claim of the same object.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.basis == other.basis && self.goal.asks_the_same(&other.goal)
    }
}

/// The shared policies of a role, as far as they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading(pub BTreeMap<Facet, Option<Value>>);

impl Reading {
    /// A policy; `None` if there is none.
    #[must_use]
    pub fn of(&self, facet: Facet) -> Option<&Value> {
        self.0.get(&facet).and_then(Option::as_ref)
    }

    /// A policy's state.
    #[must_use]
    pub fn state(&self, facet: Facet) -> State {
        policy_state(self.of(facet))
    }

    /// The entries of the assume policy, in whatever form.
    #[must_use]
    pub fn entries(&self) -> BTreeSet<Arn> {
        self.of(Facet::AssumePolicy).map(policy::assume_entries_of_any_form).unwrap_or_default()
    }
}

/// What the objects that claim nothing at the moment need of a role.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// Of the assume policy.
    pub assume: Vec<AssumeUser>,
    /// Whether any needs the callback policy.
    pub callback: bool,
    /// Objects that release what they have.
    pub released: BTreeSet<ObjectKey>,
    /// Whether it is not known what every object needs, so that nothing is removed.
    pub withheld: bool,
}

/// Why an entry may leave a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leaving(());

impl Leaving {
    /// The entry's role belongs to an object that claims, and so says itself what it needs, or to one that releases it, or
    /// AWS shows that no role of this installation stands behind it.
    fn of(behind: &Behind, owners: &BTreeSet<&ObjectKey>, proof: &Proof) -> Option<Self> {
        owners.iter().any(|owner| proof.lets_go(Some(behind), owner)).then_some(Self(()))
    }
}

/// One write of a shared policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// The policy.
    pub facet: Facet,
    /// What it becomes; with none it is deleted.
    pub document: Option<Value>,
    /// Whether it takes anything away.
    pub removes: bool,
}

impl Edit {
    /// The edit of an assume policy that makes it name these roles. `None` if it names them already, or if it would lose an
    /// entry that nothing lets go.
    #[must_use]
    #[allow(clippy::zero_sized_map_values, reason = "only a proof makes a value")]
    pub fn of(read: Option<&Value>, named: &BTreeSet<Arn>, leaving: &BTreeMap<Arn, Leaving>) -> Option<Self> {
        let in_place = read.map(policy::assume_entries_of_any_form).unwrap_or_default();
        let mut lost = in_place.difference(named).peekable();
        let removes = lost.peek().is_some();
        if !lost.all(|entry| leaving.contains_key(entry)) {
            return None;
        }
        let document = (!named.is_empty()).then(|| policy::assume(named));
        (policy_state(read) != policy_state(document.as_ref())).then_some(Self {
            facet: Facet::AssumePolicy,
            document,
            removes,
        })
    }
}

/// What became of a claim in a fold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Folded {
    /// Nothing is to be written for it.
    Done,
    /// Something is written for it.
    Changed,
    /// Nothing of its own is missing or too much, and something is written that no object in particular asks for.
    ForNobody,
    /// Its entries do not fit.
    Full,
    /// What was looked up for it is too old.
    Outdated,
}

/// All claims of one role, folded.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// What is to be written: additions, then removals.
    pub edits: Vec<Edit>,
    /// What became of each claim.
    pub folded: BTreeMap<(String, Facet), Folded>,
    /// Entries of which it has to be known what stands behind them.
    pub unproven: BTreeSet<Arn>,
}

/// How much may be added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// The characters of the assume policy.
    pub characters: usize,
    /// How many objects' entries are added at most in one write.
    pub additions: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { characters: role_fold::INLINE_MAX, additions: usize::MAX }
    }
}

/// Folds claims into what was read. The order in which they are handed over does not matter.
#[must_use]
pub fn fold<'a>(
    reading: &Reading,
    claims: impl IntoIterator<Item = &'a Claim>,
    users: &Users,
    evidence: &BTreeMap<Arn, Behind>,
    room: Room,
    now: Timestamp,
) -> Fold {
    let mut claims: Vec<&Claim> = claims.into_iter().collect();
    claims.sort_by_key(|claim| &claim.basis.uid);
    let mut fold = Fold::default();
    callback(&mut fold, reading, &claims, users, now);
    assume(&mut fold, reading, &claims, users, evidence, room);
    fold.edits.sort_by_key(|edit| (edit.removes, edit.facet));
    fold
}

fn callback(fold: &mut Fold, reading: &Reading, claims: &[&Claim], users: &Users, now: Timestamp) {
    let facet = Facet::CallbackPolicy;
    let wanted = claims.iter().any(|claim| claim.goal == Goal::Callback);
    let current = reading.of(facet);
    let ours = policy::callback();
    let is_missing = current.is_none_or(|current| !policy::same_meaning(current, &ours));
    let mut may_go = !wanted && !users.callback && !users.withheld && current.is_some();
    for claim in claims {
        let folded = match &claim.goal {
            Goal::Callback if is_missing => Folded::Changed,
            Goal::NoCallback { proven_until } if may_go && *proven_until <= now => Folded::Outdated,
            Goal::NoCallback { .. } if may_go => Folded::Changed,
            Goal::Callback | Goal::NoCallback { .. } => Folded::Done,
            Goal::Assume { .. } => continue,
        };
        fold.folded.insert((claim.basis.uid.clone(), facet), folded);
    }
    let leaves = fold.folded.values().any(|folded| *folded == Folded::Changed) && !wanted;
    may_go &= leaves;
    if wanted && is_missing {
        fold.edits.push(Edit { facet, document: Some(ours), removes: false });
    } else if may_go {
        fold.edits.push(Edit { facet, document: None, removes: true });
    }
}

fn assume(
    fold: &mut Fold,
    reading: &Reading,
    claims: &[&Claim],
    users: &Users,
    evidence: &BTreeMap<Arn, Behind>,
    room: Room,
) {
    let facet = Facet::AssumePolicy;
    let mut wishes = Vec::new();
    let (mut used, mut known) = (BTreeSet::new(), BTreeMap::<Arn, Behind>::new());
    let mut keys = Vec::new();
    for claim in claims {
        let Goal::Assume { entries, was_in_place, used: by, behind } = &claim.goal else { continue };
        let (uid, created) = (claim.basis.uid.clone(), claim.created);
        wishes.push(Wish { uid, created, entries: entries.clone(), was_in_place: *was_in_place });
        keys.push(&claim.basis.key);
        used.extend(by.iter().cloned());
        for (entry, behind) in behind {
            // A role that one of them saw is there, whatever a late read shows another one.
            if !matches!(known.get(entry), Some(Behind::Ours(_))) {
                known.insert(entry.clone(), behind.clone());
            }
        }
    }
    if wishes.is_empty() {
        return;
    }
    known.extend(evidence.clone());
    let owners: BTreeSet<&ObjectKey> = keys.iter().copied().collect();
    let in_place = reading.entries();
    let proof = Proof { released: users.released.clone(), ..Proof::default() };
    #[allow(clippy::zero_sized_map_values, reason = "only a proof makes a value")]
    let leaving: BTreeMap<Arn, Leaving> = known
        .iter()
        .filter(|_| !users.withheld)
        .filter_map(|(entry, behind)| Some((entry.clone(), Leaving::of(behind, &owners, &proof)?)))
        .collect();
    let of = Assume {
        in_place: &in_place,
        wishes: &wishes,
        others: &users.assume,
        used: &used,
        room: room.characters,
        additions: room.additions,
    };
    let folded = role_fold::assume(of, |entry| leaving.contains_key(entry));
    if !users.withheld {
        let unexplained = folded.entries.unexplained.iter().filter(|entry| !used.contains(*entry));
        fold.unproven = unexplained.filter(|entry| !known.contains_key(*entry)).cloned().collect();
    }
    let named = &folded.entries.named;
    let edit = Edit::of(reading.of(facet), named, &leaving);
    let loses = |key: &ObjectKey| {
        let mut lost = in_place.difference(named);
        lost.any(|entry| matches!(known.get(entry), Some(Behind::Ours(Some(owner))) if owner == key))
    };
    let needs = |wish: &Wish, key: &ObjectKey| !wish.entries.is_subset(&in_place) || loses(key);
    // What no object asked for is written for all of them.
    let for_nobody = edit.is_some() && !wishes.iter().zip(&keys).any(|(wish, key)| needs(wish, key));
    for (wish, key) in wishes.iter().zip(&keys) {
        let became = match () {
            () if folded.left_out.contains(&wish.uid) => Folded::Full,
            () if for_nobody => Folded::ForNobody,
            () if needs(wish, key) => Folded::Changed,
            () => Folded::Done,
        };
        fold.folded.insert((wish.uid.clone(), facet), became);
    }
    fold.edits.extend(edit);
}

#[cfg(test)]
mod tests;
