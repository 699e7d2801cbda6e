//! Pure decisions: no client, no SDK, no clock, no environment. Everything here is a function of its arguments.

pub mod absence;
pub mod account_status;
pub mod conditions;
pub mod contested;
pub mod drift;
pub mod fold;
pub mod gate;
pub mod grants;
pub mod ids;
pub mod inventory;
pub mod names;
pub mod observed;
pub mod occupancy;
pub mod own_writes;
pub mod pipeline_edit;
pub mod plan;
pub mod policy;
pub mod request_id;
pub mod retry;
pub mod rights;
pub mod shared_policy;
pub mod spec;
pub mod stage_states;
pub mod status;
pub mod targets;
pub mod validate;
