//! An AWS double: STS, IAM, Lambda and `CodePipeline` over their real wire protocols, for several accounts and regions.
//!
//! ```text
//! HTTP → server (scope → service, caller, knobs) → wire (query | json | cbor | rest) → sts | iam | lambda | codepipeline
//!                                                                                          ↓
//! admin (HTTP under /_fakeaws/, or in process) → state::World ← authorization (pure)
//!                                                      ↑
//!                    executor (runs functions, wakes up for deadlines; holds no lock while it waits)
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
//! Pipelines run: `StartPipelineExecution` walks stages and actions, a Lambda action goes from role to role to the function
//! (each hop judged), and the function calls back, or does not. What is no function and no approval succeeds at once,
//! and so do the rules of conditions; `set_action` and `set_rule` say otherwise.
//!
//! ```no_run
//! # async fn example(aws: fakeaws::FakeAws) -> Result<(), Box<dyn std::error::Error>> {
//! use fakeaws::{ActionOutcome, Behaviour};
//!
//! let function = ("222222222222", "us-east-1", "MyFunction");
//! aws.admin().set_behaviour(function, Behaviour::NeverAnswer {})?; // or a handler in Python: Behaviour::Python
//! aws.admin().set_action(("111111111111", "us-east-1", "release"), ("Build", "Compile"), ActionOutcome::Hold {})?;
//! // … StartPipelineExecution, over the wire …
//! aws.settled().await; // functions have ended, and pipelines have come as far as they can
//! aws.admin().advance_clock(20 * 60)?; // the action that waits for its callback has failed
//! # Ok(())
//! # }
//! ```
//!
//! For a person: `fakeaws --seed tests/fakeaws/tests/seed.json` prints the endpoint; with `AWS_ENDPOINT_URL` set to it,
//! `AWS_ACCESS_KEY_ID` to a key of the seed and any secret key, the AWS CLI and boto3 talk to it.
//! [`Admin::connect`] and `POST /_fakeaws/command` reach behind AWS's back.
//!
//! A call is logged and counted under the account of its *caller*: an `AssumeRole` under the account that asks, with
//! the role's ARN as its resource. The hops of a run are calls as well: `sts:AssumeRole` by the pipeline's role,
//! `lambda:Invoke` by the action's role, and the callback by the function's execution role.
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
mod website;
mod wire;

pub use self::{
    admin::{Admin, AdminError, Command, ControlPolicy},
    call_log::{Authorisation, Call, Counters},
    codepipeline::ActionOutcome,
    handle::FakeAws,
    knobs::{BulkAnswers, Effect, Fault, Propagation, RateLimit},
    lambda::Behaviour,
    python_environment::{python_environment, virtual_environment},
    snapshot::{AccountSeed, RoleSeed, Seed, UserSeed},
    website::{Asked, Page, Website},
    wire::exact::exact_number,
};
