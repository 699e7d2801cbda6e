"""What CodePipeline answers to updates of a pipeline."""

from fact import NotTried, code, fact, message
from world import action, approval, document, remove_role, stage

STRUCTURE = "CodePipeline User Guide, *CodePipeline pipeline structure reference*"
API = "CodePipeline API Reference, "
MOTO_VALIDATES_NOTHING = {"moto": "moto validates no update"}
MOTO_RUNS_NOTHING = {"moto": "moto ends every run as it starts"}

NO_SOURCE_ARN = "what AWS gives here is not established, so the double judges no policy with this key, and says so"


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
    "An update is refused while an action's role asks for aws:SourceArn, which a pipeline role's session does not have",
    calls="UpdatePipeline",
    expected="InvalidStructureException",
    source="inferred from IAM User Guide, *AWS global condition context keys*: only a service's own calls have it",
    evidence="assumed",
    not_in={"double": NO_SOURCE_ARN, **MOTO_VALIDATES_NOTHING},
)
def action_role_source_arn(world):
    declaration = world.pipeline()
    role = world.role("dev", world.root("tools"), condition=from_pipeline(world, declaration["name"]))
    invoke = action("Invoke", "Invoke", "Lambda", {"FunctionName": "any"}, roleArn=role)
    return world.update(declaration, lambda changed: changed["stages"].append(stage("Validate", invoke)))


@fact(
    "An update is refused while an action's role asks for an external id, which CodePipeline cannot send",
    calls="UpdatePipeline",
    expected="InvalidStructureException",
    source="inferred from the service model: ActionDeclaration has no member for one",
    evidence="assumed",
    not_in=MOTO_VALIDATES_NOTHING,
)
def action_role_external_id(world):
    declaration = world.pipeline()
    role = world.role("dev", world.root("tools"), condition={"StringEquals": {"sts:ExternalId": "facts"}})
    invoke = action("Invoke", "Invoke", "Lambda", {"FunctionName": "any"}, roleArn=role)
    return world.update(declaration, lambda changed: changed["stages"].append(stage("Validate", invoke)))


@fact(
    "An update is accepted with an action's role that trusts in the form that the controller writes",
    calls="CreateRole, UpdatePipeline",
    expected="accepted",
    source="inferred from IAM User Guide, *AWS global condition context keys*: aws:PrincipalArn is always there",
    evidence="assumed",
    not_in=MOTO_VALIDATES_NOTHING,
)
def action_role_trusting_as_ours(world):
    declaration = world.pipeline()
    role = trusting_as_ours(world, declaration)
    invoke = action("Invoke", "Invoke", "Lambda", {"FunctionName": "any"}, roleArn=role)
    change = lambda changed: changed["stages"].append(stage("Validate", invoke))  # noqa: E731
    # IAM may take a while to show the role.
    world.within_bound(lambda: world.update(declaration, change) == "accepted")
    return world.update(declaration, change)


def trusting_as_ours(world, declaration, policies=None):
    """A role of the dev account that trusts the role of this pipeline as the controller has it."""
    root = world.root("tools")["AWS"]
    (trust,) = world.ours("trust, PipelineRole", root=root, role=declaration["roleArn"])["Statement"]
    return world.role("dev", None, policies, trust=trust, what="invoke")


def from_pipeline(world, name):
    arn = f"arn:{world.partition}:codepipeline:{world.region}:{world.ids['tools']}:{name}"
    return {"StringEquals": {"aws:SourceArn": arn}}


@fact(
    "CodePipeline gives aws:SourceArn when it assumes a pipeline's own role",
    calls="UpdateAssumeRolePolicy, StartPipelineExecution",
    expected="it does",
    source="not established",
    evidence="assumed",
    not_in={"double": "it runs a source without the pipeline's role, so its answer says nothing", **MOTO_RUNS_NOTHING},
)
def pipeline_role_source_arn(world):
    declaration = world.pipeline()
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "codepipeline.amazonaws.com"}}
    trust["Condition"] = from_pipeline(world, declaration["name"])
    name = declaration["roleArn"].split("/")[-1]
    world.client("tools", "iam").update_assume_role_policy(RoleName=name, PolicyDocument=document(trust))
    # The trust policy from before may be in force until IAM shows the change.
    world.propagate()
    run = world.start(declaration)
    source = lambda: world.actions(declaration, run).get("Fetch", {}).get("status")  # noqa: E731
    world.within_bound(lambda: source() in ("Succeeded", "Failed"))
    return "it does" if source() == "Succeeded" else f"it does not: the source is {source()}"


@fact(
    "An update is refused while the pipeline's own role is gone",
    calls="DeleteRole, UpdatePipeline",
    expected="refused",
    source="inferred from the check of an action's role",
    evidence="assumed",
    not_in=MOTO_VALIDATES_NOTHING,
)
def pipeline_role_gone(world):
    declaration = world.pipeline()
    remove_role(world.client("tools", "iam"), declaration["roleArn"].split("/")[-1])
    attempt = lambda: world.update(declaration)  # noqa: E731
    # IAM may show the role for a while.
    world.within_bound(lambda: attempt() != "accepted")
    return "accepted" if attempt() == "accepted" else "refused"


@fact(
    "An update needs no iam:PassRole on an action's role of another account",
    calls="UpdatePipeline",
    expected="accepted",
    source="inferred: PassRole is of one account",
    evidence="assumed",
    not_in=MOTO_VALIDATES_NOTHING,
)
def no_pass_of_action_role(world):
    declaration, role = world.pipeline(), world.role("dev", world.root("tools"))
    invoke = action("Invoke", "Invoke", "Lambda", {"FunctionName": "any"}, roleArn=role)
    caller = editor(world, declaration, pass_role(declaration))
    return world.update(declaration, lambda changed: changed["stages"].append(stage("Validate", invoke)), caller)


