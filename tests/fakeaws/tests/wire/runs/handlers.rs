//! Functions whose handler is a Python file.

use std::path::{Path, PathBuf};

use fakeaws::Behaviour;
use serde_json::{Value, json};

use super::support::{EXECUTION_ROLE, FUNCTION, Runs};

/// A file of the repository.
pub(super) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path).canonicalize().unwrap()
}

/// A handler of these tests.
pub(super) fn handler(name: &str) -> PathBuf {
    repository(&format!("tests/fakeaws/tests/handlers/{name}.py"))
}

impl Runs {
    /// Gives the function a handler (`module.function`) in a file, and further members of its configuration.
    pub(super) fn handle(&self, file: PathBuf, handler: &str, members: Value) {
        self.handle_that_trusts(None, file, handler, members);
    }

    /// The same, with the certificates that its process trusts.
    pub(super) fn handle_that_trusts(&self, trusts: Option<&Path>, file: PathBuf, handler: &str, members: Value) {
        let python = fakeaws::python_environment().unwrap();
        self.run_python(Behaviour::Python { file, python, trusts: trusts.map(Path::to_owned) }, handler, members);
    }

    /// The same with another interpreter.
    pub(super) fn handle_with(&self, python: PathBuf, file: PathBuf, handler: &str, members: Value) {
        self.run_python(Behaviour::Python { file, python, trusts: None }, handler, members);
    }

    fn run_python(&self, behaviour: Behaviour, handler: &str, members: Value) {
        // A busy machine takes its time; tests of timeouts say so.
        let mut function = json!({"role": EXECUTION_ROLE, "handler": handler, "timeout": 60});
        for (member, value) in members.as_object().unwrap() {
            function[member] = value.clone();
        }
        function["behaviour"] = json!(behaviour);
        let (account, region, name) = FUNCTION;
        self.aws.admin().put_function(account, region, name, function).unwrap();
    }

    /// What the latest delivery to the function wrote.
    pub(super) fn log(&self) -> String {
        let last = self.invocations().last().unwrap().clone();
        last["deliveries"].as_array().unwrap().last().unwrap()["log"].as_str().unwrap().to_owned()
    }
}
