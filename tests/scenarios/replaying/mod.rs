//! Seeds of the simulation, replayed against the real API server and the double: what its models let happen has to be what
//! these do. A seed has a pipeline of its own and the faults of its own calls, and shares everything else with the others, the
//! controller included, which is killed and stopped now and then. Many are replayed at a time, and one begins when another
//! one is over, so that one works while others wait.
//!
//! Some steps are the simulation's alone: revoked grants, lagging reads and roles that cannot be assumed, which would reach
//! the neighbours as well; updates that never arrive and pipelines that are deleted, after which a lost answer takes
//! minutes. Times are not kept: a step follows when the one before it is done.

mod checks;
#[path = "../../simulation/history.rs"]
#[allow(dead_code, reason = "the simulation needs more of it")]
mod history;
mod replay;
mod seen;

use std::{ops::Range, time::Instant};

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::{Accounts, CHECKS_ROLE, PIPELINE_ROLE},
};
use fakeaws::Seed;
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::{
    replay::{End, Replay},
    seen::Seen,
};
use crate::{
    suite::{Case, case},
    support::entered,
};

/// How many seeds are replayed, unless `REPLAY` says which, such as `REPLAY=0..100`.
const SEEDS: u64 = 100;

/// How many of them at a time.
const AT_A_TIME: usize = 40;

/// How often the controller ends at most: after each end every object is looked at again, which takes its time.
const ENDS: usize = 6;

/// The seeds that are replayed.
#[allow(clippy::disallowed_methods, reason = "the suite's command line has a filter and nothing else")]
fn seeds() -> Range<u64> {
    let asked = std::env::var("REPLAY").ok();
    let bounds = asked.as_deref().and_then(|asked| asked.split_once(".."));
    let range = bounds.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    assert!(asked.is_none() || range.is_some(), "REPLAY must be a range of seeds, such as 0..100, and is {asked:?}");
    range.unwrap_or(0..SEEDS)
}

pub(crate) fn scenarios() -> Vec<Case> {
    vec![case("replayed_seeds_end_well", setup, all)]
}

fn setup() -> Setup {
    let times = ["--idle-poll=1s", "--hold-after-failure=2s", "--collect=1s"];
    Setup::default().seed(add_pipelines).flags(times)
}

fn pipeline(seed: u64) -> String {
    format!("payments-{seed:03}")
}

/// A pipeline for each seed, with a service role of its own, since a role's policies hold the entries of some dozen objects.
fn add_pipelines(accounts: &Accounts, seed: &mut Seed) {
    let tools = seed.accounts.get_mut(&accounts.tools).unwrap();
    let (service, declaration) = (tools.roles[PIPELINE_ROLE].clone(), accounts.pipeline());
    let mut roles = vec![accounts.pipeline_role_arn()];
    for number in seeds() {
        let role = format!("AWSCodePipelineServiceRole-{}", pipeline(number));
        let arn = accounts.iam_arn(&accounts.tools, &format!("role/service-role/{role}"));
        let mut own = declaration.clone();
        (own["name"], own["roleArn"]) = (json!(pipeline(number)), json!(arn));
        tools.pipelines[&accounts.region][pipeline(number)] = own;
        tools.roles.insert(role, service.clone());
        roles.push(arn);
    }
    let checks = tools.roles.get_mut(CHECKS_ROLE).unwrap();
    checks.trust["Statement"][0]["Principal"]["AWS"] = json!(roles);
}

async fn all(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let begun = Instant::now();
    let (asked, mut ends) = unbounded_channel();
    let seen = Seen::of(scenario.invokes());
    let seeds: Vec<Replay> = seeds().map(|seed| Replay::new(scenario, seed, asked.clone(), &seen)).collect();
    drop(asked);
    let seeds = replayed(scenario, seeds, &mut ends).await?;
    let calls = scenario.aws().calls().context("the call log")?;
    for seed in &seeds {
        seed.nothing_was_cancelled(&calls)?;
        seed.it_stayed_quiet(&calls)?;
    }
    let versions = calls.iter().filter(|call| call.operation == "UpdatePipeline" && call.outcome == "OK").count();
    println!(
        "{} seeds replayed in {} s: {versions} versions, {} calls",
        seeds.len(),
        begun.elapsed().as_secs(),
        calls.len()
    );
    Ok(())
}

/// Replays the seeds. Meanwhile the controller ends where a seed says so, now and then until the last one has begun.
async fn replayed(
    scenario: &mut Scenario<'_>,
    seeds: Vec<Replay>,
    ends: &mut UnboundedReceiver<End>,
) -> Result<Vec<Replay>> {
    let count = seeds.len();
    let (mut over, mut ended) = (Vec::new(), 0);
    let mut running = futures::stream::iter(seeds).map(Replay::run).buffer_unordered(AT_A_TIME);
    loop {
        let begun = count.min(over.len() + AT_A_TIME);
        let may_end = ended < ENDS && ended * count < begun * ENDS;
        tokio::select! {
            next = running.next() => match next {
                Some(seed) => over.push(seed?),
                None => return Ok(over),
            },
            Some(end) = ends.recv(), if may_end => {
                ended += 1;
                match end {
                    End::Killed => scenario.kill_and_restart_controller().await?,
                    End::Stopped => scenario.restart_controller().await?,
                }
            }
        }
    }
}
