//! An AWS double: STS, IAM, Lambda and `CodePipeline` over their real wire protocols, for several accounts and regions.
//!
//! ```text
//! HTTP → server (scope → service, caller, knobs) → wire (query | json | cbor | rest) → sts | iam | lambda | codepipeline
//!                                                                                          ↓
//! admin (HTTP under /_fakeaws/, or in process) → state::World ← authorization (pure)
//! ```
//!
//! Signatures are not checked; access keys and session tokens are. What the double cannot judge is a 500 that names
//! it, never an allow.

mod admin;
mod authorization;
mod call_log;
mod clock;
mod codepipeline;
mod error;
mod handle;
mod iam;
mod knobs;
mod lambda;
mod server;
mod snapshot;
mod state;
mod sts;
mod wire;

pub use self::{
    admin::{Admin, AdminError, Command},
    call_log::{Authorisation, Call, Counters},
    handle::FakeAws,
    knobs::{Effect, Fault, Propagation, RateLimit},
    snapshot::{AccountSeed, RoleSeed, Seed, UserSeed},
};
