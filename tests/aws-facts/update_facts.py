"""What becomes of the runs of a pipeline: at an update, and beside an action that fails."""

from fact import NotTried, code, fact
from pipeline_facts import MOTO_RUNS_NOTHING, a_second_approval
from world import UNFINISHED, approval, stage


@fact(
    "A pipeline that is made starts a run",
    calls="CreatePipeline, ListPipelineExecutions",
    expected="CreatePipeline",
    source="CodePipeline User Guide, *Start a pipeline in CodePipeline*",
    not_in=MOTO_RUNS_NOTHING,
)
def first_run(world):
    runs = world.runs(world.pipeline()["name"])
    return runs[-1]["trigger"]["triggerType"] if runs else "none"


def waiting_run(world, mode="SUPERSEDED"):
    """A pipeline with a run that waits for an approval."""
    declaration = world.pipeline(mode=mode)
    run = world.start(declaration)
    world.set_up(lambda: world.waits(declaration, run), "a run that waits for an approval")
    return declaration, run


@fact(
    "A run that waits for an approval is in progress",
    calls="StartPipelineExecution, ListPipelineExecutions",
    expected="InProgress",
    source="CodePipeline User Guide, *Manage approval actions in CodePipeline*",
    not_in=MOTO_RUNS_NOTHING,
)
def waits_for_approval(world):
    declaration, _ = waiting_run(world)
    listed = world.pipelines.list_pipeline_executions(pipelineName=declaration["name"])
    return listed["pipelineExecutionSummaries"][0]["status"]


@fact(
    "The state of a pipeline in PARALLEL mode shows no run, and the list of its runs does",
    calls="StartPipelineExecution, GetPipelineState, ListPipelineExecutions",
    expected="state: none, list: InProgress",
    source="CodePipeline User Guide, *View executions*",
    not_in=MOTO_RUNS_NOTHING,
)
def parallel_state(world):
    declaration, _ = waiting_run(world, "PARALLEL")
    stages = world.pipelines.get_pipeline_state(name=declaration["name"])["stageStates"]
    shown = [stage["latestExecution"]["status"] for stage in stages if "latestExecution" in stage]
    listed = world.pipelines.list_pipeline_executions(pipelineName=declaration["name"])
    return f"state: {' '.join(shown) or 'none'}, list: {listed['pipelineExecutionSummaries'][0]['status']}"


def after_an_update(world, change, mode="SUPERSEDED"):
    """What a run that waits for an approval has become within the bound after an update."""
    declaration, run = waiting_run(world, mode)
    answered = world.update(declaration, change)
    if answered != "accepted":
        raise NotTried(f"the update was refused: {answered}")
    world.within_bound(lambda: world.status(declaration, run) not in UNFINISHED)
    return world.status(declaration, run)


@fact(
    "An update cancels the run in progress",
    calls="StartPipelineExecution, UpdatePipeline, GetPipelineExecution",
    expected="Cancelled",
    source="service model, PipelineExecutionStatus; aws/aws-cdk#23835",
    not_in=MOTO_RUNS_NOTHING,
)
def update_cancels(world):
    return after_an_update(world, a_second_approval)


