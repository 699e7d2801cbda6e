//! What exists in AWS because of one object. It says where to look, never what may be changed: that is read from AWS.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::{
    drift::Digest,
    ids::{AccountId, ActionName, Arn, RoleId, StageName},
    spec::Declared,
};

/// The five parts, in the order in which they are made.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// T1: the role and whom it trusts.
    InvokeRole,
    /// P1: its right to invoke.
    InvokePolicy,
    /// P2: the function's right to report back.
    CallbackPolicy,
    /// P3: the pipeline role's right to assume.
    AssumePolicy,
    /// P4: the action.
    PipelineAction,
}

/// The items that a status holds.
pub const MAX: usize = 200;

/// One thing that exists, or is about to be made.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Item {
    /// Which part.
    pub part: Part,
    /// The role or pipeline that holds it.
    pub holder: Arn,
    /// What of the holder is ours: the trusted pipeline role (T1), the function (P1), the invoke role (P3, P4).
    pub entry: Option<Arn>,
    /// The action's stage and name (P4).
    pub action: Option<(StageName, ActionName)>,
    /// Whether this installation made that stage.
    pub stage_made: bool,
    /// When it was last about to be written.
    pub written_at: Timestamp,
    /// Whether it was seen in AWS after that: from then on its absence is real and no stale read.
    pub read_back: bool,
    /// What was there when it was last seen in place; `None` before that, and from the moment it is written again.
    pub digest: Option<Digest>,
    /// The version of the pipeline in which the action was last seen in place (P4).
    pub pipeline_version: Option<i64>,
}

impl Item {
    /// Whether both are the same thing in AWS.
    #[must_use]
    pub fn same_thing(&self, other: &Self) -> bool {
        self.part == other.part
            && self.holder == other.holder
            && self.entry == other.entry
            && self.action == other.action
    }

    fn is_within(&self, declared: &Declared) -> bool {
        let account = match self.part {
            Part::AssumePolicy | Part::PipelineAction => &declared.tools.account,
            _ => &declared.dev.account,
        };
        self.holder.account() == account.as_str()
    }
}

/// The items of one object.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Inventory(pub Vec<Item>);

impl Inventory {
    /// The items of one part.
    pub fn of(&self, part: Part) -> impl Iterator<Item = &Item> {
        self.0.iter().filter(move |item| item.part == part)
    }

