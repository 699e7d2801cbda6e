"""Two accounts, what is made in them for the facts, and its removal."""

import io
import json
import os
import re
import sys
import time
import urllib.request
import uuid
import zipfile

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from calls import client
from fact import NotTried, code

# Everything that is made has a name with this prefix, and nothing without it is changed or removed.
PREFIX = "crossinvoke-facts-"
# Where the accounts are asked if neither REGION nor the profile says it.
REGION = "us-east-1"
HERE = os.path.dirname(os.path.abspath(__file__))
HANDLER = os.path.join(HERE, "handler", "index.py")
# The documents that the controller writes, as its own tests hold them.
DOCUMENTS = os.path.join(HERE, "..", "..", "src", "domain", "policy", "snapshots", "crossinvoke__domain__policy__tests__the_documents_we_write_read_as_goldens.snap")
# How AWS begins the name of a role that is linked to EC2 Auto Scaling; a suffix of ours follows.
LINKED = "AWSServiceRoleForAutoScaling_"
# IAM shows a change after seconds, rarely after a minute.
PATIENCE = 90
# How long a run may take to get where it gets, in seconds. An action whose function cannot report stays open for twenty
# minutes: what has not come about by then is what is answered.
BOUND = 300


# A run of these states has not ended.
UNFINISHED = ("InProgress", "Stopping")


