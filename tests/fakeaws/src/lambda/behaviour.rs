//! What functions do.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What a function does when `CodePipeline` invokes it. A function without a behaviour succeeds without output
/// variables: pipelines whose functions do not matter shall pass.
///
/// The scripted ones call `PutJobSuccessResult` and `PutJobFailureResult` with a session of the function's execution
/// role, as a handler does with boto3; a refused call is an error that they raise.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Behaviour {
    /// Reports success.
    Succeed {
        /// The action's output variables.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        output_variables: BTreeMap<String, String>,
    },
    /// Reports a failure.
    Fail {
        /// The message that stops the run.
        message: String,
        /// `FailureDetails.type`.
        #[serde(default = "job_failed")]
        failure_type: String,
    },
    /// Ends without a report.
    NeverAnswer {},
    /// Reports success twice.
    AnswerTwice {},
    /// Raises an error before it reports anything.
    Raise {
        /// Its text.
        message: String,
        /// How many deliveries of an event end so, before one succeeds; `None` is all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<usize>,
    },
    /// Answers with continuation tokens (`<token>-1`, `<token>-2`, …), and then reports success.
    Continue {
        /// What the tokens begin with.
        token: String,
        /// How many there are.
        times: usize,
    },
    /// Runs the function's handler (`module.function`) in a Python process with the execution role's credentials.
    Python {
        /// The file of the module, which must have the module's name. Other modules may lie beside it.
        file: PathBuf,
        /// The interpreter, whose packages (boto3, for one) the handler gets.
        #[serde(default = "python")]
        python: PathBuf,
        /// A file with the certificates that the process trusts; those of the machine when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trusts: Option<PathBuf>,
    },
}

fn job_failed() -> String {
    "JobFailed".to_owned()
}

fn python() -> PathBuf {
    PathBuf::from("python3")
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::Succeed { output_variables: BTreeMap::new() }
    }
}
