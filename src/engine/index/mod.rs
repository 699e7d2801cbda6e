//! Which objects name what. Whoever is concerned with one account, pipeline, function, role or namespace finds the objects
//! that name it here, and looks at no other.
//!
//! An object names what its declaration asks for, what its status says that it has, and what this process recorded or planned
//! for it. The first two are what the watch shows, and belong to the object's key. The third is this process's own, and belongs
//! to a UID: it is known before the watch shows it, and is no other object's that has the same name later. An update of one
//! object moves its own entries, out where it names something no more and in where it names something new.
//!
//! Beside each pipeline and role stands the moment at which an object that names it last changed, and beside each object what its
//! neighbours may rest on.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
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

/// What an object names. Most often few, so that lists cost less than sets; the index sorts them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// Accounts in which it has, or wants, anything.
    pub accounts: Vec<AccountId>,
    /// Pipelines with an action of it.
    pub pipelines: Vec<PipelinePlace>,
    /// Functions that it invokes.
    pub functions: Vec<FunctionPlace>,
    /// Roles that are its own, that hold something of it, or that it lets the pipeline's role assume.
    pub roles: Vec<RoleId>,
}

impl Names {
    /// Adds what a declaration asks for.
    #[must_use]
    pub fn and_declared(mut self, declared: &Declared) -> Self {
        let (tools, dev) = (&declared.tools, &declared.dev);
        self.accounts.extend([tools.account.clone(), dev.account.clone()]);
        self.pipelines.push((tools.account.clone(), tools.region.clone(), declared.pipeline.clone()));
        self.functions.push((dev.account.clone(), dev.region.clone(), declared.function.clone()));
        self.roles.push(RoleId { account: dev.account.clone(), name: declared.role_name.clone() });
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
            accounts: both(&self.accounts, &other.accounts),
            pipelines: both(&self.pipelines, &other.pipelines),
            functions: both(&self.functions, &other.functions),
            roles: both(&self.roles, &other.roles),
        }
        .sorted()
    }

    /// Each once, in order.
    fn sorted(mut self) -> Self {
        sort(&mut self.accounts);
        sort(&mut self.pipelines);
        sort(&mut self.functions);
        sort(&mut self.roles);
        self
    }
}

fn both<T: Clone>(one: &[T], other: &[T]) -> Vec<T> {
    one.iter().chain(other).cloned().collect()
}

fn sort<T: Ord>(names: &mut Vec<T>) {
    names.sort_unstable();
    names.dedup();
    names.shrink_to_fit();
}

fn pipeline_of(arn: &Arn) -> Option<PipelinePlace> {
    Some((arn.account().parse().ok()?, arn.region().parse().ok()?, arn.resource().parse().ok()?))
}

fn function_of(arn: &Arn) -> Option<FunctionPlace> {
    let name = arn.resource().strip_prefix("function:")?;
    Some((arn.account().parse().ok()?, arn.region().parse().ok()?, name.parse().ok()?))
}

/// What other objects may rest on of an object that decodes, read once for all of them.
#[derive(Debug)]
pub struct Neighbour {
    /// Its UID.
    pub uid: String,
    /// What it declares, if that is valid; without its interval.
    pub declared: Option<Declared>,
    /// What its status says that it has. A tenant may have written the status.
    pub recorded: Arc<Inventory>,
}

/// What the watch shows of an object.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Its UID.
    pub uid: String,
    /// Nothing of one that does not decode: what it names is not known.
    pub neighbour: Option<Arc<Neighbour>>,
    /// What its declaration and its status name.
    pub names: Names,
    /// A digest of all that other objects may rest on.
    pub content: u64,
}

impl Shown {
    /// Whether another object finds the same in it.
    fn shows_the_same(&self, other: &Self) -> bool {
        let of = |shown: &Self| (shown.content, shown.neighbour.is_some());
        self.uid == other.uid && of(self) == of(other) && self.names == other.names
    }
}

/// A moment in the life of the index. Each change has a later one.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(u64);

/// The objects that name something.
#[derive(Debug, Default)]
struct Named {
    objects: BTreeSet<Arc<ObjectKey>>,
    /// When one of them changed, came or went.
    changed: Moment,
}

/// Objects by something that they name.
type Map<K> = HashMap<K, Named>;

