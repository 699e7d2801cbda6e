//! What an organization and boundaries take away shows at the hop that they concern.
//!
//! Sources: Organizations User Guide, "Service control policies" and "Resource control policies"; IAM User Guide,
//! "Permissions boundaries for IAM entities".

use aws_sdk_codepipeline::types::PipelineExecutionStatus;
use fakeaws::ControlPolicy;
use serde_json::{Value, json};

use super::support::{INVOKE_ROLE, PIPELINE_ROLE, Runs};
use crate::{
    denials::deny,
    support::{DEV, TOOLS, allow},
};

const POLICY: &str = "p-guard";

fn bound(runs: &Runs, account: &str, role: &str, document: Value) {
    let arn = format!("arn:aws:iam::{account}:policy/limit");
    runs.aws.admin().put_managed_policy(&arn, document).unwrap();
    runs.aws.admin().set_boundary(account, role, Some(&arn)).unwrap();
}

fn control(runs: &Runs, account: &str, kind: ControlPolicy, document: Value) {
    runs.aws.admin().put_control_policy(account, kind, POLICY, document).unwrap();
}

/// A perimeter as organizations write it: nobody from outside assumes roles here, AWS's services may.
fn perimeter() -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*",
        "Condition": {
            "StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-dev"},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        },
    }]})
}

/// The hop that fails, with the end of its message.
#[derive(Clone, Copy, Debug)]
enum Hop {
    /// CodePipeline does not get into the pipeline's role.
    Enter,
    /// The pipeline's role does not get into the invoke role.
    Assume,
    Invoke(&'static str),
    Callback(&'static str),
    /// Nothing fails.
    None,
}

/// A name, what is done, and where it shows.
type Case = (&'static str, fn(&Runs), Hop);

const CASES: &[Case] = &[
    ("a perimeter around dev", |runs| control(runs, DEV, ControlPolicy::Resource, perimeter()), Hop::Assume),
    (
        "a perimeter around dev, with tools inside",
        |runs| {
            runs.aws.admin().set_organization(TOOLS, Some("o-dev")).unwrap();
            control(runs, DEV, ControlPolicy::Resource, perimeter());
        },
        Hop::None,
    ),
    (
        "a perimeter around dev, with tools in another organization",
        |runs| {
            runs.aws.admin().set_organization(TOOLS, Some("o-tools")).unwrap();
            control(runs, DEV, ControlPolicy::Resource, perimeter());
        },
        Hop::Assume,
    ),
    // The pipeline's role is assumed by a service, and the invoke role is in another account.
    ("a perimeter around tools", |runs| control(runs, TOOLS, ControlPolicy::Resource, perimeter()), Hop::None),
    (
        "a perimeter around tools that forgets the services",
        |runs| {
            let mut document = perimeter();
            document["Statement"][0]["Condition"] = json!({"Bool": {"aws:PrincipalIsAWSService": "true"}});
            control(runs, TOOLS, ControlPolicy::Resource, document);
        },
        Hop::Enter,
    ),
    ("tools may not assume roles", |runs| control(runs, TOOLS, ControlPolicy::Service, deny("sts:*")), Hop::Assume),
    // Service control policies limit the principals of an account, not who comes in.
    ("dev may not assume roles", |runs| control(runs, DEV, ControlPolicy::Service, deny("sts:*")), Hop::None),
    (
        "dev may not invoke functions",
        |runs| control(runs, DEV, ControlPolicy::Service, deny("lambda:InvokeFunction")),
        Hop::Invoke("with an explicit deny in a service control policy"),
    ),
    (
        "dev may not call CodePipeline",
        |runs| control(runs, DEV, ControlPolicy::Service, deny("codepipeline:*")),
        Hop::Callback("with an explicit deny in a service control policy"),
    ),
    ("the pipeline's role is bound to S3", |runs| bound(runs, TOOLS, "pipeline", allow("s3:*", "*")), Hop::Assume),
    (
        "the pipeline's role is bound to assuming roles",
        |runs| bound(runs, TOOLS, "pipeline", allow("sts:AssumeRole", INVOKE_ROLE)),
        Hop::None,
    ),
    (
        "the invoke role is bound to S3",
        |runs| bound(runs, DEV, "invoke", allow("s3:*", "*")),
        Hop::Invoke("because no permissions boundary allows the lambda:InvokeFunction action"),
    ),
    (
        "the invoke role is bound by a deny",
        |runs| bound(runs, DEV, "invoke", deny("lambda:*")),
        Hop::Invoke("with an explicit deny in a permissions boundary: arn:aws:iam::222222222222:policy/limit"),
    ),
    (
        "the execution role is bound to logs",
        |runs| bound(runs, DEV, "execution", allow("logs:*", "*")),
        Hop::Callback("because no permissions boundary allows the codepipeline:PutJobSuccessResult action"),
    ),
];

#[tokio::test]
async fn what_takes_away_shows_at_the_hop_that_it_concerns() {
    for (name, change, hop) in CASES {
        let runs = Runs::release().await;
        runs.aws.admin().set_organization(DEV, Some("o-dev")).unwrap();
        change(&runs);
        let id = runs.run().await;
        let (status, error) = runs.outcome("Invoke").await;
        match hop {
            Hop::Enter => {
                let text = format!("CodePipeline is not authorized to perform AssumeRole on role {PIPELINE_ROLE}");
                assert_eq!(error, format!("PermissionError: {text}"), "{name}");
            }
            Hop::Assume => {
                let text = format!("Pipeline role {PIPELINE_ROLE} is not authorized to perform AssumeRole");
                assert_eq!(error, format!("PermissionError: {text} on action role {INVOKE_ROLE}"), "{name}");
                assert_eq!(runs.calls("AssumeRole").pop().unwrap().outcome, "AccessDenied", "{name}");
            }
            Hop::Invoke(reason) => {
                assert!(error.starts_with("PermissionError: User: "), "{name}: {error}");
                assert!(error.contains("is not authorized to perform: lambda:InvokeFunction on resource: "), "{name}");
                assert!(error.ends_with(reason), "{name}: {error}");
            }
            Hop::Callback(reason) => {
                assert_eq!((status.as_str(), error.as_str()), ("InProgress", ""), "{name}");
                assert_eq!(runs.calls("PutJobSuccessResult").pop().unwrap().outcome, "AccessDeniedException", "{name}");
                let delivery = runs.deliveries().pop().unwrap();
                assert!(delivery.ends_with(reason), "{name}: {delivery}");
                continue;
            }
            Hop::None => {
                assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Succeeded, "{name}: {error}");
                continue;
            }
        }
        assert_eq!(runs.status(&id).await, PipelineExecutionStatus::Failed, "{name}");
    }
}

/// The check that UpdatePipeline makes goes through the same policies as the run.
#[tokio::test]
async fn an_update_is_refused_by_what_would_stop_the_run() {
    for (name, change, hop) in CASES {
        let runs = Runs::release().await;
        runs.aws.admin().set_organization(DEV, Some("o-dev")).unwrap();
        change(&runs);
        let read = runs.client.get_pipeline().name(super::support::PIPELINE).send().await.unwrap();
        let outcome = runs.client.update_pipeline().set_pipeline(read.pipeline).send().await;
        match hop {
            Hop::Enter | Hop::Assume => {
                let (_, code, message) = crate::support::refusal(outcome);
                assert_eq!(code, "InvalidStructureException", "{name}");
                assert!(message.contains("is not authorized to perform AssumeRole"), "{name}: {message}");
            }
            Hop::Invoke(_) | Hop::Callback(_) | Hop::None => {
                outcome.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            }
        }
    }
}
