//! Running a command to its end.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::error::{Context as _, Error, Result};

/// Runs a command with this standard input and returns its standard output.
///
/// # Errors
/// If it cannot be run or does not succeed; with its command line, status and both outputs.
pub(crate) async fn run(mut command: Command, input: &str) -> Result<String> {
    let shown = shown(&command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context(format_args!("running {shown}"))?;
    let mut stdin = child.stdin.take();
    let write = async {
        if let Some(stdin) = &mut stdin {
            // A command that does not read its input closes it; its status says the rest.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        drop(stdin.take());
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output.context(format_args!("running {shown}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{shown}: {}\n{}{}", output.status, errors, text)))
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