/// The maps, and what they were made from.
#[derive(Debug, Default)]
pub struct Index {
    shown: HashMap<Arc<ObjectKey>, Shown>,
    keys: HashMap<String, Arc<ObjectKey>>,
    /// What this process recorded and planned, by UID.
    own: HashMap<String, Names>,
    accounts: Map<AccountId>,
    pipelines: Map<PipelinePlace>,
    functions: Map<FunctionPlace>,
    roles: Map<RoleId>,
    namespaces: BTreeMap<String, BTreeSet<Arc<ObjectKey>>>,
    unreadable: BTreeMap<String, BTreeSet<Arc<ObjectKey>>>,
    now: Moment,
}

impl Index {
    /// Takes note of an object as the watch shows it. Says how many entries of the maps of what objects name moved.
    pub fn put(&mut self, key: &ObjectKey, mut shown: Shown) -> usize {
        shown.names = shown.names.sorted();
        let before = self.names(key);
        let known = self.shown.get_key_value(key);
        let is_news = known.is_none_or(|(_, known)| !known.shows_the_same(&shown));
        // One key for all maps.
        let key = &known.map_or_else(|| Arc::new(key.clone()), |(key, _)| key.clone());
        if shown.neighbour.is_some() {
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
        let moved = self.move_entries(key, &before);
        if is_news {
            self.touch(key, &before);
        }
        moved
    }

    /// Takes note that an object is gone. What this process knows of its UID stays until it is forgotten.
    pub fn remove(&mut self, key: &ObjectKey) -> usize {
        let before = self.names(key);
        let Some((key, shown)) = self.shown.remove_entry(key) else { return 0 };
        let key = &key;
        self.keys.remove(&shown.uid);
        take_out(&mut self.namespaces, &key.namespace, key);
        take_out(&mut self.unreadable, &key.namespace, key);
        let moved = self.move_entries(key, &before);
        self.touch(key, &before);
        moved
    }

    /// Takes note of what this process recorded and planned for a UID, in all. It has changed, even where it names the same.
    pub fn own(&mut self, uid: &str, names: Names) -> usize {
        let names = names.sorted();
        let key = self.keys.get(uid).cloned();
        let before = key.as_ref().map(|key| self.names(key)).unwrap_or_default();
        if names == Names::default() {
            self.own.remove(uid);
        } else {
            self.own.insert(uid.to_owned(), names);
        }
        key.map_or(0, |key| {
            let moved = self.move_entries(&key, &before);
            self.touch(&key, &before);
            moved
        })
    }

    /// The latest moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.now
    }

    /// What an account grants or imposes has changed.
    pub fn change_account(&mut self, account: &AccountId) {
        let keys: Vec<ObjectKey> = self.in_account(account).cloned().collect();
        self.change_each(&keys);
    }

    /// The labels of a namespace have changed: another account may grant its objects something now, or none.
    pub fn change_namespace(&mut self, namespace: &str) {
        let keys: Vec<ObjectKey> = self.in_namespace(namespace).cloned().collect();
        self.change_each(&keys);
    }

