//! The simulation: the machine of one pipeline against a model of AWS, with virtual time. Every history comes from a seed, and
//! one that breaks an invariant is shortened before it is shown.

#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::expect_used,
    clippy::panic,
    clippy::or_fun_call,
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "these are tests, of which clippy sees only a main; every check answers alike, whatever it looks at"
)]

mod arriving;
mod aws;
mod checks;
mod enumerated;
mod folding;
mod giving_up;
mod history;
mod objects;
mod process;
mod roles;
mod seeds;
mod world;

use std::process::ExitCode;

use clap::Parser;
use libtest_mimic::{Arguments, Trial};

/// What to run, from the environment: the command line is the test harness's.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// Runs this seed alone, and shows all of it.
    #[arg(long, env = "SEED")]
    seed: Option<u64>,
    /// How many seeds are run.
    #[arg(long, env = "SEEDS", default_value_t = 5_000)]
    seeds: u64,
    /// Goes on after a seed that fails, and shows one for each invariant.
    #[arg(long, env = "KEEP_GOING")]
    keep_going: bool,
}

fn main() -> ExitCode {
    let options = Options::parse_from(["simulation"]);
    let mut trials = enumerated::trials();
    trials.extend(folding::trials());
    trials.extend(arriving::trials());
    trials.extend(giving_up::trials());
    trials.extend(roles::trials(&options));
    trials.push(Trial::test("seeds", move || seeds::run(&options).map_err(Into::into)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
