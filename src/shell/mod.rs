//! What carries out the effects of the state machines: one task for each thing in AWS, with the SDK and the clock.

mod pipeline_worker;
pub mod pipelines;
mod registry;
mod role_worker;
pub mod roles;
mod waits;
