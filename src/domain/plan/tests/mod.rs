mod closing;
mod drift_told;
mod on_the_role;
mod other_hands;
mod role_change;
mod run_order;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{
    drift::{self, Drift, OwnDoing, verify},
    ids::{ObjectKey, PipelineName, RoleName},
    pipeline_edit::Position,
    policy,
    shared_policy::{Usage, WantedRole},
    spec::{Access, Location, Trust},
};

const PIPELINES: [&str; 2] = ["release", "second"];
const FUNCTIONS: [&str; 2] = ["first", "other"];

fn plan(situation: &Situation<'_>, observed: &Observed) -> Plan {
    Comparison::of(situation, observed).plan()
}

fn described(situation: &Situation<'_>, observed: &Observed) -> Vec<Described> {
    Comparison::of(situation, observed).described().to_vec()
}

fn installation() -> InstallationId {
    "installed".parse().unwrap()
}

fn key() -> ObjectKey {
    ObjectKey { namespace: "payments".to_owned(), name: "validate".to_owned() }
}

fn pipeline_role(pipeline: &str) -> Arn {
    format!("arn:aws:iam::111111111111:role/service-role/{pipeline}").parse().unwrap()
}

fn execution_role(function: &str) -> Arn {
    format!("arn:aws:iam::222222222222:role/service-role/{function}").parse().unwrap()
}

fn function_arn(function: &str) -> Arn {
    format!("arn:aws:lambda:us-east-1:222222222222:function:{function}").parse().unwrap()
}

fn pipeline_arn(pipeline: &str) -> Arn {
    format!("arn:aws:codepipeline:us-east-1:111111111111:{pipeline}").parse().unwrap()
}

/// What an object may declare, as small choices.
#[derive(Clone, Debug)]
struct Choice {
    pipeline: usize,
    stage: bool,
    action: bool,
    function: usize,
    named: bool,
}

fn choice() -> impl Strategy<Value = Choice> {
    (0..2usize, any::<bool>(), any::<bool>(), 0..2usize, any::<bool>())
        .prop_map(|(pipeline, stage, action, function, named)| Choice { pipeline, stage, action, function, named })
}

fn declared(choice: &Choice) -> Declared {
    let location = |account: &str| Location { account: account.parse().unwrap(), region: "us-east-1".parse().unwrap() };
    Declared {
        key: key(),
        tools: location("111111111111"),
        dev: location("222222222222"),
        pipeline: PIPELINES[choice.pipeline].parse().unwrap(),
        stage: if choice.stage { "Validate" } else { "Check" }.parse().unwrap(),
        position: Some(Position::After("Build".parse().unwrap())),
        action: if choice.action { "Run" } else { "Test" }.parse().unwrap(),
        run_order: Some(1),
        user_parameters: None,
        variables_namespace: None,
        function: FUNCTIONS[choice.function].parse().unwrap(),
        execution_role: None,
        role_name: if choice.named { "named" } else { "derived" }.parse().unwrap(),
        role_is_named: choice.named,
        tags: BTreeMap::new(),
        trust: Trust::PipelineRole,
        interval: Duration::from_mins(10),
    }
}

fn granted() -> Granted {
    let access = |account: &str| Access {
        account: account.parse().unwrap(),
        object: account.to_owned(),
        role: None,
        external_id: None,
    };
    Granted {
        tools: access("111111111111"),
        dev: access("222222222222"),
        role_path: "/crossinvoke/installed/".parse().unwrap(),
        boundary: None,
        allowed_tag_keys: Vec::new(),
        imposed_tags: BTreeMap::new(),
        tolerated_policies: Vec::new(),
        today: true,
        closing: None,
    }
}

/// AWS as far as the planner looks at it, and the inventory.
#[derive(Clone, Debug)]
struct World {
    observed: Observed,
    inventory: Inventory,
    staying: Staying,
    drift: Drift,
}

/// Changes a pipeline's declaration as somebody would.
fn change(world: &mut World, pipeline: &str, by: impl FnOnce(&mut Value)) {
    let name: PipelineName = pipeline.parse().unwrap();
    let pipeline = world.observed.pipelines.get_mut(&name).unwrap().as_mut().unwrap();
    let mut value: Value = serde_json::from_str(&pipeline.declaration.to_string()).unwrap();
    by(&mut value);
    pipeline.declaration = Arc::new(value.into());
    pipeline.version += 1;
}

