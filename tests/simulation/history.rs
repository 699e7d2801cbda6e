//! What happens to a world: a list of steps with their times, made from a seed and nothing else. Whatever goes wrong is a step
//! as well, so that a history that fails can be shortened by leaving steps out.

use std::fmt;

/// Milliseconds since the world began.
pub(crate) type Millis = u64;

/// A second.
pub(crate) const SECOND: Millis = 1_000;
/// A minute.
pub(crate) const MINUTE: Millis = 60 * SECOND;

/// What one object declares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Wish {
    /// `Build`, `Deploy`, or a stage that is made after `Build`.
    pub(crate) stage: &'static str,
    /// Whether it is the name that several objects want, or one of its own.
    pub(crate) shared_name: bool,
    /// What the user parameters say.
    pub(crate) parameters: u16,
}

/// What a person does to the pipeline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Edit {
    /// Configures an action of theirs.
    Configure(u32),
    /// Adds an action.
    Add(u32),
    /// Takes the last added action out.
    TakeOut,
    /// Takes the action of an object out.
    TakeOursOut(usize),
    /// Lets the action of an object call another function.
    ChangeOurs(usize),
    /// Puts an action into the place that several objects want.
    Occupy,
}

/// What becomes of the next update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WriteFault {
    /// It does not arrive, and nobody is told.
    LostBefore,
    /// It is applied, and nobody is told.
    LostAfter,
    /// It is applied after this many seconds; the answer is lost long before.
    Late(u16),
    /// It is throttled.
    Throttled,
    /// It is not sent: its permit is void by then.
    Void,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Declare(usize, Wish),
    Delete(usize),
    Grant(usize, bool),
    Person(Edit),
    DeletePipeline,
    MakePipeline,
    Start,
    Finish,
    Fail {
        in_ours: bool,
    },
    Stop,
    Stopped,
    /// Reads show what was there so many milliseconds ago; the bits tell which of the next ones.
    Lag {
        by: Millis,
        pattern: u64,
    },
    /// How long each call takes in one direction from now on.
    Latency(Millis),
    NextWrite(WriteFault),
    NextCallFails,
    /// The pipeline cannot assume the role of this object for so long.
    RoleRefused(usize, Millis),
    /// AWS refuses declarations with the action of this object for so long, and does not say why.
    ActionRefused(usize, Millis),
    Crash,
    /// The process ends after its work and another one begins.
    Restart,
    Stall(Millis),
}

/// A step and when it happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Timed {
    pub(crate) at: Millis,
    pub(crate) step: Step,
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8}.{:03} s  {:?}", self.at / SECOND, self.at % SECOND, self.step)
    }
}

/// A generator whose numbers stay the same with every version of every library (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D15C_A7E5)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Under `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("shorter than that")
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// A world: how it is, and what happens in it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) objects: usize,
    /// Whether objects themselves remember what their process wrote, as the controller's do.
    pub(crate) objects_remember: bool,
    pub(crate) steps: Vec<Timed>,
    /// The process crashes after this many effects of machines.
    pub(crate) crash_after: Option<usize>,
    /// At these events, counted from the begin, the one after it comes first.
    pub(crate) swapped: Vec<usize>,
}

impl History {
    pub(crate) fn new(objects: usize, steps: Vec<Timed>) -> Self {
        Self { objects, objects_remember: false, steps, crash_after: None, swapped: Vec::new() }
    }

    /// The world of a seed. Each has some kinds of trouble only, or the rare ones would hide behind the common.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let objects = 1 + random.index(4);
        let troubles: Vec<bool> = (0..8).map(|_| random.one_in(2)).collect();
        let count = 30 + random.below(120);
        let pace = [2 * SECOND, 10 * SECOND, 40 * SECOND][random.index(3)];
        let mut at = 0;
        let mut steps: Vec<Timed> = (0..objects)
            .map(|object| Timed { at: random.below(5 * SECOND), step: Step::Declare(object, wish(&mut random)) })
            .collect();
        for _ in 0..count {
            at += random.below(2 * pace);
            let Some(step) = step(&mut random, objects, &troubles) else { continue };
            steps.push(Timed { at, step });
            if step == Step::DeletePipeline {
                steps.push(Timed { at: at + random.below(3 * MINUTE), step: Step::MakePipeline });
            }
        }
        steps.sort_by_key(|timed| timed.at);
        Self { objects_remember: random.one_in(2), ..Self::new(objects, steps) }
    }
}

fn wish(random: &mut Random) -> Wish {
    let stage = ["Build", "Deploy", "Made", "Made"][random.index(4)];
    let parameters = u16::try_from(random.below(1000)).expect("below");
    Wish { stage, shared_name: random.one_in(4), parameters }
}

fn step(random: &mut Random, objects: usize, troubles: &[bool]) -> Option<Step> {
    let object = random.index(objects);
    let trouble = random.index(16);
    Some(match trouble {
        0..8 if !troubles[trouble] => return None,
        0 => Step::Person(match random.below(8) {
            0..3 => Edit::Configure(u32::try_from(random.below(10_000)).expect("below")),
            3 => Edit::Add(u32::try_from(random.below(10_000)).expect("below")),
            4 => Edit::TakeOut,
            5 => Edit::TakeOursOut(object),
            6 => Edit::ChangeOurs(object),
            _ => Edit::Occupy,
        }),
        1 => match random.below(6) {
            0 => Step::Start,
            1 => Step::Fail { in_ours: random.one_in(3) },
            2 => Step::Stop,
            3 => Step::Stopped,
            _ => Step::Finish,
        },
        2 => Step::Lag { by: random.below(2 * MINUTE), pattern: random.next() & random.next() & 0xFFFF },
        3 => Step::NextWrite(match random.below(4) {
            0 => WriteFault::LostBefore,
            1 => WriteFault::LostAfter,
            2 => WriteFault::Late(u16::try_from(random.below(299)).expect("below")),
            _ => WriteFault::Throttled,
        }),
        4 if random.one_in(2) => Step::RoleRefused(object, random.below(3 * MINUTE)),
        4 => Step::ActionRefused(object, random.below(3 * MINUTE)),
        5 => match random.below(3) {
            0 => Step::Crash,
            1 => Step::Restart,
            _ => Step::Stall(random.below(2 * MINUTE)),
        },
        6 if random.one_in(4) => Step::DeletePipeline,
        6 => return None,
        7 => Step::NextCallFails,
        8 => Step::Latency([20, 200, 2 * SECOND, 8 * SECOND][random.index(4)]),
        9 => Step::Start,
        10 => Step::Finish,
        11 => Step::Delete(object),
        12 => Step::Grant(object, !random.one_in(2)),
        _ => Step::Declare(object, wish(random)),
    })
}
