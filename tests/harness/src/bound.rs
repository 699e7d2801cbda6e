//! Child processes that do not outlive the process that made them, however that one ends.
//!
//! A destructor does not run when a process is killed, so on Linux the kernel is asked to kill the child instead
//! (prctl(2), `PR_SET_PDEATHSIG`). The child has to ask for itself, before it becomes the program: the current
//! executable is run again as [`ROLE`] with the program's command line, asks, and replaces itself.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
};

/// The first argument that makes an executable of this workspace take this part.
pub(crate) const ROLE: &str = "run-until-parent-ends";

/// A command that runs `program` bound to this process.
///
/// # Errors
/// If the operating system does not say what the current executable is.
pub(crate) fn command(program: impl Into<OsString>) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ROLE).arg(std::process::id().to_string()).arg(program.into());
    // Ctrl-C in a terminal goes to the whole foreground group; our children end when we end them.
    command.process_group(0);
    Ok(command)
}

/// Spawns a command of [`command`] from a thread that lives as long as this process.
///
/// The kernel sends the signal when the *thread* that spawned the child ends, and a test's thread ends long before its
/// process.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                // Nobody waits any more: the child is dropped unwaited, and ends with this process.
                let _ = answer.send(command.spawn());
            }
        });
        jobs
    });
    let (answer, child) = mpsc::channel();
    spawner.send((command, answer)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

/// Becomes the program; returns only why that failed.
pub(crate) fn become_program(mut arguments: impl Iterator<Item = OsString>) -> String {
    let parent = arguments.next().and_then(|id| id.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return format!("usage: {ROLE} PARENT-PROCESS-ID PROGRAM [ARGUMENT …]");
    };
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        return format!("cannot bind {} to its parent: {error}", program.display());
    }
    // The parent may have ended before the signal was asked for.
    if rustix::process::getppid().map(|id| id.as_raw_nonzero().get()) != Some(parent) {
        return format!("the parent of {} has already ended", program.display());
    }
    let error = Command::new(&program).args(arguments).exec();
    format!("cannot run {}: {error}", program.display())
}
