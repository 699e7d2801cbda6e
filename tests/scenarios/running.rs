//! Releases: the pipeline reaches the stage, the function in the other account runs and reports, and the run goes on or
//! stops. The function is the handler of `examples/`, in a Python process.

use crossinvoke_harness::{
    Context as _, Deployment, Execution, Hop, Result, Scenario, Setup,
    accounts::{EXECUTION_ROLE, FUNCTION, PIPELINE, PIPELINE_ROLE},
    objects::condition,
};
use fakeaws::ActionOutcome;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{converge, invoke_role_name, message, pipeline, put_right, refused, repaired},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_release_passes_through_the_function_of_the_other_account", Setup::default, passes),
        case("a_reported_failure_stops_the_release_with_its_message", Setup::default, reports_a_failure),
        case("without_the_trust_a_release_fails_until_repaired", Setup::default, async |scenario| {
            fails_without(scenario, &T1).await
        }),
        case("without_the_invoke_role_a_release_fails_until_repaired", Setup::default, async |scenario| {
            fails_without(scenario, &ROLE).await
        }),
        case("without_the_invoke_policy_a_release_fails_until_repaired", Setup::default, async |scenario| {
            fails_without(scenario, &P1).await
        }),
        case("without_the_callback_policy_a_release_fails_until_repaired", Setup::default, async |scenario| {
            fails_without(scenario, &P2).await
        }),
        case("without_the_assume_policy_a_release_fails_until_repaired", Setup::default, async |scenario| {
            fails_without(scenario, &P3).await
        }),
        case("a_release_is_never_cancelled_and_a_change_waits_for_its_end", quick, is_never_cancelled),
    ]
}

fn quick() -> Setup {
    Setup::default().flags(["--idle-poll=1s"])
}

/// The function is the example's handler, and the stage hands it a page of the deployment.
async fn in_place(scenario: &Scenario<'_>, deployment: &Deployment) -> Result<String> {
    scenario.use_example_handler(deployment).await?;
    let object = converge(scenario, &invoke(scenario, deployment, "/health")).await?;
    Ok(invoke_role_name(&object))
}

fn invoke(scenario: &Scenario<'_>, deployment: &Deployment, path: &str) -> Value {
    let mut invoke = scenario.invoke("validate");
    invoke["spec"]["action"] = json!({"userParameters": deployment.user_parameters(path)});
    invoke
}

fn assert_succeeded(execution: &Execution) {
    let actions: Vec<_> = execution.actions.iter().map(|run| (run.action.as_str(), run.status.as_str())).collect();
    let expected = ["Source", "Rules", "Build", "Package", "Stack", "Checklist", "Approve", "validate", "Deploy"]
        .map(|action| (action, "Succeeded"));
    assert_eq!((execution.status.as_str(), actions.as_slice()), ("Succeeded", expected.as_slice()), "{execution}");
}

fn assert_stopped_before_deploy(execution: &Execution) {
    assert_eq!(execution.status, "Failed", "{execution}");
    assert!(execution.has_entered("Validate") && !execution.has_entered("Deploy"), "{execution}");
}

async fn passes(scenario: &mut Scenario<'_>) -> Result<()> {
    let deployment = Deployment::start().await?;
    let role = in_place(scenario, &deployment).await?;
    let mark = scenario.mark()?;
    let execution = scenario.run_pipeline().await?;
    assert_succeeded(&execution);
    assert_eq!(execution.message_of("validate"), format!("{} answered as expected", deployment.url("/health")));
    assert_eq!(deployment.asked(), ["/health"], "the handler itself looked");
    let calls = scenario.calls_since(mark)?;
    let hop = |role, service, operation| Hop { role, service, operation, outcome: "OK" };
    let expected = [
        hop(PIPELINE_ROLE, "sts", "AssumeRole"),
        hop(&role, "lambda", "Invoke"),
        hop(EXECUTION_ROLE, "codepipeline", "PutJobSuccessResult"),
    ];
    assert_eq!(calls.hops(), expected, "from account to account:\n{calls}");
    Ok(())
}

async fn reports_a_failure(scenario: &mut Scenario<'_>) -> Result<()> {
    let deployment = Deployment::start().await?;
    in_place(scenario, &deployment).await?;
    deployment.break_down();
    let mark = scenario.mark()?;
    let execution = scenario.run_pipeline().await?;
    assert_stopped_before_deploy(&execution);
    let told = execution.message_of("validate");
    let url = deployment.url("/health");
    assert_eq!(told, format!("JobFailed: {url}: HTTP Error 503: Service Unavailable"));
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("PutJobFailureResult"), calls.of("Invoke")), (1, 1), "nothing is raised after it:\n{calls}");
    deployment.recover();
    assert_succeeded(&scenario.run_pipeline().await?);
    Ok(())
}

/// One thing that a run needs: how it is taken away, and what a run then fails with.
struct Need {
    take: fn(&Scenario<'_>, role: &str) -> std::result::Result<(), fakeaws::AdminError>,
    /// Nothing fails before the function's time is up.
    times_out: bool,
    /// Begin and end of the message.
    message: fn(&Scenario<'_>, role: &str) -> (String, String),
}

const T1: Need = Need {
    take: |scenario, role| {
        let root = scenario.accounts.iam_arn(&scenario.accounts.platform, "root");
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": root}},
        ]});
        scenario.aws().put_trust(&scenario.accounts.dev, role, trust)
    },
    times_out: false,
    message: cannot_assume,
};

