//! The state of one reconcile of one object: what its stages hand on, and what the report needs even when the AWS part
//! ran out of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::{
    caches::{Guarded, key_of},
    confirming::InPlaceBy,
    context::Context,
    events::{Deed, ready_condition, settled_reason},
    outcome::Verdict,
    role_writer,
    runner::AtWork,
    status_inventory::read_inventory,
};
use crate::{
    api::{CrossAccountInvoke, Reason, annotation},
    aws::{AwsError, Reader},
    cluster::Undecodable,
    domain::{
        conditions::{self, Look},
        contested::Contested,
        drift::{self, Drift, OwnDoing},
        ids::{Arn, ObjectKey, PipelineKey, PipelineName, RoleName, StageName},
        inventory::{Inventory, Part},
        observed::{ExtraPolicyName, Observed, Pipeline, Resource},
        own_writes::{OwnWrites, State},
        pipeline_edit,
        plan::{self, Comparison, Situation, Staying, Stays, Step},
        spec::Declared,
        status::{self, Facts},
        validate,
    },
    engine::{index::Moment, pipeline::Written},
    shell::{pipelines::Told, roles},
    telemetry::metrics::{OBJECT, Phase},
};

/// Readings that nobody has asked for in as many of the object's intervals are dropped.
const INTERVALS: u32 = 3;

/// How old a reading may be that was sent for somebody else while a look waited for its place.
const WAITED: Duration = Duration::from_secs(10);

/// Why a stage ended the reconcile.
#[derive(Debug)]
pub enum Halt {
    /// With something to report.
    Verdict(Verdict),
    /// The object changed since it was read: everything is redone on the new one.
    Conflict,
    /// What others had read showed something else than what is known: all of it is read again before anything comes of it.
    Restart,
    /// The API server refused or did not answer.
    Kubernetes(Box<kube::Error>),
}

impl From<Verdict> for Halt {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

impl From<AwsError> for Halt {
    fn from(error: AwsError) -> Self {
        Self::Verdict(error.into())
    }
}

impl From<Undecodable> for Halt {
    // The API server answered a write with an object that does not decode: the watch brings it, and it is reported then.
    fn from(_: Undecodable) -> Self {
        Self::Conflict
    }
}

impl From<kube::Error> for Halt {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 409 => Self::Conflict,
            _ => Self::Kubernetes(Box::new(error)),
        }
    }
}

/// One reconcile.
pub struct Pass<'a> {
    /// Clients and memory.
    pub context: &'a Context,
    /// The object as read, or as the last write of this pass returned it.
    pub object: CrossAccountInvoke,
    /// Its key.
    pub key: ObjectKey,
    /// Its UID.
    pub uid: String,
    /// What it reads of AWS.
    pub reader: Reader,
    /// What may exist in AWS because of it, so far.
    pub inventory: Inventory,
    /// What was read and goes into the status.
    pub facts: Facts,
    /// What differs from what was last seen in place.
    pub drift: Drift,
    /// What comes back after each correction.
    pub contested: Contested,
    /// Whether the action was in place as it is declared now, and somebody changed or took it out.
    pub corrects_action: bool,
    /// Policies on our role that AWS did not let us remove in this reconcile, with its words.
    pub refused_removals: BTreeMap<String, String>,
    /// What was done in AWS, for the events.
    pub deeds: Vec<(Deed, String)>,
    /// Versions of pipelines that hold something of this object since this reconcile, for the events.
    pub versions: Vec<(Resource, Written)>,
    /// Pipelines of which something is claimed for the object.
    pub claimed: BTreeMap<PipelineKey, Told>,
    /// Policies of which something is claimed for the object.
    pub claimed_of_roles: BTreeMap<roles::Place, roles::Told>,
    /// Shared policies of which the object's claims were answered in this reconcile.
    pub shared: BTreeSet<roles::Place>,
    /// What Ready said when this reconcile began.
    pub ready_message: String,
    /// The reason for which the object was found ready or stalled.
    pub found: Option<Reason>,
    /// Looks in a row that failed, the one that this reconcile makes included once it is over.
    pub failed_looks: u32,
    /// How it was seen that everything is in place, if it was.
    pub in_place: InPlaceBy,
    requested: Option<String>,
    declared: Option<Declared>,
    /// When this reconcile began, as the index counts.
    pub(super) began: Moment,
    /// Whether nothing but the end of the interval caused this look.
    pub(super) is_regular: bool,
    /// When everything was read; before that, when this reconcile began.
    read: Instant,
    /// When what is still at work with AWS is dropped.
    ends: Instant,
    at_work: Option<AtWork>,
}

