//! What happens to a role: a list of steps with their times, made from a seed and nothing else.

use crate::history::{MINUTE, Millis, Random, SECOND, WriteFault};

/// An entry that no object asks for, by what stands behind it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stray {
    /// No role.
    Dead,
    /// Somebody else's role.
    Foreign,
    /// A role of an object that this process does not know.
    Unwatched,
    /// A role that cannot be read.
    Unreadable,
}

/// What a person does to the policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Edit {
    /// Deletes the assume policy.
    Wipe,
    /// Deletes the callback policy.
    WipeCallback,
    /// Takes the entry of an object out.
    TakeOut(usize),
    /// Adds an entry.
    Add(Stray),
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Make(usize),
    Delete(usize),
    Grant(usize, bool),
    Person(Edit),
    /// Reads show what was there so many milliseconds ago; the bits tell which of the next ones.
    Lag {
        by: Millis,
        pattern: u64,
    },
    Latency(Millis),
    NextWrite(WriteFault),
    NextCallFails,
    /// Another policy takes so many entries' room.
    Crowd(usize),
    /// For so long it is not known what every object needs.
    Unknown(Millis),
    Look(usize),
    Crash,
    Restart,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Timed {
    pub(crate) at: Millis,
    pub(crate) step: Step,
}

/// A world: how it is, and what happens in it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) objects: usize,
    pub(crate) steps: Vec<Timed>,
    pub(crate) crash_after: Option<usize>,
    /// At these events, counted from the begin, the one after it comes first.
    pub(crate) swapped: Vec<usize>,
}

impl History {
    pub(crate) fn new(objects: usize, steps: &[(Millis, Step)]) -> Self {
        let steps = steps.iter().map(|&(at, step)| Timed { at, step }).collect();
        Self { objects, steps, crash_after: None, swapped: Vec::new() }
    }

    /// The world of a seed. Each has some kinds of trouble only, or the rare ones would hide behind the common.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0052_4F4C_4553);
        let objects = 1 + random.index(5);
        let troubles: Vec<bool> = (0..6).map(|_| random.one_in(2)).collect();
        let count = 10 + random.below(50);
        let pace = [SECOND / 2, 5 * SECOND, 40 * SECOND][random.index(3)];
        let mut at = 0;
        let mut steps: Vec<Timed> =
            (0..objects).map(|object| Timed { at: random.below(3 * SECOND), step: Step::Make(object) }).collect();
        for _ in 0..count {
            at += random.below(2 * pace);
            if let Some(step) = step(&mut random, objects, &troubles) {
                steps.push(Timed { at, step });
            }
        }
        steps.sort_by_key(|timed| timed.at);
        Self { objects, steps, crash_after: None, swapped: Vec::new() }
    }
}

fn step(random: &mut Random, objects: usize, troubles: &[bool]) -> Option<Step> {
    let object = random.index(objects);
    let kind = random.index(14);
    Some(match kind {
        0..6 if !troubles[kind] => return None,
        0 => Step::Person(match random.below(8) {
            0 => Edit::Wipe,
            1 => Edit::WipeCallback,
            2 | 3 => Edit::TakeOut(object),
            4 => Edit::Add(Stray::Dead),
            5 => Edit::Add(Stray::Foreign),
            6 => Edit::Add(Stray::Unwatched),
            _ => Edit::Add(Stray::Unreadable),
        }),
        1 => Step::Lag { by: random.below(2 * MINUTE), pattern: random.next() & random.next() & 0xFFFF },
        2 => Step::NextWrite(match random.below(4) {
            0 => WriteFault::LostBefore,
            1 => WriteFault::LostAfter,
            2 => WriteFault::Late(u16::try_from(random.below(299)).expect("below")),
            _ => WriteFault::Throttled,
        }),
        3 if random.one_in(2) => Step::Crash,
        3 => Step::Restart,
        4 => Step::Crowd(random.index(5)),
        5 if random.one_in(2) => Step::Unknown(random.below(3 * MINUTE)),
        5 => Step::NextCallFails,
        6 => Step::Latency([20, 200, 2 * SECOND, 8 * SECOND][random.index(4)]),
        7 | 8 => Step::Delete(object),
        9 => Step::Grant(object, !random.one_in(2)),
        10 => Step::Look(object),
        _ => Step::Make(object),
    })
}
