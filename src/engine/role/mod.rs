//! One role: the policies that objects share on it are read, planned and written by one machine, for all of them.
//!
//! ```text
//! Idle ─► Collecting ─► Reading ─► nothing to do: outcomes ─► Idle
//!                        ▲    │
//!                        │    ├─► Proving: what stands behind entries that no object asks for
//!                        │    ▼
//!                        │  one step: last look, fold, permit
//!                        │    ▼
//!                        └─ Writing        Waiting: a reading that shows what was before, or what a lost write may undo
//! ```
//!
//! IAM takes a whole document, has no versions and answers reads late. So a write is read back before the next one is
//! planned. A write whose answer was lost may be applied for as long as its signature is valid, also after later ones: the
//! role is read again once a minute for that long, and until then nothing counts as in place that the lost write would take
//! away, nor as gone that it would bring back. At first, while that is likely, nothing else is written to the policy either.

mod look;
mod machine;
mod shown;
mod write;
mod writing;

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use self::{
    look::LastLook,
    machine::Machine,
    shown::ShownWrite,
    write::{Change, Permit, Write},
};
use crate::domain::{
    ids::{Arn, InstallationId, RoleId},
    role_claims::{Claim, Facet, Reading},
    shared_policy::Behind,
};

/// What a machine is about, and its times.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The role.
    pub role: RoleId,
    /// Whose policies are written.
    pub installation: InstallationId,
    /// How long after the last new claim the collecting ends.
    pub collect: Duration,
    /// How long it lasts at most.
    pub collect_max: Duration,
    /// How long an attempt of a write may take: a write whose answer was lost is most often applied within as long again.
    pub attempt: Duration,
}

/// What happens to a machine.
#[derive(Clone, Debug)]
pub enum Input<E> {
    /// An object wants something, or something else than before.
    Claim(Box<Claim>),
    /// An object wants nothing of this policy any more.
    Withdraw(String, Facet),
    /// The answer to [`Effect::Read`].
    Read {
        /// When the read was sent.
        sent_at: Timestamp,
        /// What it shows.
        answer: Result<Reading, E>,
    },
    /// The answer to [`Effect::Evidence`].
    Evidence(BTreeMap<Arn, Behind>),
    /// The answer to [`Effect::Write`].
    Wrote(Result<(), Failure<E>>),
    /// A time that was asked for has come.
    Woken,
    /// The process ends: nothing is begun any more.
    Terminate,
}

/// A write that AWS did not confirm.
#[derive(Clone, Debug)]
pub enum Failure<E> {
    /// AWS surely did not apply it.
    Refused {
        /// Whether the policies of the role would be too large with it.
        too_large: bool,
        /// What AWS said.
        error: E,
    },
    /// It was not sent: the last look was too long ago.
    NotSent,
    /// AWS answered with a fault of its own: it may have been applied, and is not applied any more.
    Fault(E),
    /// It may have been applied, or may be yet.
    Unknown(E),
}

/// What a machine asks for.
#[derive(Debug)]
pub enum Effect<E> {
    /// These policies as they are now.
    Read(BTreeSet<Facet>),
    /// What stands behind these entries.
    Evidence(BTreeSet<Arn>),
    /// One write.
    Write(Box<Permit>),
    /// To be woken at this time, unless an earlier one is asked for later.
    WakeAt(Timestamp),
    /// What came of an object's claim.
    Outcome(String, Facet, Outcome<E>),
}

/// What came of a claim. With any but [`Outcome::Waiting`] the machine has forgotten the claim.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<E> {
    /// It waits.
    Waiting(Waiting),
    /// A reading shows it in place, or gone, or kept for somebody else.
    Settled {
        /// The policies as they were read.
        reading: Arc<Reading>,
        /// Whether something was written for it.
        written: bool,
    },
    /// The assume policy has no room for it.
    Full {
        /// The policies as they were read.
        reading: Arc<Reading>,
    },
    /// A call failed.
    Failed(E),
    /// It rests on something that is so no more: it has to be planned again.
    Stale,
    /// AWS took it twice, and shows something else each time.
    Unreached,
}

/// What a claim waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// Other claims, so that one write carries all.
    Others,
    /// A reading that shows our own write, to which AWS has answered that it was applied.
    Reading,
    /// What became of a write whose answer was lost.
    Settling,
}