/// The reads of a look. What was in place, and is not asked about, may be confirmed by scans of its accounts. While a write
/// may still be applied nothing confirms that was read before.
fn reader(
    context: &Context,
    object: &CrossAccountInvoke,
    key: &ObjectKey,
    (asked, since): (Instant, Option<Instant>),
    is_settled: bool,
) -> Reader {
    let mut reader = context.aws.readers().look(Some(Arc::new(key.clone())), since);
    reader.asked_for(Instant::now().checked_sub(WAITED).map_or(asked, |oldest| asked.max(oldest)));
    let status = object.status.as_ref();
    let is_current = status.is_some_and(|status| status.observed_generation == object.metadata.generation);
    let handled = status.and_then(|status| status.last_handled_reconcile_at.clone());
    let is_asked_for = annotation::requested(object.annotations()).is_some_and(|asked| handled != Some(asked));
    let was_in_place = settled_reason(object) == Some(Reason::Converged) && is_current && !is_asked_for;
    if is_settled && was_in_place && object.metadata.deletion_timestamp.is_none() {
        let interval = object.spec.interval.as_deref().and_then(validate::parse_interval);
        reader.confirm_by_scans(interval.unwrap_or(validate::DEFAULT_INTERVAL));
    }
    reader
}

impl<'a> Pass<'a> {
    /// Begins a reconcile that was asked for at that time. A regular look accepts what was read for others since the last one.
    #[must_use]
    pub fn new(
        context: &'a Context,
        object: &CrossAccountInvoke,
        at_work: Option<AtWork>,
        (asked, since): (Instant, Option<Instant>),
    ) -> Self {
        let uid = object.uid().unwrap_or_default();
        let recorded = context.memory.claims(&uid).unwrap_or_default();
        let facts = Facts::of(object.status.as_ref());
        let contested = Contested::of(object.status.as_ref(), context.memory.removals(&uid), Context::now());
        let key = key_of(object);
        let inventory = read_inventory(object);
        let is_settled =
            !context.memory.is_unsettled(&uid, Context::now()) && !role_writer::is_unsettled(context, &inventory);
        let since = since.filter(|_| is_settled);
        Self {
            context,
            reader: reader(context, object, &key, (asked, since), is_settled),
            in_place: InPlaceBy::Nothing,
            began: context.memory.index(|index| index.now()),
            is_regular: since.is_some(),
            read: Instant::now(),
            key,
            inventory: inventory.union(&recorded),
            object: object.clone(),
            uid,
            facts,
            drift: Drift::of(object.status.as_ref()),
            contested,
            corrects_action: false,
            refused_removals: BTreeMap::new(),
            deeds: Vec::new(),
            versions: Vec::new(),
            claimed: BTreeMap::new(),
            claimed_of_roles: BTreeMap::new(),
            shared: BTreeSet::new(),
            ready_message: ready_condition(object).map(|ready| ready.message.clone()).unwrap_or_default(),
            found: settled_reason(object),
            failed_looks: 0,
            requested: annotation::requested(object.annotations()),
            declared: None,
            ends: Instant::now() + context.settings.aws_timeout,
            at_work,
        }
    }

