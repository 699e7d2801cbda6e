//! The simulation of a role: its machine against a model of IAM, which takes whole documents, has no versions, answers reads
//! late and may apply a write minutes after its answer was lost.

mod checks;
mod history;
mod model;
mod world;

use std::sync::{
    Mutex,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use libtest_mimic::{Failed, Trial};

use self::history::{Edit, History, Step, Stray};
use crate::{
    Options,
    history::{MINUTE, Millis, SECOND, WriteFault},
};

pub(crate) fn trials(options: &Options) -> Vec<Trial> {
    let options = options.clone();
    vec![
        Trial::test("roles: a crash after every effect", || {
            let histories = worlds().into_iter().flat_map(|world| {
                let effects = world::run(&world).map_or(0, |figures| figures.effects);
                (0..=effects).map(move |effect| History { crash_after: Some(effect), ..world.clone() })
            });
            check(histories).map(|count| println!("{count} worlds of a role with a crash"))
        }),
        Trial::test("roles: every order of two events", || {
            let histories = worlds().into_iter().flat_map(|world| {
                let events = world::run(&world).map_or(0, |figures| figures.events).min(16);
                let pairs = (0..events).flat_map(move |one| (one..events).map(move |other| vec![one, other]));
                pairs.map(move |swapped| History { swapped, ..world.clone() })
            });
            check(histories).map(|count| println!("{count} worlds of a role in another order"))
        }),
        Trial::test("roles: seeds", move || seeds(&options).map_err(Into::into)),
    ]
}

/// Two objects, and what happens to them.
fn worlds() -> Vec<History> {
    let faults = [
        None,
        Some(WriteFault::LostBefore),
        Some(WriteFault::LostAfter),
        Some(WriteFault::Late(200)),
        Some(WriteFault::Throttled),
        Some(WriteFault::Void),
    ];
    let stories: [&[(Millis, Step)]; 5] = [
        &[(MINUTE, Step::Delete(0)), (MINUTE, Step::Look(1))],
        &[
            (2 * SECOND, Step::Latency(2 * SECOND)),
            (8 * SECOND, Step::Person(Edit::Wipe)),
            (20 * SECOND, Step::Look(0)),
        ],
        &[
            (20 * SECOND, Step::Person(Edit::Add(Stray::Dead))),
            (21 * SECOND, Step::Person(Edit::Add(Stray::Unwatched))),
            (30 * SECOND, Step::Delete(1)),
            (31 * SECOND, Step::Make(2)),
        ],
        &[(0, Step::Crowd(1)), (3 * MINUTE, Step::Delete(0)), (6 * MINUTE, Step::Look(1))],
        &[
            (5 * SECOND, Step::Lag { by: 30 * SECOND, pattern: 0b1010_1101 }),
            (6 * SECOND, Step::Make(2)),
            (MINUTE, Step::Delete(0)),
        ],
    ];
    let mut worlds = Vec::new();
    for fault in faults {
        for story in stories {
            let mut steps = vec![(0, Step::Make(0)), (SECOND, Step::Make(1))];
            steps.extend(fault.map(|fault| (500, Step::NextWrite(fault))));
            steps.extend_from_slice(story);
            steps.sort_by_key(|(at, _)| *at);
            worlds.push(History::new(3, &steps));
        }
    }
    worlds
}

fn check(histories: impl Iterator<Item = History>) -> Result<usize, Failed> {
    let mut count = 0;
    for history in histories {
        count += 1;
        if world::run(&history).is_err() {
            return Err(report(history).unwrap_or_default().into());
        }
    }
    Ok(count)
}

fn seeds(options: &Options) -> Result<(), String> {
    if let Some(seed) = options.seed {
        return report(History::of_seed(seed)).map_or(Ok(()), |report| Err(format!("SEED={seed} {report}")));
    }
    // As many as fit beside those of pipelines into three minutes.
    let seeds = options.seeds * 2 / 5;
    let (next, writes, found) = (AtomicU64::new(0), AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while found.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match world::run(&History::of_seed(seed)) {
                Ok(figures) => _ = writes.fetch_add(figures.writes, Ordering::Relaxed),
                Err(_) => *found.lock().unwrap() = Some(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let found = *found.lock().unwrap();
    if let Some(seed) = found {
        return Err(format!("SEED={seed} {}", report(History::of_seed(seed)).unwrap_or_default()));
    }
    println!("{} seeds of a role: {} writes", seeds, writes.load(Ordering::Relaxed));
    Ok(())
}

/// What is wrong with a history, if anything is: the invariant, and the shortest history that breaks it.
fn report(history: History) -> Option<String> {
    let invariant = world::run(&history).err()?.invariant;
    let short = shortened(history, invariant);
    let (failed, log) = world::run_aloud(&short);
    let steps: Vec<String> = short.steps.iter().map(|timed| format!("{:>8} ms  {:?}", timed.at, timed.step)).collect();
    Some(format!(
        "breaks \"{invariant}\": {}\nobjects: {}, crash after effect: {:?}, swapped: {:?}\nsteps:\n{}\nwhat happens:\n{}",
        failed.map(|failed| failed.detail).unwrap_or_default(),
        short.objects,
        short.crash_after,
        short.swapped,
        steps.join("\n"),
        log.join("\n"),
    ))
}

/// Leaves out steps, one after the other, while the same invariant breaks.
fn shortened(mut history: History, invariant: &str) -> History {
    let mut size = history.steps.len() / 2;
    while size > 0 {
        let (mut from, before) = (0, history.steps.len());
        while from < history.steps.len() {
            let mut fewer = history.clone();
            fewer.steps.drain(from..(from + size).min(fewer.steps.len()));
            let still = world::run(&fewer).err().is_some_and(|found| found.invariant == invariant);
            if still { history = fewer } else { from += size }
        }
        if size > 1 || history.steps.len() == before {
            size /= 2;
        }
    }
    history
}
