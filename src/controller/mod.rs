//! The controller: watches, the reconcile and its stages, and what they share.
//!
//! ```text
//! dereference (caches) → validate → gate → observe → plan → restrain → record → apply → report
//!      kube               pure      pure     AWS      pure     pure      kube     AWS     kube
//! ```

pub mod accounts;
pub mod apply;
pub mod bulk_reads;
pub mod caches;
mod confirming;
pub mod context;
pub mod converge;
pub mod current;
pub mod entered;
pub mod events;
mod evidence;
pub mod gate_input;
pub mod memory;
pub mod observe;
pub mod others;
pub mod outcome;
mod own_writes_under_way;
pub mod pass;
mod pipeline_host;
pub mod pipeline_refusals;
pub mod pipeline_writer;
pub mod reconcile;
pub mod record;
pub mod regular;
pub mod remove;
pub mod report;
pub mod role_changes;
mod role_host;
pub mod role_writer;
pub mod runner;
pub mod sessions;
mod spreading;
mod standing;
pub mod startup;
pub mod status_inventory;
pub mod unknown;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use kube::Client;
use tokio::sync::watch;

use self::{
    accounts::AccountLooks,
    bulk_reads::CachedClaims,
    caches::{
        Caches,
        feeds::{self, Feeds},
    },
    context::{Context, Settings},
    memory::Memory,
    own_writes_under_way::OwnWritesUnderWay,
    pipeline_host::PipelineHost,
    reconcile::ObjectLooks,
    role_host::RoleHost,
};
use crate::{
    aws::Aws,
    engine::queue::Limits,
    http::Readiness,
    shell::{
        pipelines::Pipelines,
        roles::{self, Roles},
    },
    telemetry::metrics::Metrics,
};

/// How long running reconciles may go on after SIGTERM. What they leave half done is found again by the next process.
pub const GRACE: Duration = Duration::from_secs(3);

/// How long the process may take to end: reconciles have their grace, and a write that was sent the time that its answer may
/// take. The chart's grace period is longer.
#[must_use]
pub fn ends_within(attempt_timeout: Duration) -> Duration {
    GRACE + attempt_timeout + Duration::from_secs(1)
}

/// How long claims on shared policies are collected: unlike a version of a pipeline, a write of them harms nobody.
const COLLECT_OF_ROLES: Duration = Duration::from_secs(1);

/// How long that lasts at most.
const COLLECT_OF_ROLES_MAX: Duration = Duration::from_secs(10);

/// Looks at work at a time in one account. More of them would share its budget of calls (for IAM twenty a second by default), so that
/// all reach --aws-timeout and start again.
const IN_AN_ACCOUNT: usize = 128;

/// Looks under way at a time in one tools account, at work or waiting for what is written for several objects at once. Each holds
/// about 100 kB.
const UNDER_WAY: usize = 256;

/// Finalizers that are put back at a time.
const PUT_BACK_AT_A_TIME: usize = 8;

/// Runs until `stop` says so: opens the watches, reports readiness once they are synced, and reconciles. Reconciles that
/// are under way when it ends go on to their end.
pub async fn run(
    client: Client,
    aws: Aws,
    settings: Settings,
    watched: &[String],
    metrics: Arc<Metrics>,
    readiness: Readiness,
    stop: watch::Receiver<bool>,
) {
    let memory = Arc::new(Memory::default());
    let (installation, spreads) = (settings.installation.clone(), settings.spread_looks);
    let (caches, feeds) = Caches::open(&client, &installation, watched, spreads, &memory, &metrics, &readiness);
    let waking = Arc::downgrade(&caches);
    aws.readers().on_change(move |object| {
        if let Some(caches) = waking.upgrade() {
            caches.look_at(object);
        }
    });
    let spacing = settings.bulk_reads_every;
    let host = PipelineHost::new(caches.clone(), memory.clone(), settings.installation.clone(), metrics.clone());
    let pipelines = Pipelines::new(Arc::new(host), settings.pipelines, stop.clone());
    let installation = settings.installation.clone();
    let host = RoleHost::new(caches.clone(), memory.clone(), installation, aws.clone(), metrics.clone());
    let of_roles = roles::Settings {
        installation: settings.installation.clone(),
        collect: settings.pipelines.collect.min(COLLECT_OF_ROLES),
        collect_max: settings.pipelines.collect_max.min(COLLECT_OF_ROLES_MAX),
        attempt: settings.aws_attempt_timeout,
    };
    let roles = Roles::new(Arc::new(host), of_roles, stop.clone());
    settings.workers.show(pipelines.clone(), roles.clone());
    let context = Arc::new(Context {
        client,
        aws,
        caches: caches.clone(),
        memory,
        pipelines,
        roles,
        own_writes: OwnWritesUnderWay::new(stop.clone()),
        settings,
        metrics,
        started: Context::now(),
    });
    context.aws.readers().set_claimants(
        Arc::new(CachedClaims { caches: caches.clone(), installation: context.settings.installation.clone() }),
        spacing,
    );
    let synced = async {
        caches.synced().await;
        tracing::info!("caches are synced");
        readiness.ready();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = controllers(feeds, &context, &stop) => {}
        () = synced => {}
        () = out_of_grace(stop.clone(), &context.own_writes) => {
            tracing::warn!("a reconcile was still running; what it left half done is found again at the next start");
        }
    }
    // An update of a pipeline that nobody hears the answer of could be made twice.
    context.pipelines.settle().await;
    context.roles.settle().await;
    if *stop.borrow() {
        tracing::info!("stopped");
    } else {
        tracing::error!("the watches ended");
    }
}

/// Resolves when reconciles have gone on for long enough after the process was asked to end, and what they sent is answered.
async fn out_of_grace(stop: watch::Receiver<bool>, own_writes: &OwnWritesUnderWay) {
    asked_to_stop(stop).await;
    tokio::time::sleep_until(tokio::time::Instant::now() + GRACE).await;
    own_writes.answered().await;
}

/// Resolves when the process is asked to end.
async fn asked_to_stop(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn controllers(feeds: Feeds, context: &Arc<Context>, stop: &watch::Receiver<bool>) {
    let limits = Limits {
        of_a_pair: usize::from(context.settings.concurrency),
        in_an_account: IN_AN_ACCOUNT,
        under_way: UNDER_WAY,
    };
    // Until every cache is filled it cannot be told what other objects need.
    let synced = || context.caches.synced();
    let objects = runner::run(feeds.objects, limits, Arc::new(ObjectLooks(context.clone())), synced(), stop.clone());
    let looks = Arc::new(AccountLooks(context.clone()));
    let accounts = runner::run(vec![feeds.accounts], limits, looks, synced(), stop.clone());
    let reconciling = async { futures::join!(objects, accounts) };
    tokio::select! {
        _ = reconciling => {}
        () = feeds::drain(feeds.namespaces) => {}
        () = feeds.left_behind.for_each(|left| events::left_behind(context, left)) => {}
        () = feeds.unheld.for_each_concurrent(PUT_BACK_AT_A_TIME, |unheld| record::put_back(context, unheld)) => {}
    }
}
