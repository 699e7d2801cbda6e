//! What a plan may do while it is not known what every object needs: it adds and corrects, and removes nothing that
//! objects share.

use std::collections::BTreeSet;

use super::{Change, Phase, PipelineGoal, Plan, Step, policy_state};
use crate::domain::{
    ids::{AccountId, Region, RoleId},
    inventory::Part,
    observed::{Observed, Resource},
    pipeline_edit::Json,
    policy,
};

/// Takes out of a plan what would remove something shared in one of these accounts, and says of which phases and accounts.
/// A policy that gains and loses entries only gains them then.
pub fn withhold_removals(
    plan: &mut Plan,
    observed: &Observed,
    region: &Region,
    is_unknown: impl Fn(&AccountId) -> bool,
) -> BTreeSet<(Phase, AccountId)> {
    let mut withheld = BTreeSet::new();
    let steps = std::mem::take(&mut plan.steps);
    for step in steps {
        let account = step.resource.account();
        if !is_unknown(account) || !removes_something_shared(&step, observed, region) {
            plan.steps.push(step);
            continue;
        }
        withheld.insert((step.phase, account.clone()));
        plan.steps.extend(additions_only(step, observed));
    }
    withheld
}

fn removes_something_shared(step: &Step, observed: &Observed, region: &Region) -> bool {
    match (&step.change, &step.resource) {
        (Change::DeletePolicy, _) => matches!(step.part, Part::CallbackPolicy | Part::AssumePolicy),
        (Change::PutPolicy(document), resource) if step.part == Part::AssumePolicy => {
            let after = policy::assume_entries(document).unwrap_or_default();
            !in_place(resource, observed).is_subset(&after)
        }
        (Change::EditPipeline(goal), Resource::Pipeline { name, .. }) => {
            observed.pipeline(name).is_some_and(|pipeline| loses_a_stage(&pipeline.declaration, region, goal))
        }
        _ => false,
    }
}

fn in_place(policy: &Resource, observed: &Observed) -> BTreeSet<crate::domain::ids::Arn> {
    let Resource::RolePolicy { account, role, .. } = policy else { return BTreeSet::new() };
    let holder = RoleId { account: account.clone(), name: role.clone() };
    let current = observed.assume.get(&holder).and_then(Option::as_ref);
    current.map(policy::assume_entries_of_any_form).unwrap_or_default()
}

fn loses_a_stage(declaration: &Json, region: &Region, goal: &PipelineGoal) -> bool {
    let Ok(Some(edited)) = goal.edit(declaration, region) else { return false };
    let names = |declaration: &Json| -> BTreeSet<String> {
        declaration.list("stages").iter().map(|stage| stage.text("name").to_owned()).collect()
    };
    !names(declaration).is_subset(&names(&edited.declaration))
}

