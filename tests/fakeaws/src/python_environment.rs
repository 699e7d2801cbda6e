//! Virtual environments with pinned packages, such as the one that handlers and the boto3 suite run with.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// boto3 and what it needs.
const PINS: &str = include_str!("../requirements.txt");

/// The interpreter of a virtual environment with boto3 in `build/venv` of the repository.
///
/// # Errors
/// As [`virtual_environment`].
pub fn python_environment() -> Result<PathBuf, String> {
    virtual_environment("venv", PINS)
}

/// The interpreter of a virtual environment with the packages of a requirements file's text, in a folder of this name in
/// `build` of the repository. It is made anew when the pins change, which takes Python 3 with venv, and `PyPI`; otherwise
/// this returns at once.
///
/// # Errors
/// Says which step failed, and what its command said.
pub fn virtual_environment(name: &str, pins: &str) -> Result<PathBuf, String> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build");
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&build).map_err(|error| at(&build, error))?;
    let build = build.canonicalize().map_err(|error| at(&build, error))?;
    let (venv, lock) = (build.join(name), build.join(format!("{name}.lock")));
    let (stamp, python) = (venv.join("installed.txt"), venv.join("bin/python"));
    // Several tests, and several test binaries, may ask at once. The lock ends with the file handle.
    let handle = File::create(&lock).map_err(|error| at(&lock, error))?;
    handle.lock().map_err(|error| at(&lock, error))?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == pins) {
        return Ok(python);
    }
    eprintln!("installing pinned Python packages into {} (once)", venv.display());
    let clear = ["-m", "venv", "--clear"];
    run(Command::new("python3").args(clear).arg(&venv), "making a virtual environment (needs Python 3 with venv)")?;
    let requirements = venv.join("requirements.txt");
    fs::write(&requirements, pins).map_err(|error| at(&requirements, error))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    run(Command::new(&python).args(install).arg(&requirements), "installing the pinned packages from PyPI")?;
    fs::write(&stamp, pins).map_err(|error| at(&stamp, error))?;
    Ok(python)
}

fn run(command: &mut Command, purpose: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{purpose}: cannot start {command:?}: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("{purpose} failed: {command:?}\n{out}\n{err}")) }
}
