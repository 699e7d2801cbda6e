//! Our action under a role that somebody gave it: ours still where AWS shows that nothing but the role was changed.
//!
//! Neither the status nor a name proves it. An earlier version of the pipeline, read from AWS, must have had the action
//! under a role with this object's tags; the present one must differ in its role alone; and nothing may explain the role
//! that it names now: another object that asks for it, or for which this process planned it, or the tags of another owner.

use std::collections::BTreeSet;

use super::{Situation, own_roles};
use crate::domain::{
    ids::{ActionName, Arn, PipelineName, StageName},
    inventory::Part,
    names,
    observed::{NamedRole, Observed, Pipeline, RoleChange},
    pipeline_edit::{self, Earlier, Json, Owned},
};

/// An action in a place of ours that does not name our role, or is not there any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suspect {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The pipeline's ARN.
    pub arn: Arn,
    /// The stage.
    pub stage: StageName,
    /// The action.
    pub action: ActionName,
    /// A version of the pipeline in which it was seen in place.
    pub version: Option<i64>,
    /// The role that it names now.
    pub named_now: Option<String>,
}

/// Actions in places that the inventory names, under a role that is not ours: an earlier version may show them as ours.
#[must_use]
pub fn suspects(situation: &Situation<'_>, observed: &Observed) -> Vec<Suspect> {
    let own: BTreeSet<&str> = own_roles(situation, observed).map(|role| role.arn.as_str()).collect();
    let read = |arn: &Arn| {
        observed.pipelines.iter().find_map(|(name, read)| Some((name, read.as_ref().filter(|it| it.arn == *arn)?)))
    };
    let mut suspects: Vec<Suspect> = Vec::new();
    for item in situation.inventory.of(Part::PipelineAction) {
        let (Some((name, read)), Some((stage, action))) = (read(&item.holder), &item.action) else { continue };
        let Some(found) = pipeline_edit::action_at(&read.declaration, stage.as_str(), action.as_str()) else {
            continue;
        };
        let named_now = found.get("roleArn").and_then(Json::as_str);
        let known =
            suspects.iter().any(|known| known.arn == read.arn && (&known.stage, &known.action) == (stage, action));
        if known || named_now.is_some_and(|role| own.contains(role)) {
            continue;
        }
        suspects.push(Suspect {
            pipeline: name.clone(),
            arn: read.arn.clone(),
            stage: stage.clone(),
            action: action.clone(),
            version: earlier_than(read, item.pipeline_version),
            named_now: named_now.map(str::to_owned),
        });
    }
    suspects
}

/// The declared action where its stage does not hold it and the spec gives it no number: an earlier version may show the
/// one that it had. While an account is being deleted also elsewhere: the earlier version shows that it is nothing new.
#[must_use]
pub fn taken_out(situation: &Situation<'_>, observed: &Observed) -> Option<Suspect> {
    let declared = situation.declared;
    let read = observed.pipeline(&declared.pipeline)?;
    let (stage, action) = (&declared.stage, &declared.action);
    let is_there = pipeline_edit::action_at(&read.declaration, stage.as_str(), action.as_str()).is_some();
    let wants_number = declared.run_order.is_none() && pipeline_edit::has_stage(&read.declaration, stage.as_str());
    if is_there || !(wants_number || situation.granted.closing.is_some()) {
        return None;
    }
    let place = (stage.clone(), action.clone());
    let mut recorded = situation.inventory.of(Part::PipelineAction);
    let recorded = recorded.find(|item| item.holder == read.arn && item.action.as_ref() == Some(&place));
    Some(Suspect {
        pipeline: declared.pipeline.clone(),
        arn: read.arn.clone(),
        stage: place.0,
        action: place.1,
        version: recorded.and_then(|item| earlier_than(read, item.pipeline_version)),
        named_now: None,
    })
}

/// The place that the declared action had before somebody took it out. The status only says where to look: AWS, or a
/// read of this process, must have shown the action under a role of ours.
pub(super) fn earlier_place(situation: &Situation<'_>, observed: &Observed, owned: &Owned) -> Option<Earlier> {
    let declared = situation.declared;
    let taken = observed.taken_out.as_ref()?;
    let here = observed.pipeline(&declared.pipeline).is_some_and(|read| read.arn == taken.pipeline);
    let is_declared = here && (&taken.stage, &taken.action) == (&declared.stage, &declared.action);
    is_declared.then(|| pipeline_edit::place_of_ours(&taken.earlier, taken.stage.as_str(), owned)).flatten()
}

fn earlier_than(read: &Pipeline, version: Option<i64>) -> Option<i64> {
    version.filter(|version| *version > 0 && *version < read.version)
}

/// The actions of this pipeline that were ours until somebody changed their role and nothing else.
pub(super) fn reclaimed(situation: &Situation<'_>, observed: &Observed, read: &Pipeline) -> Vec<(String, Json)> {
    let changes = observed.role_changes.iter().filter(|change| change.pipeline == read.arn);
    let proven = changes.filter_map(|change| {
        let now = pipeline_edit::action_at(&read.declaration, change.stage.as_str(), change.action.as_str())?;
        is_proven(situation, observed, change, now).then(|| (change.stage.to_string(), now.clone()))
    });
    proven.collect()
}

fn is_proven(situation: &Situation<'_>, observed: &Observed, change: &RoleChange, now: &Json) -> bool {
    let role = |action: &Json| action.get("roleArn").and_then(Json::as_str).map(str::to_owned);
    let was_ours =
        role(&change.earlier).is_some_and(|role| own_roles(situation, observed).any(|own| own.arn.as_str() == role));
    let claimed = role(now)
        .and_then(|role| role.parse::<Arn>().ok())
        .is_some_and(|role| situation.others.assume.values().flatten().any(|user| user.has(&role)));
    let explained = match &change.named_now {
        NamedRole::None | NamedRole::Missing => false,
        NamedRole::Hidden => true,
        NamedRole::Tags(tags) => names::has_owner(tags),
    };
    was_ours && pipeline_edit::differ_in_role_alone(&change.earlier, now) && !claimed && !explained
}
