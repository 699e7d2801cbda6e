//! The task of one pipeline: it hands inputs to the machine and carries out what the machine asks for.

use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use tracing::Instrument;

use super::{
    pipelines::{Clients, Host, Pipelines, Times},
    waits::{Awaited, IDLE, answer, at, instant},
};
use crate::{
    aws::{AccountReader, AwsError, AwsErrorKind, Known, PipelineRead, Turn},
    domain::{
        fold::Claim,
        ids::{Arn, PipelineKey},
        observed::Pipeline,
        pipeline_edit::Json,
        spacing::Corrections,
    },
    engine::{
        pipeline::{
            Effect, Failure, Input, LastLook, Machine, Outcome, Permit, Settings, ShownWrite, Waiting, Written,
        },
        shown::Shown,
    },
};

/// How long an execution can go on: an approval waits for 60 days at most.
const RUNS_AT_MOST: Duration = Duration::from_hours(24 * 90);

/// A message to a worker.
pub enum Message {
    /// An object wants something; the client may be another one than before.
    Claim(Box<Claim>, Box<Clients>),
    /// An object wants nothing any more.
    Withdraw(String),
    /// Somebody asks how it stands.
    Show(oneshot::Sender<ShownPipeline>),
}

/// What a worker shows of itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownPipeline {
    /// The machine.
    #[serde(flatten)]
    pub machine: Shown<ShownWrite>,
    /// The reading before.
    pub last_reading: Option<ShownReading>,
}

/// A reading.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownReading {
    /// The pipeline's version.
    pub version: i64,
    /// When it was answered.
    pub at: Timestamp,
    /// How long ago that is.
    pub age_seconds: i64,
}

/// An answer, and after a check the turn in which an update may follow.
type Answer = Awaited<(Input<AwsError>, Option<Checked>)>;

/// Leave for an update, and when the pipeline was asked whether it is idle.
type Checked = (Turn, Instant);

/// The task of one pipeline.
pub(super) struct Worker {
    pipelines: Arc<Pipelines>,
    key: PipelineKey,
    clients: Clients,
    host: Arc<dyn Host>,
    machine: Machine<AwsError>,
    wake: Option<Instant>,
    answer: Option<Answer>,
    /// Leave for the update that may follow the check that was just answered.
    turn: Option<Checked>,
    /// The declaration as it was last read.
    declaration: Option<Arc<Json>>,
    /// The version that was last read, and when.
    read: Option<(i64, Timestamp)>,
    /// Since when objects claim something.
    claimed: HashMap<String, Timestamp>,
    /// The corrections that were recorded before this process began.
    recorded: Option<Corrections>,
    /// Since when claims wait for the pipeline.
    waiting: BTreeMap<String, Timestamp>,
    /// The earliest of these, as it was told.
    told_waiting: Option<Timestamp>,
}

struct Look<'a>(&'a dyn Host, &'a PipelineKey, Option<Corrections>);

impl LastLook for Look<'_> {
    fn holds(&self, claim: &Claim) -> bool {
        let holds = self.0.holds(claim);
        if !holds {
            self.0.refused(self.1);
        }
        holds
    }

    fn corrections(&self) -> Option<Corrections> {
        self.2
    }

    fn are_more_expected(&self) -> bool {
        self.0.are_more_expected(self.1)
    }
}

