//! Injected faults and throttling.

use std::time::{Duration, Instant};

use fakeaws::{Effect, Fault, RateLimit};

use crate::support::{DEV, DEV_ROOT, TOOLS, TOOLS_ROOT, allow, iam, lambda, make_role, refusal, start, sts};

#[tokio::test]
async fn a_failed_call_is_not_applied() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    aws.admin().fail_next("PutRolePolicy", "ServiceFailure", "try again", 500).unwrap();
    let put = || {
        let call = iam.put_role_policy().role_name("execution").policy_name("p");
        call.policy_document(allow("s3:*", "*").to_string()).send()
    };
    let (status, code, message) = refusal(put().await);
    assert_eq!((status, code.as_str(), message.as_str()), (500, "ServiceFailure", "try again"));
    assert_eq!(refusal(iam.get_role_policy().role_name("execution").policy_name("p").send().await).1, "NoSuchEntity");
    put().await.unwrap();
}

#[tokio::test]
async fn the_nth_call_and_the_next_k_calls_can_be_hit() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    aws.admin().fault(Fault::next("GetRole", Effect::Throttle).nth(2).times(2)).unwrap();
    let mut outcomes = Vec::new();
    for _ in 0..5 {
        outcomes.push(iam.get_role().role_name("execution").send().await.is_ok());
    }
    assert_eq!(outcomes, [true, false, false, true, true]);
    aws.admin().fault(Fault::next("*", Effect::Throttle).always()).unwrap();
    for _ in 0..3 {
        assert_eq!(refusal(iam.list_roles().send().await).1, "Throttling");
    }
    aws.admin().clear_faults().unwrap();
    iam.list_roles().send().await.unwrap();
}

#[tokio::test]
async fn a_fault_can_be_bound_to_an_account_and_to_a_text() {
    let aws = start().await;
    let (dev, tools) = (iam(&aws, DEV_ROOT), iam(&aws, TOOLS_ROOT));
    let fault = Fault::next("GetRole", Effect::Throttle).always();
    aws.admin().fault(fault.clone().by_account(DEV)).unwrap();
    tools.get_role().role_name("pipeline").send().await.unwrap();
    assert!(dev.get_role().role_name("execution").send().await.is_err());
    aws.admin().clear_faults().unwrap();
    aws.admin().fault(fault.clone().containing("exec")).unwrap();
    aws.admin().fault(fault.containing("read")).unwrap();
    assert!(dev.get_role().role_name("reader").send().await.is_err());
    aws.admin().clear_faults_containing("read").unwrap();
    dev.get_role().role_name("reader").send().await.unwrap();
    assert!(dev.get_role().role_name("execution").send().await.is_err());
}

#[tokio::test]
async fn each_service_throttles_in_its_own_words() {
    let aws = start().await;
    aws.admin().fault(Fault::next("*", Effect::Throttle).always()).unwrap();
    let (status, code, message) = refusal(sts(&aws, DEV_ROOT).get_caller_identity().send().await);
    assert_eq!((status, code.as_str(), message.as_str()), (400, "Throttling", "Rate exceeded"));
    let (status, code, _) = refusal(lambda(&aws, DEV_ROOT).list_functions().send().await);
    assert_eq!((status, code.as_str()), (429, "TooManyRequestsException"));
}

#[tokio::test]
async fn a_dropped_answer_has_been_applied() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    aws.admin().drop_next("DeleteRole").unwrap();
    let error = iam.delete_role().role_name("made").send().await.unwrap_err();
    assert!(error.raw_response().is_none(), "{error:?}");
    assert_eq!(refusal(iam.get_role().role_name("made").send().await).1, "NoSuchEntity");
    let calls = aws.admin().calls().unwrap();
    let outcomes: Vec<_> = calls.iter().map(|call| (call.operation.as_str(), call.outcome.as_str())).collect();
    assert_eq!(outcomes, [("CreateRole", "OK"), ("DeleteRole", "Dropped"), ("GetRole", "NoSuchEntity")]);
}

#[tokio::test]
async fn a_delayed_call_takes_its_time_and_others_do_not_wait_for_it() {
    let aws = start().await;
    let iam = iam(&aws, DEV_ROOT);
    aws.admin().fault(Fault::next("GetRole", Effect::Delay { milliseconds: 400 })).unwrap();
    let start = Instant::now();
    let slow = iam.get_role().role_name("execution").send();
    let quick = async {
        iam.list_roles().send().await.unwrap();
        start.elapsed()
    };
    let (slow, quick) = tokio::join!(slow, quick);
    slow.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert!(quick < start.elapsed());
}

#[tokio::test]
async fn a_rate_limit_refills_with_the_clock_and_is_per_account() {
    let aws = start().await;
    let (dev, tools) = (iam(&aws, DEV_ROOT), iam(&aws, TOOLS_ROOT));
    aws.admin().set_rate_limit(Some(RateLimit { burst: 2.0, per_second: 0.01 })).unwrap();
    for _ in 0..2 {
        dev.list_roles().send().await.unwrap();
    }
    assert_eq!(refusal(dev.list_roles().send().await).1, "Throttling");
    tools.list_roles().send().await.unwrap();
    aws.admin().advance_clock(101).unwrap();
    dev.list_roles().send().await.unwrap();
    let counters = aws.admin().counters().unwrap();
    assert_eq!((counters[DEV]["iam:ListRoles"], counters[TOOLS]["iam:ListRoles"]), (4, 1));
}