impl World {
    fn new() -> Self {
        let action = |name: &str, category: &str| json!({"name": name, "runOrder": 1, "actionTypeId": {"category": category, "owner": "AWS", "provider": "X", "version": "1"}});
        let pipelines = PIPELINES.iter().map(|name| {
            let declaration = json!({
                "name": name, "roleArn": pipeline_role(name).as_str(), "artifactStore": {},
                "stages": [
                    {"name": "Source", "actions": [action("Source", "Source")]},
                    {"name": "Build", "actions": [action("Build", "Build")]},
                ],
            });
            let declaration = Arc::new(declaration.into());
            let pipeline =
                Pipeline { declaration, version: 1, role: pipeline_role(name), arn: pipeline_arn(name), unread: false };
            (name.parse().unwrap(), Some(pipeline))
        });
        let mut observed = Observed { pipelines: pipelines.collect(), ..Observed::default() };
        for role in ["named", "derived"] {
            observed.roles.insert(role.parse().unwrap(), None);
        }
        observed.assume = PIPELINES.iter().map(|name| (pipeline_role(name).role().unwrap(), None)).collect();
        observed.callback = FUNCTIONS.iter().map(|name| (execution_role(name).role().unwrap(), None)).collect();
        Self { observed, inventory: Inventory::default(), staying: Staying::new(), drift: Drift::default() }
    }

    fn look(&mut self, declared: &Declared) {
        let name = declared.function.as_str();
        self.observed.function = Some(Function { arn: function_arn(name), role: execution_role(name) });
    }

    /// What AWS makes of one step.
    fn apply(&mut self, step: &Step) {
        let installation = installation();
        match (&step.resource, &step.change) {
            (Resource::InvokeRole { role, account }, Change::CreateRole(new)) => {
                let made = InvokeRole {
                    arn: Arn::of_own_role("aws", account, &new.path, role),
                    path: new.path.clone(),
                    trust: new.trust.clone(),
                    tags: new.tags.clone(),
                    boundary: None,
                    invoke_policy: None,
                    extra_policies: Vec::new(),
                };
                self.observed.roles.insert(role.clone(), Some(made));
            }
            (Resource::InvokeRole { role, .. }, Change::DeleteRole) => {
                assert_eq!(self.observed.role(role).unwrap().invoke_policy, None, "AWS refuses a role with policies");
                self.observed.roles.insert(role.clone(), None);
            }
            (Resource::InvokeRole { role, .. }, change) => {
                let known = self.observed.roles.get_mut(role).unwrap().as_mut().unwrap();
                match change {
                    Change::SetTrust(trust) => known.trust = trust.clone(),
                    Change::SetTags(tags) => known.tags.extend(tags.clone()),
                    other => panic!("{other:?}"),
                }
            }
            (Resource::RolePolicy { role, policy, .. }, change) => {
                let document = match change {
                    Change::PutPolicy(document) => Some(document.clone()),
                    Change::DeletePolicy => None,
                    other => panic!("{other:?}"),
                };
                if *policy == names::invoke_policy(&installation) {
                    self.observed.roles.get_mut(role).unwrap().as_mut().unwrap().invoke_policy = document;
                } else {
                    let callback = *policy == names::callback_policy(&installation);
                    let policies = if callback { &mut self.observed.callback } else { &mut self.observed.assume };
                    let holder = policies.keys().find(|holder| holder.name == *role).cloned();
                    policies.insert(holder.unwrap(), document);
                }
            }
            (Resource::Pipeline { name, .. }, Change::EditPipeline(goal)) => {
                let pipeline = self.observed.pipelines.get_mut(name).unwrap().as_mut().unwrap();
                let edited = goal.edit(&pipeline.declaration, &"us-east-1".parse().unwrap()).unwrap().unwrap();
                pipeline.declaration = Arc::new(edited.declaration);
                pipeline.version += 1;
            }
            other => panic!("{other:?}"),
        }
    }

    /// Whether some action runs some function and receives its result: every hop in place.
    fn works(&self) -> bool {
        self.observed.pipelines.values().flatten().any(|pipeline| {
            let stages = pipeline.declaration.list("stages");
            stages.iter().flat_map(|stage| stage.list("actions")).any(|action| self.runs(pipeline, action))
        })
    }

    fn runs(&self, pipeline: &Pipeline, action: &Json) -> bool {
        let Some(arn) = action.get("roleArn").and_then(Json::as_str) else { return false };
        let function = action.get("configuration").unwrap().text("FunctionName");
        let assume = self.observed.assume[&pipeline.role.role().unwrap()].as_ref().and_then(policy::assume_entries);
        let callback = &self.observed.callback[&execution_role(function).role().unwrap()];
        let role = self.observed.roles.values().flatten().find(|role| role.arn.as_str() == arn);
        role.is_some_and(|role| {
            let trusted = policy::trusted_pipeline_roles(&role.trust).unwrap_or_default();
            let invocable = role.invoke_policy.as_ref().and_then(policy::invoke_entries).unwrap_or_default();
            trusted.contains(&pipeline.role) && invocable.contains(&function_arn(function))
        }) && assume.unwrap_or_default().iter().any(|entry| entry.as_str() == arn)
            && callback.is_some()
    }