@fact(
    "An update cancels the runs of a pipeline in PARALLEL mode",
    calls="StartPipelineExecution, UpdatePipeline, GetPipelineExecution",
    expected="Cancelled",
    source="not established",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def update_cancels_parallel(world):
    return after_an_update(world, a_second_approval, "PARALLEL")


@fact(
    "An update that changes nothing cancels the run in progress",
    calls="StartPipelineExecution, UpdatePipeline, GetPipelineExecution",
    expected="Cancelled",
    source="inferred from CodePipeline User Guide, *Edit a pipeline in CodePipeline*",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def no_change_cancels(world):
    return after_an_update(world, lambda declaration: None)


def rejected_run(world):
    """A pipeline whose newest run failed at an approval."""
    declaration, run = waiting_run(world)
    world.decide(declaration, "Rejected")
    world.set_up(lambda: world.status(declaration, run) == "Failed", "a run that failed")
    return declaration, run


@fact(
    "After an update a failed stage cannot be retried",
    calls="UpdatePipeline, RetryStageExecution",
    expected="StageNotRetryableException",
    source="CodePipeline User Guide, *Configure stage retry for a failed stage or failed actions*",
    not_in=MOTO_RUNS_NOTHING,
)
def no_retry_after_update(world):
    declaration, run = rejected_run(world)
    world.update(declaration)
    retry = {"pipelineName": declaration["name"], "stageName": "Wait", "pipelineExecutionId": run}
    return code(world.pipelines.retry_stage_execution, **retry, retryMode="FAILED_ACTIONS")


@fact(
    "Without an update a failed stage can be retried",
    calls="RetryStageExecution",
    expected="accepted",
    source="CodePipeline User Guide, *Configure stage retry for a failed stage or failed actions*",
    not_in=MOTO_RUNS_NOTHING,
)
def retry_without_update(world):
    declaration, run = rejected_run(world)
    retry = {"pipelineName": declaration["name"], "stageName": "Wait", "pipelineExecutionId": run}
    return code(world.pipelines.retry_stage_execution, **retry, retryMode="FAILED_ACTIONS")


@fact(
    "After an update nothing can be rolled back to a run of an older version",
    calls="UpdatePipeline, RollbackStage",
    expected="UnableToRollbackStageException",
    source="CodePipeline User Guide, *Configure stage rollback*",
    not_in=MOTO_RUNS_NOTHING,
)
def no_rollback_after_update(world):
    declaration, run = waiting_run(world)
    world.decide(declaration, "Approved")
    world.set_up(lambda: world.status(declaration, run) == "Succeeded", "a run that succeeded")
    world.update(declaration)
    back = {"pipelineName": declaration["name"], "stageName": "Wait", "targetPipelineExecutionId": run}
    return code(world.pipelines.rollback_stage, **back)


@fact(
    "What runs beside an action that fails is waited for",
    calls="StartPipelineExecution, PutApprovalResult, GetPipelineExecution",
    expected="InProgress, then Failed",
    source="inferred from CodePipeline User Guide, *How pipeline executions work*",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def beside_a_failed_action(world):
    declaration = world.pipeline(stage("Wait", approval(), approval("Second")))
    run = world.start(declaration)
    both = lambda: all(world.waits(declaration, run, name) for name in ("Approve", "Second"))  # noqa: E731
    world.set_up(both, "a run that waits for two approvals")
    world.decide(declaration, "Rejected")
    world.propagate()
    between = world.status(declaration, run)
    if between in UNFINISHED:
        world.decide(declaration, "Approved", "Second")
        world.within_bound(lambda: world.status(declaration, run) not in UNFINISHED)
    return f"{between}, then {world.status(declaration, run)}"


@fact(
    "The run after an update that left a stage out passes without it",
    calls="StartPipelineExecution, UpdatePipeline, ListActionExecutions",
    expected="Succeeded without it",
    source="inferred from CodePipeline API Reference, UpdatePipeline, which takes the whole structure",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def passes_without_the_stage(world):
    declaration = world.pipeline(stage("Wait", approval()), stage("Gate", approval("Gate")))
    first = world.start(declaration)
    world.set_up(lambda: world.waits(declaration, first), "a run that waits for an approval")
    # As a tool does that deploys the pipeline in the middle of a run, from a template without the stage.
    answered = world.update(declaration, lambda changed: changed["stages"].pop())
    if answered != "accepted":
        raise NotTried(f"the update was refused: {answered}")
    second = world.start(declaration)
    if not world.within_bound(lambda: world.waits(declaration, second)):
        return f"the run after it does not get to its first stage: {world.status(declaration, second)}"
    world.decide(declaration, "Approved")
    world.within_bound(lambda: world.status(declaration, second) not in UNFINISHED)
    asked = "with" if "Gate" in world.actions(declaration, second) else "without"
    return f"{world.status(declaration, second)} {asked} it"
