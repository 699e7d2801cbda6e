//! A second AWS, by other people: moto, pinned, in a process of its own.

mod accounts;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    bound,
    error::{Context as _, Error, Result},
    tools::repository,
};

/// moto and what it needs.
const PINS: &str = include_str!("../../moto/requirements.txt");

/// A running moto, and somebody with boto3 who does there, over the wire, what he is told. It is killed when this is
/// dropped, and when this process ends in any way.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    dialogue: Mutex<Dialogue>,
    endpoint: String,
}

#[derive(Debug)]
struct Dialogue {
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A call for boto3.
#[derive(Clone, Debug)]
pub struct BotoCall<'a> {
    /// Account id.
    pub account: &'a str,
    /// Region.
    pub region: &'a str,
    /// Name of boto3's client, such as `iam`.
    pub service: &'a str,
    /// Name of its method, such as `get_role`.
    pub operation: &'a str,
    /// Its keyword arguments.
    pub parameters: Value,
}

/// What boto3 got for an answer.
pub type BotoAnswer = std::result::Result<Value, BotoError>;

/// The error that AWS, or boto3 itself, answered a call with.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct BotoError {
    /// The code on the wire, such as `NoSuchEntity`.
    pub code: String,
    /// The text.
    pub message: String,
}

impl Moto {
    /// Starts moto on a free port. Its virtual environment is made the first time, which takes Python 3 and `PyPI`.
    ///
    /// # Errors
    /// If the environment cannot be made, or moto does not start.
    pub fn start() -> Result<Self> {
        let mut command = bound::command(Self::python()?).context("starting moto")?;
        command.arg(repository().join("tests/harness/moto/serve.py"));
        // Nothing of the developer's own AWS set-up may leak in.
        for variable in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"] {
            command.env_remove(variable);
        }
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("PYTHONDONTWRITEBYTECODE", "1");
        // What it complains of goes where this process's complaints go.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = bound::spawn(command).context("starting moto")?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, answers) = pipes.ok_or_else(|| Error::new("moto's process has no pipes"))?;
        let dialogue = Mutex::new(Dialogue { questions, answers: BufReader::new(answers) });
        // Made before it answers, so that a failure kills it.
        let mut moto = Self { child, dialogue, endpoint: String::new() };
        moto.endpoint = moto.dialogue.lock().unwrap_or_else(PoisonError::into_inner).hear()?;
        Ok(moto)
    }

    /// The Python of moto's virtual environment, which has boto3 as well.
    ///
    /// # Errors
    /// If the environment cannot be made.
    pub fn python() -> Result<PathBuf> {
        fakeaws::virtual_environment("moto", PINS).context("an environment for moto")
    }

    /// `http://127.0.0.1:port`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Has a call made in moto.
    ///
    /// # Errors
    /// If the process has ended; what AWS answers is no failure of this kind.
    pub fn call(&self, call: &BotoCall<'_>) -> Result<BotoAnswer> {
        self.call_at(call, None)
    }

    /// Has the call made of another AWS, with an access key of that one.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn call_elsewhere(&self, call: &BotoCall<'_>, endpoint: &str, key: &str) -> Result<BotoAnswer> {
        self.call_at(call, Some((endpoint, key)))
    }

    fn call_at(&self, call: &BotoCall<'_>, elsewhere: Option<(&str, &str)>) -> Result<BotoAnswer> {
        let mut question = json!({
            "account": call.account,
            "region": call.region,
            "service": call.service,
            "operation": call.operation,
            "parameters": call.parameters,
        });
        if let Some((endpoint, key)) = elsewhere {
            question["endpoint"] = json!(endpoint);
            question["key"] = json!(key);
        }
        let mut dialogue = self.dialogue.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(dialogue.questions, "{question}").context("telling boto3 what to do")?;
        let heard = dialogue.hear()?;
        drop(dialogue);
        let mut answer: Value = serde_json::from_str(&heard).context("boto3's answer")?;
        if let Some(answer) = answer.get_mut("answer") {
            return Ok(Ok(answer.take()));
        }
        let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
        Ok(Err(BotoError { code: text("code"), message: text("message") }))
    }
}

impl Dialogue {
    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).context("moto")?;
        if line.ends_with('\n') {
            return Ok(line.trim_end().to_owned());
        }
        Err(Error::new("moto's process has ended; what it said is above, on standard error"))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
