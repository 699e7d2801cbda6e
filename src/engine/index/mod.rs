//! Which objects name what. Whoever is concerned with one account, pipeline, function, role or namespace finds the objects
//! that name it here, and looks at no other.
//!
//! An object names what its declaration asks for, what its status says that it has, and what this process recorded or planned
//! for it. The first two are what the watch shows, and belong to the object's key. The third is this process's own, and belongs
//! to a UID: it is known before the watch shows it, and is no other object's that has the same name later. An update of one
//! object moves its own entries, out where it names something no more and in where it names something new.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
};

use crate::domain::{
    ids::{AccountId, Arn, FunctionName, ObjectKey, PipelineName, Region, RoleId},
    inventory::{Inventory, Part},
    spec::Declared,
};

/// Where a pipeline is.
pub type PipelinePlace = (AccountId, Region, PipelineName);
/// Where a function is.
pub type FunctionPlace = (AccountId, Region, FunctionName);

/// What an object names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// Accounts in which it has, or wants, anything.
    pub accounts: BTreeSet<AccountId>,
    /// Pipelines with an action of it.
    pub pipelines: BTreeSet<PipelinePlace>,
    /// Functions that it invokes.
    pub functions: BTreeSet<FunctionPlace>,
    /// Roles that are its own, that hold something of it, or that it lets the pipeline's role assume.
    pub roles: BTreeSet<RoleId>,
}

impl Names {
    /// Adds what a declaration asks for.
    #[must_use]
    pub fn and_declared(mut self, declared: &Declared) -> Self {
        let (tools, dev) = (&declared.tools, &declared.dev);
        self.accounts.extend([tools.account.clone(), dev.account.clone()]);
        self.pipelines.insert((tools.account.clone(), tools.region.clone(), declared.pipeline.clone()));
        self.functions.insert((dev.account.clone(), dev.region.clone(), declared.function.clone()));
        self.roles.insert(RoleId { account: dev.account.clone(), name: declared.role_name.clone() });
        self
    }

    /// Adds what an inventory has.
    #[must_use]
    pub fn and_held(mut self, inventory: &Inventory) -> Self {
        self.accounts.extend(inventory.accounts());
        for item in &inventory.0 {
            self.roles.extend(item.holder.role());
            self.roles.extend(item.entry.as_ref().and_then(Arn::role));
            match item.part {
                Part::PipelineAction => self.pipelines.extend(pipeline_of(&item.holder)),
                Part::InvokePolicy => self.functions.extend(item.entry.as_ref().and_then(function_of)),
                Part::InvokeRole | Part::CallbackPolicy | Part::AssumePolicy => {}
            }
        }
        self
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            accounts: self.accounts.union(&other.accounts).cloned().collect(),
            pipelines: self.pipelines.union(&other.pipelines).cloned().collect(),
            functions: self.functions.union(&other.functions).cloned().collect(),
            roles: self.roles.union(&other.roles).cloned().collect(),
        }
    }
}

fn pipeline_of(arn: &Arn) -> Option<PipelinePlace> {
    Some((arn.account().parse().ok()?, arn.region().parse().ok()?, arn.resource().parse().ok()?))
}

fn function_of(arn: &Arn) -> Option<FunctionPlace> {
    let name = arn.resource().strip_prefix("function:")?;
    Some((arn.account().parse().ok()?, arn.region().parse().ok()?, name.parse().ok()?))
}

/// What the watch shows of an object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shown {
    /// Its UID.
    pub uid: String,
    /// Whether it decodes. What one that does not names is not known.
    pub is_readable: bool,
    /// What its declaration and its status name.
    pub names: Names,
}

/// Objects by something that they name.
type Map<K> = HashMap<K, BTreeSet<ObjectKey>>;

/// The maps, and what they were made from.
#[derive(Debug, Default)]
pub struct Index {
    shown: HashMap<ObjectKey, Shown>,
    keys: HashMap<String, ObjectKey>,
    /// What this process recorded and planned, by UID.
    own: HashMap<String, Names>,
    accounts: Map<AccountId>,
    pipelines: Map<PipelinePlace>,
    functions: Map<FunctionPlace>,
    roles: Map<RoleId>,
    namespaces: BTreeMap<String, BTreeSet<ObjectKey>>,
    unreadable: BTreeMap<String, BTreeSet<ObjectKey>>,
}

impl Index {
    /// Takes note of an object as the watch shows it. Says how many entries of the maps of what objects name moved.
    pub fn put(&mut self, key: &ObjectKey, shown: Shown) -> usize {
        let before = self.names(key);
        if shown.is_readable {
            take_out(&mut self.unreadable, &key.namespace, key);
        } else {
            self.unreadable.entry(key.namespace.clone()).or_default().insert(key.clone());
        }
        self.namespaces.entry(key.namespace.clone()).or_default().insert(key.clone());
        let uid = shown.uid.clone();
        if let Some(other) = self.shown.insert(key.clone(), shown) {
            self.keys.remove(&other.uid);
        }
        self.keys.insert(uid, key.clone());
        self.move_entries(key, &before)
    }

