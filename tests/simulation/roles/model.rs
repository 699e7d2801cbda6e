//! The role in AWS, and the objects' side: what the controller's objects know and claim.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crossinvoke::domain::{
    basis::Basis,
    ids::{Arn, ObjectKey},
    policy,
    role_claims::{Claim, Facet, Goal, Reading, Users},
    role_fold::INLINE_MAX,
    shared_policy::{AssumeUser, Behind, Usage, WantedRole},
    spec::{Access, Declared, Granted, Location, Trust},
};
use serde_json::Value;

use super::history::Stray;
use crate::{aws::time, history::Millis};

/// All entries are of one length, so that each takes the same room.
pub(crate) fn role_of(object: usize) -> Arn {
    arn(&format!("object-{object}"))
}

pub(crate) fn role_of_stray(stray: Stray) -> Arn {
    arn(match stray {
        Stray::Dead => "stray-da",
        Stray::Foreign => "stray-fo",
        Stray::Unwatched => "stray-un",
        Stray::Unreadable => "stray-re",
    })
}

fn arn(name: &str) -> Arn {
    format!("arn:aws:iam::222222222222:role/crossinvoke/{name}").parse().expect("an ARN")
}

pub(crate) fn key_of(object: usize) -> ObjectKey {
    ObjectKey { namespace: "default".to_owned(), name: format!("object-{object}") }
}

/// The policies of one role as they are and were.
pub(crate) struct Role {
    pub(crate) documents: BTreeMap<Facet, Vec<(Millis, Option<Value>)>>,
    /// Characters of other policies.
    pub(crate) others: usize,
    /// The owners of roles in the dev account.
    pub(crate) owners: BTreeMap<Arn, usize>,
}

impl Role {
    pub(crate) fn new() -> Self {
        let documents = Facet::ALL.into_iter().map(|facet| (facet, vec![(0, None)])).collect();
        Self { documents, others: 0, owners: BTreeMap::new() }
    }

    pub(crate) fn now(&self, facet: Facet) -> Option<&Value> {
        self.documents[&facet].last().and_then(|(_, document)| document.as_ref())
    }

    /// What a read shows that was sent so long after this time.
    pub(crate) fn at(&self, facet: Facet, at: Millis) -> Option<Value> {
        let known = self.documents[&facet].iter().rev().find(|(since, _)| *since <= at);
        known.and_then(|(_, document)| document.clone())
    }

    pub(crate) fn entries(&self) -> BTreeSet<Arn> {
        self.now(Facet::AssumePolicy).map(policy::assume_entries_of_any_form).unwrap_or_default()
    }

    pub(crate) fn set(&mut self, facet: Facet, document: Option<Value>, now: Millis) {
        self.documents.entry(facet).or_default().push((now, document));
    }

    pub(crate) fn set_entries(&mut self, entries: &BTreeSet<Arn>, now: Millis) {
        self.set(Facet::AssumePolicy, (!entries.is_empty()).then(|| policy::assume(entries)), now);
    }

    /// Whether IAM takes this document beside the others.
    pub(crate) fn fits(&self, facet: Facet, document: Option<&Value>) -> bool {
        let other = Facet::ALL.into_iter().filter(|other| *other != facet).filter_map(|other| self.now(other));
        let all: usize = other.chain(document).map(policy::size).sum();
        all + self.others <= INLINE_MAX
    }

    /// As many entries fit beside the callback policy, or all that are there.
    pub(crate) fn crowd(&mut self, entries: usize) {
        let names: BTreeSet<Arn> = (0..entries).map(role_of).collect();
        let there = self.now(Facet::AssumePolicy).map_or(0, policy::size);
        let room = policy::size(&policy::assume(&names)).max(there) + policy::size(&policy::callback());
        self.others = INLINE_MAX - room;
    }

    pub(crate) fn behind(&self, entry: &Arn) -> Behind {
        match self.owners.get(entry) {
            Some(owner) => Behind::Ours(Some(key_of(*owner))),
            None if *entry == role_of_stray(Stray::Foreign) => Behind::Foreign,
            None if *entry == role_of_stray(Stray::Unreadable) => Behind::Unknown,
            None if *entry == role_of_stray(Stray::Unwatched) => {
                Behind::Ours(Some(ObjectKey { namespace: "elsewhere".to_owned(), name: "unwatched".to_owned() }))
            }
            None => Behind::Nothing,
        }
    }
}

/// An object.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) index: usize,
    pub(crate) incarnation: u32,
    pub(crate) created: Millis,
    pub(crate) generation: i64,
    pub(crate) leaving: bool,
    pub(crate) is_granted: bool,
    /// When it was last granted nothing: a write that was decided then may arrive later.
    pub(crate) ungranted_until: Millis,
    /// Its status names what it makes.
    pub(crate) recorded: bool,
    /// Its status says that all was in place.
    pub(crate) was_in_place: bool,
    /// Its action is in the pipeline: from now on its entry must not be missing.
    pub(crate) works: bool,
    /// Whether this process planned something for it.
    pub(crate) planned: bool,
    /// Whether this process knows that it needs nothing any more.
    pub(crate) released: bool,
    /// What it last knew of the two policies: whether all it wants is there.
    pub(crate) told: BTreeSet<Facet>,
    /// It waits for these.
    pub(crate) waits: BTreeSet<Facet>,
}

