"""What happens in a run whose stage invokes a function of the dev account."""

import json

from fact import code, fact
from world import OTHER_REGION, action, stage

MOTO_RUNS_NOTHING = {"moto": "moto ends every run as it starts"}
BOTH = ["lambda:InvokeFunction", "lambda:ListFunctions"]


def invoking(world, actions=None, parameters=None, qualifier=""):
    """The end of a run that invokes a function: status, and the message of the action."""
    function, _ = world.function()
    arn = f"arn:{world.partition}:lambda:us-east-1:{world.ids['dev']}:function:{function}"
    rights = []
    for right in actions or BOTH:
        resource = "*" if right == "lambda:ListFunctions" else [arn, arn + ":*"]
        rights.append({"Effect": "Allow", "Action": right, "Resource": resource})
    role = world.role("dev", world.root("tools"), {"invoke": rights}, what="invoke")
    configuration = {"FunctionName": function + qualifier, "UserParameters": json.dumps(parameters or {})}
    invoke = action("Invoke", "Invoke", "Lambda", configuration, roleArn=role)
    declaration = world.pipeline(stage("Validate", invoke))
    run = world.start(declaration)
    world.until(lambda: world.status(declaration, run) != "InProgress", "the end of the run")
    return world.status(declaration, run), world.action_state(declaration, "Invoke").get("errorDetails", {}).get("message", "")


@fact(
    "A function of another account reports with its execution role",
    calls="StartPipelineExecution, PutJobSuccessResult",
    expected="Succeeded",
    source="inferred from set-ups that work so",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def reports_from_dev(world):
    return invoking(world)[0]


@fact(
    "It reports in the region of the pipeline",
    calls="StartPipelineExecution, PutJobSuccessResult in another region",
    expected="JobNotFoundException",
    source="not established",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def reports_in_the_region(world):
    status, text = invoking(world, parameters={"region": OTHER_REGION})
    return "accepted" if status == "Succeeded" else text.split(": ")[-1]


@fact(
    "The invoke role needs lambda:ListFunctions",
    calls="StartPipelineExecution",
    expected="Failed without",
    source="CodePipeline User Guide, *AWS Lambda invoke action reference*; samples do without",
    evidence="assumed",
    not_in=MOTO_RUNS_NOTHING,
)
def needs_list_functions(world):
    return f"{invoking(world, actions=['lambda:InvokeFunction'])[0]} without"


@fact(
    "The invoke role needs lambda:InvokeFunction",
    calls="StartPipelineExecution",
    expected="Failed without",
    source="CodePipeline User Guide, *AWS Lambda invoke action reference*",
    not_in=MOTO_RUNS_NOTHING,
)
def needs_invoke(world):
    return f"{invoking(world, actions=['lambda:ListFunctions'])[0]} without"


@fact(
    "FunctionName takes an alias behind the name",
    calls="UpdatePipeline, StartPipelineExecution",
    expected="Succeeded",
    source="not established; the reference says the name of the function",
    evidence="assumed",
    not_in={"double": "it has no aliases: the controller declares plain names", **MOTO_RUNS_NOTHING},
)
def takes_an_alias(world):
    return invoking(world, qualifier=":$LATEST")[0]


@fact(
    "A job that does not exist cannot be reported on",
    calls="PutJobSuccessResult",
    expected="JobNotFoundException",
    source="CodePipeline API Reference, PutJobSuccessResult",
    not_in={"moto": "moto lacks the operation"},
)
def unknown_job(world):
    return code(world.pipelines.put_job_success_result, jobId="00000000-0000-0000-0000-000000000000")
