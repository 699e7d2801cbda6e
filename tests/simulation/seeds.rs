//! Seeds, and the shortening of a history that fails.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{Options, checks::Failed, history::History, world};

pub(crate) fn run(options: &Options) -> Result<(), String> {
    if let Some(seed) = options.seed {
        return run_one(seed).map(|said| println!("{said}"));
    }
    let (next, events, versions, restored) =
        (AtomicU64::new(0), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let found: Mutex<BTreeMap<&'static str, (u64, usize)>> = Mutex::default();
    let work = || {
        while options.keep_going || found.lock().unwrap().is_empty() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= options.seeds {
                return;
            }
            match world::run(&History::of_seed(seed)) {
                Ok(figures) => {
                    events.fetch_add(figures.events, Ordering::Relaxed);
                    versions.fetch_add(figures.versions, Ordering::Relaxed);
                    restored.fetch_add(figures.restored, Ordering::Relaxed);
                }
                Err(failed) => found.lock().unwrap().entry(failed.invariant).or_insert((seed, 0)).1 += 1,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let found = found.lock().unwrap();
    if !found.is_empty() {
        let told = found.values().map(|(seed, count)| (run_one(*seed).unwrap_or_else(|report| report), count));
        return Err(told
            .map(|(report, count)| format!("{report}\n{count} seeds fail so"))
            .collect::<Vec<_>>()
            .join("\n\n"));
    }
    let read = |counted: &AtomicUsize| counted.load(Ordering::Relaxed);
    println!(
        "{} seeds: {} events, {} versions of ours, {} versions of others looked at",
        options.seeds,
        read(&events),
        read(&versions),
        read(&restored)
    );
    Ok(())
}

/// Runs a seed; where it fails, shows it shortened.
fn run_one(seed: u64) -> Result<String, String> {
    match report(History::of_seed(seed)) {
        None => Ok(format!("SEED={seed} breaks nothing")),
        Some(report) => Err(format!("SEED={seed} {report}")),
    }
}

/// What is wrong with a history, if anything is: the invariant, and the shortest history that breaks it.
pub(crate) fn report(history: History) -> Option<String> {
    let failed = world::run(&history).err()?;
    let short = shortened(history, &failed);
    let (result, log) = world::run_aloud(&short);
    let failed = result.err().unwrap_or(failed);
    let steps: Vec<String> = short.steps.iter().map(ToString::to_string).collect();
    Some(format!(
        "breaks \"{}\": {}\nobjects: {}, they remember: {}, crash after effect: {:?}, swapped: {:?}\nsteps:\n{}\nwhat happens:\n{}",
        failed.invariant,
        failed.detail,
        short.objects,
        short.objects_remember,
        short.crash_after,
        short.swapped,
        steps.join("\n"),
        log.join("\n"),
    ))
}

/// Leaves out steps, in ever smaller pieces, while the same invariant breaks.
fn shortened(mut history: History, failed: &Failed) -> History {
    let mut size = history.steps.len() / 2;
    while size > 0 {
        let mut from = 0;
        let before = history.steps.len();
        while from < history.steps.len() {
            let mut fewer = history.clone();
            fewer.steps.drain(from..(from + size).min(fewer.steps.len()));
            let still = world::run(&fewer).err().is_some_and(|found| found.invariant == failed.invariant);
            if still { history = fewer } else { from += size }
        }
        if size > 1 || history.steps.len() == before {
            size /= 2;
        }
    }
    history
}
