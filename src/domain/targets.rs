//! What has to be read for one object: what its spec names, and what its inventory remembers in the same accounts.

use std::collections::BTreeSet;

use super::{
    ids::{PipelineName, RoleName},
    inventory::Part,
    plan::Situation,
};

/// The pipelines to read: the declared one, and those the inventory names in the same account and region.
#[must_use]
pub fn pipelines(situation: &Situation<'_>) -> BTreeSet<PipelineName> {
    let declared = situation.declared;
    let recorded = situation.inventory.of(Part::PipelineAction).filter(|item| {
        item.holder.account() == declared.tools.account.as_str()
            && item.holder.region() == declared.tools.region.as_str()
    });
    let names = recorded.filter_map(|item| item.holder.resource().parse().ok());
    names.chain([declared.pipeline.clone()]).collect()
}

/// The invoke roles to read: the declared one, and those the inventory names in the dev account.
#[must_use]
pub fn roles(situation: &Situation<'_>) -> BTreeSet<RoleName> {
    let declared = situation.declared;
    let recorded =
        situation.inventory.of(Part::InvokeRole).filter(|item| item.holder.account() == declared.dev.account.as_str());
    recorded.filter_map(|item| item.holder.role_name()).chain([declared.role_name.clone()]).collect()
}
