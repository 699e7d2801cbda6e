//! What the pipelines' workers ask of the controller: whether a claim still holds, who may still come, and to wake an object.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;

use super::{
    caches::{Caches, Guarded},
    context::Context,
    current,
    memory::Memory,
};
use crate::{
    domain::{
        contested::{self, Contested},
        fold::Claim,
        ids::{Arn, InstallationId, ObjectKey, PipelineKey},
        observed::Resource,
        own_writes::Earlier,
        spacing::{Corrected, Corrections},
        status,
    },
    engine::shown::Stands,
    shell::pipelines::Host,
    telemetry::metrics::{Metrics, PIPELINE, Permitted},
};

/// Answers from the caches and from memory, and asks nobody.
pub(super) struct PipelineHost {
    caches: Arc<Caches>,
    memory: Arc<Memory>,
    installation: InstallationId,
    metrics: Arc<Metrics>,
    /// When this process began: the corrections after that are its own.
    began: Timestamp,
    /// What was remembered of pipelines before the updates that are in flight.
    sending: Mutex<HashMap<PipelineKey, Earlier>>,
}

impl PipelineHost {
    /// A host for this installation's workers.
    #[must_use]
    pub(super) fn new(
        caches: Arc<Caches>,
        memory: Arc<Memory>,
        installation: InstallationId,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { caches, memory, installation, metrics, began: Context::exact_now(), sending: Mutex::default() }
    }

    /// Whether an object may still claim something: it has not been looked at since its last edit, and its status does not
    /// say that all is in place.
    fn may_come(&self, object: &Guarded) -> bool {
        let Ok(object) = &object.0 else { return false };
        let generation = object.metadata.generation.unwrap_or_default();
        let is_settled = object.status.as_ref().is_some_and(|known| {
            known.observed_generation == Some(generation) && (status::is_ready(known) || status::is_stalled(known))
        });
        !is_settled && self.memory.is_expected(&object.uid().unwrap_or_default(), generation)
    }
}

impl Host for PipelineHost {
    fn now(&self) -> Timestamp {
        Context::exact_now()
    }

    fn holds(&self, claim: &Claim) -> bool {
        current::holds(&self.caches, &self.installation, &claim.basis)
    }

    fn recorded_corrections(&self, pipeline: &PipelineKey) -> Option<Corrections> {
        let PipelineKey { account, region, name } = pipeline.clone();
        let objects = self.caches.objects_on_pipeline(&(account.clone(), region.clone(), name.clone()));
        let statuses = objects.iter().filter_map(|object| object.0.as_ref().ok()?.status.as_ref());
        let recorded =
            statuses.filter_map(|status| contested::corrections(status, (&account, &region, &name), self.began));
        recorded.reduce(|one, other| one.and(Some(other)))
    }

    fn are_more_expected(&self, pipeline: &PipelineKey) -> bool {
        let PipelineKey { account, region, name } = pipeline.clone();
        let objects = self.caches.objects_on_pipeline(&(account, region, name));
        objects.iter().any(|object| self.may_come(object))
    }

    fn stands(&self, pipeline: &PipelineKey, stands: Stands, until: Option<Instant>) {
        self.metrics.targets().worker(PIPELINE, &pipeline.to_string(), &pipeline.account, stands, until);
    }

    fn refused(&self, _pipeline: &PipelineKey) {
        self.metrics.targets().permitted(PIPELINE, Permitted::Refused, 1);
    }

    fn late(&self, _pipeline: &PipelineKey, claims: usize) {
        self.metrics.targets().permitted(PIPELINE, Permitted::Late, claims);
    }

    fn carries(&self, _pipeline: &PipelineKey, claims: usize) {
        self.metrics.pipeline_update_carries(claims);
    }

    fn sends(&self, pipeline: &PipelineKey, base: i64) {
        let (before, after) = (Some(base.to_string()), Some((base + 1).to_string()));
        let earlier =
            self.memory.own_writes(|writes| writes.note_sent(&resource(pipeline), before, after, Context::now()));
        self.sending.lock().unwrap_or_else(PoisonError::into_inner).insert(pipeline.clone(), earlier);
    }

    fn sent(&self, pipeline: &PipelineKey, base: i64, version: Result<Option<i64>, ()>) {
        let earlier = self.sending.lock().unwrap_or_else(PoisonError::into_inner).remove(pipeline);
        let (resource, before) = (resource(pipeline), Some(base.to_string()));
        self.memory.own_writes(|writes| match (version, earlier) {
            (Ok(None), Some(earlier)) => writes.take_back(&resource, earlier),
            (Ok(None), None) => {}
            (Ok(Some(version)), _) => writes.note_write(&resource, before, Some(version.to_string()), Context::now()),
            (Err(()), _) => writes.note_write(&resource, before, Some((base + 1).to_string()), Context::now()),
        });
    }

    fn corrected(&self, uid: &str, pipeline: &Arn, corrected: &Corrected) {
        let Some(object) = self.caches.object(&corrected.object) else { return };
        let status = object.0.as_ref().ok().and_then(|object| object.status.as_ref());
        let mut undone = Contested::of(status, self.memory.removals(uid), Context::now());
        undone.corrected(pipeline, corrected);
        self.memory.note_removals(uid, undone.own());
    }

    fn updated(&self, pipeline: &PipelineKey, since_check: Duration) {
        let PipelineKey { account, region, name } = pipeline;
        self.metrics.pipeline_updated((account.as_str(), region.as_str(), name.as_str()), since_check);
    }

    fn waits(&self, pipeline: &PipelineKey, since: Option<Timestamp>) {
        let PipelineKey { account, region, name } = pipeline;
        self.metrics.pipeline_waits((account.as_str(), region.as_str(), name.as_str()), since);
    }

    fn wake(&self, object: &ObjectKey) {
        self.caches.look_at(object);
    }
}

fn resource(pipeline: &PipelineKey) -> Resource {
    let PipelineKey { account, region, name } = pipeline.clone();
    Resource::Pipeline { account, region, name }
}
