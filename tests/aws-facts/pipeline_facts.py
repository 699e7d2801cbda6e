"""What CodePipeline answers to updates of a pipeline, and what they do to its runs."""

from fact import NotTried, code, fact, message
from world import OTHER_REGION, action, approval, stage

STRUCTURE = "CodePipeline User Guide, *CodePipeline pipeline structure reference*"
API = "CodePipeline API Reference, "
MOTO_VALIDATES_NOTHING = {"moto": "moto validates no update"}
MOTO_RUNS_NOTHING = {"moto": "moto ends every run as it starts"}


@fact("A pipeline needs two stages", calls="UpdatePipeline", expected="InvalidStructureException", source=STRUCTURE, not_in=MOTO_VALIDATES_NOTHING)
def one_stage(world):
    return world.update(world.pipeline(), lambda declaration: declaration["stages"].pop())


@fact(
    "A pipeline that does not exist cannot be updated",
    calls="UpdatePipeline",
    expected="PipelineNotFoundException",
    source=API + "UpdatePipeline, which declares no such error",
    evidence="assumed",
    not_in={"moto": "moto answers ResourceNotFoundException"},
)
def update_missing(world):
    return world.update(world.pipeline(), lambda declaration: declaration.update(name=world.next("missing")))


@fact(
    "An update is refused while the pipeline's role cannot assume an action's role",
    calls="UpdatePipeline",
    expected="InvalidStructureException: … is not authorized to perform AssumeRole on …",
    source="hashicorp/terraform#14263; aws/aws-cdk#22489",
    evidence="reported",
    not_in=MOTO_VALIDATES_NOTHING,
)
def cannot_assume(world):
    declaration, role = world.pipeline(), world.role("dev", world.root("dev"))
    invoke = action("Invoke", "Invoke", "Lambda", {"FunctionName": "any"}, roleArn=role)
    changed = {**declaration, "stages": [*declaration["stages"], stage("Validate", invoke)]}
    answered = code(world.pipelines.update_pipeline, pipeline=changed)
    text = message(world.pipelines.update_pipeline, pipeline=changed)
    is_said = "is not authorized to perform AssumeRole on" in text
    return answered + (": … is not authorized to perform AssumeRole on …" if is_said else "")


@fact(
    "An update that changes nothing makes a version",
    calls="UpdatePipeline, GetPipeline",
    expected="version 2",
    source="inferred from " + API + "UpdatePipeline",
    evidence="assumed",
)
def no_change(world):
    declaration = world.pipeline()
    world.update(declaration)
    return f"version {world.pipelines.get_pipeline(name=declaration['name'])['pipeline']['version']}"


@fact(
    "A read right after an update shows it",
    calls="UpdatePipeline, GetPipeline",
    expected="10 of 10",
    source="not established",
    evidence="assumed",
)
def read_after_write(world):
    declaration, seen = world.pipeline(), 0
    for version in range(2, 12):
        world.update(declaration)
        seen += world.pipelines.get_pipeline(name=declaration["name"])["pipeline"]["version"] == version
    return f"{seen} of 10"


@fact(
    "Earlier versions can be read",
    calls="GetPipeline",
    expected="version 1",
    source=API + "GetPipeline",
    not_in={"moto": "moto answers with the newest"},
)
def earlier_version(world):
    declaration = world.pipeline()
    world.update(declaration)
    old = world.pipelines.get_pipeline(name=declaration["name"], version=1)["pipeline"]
    return f"version {old['version']}"


@fact(
    "About ten versions are kept",
    calls="GetPipeline",
    expected="PipelineNotFoundException",
    source="public reports",
    evidence="reported",
    not_in={"moto": "moto answers with the newest"},
)
def oldest_version(world):
    declaration = world.pipeline()
    for _ in range(12):
        world.update(declaration)
    return code(world.pipelines.get_pipeline, name=declaration["name"], version=1)


@fact("A variables namespace is one action's alone", calls="UpdatePipeline", expected="refused", source=STRUCTURE, not_in=MOTO_VALIDATES_NOTHING)
def namespace_twice(world):
    def change(declaration):
        for found in declaration["stages"]:
            found["actions"][0]["namespace"] = "same"

    return "accepted" if world.update(world.pipeline(), change) == "accepted" else "refused"


@fact("The variables namespace codepipeline is reserved", calls="UpdatePipeline", expected="refused", source=STRUCTURE, not_in=MOTO_VALIDATES_NOTHING)
def namespace_reserved(world):
    change = lambda declaration: declaration["stages"][0]["actions"][0].update(namespace="codepipeline")  # noqa: E731
    return "accepted" if world.update(world.pipeline(), change) == "accepted" else "refused"


@fact(
    "A reference to a namespace that no earlier action has is refused",
    calls="UpdatePipeline",
    expected="refused",
    source="CodePipeline User Guide, *Variables reference*, and public reports",
    evidence="reported",
    not_in=MOTO_VALIDATES_NOTHING,
)
def undeclared_reference(world):
    def change(declaration):
        declaration["stages"][1]["actions"][0]["configuration"] = {"CustomData": "#{nobody.value}"}

    return "accepted" if world.update(world.pipeline(), change) == "accepted" else "refused"


def editor(world, declaration, *further):
    """A caller of the tools account who may update pipelines, and what else is given."""
    update = {"Effect": "Allow", "Action": "codepipeline:UpdatePipeline", "Resource": "*"}
    arn = world.role("tools", world.root("tools"), {"rights": [update, *further]}, what="editor")
    return world.as_role(arn)("codepipeline")


def pass_role(declaration):
    return {"Effect": "Allow", "Action": "iam:PassRole", "Resource": declaration["roleArn"]}


