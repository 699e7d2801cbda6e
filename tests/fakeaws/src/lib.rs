//! An AWS double: STS, IAM, Lambda and `CodePipeline` over their real wire protocols, for several accounts and regions.
//!
//! ```text
//! HTTP → server (scope → service, caller, knobs) → wire (query | json | cbor | rest) → sts | iam | lambda | codepipeline
//!                                                                                          ↓
//! admin (HTTP under /_fakeaws/, or in process) → state::World ← authorization (pure)
//! ```
//!
//! In a test:
//!
//! ```no_run
//! # async fn example(seed: fakeaws::Seed) -> Result<(), Box<dyn std::error::Error>> {
//! use fakeaws::{Effect, FakeAws, Fault, Propagation};
//!
//! let aws = FakeAws::start(seed).await?; // AWS_ENDPOINT_URL = aws.endpoint()
//! let before = aws.admin().configuration()?;
//! aws.admin().set_propagation(Propagation { reads_milliseconds: 5_000, ..Propagation::default() })?;
//! aws.admin().fault(Fault::next("UpdatePipeline", Effect::DropAfterApplying))?;
//! aws.admin().advance_clock(3_600)?;
//! assert_eq!(aws.admin().configuration()?, before);
//! # Ok(())
//! # }
//! ```
//!
//! For a person: `fakeaws --seed tests/fakeaws/tests/seed.json` prints the endpoint; with `AWS_ENDPOINT_URL` set to it,
//! `AWS_ACCESS_KEY_ID` to a key of the seed and any secret key, the AWS CLI and boto3 talk to it.
//! [`Admin::connect`] and `POST /_fakeaws/command` reach behind AWS's back.
//!
//! A call is logged and counted under the account of its *caller*: an `AssumeRole` under the account that asks, with
//! the role's ARN as its resource.
//!
//! Signatures are not checked; access keys and session tokens are. What the double cannot judge is a 500 that names
//! it, never an allow.

mod admin;
mod authorization;
mod call_log;
mod clock;
mod codepipeline;
mod error;
mod executor;
mod handle;
mod iam;
mod knobs;
mod lambda;
mod python_environment;
mod server;
mod snapshot;
mod state;
mod sts;
mod wire;

pub use self::{
    admin::{Admin, AdminError, Command},
    call_log::{Authorisation, Call, Counters},
    codepipeline::ActionOutcome,
    handle::FakeAws,
    knobs::{Effect, Fault, Propagation, RateLimit},
    lambda::Behaviour,
    python_environment::python_environment,
    snapshot::{AccountSeed, RoleSeed, Seed, UserSeed},
};