    /// A pipeline is seen to have another role: what its objects need of any role may have changed, and what else these roles
    /// have to hold.
    pub fn change_pipeline<'r>(&mut self, pipeline: &PipelinePlace, roles: impl IntoIterator<Item = &'r RoleId>) {
        let keys: Vec<ObjectKey> = self.on_pipeline(pipeline).cloned().collect();
        self.change_each(&keys);
        self.change_roles(roles);
    }

    /// What is known of these roles has changed.
    pub fn change_roles<'r>(&mut self, roles: impl IntoIterator<Item = &'r RoleId>) {
        self.now.0 += 1;
        mark(&mut self.roles, roles, self.now);
    }

    /// What is known of an object has changed.
    pub fn change(&mut self, uid: &str) {
        if let Some(key) = self.keys.get(uid).cloned() {
            self.touch(&key, &Names::default());
        }
    }

    fn change_each(&mut self, keys: &[ObjectKey]) {
        for key in keys {
            self.touch(key, &Names::default());
        }
    }

    /// Whether any object that names one of these has changed since then, has come or gone. Of what nobody names any more it
    /// is not known.
    #[must_use]
    pub fn changed_since<'n>(
        &self,
        then: Moment,
        mut pipelines: impl Iterator<Item = &'n PipelinePlace>,
        mut roles: impl Iterator<Item = &'n RoleId>,
    ) -> bool {
        pipelines.any(|place| self.pipelines.get(place).is_none_or(|named| named.changed > then))
            || roles.any(|role| self.roles.get(role).is_none_or(|named| named.changed > then))
    }

    /// Takes note that an object has changed that named something else before.
    fn touch(&mut self, key: &ObjectKey, before: &Names) {
        self.now.0 += 1;
        let (names, now) = (self.names(key), self.now);
        mark(&mut self.pipelines, before.pipelines.iter().chain(&names.pipelines), now);
        mark(&mut self.roles, before.roles.iter().chain(&names.roles), now);
    }

    /// All that an object names.
    fn names(&self, key: &ObjectKey) -> Names {
        let Some(shown) = self.shown.get(key) else { return Names::default() };
        self.own.get(&shown.uid).map_or_else(|| shown.names.clone(), |own| shown.names.and(own))
    }

    /// Puts the maps right for one object that named something else before.
    fn move_entries(&mut self, key: &Arc<ObjectKey>, before: &Names) -> usize {
        let now = self.names(key);
        move_entries(&mut self.accounts, key, &before.accounts, &now.accounts)
            + move_entries(&mut self.pipelines, key, &before.pipelines, &now.pipelines)
            + move_entries(&mut self.functions, key, &before.functions, &now.functions)
            + move_entries(&mut self.roles, key, &before.roles, &now.roles)
    }

    /// The object of a UID, while the watch shows it.
    #[must_use]
    pub fn key(&self, uid: &str) -> Option<&ObjectKey> {
        self.keys.get(uid).map(Arc::as_ref)
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
        let others = self.all_unreadable().filter(|key| named.is_none_or(|named| !named.objects.contains(*key)));
        named.map_or(0, |named| named.objects.len()) + others.count()
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

    /// Those of these objects that the watch shows and that decode.
    pub fn neighbours<'i>(
        &'i self,
        keys: &'i BTreeSet<ObjectKey>,
    ) -> impl Iterator<Item = (&'i ObjectKey, &'i Arc<Neighbour>)> {
        keys.iter().filter_map(|key| Some((key, self.shown.get(key)?.neighbour.as_ref()?)))
    }

    /// The objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &ObjectKey> {
        self.namespaces.get(namespace).into_iter().flatten().map(Arc::as_ref)
    }

    /// The namespaces with objects that do not decode, each with the first of them.
    pub fn unreadable(&self) -> impl Iterator<Item = &ObjectKey> {
        self.unreadable.values().filter_map(BTreeSet::first).map(Arc::as_ref)
    }

    /// All objects that do not decode: each may name anything.
    pub fn all_unreadable(&self) -> impl Iterator<Item = &ObjectKey> {
        self.unreadable.values().flatten().map(Arc::as_ref)
    }
}

fn found<'i, K: Eq + Hash>(map: &'i Map<K>, name: &K) -> impl ExactSizeIterator<Item = &'i ObjectKey> + use<'i, K> {
    static NOBODY: BTreeSet<Arc<ObjectKey>> = BTreeSet::new();
    map.get(name).map_or(&NOBODY, |named| &named.objects).iter().map(Arc::as_ref)
}

/// Marks these as changed, as far as any object names them.
fn mark<'n, K: Eq + Hash + 'n>(map: &mut Map<K>, names: impl IntoIterator<Item = &'n K>, now: Moment) {
    for name in names {
        if let Some(of) = map.get_mut(name) {
            of.changed = now;
        }
    }
}

/// Takes an object out where it was and is no more, and puts it in where it is and was not; says how often.
fn move_entries<K: Clone + Eq + Hash + Ord>(map: &mut Map<K>, key: &Arc<ObjectKey>, before: &[K], now: &[K]) -> usize {
    let mut moved = 0;
    for name in before.iter().filter(|name| now.binary_search(name).is_err()) {
        if let Some(named) = map.get_mut(name) {
            named.objects.remove(key);
            if named.objects.is_empty() {
                map.remove(name);
            }
        }
        moved += 1;
    }
    for name in now.iter().filter(|name| before.binary_search(name).is_err()) {
        map.entry(name.clone()).or_default().objects.insert(key.clone());
        moved += 1;
    }
    moved
}

fn take_out<Q: Ord + ?Sized, K: Borrow<Q> + Ord>(
    map: &mut BTreeMap<K, BTreeSet<Arc<ObjectKey>>>,
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
