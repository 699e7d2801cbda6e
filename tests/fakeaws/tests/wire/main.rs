//! What the double answers over the wire, through the AWS SDK for Rust.

mod admin;
mod authorization;
mod documents;
mod faults;
mod functions;
mod limits;
mod principals;
mod propagation;
mod roles;
mod sessions;
mod support;
