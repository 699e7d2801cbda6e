//! An update of which no answer came, and which is looked for until nothing can come of it any more.

use std::time::Duration;

use crossinvoke::{
    domain::{occupancy::Occupancy, spacing::Window},
    engine::pipeline::{Effect, Failure, Input, Machine, Settings},
};
use libtest_mimic::{Failed, Trial};

use super::{
    aws::{Aws, time},
    history::Wish,
    objects::{Object, Objects},
    world::pipeline,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("a correction keeps its distance from one that was given up", distance)]
}

const WINDOW: Duration = Duration::from_mins(10);

/// For how long AWS may still take an update that nothing is heard of.
const LOOKED_FOR: Duration = Duration::from_mins(7);

fn machine() -> Machine<String> {
    Machine::new(Settings {
        pipeline: pipeline(),
        collect: Duration::ZERO,
        collect_max: Duration::ZERO,
        idle_poll: Duration::from_secs(30),
        hold_after_failure: Duration::ZERO,
        corrections: Window { first: WINDOW, most: WINDOW },
    })
}

/// The pipeline stays without our action, since AWS never took what was sent.
fn distance() -> Result<(), Failed> {
    let (mut machine, mut objects) = (machine(), Objects::default());
    let mut object = Object::new(0, 0, 0, Wish { stage: "Deploy", shared_name: false, parameters: 1 });
    object.record(false);
    object.looked = object.generation;
    objects.0.insert(0, object);
    let read = Aws::new().newest().expect("it was just made").read();
    let object = &objects.0[&0];
    let mut claim = object.claim(object.goal(&objects.others(object)), &read, false);
    claim.corrects = true;

    let (mut now, mut sent) = (time(1_000), Vec::new());
    let mut effects = machine.step(Input::Claim(Box::new(claim)), now, &objects);
    effects.extend(machine.step(Input::Woken, now, &objects));
    for _ in 0..200 {
        let input = effects.drain(..).rev().find_map(|effect| match effect {
            Effect::Read => Some((now, Input::Read(Ok(Some(read.clone()))))),
            Effect::Check => Some((now, Input::Checked(Ok(Occupancy::default())))),
            Effect::Write(_) => {
                sent.push(now);
                Some((now, Input::Wrote(Err(Failure::Unknown("no answer".to_owned())))))
            }
            Effect::WakeAt(at) => Some((at, Input::Woken)),
            _ => None,
        });
        let (at, input) = input.ok_or("nothing is awaited any more")?;
        now = at;
        if let [first, second] = sent[..] {
            let apart = Duration::try_from(second.duration_since(first))?;
            let due = LOOKED_FOR + WINDOW;
            let is_due = due <= apart && apart <= due + Duration::from_mins(1);
            return if is_due { Ok(()) } else { Err(format!("{apart:?} apart instead of {due:?}").into()) };
        }
        effects = machine.step(input, now, &objects);
    }
    Err(format!("sent {sent:?} until {now}").into())
}
