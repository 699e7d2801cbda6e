//! The Python that handlers and the boto3 suite run with: a virtual environment with the pinned packages.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// boto3 and what it needs.
const PINS: &str = include_str!("../requirements.txt");

/// The interpreter of a virtual environment with boto3 in `build/venv` of the repository. It is made anew when the pins
/// change, which takes Python 3 with venv, and `PyPI`; otherwise this returns at once.
///
/// # Errors
/// Says which step failed, and what its command said.
pub fn python_environment() -> Result<PathBuf, String> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build");
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&build).map_err(|error| at(&build, error))?;
    let build = build.canonicalize().map_err(|error| at(&build, error))?;
    let (venv, lock) = (build.join("venv"), build.join("venv.lock"));
    let (stamp, python) = (venv.join("fakeaws-requirements.txt"), venv.join("bin/python"));
    // Several tests, and several test binaries, may ask at once. The lock ends with the file handle.
    let handle = File::create(&lock).map_err(|error| at(&lock, error))?;
    handle.lock().map_err(|error| at(&lock, error))?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == PINS) {
        return Ok(python);
    }
    eprintln!("installing boto3 into {} (once)", venv.display());
    let clear = ["-m", "venv", "--clear"];
    run(Command::new("python3").args(clear).arg(&venv), "making a virtual environment (needs Python 3 with venv)")?;
    let pins = venv.join("requirements.txt");
    fs::write(&pins, PINS).map_err(|error| at(&pins, error))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    run(Command::new(&python).args(install).arg(&pins), "installing the pinned packages from PyPI")?;
    fs::write(&stamp, PINS).map_err(|error| at(&stamp, error))?;
    Ok(python)
}

fn run(command: &mut Command, purpose: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{purpose}: cannot start {command:?}: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("{purpose} failed: {command:?}\n{out}\n{err}")) }
}