@fact(
    "An update needs iam:PassRole on the pipeline's role",
    calls="UpdatePipeline",
    expected="refused without, accepted with",
    source="Service Authorization Reference, which lists it for CreatePipeline",
    evidence="assumed",
    not_in=MOTO_VALIDATES_NOTHING,
)
def needs_pass_role(world):
    declaration = world.pipeline()
    without = world.update(declaration, client=editor(world, declaration))
    having = world.update(declaration, client=editor(world, declaration, pass_role(declaration)))
    return f"{'accepted' if without == 'accepted' else 'refused'} without, {'accepted' if having == 'accepted' else 'refused'} with"


@fact(
    "An update needs PassConnection on a connection that it does not change",
    calls="UpdatePipeline",
    expected="refused without, accepted with",
    source="awslabs/landing-zone-accelerator-on-aws#739",
    evidence="reported",
    not_in=MOTO_VALIDATES_NOTHING,
)
def needs_pass_connection(world):
    connection = world_connection(world)

    def connected(declaration):
        configuration = {"ConnectionArn": connection, "FullRepositoryId": "example/example", "BranchName": "main"}
        declaration["stages"][0]["actions"][0].update(
            actionTypeId={"category": "Source", "owner": "AWS", "provider": "CodeStarSourceConnection", "version": "1"},
            configuration=configuration,
        )

    use = ["codestar-connections:UseConnection", "codeconnections:UseConnection"]
    rights = {"connection": [{"Effect": "Allow", "Action": use, "Resource": "*"}]}
    declaration = world.pipeline(before_create=connected, role_policies=rights)
    both = ["codestar-connections:PassConnection", "codeconnections:PassConnection"]
    allowed = {"Effect": "Allow", "Action": both, "Resource": connection}
    without = world.update(declaration, client=editor(world, declaration, pass_role(declaration)))
    having = world.update(declaration, client=editor(world, declaration, pass_role(declaration), allowed))
    return f"{'accepted' if without == 'accepted' else 'refused'} without, {'accepted' if having == 'accepted' else 'refused'} with"


def world_connection(world):
    if world.place != "accounts":
        return f"arn:{world.partition}:codeconnections:us-east-1:{world.ids['tools']}:connection/{world.next('connection')}"
    client = world.client("tools", "codeconnections")
    made = client.create_connection(ProviderType="GitHub", ConnectionName=world.name)["ConnectionArn"]
    world.made.append(lambda: client.delete_connection(ConnectionArn=made))
    return made


def waiting_run(world, mode="SUPERSEDED"):
    """A pipeline with a run that waits for an approval."""
    declaration = world.pipeline(mode=mode)
    run = world.start(declaration)
    if mode != "PARALLEL":
        world.until(lambda: world.action_state(declaration, "Approve").get("status") == "InProgress", "an approval")
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


def after_an_update(world, mode):
    declaration, run = waiting_run(world, mode)
    world.update(declaration, lambda changed: changed["stages"][1]["actions"].append(approval("Second", runOrder=2)))
    world.until(lambda: world.status(declaration, run) != "InProgress", "the end of the run")
    return world.status(declaration, run)


@fact(
    "An update cancels the run in progress",
    calls="StartPipelineExecution, UpdatePipeline, GetPipelineExecution",
    expected="Cancelled",
    source="service model, PipelineExecutionStatus; aws/aws-cdk#23835",
    not_in=MOTO_RUNS_NOTHING,
)
def update_cancels(world):
    return after_an_update(world, "SUPERSEDED")


@fact(
    "An update cancels the runs of a pipeline in PARALLEL mode",
    calls="StartPipelineExecution, UpdatePipeline, GetPipelineExecution",
    expected="Cancelled",
    source="not established",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def update_cancels_parallel(world):
    return after_an_update(world, "PARALLEL")


def rejected_run(world):
    """A pipeline whose newest run failed at an approval."""
    declaration, run = waiting_run(world)
    token = world.action_state(declaration, "Approve")["token"]
    place = {"pipelineName": declaration["name"], "stageName": "Wait", "actionName": "Approve"}
    world.pipelines.put_approval_result(**place, result={"summary": "no", "status": "Rejected"}, token=token)
    world.until(lambda: world.status(declaration, run) == "Failed", "the failure of the run")
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
    token = world.action_state(declaration, "Approve")["token"]
    place = {"pipelineName": declaration["name"], "stageName": "Wait", "actionName": "Approve"}
    world.pipelines.put_approval_result(**place, result={"summary": "yes", "status": "Approved"}, token=token)
    world.until(lambda: world.status(declaration, run) == "Succeeded", "the success of the run")
    world.update(declaration)
    back = {"pipelineName": declaration["name"], "stageName": "Wait", "targetPipelineExecutionId": run}
    return code(world.pipelines.rollback_stage, **back)


@fact(
    "An action in another region needs an artifact store there",
    calls="UpdatePipeline",
    expected="refused",
    source=STRUCTURE,
    not_in=MOTO_VALIDATES_NOTHING,
)
def store_of_region(world):
    def change(declaration):
        other = action("Elsewhere", "Invoke", "Lambda", {"FunctionName": "any"}, region=OTHER_REGION)
        declaration["stages"].append(stage("Validate", other))

    return "accepted" if world.update(world.pipeline(), change) == "accepted" else "refused"


@fact(
    "A masked secret that comes back under the same names is kept",
    calls="UpdatePipeline",
    expected="kept",
    source="inferred from CodePipeline User Guide, *CodePipeline pipeline structure reference*",
    evidence="assumed",
    not_in={
        "accounts": "AWS shows no secret; it takes a person with a GitHub token who starts a run afterwards",
        "double": "the wire tests of the double look behind it",
        "moto": "moto masks nothing",
    },
)
def mask_kept(_world):
    raise NotTried("no place can be asked")
