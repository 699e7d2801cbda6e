//! State machines: inputs and the time go in, effects come out. No client, no SDK, no clock, no tokio.

pub mod index;
pub mod permit;
pub mod pipeline;
pub mod queue;
pub mod role;
pub mod shown;