impl Worker {
    pub(super) fn start(
        pipelines: Arc<Pipelines>,
        key: PipelineKey,
        clients: Clients,
        times: Times,
        host: Arc<dyn Host>,
    ) -> mpsc::UnboundedSender<Message> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let machine = Machine::new(Settings {
            pipeline: key.clone(),
            collect: times.collect,
            collect_max: times.collect_max,
            idle_poll: times.idle_poll,
            hold_after_failure: times.hold_after_failure,
            corrections: times.corrections,
        });
        let recorded = host.recorded_corrections(&key);
        let worker = Self {
            pipelines,
            key,
            clients,
            host,
            machine,
            wake: None,
            answer: None,
            turn: None,
            declaration: None,
            read: None,
            claimed: HashMap::new(),
            recorded,
            waiting: BTreeMap::new(),
            told_waiting: None,
        };
        tokio::spawn(worker.run(receiver));
        sender
    }

    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        let mut stopping = self.pipelines.stopping();
        let mut is_stopping = *stopping.borrow_and_update();
        loop {
            let idle = self.machine.is_idle() && self.answer.is_none();
            let input = tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Claim(claim, clients)) => {
                        self.clients = *clients;
                        Input::Claim(claim)
                    }
                    Some(Message::Withdraw(uid)) => Input::Withdraw(uid),
                    Some(Message::Show(asked)) => {
                        // Whoever asked may be gone.
                        let _ = asked.send(self.shown());
                        continue;
                    }
                    None => break,
                },
                (input, turn) = answer(self.answer.as_mut()) => {
                    (self.answer, self.turn) = (None, turn);
                    input
                }
                () = at(self.wake) => {
                    self.wake = None;
                    Input::Woken
                }
                _ = stopping.wait_for(|stopping| *stopping), if !is_stopping => {
                    is_stopping = true;
                    Input::Terminate
                }
                () = at(Some(Instant::now() + IDLE)), if idle => {
                    if self.machine.remembers(self.host.now()) {
                        continue;
                    }
                    messages.close();
                    if messages.is_empty() {
                        break;
                    }
                    continue;
                }
            };
            self.note(&input);
            let look = Look(&*self.host, &self.key, self.recorded);
            let effects = self.machine.step(input, self.host.now(), &look);
            if !effects.is_empty() {
                let pass = self.span();
                for effect in effects {
                    pass.in_scope(|| self.carry_out(effect));
                }
            }
            self.turn = None;
            self.tell_waiting();
            self.host.stands(&self.key, self.machine.stands(), self.wake);
        }
        self.pipelines.ended(&self.key);
    }

    /// Tells since when something waits, when that has changed.
    fn tell_waiting(&mut self) {
        let since = self.waiting.values().min().copied();
        if since != self.told_waiting {
            self.told_waiting = since;
            self.host.waits(&self.key, since);
        }
    }

    fn carry_out(&mut self, effect: Effect<AwsError>) {
        match effect {
            Effect::WakeAt(time) => self.wake = Some(instant(time, self.host.now())),
            Effect::Outcome(uid, outcome) => {
                match &outcome {
                    Outcome::Waiting(Waiting::Others | Waiting::Reading) => {}
                    Outcome::Waiting(_) => _ = self.waiting.entry(uid.clone()).or_insert_with(|| self.host.now()),
                    _ => _ = self.waiting.remove(&uid),
                }
                if let Outcome::ForeignWriter { version } = &outcome {
                    // Said here as well, since at the end of the process no object may live to say it.
                    let PipelineKey { account, name, .. } = &self.key;
                    tracing::warn!(pipeline = %name, %account, version, "an update replaced somebody else's version, which is not brought back");
                }
                if let Outcome::Written(Written { corrected: Some(corrected), pipeline, .. }) = &outcome {
                    self.host.corrected(&uid, &pipeline.arn, corrected);
                }
                self.told(&uid, outcome);
            }
            Effect::Read => {
                let (reads, key) = (self.reads(), self.key.clone());
                self.ask(async move {
                    let read = reads.get_pipeline(&key.name).await;
                    (Input::Read(read.map(|read| read.map(|read| described(&key, read)))), None)
                });
            }
            Effect::ReadVersion(version) => {
                let (reads, key) = (self.reads(), self.key.clone());
                self.ask(async move {
                    let version = i32::try_from(version).unwrap_or(i32::MAX);
                    let read = reads.get_version(&key.name, version).await;
                    (Input::ReadVersion(read.map(|read| read.map(|read| described(&key, read)))), None)
                });
            }
            Effect::Check => self.check(),
            Effect::Write(permit) => self.write(permit),
        }
    }

    /// Waits for an answer. What is logged until then says for whom it is.
    fn ask(&mut self, answer: impl Future<Output = (Input<AwsError>, Option<Checked>)> + Send + 'static) {
        self.answer = Some(Box::pin(answer.in_current_span()));
    }

    /// What every line of a pass says: which pipeline, and for whom.
    fn span(&self) -> tracing::Span {
        tracing::info_span!("pass", target = %self.key, objects = self.machine.objects())
    }

    /// What is read before a write was sent after it was asked for.
    fn reads(&self) -> AccountReader {
        self.clients.reads.fresh()
    }

    fn check(&mut self) {
        let (clients, key, pipelines) = (self.clients.clone(), self.key.clone(), self.pipelines.clone());
        let (declaration, oldest) = (self.declaration.clone(), self.host.now() - RUNS_AT_MOST);
        self.ask(async move {
            let declaration = declaration.unwrap_or_else(|| Arc::new(Json::Object(Vec::new())));
            let known = Known { declaration: &declaration, history: pipelines.history(&key), oldest };
            // Taken before the check and kept for the update: nothing is waited for between the two.
            let turn = clients.writes.turn().await;
            let asked = Instant::now();
            let checked = clients.reads.occupancy(&turn, &key.name, known).await;
            let checked = checked.map(|(occupancy, history)| {
                pipelines.looked_through(&key, history);
                occupancy
            });
            (Input::Checked(checked), Some((turn, asked)))
        });
    }

    /// Takes note of what concerns the calls, and not the machine.
    fn note(&mut self, input: &Input<AwsError>) {
        match input {
            Input::Read(Ok(Some(pipeline))) => {
                self.declaration = Some(pipeline.declaration.clone());
                self.read = Some((pipeline.version, self.host.now()));
            }
            Input::Claim(claim) => {
                let now = self.host.now();
                self.claimed.entry(claim.basis.uid.clone()).or_insert(now);
            }
            Input::Withdraw(uid) => {
                self.claimed.remove(uid);
                self.waiting.remove(uid);
            }
            _ => {}
        }
    }

    /// Tells what came of a claim, with which it is forgotten unless it waits.
    fn told(&mut self, uid: &str, outcome: Outcome<AwsError>) {
        if !matches!(outcome, Outcome::Waiting(_)) {
            self.claimed.remove(uid);
        }
        self.pipelines.tell(&self.key, uid, outcome);
    }

    fn shown(&self) -> ShownPipeline {
        let (mut machine, now) = (self.machine.shown(), self.host.now());
        for claim in &mut machine.claims {
            claim.since = self.claimed.get(&claim.uid).copied();
        }
        let last_reading =
            self.read.map(|(version, at)| ShownReading { version, at, age_seconds: now.duration_since(at).as_secs() });
        ShownPipeline { machine, last_reading }
    }

    /// The update is sent by a task of its own, which lives until the answer is there, whoever is dropped meanwhile.
    fn write(&mut self, permit: Permit) {
        let (client, key, host) = (self.clients.writes.clone(), self.key.clone(), self.host.clone());
        let pipelines = self.pipelines.clone();
        let (base, checked) = (permit.write().base, self.turn.take());
        let objects: Vec<String> = permit.objects().map(ToString::to_string).collect();
        tracing::info!(pipeline = %key.name, account = %key.account, version = base, "updating pipeline");
        host.carries(&key, objects.len());
        host.sends(&key, base);
        let pass = tracing::info_span!("pass", target = %key, objects = objects.join(","));
        let sending = async move {
            let _slot = pipelines.write_slot().await;
            let (turn, asked) = match checked {
                Some(checked) => checked,
                None => (client.turn().await, Instant::now()),
            };
            let answer = client.update_pipeline(turn, permit).await;
            let became = match &answer {
                Ok(read) => Ok(Some(read.version)),
                Err(error) if error.outcome_unknown => Err(()),
                Err(_) => Ok(None),
            };
            host.sent(&key, base, became);
            if answer.as_ref().is_err_and(AwsError::is_late) {
                host.late(&key, objects.len());
            }
            if answer.is_ok() {
                host.updated(&key, asked.elapsed());
            }
            match &answer {
                Ok(read) => tracing::info!(version = read.version, "the pipeline was updated"),
                Err(error) => tracing::info!(%error, "the pipeline was not updated, or that is not known"),
            }
            answer.map(|read| Pipeline { unread: true, ..described(&key, read) }).map_err(failure)
        };
        let sending = tokio::spawn(sending.instrument(pass));
        self.answer = Some(Box::pin(async move {
            match sending.await {
                Ok(answer) => (Input::Wrote(answer), None),
                // The task was stopped with the process.
                Err(_) => pending().await,
            }
        }));
    }
}

fn failure(error: AwsError) -> Failure<AwsError> {
    if error.is_late() {
        return Failure::NotSent;
    }
    if error.outcome_unknown {
        return Failure::Unknown(error);
    }
    let (role, of_declaration) = match &error.kind {
        AwsErrorKind::PipelineCannotAssume { role } => (Some(role.clone()), true),
        AwsErrorKind::PipelineRefused => (None, true),
        _ => (None, false),
    };
    Failure::Refused { role, of_declaration, error }
}

fn described(key: &PipelineKey, read: PipelineRead) -> Pipeline {
    // `metadata` carries the ARN; where a service leaves it out, its parts are all known.
    let arn = read.arn.unwrap_or_else(|| Arn::of_pipeline(read.role.partition(), &key.region, &key.account, &key.name));
    Pipeline { declaration: read.declaration, version: read.version, role: read.role, arn, unread: false }
}
