//! The part of the double that does what takes time: it runs functions, and wakes up for deadlines.
//!
//! What is due is data in the world. This task takes it under the lock, and waits without it.

use std::{convert::Infallible, time::Duration};

use tokio::task::JoinSet;

use crate::{
    codepipeline, lambda,
    server::{Shared, lock},
    state::World,
};

/// Works until the future is dropped; the processes of functions end with it.
pub(crate) async fn run(world: Shared, endpoint: String) -> Infallible {
    let signals = lock(&world).signals.clone();
    let mut processes = JoinSet::new();
    loop {
        let (started, wait) = work(&mut lock(&world));
        for process in started {
            let endpoint = endpoint.clone();
            processes.spawn(async move { process.run(&endpoint).await });
        }
        signals.rested();
        tokio::select! {
            () = signals.work() => {}
            Some(Ok((delivery, ended))) = processes.join_next() => {
                let mut world = lock(&world);
                let now = world.now();
                world.invocations.end(&delivery, ended, now);
            }
            () = pause(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

/// Does what is due. Returns the processes to start, and how long it is until something else is due.
fn work(world: &mut World) -> (Vec<lambda::Process>, Option<Duration>) {
    codepipeline::run::run_timers(world);
    let now = world.now();
    let due = world.invocations.take_due(now);
    let started = due.into_iter().filter_map(|delivery| lambda::deliver(world, delivery)).collect();
    let next = [codepipeline::run::due(world), world.invocations.due()].into_iter().flatten().min();
    let wait = next.map(|next| Duration::try_from(next.duration_since(world.now())).unwrap_or_default());
    (started, wait)
}

/// Whether nothing happens any more before somebody calls or the time of something comes.
pub(crate) fn is_settled(world: &World) -> bool {
    let now = world.now();
    let due = [codepipeline::run::due(world), world.invocations.due()].into_iter().flatten().any(|due| due <= now);
    !due && !world.invocations.are_running()
}

/// Waits until [`is_settled`].
pub(crate) async fn settled(world: &Shared) {
    let rest = lock(world).signals.rest();
    loop {
        let rested = rest.notified();
        tokio::pin!(rested);
        // From here on no bell is missed.
        rested.as_mut().enable();
        if is_settled(&lock(world)) {
            return;
        }
        rested.await;
    }
}

#[allow(clippy::disallowed_methods, reason = "the time of the double runs as real time does")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