    fn plan(&self, declared: &Declared, others: &Others) -> Plan {
        self.with(declared, others, plan)
    }

    fn with<T>(&self, declared: &Declared, others: &Others, work: impl FnOnce(&Situation<'_>, &Observed) -> T) -> T {
        self.with_granted(declared, &granted(), others, work)
    }

    fn with_granted<T>(
        &self,
        declared: &Declared,
        granted: &Granted,
        others: &Others,
        work: impl FnOnce(&Situation<'_>, &Observed) -> T,
    ) -> T {
        let installation = installation();
        let situation = Situation {
            installation: &installation,
            declared,
            granted,
            list_functions: true,
            inventory: &self.inventory,
            others,
            staying: &self.staying,
            now: Timestamp::UNIX_EPOCH,
        };
        work(&situation, &self.observed)
    }

    /// Converges as the controller does and returns in how many reconciles; checks that a path that works is never
    /// broken by a step.
    fn converge(&mut self, declared: &Declared, others: &Others) -> usize {
        self.look(declared);
        let mut rounds = 0;
        let mut last: Option<Phase> = None;
        loop {
            let plan = self.plan(declared, others);
            assert_eq!(plan.blockers, Vec::new());
            self.compare(declared, others);
            let Some(phase) = plan.due().first().map(|step| step.phase) else { break };
            // One reconcile goes through the phases in their order; an earlier one again is another reconcile.
            if last.is_none_or(|last| phase <= last) {
                rounds += 1;
            }
            assert!(rounds <= 2, "more than two rounds: {plan:?}");
            last = Some(phase);
            self.record(declared, others, plan.due());
            for step in plan.due() {
                let worked = self.works();
                self.apply(step);
                assert!(!worked || self.works(), "{step:?} broke a path that worked");
            }
        }
        let mut desired = self.with(declared, others, converged_inventory).unwrap();
        for item in &mut desired.0 {
            let known = self.inventory.0.iter().find(|known| known.same_thing(item));
            item.digest = known.and_then(|known| known.digest.clone());
        }
        self.inventory = desired;
        self.compare(declared, others);
        rounds
    }

    /// What the controller records before it writes: what is written is expected from then on.
    fn record(&mut self, declared: &Declared, others: &Others, steps: &[Step]) {
        let mut desired = self.with(declared, others, converged_inventory).unwrap();
        let access = steps.iter().filter(|step| step.phase == Phase::Access).map(|step| step.part);
        let written: BTreeSet<Part> = access.collect();
        desired.0.retain(|item| {
            written.contains(&item.part) || !self.inventory.0.iter().any(|known| known.same_thing(item))
        });
        for item in &mut desired.0 {
            let known = self.inventory.0.iter().find(|known| known.same_thing(item));
            item.digest = known.and_then(|known| known.digest.clone());
        }
        self.inventory = self.inventory.union(&desired);
        let parts = steps.iter().map(|step| step.part).collect();
        let described = self.with(declared, others, described);
        drift::expect(&mut self.inventory, &described, &parts);
    }

    fn compare(&mut self, declared: &Declared, others: &Others) {
        let described = self.with(declared, others, described);
        let own = OwnDoing { stale: &|_| false, written_since: &|_, _| true };
        self.drift.look(&described, &self.inventory, &own, Timestamp::UNIX_EPOCH);
        verify(&mut self.inventory, &described);
    }

    fn remove(&mut self, declared: &Declared) {
        for _ in 0..4 {
            let plan = self.with(declared, &Others::default(), plan_removal);
            assert_eq!(plan.blockers, Vec::new());
            let Some(first) = plan.steps.first() else { return };
            if first.phase == Phase::Pipeline {
                assert!(plan.steps.iter().all(|step| step.phase == Phase::Pipeline), "the action goes first, alone");
            }
            for step in &plan.steps {
                self.apply(step);
            }
        }
        panic!("removal does not end");
    }
}

#[test]
fn the_first_plan_makes_access_and_then_the_action() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let mut world = World::new();
    world.look(&declared);
    let plan = world.plan(&declared, &Others::default());
    let parts: Vec<(Phase, Part)> = plan.steps.iter().map(|step| (step.phase, step.part)).collect();
    assert_eq!(
        parts,
        [
            (Phase::Access, Part::InvokeRole),
            (Phase::Access, Part::InvokePolicy),
            (Phase::Access, Part::CallbackPolicy),
            (Phase::Access, Part::AssumePolicy),
            (Phase::Pipeline, Part::PipelineAction),
        ]
    );
}

#[test]
fn an_entry_of_another_object_stays_through_convergence_and_removal() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let theirs: Arn = "arn:aws:iam::222222222222:role/crossinvoke/installed/theirs".parse().unwrap();
    let mut world = World::new();
    let holder = pipeline_role(PIPELINES[0]).role().unwrap();
    world.observed.assume.insert(holder.clone(), Some(policy::assume(&BTreeSet::from([theirs.clone()]))));
    let other = AssumeUser {
        key: ObjectKey { namespace: "n".to_owned(), name: "theirs".to_owned() },
        usage: Usage::Uses,
        invoke_role: Some(WantedRole {
            role: theirs.role().unwrap(),
            path: "/crossinvoke/installed/".parse().unwrap(),
        }),
        granted: true,
        recorded: BTreeSet::new(),
        planned_here: BTreeSet::new(),
        verified: BTreeSet::new(),
    };
    let others = Others { assume: BTreeMap::from([(holder.clone(), vec![other])]), ..Others::default() };
    world.converge(&declared, &others);
    let entries = |world: &World| policy::assume_entries(world.observed.assume[&holder].as_ref().unwrap()).unwrap();
    assert!(entries(&world).contains(&theirs) && entries(&world).len() == 2);
    let plan = world.with(&declared, &others, plan_removal);
    world.apply(&plan.steps[0]);
    let plan = world.with(&declared, &others, plan_removal);
    for step in &plan.steps {
        world.apply(step);
    }
    assert_eq!(entries(&world), BTreeSet::from([theirs]));
}

