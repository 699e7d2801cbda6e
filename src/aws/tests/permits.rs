//! A permit is good in its place and for its time; otherwise nothing is sent.

use std::time::Duration;

use serde_json::json;

use super::{
    DEV,
    calls::changes,
    dev_session, now, permit, put, region,
    stub::{Answer, Stub},
    update_of,
};
use crate::{
    aws::AwsErrorKind,
    domain::{ids::PipelineKey, pipeline_edit::Json},
    engine::role::Change,
};

const OTHER: &str = "333333333333";

#[tokio::test]
async fn no_change_is_sent_to_another_account_than_it_is_permitted_in() {
    let stub = Stub::start(|asked| Answer::error(asked, 400, "Refused", "no")).await;
    let iam = dev_session(&stub).await.iam(&region());
    let before = stub.asked().len();
    for change in changes() {
        let error = iam.write(iam.turn().await, permit(OTHER, change, now())).await.unwrap_err();
        assert_eq!((&error.kind, error.outcome_unknown), (&AwsErrorKind::NotPermitted, false), "{error}");
        let text = error.to_string();
        assert!(text.contains(OTHER) && text.starts_with("account 222222222222: "), "{text}");
    }
    assert_eq!(stub.asked().len(), before, "nothing reached AWS");
}

#[tokio::test]
async fn a_permit_is_good_for_a_second_and_not_before_its_look() {
    let stub = Stub::start(|asked| Answer::xml(&asked.operation, "")).await;
    let iam = dev_session(&stub).await.iam(&region());
    let before = stub.asked().len();
    for (change, at) in
        changes().into_iter().zip([now() - Duration::from_secs(2), now() + Duration::from_mins(1)].iter().cycle())
    {
        let error = iam.write(iam.turn().await, permit(DEV, change, *at)).await.unwrap_err();
        assert_eq!((&error.kind, error.outcome_unknown), (&AwsErrorKind::PermitExpired, false), "{error}");
    }
    assert_eq!(stub.asked().len(), before, "nothing reached AWS");
    iam.write(iam.turn().await, permit(DEV, put(), now())).await.unwrap();
    iam.write(iam.turn().await, permit(DEV, Change::Delete, now())).await.unwrap();
    assert_eq!((stub.count("PutRolePolicy"), stub.count("DeleteRole")), (1, 1));
}

#[tokio::test]
async fn no_pipeline_is_updated_but_the_one_that_is_permitted_in_time() {
    let stub = Stub::start(|asked| Answer::error(asked, 400, "Refused", "no")).await;
    let pipelines = dev_session(&stub).await.codepipeline(&region());
    let declaration: Json = json!({"name": "p", "roleArn": "arn:aws:iam::222222222222:role/r"}).into();
    let here = pipelines.pipeline("p".parse().unwrap());
    let before = stub.asked().len();
    for (pipeline, at, kind) in [
        (PipelineKey { account: OTHER.parse().unwrap(), ..here.clone() }, now(), AwsErrorKind::NotPermitted),
        (PipelineKey { region: "eu-west-1".parse().unwrap(), ..here.clone() }, now(), AwsErrorKind::NotPermitted),
        (PipelineKey { name: "q".parse().unwrap(), ..here.clone() }, now(), AwsErrorKind::NotPermitted),
        (here.clone(), now() - Duration::from_secs(2), AwsErrorKind::PermitExpired),
    ] {
        let permit = update_of(pipeline, &declaration, at);
        let error = pipelines.update_pipeline(pipelines.turn().await, permit).await.unwrap_err();
        assert_eq!((error.kind, error.outcome_unknown), (kind, false));
    }
    assert_eq!(stub.asked().len(), before, "nothing reached AWS");
    let permit = update_of(here, &declaration, now());
    pipelines.update_pipeline(pipelines.turn().await, permit).await.unwrap_err();
    assert_eq!(stub.count("UpdatePipeline"), 1);
}
