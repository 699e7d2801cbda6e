//! What the double answers over the wire, through the AWS SDK for Rust.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]
#![allow(clippy::needless_pass_by_value, reason = "json!(…) arguments read better without a reference")]

mod account_details;
mod admin;
mod authorization;
mod binary;
mod boundaries;
mod codepipeline;
mod denials;
mod documents;
mod faults;
mod functions;
mod limits;
mod partitions;
mod principals;
mod propagation;
mod protected;
mod request_context;
mod roles;
mod runs;
mod sessions;
mod shapes;
mod support;
mod tags;