/// The step with everything kept that is in place, if it still makes a difference.
fn additions_only(step: Step, observed: &Observed) -> Option<Step> {
    let Change::PutPolicy(document) = &step.change else { return None };
    let mut entries = policy::assume_entries(document).unwrap_or_default();
    entries.extend(in_place(&step.resource, observed));
    let document = policy::assume(&entries);
    let after = policy_state(Some(&document));
    (after != step.before).then_some(Step { change: Change::PutPolicy(document), after, ..step })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{
        ids::{Arn, PipelineName, RoleName},
        observed::Pipeline,
        pipeline_edit::Owned,
    };

    const TOOLS: &str = "111111111111";

    fn account() -> AccountId {
        TOOLS.parse().unwrap()
    }

    fn entries(names: &[&str]) -> BTreeSet<Arn> {
        names.iter().map(|name| format!("arn:aws:iam::222222222222:role/x/{name}").parse().unwrap()).collect()
    }

    fn holder() -> RoleId {
        RoleId { account: account(), name: "pipeline".parse().unwrap() }
    }

    fn step(part: Part, change: Change, before: Option<&Value>) -> Step {
        let role: RoleName = "pipeline".parse().unwrap();
        let resource = Resource::RolePolicy { account: account(), role, policy: "p".to_owned() };
        Step { phase: Phase::Access, part, resource, change, before: policy_state(before), after: None }
    }

    fn restrained(step: Step, observed: &Observed, unknown: bool) -> (Plan, BTreeSet<(Phase, AccountId)>) {
        let mut plan = Plan { steps: vec![step], blockers: Vec::new() };
        let region = "us-east-1".parse().unwrap();
        let withheld = withhold_removals(&mut plan, observed, &region, |of| unknown && *of == account());
        (plan, withheld)
    }

    #[test]
    fn an_assume_policy_gains_entries_and_loses_none() {
        type Row = (&'static [&'static str], &'static [&'static str], bool, Option<&'static [&'static str]>);
        let table: &[Row] = &[
            (&["a", "b"], &["a"], false, Some(&["a"])),
            (&["a", "b"], &["a"], true, None),
            (&["a", "b"], &["a", "c"], true, Some(&["a", "b", "c"])),
            (&["a"], &["a", "c"], true, Some(&["a", "c"])),
            (&[], &["c"], true, Some(&["c"])),
        ];
        for (before, after, unknown, expected) in table {
            let current = (!before.is_empty()).then(|| policy::assume(&entries(before)));
            let observed =
                Observed { assume: [(holder(), current.clone())].into_iter().collect(), ..Observed::default() };
            let change = Change::PutPolicy(policy::assume(&entries(after)));
            let (plan, withheld) = restrained(step(Part::AssumePolicy, change, current.as_ref()), &observed, *unknown);
            let put = plan.steps.first().map(|step| match &step.change {
                Change::PutPolicy(document) => policy::assume_entries(document).unwrap(),
                other => panic!("{other:?}"),
            });
            assert_eq!(put, expected.map(entries), "{before:?} to {after:?}");
            assert_eq!(withheld.is_empty(), !unknown || before.iter().all(|entry| after.contains(entry)));
        }
    }

    #[test]
    fn shared_policies_are_not_deleted_and_own_ones_are() {
        for (part, kept) in [
            (Part::CallbackPolicy, true),
            (Part::AssumePolicy, true),
            (Part::InvokePolicy, false),
            (Part::InvokeRole, false),
        ] {
            let (plan, _) = restrained(step(part, Change::DeletePolicy, None), &Observed::default(), true);
            assert_eq!(plan.steps.is_empty(), kept, "{part:?}");
        }
        let put_back = Change::PutPolicy(policy::callback());
        let (plan, _) = restrained(step(Part::CallbackPolicy, put_back, None), &Observed::default(), true);
        assert_eq!(plan.steps.len(), 1, "a correction goes on");
    }

    #[test]
    fn a_stage_stays_and_an_action_among_others_goes() {
        let role = "arn:aws:iam::222222222222:role/x/a";
        let ours = json!({"name": "ours", "roleArn": role, "actionTypeId":
            {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"}});
        let theirs = json!({"name": "theirs"});
        for (actions, kept) in [(vec![ours.clone()], true), (vec![ours, theirs], false)] {
            let declaration = json!({"name": "p", "stages": [
                {"name": "Source", "actions": []}, {"name": "Build", "actions": []}, {"name": "Gate", "actions": actions}]});
            let pipeline = Pipeline {
                arn: format!("arn:aws:codepipeline:us-east-1:{TOOLS}:p").parse().unwrap(),
                version: 1,
                role: format!("arn:aws:iam::{TOOLS}:role/pipeline").parse().unwrap(),
                declaration: Arc::new(declaration.into()),
                unread: false,
            };
            let name: PipelineName = "p".parse().unwrap();
            let observed =
                Observed { pipelines: [(name.clone(), Some(pipeline))].into_iter().collect(), ..Observed::default() };
            let owned = Owned {
                roles: [role.to_owned()].into_iter().collect(),
                actions: ["ours".parse().unwrap()].into_iter().collect(),
                stages_made: ["Gate".parse().unwrap()].into_iter().collect(),
                ..Owned::default()
            };
            let step = Step {
                resource: Resource::Pipeline { account: account(), region: "us-east-1".parse().unwrap(), name },
                ..step(Part::PipelineAction, Change::EditPipeline(PipelineGoal::HoldsNone(owned)), None)
            };
            assert_eq!(restrained(step, &observed, true).0.steps.is_empty(), kept);
        }
    }
}
