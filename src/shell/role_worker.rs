//! The task of one role: it hands inputs to the machine and carries out what the machine asks for.

use std::{collections::BTreeSet, future::pending, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::Instrument;

use super::{
    roles::{Became, Clients, Host, Roles, Settings},
    waits::{Awaited, IDLE, answer, at, instant},
};
use crate::{
    aws::{AwsError, AwsErrorKind, Turn},
    domain::{
        ids::{Arn, InstallationId, RoleId},
        plan::policy_state,
        policy,
        role_claims::{Claim, Facet, Reading, Users},
    },
    engine::{
        role::{self, Effect, Failure, Input, LastLook, Machine, Permit, ShownWrite},
        shown::Shown,
    },
};

/// A message to a worker.
pub enum Message {
    /// An object wants something; the clients may be others than before.
    Claim(Box<Claim>, Box<Clients>),
    /// An object wants nothing of this policy any more.
    Withdraw(String, Facet),
    /// Somebody asks how it stands.
    Show(oneshot::Sender<ShownRole>),
}

/// What a worker shows of itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownRole {
    /// The machine.
    #[serde(flatten)]
    pub machine: Shown<ShownWrite>,
    /// The reading before.
    pub last_reading: Option<ShownReading>,
    /// Until then a write whose answer was lost may be applied.
    pub unsettled_until: Option<Timestamp>,
}

/// A reading.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownReading {
    /// The shared policies that were there.
    pub policies: Vec<String>,
    /// When it was answered.
    pub at: Timestamp,
    /// How long ago that is.
    pub age_seconds: i64,
}

/// An answer, and after a read the turn in which a write may follow.
type Answer = Awaited<(Input<AwsError>, Option<Turn>)>;

/// The task of one role.
pub(super) struct Worker {
    roles: Arc<Roles>,
    role: RoleId,
    clients: Clients,
    host: Arc<dyn Host>,
    installation: InstallationId,
    machine: Machine<AwsError>,
    wake: Option<Instant>,
    answer: Option<Answer>,
    turn: Option<Turn>,
    /// The policies as they were last read.
    reading: Reading,
    /// When that was.
    read_at: Option<Timestamp>,
    /// When that was sent, or is being sent.
    sent: Instant,
}

struct Look<'a> {
    host: &'a dyn Host,
    role: &'a RoleId,
    /// The entries of the assume policy as it was last read.
    entries: BTreeSet<Arn>,
}

impl LastLook for Look<'_> {
    fn holds(&self, claim: &Claim) -> bool {
        let holds = self.host.holds(claim);
        if !holds {
            self.host.refused();
        }
        holds
    }

    fn users(&self, claiming: &BTreeSet<(String, Facet)>) -> Users {
        self.host.users(self.role, &self.entries, claiming)
    }
}

