//! Runs of the pipeline: one that passes, one that the function stops.

use crossinvoke_harness::{
    Calls, Deployment, Error, Execution, Hop, Result, Scenario,
    accounts::{EXECUTION_ROLE, PIPELINE, PIPELINE_ROLE},
    pipeline::TICKET,
};

use crate::{
    acts::{boto3, expect, invoke_role},
    screen::Screen,
    story::NAME,
};

pub(crate) async fn passes(screen: &mut Screen, scenario: &Scenario<'_>, deployment: &Deployment) -> Result<()> {
    screen.step(
        "A release: the pipeline asks the function, and goes on",
        "The pipeline assumes the invoke role, the function checks the deployment and reports to the pipeline.",
    );
    succeeds(screen, scenario).await?;
    expect(deployment.asked() == ["/health"], "that the function looked once", &format!("{:?}", deployment.asked()))?;
    screen.right("the function in dev was invoked and called back, and Deploy ran after it");
    Ok(())
}

pub(crate) async fn is_stopped(screen: &mut Screen, scenario: &Scenario<'_>, deployment: &Deployment) -> Result<()> {
    screen.step(
        "A release that must not go out",
        "The deployment that the function checks answers 503 from now on: the function reports a failure.",
    );
    deployment.break_down();
    let (execution, calls) = run(screen, scenario).await?;
    deployment.recover();
    let (seen, message) = (execution.to_string(), execution.message_of(NAME));
    expect(message.contains("503"), "the function's message", &seen)?;
    expect(calls.of("PutJobFailureResult") == 1, "one report", &calls.to_string())?;
    stopped(&execution)?;
    screen.right("the run stopped before Deploy, with the function's message");
    Ok(())
}

/// Runs the pipeline, and checks every hop and every stage.
pub(crate) async fn succeeds(screen: &Screen, scenario: &Scenario<'_>) -> Result<()> {
    let (execution, calls) = run(screen, scenario).await?;
    let hops = calls.hops();
    let told: Vec<String> = hops
        .iter()
        .map(|hop| format!("{:34}  {:3}  by {}", format!("{}:{}", hop.service, hop.operation), hop.outcome, hop.role))
        .collect();
    screen.say("The hops, from the AWS double's log of calls:");
    screen.show(&told.join("\n"));
    let role = invoke_role(scenario).await?;
    let hop = |role, service, operation| Hop { role, service, operation, outcome: "OK" };
    let expected = [
        hop(PIPELINE_ROLE, "sts", "AssumeRole"),
        hop(role.rsplit('/').next().unwrap_or_default(), "lambda", "Invoke"),
        hop(EXECUTION_ROLE, "codepipeline", "PutJobSuccessResult"),
    ];
    expect(hops == expected, "three hops, each by its role", &calls.to_string())?;
    let right = execution.status == "Succeeded" && execution.has_entered("Deploy");
    expect(right, "a run that passes all stages", &execution.to_string())
}

/// Starts an execution as a person would, and shows how far it comes.
pub(crate) async fn run(screen: &Screen, scenario: &Scenario<'_>) -> Result<(Execution, Calls)> {
    let mark = scenario.mark()?;
    let start = [
        "import boto3",
        "started = boto3.client('codepipeline').start_pipeline_execution(",
        &format!("    name='{PIPELINE}', variables=[{{'name': '{}', 'value': '{}'}}])", TICKET.0, TICKET.1),
        "print(started['pipelineExecutionId'])",
    ];
    screen.say(&format!("As the tools account {}:", scenario.accounts.tools));
    let id = boto3(screen, scenario, &scenario.accounts.tools, &start).await?;
    screen.waiting("the pipeline runs, and somebody approves it", scenario.approve()).await?;
    let execution = scenario.execution(id.trim()).await?;
    screen.show(&execution.to_string());
    Ok((execution, scenario.calls_since(mark)?))
}

/// Checks that a run failed in our stage, and nothing was deployed.
pub(crate) fn stopped(execution: &Execution) -> Result<()> {
    if execution.status == "Failed" && execution.has_entered("Validate") && !execution.has_entered("Deploy") {
        return Ok(());
    }
    Err(Error::new(format!("expected a run that stopped before Deploy; saw:\n{execution}")))
}
