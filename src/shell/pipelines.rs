//! The pipelines of all tools accounts: who claims what of which, and what came of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::pipeline_worker::{Message, ShownPipeline, Worker};
use crate::{
    aws::{AccountReader, AwsError, CodePipeline},
    domain::{
        fold::Claim,
        history::History,
        ids::{Arn, ObjectKey, PipelineKey},
        spacing::{Corrected, Corrections, Window},
    },
    engine::{pipeline::Outcome, shown::Stands},
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
    /// An update is about to be sent that carries so many claims.
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

struct Registered {
    claim: Claim,
    told: watch::Sender<Option<Outcome<AwsError>>>,
}

#[derive(Default)]
struct Inner {
    workers: HashMap<PipelineKey, mpsc::UnboundedSender<Message>>,
    claims: HashMap<String, BTreeMap<PipelineKey, Registered>>,
    /// How far executions were looked through. It outlives the workers, since looking through a year takes many calls.
    histories: HashMap<PipelineKey, History>,
}

/// All pipelines.
pub struct Pipelines {
    inner: Mutex<Inner>,
    host: Arc<dyn Host>,
    times: Times,
    stopping: watch::Receiver<bool>,
    writing: tokio::sync::Semaphore,
}

/// Updates in flight at most; as many as a semaphore has room for, since the limits are on calls.
const WRITING: u32 = 1 << 16;

impl Pipelines {
    /// No pipelines yet. When `stopping` says so, nothing is begun any more.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, times: Times, stopping: watch::Receiver<bool>) -> Arc<Self> {
        let writing = tokio::sync::Semaphore::new(WRITING as usize);
        Arc::new(Self { inner: Mutex::default(), host, times, stopping, writing })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims something of a pipeline, through these clients. A claim that still waits goes on when it is made again; one that
    /// was answered begins again.
    pub fn claim(self: &Arc<Self>, pipeline: &PipelineKey, claim: Claim, clients: Clients) -> Told {
        let mut inner = self.lock();
        let of_object = inner.claims.entry(claim.uid.clone()).or_default();
        let known = of_object.get(pipeline).filter(|known| known.claim.asks_the_same(&claim));
        if let Some(known) = known {
            let goes_on = matches!(&*known.told.borrow(), None | Some(Outcome::Waiting(_)));
            if goes_on {
                return known.told.subscribe();
            }
        }
        let (told, receiver) = watch::channel(None);
        of_object.insert(pipeline.clone(), Registered { claim: claim.clone(), told });
        let message = Message::Claim(Box::new(claim), Box::new(clients.clone()));
        let undelivered = match inner.workers.get(pipeline) {
            Some(worker) => worker.send(message).err().map(|undelivered| undelivered.0),
            None => Some(message),
        };
        if let Some(message) = undelivered {
            let sender = Worker::start(self.clone(), pipeline.clone(), clients, self.times, self.host.clone());
            // It was just started, and ends only when it is idle.
            let _ = sender.send(message);
            inner.workers.insert(pipeline.clone(), sender);
        }
        receiver
    }

    /// The pipelines that have a worker.
    #[must_use]
    pub fn keys(&self) -> Vec<PipelineKey> {
        let mut keys: Vec<PipelineKey> = self.lock().workers.keys().cloned().collect();
        keys.sort();
        keys
    }

    /// What the worker of a pipeline shows of itself.
    pub async fn shown(&self, pipeline: &PipelineKey) -> Option<ShownPipeline> {
        let (sender, receiver) = oneshot::channel();
        self.lock().workers.get(pipeline)?.send(Message::Show(sender)).ok()?;
        receiver.await.ok()
    }

    /// Withdraws the object's claims on all pipelines but these. Nobody waits for what comes of these any more: the object is
    /// woken by it, also by what came since it was last asked.
    pub fn withdraw_all_but(&self, uid: &str, kept: BTreeMap<PipelineKey, Told>) {
        let mut inner = self.lock();
        let Some(of_object) = inner.claims.get_mut(uid) else { return };
        let gone: Vec<PipelineKey> = of_object.keys().filter(|key| !kept.contains_key(key)).cloned().collect();
        of_object.retain(|pipeline, registered| {
            let told = kept.get(pipeline);
            if told.is_some_and(|told| told.has_changed().unwrap_or_default()) {
                self.host.wake(&registered.claim.key);
            }
            told.is_some()
        });
        if of_object.is_empty() {
            inner.claims.remove(uid);
        }
        for worker in gone.iter().filter_map(|pipeline| inner.workers.get(pipeline)) {
            // A worker that has ended knows of no claim.
            let _ = worker.send(Message::Withdraw(uid.to_owned()));
        }
        drop(kept);
    }

    /// Takes what came of a claim, and wakes the object unless somebody waits for it.
    pub(super) fn tell(&self, pipeline: &PipelineKey, uid: &str, outcome: Outcome<AwsError>) {
        let inner = self.lock();
        let Some(registered) = inner.claims.get(uid).and_then(|of_object| of_object.get(pipeline)) else { return };
        let is_news = !matches!(outcome, Outcome::Waiting(crate::engine::pipeline::Waiting::Others));
        registered.told.send_replace(Some(outcome));
        if is_news && registered.told.receiver_count() == 0 {
            self.host.wake(&registered.claim.key);
        }
    }

    /// Forgets a worker that has ended, unless another one has taken its place.
    pub(super) fn ended(&self, pipeline: &PipelineKey) {
        let mut inner = self.lock();
        if inner.workers.get(pipeline).is_some_and(mpsc::UnboundedSender::is_closed) {
            inner.workers.remove(pipeline);
        }
    }

    /// How far the executions of a pipeline were looked through.
    pub(super) fn history(&self, pipeline: &PipelineKey) -> History {
        self.lock().histories.get(pipeline).cloned().unwrap_or_default()
    }

    /// Keeps how far that is.
    pub(super) fn looked_through(&self, pipeline: &PipelineKey, history: History) {
        let mut inner = self.lock();
        if history == History::default() {
            inner.histories.remove(pipeline);
        } else {
            inner.histories.insert(pipeline.clone(), history);
        }
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    /// Resolves when nothing is begun any more, so that whoever waits for others waits no longer.
    pub async fn stopped(&self) {
        // An error means that the sender is gone, which is a stop as well.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    /// Held while an update is in flight.
    pub(super) async fn write_slot(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.writing.acquire().await.ok()
    }

    /// Waits for the answers to what is in flight.
    pub async fn settle(&self) {
        let _ = self.writing.acquire_many(WRITING).await;
    }
}
