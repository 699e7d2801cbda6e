//! One pipeline: it is read, planned and written by one machine, for all objects that want something of it.
//!
//! ```text
//! Idle ─► Collecting ─► Reading ─► nothing to do: outcomes ─► Idle
//!             ▲            │ ▲
//!             │            ▼ └──────────── Waiting(until) ◄─────┐
//!             │         Checking ── busy, held ─────────────────┘
//!             │            │ one step: last look, fold, permit
//!             │            ▼
//!             └───────── Writing ── no answer ─► Unsettled: reads only, until it is known
//! ```
//!
//! Corrections wait in the same way for their time, once somebody undoes them again and again (`domain/spacing.rs`).
//!
//! Whatever waits holds nothing but a time to be woken at. A write is one step from the check that allows it; between the
//! two there is no other call.

mod answering;
mod look;
mod machine;
mod shown;
mod writing;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

pub use self::{look::LastLook, machine::Machine, shown::ShownWrite};
use super::permit::{self, Addressed};
use crate::domain::{
    fold::Claim,
    ids::{AccountId, PipelineKey},
    observed::Pipeline,
    occupancy::{self, Occupancy},
    pipeline_edit::{Json, Refusal},
    spacing::{Corrected, Window},
};

/// What a machine is about, and its times.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// How long after the last new claim the collecting ends.
    pub collect: Duration,
    /// How long it lasts at most.
    pub collect_max: Duration,
    /// How long after a busy check the next one follows.
    pub idle_poll: Duration,
    /// How long a failed or stopped execution is kept retryable; zero for not at all.
    pub hold_after_failure: Duration,
    /// How far apart corrections are.
    pub corrections: Window,
}

/// What happens to a machine.
#[derive(Clone, Debug)]
pub enum Input<E> {
    /// An object wants something, or something else than before.
    Claim(Box<Claim>),
    /// An object wants nothing any more.
    Withdraw(String),
    /// The answer to [`Effect::Read`]; without a pipeline there is none of that name.
    Read(Result<Option<Pipeline>, E>),
    /// The answer to [`Effect::ReadVersion`].
    ReadVersion(Result<Option<Pipeline>, E>),
    /// The answer to [`Effect::Check`].
    Checked(Result<Occupancy, E>),
    /// The answer to [`Effect::Write`].
    Wrote(Result<Pipeline, Failure<E>>),
    /// A time that was asked for has come.
    Woken,
    /// The process ends: nothing is begun any more.
    Terminate,
}

/// A write that did not bring an answer with a pipeline.
#[derive(Clone, Debug)]
pub enum Failure<E> {
    /// AWS surely did not apply it.
    Refused {
        /// The role that AWS says cannot be assumed.
        role: Option<crate::domain::ids::Arn>,
        /// Whether AWS refused the declaration, and not the call.
        of_declaration: bool,
        /// What AWS said.
        error: E,
    },
    /// It was not sent: the last look was too long ago.
    NotSent,
    /// It may have been applied, or may be yet.
    Unknown(E),
}

/// What a machine asks for.
#[derive(Debug)]
pub enum Effect<E> {
    /// The pipeline as it is now.
    Read,
    /// An earlier version of it.
    ReadVersion(i64),
    /// Its state by stages, and then, as the last call, its newest executions.
    Check,
    /// One update.
    Write(Permit),
    /// To be woken at this time, unless an earlier one is asked for later.
    WakeAt(Timestamp),
    /// What came of an object's claim.
    Outcome(String, Outcome<E>),
}

/// What came of a claim. With any but [`Outcome::Waiting`] the machine has forgotten the claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<E> {
    /// It waits.
    Waiting(Waiting),
    /// A reading shows it in place.
    InPlace,
    /// It went into a version.
    Written(Written),
    /// The declaration does not allow it.
    Blocked(Refusal),
    /// AWS refuses it.
    Refused {
        /// What AWS said.
        error: E,
        /// The pipeline as it was read before.
        pipeline: Box<Pipeline>,
    },
    /// A call failed, for reasons that have nothing to do with what is claimed.
    Failed(E),
    /// It rests on something that is so no more: it has to be planned again.
    Stale,
    /// AWS took it twice, and shows something else each time.
    Unreached {
        /// What would change, in words.
        changes: Vec<String>,
    },
    /// Somebody else writes the pipeline at the same time, again and again.
    ForeignWriter {
        /// The version that holds the other edit.
        version: i64,
    },
}

/// What a claim waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// Other claims, so that one version carries all.
    Others,
    /// A reading that shows a version that has been seen.
    Reading,
    /// The pipeline's being idle, or nobody's wanting to retry.
    Pipeline {
        /// What keeps it.
        verdict: occupancy::Verdict,
        /// What would be changed.
        changes: Vec<String>,
    },
    /// The time at which the next correction is due: somebody keeps undoing what is put back.
    Correction {
        /// When that is.
        until: Timestamp,
        /// What would be changed.
        changes: Vec<String>,
    },
    /// What became of an update whose answer was lost.
    Settling,
}

/// A version of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The pipeline as CodePipeline answered, or as it was read after a lost answer.
    pub pipeline: Arc<Pipeline>,
    /// What changed for this claim.
    pub changes: Vec<String>,
    /// How many claims went into it.
    pub claims: usize,
    /// If it corrects what this claim is about.
    pub corrected: Option<Corrected>,
    /// Versions of somebody else that ours replaced: they were made between our reading and our write.
    pub replaced: Option<i64>,
}

/// The right to make one update.
pub type Permit = permit::Permit<Update>;

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The version that it was planned on.
    pub base: i64,
    /// The declaration.
    pub declaration: Json,
}

impl Addressed for Update {
    type Place = PipelineKey;

    fn place(&self) -> PipelineKey {
        self.pipeline.clone()
    }

    fn account(&self) -> &AccountId {
        &self.pipeline.account
    }
}
