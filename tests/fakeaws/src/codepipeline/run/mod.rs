//! Executions that walk: from stage to stage, from action to action, to a function in another account and back.
//!
//! ```text
//! StartPipelineExecution ┐           ┌ begin (other providers: at once, or held by a knob)
//! callback, approval     ├─→ walk ─→ ┤ begin (Approval/Manual: waits for PutApprovalResult)
//! timers, admin          ┘           └ invoke (assume, invoke: judged) → job + lambda::Invocations → executor
//! ```
//!
//! Everything here changes the world under its lock, and waits for nothing. What takes time is data: a job with a
//! deadline, an invocation that is due. The [`crate::executor`] runs the functions and wakes up for deadlines.

mod approval;
mod begin;
mod callback;
mod checks;
mod execution;
mod invoke;
mod jobs;
mod list;
mod rollback;
mod shown;
mod stages;
mod timers;
mod variables;
mod walk;

pub use self::begin::ActionOutcome;
pub(super) use self::{
    approval::put as put_approval_result,
    callback::{failure as put_job_failure_result, success as put_job_success_result},
    execution::{Mode, StageRun, WaitsFor},
    list::list as list_action_executions,
    rollback::roll_back as roll_back_stage,
    shown::state,
    stages::{disable as disable_transition, enable as enable_transition, retry as retry_stage},
    variables::of_pipeline as pipeline_variables,
    walk::{abandon, walk},
};
pub(crate) use self::{
    begin::release,
    checks::{key as rule_key, release as release_rule},
    execution::{At, Execution},
    jobs::Jobs,
    stages::Switch,
    timers::{due, run as run_timers},
};