def a_second_approval(declaration):
    declaration["stages"][1]["actions"].append(approval("Second", runOrder=2))


@fact(
    "The last writer wins: an update from a read of before another update is accepted, and undoes that",
    calls="GetPipeline, UpdatePipeline",
    expected="accepted, version 3, the other's action gone",
    source="inferred from " + API + "UpdatePipeline, which takes no expected version",
    evidence="assumed",
)
def last_writer_wins(world):
    read = world.pipeline()
    world.update(read, a_second_approval)
    answered = world.update(read, lambda changed: changed["stages"][1]["actions"][0].update(runOrder=2))
    now = world.pipelines.get_pipeline(name=read["name"])["pipeline"]
    there = any(found["name"] == "Second" for found in now["stages"][1]["actions"])
    return f"{answered}, version {now['version']}, the other's action {'there' if there else 'gone'}"


@fact(
    "What an update leaves out is removed",
    calls="UpdatePipeline, GetPipeline",
    expected="no variables",
    source="inferred from " + API + "UpdatePipeline, which takes the whole structure",
    evidence="assumed",
)
def left_out(world):
    variable = [{"name": "Release", "defaultValue": "1"}]
    declaration = world.pipeline(before_create=lambda made: made.update(variables=variable))
    world.update(declaration, lambda changed: changed.pop("variables"))
    now = world.pipelines.get_pipeline(name=declaration["name"])["pipeline"]
    return "variables" if now.get("variables") else "no variables"


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
    # A read that was throttled and comes later is none right after the update.
    declaration, seen, reader = world.pipeline(), 0, world.client("tools", "codepipeline", again=False)
    for version in range(2, 12):
        world.update(declaration)
        seen += reader.get_pipeline(name=declaration["name"])["pipeline"]["version"] == version
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
        return f"arn:{world.partition}:codeconnections:{world.region}:{world.ids['tools']}:connection/{world.next('connection')}"
    client = world.client("tools", "codeconnections")
    made = client.create_connection(ProviderType="GitHub", ConnectionName=world.name)["ConnectionArn"]
    world.made.append(lambda: client.delete_connection(ConnectionArn=made))
    return made


@fact(
    "An action in another region needs an artifact store there",
    calls="UpdatePipeline",
    expected="refused",
    source=STRUCTURE,
    not_in=MOTO_VALIDATES_NOTHING,
)
def store_of_region(world):
    def change(declaration):
        other = action("Elsewhere", "Invoke", "Lambda", {"FunctionName": "any"}, region=world.elsewhere())
        declaration["stages"].append(stage("Validate", other))

    return "accepted" if world.update(world.pipeline(), change) == "accepted" else "refused"


SECRET = "a-secret-of-the-facts"


def with_secret(world):
    """A pipeline with an action of a custom type that has a secret, and the id of that type."""
    kind = world.custom_type("ApiToken")
    custom = {"name": "Check", "actionTypeId": kind, "runOrder": 1, "configuration": {"ApiToken": SECRET}}
    return world.pipeline(stage("Wait", approval()), stage("Check", custom)), kind


def secret_of_a_run(world, declaration, kind):
    """What the worker of the action gets as the secret, in a run of the pipeline as it is now."""
    run = world.start(declaration)
    world.set_up(lambda: world.waits(declaration, run), "a run that waits for an approval")
    world.decide(declaration, "Approved")
    jobs = []

    def polled():
        jobs.extend(world.pipelines.poll_for_jobs(actionTypeId=kind, maxBatchSize=1)["jobs"])
        return bool(jobs)

    world.set_up(polled, "a job of the custom action")
    return jobs[0]["data"]["actionConfiguration"]["configuration"]["ApiToken"]


@fact(
    "A secret is shown as a mask, and the mask that comes back in an unchanged action keeps it",
    calls="CreateCustomActionType, GetPipeline, UpdatePipeline, PollForJobs",
    expected="shown as ****, kept",
    source=API + "ActionConfigurationProperty, which writes the mask with five asterisks",
    not_in={"moto": "moto has no custom action types and masks nothing"},
)
def mask_kept(world):
    declaration, kind = with_secret(world)
    shown = declaration["stages"][2]["actions"][0]["configuration"]["ApiToken"]
    # As the controller does: another stage is edited, and this one goes back as it was read.
    answered = world.update(declaration, a_second_approval_beside)
    if answered != "accepted":
        return f"shown as {shown}, the update was refused: {answered}"
    given = secret_of_a_run(world, declaration, kind)
    return f"shown as {shown}, {'kept' if given == SECRET else 'lost'}"


def a_second_approval_beside(declaration):
    declaration["stages"].append(stage("Late", approval("Late")))


@fact(
    "The mask that comes back in a stage of another name keeps no secret",
    calls="CreateCustomActionType, GetPipeline, UpdatePipeline, PollForJobs",
    expected="lost",
    source=STRUCTURE,
    not_in={"moto": "moto has no custom action types and masks nothing"},
)
def mask_lost(world):
    declaration, kind = with_secret(world)
    answered = world.update(declaration, lambda changed: changed["stages"][2].update(name="Renamed"))
    if answered != "accepted":
        return f"the update was refused: {answered}"
    return "kept" if secret_of_a_run(world, declaration, kind) == SECRET else "lost"