class World:
    """Clients of the tools and the dev account."""

    def __init__(self, tools, dev, place, region):
        self.sessions = {"tools": tools, "dev": dev}
        self.region = region
        # `accounts`, `double` or `moto`.
        self.place = place
        self.name = PREFIX + uuid.uuid4().hex[:8]
        self.made = []
        self.number = 0
        self.ids = {side: self.client(side, "sts").get_caller_identity()["Account"] for side in self.sessions}
        self.partition = self.client("tools", "sts").get_caller_identity()["Arn"].split(":")[1]
        known = tools.get_available_regions("codepipeline", partition_name=self.partition)
        # Every account has the first two; a partition without them has others.
        others = [other for other in ("us-east-1", "eu-west-1", *known) if other in known and other != region]
        self.other_region = others[0] if others else ""

    def client(self, side, service, region="", *, again=True):
        """`again`: what may be called again is, when it is throttled. Not for the call that a fact is about, if when it
        comes is part of the fact."""
        return client(self.sessions[side], service, again=again, region_name=region or self.region)

    @property
    def iam(self):
        return self.client("dev", "iam")

    @property
    def pipelines(self):
        return self.client("tools", "codepipeline")

    def next(self, what):
        self.number += 1
        return f"{self.name}-{what}-{self.number}"

    def eventually(self, call, *codes):
        """Calls until AWS no longer answers with one of these codes: what was just made in IAM takes time to show."""
        until = time.monotonic() + (PATIENCE if self.place == "accounts" else 0)
        while True:
            try:
                return call()
            except ClientError as error:
                if error.response["Error"]["Code"] not in codes or time.monotonic() > until:
                    raise
                time.sleep(3)

    def elsewhere(self):
        """Another region of the partition."""
        if not self.other_region:
            raise NotTried(f"no other region of {self.partition} is known")
        return self.other_region

    def propagate(self):
        """Waits until IAM shows a change that no call tells."""
        if self.place == "accounts":
            time.sleep(PATIENCE)

    def ours(self, name, **arns):
        """A document as the controller writes it, with these ARNs instead of those of its tests."""
        with open(DOCUMENTS, encoding="utf-8") as file:
            written = json.loads(file.read().split("---", 2)[2])[name]
        text = json.dumps(written)
        for kind, arn in arns.items():
            text, found = re.subn(rf'"arn:[^"]*:{kind}(/[^"]*)?"', lambda _, arn=arn: f'"{arn}"', text)
            assert found == 1, (name, kind, text)
        return json.loads(text)

    # --- what is made

    def role(self, side, principal, policies=None, *, what="role", condition=None, trust=None, **options):
        """A role with inline policies, which may be assumed under a condition, or by another statement; returns its ARN."""
        name = options.pop("name", None) or self.next(what)
        iam = self.client(side, "iam")
        trust = trust or {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
        if condition:
            trust["Condition"] = condition
        create = {"RoleName": name, "AssumeRolePolicyDocument": document(trust), **options}
        made = self.eventually(lambda: iam.create_role(**create), "MalformedPolicyDocument")
        self.made.append(lambda: remove_role(iam, name))
        for policy, statements in (policies or {}).items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document(*statements))
        return made["Role"]["Arn"]

    def as_role(self, arn):
        """A session of a role of the dev or tools account that trusts that account."""
        side = next(side for side, account in self.ids.items() if f":{account}:" in arn)
        sts = self.client(side, "sts")
        assume = {"RoleArn": arn, "RoleSessionName": "facts"}
        issued = self.eventually(lambda: sts.assume_role(**assume), "AccessDenied")["Credentials"]
        keys = issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"]
        session = boto3.Session(*keys, region_name=self.region)
        endpoint = sts.meta.endpoint_url if self.place != "accounts" else None
        return lambda service: client(session, service, endpoint_url=endpoint)

    def service_linked_role(self):
        """A role of the dev account that is linked to a service; returns its name, of which AWS chooses the beginning."""
        service, suffix, iam = "autoscaling.amazonaws.com", self.next("slr"), self.iam
        name = f"{LINKED}{suffix}"
        if self.place == "double":
            trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
            role = {"path": f"/aws-service-role/{service}/", "trust": json.loads(document(trust))}
            self.admin("put-role", account=self.ids["dev"], name=name, role=role)
        else:
            iam.create_service_linked_role(AWSServiceName=service, CustomSuffix=suffix)
        self.made.append(lambda: self.remove_linked_role(name))
        return name

    def remove_linked_role(self, name):
        if self.place == "double":
            self.admin("remove-role", account=self.ids["dev"], name=name)
        else:
            # AWS removes it when the service agrees, which is soon: nothing uses the role.
            self.iam.delete_service_linked_role(RoleName=name)

    def root(self, side):
        return {"AWS": f"arn:{self.partition}:iam::{self.ids[side]}:root"}

    def function(self, environment=None):
        """A function of the dev account that answers the pipeline; returns its name and its role."""
        role = self.role("dev", {"Service": "lambda.amazonaws.com"}, {"callback": [CALLBACK]}, what="execution")
        name, client = self.next("function"), self.client("dev", "lambda")
        with open(HANDLER, encoding="utf-8") as file:
            source = file.read()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("index.py", source)
        create = {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Role": role,
            "Handler": "index.handler",
            "Timeout": 60,
            "Code": {"ZipFile": packed.getvalue()},
            "Environment": {"Variables": environment or {}},
        }
        self.eventually(lambda: client.create_function(**create), "InvalidParameterValueException")
        self.made.append(lambda: self.remove_function(name))
        if self.place == "accounts":
            client.get_waiter("function_active_v2").wait(FunctionName=name)
        elif self.place == "double":
            self.admin("set-behaviour", account=self.ids["dev"], region=self.region, name=name, behaviour=self.python())
        return name, role

    def remove_function(self, name):
        if self.place == "double":
            self.admin("remove-function", account=self.ids["dev"], region=self.region, name=name)
        else:
            self.client("dev", "lambda").delete_function(FunctionName=name)

    def python(self):
        return {"type": "python", "file": HANDLER, "python": sys.executable}

    def admin(self, command, **arguments):
        """Reaches behind the double."""
        body = json.dumps({"command": command, **arguments}).encode()
        endpoint = self.client("dev", "sts").meta.endpoint_url
        with urllib.request.urlopen(f"{endpoint}/_fakeaws/command", data=body) as answer:
            return json.load(answer)

    def bucket(self):
        """A bucket for artifacts, with an object that a source action finds. Neither the double nor moto is asked."""
        name = self.next("artifacts")
        if self.place == "accounts":
            s3 = self.client("tools", "s3")
            # us-east-1 is the one region that is not named.
            named = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
            s3.create_bucket(Bucket=name, **named)
            self.made.append(lambda: remove_bucket(self.sessions["tools"], name))
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
            s3.put_object(Bucket=name, Key="source.zip", Body=b"PK\x05\x06" + b"\x00" * 18)
        return name

    def pipeline(self, *stages, mode="SUPERSEDED", before_create=lambda declaration: None, role_policies=None):
        """A pipeline of the tools account with a source and these stages; returns its declaration."""
        bucket = self.bucket()
        storage = {"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:{self.partition}:s3:::{bucket}{rest}" for rest in ("", "/*")]}
        assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": f"arn:{self.partition}:iam::{self.ids['dev']}:role/{PREFIX}*"}
        policies = {"storage": [storage], "assume": [assume], **(role_policies or {})}
        role = self.role("tools", {"Service": "codepipeline.amazonaws.com"}, policies, what="pipeline")
        fetch = action("Fetch", "Source", "S3", {"S3Bucket": bucket, "S3ObjectKey": "source.zip", "PollForSourceChanges": "false"})
        fetch["outputArtifacts"] = [{"name": "source"}]
        declaration = {
            "name": self.next("release"),
            "roleArn": role,
            "artifactStore": {"type": "S3", "location": bucket},
            "pipelineType": "V2",
            "executionMode": mode,
            "stages": [{"name": "Source", "actions": [fetch]}, *(stages or (stage("Wait", approval()),))],
        }
        before_create(declaration)
        create = lambda: self.pipelines.create_pipeline(pipeline=declaration)  # noqa: E731
        self.eventually(create, "InvalidStructureException")
        self.made.append(lambda: self.pipelines.delete_pipeline(name=declaration["name"]))
        self.end_first_run(declaration["name"])
        return self.pipelines.get_pipeline(name=declaration["name"])["pipeline"]

    def end_first_run(self, name):
        """AWS starts a run of each pipeline that is made, which would be in the way of those of the facts."""
        if self.place == "moto" or not self.within_bound(lambda: self.runs(name)):
            return
        stop = {"pipelineName": name, "pipelineExecutionId": self.runs(name)[0]["pipelineExecutionId"]}
        code(self.pipelines.stop_pipeline_execution, **stop, abandon=True)
        self.set_up(lambda: self.runs(name)[0]["status"] not in UNFINISHED, "a pipeline without a run")

    def runs(self, name):
        """The runs of a pipeline, the newest first."""
        return self.pipelines.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]

    def stack(self, declaration):
        """A CloudFormation stack of the tools account with this pipeline; returns its name."""
        client, name = self.client("tools", "cloudformation"), self.next("stack")
        client.create_stack(StackName=name, TemplateBody=template(declaration))
        self.made.append(lambda: remove_stack(client, name))
        client.get_waiter("stack_create_complete").wait(StackName=name)
        self.end_first_run(declaration["name"])
        return name

    def custom_type(self, *secrets):
        """A custom action type of the tools account with secret properties; returns its id."""
        kind = {"category": "Test", "provider": self.next("type"), "version": "1"}
        none = {"minimumCount": 0, "maximumCount": 0}
        properties = [{"name": name, "required": True, "key": False, "secret": True, "queryable": False} for name in secrets]
        make = {"configurationProperties": properties, "inputArtifactDetails": none, "outputArtifactDetails": none}
        self.pipelines.create_custom_action_type(**kind, **make)
        self.made.append(lambda: self.pipelines.delete_custom_action_type(**kind))
        return {**kind, "owner": "Custom"}

    def update(self, declaration, change=lambda declaration: None, client=None):
        """UpdatePipeline with a changed copy; returns the code of the answer."""
        changed = json.loads(json.dumps(declaration))
        change(changed)
        return code((client or self.pipelines).update_pipeline, pipeline=changed)

    def start(self, declaration):
        return self.pipelines.start_pipeline_execution(name=declaration["name"])["pipelineExecutionId"]

    def status(self, declaration, execution):
        asked = {"pipelineName": declaration["name"], "pipelineExecutionId": execution}
        return self.pipelines.get_pipeline_execution(**asked)["pipelineExecution"]["status"]

    def action_state(self, declaration, name):
        stages = self.pipelines.get_pipeline_state(name=declaration["name"])["stageStates"]
        states = [state for stage in stages for state in stage.get("actionStates", []) if state["actionName"] == name]
        return states[0].get("latestExecution", {}) if states else {}

    def actions(self, declaration, execution):
        """The newest execution of each action of a run, by the action's name; runs in PARALLEL mode have them too."""
        asked = {"pipelineName": declaration["name"], "filter": {"pipelineExecutionId": execution}}
        newest_first = self.pipelines.list_action_executions(**asked)["actionExecutionDetails"]
        return {found["actionName"]: found for found in reversed(newest_first)}

    def waits(self, declaration, run, name="Approve"):
        """Whether a run waits for an approval."""
        return self.actions(declaration, run).get(name, {}).get("status") == "InProgress"

    def decide(self, declaration, status, name="Approve"):
        """Answers an approval of the stage Wait."""
        token = self.action_state(declaration, name)["token"]
        place = {"pipelineName": declaration["name"], "stageName": "Wait", "actionName": name}
        self.pipelines.put_approval_result(**place, result={"summary": status, "status": status}, token=token)

    def set_up(self, ready, what):
        """Waits until what a fact needs is there. Without it the fact cannot be tried."""
        if not self.within_bound(ready):
            raise NotTried(f"{what} could not be set up within {BOUND} s")

    def within_bound(self, ready):
        """Waits until this says yes, as long as it may take; returns whether it did."""
        if self.place == "double":
            # It says when nothing more will come about by itself.
            endpoint = self.client("dev", "sts").meta.endpoint_url
            urllib.request.urlopen(f"{endpoint}/_fakeaws/settled").read()
            return ready()
        until = time.monotonic() + BOUND
        while not ready():
            if time.monotonic() > until:
                return False
            time.sleep(3)
        return True

    def clean(self):
        """Removes what was made, the newest first; returns what could not be removed."""
        left = []
        for remove in reversed(self.made):
            try:
                remove()
            except (BotoCoreError, ClientError) as error:
                left.append(str(error))
        self.made.clear()
        return left


