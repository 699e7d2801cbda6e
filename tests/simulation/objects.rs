//! The objects: a stand-in for the side of Kubernetes. An object looks at the pipeline, claims what differs, and claims it
//! again when that came to nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crossinvoke::{
    domain::{
        basis::Basis,
        fold::Claim,
        ids::{Arn, ObjectKey, RoleId},
        observed::Pipeline,
        pipeline_edit::{DesiredAction, Owned, Position},
        plan::PipelineGoal,
        spacing::Corrections,
        spec::{Access, Declared, Granted, Location, Trust},
    },
    engine::pipeline::LastLook,
};

use super::{
    aws::{role_of, time},
    history::{Millis, Wish},
};

/// One object as Kubernetes has it.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) index: usize,
    pub(crate) incarnation: u32,
    pub(crate) created: Millis,
    pub(crate) generation: i64,
    pub(crate) wish: Wish,
    pub(crate) leaving: bool,
    pub(crate) is_granted: bool,
    /// Recorded: names that actions had, stages that they were in, and stages that were made for them.
    actions: BTreeSet<String>,
    stages: BTreeSet<String>,
    made: BTreeSet<String>,
    /// Recorded: the generation that was last seen in place.
    pub(crate) in_place: Option<i64>,
    /// Recorded: how often its action was put back.
    pub(crate) corrections: Option<Corrections>,
    /// The generation that was looked at last.
    pub(crate) looked: i64,
}

impl Object {
    pub(crate) fn new(index: usize, incarnation: u32, created: Millis, wish: Wish) -> Self {
        let mut object = Self {
            index,
            incarnation,
            created,
            generation: 0,
            wish,
            leaving: false,
            is_granted: true,
            actions: BTreeSet::new(),
            stages: BTreeSet::new(),
            made: BTreeSet::new(),
            in_place: None,
            corrections: None,
            looked: 0,
        };
        object.declare(wish);
        object
    }

    pub(crate) fn declare(&mut self, wish: Wish) {
        self.wish = wish;
        self.generation += 1;
    }

    pub(crate) fn uid(&self) -> String {
        format!("uid-{}-{}", self.index, self.incarnation)
    }

    pub(crate) fn action(&self) -> String {
        if self.wish.shared_name { "Check".to_owned() } else { format!("Check-{}", self.index) }
    }

    pub(crate) fn place(&self) -> (String, String) {
        (self.wish.stage.to_owned(), self.action())
    }

    /// Writes down where its action is going to be, before anything is written to AWS.
    pub(crate) fn record(&mut self, made: bool) {
        let (stage, action) = self.place();
        self.actions.insert(action);
        self.stages.insert(stage.clone());
        if made {
            self.made.insert(stage);
        }
    }

    pub(crate) fn made(&self) -> &BTreeSet<String> {
        &self.made
    }

    /// Whether what it wants had been in place, so that a claim puts it back.
    pub(crate) fn corrects(&self) -> bool {
        !self.leaving && self.in_place == Some(self.generation)
    }

    fn stage_is_recorded(&self) -> bool {
        self.made.contains(self.wish.stage)
    }

    /// What it wants, with what is known of the others.
    pub(crate) fn goal(&self, others: &[&Self]) -> PipelineGoal {
        let mut actions = self.actions.clone();
        actions.insert(self.action());
        let mut stages_known = self.stages.clone();
        stages_known.insert(self.wish.stage.to_owned());
        let made = self.made.iter().chain(others.iter().flat_map(|other| &other.made));
        let neighbours: BTreeSet<RoleId> = others.iter().filter_map(|other| role_of(other.index).role()).collect();
        let owned = Owned {
            roles: [role_of(self.index).to_string()].into(),
            actions: actions.iter().map(|name| name.parse().expect("a name")).collect(),
            stages_made: made.map(|name| name.parse().expect("a name")).collect(),
            stages_known: stages_known.iter().map(|name| name.parse().expect("a name")).collect(),
            planned_neighbours: neighbours.clone(),
            neighbours,
            reclaimed: Vec::new(),
            ..Owned::default()
        };
        if self.leaving {
            return PipelineGoal::HoldsNone(owned);
        }
        let action = DesiredAction {
            stage: self.wish.stage.parse().expect("a name"),
            position: (self.wish.stage == "Made").then(|| Position::After("Build".parse().expect("a name"))),
            name: self.action().parse().expect("a name"),
            run_order: Some(1),
            earlier: None,
            function: "validate".parse().expect("a name"),
            user_parameters: Some(self.wish.parameters.to_string()),
            variables_namespace: None,
            region: None,
            role: role_of(self.index),
        };
        PipelineGoal::Holds(Box::new(action), owned)
    }

