//! What exists because of an object once its declaration is converged: the inventory that is recorded before it is made.

use std::collections::BTreeSet;

use super::{Resolved, Situation, release, resolve};
use crate::domain::{
    ids::Arn,
    inventory::{Inventory, Item, Part},
    observed::{Observed, Pipeline},
    pipeline_edit::{self, Owned},
};

/// The items that exist once the declaration is converged. `None` while pipeline or function cannot be told.
#[must_use]
pub fn converged_inventory(situation: &Situation<'_>, observed: &Observed) -> Option<Inventory> {
    let resolved = resolve(situation, observed).ok()?;
    let desired = desired_inventory(situation, &resolved);
    let leftovers = situation.inventory.clone().within(situation.declared).leftovers(&desired);
    Some(desired.union(&release::in_use(situation, observed, &leftovers)))
}

pub(super) fn desired_inventory(situation: &Situation<'_>, resolved: &Resolved<'_>) -> Inventory {
    let item = |part, holder: &Arn, entry: Option<&Arn>| Item {
        part,
        holder: holder.clone(),
        entry: entry.cloned(),
        action: None,
        stage_made: false,
        written_at: situation.now,
        read_back: false,
        digest: None,
        pipeline_version: None,
    };
    let declared = situation.declared;
    let pipeline = resolved.pipeline;
    let mut action = item(Part::PipelineAction, &pipeline.arn, Some(&resolved.role_arn));
    action.action = Some((declared.stage.clone(), declared.action.clone()));
    action.stage_made = stage_is_made_by_us(situation, pipeline, &resolved.role_arn);
    Inventory(vec![
        item(Part::InvokeRole, &resolved.role_arn, Some(&pipeline.role)),
        item(Part::InvokePolicy, &resolved.role_arn, Some(&resolved.function.arn)),
        item(Part::CallbackPolicy, &resolved.function.role, None),
        item(Part::AssumePolicy, &pipeline.role, Some(&resolved.role_arn)),
        action,
    ])
}

/// A stage that is missing will be made by us; one that is there was made by us when an inventory says so, or, when this
/// object's status was lost, when the object asks for the stage to be made and nothing but our action is in it.
fn stage_is_made_by_us(situation: &Situation<'_>, pipeline: &Pipeline, role: &Arn) -> bool {
    let declared = situation.declared;
    let exists = pipeline_edit::has_stage(&pipeline.declaration, declared.stage.as_str());
    let recorded = situation.inventory.of(Part::PipelineAction).find(|item| {
        item.holder == pipeline.arn && item.action.as_ref().is_some_and(|(stage, _)| *stage == declared.stage)
    });
    let by_others = situation.others.stages_made.contains(&(pipeline.arn.clone(), declared.stage.clone()));
    match recorded {
        _ if !exists => true,
        Some(item) => item.stage_made || by_others,
        None => {
            let owned = Owned {
                roles: BTreeSet::from([role.to_string()]),
                actions: BTreeSet::from([declared.action.clone()]),
                ..Owned::default()
            };
            by_others
                || (declared.position.is_some()
                    && pipeline_edit::stage_is_only_ours(&pipeline.declaration, declared.stage.as_str(), &owned))
        }
    }
}
