//! Partitions and regions other than the commercial ones (AWS General Reference; botocore, `endpoints.json`).

use fakeaws::{AccountSeed, FakeAws, RoleSeed, Seed};
use serde_json::json;

use crate::support::{DEV, TOOLS, allow, iam, make_role, refusal, trust};

/// A tools and a dev account of a partition, with a role that may enter the dev account.
fn accounts(partition: &str) -> Seed {
    let mut tools = AccountSeed { partition: partition.to_owned(), ..AccountSeed::default() };
    let service = format!("codepipeline.{}", if partition == "aws-iso" { "c2s.ic.gov" } else { "amazonaws.com" });
    let mut pipeline = RoleSeed::trusting(trust(json!({"Service": service})));
    pipeline
        .inline_policies
        .insert("assume".to_owned(), allow("sts:AssumeRole", &format!("arn:{partition}:iam::{DEV}:role/*")));
    tools.roles.insert("pipeline".to_owned(), pipeline);
    let mut dev = AccountSeed { partition: partition.to_owned(), ..AccountSeed::default() };
    let invoked = RoleSeed::trusting(trust(json!({"AWS": format!("arn:{partition}:iam::{TOOLS}:role/pipeline")})));
    dev.roles.insert("invoke".to_owned(), invoked);
    let mut seed = Seed::default();
    seed.keys.insert("AKIAROOT".to_owned(), format!("arn:{partition}:iam::{DEV}:root"));
    seed.keys.insert("AKIAPIPELINE".to_owned(), format!("arn:{partition}:iam::{TOOLS}:role/pipeline"));
    seed.accounts.insert(TOOLS.to_owned(), tools);
    seed.accounts.insert(DEV.to_owned(), dev);
    seed
}

#[tokio::test]
async fn every_partition_is_taken() {
    for partition in ["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"] {
        let aws = FakeAws::start(accounts(partition)).await.unwrap();
        let root = iam(&aws, "AKIAROOT");
        let made = make_role(&root, "made").await;
        assert_eq!(made.arn(), format!("arn:{partition}:iam::{DEV}:role/made"));
        let role = format!("arn:{partition}:iam::{DEV}:role/invoke");
        let sts = crate::support::sts(&aws, "AKIAPIPELINE");
        let answer = sts.assume_role().role_arn(&role).role_session_name("session").send().await.unwrap();
        let session = answer.assumed_role_user().unwrap().arn();
        assert_eq!(session, format!("arn:{partition}:sts::{DEV}:assumed-role/invoke/session"));
        let elsewhere = if partition == "aws" { "aws-cn" } else { "aws" };
        let other = format!("arn:{elsewhere}:iam::{DEV}:role/invoke");
        let outcome = sts.assume_role().role_arn(other).role_session_name("session").send().await;
        assert_eq!(refusal(outcome).1, "AccessDenied", "{partition}: a role of another partition");
    }
}

#[tokio::test]
async fn what_is_no_partition_is_refused() {
    for partition in ["", "gcp", "aws-", "aws_eusc", "awseusc", "aws-iso-"] {
        let outcome = FakeAws::start(accounts(partition)).await;
        assert!(outcome.is_err(), "{partition:?}");
    }
}
