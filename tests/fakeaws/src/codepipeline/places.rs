//! What a pipeline needs in its regions: artifact buckets, and the types of its actions.
//!
//! Sources: User Guide, "`CodePipeline` pipeline structure reference" (buckets are in the region of their actions; some
//! action types are available in select regions only). The text about an action type that is not available is AWS's as its
//! users report it; the text about a bucket says the same in our words.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    declaration::{all_actions, text},
    structure::invalid_structure,
};
use crate::error::ServiceError;

/// What is known to be missing or elsewhere. Everything else is where a pipeline needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Regions of buckets; `None` where there is no such bucket.
    buckets: BTreeMap<String, Option<String>>,
    /// Region and action type: `Compute/AWS/Commands/1`.
    unavailable: BTreeSet<(String, String)>,
}

impl Places {
    pub(crate) fn set_bucket(&mut self, bucket: String, region: Option<String>) {
        self.buckets.insert(bucket, region);
    }

    pub(crate) fn set_action_type(&mut self, region: String, action_type: String, available: bool) {
        if available {
            self.unavailable.remove(&(region, action_type));
        } else {
            self.unavailable.insert((region, action_type));
        }
    }

    /// Checks the buckets and action types of a normalised declaration of a pipeline in a region.
    pub(super) fn check(&self, declaration: &Value, region: &str) -> Result<(), ServiceError> {
        let one = declaration.get("artifactStore").map(|store| (region, store));
        let more = declaration.get("artifactStores").and_then(Value::as_object).into_iter().flatten();
        for (region, store) in one.into_iter().chain(more.map(|(region, store)| (region.as_str(), store))) {
            let bucket = text(store, "location");
            match self.buckets.get(bucket) {
                Some(None) => {
                    return Err(invalid_structure(format!("The artifact bucket {bucket} does not exist")));
                }
                Some(Some(elsewhere)) if elsewhere != region => {
                    let text = format!("The artifact bucket {bucket} is in region {elsewhere}, not in {region}");
                    return Err(invalid_structure(text));
                }
                _ => {}
            }
        }
        for (_, action) in all_actions(declaration) {
            let (region, kind) = (text(action, "region"), &action["actionTypeId"]);
            let [category, owner, provider, version] =
                ["category", "owner", "provider", "version"].map(|member| text(kind, member));
            let action_type = format!("{category}/{owner}/{provider}/{version}");
            if self.unavailable.contains(&(region.to_owned(), action_type)) {
                let (name, region) = (text(action, "name"), region.to_uppercase().replace('-', "_"));
                return Err(super::structure::invalid_action(format!(
                    "ActionType (Category: '{category}', Provider: '{provider}', Owner: '{owner}', Version: '{version}') \
                     in action '{name}' is not available in region {region}"
                )));
            }
        }
        Ok(())
    }
}
