//! Small worlds, all of them: a crash after every effect, and every order of two events that are close in time.

use libtest_mimic::{Failed, Trial};

use super::{
    history::{Edit, History, MINUTE, Millis, SECOND, Step, Timed, Wish, WriteFault},
    seeds::report,
    world,
};

const FAULTS: [Option<WriteFault>; 5] = [
    None,
    Some(WriteFault::LostBefore),
    Some(WriteFault::LostAfter),
    Some(WriteFault::Late(200)),
    Some(WriteFault::Throttled),
];

fn wish(stage: &'static str, shared_name: bool, parameters: u16) -> Wish {
    Wish { stage, shared_name, parameters }
}

/// Two objects, and what happens to them.
fn worlds() -> Vec<History> {
    let of = |steps: &[(Millis, Step)]| History::new(2, steps.iter().map(|&(at, step)| Timed { at, step }).collect());
    let (first, second) = (wish("Build", false, 1), wish("Made", false, 2));
    let both = [(0, Step::Declare(0, first)), (SECOND, Step::Declare(1, second))];
    let mut worlds = Vec::new();
    for fault in FAULTS {
        let fault = fault.map(|fault| (500, Step::NextWrite(fault)));
        let with = |more: &[(Millis, Step)]| {
            let mut steps = both.to_vec();
            steps.extend(fault);
            steps.extend_from_slice(more);
            steps.sort_by_key(|(at, _)| *at);
            of(&steps)
        };
        worlds.push(with(&[(MINUTE, Step::Declare(0, wish("Deploy", false, 3))), (2 * MINUTE, Step::Delete(1))]));
        worlds.push(with(&[
            (2 * SECOND, Step::Latency(2 * SECOND)),
            (8 * SECOND, Step::Person(Edit::Configure(7))),
            (12 * SECOND, Step::Start),
            (MINUTE, Step::Finish),
        ]));
        worlds.push(with(&[
            (2 * SECOND, Step::Start),
            (20 * SECOND, Step::Fail { in_ours: false }),
            (MINUTE, Step::Grant(0, false)),
            (3 * MINUTE, Step::Person(Edit::TakeOursOut(1))),
        ]));
    }
    let contested = wish("Build", true, 1);
    worlds.push(of(&[
        (0, Step::Declare(0, contested)),
        (SECOND, Step::Declare(1, contested)),
        (MINUTE, Step::Delete(0)),
    ]));
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

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("a crash after every effect", || {
            let histories = worlds().into_iter().flat_map(|world| {
                let effects = world::run(&world).map_or(0, |figures| figures.effects);
                (0..=effects).map(move |effect| History { crash_after: Some(effect), ..world.clone() })
            });
            check(histories).map(|count| println!("{count} worlds with a crash"))
        }),
        Trial::test("every order of two events", || {
            let histories = worlds().into_iter().flat_map(|world| {
                let events = world::run(&world).map_or(0, |figures| figures.events).min(36);
                let pairs = (0..events).flat_map(move |one| (one..events).map(move |other| vec![one, other]));
                pairs.map(move |swapped| History { swapped, ..world.clone() })
            });
            check(histories).map(|count| println!("{count} worlds in another order"))
        }),
    ]
}