    /// Begins again, and reads everything again.
    #[must_use]
    pub fn restarted(mut self) -> Self {
        let at_work = self.at_work.take();
        let mut restarted =
            Self { ends: self.ends, ..Self::new(self.context, &self.object, at_work, (Instant::now(), None)) };
        restarted.reader = restarted.reader.fresh();
        restarted
    }

    /// Only what is known may be confirmed by what others had read.
    ///
    /// # Errors
    /// [`Halt::Restart`] if this look rests on such readings.
    pub fn rests_on_its_own_reads(&self) -> Result<(), Halt> {
        if self.reader.used_stored() { Err(Halt::Restart) } else { Ok(()) }
    }

    /// Everything was found in place: the next look is regular, unless something happens until then.
    pub fn waits(&self, interval: Duration) {
        self.context.memory.regular.in_place(&self.key, self.read, interval);
    }

    /// When the object was created.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.object.metadata.creation_timestamp.as_ref().map(|created| created.0).unwrap_or_default()
    }

    /// What is left of this reconcile.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Gives the place among the looks at work to the next one.
    pub fn only_waits(&mut self) {
        self.at_work = None;
        self.context.metrics.targets().goes_on(OBJECT, &self.key.to_string(), Phase::Waiting(None));
    }

    /// The object is known to want of its pipeline what it has claimed, or nothing for now.
    pub fn arrived(&self) {
        self.context.memory.arrived(&self.uid, self.object.metadata.generation.unwrap_or_default());
    }

    /// The look that the object's annotations asked for when this one began.
    #[must_use]
    pub fn requested(&self) -> Option<String> {
        self.requested.clone()
    }

    /// The objects of the namespace. What the API server answers to a write is decoded like what the watch shows.
    #[must_use]
    pub fn api(&self) -> Api<Guarded> {
        Api::namespaced(self.context.client.clone(), &self.key.namespace)
    }

    /// Takes note of the validated spec, for the interval.
    pub fn declare(&mut self, declared: &Declared) {
        self.inventory = std::mem::take(&mut self.inventory).within(declared);
        self.declared = Some(declared.clone());
        self.reader.keep_for(declared.interval * INTERVALS);
    }

    /// Whether this was sent after everything had been read.
    #[must_use]
    pub fn is_newer(&self, sent: Instant) -> bool {
        sent > self.read
    }

    /// Everything was read: what comes of it stands for a complete look.
    pub fn saw_everything(&mut self) {
        self.read = Instant::now();
        self.context.memory.note_look(&self.uid, Context::now());
    }

    /// What this reconcile has come to so far, for the conditions.
    #[must_use]
    pub fn look<'l>(&self, reason: Reason, message: &'l str) -> Look<'l> {
        let (known, now) = (status::known(self.object.status.as_ref()), Context::now());
        let (remembered, started) = (self.context.memory.last_look(&self.uid), self.context.started);
        Look {
            reason,
            message,
            generation: self.object.metadata.generation.unwrap_or_default(),
            interval: self.interval(),
            failures: self.failed_looks,
            last_look: conditions::last_look(&known, remembered, started, self.interval(), now),
            now,
        }
    }

    /// The interval, or its default when the spec is not valid.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.declared.as_ref().map_or(validate::DEFAULT_INTERVAL, |declared| declared.interval)
    }

    /// Recalls the pipeline update of an earlier process, of which the status tells the version: a read of an older one
    /// is stale. What else that process wrote may be written again without harm.
    pub fn recall(&self, declared: &Declared) {
        let tools = self.object.status.as_ref().and_then(|status| status.tools_account.as_ref());
        let version = tools.and_then(|tools| tools.pipeline_version);
        let actions = self.inventory.of(Part::PipelineAction);
        let written = actions.filter(|item| item.holder.resource() == declared.pipeline.as_str());
        let written = written.map(|item| item.written_at).filter(|at| *at <= self.context.started).max();
        if let (Some(version), Some(at)) = (version, written) {
            let resource = Resource::Pipeline {
                account: declared.tools.account.clone(),
                region: declared.tools.region.clone(),
                name: declared.pipeline.clone(),
            };
            // What this process wrote itself counts more.
            if self.context.memory.own_writes(|writes| writes.written_at(&resource).is_none()) {
                self.context.memory.recall(&self.uid, |writes| {
                    writes.recall(&resource, Some(version.to_string()), at, Context::now());
                });
            }
        }
    }

    /// Whether this read shows what was there before a write of this process, or of an earlier one as this object's status
    /// tells it.
    #[must_use]
    pub fn is_stale(&self, resource: &Resource, state: &State) -> bool {
        let now = Context::now();
        self.context.memory.own_writes(|writes| writes.is_stale(resource, state, now))
            || self.context.memory.recalled(&self.uid, |writes| writes.is_stale(resource, state, now)) == Some(true)
    }

    /// Takes what was read into the status, into what this process knows of pipelines and functions, and into the memory
    /// of its own writes: those that a read has shown are stale no more.
    pub fn saw(&mut self, situation: &Situation<'_>, observed: &Observed) {
        self.remember_roles(situation.declared, observed);
        let states = plan::observed_states(situation, observed);
        let note =
            |writes: &mut OwnWrites| states.iter().for_each(|(resource, state)| writes.note_read(resource, state));
        self.context.memory.own_writes(note);
        self.context.memory.recalled(&self.uid, note);
        // An object without a grant is told nothing of the accounts.
        if situation.granted.today {
            self.facts.note(situation, observed);
        }
    }

    /// The policies on our role that stay for the time being.
    #[must_use]
    pub fn staying(&self, situation: &Situation<'_>, observed: &Observed) -> Staying {
        let refused = self.refused_removals.iter().map(|(policy, why)| (policy.clone(), Stays::Refused(why.clone())));
        let role = observed.role(&situation.declared.role_name);
        let returning = role.map(|role| self.contested.returning(&role.arn)).unwrap_or_default();
        refused.chain(returning.into_iter().map(|policy| (policy, Stays::Returns))).collect()
    }

    /// Whether these steps only try again what AWS refused at an earlier look, and nothing of it is new.
    #[must_use]
    pub fn only_tries_again(&self, steps: &[Step]) -> bool {
        let has_failed =
            |step: &Step| step.extra_policy().is_some_and(|policy| self.drift.has_failed(&policy.to_string()));
        !steps.is_empty() && steps.iter().all(has_failed)
    }

    /// Takes note of a policy that was removed from our role.
    pub fn removed(&mut self, role: &RoleName, policy: &ExtraPolicyName) {
        let holder = self.inventory.of(Part::InvokeRole).find(|item| item.holder.role_name().as_ref() == Some(role));
        if let Some(holder) = holder.map(|item| item.holder.clone()) {
            self.contested = self.undone();
            self.contested.removed(&holder, &policy.to_string(), Context::now());
            self.context.memory.note_removals(&self.uid, self.contested.own());
        }
    }

    /// What comes back after each correction, as the status and this process know it now.
    #[must_use]
    pub fn undone(&self) -> Contested {
        Contested::of(self.object.status.as_ref(), self.context.memory.removals(&self.uid), Context::now())
    }

    fn remember_roles(&self, declared: &Declared, observed: &Observed) {
        let memory = &self.context.memory;
        for (name, pipeline) in &observed.pipelines {
            let key = (declared.tools.account.clone(), declared.tools.region.clone(), name.clone());
            memory.note_pipeline(key, pipeline.as_ref().map(|pipeline| &pipeline.role));
        }
        let key = (declared.dev.account.clone(), declared.dev.region.clone(), declared.function.clone());
        memory.note_function(key, observed.function.as_ref().map(|function| &function.role));
    }

    /// Drops actions of older specs that are not in their pipelines, and so never were or have gone: a spec that changes
    /// its action many times while a pipeline is busy would otherwise fill the status.
    pub fn drop_actions_that_are_gone(&mut self, declared: &Declared, desired: &Inventory, observed: &Observed) {
        let is_stale = |name: &PipelineName, pipeline: &Pipeline| {
            let (account, region) = (declared.tools.account.clone(), declared.tools.region.clone());
            let resource = Resource::Pipeline { account, region, name: name.clone() };
            self.is_stale(&resource, &plan::pipeline_state(pipeline))
        };
        let read = observed.pipelines.iter().filter_map(|(name, pipeline)| Some((name, pipeline.as_ref()?)));
        let read: Vec<&Pipeline> =
            read.filter(|(name, it)| !it.unread && !is_stale(name, it)).map(|(_, it)| it).collect();
        self.inventory.0.retain(|item| {
            let pipeline = read.iter().find(|pipeline| pipeline.arn == item.holder);
            let (Some(pipeline), Some((stage, action))) = (pipeline, &item.action) else { return true };
            let is_wanted = desired.0.iter().any(|wanted| wanted.same_thing(item));
            is_wanted || pipeline_edit::action_at(&pipeline.declaration, stage.as_str(), action.as_str()).is_some()
        });
    }

    /// A pipeline was just updated: its item says when, for a process that comes after this one.
    pub fn wrote_pipeline(&mut self, pipeline: &Arn) {
        let now = Context::now();
        let actions = self.inventory.0.iter_mut().filter(|item| item.part == Part::PipelineAction);
        actions.filter(|item| item.holder == *pipeline).for_each(|item| item.written_at = now);
    }

    /// Whether the record says that the stage of this action is of our making.
    #[must_use]
    pub fn stage_is_recorded_as_made(&self, pipeline: &Arn, stage: &StageName) -> bool {
        let mut actions = self.inventory.of(Part::PipelineAction).filter(|item| item.holder == *pipeline);
        actions.any(|item| item.stage_made && item.action.as_ref().is_some_and(|(of, _)| of == stage))
    }

    /// Compares AWS with what was last seen in place there, and notes what is in place now.
    pub fn compare(&mut self, comparison: &Comparison<'_>) {
        let described = comparison.described();
        let now = Context::now();
        let memory = &self.context.memory;
        let stale = |part: &plan::Described| {
            memory.own_writes(|writes| writes.is_stale(&part.resource, &part.state, now))
                || memory.recalled(&self.uid, |writes| writes.is_stale(&part.resource, &part.state, now)) == Some(true)
        };
        let (inventory, started) = (&self.inventory, self.context.started);
        let written_since = |part: &plan::Described, since: Timestamp| {
            let here = memory.own_writes(|writes| writes.written_at(&part.resource)).is_some_and(|at| at >= since);
            // Or by a process before this one, which recorded it and did not live to report it.
            let recorded = inventory.0.iter().find(|item| item.same_thing(&part.item)).map(|item| item.written_at);
            here || recorded.is_some_and(|at| at >= since && at < started)
        };
        let own = OwnDoing { stale: &stale, written_since: &written_since };
        self.drift.look(described, inventory, &own, now);
        self.corrects_action = drift::is_action_undone(described, inventory, &own);
        drift::verify(&mut self.inventory, described);
        self.remember_action(described, comparison.situation(), comparison.observed());
    }

    /// Our action as it was read in place: should somebody change its role, it is recognized by that.
    fn remember_action(&self, described: &[plan::Described], situation: &Situation<'_>, observed: &Observed) {
        let Some(pipeline) = observed.pipeline(&situation.declared.pipeline).filter(|read| !read.unread) else {
            return;
        };
        let in_place = described.iter().filter(|part| part.item.part == Part::PipelineAction && part.in_place());
        for (stage, action) in in_place.filter_map(|part| part.item.action.as_ref()) {
            let found = pipeline_edit::placed(&pipeline.declaration, stage.as_str(), action.as_str());
            if let Some(found) = found {
                let place = (pipeline.arn.clone(), stage.clone(), action.clone());
                self.context.memory.note_action(&self.uid, place, found);
            }
        }
    }
}
