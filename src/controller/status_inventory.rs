//! The inventory between its typed form and the status. What does not parse is left out: a status that names no thing of
//! AWS was not written by us.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::{CrossAccountInvoke, InventoryItem, InventoryKind},
    domain::inventory::{Inventory, Item, Part},
};

/// The inventory of an object's status.
#[must_use]
pub fn read_inventory(object: &CrossAccountInvoke) -> Inventory {
    let items = object.status.iter().flat_map(|status| &status.inventory);
    Inventory::default().union(&Inventory(items.filter_map(read).collect()))
}

fn read(item: &InventoryItem) -> Option<Item> {
    let entry = match &item.entry {
        Some(entry) => Some(entry.parse().ok()?),
        None => None,
    };
    let action = match (&item.stage, &item.action) {
        (Some(stage), Some(action)) => Some((stage.parse().ok()?, action.parse().ok()?)),
        _ => None,
    };
    let part = match item.kind {
        InventoryKind::InvokeRole => Part::InvokeRole,
        InventoryKind::InvokePolicy => Part::InvokePolicy,
        InventoryKind::CallbackPolicy => Part::CallbackPolicy,
        InventoryKind::AssumePolicy => Part::AssumePolicy,
        InventoryKind::PipelineAction => Part::PipelineAction,
    };
    Some(Item {
        part,
        holder: item.resource.parse().ok()?,
        entry,
        action,
        stage_made: item.stage_made.unwrap_or_default(),
        written_at: item.written_at.as_ref().map(|time| time.0).unwrap_or_default(),
        read_back: item.read_back.unwrap_or_default(),
        digest: item.digest.as_ref().and_then(|digest| digest.parse().ok()),
        pipeline_version: item.pipeline_version.filter(|_| part == Part::PipelineAction),
    })
}

/// The inventory as it goes into the status, as far as it fits; times in whole seconds, as Kubernetes keeps them.
#[must_use]
pub fn write_inventory(inventory: &Inventory) -> Vec<InventoryItem> {
    inventory.fitting().0.iter().map(write).collect()
}

fn write(item: &Item) -> InventoryItem {
    let kind = match item.part {
        Part::InvokeRole => InventoryKind::InvokeRole,
        Part::InvokePolicy => InventoryKind::InvokePolicy,
        Part::CallbackPolicy => InventoryKind::CallbackPolicy,
        Part::AssumePolicy => InventoryKind::AssumePolicy,
        Part::PipelineAction => InventoryKind::PipelineAction,
    };
    let seconds = jiff::Timestamp::from_second(item.written_at.as_second()).unwrap_or(item.written_at);
    InventoryItem {
        kind,
        account: item.holder.account().to_owned(),
        resource: item.holder.to_string(),
        entry: item.entry.as_ref().map(ToString::to_string),
        stage: item.action.as_ref().map(|(stage, _)| stage.to_string()),
        action: item.action.as_ref().map(|(_, action)| action.to_string()),
        stage_made: item.stage_made.then_some(true),
        written_at: Some(Time(seconds)),
        read_back: item.read_back.then_some(true),
        digest: item.digest.as_ref().map(ToString::to_string),
        pipeline_version: item.pipeline_version,
    }
}
