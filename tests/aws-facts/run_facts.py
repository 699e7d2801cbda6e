"""What happens in a run whose stage invokes a function of the dev account."""

import json

from fact import NotTried, code, fact
from pipeline_facts import trusting_as_ours
from world import UNFINISHED, action, stage

MOTO_RUNS_NOTHING = {"moto": "moto ends every run as it starts"}
PLAIN_NAMES = "what else than a plain name works is not documented, so the double fails such a run"
BOTH = ["lambda:InvokeFunction", "lambda:ListFunctions"]


def invoking(world, actions=None, parameters=None, named=lambda world, function: function, ours=False):
    """What became within the bound of a run that invokes a function: its status, and the message of the action. `named` says
    how the action names the function; `ours` lets its role trust as the controller writes it."""
    function, _ = world.function()
    arn = function_arn(world, function)
    rights = []
    for right in actions or BOTH:
        resource = "*" if right == "lambda:ListFunctions" else [arn, arn + ":*"]
        rights.append({"Effect": "Allow", "Action": right, "Resource": resource})
    configuration = {"FunctionName": named(world, function), "UserParameters": json.dumps(parameters or {})}
    invoke = action("Invoke", "Invoke", "Lambda", configuration)
    if ours:
        # The role names that of the pipeline, so the pipeline comes first.
        declaration = world.pipeline()
        invoke["roleArn"] = trusting_as_ours(world, declaration, {"invoke": rights})
        declaration["stages"][1:] = [stage("Validate", invoke)]
        world.eventually(lambda: world.pipelines.update_pipeline(pipeline=declaration), "InvalidStructureException")
    else:
        invoke["roleArn"] = world.role("dev", world.root("tools"), {"invoke": rights}, what="invoke")
        declaration = world.pipeline(stage("Validate", invoke))
    run = world.start(declaration)
    ended = lambda: world.status(declaration, run) not in UNFINISHED  # noqa: E731
    world.set_up(lambda: "Invoke" in world.actions(declaration, run) or ended(), "a run that reaches the function")
    if "Invoke" not in (reached := world.actions(declaration, run)):
        raise NotTried(f"the run ended before its function: {reached}")
    if not world.within_bound(ended):
        return world.status(declaration, run), f"no report: the action is {world.actions(declaration, run)['Invoke']['status']}"
    return world.status(declaration, run), world.action_state(declaration, "Invoke").get("errorDetails", {}).get("message", "")


def function_arn(world, name):
    return f"arn:{world.partition}:lambda:{world.region}:{world.ids['dev']}:function:{name}"


def ended(world, expected, **options):
    """The status of a run, and the message of its action if that is not what was expected."""
    status, text = invoking(world, **options)
    return status if status == expected or not text else f"{status}, {text}"


@fact(
    "A function of another account reports with its execution role",
    calls="StartPipelineExecution, PutJobSuccessResult",
    expected="Succeeded",
    source="inferred from set-ups that work so",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def reports_from_dev(world):
    return ended(world, "Succeeded")


@fact(
    "A trust in the form that the controller writes works in a run: sts:AssumeRole alone, without session tags or a source \
identity",
    calls="UpdatePipeline, StartPipelineExecution, PutJobSuccessResult",
    expected="Succeeded",
    source="inferred: nobody saw CodePipeline send session tags or a source identity",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def trusted_as_ours(world):
    return ended(world, "Succeeded", ours=True)


@fact(
    "It reports in the region of the pipeline",
    calls="StartPipelineExecution, PutJobSuccessResult in another region",
    expected="JobNotFoundException",
    source="not established",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def reports_in_the_region(world):
    status, text = invoking(world, parameters={"region": world.elsewhere()})
    if status != "Failed":
        return "accepted" if status == "Succeeded" else f"{status}, {text}"
    return text.split(": ")[-1]


@fact(
    "The account of the pipeline does not know the job of a function elsewhere",
    calls="StartPipelineExecution, PutJobFailureResult, PutJobSuccessResult by the other account",
    expected="JobNotFoundException",
    source="inferred from CodePipeline API Reference, PutJobSuccessResult, which has no other error for it",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def job_of_another_account(world):
    status, text = invoking(world, parameters={"fail": "with the job's id"})
    if status != "Failed":
        raise NotTried(f"the function told no job: {status}, {text}")
    return code(world.pipelines.put_job_success_result, jobId=text.split(": ")[-1])


@fact(
    "The invoke role needs lambda:ListFunctions",
    calls="StartPipelineExecution",
    expected="Failed without",
    source="CodePipeline User Guide, *AWS Lambda invoke action reference*; samples do without",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def needs_list_functions(world):
    return f"{ended(world, 'Failed', actions=['lambda:InvokeFunction'])} without"


@fact(
    "The invoke role needs lambda:InvokeFunction",
    calls="StartPipelineExecution",
    expected="Failed without",
    source="CodePipeline User Guide, *AWS Lambda invoke action reference*",
    not_in=MOTO_RUNS_NOTHING,
)
def needs_invoke(world):
    return f"{ended(world, 'Failed', actions=['lambda:ListFunctions'])} without"


@fact(
    "FunctionName takes an alias behind the name",
    calls="UpdatePipeline, StartPipelineExecution",
    expected="Succeeded",
    source="not established; the reference says the name of the function",
    evidence="assumed",
    not_in={"double": PLAIN_NAMES, **MOTO_RUNS_NOTHING},
)
def takes_an_alias(world):
    return ended(world, "Succeeded", named=alias_of)


def alias_of(world, function):
    world.client("dev", "lambda").create_alias(FunctionName=function, Name="live", FunctionVersion="$LATEST")
    return f"{function}:live"


@fact(
    "FunctionName takes an ARN",
    calls="UpdatePipeline, StartPipelineExecution",
    expected="Succeeded",
    source="not established; the reference says the name of the function",
    evidence="assumed",
    not_in={"double": PLAIN_NAMES, **MOTO_RUNS_NOTHING},
)
def takes_an_arn(world):
    return ended(world, "Succeeded", named=function_arn)


@fact(
    "A job that does not exist cannot be reported on",
    calls="PutJobSuccessResult",
    expected="JobNotFoundException",
    source="CodePipeline API Reference, PutJobSuccessResult",
    not_in={"moto": "moto lacks the operation"},
)
def unknown_job(world):
    return code(world.pipelines.put_job_success_result, jobId="00000000-0000-0000-0000-000000000000")
