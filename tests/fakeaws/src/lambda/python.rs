//! Functions in Python: a process per delivery, which ends with the double.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdout, Command},
};

use super::invocations::{Delivery, Ended};
use crate::state::{Function, Issued, SECRET_KEY};

/// What stands between the process and the handler. The event is one line on its standard input, which stays open: when
/// it closes, the double is gone. Its standard output is a line `{"ready": true}` and a line `{"result": …}`, or a line
/// `{"error": …}`; what the handler prints is its log.
const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// How long a module may take to be imported, which does not count as the handler's time (Lambda Developer Guide,
/// "Lambda execution environment lifecycle", gives it ten seconds; a busy machine needs more).
const INIT: Duration = Duration::from_mins(1);

/// Characters of a log that are kept, from its end.
const LOG: usize = 8_000;

/// A process that is to be started.
#[derive(Debug)]
pub(crate) struct Process {
    pub(super) delivery: Delivery,
    pub(super) function: Function,
    /// ARN of the function.
    pub(super) arn: String,
    pub(super) file: PathBuf,
    pub(super) python: PathBuf,
    /// The certificates that it trusts; those of the machine when absent.
    pub(super) trusts: Option<PathBuf>,
    pub(super) credentials: Issued,
}

impl Process {
    /// Runs the handler to its end, or to the function's timeout.
    pub(crate) async fn run(self, endpoint: &str) -> (Delivery, Ended) {
        let mut log = Vec::new();
        let result = self.deliver(endpoint, &mut log).await;
        let text = String::from_utf8_lossy(&log);
        let cut = text.char_indices().rev().nth(LOG).map_or(0, |(at, _)| at);
        (self.delivery, Ended { result, log: text[cut..].to_owned() })
    }

    async fn deliver(&self, endpoint: &str, log: &mut Vec<u8>) -> Result<(), String> {
        let mut child = self
            .command(endpoint)
            .spawn()
            .map_err(|error| format!("the interpreter {} cannot be started: {error}", self.python.display()))?;
        let (Some(mut input), Some(output), Some(mut errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("the process has no pipes".to_owned());
        };
        let line = format!("{}\n", self.input());
        let mut lines = BufReader::new(output).lines();
        let told = async {
            // A process that is gone already says more on its standard output than this error.
            let _ = input.write_all(line.as_bytes()).await;
            let timeout = Duration::from_secs(self.function.timeout);
            let ready = tokio::time::timeout(INIT, said(&mut lines)).await;
            ready.map_err(|_| "Runtime.InitError: the module was not imported in time".to_owned())??;
            let result = tokio::time::timeout(timeout, said(&mut lines)).await;
            let late = || format!("Task timed out after {}.00 seconds", self.function.timeout);
            result.map_err(|_| late())??;
            Ok(())
        };
        let written = errors.read_to_end(log);
        tokio::pin!(told, written);
        let mut is_written = false;
        let result = loop {
            tokio::select! {
                result = &mut told => break result,
                _ = &mut written, if !is_written => is_written = true,
            }
        };
        // At a timeout it is still running; otherwise it has said all there is to say.
        let _ = child.kill().await;
        if !is_written {
            // What the handler started may keep its standard error open; nobody waits for that.
            let _ = tokio::time::timeout(Duration::from_secs(1), written).await;
        }
        result
    }

    fn input(&self) -> Value {
        json!({
            "event": self.delivery.event,
            "handler": self.function.handler,
            "directory": self.file.parent().unwrap_or(&self.file),
            "requestId": self.delivery.request,
            "arn": self.arn,
            "timeout": self.function.timeout,
        })
    }

    /// With the variables that Lambda sets (Developer Guide, "Defined runtime environment variables"), the function's
    /// own, and nothing of this process.
    fn command(&self, endpoint: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-I", "-B", "-u", "-c", BOOTSTRAP]).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = &self.delivery.function.name;
        command.env_clear().envs(&self.function.environment);
        command.envs([
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("TZ", ":UTC"),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", &self.delivery.function.region),
            ("AWS_DEFAULT_REGION", &self.delivery.function.region),
            ("AWS_ACCESS_KEY_ID", &self.credentials.access_key),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_SESSION_TOKEN", &self.credentials.token),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{name}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "fakeaws"),
            ("_HANDLER", &self.function.handler),
            // Nothing of the developer's own AWS set-up may leak in.
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
        if let Some(certificates) = &self.trusts {
            command.env("SSL_CERT_FILE", certificates);
        }
        command
    }
}

/// The next line of the process; its error, or why there is none.
async fn said(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<(), String> {
    let line = lines.next_line().await.map_err(|error| error.to_string())?;
    let line = line.ok_or("Runtime.ExitError: the process ended before the handler did")?;
    let said: Value = serde_json::from_str(&line).map_err(|_| format!("the process says what it cannot: {line}"))?;
    said["error"].as_str().map_or(Ok(()), |error| Err(error.to_owned()))
}