    /// Takes note that an object is gone. What this process knows of its UID stays until it is forgotten.
    pub fn remove(&mut self, key: &ObjectKey) -> usize {
        let before = self.names(key);
        if let Some(shown) = self.shown.remove(key) {
            self.keys.remove(&shown.uid);
        }
        take_out(&mut self.namespaces, &key.namespace, key);
        take_out(&mut self.unreadable, &key.namespace, key);
        self.move_entries(key, &before)
    }

    /// Takes note of what this process recorded and planned for a UID, in all.
    pub fn own(&mut self, uid: &str, names: Names) -> usize {
        let key = self.keys.get(uid).cloned();
        let before = key.as_ref().map(|key| self.names(key)).unwrap_or_default();
        if names == Names::default() {
            self.own.remove(uid);
        } else {
            self.own.insert(uid.to_owned(), names);
        }
        key.map_or(0, |key| self.move_entries(&key, &before))
    }

    /// All that an object names.
    fn names(&self, key: &ObjectKey) -> Names {
        let Some(shown) = self.shown.get(key) else { return Names::default() };
        self.own.get(&shown.uid).map_or_else(|| shown.names.clone(), |own| shown.names.and(own))
    }

    /// Puts the maps right for one object that named something else before.
    fn move_entries(&mut self, key: &ObjectKey, before: &Names) -> usize {
        let now = self.names(key);
        move_entries(&mut self.accounts, key, &before.accounts, &now.accounts)
            + move_entries(&mut self.pipelines, key, &before.pipelines, &now.pipelines)
            + move_entries(&mut self.functions, key, &before.functions, &now.functions)
            + move_entries(&mut self.roles, key, &before.roles, &now.roles)
    }

    /// The object of a UID, while the watch shows it.
    #[must_use]
    pub fn key(&self, uid: &str) -> Option<&ObjectKey> {
        self.keys.get(uid)
    }

    /// The objects that have, or want, something in an account. Those that do not decode may be among them, and are not here.
    #[must_use]
    pub fn in_account(&self, account: &AccountId) -> impl ExactSizeIterator<Item = &ObjectKey> {
        found(&self.accounts, account)
    }

    /// How many objects may have, or want, something in an account. One that does not decode may.
    #[must_use]
    pub fn count_in_account(&self, account: &AccountId) -> usize {
        let named = self.accounts.get(account);
        let others = self.all_unreadable().filter(|key| named.is_none_or(|named| !named.contains(*key)));
        named.map_or(0, BTreeSet::len) + others.count()
    }

    /// The objects with an action on a pipeline.
    #[must_use]
    pub fn on_pipeline(&self, pipeline: &PipelinePlace) -> impl ExactSizeIterator<Item = &ObjectKey> {
        found(&self.pipelines, pipeline)
    }

    /// The objects that invoke a function.
    #[must_use]
    pub fn of_function(&self, function: &FunctionPlace) -> impl ExactSizeIterator<Item = &ObjectKey> {
        found(&self.functions, function)
    }

    /// The objects that a role belongs to, or that it holds something of.
    #[must_use]
    pub fn of_role(&self, role: &RoleId) -> impl ExactSizeIterator<Item = &ObjectKey> {
        found(&self.roles, role)
    }

    /// The objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &ObjectKey> {
        self.namespaces.get(namespace).into_iter().flatten()
    }

    /// The namespaces with objects that do not decode, each with the first of them.
    pub fn unreadable(&self) -> impl Iterator<Item = &ObjectKey> {
        self.unreadable.values().filter_map(BTreeSet::first)
    }

    /// All objects that do not decode: each may name anything.
    pub fn all_unreadable(&self) -> impl Iterator<Item = &ObjectKey> {
        self.unreadable.values().flatten()
    }
}

fn found<'i, K: Eq + Hash>(map: &'i Map<K>, name: &K) -> impl ExactSizeIterator<Item = &'i ObjectKey> + use<'i, K> {
    static NOBODY: BTreeSet<ObjectKey> = BTreeSet::new();
    map.get(name).unwrap_or(&NOBODY).iter()
}

/// Takes an object out where it was and is no more, and puts it in where it is and was not; says how often.
fn move_entries<K: Clone + Eq + Hash + Ord>(
    map: &mut Map<K>,
    key: &ObjectKey,
    before: &BTreeSet<K>,
    now: &BTreeSet<K>,
) -> usize {
    let mut moved = 0;
    for name in before.difference(now) {
        if let Some(objects) = map.get_mut(name) {
            objects.remove(key);
            if objects.is_empty() {
                map.remove(name);
            }
        }
        moved += 1;
    }
    for name in now.difference(before) {
        map.entry(name.clone()).or_default().insert(key.clone());
        moved += 1;
    }
    moved
}

fn take_out<Q: Ord + ?Sized, K: Borrow<Q> + Ord>(
    map: &mut BTreeMap<K, BTreeSet<ObjectKey>>,
    name: &Q,
    key: &ObjectKey,
) {
    if let Some(objects) = map.get_mut(name) {
        objects.remove(key);
        if objects.is_empty() {
            map.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
