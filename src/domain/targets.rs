//! What has to be read for one object: what its spec names, and what its inventory remembers in the same accounts.

use std::collections::BTreeSet;

use super::{
    ids::{PipelineName, RoleName},
    inventory::Part,
    plan::Situation,
};

/// The pipelines to read: the declared one, and those the inventory names in the same account and region. Without a grant
/// of today a spec may name anybody's.
#[must_use]
pub fn pipelines(situation: &Situation<'_>) -> BTreeSet<PipelineName> {
    let declared = situation.declared;
    let recorded = situation.inventory.of(Part::PipelineAction).filter(|item| {
        item.holder.account() == declared.tools.account.as_str()
            && item.holder.region() == declared.tools.region.as_str()
    });
    let names = recorded.filter_map(|item| item.holder.resource().parse().ok());
    names.chain(situation.granted.today.then(|| declared.pipeline.clone())).collect()
}

/// Whether to read the declared function: without a grant of today only where the inventory names it.
#[must_use]
pub fn reads_function(situation: &Situation<'_>) -> bool {
    let (function, region) = (&situation.declared.function, situation.declared.dev.region.as_str());
    let resource = format!("function:{function}");
    let mut recorded = situation.inventory.of(Part::InvokePolicy).filter_map(|item| item.entry.as_ref());
    situation.granted.today || recorded.any(|entry| entry.resource() == resource && entry.region() == region)
}

/// The invoke roles to read: the declared one, and those the inventory names in the dev account. A derived name can be no
/// other object's.
#[must_use]
pub fn roles(situation: &Situation<'_>) -> BTreeSet<RoleName> {
    let declared = situation.declared;
    let recorded =
        situation.inventory.of(Part::InvokeRole).filter(|item| item.holder.account() == declared.dev.account.as_str());
    let own = (situation.granted.today || !declared.role_is_named).then(|| declared.role_name.clone());
    recorded.filter_map(|item| item.holder.role_name()).chain(own).collect()
}