impl Worker {
    pub(super) fn start(
        roles: Arc<Roles>,
        role: RoleId,
        clients: Clients,
        settings: &Settings,
        host: Arc<dyn Host>,
    ) -> mpsc::UnboundedSender<Message> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let machine = Machine::new(role::Settings {
            role: role.clone(),
            installation: settings.installation.clone(),
            collect: settings.collect,
            collect_max: settings.collect_max,
            attempt: settings.attempt,
        });
        let worker = Self {
            roles,
            role,
            clients,
            host,
            installation: settings.installation.clone(),
            machine,
            wake: None,
            answer: None,
            turn: None,
            reading: Reading::default(),
            read_at: None,
            sent: Instant::now(),
        };
        tokio::spawn(worker.run(receiver));
        sender
    }

    async fn run(mut self, mut messages: mpsc::UnboundedReceiver<Message>) {
        let mut stopping = self.roles.stopping();
        let mut is_stopping = *stopping.borrow_and_update();
        loop {
            let idle = self.machine.is_idle() && self.answer.is_none();
            let input = tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Claim(claim, clients)) => {
                        self.clients = *clients;
                        Input::Claim(claim)
                    }
                    Some(Message::Withdraw(uid, facet)) => Input::Withdraw(uid, facet),
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
                    messages.close();
                    if messages.is_empty() {
                        break;
                    }
                    continue;
                }
            };
            self.step(input);
        }
        self.roles.ended(&self.role);
    }

    /// From before the last look until the write has begun, nobody else begins to read.
    fn step(&mut self, input: Input<AwsError>) {
        self.note(&input);
        self.roles.decides(&self.role);
        let look = Look { host: &*self.host, role: &self.role, entries: self.reading.entries() };
        let effects = self.machine.step(input, self.host.now(), &look);
        if !effects.is_empty() {
            let pass = self.span();
            for effect in effects {
                pass.in_scope(|| self.carry_out(effect));
            }
        }
        // A turn is good for the step that takes it.
        self.turn = None;
        self.roles.decided(&self.role, self.machine.is_writing(), self.machine.unsettled_until());
        self.host.stands(&self.role, self.machine.stands(), self.wake);
    }

    /// Tells what was read, so that later looks tell what is new from what was there before our own write.
    fn note(&mut self, input: &Input<AwsError>) {
        if let Input::Read { answer: Ok(reading), .. } = input {
            for facet in reading.0.keys() {
                self.host.read(&(self.role.clone(), *facet), &reading.state(*facet));
            }
            self.reading = reading.clone();
            self.read_at = Some(self.host.now());
        }
    }

    /// What every line of a pass says: which role, and for whom.
    fn span(&self) -> tracing::Span {
        tracing::info_span!("pass", target = self.role.target(), objects = self.machine.objects())
    }

    fn shown(&self) -> ShownRole {
        let now = self.host.now();
        let there = Facet::ALL.into_iter().filter(|facet| self.reading.of(*facet).is_some());
        let policies: Vec<String> = there.map(|facet| facet.policy(&self.installation)).collect();
        let last_reading =
            self.read_at.map(|at| ShownReading { policies, at, age_seconds: now.duration_since(at).as_secs() });
        let unsettled_until = self.machine.unsettled_until().filter(|until| now < *until);
        ShownRole { machine: self.machine.shown(), last_reading, unsettled_until }
    }

    fn carry_out(&mut self, effect: Effect<AwsError>) {
        match effect {
            Effect::WakeAt(time) => self.wake = Some(instant(time, self.host.now())),
            Effect::Outcome(uid, facet, outcome) => {
                self.roles.settled(&(self.role.clone(), facet), &uid, outcome, self.sent);
            }
            Effect::Read(facets) => self.read(facets),
            Effect::Evidence(entries) => {
                let looked = self.host.behind(entries, self.clients.reads.fresh());
                let client = self.clients.writes.clone();
                self.ask(async move {
                    let behind = looked.await;
                    (Input::Evidence(behind), Some(client.turn().await))
                });
            }
            Effect::Write(permit) => self.write(*permit),
        }
    }

    /// Waits for an answer. What is logged until then says for whom it is.
    fn ask(&mut self, answer: impl Future<Output = (Input<AwsError>, Option<Turn>)> + Send + 'static) {
        self.answer = Some(Box::pin(answer.in_current_span()));
    }

    fn read(&mut self, facets: BTreeSet<Facet>) {
        let (role, installation) = (self.role.name.clone(), self.installation.clone());
        let client = self.clients.writes.clone();
        // What is read is sent after this.
        let (sent_at, reads) = (self.host.now(), self.clients.reads.fresh());
        self.sent = Instant::now();
        self.ask(async move {
            let mut reading = Reading::default();
            for facet in facets {
                match reads.get_role_policy(&role, &facet.policy(&installation)).await {
                    Ok(document) => _ = reading.0.insert(facet, document),
                    Err(error) => return (Input::Read { sent_at, answer: Err(error) }, None),
                }
            }
            // What is decided on this reading may be sent at once.
            (Input::Read { sent_at, answer: Ok(reading) }, Some(client.turn().await))
        });
    }

    /// The write is sent by a task of its own, which lives until the answer is there, whoever is dropped meanwhile.
    fn write(&mut self, permit: Permit) {
        let (client, role, host, roles) =
            (self.clients.writes.clone(), self.role.clone(), self.host.clone(), self.roles.clone());
        let turn = self.turn.take();
        let Some((policy, document)) = permit.write().as_policy() else { return };
        let is_it = |facet: &Facet| facet.policy(&self.installation) == policy;
        let Some(facet) = Facet::ALL.into_iter().find(is_it) else { return };
        let objects: Vec<String> = permit.objects().map(ToString::to_string).collect();
        let pass = tracing::info_span!("pass", target = role.target(), objects = objects.join(","));
        pass.in_scope(|| tracing::info!(%role, %policy, deletes = document.is_none(), "writing shared policy"));
        let size = document.map_or(0, policy::size);
        let place = (role.clone(), facet);
        host.sends(&place, objects.len(), self.reading.state(facet), policy_state(document));
        let sending = async move {
            let _slot = roles.write_slot().await;
            let turn = match turn {
                Some(turn) => turn,
                None => client.turn().await,
            };
            let answer = client.write(turn, permit).await;
            let became = match &answer {
                Ok(()) => Became::Written,
                Err(error) if error.is_unanswered() => Became::Unknown,
                Err(error) if error.outcome_unknown => Became::Fault,
                Err(_) => Became::Refused,
            };
            host.sent(&place, became);
            if answer.as_ref().is_err_and(AwsError::is_late) {
                host.late(objects.len());
            }
            if answer.as_ref().is_err_and(|error| error.kind == AwsErrorKind::PolicySizeExceeded) {
                host.too_large(&role, size);
            }
            match &answer {
                Ok(()) => tracing::info!("the shared policy was written"),
                Err(error) => tracing::info!(%error, "the shared policy was not written, or that is not known"),
            }
            answer.map_err(failure)
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
    if error.is_unanswered() {
        return Failure::Unknown(error);
    }
    if error.outcome_unknown {
        return Failure::Fault(error);
    }
    Failure::Refused { too_large: error.kind == AwsErrorKind::PolicySizeExceeded, error }
}