impl Object {
    pub(crate) fn new(index: usize, incarnation: u32, now: Millis) -> Self {
        Self {
            index,
            incarnation,
            created: now,
            generation: 1,
            leaving: false,
            is_granted: true,
            ungranted_until: 0,
            recorded: false,
            was_in_place: false,
            works: false,
            planned: false,
            released: false,
            told: BTreeSet::new(),
            waits: BTreeSet::new(),
        }
    }

    pub(crate) fn uid(&self) -> String {
        format!("uid-{}-{}", self.index, self.incarnation)
    }

    pub(crate) fn claim(&self, facet: Facet, role: &Role, now: Millis) -> Claim {
        let own = role_of(self.index);
        let goal = match facet {
            Facet::CallbackPolicy if self.leaving => Goal::NoCallback { proven_until: time(now + 60_000) },
            Facet::CallbackPolicy => Goal::Callback,
            Facet::AssumePolicy => Goal::Assume {
                entries: if self.leaving { BTreeSet::new() } else { BTreeSet::from([own.clone()]) },
                was_in_place: self.was_in_place,
                used: BTreeSet::new(),
                behind: BTreeMap::from([(own.clone(), role.behind(&own))]),
            },
        };
        Claim {
            basis: Basis {
                key: key_of(self.index),
                uid: self.uid(),
                generation: self.generation,
                leaving: self.leaving,
                declared: Arc::new(self.declared()),
                granted: Arc::new(granted(self.is_granted)),
            },
            created: time(self.created),
            goal,
        }
    }

    fn user(&self) -> AssumeUser {
        let own = BTreeSet::from([role_of(self.index)]);
        let if_so = |it: bool| if it { own.clone() } else { BTreeSet::new() };
        AssumeUser {
            key: key_of(self.index),
            usage: Usage::Uses,
            invoke_role: Some(WantedRole {
                role: role_of(self.index).role().expect("a role"),
                path: "/crossinvoke/".parse().expect("a path"),
            }),
            granted: self.is_granted,
            recorded: if_so(self.recorded),
            planned_here: if_so(self.planned),
            verified: if_so(self.was_in_place),
        }
    }

    fn declared(&self) -> Declared {
        let location = |account: &str| Location {
            account: account.parse().expect("an account"),
            region: "eu-west-1".parse().expect("a region"),
        };
        Declared {
            key: key_of(self.index),
            tools: location("111111111111"),
            dev: location("222222222222"),
            pipeline: "release".parse().expect("a name"),
            stage: "Build".parse().expect("a name"),
            position: None,
            action: "validate".parse().expect("a name"),
            run_order: None,
            user_parameters: None,
            variables_namespace: None,
            function: "validate".parse().expect("a name"),
            execution_role: None,
            role_name: role_of(self.index).role_name().expect("a role"),
            role_is_named: false,
            tags: BTreeMap::new(),
            trust: Trust::PipelineRole,
            interval: std::time::Duration::from_mins(5),
        }
    }
}

fn granted(today: bool) -> Granted {
    let access = |account: &str| Access {
        account: account.parse().expect("an account"),
        object: "account".to_owned(),
        role: None::<Arn>,
        external_id: None,
    };
    Granted {
        tools: access("111111111111"),
        dev: access("222222222222"),
        role_path: "/crossinvoke/".parse().expect("a path"),
        boundary: None,
        allowed_tag_keys: Vec::new(),
        imposed_tags: BTreeMap::new(),
        tolerated_policies: Vec::new(),
        today,
        closing: None,
    }
}

/// The objects that the process knows, as its last look sees them.
pub(crate) struct Objects {
    pub(crate) known: BTreeMap<usize, Object>,
    pub(crate) withheld: bool,
}

impl crossinvoke::engine::role::LastLook for Objects {
    fn holds(&self, claim: &Claim) -> bool {
        self.known.values().any(|object| {
            object.uid() == claim.basis.uid
                && object.generation == claim.basis.generation
                && object.leaving == claim.basis.leaving
                && (claim.basis.leaving || (object.is_granted && claim.basis.granted.today))
        })
    }

    fn users(&self, claiming: &BTreeSet<(String, Facet)>) -> Users {
        let (released, there): (Vec<_>, Vec<_>) = self.known.values().partition(|object| object.released);
        let claims = |object: &Object, facet| claiming.contains(&(object.uid(), facet));
        Users {
            assume: there.iter().filter(|it| !claims(it, Facet::AssumePolicy)).map(|it| it.user()).collect(),
            callback: there.iter().any(|it| !claims(it, Facet::CallbackPolicy) && (it.planned || it.recorded)),
            released: released.iter().map(|object| key_of(object.index)).collect(),
            withheld: self.withheld,
        }
    }
}

/// What a reading shows of what an object wants.
pub(crate) fn has(reading: &Reading, facet: Facet, object: usize) -> bool {
    match facet {
        Facet::CallbackPolicy => reading.of(facet).is_some(),
        Facet::AssumePolicy => reading.entries().contains(&role_of(object)),
    }
}