CALLBACK = {
    "Effect": "Allow",
    "Action": ["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"],
    "Resource": "*",
}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def stage(name, *actions):
    return {"name": name, "actions": list(actions)}


def action(name, category, provider, configuration=None, **members):
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    made = {"name": name, "actionTypeId": kind, "runOrder": 1, **members}
    if configuration:
        made["configuration"] = configuration
    return made


def template(declaration):
    """A CloudFormation template with this pipeline, which starts a run at each update of it."""
    described = {member: value for member, value in declaration.items() if member != "version"}
    properties = {**capitalized(described), "RestartExecutionOnUpdate": True}
    return json.dumps({"Resources": {"Pipeline": {"Type": "AWS::CodePipeline::Pipeline", "Properties": properties}}})


def capitalized(value):
    """Members as CloudFormation spells them; what actions are configured with is spelled as it is."""
    if isinstance(value, list):
        return [capitalized(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        member[0].upper() + member[1:]: inner if member == "configuration" else capitalized(inner)
        for member, inner in value.items()
    }


def approval(name="Approve", **members):
    return action(name, "Approval", "Manual", **members)


def remove_role(iam, name):
    try:
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        iam.delete_role(RoleName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise


def remove_stack(client, name):
    client.delete_stack(StackName=name)
    client.get_waiter("stack_delete_complete").wait(StackName=name)


def remove_bucket(session, name):
    bucket = session.resource("s3").Bucket(name)
    bucket.object_versions.delete()
    bucket.delete()


def remove_leftovers(world):
    """Removes what runs that broke off left in both accounts; returns the names."""
    gone = []
    if world.place == "accounts":
        stacks = world.client("tools", "cloudformation")
        for page in stacks.get_paginator("describe_stacks").paginate():
            for found in page["Stacks"]:
                if found["StackName"].startswith(PREFIX):
                    remove_stack(stacks, found["StackName"])
                    gone.append(found["StackName"])
    pipelines = world.pipelines
    for found in pipelines.list_pipelines()["pipelines"]:
        if found["name"].startswith(PREFIX):
            pipelines.delete_pipeline(name=found["name"])
            gone.append(found["name"])
    if world.place == "accounts":
        for page in pipelines.get_paginator("list_action_types").paginate(actionOwnerFilter="Custom"):
            for found in page["actionTypes"]:
                kind = {member: found["id"][member] for member in ("category", "provider", "version")}
                if kind["provider"].startswith(PREFIX):
                    pipelines.delete_custom_action_type(**kind)
                    gone.append(kind["provider"])
    functions = world.client("dev", "lambda")
    for page in functions.get_paginator("list_functions").paginate():
        for found in page["Functions"]:
            if found["FunctionName"].startswith(PREFIX):
                world.remove_function(found["FunctionName"])
                gone.append(found["FunctionName"])
    for side in ("dev", "tools"):
        iam = world.client(side, "iam")
        for page in iam.get_paginator("list_roles").paginate():
            for found in page["Roles"]:
                if found["RoleName"].startswith(PREFIX):
                    remove_role(iam, found["RoleName"])
                    gone.append(found["RoleName"])
                elif side == "dev" and found["RoleName"].startswith(LINKED + PREFIX):
                    world.remove_linked_role(found["RoleName"])
                    gone.append(found["RoleName"])
    if world.place == "accounts":
        for found in world.client("tools", "s3").list_buckets()["Buckets"]:
            if found["Name"].startswith(PREFIX):
                remove_bucket(world.sessions["tools"], found["Name"])
                gone.append(found["Name"])
        connections = world.client("tools", "codeconnections")
        for page in connections.get_paginator("list_connections").paginate():
            for found in page["Connections"]:
                if found["ConnectionName"].startswith(PREFIX):
                    connections.delete_connection(ConnectionArn=found["ConnectionArn"])
                    gone.append(found["ConnectionName"])
    return gone
