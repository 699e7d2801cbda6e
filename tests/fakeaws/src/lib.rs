//! An AWS double: STS, IAM, Lambda and CodePipeline over their real wire protocols, for several accounts and regions.
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
mod iam;
mod knobs;
mod lambda;
mod server;
mod state;
mod sts;
mod wire;
