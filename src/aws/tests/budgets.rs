//! What is sent is paid from the account's budget.

use std::time::{Duration, Instant};

use futures::FutureExt;

use super::{
    DEV, Observed, base, config, key, region,
    stub::{Answer, Stub},
};
use crate::aws::{Aws, Iam, InFlight};

const SERVICE: &str = "iam";

/// IAM of an account with this budget, and the calls in flight.
async fn with(stub: &Stub, budget: &str) -> (Iam, Aws) {
    let mut config = config(base(&stub.endpoint));
    config.budgets = vec![format!("{SERVICE}={budget}").parse().unwrap()];
    let aws = Aws::new(config, std::sync::Arc::new(Observed::default()));
    (aws.session(&key(DEV)).await.unwrap().iam(&region()), aws)
}

fn in_flight(of: &InFlight) -> (usize, usize) {
    of.counts().get(SERVICE).map_or((0, 0), |count| (count.in_flight, count.waiting))
}

#[tokio::test]
async fn whoever_waits_for_the_budget_holds_no_turn_and_waits_for_none() {
    let stub = Stub::start(|_| Answer::Never).await;
    let (iam, aws) = with(&stub, "2/1").await;
    drop(iam.turn().await);
    let mut waits = Box::pin(iam.turn());
    assert!((&mut waits).now_or_never().is_none());
    assert_eq!(in_flight(aws.in_flight()), (0, 0));
    assert!(aws.budgets().crowded(&DEV.parse().unwrap()).is_some_and(|(service, _)| service == SERVICE));
    let turn = waits.await;
    assert_eq!(in_flight(aws.in_flight()), (1, 0));
    drop(turn);
}

#[tokio::test]
async fn each_attempt_is_paid_and_throttling_halves_the_rate() {
    let stub = Stub::start(|asked| Answer::error(asked, 400, "Throttling", "Rate exceeded")).await;
    let (iam, aws) = with(&stub, "20/100").await;
    let role = "r".parse().unwrap();
    iam.get_role(&role).await.unwrap_err();
    assert_eq!(stub.count("GetRole"), 2, "the SDK tries a read twice");
    // Nothing is saved up any more, and the second attempt has still to be paid, at ten a second.
    let began = Instant::now();
    drop(iam.turn().await);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(90), "{took:?}");
    let mut next = Box::pin(iam.turn());
    assert!((&mut next).now_or_never().is_none());
    let rate = aws.budgets().crowded(&DEV.parse().unwrap()).map(|(_, rate)| rate);
    assert!(rate.is_some_and(|rate| (4.9..10.1).contains(&rate)), "{rate:?}");
}