const ROLE: Need = Need {
    take: |scenario, role| scenario.aws().remove_role(&scenario.accounts.dev, role),
    times_out: false,
    message: cannot_assume,
};

const P1: Need = Need {
    take: |scenario, role| scenario.aws().remove_inline_policy(&scenario.accounts.dev, role, &own(scenario, "invoke")),
    times_out: false,
    message: |scenario, role| {
        let (dev, region) = (&scenario.accounts.dev, &scenario.accounts.function_region);
        (
            format!("PermissionError: User: arn:aws:sts::{dev}:assumed-role/{role}/"),
            format!(
                " is not authorized to perform: lambda:InvokeFunction on resource: \
                 arn:aws:lambda:{region}:{dev}:function:{FUNCTION} because no identity-based policy allows the \
                 lambda:InvokeFunction action"
            ),
        )
    },
};

const P2: Need = Need {
    take: |scenario, _| {
        scenario.aws().remove_inline_policy(&scenario.accounts.dev, EXECUTION_ROLE, &own(scenario, "callback"))
    },
    times_out: true,
    message: |_, _| {
        (
            format!("JobFailed: The AWS Lambda function {FUNCTION} failed to return a result."),
            "permission to call the PutJobSuccessResult action and that it made a call to PutJobSuccessResult."
                .to_owned(),
        )
    },
};

const P3: Need = Need {
    take: |scenario, _| {
        scenario.aws().remove_inline_policy(&scenario.accounts.tools, PIPELINE_ROLE, &own(scenario, "assume"))
    },
    times_out: false,
    message: cannot_assume,
};

fn cannot_assume(scenario: &Scenario<'_>, role: &str) -> (String, String) {
    (
        format!(
            "PermissionError: Pipeline role {} is not authorized to perform AssumeRole on action role {}:role/",
            scenario.accounts.pipeline_role_arn(),
            format_args!("arn:aws:iam::{}", scenario.accounts.dev),
        ),
        format!("/{role}"),
    )
}

/// The name of a policy of ours.
fn own(scenario: &Scenario<'_>, part: &str) -> String {
    format!("crossinvoke-{}-{part}", scenario.installation_id)
}

async fn fails_without(scenario: &mut Scenario<'_>, need: &Need) -> Result<()> {
    let deployment = Deployment::start().await?;
    let role = in_place(scenario, &deployment).await?;
    let good = scenario.configuration()?;
    scenario.controller()?.stop().await?;
    (need.take)(scenario, &role).context("taking it away")?;

    let mut execution = scenario.run_pipeline().await?;
    if need.times_out {
        assert_eq!(execution.status, "InProgress", "it waits for the report, which was refused: {execution}");
        scenario.aws().advance_clock(20 * 60 + 1).context("the clock")?;
        scenario.settled().await;
        execution = scenario.execution(&execution.id).await?;
    }
    assert_stopped_before_deploy(&execution);
    let (begin, end) = (need.message)(scenario, &role);
    let told = execution.message_of("validate");
    assert!(told.starts_with(&begin) && told.ends_with(&end), "{told}\nis not\n{begin} … {end}");

    scenario.start_controller().await?;
    put_right(scenario, "validate", "what was taken away", &good).await?;
    let told = |object: &DynamicObject| condition(object, "Drifted").is_some_and(|(_, reason)| reason == "Corrected");
    scenario.until("validate", "Drifted with reason Corrected", told).await?;
    assert_succeeded(&scenario.run_pipeline().await?);
    Ok(())
}

async fn is_never_cancelled(scenario: &mut Scenario<'_>) -> Result<()> {
    let deployment = Deployment::start().await?;
    in_place(scenario, &deployment).await?;
    let good = scenario.configuration()?;
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    let at = (tools.as_str(), scenario.accounts.region.as_str(), PIPELINE);
    let aws = scenario.aws().clone();
    aws.set_action(at, ("Build", "Build"), ActionOutcome::Hold {}).context("a long build")?;
    let id = scenario.start_execution().await?;
    scenario.settled().await;
    let start = scenario.mark()?;

    scenario.touch("validate", "a look").await?;
    scenario.reads_of_one_cycle(start).await?;
    // What is no matter of the pipeline is repaired while it runs, and so in time for the run.
    aws.remove_inline_policy(&tools, PIPELINE_ROLE, &own(scenario, "assume")).context("removing P3")?;
    aws.remove_inline_policy(&dev, EXECUTION_ROLE, &own(scenario, "callback")).context("removing P2")?;
    repaired(scenario, "validate", "what the run still needs", &good).await?;
    // What is a matter of the pipeline waits.
    let declared = pipeline(scenario)?;
    scenario.apply(&invoke(scenario, &deployment, "/changed")).await?;
    refused(scenario, "validate", "WaitingForIdlePipeline", &[&id, PIPELINE]).await?;
    assert_eq!(scenario.calls_since(start)?.of("UpdatePipeline"), 0);
    assert_eq!(pipeline(scenario)?, declared);

    aws.set_action(at, ("Build", "Build"), ActionOutcome::default()).context("the build ends")?;
    scenario.approve().await?;
    let execution = scenario.execution(&id).await?;
    assert_succeeded(&execution);
    assert_eq!(deployment.asked(), ["/health"], "the run has what it began with");

    let object = scenario.until_reason("validate", "Converged").await?;
    assert_eq!(scenario.calls_since(start)?.of("UpdatePipeline"), 1, "{}", message(&object));
    assert_succeeded(&scenario.run_pipeline().await?);
    assert_eq!(deployment.asked(), ["/health", "/changed"]);
    Ok(())
}
