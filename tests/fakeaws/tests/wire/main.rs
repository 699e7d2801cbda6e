//! What the double answers over the wire, through the AWS SDK for Rust.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]
#![allow(clippy::needless_pass_by_value, reason = "json!(…) arguments read better without a reference")]

mod admin;
mod authorization;
mod binary;
mod codepipeline;
mod documents;
mod faults;
mod functions;
mod limits;
mod principals;
mod propagation;
mod roles;
mod runs;
mod sessions;
mod support;