#[test]
fn a_role_of_somebody_else_blocks_everything() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: true });
    let mut world = World::new();
    world.converge(&declared, &Others::default());
    let role = world.observed.roles.get_mut(&declared.role_name).unwrap().as_mut().unwrap();
    role.tags.insert(names::OWNER_TAG.to_owned(), "payments/another".to_owned());
    world.observed.assume.insert(pipeline_role(PIPELINES[0]).role().unwrap(), None);
    let plan = world.plan(&declared, &Others::default());
    assert_eq!(plan.steps, Vec::new());
    assert_eq!(plan.blockers[0].reason, Reason::RoleConflict);
    assert!(plan.blockers[0].message.contains("payments/another"), "{}", plan.blockers[0].message);
    let removal = world.with(&declared, &Others::default(), plan_removal);
    assert!(removal.steps.iter().all(|step| step.part != Part::InvokeRole && step.part != Part::PipelineAction));
}

proptest! {
    #[test]
    fn any_edit_of_the_spec_converges_in_two_rounds_without_breaking_a_path(edits in prop::collection::vec(choice(), 1..5)) {
        let mut world = World::new();
        let untouched = world.clone();
        let mut last = None;
        for edit in &edits {
            let declared = declared(edit);
            world.converge(&declared, &Others::default());
            prop_assert!(world.works());
            prop_assert!(world.plan(&declared, &Others::default()).steps.is_empty());
            prop_assert_eq!(world.drift.status(), None, "what the spec changes is no drift");
            last = Some(declared);
        }
        world.remove(&last.unwrap());
        for (name, pipeline) in &world.observed.pipelines {
            let before = untouched.observed.pipelines[name].as_ref().unwrap();
            prop_assert_eq!(pipeline.as_ref().unwrap().declaration.to_string(), before.declaration.to_string());
        }
        prop_assert_eq!(&world.observed.roles, &untouched.observed.roles);
        prop_assert_eq!(&world.observed.assume, &untouched.observed.assume);
        prop_assert_eq!(&world.observed.callback, &untouched.observed.callback);
    }

    #[test]
    fn an_edit_half_way_is_followed_by_another(first in choice(), second in choice(), third in choice(), steps in 0usize..8) {
        let mut world = World::new();
        world.converge(&declared(&first), &Others::default());
        // The second edit is cut off after some of its steps.
        let halfway = declared(&second);
        world.look(&halfway);
        let mut left = steps;
        while left > 0 {
            let plan = world.plan(&halfway, &Others::default());
            let Some(step) = plan.due().first().cloned() else { break };
            world.compare(&halfway, &Others::default());
            world.record(&halfway, &Others::default(), std::slice::from_ref(&step));
            world.apply(&step);
            left -= 1;
        }
        prop_assert!(world.works(), "no prefix breaks the path");
        let last = declared(&third);
        world.converge(&last, &Others::default());
        prop_assert!(world.works());
        prop_assert_eq!(world.drift.status(), None, "what the spec changes is no drift");
        world.remove(&last);
        prop_assert!(world.observed.roles.values().all(Option::is_none));
        prop_assert!(world.observed.assume.values().chain(world.observed.callback.values()).all(Option::is_none));
    }
}
