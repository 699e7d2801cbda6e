"""What tools that own a pipeline do to stages that others added."""

from fact import fact
from world import approval, stage, template


@fact(
    "An update of a CloudFormation stack takes away a stage that its template does not have, and starts a run if told to",
    calls="CreateStack, UpdatePipeline, UpdateStack, GetPipeline, ListPipelineExecutions",
    expected="stages: Source Wait, a run started",
    source="inferred from AWS CloudFormation Template Reference, *AWS::CodePipeline::Pipeline*",
    evidence="assumed",
    not_in={"double": "the double has no CloudFormation", "moto": "it is about AWS alone"},
)
def stack_update(world):
    declaration = {**world.pipeline(), "name": world.next("release")}
    stack = world.stack(declaration)
    owned = world.pipelines.get_pipeline(name=declaration["name"])["pipeline"]
    world.update(owned, lambda changed: changed["stages"].append(stage("Gate", approval("Gate"))))
    before = len(world.runs(declaration["name"]))
    declaration["stages"][1]["actions"][0]["configuration"] = {"CustomData": "of the next deployment"}
    client = world.client("tools", "cloudformation")
    client.update_stack(StackName=stack, TemplateBody=template(declaration))
    client.get_waiter("stack_update_complete").wait(StackName=stack)
    started = world.within_bound(lambda: len(world.runs(declaration["name"])) > before)
    stages = world.pipelines.get_pipeline(name=declaration["name"])["pipeline"]["stages"]
    return f"stages: {' '.join(found['name'] for found in stages)}, {'a' if started else 'no'} run started"
