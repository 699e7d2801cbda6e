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
pub mod sessions;
pub mod slots;
mod spreading;
mod standing;
pub mod startup;
pub mod status_inventory;
pub mod unknown;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Client, Resource,
    runtime::{
        Controller,
        controller::{self, Action, Config},
        reflector::ObjectRef,
        watcher,
    },
};
use tokio::sync::watch;

use self::{
    bulk_reads::CachedClaims,
    caches::{
        Caches,
        feeds::{self, Feeds},
    },
    context::{Context, Settings},
    memory::Memory,
    own_writes_under_way::OwnWritesUnderWay,
    pipeline_host::PipelineHost,
    role_host::RoleHost,
    slots::Slots,
};
use crate::{
    aws::Aws,
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
        slots: Slots::new(settings.concurrency),
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
    let objects = feeds.objects.into_iter().map(|feed| {
        Controller::for_stream(feed.stream, feed.store)
            .reconcile_on(feed.asked)
            .graceful_shutdown_on(asked_to_stop(stop.clone()))
            // The limits are `slots`, by accounts, and calls in flight: what waits holds none of them.
            .with_config(Config::default())
            .run(reconcile::reconcile, reconcile::on_error, context.clone())
            .for_each(said)
    });
    let accounts = Controller::for_stream(feeds.accounts.stream, feeds.accounts.store)
        .reconcile_on(feeds.accounts.asked)
        .graceful_shutdown_on(asked_to_stop(stop.clone()))
        .with_config(Config::default())
        .run(accounts::reconcile, accounts::on_error, context.clone())
        .for_each(said);
    let reconciling = async { futures::join!(futures::future::join_all(objects), accounts) };
    tokio::select! {
        _ = reconciling => {}
        () = feeds::drain(feeds.namespaces) => {}
        () = feeds.left_behind.for_each(|left| events::left_behind(context, left)) => {}
        () = feeds.unheld.for_each_concurrent(PUT_BACK_AT_A_TIME, |unheld| record::put_back(context, unheld)) => {}
    }
}

/// What a controller's stream brings. Reconciles and watches have told their own story.
async fn said<K: Resource<DynamicType = ()> + 'static>(
    result: Result<(ObjectRef<K>, Action), controller::Error<reconcile::Error, watcher::Error>>,
) {
    match result {
        Ok(_) | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
        Err(error) => tracing::debug!(kind = %K::kind(&()), %error, "the watch failed; it is opened again"),
    }
}
