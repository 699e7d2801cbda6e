//! Pure decisions: no client, no SDK, no clock, no environment. Everything here is a function of its arguments.

pub mod ids;
pub mod policy;
