//! The demo when it does not go well: it says what it saw, and leaves no process. (`make demo` shows that it goes well.)
//!
//! Own `main`: the controller that never does anything is this executable once more.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a test with its own main, which clippy does not take for one"
)]
#![cfg(target_os = "linux")]

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{ExitCode, Stdio},
    time::Duration,
};

use crossinvoke_harness::{Error, Result, process, supervise_if_asked, wait::eventually};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::process::{Child, Command};

fn main() -> ExitCode {
    supervise_if_asked();
    if std::env::args().nth(1).as_deref() == Some("run") {
        return play_idle_controller();
    }
    let trials = vec![
        Trial::test("interrupted_while_it_starts_it_leaves_no_process", || {
            on_runtime(interrupted("kube-apiserver", Reader::Stays))
        }),
        Trial::test("interrupted_while_it_waits_it_leaves_no_process", || {
            on_runtime(interrupted("run", Reader::Stays))
        }),
        Trial::test("a_reader_that_goes_away_does_not_end_it", || on_runtime(interrupted("run", Reader::GoesAway))),
        Trial::test("a_controller_that_does_not_start_ends_it_with_what_it_said", || on_runtime(broken_controller())),
    ];
    let mut arguments = Arguments::from_args();
    // Each trial starts a control plane of its own; two cores start one at a time faster.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Is ready, and converges nothing.
fn play_idle_controller() -> ExitCode {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("INFO http_addr={}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 512]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").unwrap();
    }
    ExitCode::SUCCESS
}

fn on_runtime(trial: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(trial).map_err(|error| error.to_string().into())
}

/// Who reads what the demo says.
enum Reader {
    Stays,
    /// As in `make demo | head`.
    GoesAway,
}

fn demo(controller: &Path, reader: &Reader) -> Child {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    let output = match reader {
        Reader::Stays => Stdio::null(),
        Reader::GoesAway => Stdio::piped(),
    };
    demo.arg("--controller").arg(controller).stdout(output).stderr(Stdio::piped()).kill_on_drop(true);
    let mut demo = demo.spawn().unwrap();
    drop(demo.stdout.take());
    demo
}

/// Interrupts the demo when it has a descendant that runs this (a program's name, or its first argument).
async fn interrupted(descendant: &str, reader: Reader) -> Result<()> {
    let mut demo = demo(&std::env::current_exe().unwrap(), &reader);
    let id = demo.id().unwrap();
    let what = format!("the demo has started {descendant}");
    let waiting = eventually(&what, Duration::from_mins(1), || async {
        let commands: Vec<Vec<String>> = descendants(id).into_iter().map(command_line).collect();
        let runs = |command: &Vec<String>| {
            let program = command.first().is_some_and(|program| program.ends_with(&format!("/{descendant}")));
            program || command.get(1).is_some_and(|argument| argument == descendant)
        };
        if commands.iter().any(runs) { Ok(()) } else { Err(format!("{commands:?}")) }
    });
    waiting.await?;
    let left = descendants(id);
    assert!(left.len() >= 3, "supervisor, etcd, kube-apiserver: {left:?}");
    process::interrupt(id)?;
    let status = tokio::time::timeout(Duration::from_secs(10), demo.wait()).await.expect("the demo ends").unwrap();
    assert_eq!(status.code(), Some(130));
    eventually("nothing is left", Duration::from_secs(5), || async {
        let alive: Vec<(u32, Vec<String>)> =
            left.iter().filter(|id| process::is_alive(**id)).map(|id| (*id, command_line(*id))).collect();
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
    })
    .await
}

async fn broken_controller() -> Result<()> {
    let output = demo(Path::new("/no/such/controller"), &Reader::Stays).wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    if said.contains("cannot run /no/such/controller") {
        return Ok(());
    }
    Err(Error::new(format!("it does not say why: {said}")))
}

/// The processes below one, from proc(5).
fn descendants(ancestor: u32) -> BTreeSet<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (id, parent)));
    }
    let mut found = BTreeSet::from([ancestor]);
    while let Some((id, _)) = parents.iter().find(|(id, parent)| found.contains(parent) && !found.contains(id)) {
        found.insert(*id);
    }
    found.remove(&ancestor);
    found
}

fn command_line(id: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    text.split_terminator('\0').map(str::to_owned).collect()
}
