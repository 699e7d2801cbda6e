//! Signals and signs of life, by process id.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::error::{Context as _, Error, Result};

fn pid(process: u32) -> Result<Pid> {
    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
    id.ok_or_else(|| Error::new(format!("{process} is no process id")))
}

/// Asks a process to end (SIGTERM).
///
/// # Errors
/// If there is no such process any more.
pub fn terminate(process: u32) -> Result<()> {
    kill_process(pid(process)?, Signal::TERM).context(format_args!("SIGTERM to process {process}"))
}

/// Does to a process what Ctrl-C does (SIGINT).
///
/// # Errors
/// If there is no such process any more.
pub fn interrupt(process: u32) -> Result<()> {
    kill_process(pid(process)?, Signal::INT).context(format_args!("SIGINT to process {process}"))
}

/// Lets a process stand still (SIGSTOP), as a node that is overloaded does.
///
/// # Errors
/// If there is no such process any more.
pub fn pause(process: u32) -> Result<()> {
    kill_process(pid(process)?, Signal::STOP).context(format_args!("SIGSTOP to process {process}"))
}

/// Lets a process go on that stands still (SIGCONT).
///
/// # Errors
/// If there is no such process any more.
pub fn resume(process: u32) -> Result<()> {
    kill_process(pid(process)?, Signal::CONT).context(format_args!("SIGCONT to process {process}"))
}

/// Ends a process without asking (SIGKILL).
///
/// # Errors
/// If there is no such process any more.
pub fn kill(process: u32) -> Result<()> {
    kill_process(pid(process)?, Signal::KILL).context(format_args!("SIGKILL to process {process}"))
}

/// Whether a process still runs. One that has ended and whose parent has not looked yet does not.
#[must_use]
pub fn is_alive(process: u32) -> bool {
    let there = pid(process).is_ok_and(|id| test_kill_process(id).is_ok());
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // proc(5): the state follows the command in parentheses, which may itself hold parentheses.
    let ended = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    there && !ended
}