    /// Whether any of it was seen in place when it was last looked at.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.0.iter().any(|item| item.digest.is_some())
    }

    /// Whether the other one lists the same, whenever it was written.
    #[must_use]
    pub fn lists_the_same(&self, other: &Self) -> bool {
        let are_same = |(one, other): (&Item, &Item)| *one == Item { written_at: one.written_at, ..other.clone() };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(are_same)
    }

    /// Items that are not among `desired`: left by an older spec, or (with nothing desired) everything.
    #[must_use]
    pub fn leftovers(&self, desired: &Self) -> Self {
        Self(self.0.iter().filter(|item| !desired.0.iter().any(|wanted| wanted.same_thing(item))).cloned().collect())
    }

    /// Only what lies in the object's own two accounts: a status that names others was not written by us.
    #[must_use]
    pub fn within(mut self, declared: &Declared) -> Self {
        self.0.retain(|item| item.is_within(declared));
        self
    }

    /// The same of one that others hold too: a copy only where something is left out.
    #[must_use]
    pub fn shared_within(self: Arc<Self>, declared: &Declared) -> Arc<Self> {
        if self.0.iter().all(|item| item.is_within(declared)) {
            return self;
        }
        Arc::new(Self::clone(&self).within(declared))
    }

    /// Whether a record names all of this, so that these parts may be written. That something else was seen in place since, for
    /// the first time, says nothing about a write: it is recorded with what comes of it.
    #[must_use]
    pub fn is_recorded(&self, record: &Self, written: &BTreeSet<Part>) -> bool {
        let says_as_much = |known: &Item, item: &Item| {
            let digest = match &known.digest {
                None if !written.contains(&item.part) => None,
                _ => item.digest.clone(),
            };
            *known == Item { digest, ..item.clone() }
        };
        let pairs = || record.0.iter().zip(&self.0);
        record.0.len() == self.0.len() && pairs().all(|(known, item)| says_as_much(known, item))
    }

    /// Both inventories; of the same thing the later writing time counts, and at the same time `other`.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut items = self.0.clone();
        for item in &other.0 {
            match items.iter_mut().find(|known| known.same_thing(item)) {
                Some(known) => {
                    // What was written later has still to be seen.
                    known.read_back = match known.written_at.cmp(&item.written_at) {
                        std::cmp::Ordering::Less => item.read_back,
                        std::cmp::Ordering::Equal => known.read_back || item.read_back,
                        std::cmp::Ordering::Greater => known.read_back,
                    };
                    // The argument is the younger word of the two; what never was seen in place says nothing.
                    if item.digest.is_some() && item.written_at >= known.written_at {
                        known.digest.clone_from(&item.digest);
                    }
                    known.pipeline_version = known.pipeline_version.max(item.pipeline_version);
                    known.written_at = known.written_at.max(item.written_at);
                    known.stage_made |= item.stage_made;
                }
                None => items.push(item.clone()),
            }
        }
        items.sort_by(|a, b| (a.part, &a.holder, &a.entry, &a.action).cmp(&(b.part, &b.holder, &b.entry, &b.action)));
        Self(items)
    }

    /// As much as a status holds. What cannot be found again without the record comes first: actions and roles that an
    /// older spec named, and the roles that carry entries of ours.
    #[must_use]
    pub fn fitting(&self) -> Self {
        if self.0.len() <= MAX {
            return self.clone();
        }
        let place = |item: &Item| match item.part {
            Part::PipelineAction => 0,
            Part::InvokeRole => 1,
            Part::AssumePolicy => 2,
            Part::CallbackPolicy => 3,
            Part::InvokePolicy => 4,
        };
        let mut items: Vec<&Item> = self.0.iter().collect();
        items.sort_by_key(|item| (item.digest.is_none(), place(item)));
        Self::default().union(&Self(items.into_iter().take(MAX).cloned().collect()))
    }

    /// The roles that hold this part.
    pub fn roles(&self, part: Part) -> impl Iterator<Item = RoleId> {
        self.of(part).filter_map(|item| item.holder.role())
    }

    /// The entries that one role has of ours.
    #[must_use]
    pub fn entries(&self, part: Part, holder: &RoleId) -> BTreeSet<Arn> {
        let items = self.of(part).filter(|item| item.holder.is_of(holder));
        items.filter_map(|item| item.entry.clone()).collect()
    }

    /// Names of all actions that it knows.
    #[must_use]
    pub fn action_names(&self) -> BTreeSet<ActionName> {
        self.of(Part::PipelineAction).filter_map(|item| item.action.as_ref().map(|(_, name)| name.clone())).collect()
    }

    /// The accounts it names, to keep their `AwsAccount`s.
    #[must_use]
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        self.0.iter().filter_map(|item| item.holder.account().parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(part: Part, number: usize) -> Item {
        Item {
            part,
            holder: format!("arn:aws:iam::222222222222:role/r{number}").parse().unwrap(),
            entry: None,
            action: None,
            stage_made: false,
            written_at: Timestamp::UNIX_EPOCH,
            read_back: false,
            digest: None,
            pipeline_version: None,
        }
    }

    #[test]
    fn what_was_first_seen_in_place_since_needs_no_record_of_its_own() {
        let seen = |item: Item| Item { digest: Some("aa=bb".parse().unwrap()), ..item };
        let seen_again = |item: Item| Item { digest: Some("aa=cc".parse().unwrap()), ..item };
        let made = |item: Item| Item { stage_made: true, ..item };
        let (role, action) = (|| item(Part::InvokeRole, 1), || item(Part::PipelineAction, 2));
        let inventory = |items: [Item; 2]| Inventory(items.into());
        for (what, record, now, is_recorded) in [
            ("nothing is new", inventory([role(), action()]), inventory([role(), action()]), true),
            ("seen for the first time", inventory([role(), action()]), inventory([seen(role()), action()]), true),
            ("seen otherwise", inventory([seen(role()), action()]), inventory([seen_again(role()), action()]), false),
            ("no longer seen", inventory([seen(role()), action()]), inventory([role(), action()]), false),
            ("what is written", inventory([role(), action()]), inventory([role(), seen(action())]), false),
            ("a stage to be made", inventory([role(), action()]), inventory([role(), made(action())]), false),
            ("something else", inventory([role(), action()]), inventory([item(Part::InvokeRole, 3), action()]), false),
            ("one more", Inventory(vec![role()]), inventory([role(), action()]), false),
            ("one less", inventory([role(), action()]), Inventory(vec![role()]), false),
        ] {
            assert_eq!(now.is_recorded(&record, &BTreeSet::from([Part::PipelineAction])), is_recorded, "{what}");
        }
    }

    #[test]
    fn a_status_keeps_what_cannot_be_found_again_without_it() {
        let few = Inventory((0..MAX).map(|number| item(Part::InvokePolicy, number)).collect());
        assert_eq!(few.fitting(), few);
        let many = Inventory([few.0.clone(), vec![item(Part::PipelineAction, 0), item(Part::InvokeRole, 0)]].concat());
        let fitting = many.fitting();
        assert_eq!(fitting.0.len(), MAX);
        assert_eq!((fitting.of(Part::PipelineAction).count(), fitting.of(Part::InvokeRole).count()), (1, 1));
    }
}
