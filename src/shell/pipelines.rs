//! The pipelines of all tools accounts: who claims what of which, and what came of it.

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};

use super::{
    pipeline_worker::{Message, ShownPipeline, Worker},
    registry::{Kind, Registry},
};
use crate::{
    aws::{AccountReader, AwsError, CodePipeline},
    domain::{
        fold::Claim,
        history::History,
        ids::{Arn, ObjectKey, PipelineKey},
        spacing::{Corrected, Corrections, Window},
    },
    engine::{
        pipeline::{Outcome, Waiting},
        shown::Stands,
    },
};

/// How a pipeline is read, and how it is written.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The reads in its account and region.
    pub reads: AccountReader,
    /// The writes there.
    pub writes: CodePipeline,
}

/// What came of a claim so far.
pub type Told = watch::Receiver<Option<Outcome<AwsError>>>;

/// What the workers need of whoever made the claims.
pub trait Host: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Whether the object is as it was when the claim was planned, and is granted the same.
    fn holds(&self, claim: &Claim) -> bool;
    /// Whether objects that will want something of the pipeline are still on their way.
    fn are_more_expected(&self, pipeline: &PipelineKey) -> bool;
    /// Where a pipeline stands, and when it goes on by itself.
    fn stands(&self, pipeline: &PipelineKey, stands: Stands, until: Option<Instant>);
    /// A claim did not hold any more when an update was about to be made.
    fn refused(&self, pipeline: &PipelineKey);
    /// An update that carries this many claims was not sent: its last look was too long ago.
    fn late(&self, pipeline: &PipelineKey, claims: usize);
    /// An update is about to be sent that carries this many claims.
    fn carries(&self, pipeline: &PipelineKey, claims: usize);
    /// The corrections of the pipeline that statuses tell of, as far as they lie before this process began: later ones its
    /// worker knows itself, and a status can be forged.
    fn recorded_corrections(&self, pipeline: &PipelineKey) -> Option<Corrections>;
    /// An update is about to be sent that was planned on this version.
    fn sends(&self, pipeline: &PipelineKey, base: i64);
    /// What became of it: the version that it made; none where it surely made none, and an error where that is not known.
    fn sent(&self, pipeline: &PipelineKey, base: i64, version: Result<Option<i64>, ()>);
    /// What an object has in place was put back, also where the object does not wait for it any more.
    fn corrected(&self, uid: &str, pipeline: &Arn, corrected: &Corrected);
    /// An update was answered, this long after the pipeline's executions were asked for.
    fn updated(&self, pipeline: &PipelineKey, since_check: Duration);
    /// Since when something waits for the pipeline; `None` when nothing does any more.
    fn waits(&self, pipeline: &PipelineKey, since: Option<Timestamp>);
    /// Something came of the claim of this object, and nobody waits for it.
    fn wake(&self, object: &ObjectKey);
}

/// Times of the workers.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// As `--collect`.
    pub collect: Duration,
    /// As `--collect-max`.
    pub collect_max: Duration,
    /// As `--idle-poll`.
    pub idle_poll: Duration,
    /// As `--hold-after-failure`.
    pub hold_after_failure: Duration,
    /// As `--correction-window` and `--correction-window-max`.
    pub corrections: Window,
}

/// Pipelines have workers.
#[derive(Debug)]
pub struct OfPipelines;

impl Kind for OfPipelines {
    type Key = PipelineKey;
    type Place = PipelineKey;
    type Claim = Claim;
    type Outcome = Outcome<AwsError>;
    type Message = Message;

    fn key(place: &PipelineKey) -> &PipelineKey {
        place
    }

    fn object(claim: &Claim) -> &ObjectKey {
        &claim.basis.key
    }

    fn asks_the_same(one: &Claim, other: &Claim) -> bool {
        one.asks_the_same(other)
    }

    fn waits(outcome: &Outcome<AwsError>) -> bool {
        matches!(outcome, Outcome::Waiting(_))
    }

    fn is_news(outcome: &Outcome<AwsError>) -> bool {
        !matches!(outcome, Outcome::Waiting(Waiting::Others))
    }

    fn withdrawal(uid: String, _place: PipelineKey) -> Message {
        Message::Withdraw(uid)
    }
}

/// All pipelines.
pub struct Pipelines {
    registry: Registry<OfPipelines>,
    /// How far executions were looked through, while the pipeline is worked on: one that is over could be retried later.
    histories: Mutex<HashMap<PipelineKey, History>>,
    host: Arc<dyn Host>,
    times: Times,
}

impl Deref for Pipelines {
    type Target = Registry<OfPipelines>;

    fn deref(&self) -> &Registry<OfPipelines> {
        &self.registry
    }
}

impl Pipelines {
    /// No pipelines yet. When `stopping` says so, nothing is begun any more.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, times: Times, stopping: watch::Receiver<bool>) -> Arc<Self> {
        let waking = host.clone();
        let registry = Registry::new(move |object: &ObjectKey| waking.wake(object), stopping);
        Arc::new(Self { registry, histories: Mutex::default(), host, times })
    }

    /// Claims something of a pipeline, through these clients. A claim that still waits goes on when it is made again; one that
    /// was answered begins again.
    pub fn claim(self: &Arc<Self>, pipeline: &PipelineKey, claim: &Claim, clients: &Clients) -> Told {
        let start = || Worker::start(self.clone(), pipeline.clone(), clients.clone(), self.times, self.host.clone());
        let message = |begins: bool| begins.then(|| Message::Claim(Box::new(claim.clone()), Box::new(clients.clone())));
        self.registry.claim(pipeline, (&claim.basis.uid, claim), message, start)
    }

    /// What the worker of a pipeline shows of itself.
    pub async fn shown(&self, pipeline: &PipelineKey) -> Option<ShownPipeline> {
        self.registry.asked(pipeline, Message::Show).await
    }

    /// Forgets a worker that has ended, unless another one has taken its place.
    pub(super) fn ended(&self, pipeline: &PipelineKey) {
        self.registry.ended(pipeline, || _ = self.histories().remove(pipeline));
    }

    fn histories(&self) -> MutexGuard<'_, HashMap<PipelineKey, History>> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the executions of a pipeline were looked through.
    pub(super) fn history(&self, pipeline: &PipelineKey) -> History {
        self.histories().get(pipeline).cloned().unwrap_or_default()
    }

    /// Keeps how far that is.
    pub(super) fn looked_through(&self, pipeline: &PipelineKey, history: History) {
        let mut histories = self.histories();
        if history == History::default() {
            histories.remove(pipeline);
        } else {
            histories.insert(pipeline.clone(), history);
        }
    }
}
