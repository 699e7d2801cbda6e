//! The binary: says where it serves, and ends when it is told to.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fakeaws::Admin;

use crate::support::DEV;

fn spawn() -> (Child, Admin) {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seed.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_fakeaws"))
        .args(["--seed", seed, "--exit-with-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut endpoint = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
    (child, Admin::connect(endpoint.trim()).unwrap())
}

#[test]
fn it_serves_its_seed_until_standard_input_closes() {
    let (mut child, admin) = spawn();
    assert!(admin.role(DEV, "execution").unwrap().is_some());
    drop(child.stdin.take());
    let deadline = Instant::now() + Duration::from_secs(5);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "still running");
        std::thread::yield_now();
    };
    assert!(status.success());
    assert!(admin.snapshot().is_err(), "nobody answers any more");
}

#[test]
fn a_bad_seed_is_refused_with_the_file_and_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let seed = folder.path().join("seed.json");
    std::fs::write(&seed, r#"{"accounts": {"222222222222": {"rolls": {}}}}"#).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fakeaws")).arg("--seed").arg(&seed).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("seed.json") && said.contains("rolls"), "{said}");
}
