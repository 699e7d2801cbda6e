//! Seeds of the simulation, replayed against the real API server and the double: what its models let happen has to be what
//! these do. A seed has a pipeline of its own and the faults of its own calls, and shares everything else with the others, the
//! controller included, which is killed and stopped now and then.
//!
//! Some steps are the simulation's alone: revoked grants, lagging reads and roles that cannot be assumed, which would reach
//! the neighbours as well; updates that never arrive and pipelines that are deleted, after which a lost answer takes
//! minutes. Times are not kept: a step follows when the one before it is done.

mod checks;
#[path = "../../simulation/history.rs"]
#[allow(dead_code, reason = "the simulation needs more of it")]
mod history;
mod replay;

use std::{ops::Range, time::Duration};

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::{Accounts, CHECKS_ROLE, PIPELINE_ROLE},
    wait::eventually,
};
use fakeaws::Seed;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use self::replay::{End, Replay};
use crate::{
    suite::{Case, case},
    support::entered,
};

/// How many seeds are replayed, unless `REPLAY` says which, such as `REPLAY=0..100`.
const SEEDS: u64 = 25;

/// The seeds that are replayed.
#[allow(clippy::disallowed_methods, reason = "the suite's command line has a filter and nothing else")]
fn seeds() -> Range<u64> {
    let asked = std::env::var("REPLAY").ok();
    let bounds = asked.as_deref().and_then(|asked| asked.split_once(".."));
    let range = bounds.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    assert!(asked.is_none() || range.is_some(), "REPLAY must be a range of seeds, such as 0..100, and is {asked:?}");
    range.unwrap_or(0..SEEDS)
}

/// How often the controller ends at most: every object is looked at anew after it.
const ENDS: usize = 6;

/// How long the machine may need to make all of a batch right.
const WITHIN: Duration = Duration::from_mins(4);

pub(crate) fn scenarios() -> Vec<Case> {
    vec![case("replayed_seeds_end_well", setup, all)]
}

fn setup() -> Setup {
    Setup::default().seed(add_pipelines).flags(["--idle-poll=1s", "--hold-after-failure=2s", "--collect=1s"])
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
    let (asked, mut ends) = unbounded_channel();
    let seeds: Vec<Replay> = seeds().map(|seed| Replay::new(scenario, seed, asked.clone())).collect();
    drop(asked);
    let mut seeds = replayed(scenario, seeds, &mut ends).await?;
    scenario.aws().clear_faults().context("the end of the trouble")?;
    for seed in &mut seeds {
        seed.end()?;
        seed.touch(scenario, "the end").await?;
    }
    quiet(scenario, &seeds).await?;
    let calls = scenario.aws().calls().context("the call log")?;
    for seed in &seeds {
        seed.nothing_was_cancelled(&calls)?;
    }
    scenario.invokes().delete_collection(&DeleteParams::default(), &ListParams::default()).await.context("deleting")?;
    eventually("the objects of these seeds are gone", WITHIN, async || {
        let left = scenario.invokes().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        if left.items.is_empty() { Ok(()) } else { Err(format!("{} are left", left.items.len())) }
    })
    .await?;
    seeds.iter().try_for_each(Replay::nothing_is_left)
}

/// Takes the steps of all seeds at once. Between them the controller ends where a seed says so.
async fn replayed(
    scenario: &mut Scenario<'_>,
    seeds: Vec<Replay>,
    ends: &mut UnboundedReceiver<End>,
) -> Result<Vec<Replay>> {
    let steps = futures::stream::iter(seeds).map(Replay::run).buffer_unordered(8).try_collect::<Vec<_>>();
    tokio::pin!(steps);
    let mut left = ENDS;
    loop {
        tokio::select! {
            done = &mut steps => return done,
            Some(end) = ends.recv(), if left > 0 => {
                left -= 1;
                match end {
                    End::Killed => scenario.kill_and_restart_controller().await?,
                    End::Stopped => scenario.restart_controller().await?,
                }
            }
        }
    }
}

/// Waits until every seed has what it declares, and sees that it stays so without another version.
async fn quiet(scenario: &Scenario<'_>, seeds: &[Replay]) -> Result<()> {
    for seed in seeds {
        let what = format!("seed {} is right", seed.seed);
        let right = eventually(&what, WITHIN, async || seed.is_right().await);
        if let Err(error) = right.await {
            let calls = scenario.aws().calls().context("the call log")?;
            return Err(Error::new(format!("{error}\n{}\n{}", seed.history(), seed.calls(&calls))));
        }
    }
    let mark = scenario.mark()?;
    for seed in seeds {
        seed.look_again(scenario).await?;
    }
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.of("UpdatePipeline"), 0, "no more versions when all is quiet: {calls}");
    Ok(())
}
