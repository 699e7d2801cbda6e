//! The double as boto3 sees it: starts the Python suite beside this file, in a virtual environment of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a command; the error holds what it said.
fn run(command: &mut Command, purpose: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{purpose}: cannot start {command:?}: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("{purpose} failed: {command:?}\n{out}\n{err}")) }
}

/// The virtual environment with the pinned packages; made anew when the pins change.
fn python(package: &Path) -> Result<PathBuf, String> {
    let requirements = package.join("requirements.txt");
    let pins = fs::read_to_string(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let venv = package.join("../../build/venv");
    let stamp = venv.join("fakeaws-requirements.txt");
    let python = venv.join("bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == pins) {
        return Ok(python);
    }
    eprintln!("installing boto3 into {} (once)", venv.display());
    let clear = ["-m", "venv", "--clear"];
    run(Command::new("python3").args(clear).arg(&venv), "making a virtual environment (needs Python 3 with venv)")?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    run(Command::new(&python).args(install).arg(&requirements), "installing the pinned packages from PyPI")?;
    fs::write(&stamp, pins).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

#[test]
fn boto3_sees_what_the_rust_sdk_sees() -> Result<(), String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut suite = Command::new(python(package)?);
    suite.args(["-W", "error::ResourceWarning", "-m", "unittest", "discover", "--start-directory"]);
    suite.arg(package.join("tests/boto3"));
    suite.env("FAKEAWS", env!("CARGO_BIN_EXE_fakeaws")).env("FAKEAWS_SEED", package.join("tests/seed.json"));
    // Nothing of the developer's own AWS set-up may leak in.
    for variable in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"] {
        suite.env_remove(variable);
    }
    suite.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    suite.env("AWS_EC2_METADATA_DISABLED", "true").env("PYTHONDONTWRITEBYTECODE", "1");
    run(&mut suite, "the boto3 suite")
}