    pub(crate) fn claim(&self, goal: PipelineGoal, read: &Pipeline, closes_gate: bool) -> Claim {
        Claim {
            basis: Basis {
                key: self.key(),
                uid: self.uid(),
                generation: self.generation,
                leaving: self.leaving,
                declared: Arc::new(self.declared()),
                granted: Arc::new(granted(self.is_granted)),
            },
            created: time(self.created),
            goal,
            pipeline_role: read.role.clone(),
            stage_is_recorded: self.stage_is_recorded(),
            closes_gate,
            corrects: self.corrects(),
            seen_version: read.version,
        }
    }

    fn key(&self) -> ObjectKey {
        ObjectKey { namespace: "default".to_owned(), name: format!("object-{}", self.index) }
    }

    fn declared(&self) -> Declared {
        let location = |account: &str| Location {
            account: account.parse().expect("an account"),
            region: "eu-west-1".parse().expect("a region"),
        };
        Declared {
            key: self.key(),
            tools: location("111111111111"),
            dev: location("222222222222"),
            pipeline: "release".parse().expect("a name"),
            stage: self.wish.stage.parse().expect("a name"),
            position: None,
            action: self.action().parse().expect("a name"),
            run_order: Some(1),
            user_parameters: Some(self.wish.parameters.to_string()),
            variables_namespace: None,
            function: "validate".parse().expect("a name"),
            execution_role: None,
            role_name: role_of(self.index).role_name().expect("a role"),
            role_is_named: false,
            tags: BTreeMap::new(),
            trust: Trust::PipelineRole,
            interval: std::time::Duration::from_mins(5),
        }
    }
}

fn granted(today: bool) -> Granted {
    let access = |account: &str| Access {
        account: account.parse().expect("an account"),
        object: "account".to_owned(),
        role: None::<Arn>,
        external_id: None,
    };
    Granted {
        tools: access("111111111111"),
        dev: access("222222222222"),
        role_path: "/crossinvoke/".parse().expect("a path"),
        boundary: None,
        allowed_tag_keys: Vec::new(),
        imposed_tags: BTreeMap::new(),
        tolerated_policies: Vec::new(),
        today,
        closing: None,
    }
}

/// All objects that there are, and when the process began that looks at them.
#[derive(Debug, Default)]
pub(crate) struct Objects(pub(crate) BTreeMap<usize, Object>, pub(crate) Millis);

impl Objects {
    /// The corrections that they recorded before the process began.
    pub(crate) fn recorded(&self) -> Option<Corrections> {
        let recorded = self.0.values().filter_map(|object| object.corrections);
        let before = recorded.filter(|known| known.last <= time(self.1));
        before.reduce(|one, other| one.and(Some(other)))
    }

    pub(crate) fn others(&self, object: &Object) -> Vec<&Object> {
        self.0.values().filter(|other| other.index != object.index).collect()
    }

    pub(crate) fn by_uid(&self, uid: &str) -> Option<&Object> {
        self.0.values().find(|object| object.uid() == uid)
    }
}

impl LastLook for Objects {
    fn holds(&self, claim: &Claim) -> bool {
        let Some(object) = self.by_uid(&claim.basis.uid) else { return false };
        let same = object.generation <= claim.basis.generation && (claim.basis.leaving || !object.leaving);
        same && (claim.basis.leaving || object.is_granted && claim.basis.granted.today)
    }

    fn corrections(&self) -> Option<Corrections> {
        self.recorded()
    }

    fn are_more_expected(&self) -> bool {
        self.0.values().any(|object| object.looked < object.generation && (object.is_granted || object.leaving))
    }
}
