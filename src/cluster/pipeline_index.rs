//! Which objects name which pipeline, so that nobody looks at all objects for the sake of one pipeline.

use std::collections::{BTreeSet, HashMap};

use crate::{api::CrossAccountInvoke, domain::ids::ObjectKey};

/// A pipeline as specs name it: the id of the tools account, and the pipeline's name. Two regions can have one of the same
/// name, which does no harm: more objects are asked than need be.
pub type NamedPipeline = (String, String);

/// The objects by the pipeline that their specs name.
#[derive(Debug, Default)]
pub struct PipelineIndex {
    objects: HashMap<NamedPipeline, BTreeSet<ObjectKey>>,
    pipelines: HashMap<ObjectKey, NamedPipeline>,
}

impl PipelineIndex {
    /// Takes note of an object as it is now.
    pub fn put(&mut self, key: &ObjectKey, object: &CrossAccountInvoke) {
        let named = (object.spec.tools_account.id.clone(), object.spec.pipeline.name.clone());
        if self.pipelines.get(key) != Some(&named) {
            self.remove(key);
            self.objects.entry(named.clone()).or_default().insert(key.clone());
            self.pipelines.insert(key.clone(), named);
        }
    }

    /// Takes note that an object is gone, or names no pipeline that could be told.
    pub fn remove(&mut self, key: &ObjectKey) {
        let Some(named) = self.pipelines.remove(key) else { return };
        if let Some(objects) = self.objects.get_mut(&named) {
            objects.remove(key);
            if objects.is_empty() {
                self.objects.remove(&named);
            }
        }
    }

    /// Forgets every object but these.
    pub fn retain(&mut self, keys: &BTreeSet<ObjectKey>) {
        let gone: Vec<ObjectKey> = self.pipelines.keys().filter(|key| !keys.contains(*key)).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// The objects whose specs name the pipeline.
    pub fn of(&self, account: &str, pipeline: &str) -> impl Iterator<Item = &ObjectKey> {
        self.objects.get(&(account.to_owned(), pipeline.to_owned())).into_iter().flatten()
    }
}
