//! What happens because time has passed.

use jiff::Timestamp;

use super::{
    execution::{At, Failure, Outcome, Place, WaitsFor},
    walk::complete,
};
use crate::state::World;

/// Fails the actions whose time is up.
pub(crate) fn run(world: &mut World) {
    let now = world.now();
    let expired: Vec<(String, Place, String)> = world
        .jobs
        .deadlines()
        .filter(|(.., deadline)| *deadline <= now)
        .map(|(id, job, _)| (id.to_owned(), job.place.clone(), job.function.name.clone()))
        .collect();
    for (id, place, function) in expired {
        world.jobs.close(&id);
        // In AWS's words (aws-samples/aws-serverless-workshops #224).
        let text = format!(
            "The AWS Lambda function {function} failed to return a result. Check the function to verify that it has \
             permission to call the PutJobSuccessResult action and that it made a call to PutJobSuccessResult."
        );
        complete(world, &place, Outcome::Failed(Failure::new("JobFailed", text)));
    }
    for (place, _) in approvals(world).into_iter().filter(|(_, until)| *until <= now) {
        let text = "The approval request has expired: nobody approved or rejected it in time.";
        complete(world, &place, Outcome::Failed(Failure::new("JobFailed", text)));
    }
}

/// The next moment at which something will be due.
pub(crate) fn due(world: &World) -> Option<Timestamp> {
    let jobs = world.jobs.deadlines().map(|(.., deadline)| deadline);
    jobs.chain(approvals(world).into_iter().map(|(_, until)| until)).min()
}

fn approvals(world: &World) -> Vec<(Place, Timestamp)> {
    let accounts = world.accounts.values();
    let executions = accounts.flat_map(|account| {
        let all = account.pipelines.all_executions();
        all.flat_map(move |(region, name, executions)| {
            executions.iter().map(move |execution| (At::new(&account.id, region, name), execution))
        })
    });
    let unfinished = executions.filter(|(_, execution)| execution.status.is_unfinished());
    let open = unfinished.flat_map(|(at, execution)| {
        execution.runs().filter_map(move |(_, run)| match &run.waits_for {
            WaitsFor::Approval { until, .. } => {
                let place = Place { at: at.clone(), execution: execution.id.clone(), action: run.id.clone() };
                Some((place, *until))
            }
            _ => None,
        })
    });
    open.collect()
}
