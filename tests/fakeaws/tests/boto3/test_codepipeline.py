"""CodePipeline behaviours, as boto3 sees them over both protocols of the service."""

import datetime
import json

from botocore.exceptions import ConnectionClosedError

from support import DEV, DEV_ROOT, TOOLS, TOOLS_ROOT, ProtocolTestCase, allow, trust

PIPELINE_ROLE = "arn:aws:iam::111111111111:role/service-role/pipeline"
INVOKE_ROLE = "arn:aws:iam::222222222222:role/invoke"
AT = {"account": TOOLS, "region": "us-east-1", "name": "release"}


def action(name, category, owner, provider, **members):
    kind = {"category": category, "owner": owner, "provider": provider, "version": "1"}
    return {"name": name, "actionTypeId": kind, **members}


def declaration():
    secret = {"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "ghp_secret"}
    fetch = action("Fetch", "Source", "ThirdParty", "GitHub", configuration=secret)
    fetch["outputArtifacts"] = [{"name": "source"}]
    compile_ = action("Compile", "Build", "AWS", "CodeBuild", runOrder=2, inputArtifacts=[{"name": "source"}])
    approve = action("Approve", "Approval", "AWS", "Manual", runOrder=1)
    invoke = action("Invoke", "Invoke", "AWS", "Lambda", roleArn=INVOKE_ROLE)
    invoke["configuration"] = {"FunctionName": "MyFunction"}
    return {
        "name": "release",
        "roleArn": PIPELINE_ROLE,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [fetch]},
            {"name": "Build", "actions": [compile_, approve]},
            {"name": "Validate", "actions": [invoke]},
        ],
    }


class CodePipelineTestCase(ProtocolTestCase):
    """With the invoke role in the dev account and one pipeline in the tools account."""

    def setUp(self):
        super().setUp()
        document = json.dumps(trust({"AWS": TOOLS}))
        self.client("iam", DEV_ROOT).create_role(RoleName="invoke", AssumeRolePolicyDocument=document)
        self.codepipeline = self.client("codepipeline", TOOLS_ROOT)
        self.make()

    def make(self):
        self.codepipeline.create_pipeline(pipeline=declaration())

    def read(self):
        return self.codepipeline.get_pipeline(name="release")["pipeline"]

    def kept(self):
        """The declaration as it really is, secrets and all."""
        snapshot = self.admin("snapshot")
        return snapshot["configuration"]["accounts"][TOOLS]["pipelines"]["us-east-1"]["release"]

    def token(self):
        return self.kept()["stages"][0]["actions"][0]["configuration"]["OAuthToken"]

    def statuses(self):
        answer = self.codepipeline.list_pipeline_executions(pipelineName="release")
        return [summary["status"] for summary in answer["pipelineExecutionSummaries"]]


class Declarations(CodePipelineTestCase):
    def test_the_protocol_is_the_one_that_is_meant(self):
        sent = []
        self.codepipeline.meta.events.register("before-send.codepipeline", lambda request, **_: sent.append(request))
        self.read()
        expected = {"json": b"application/x-amz-json-1.1", "smithy-rpc-v2-cbor": b"application/cbor"}[self.protocol]
        self.assertEqual([request.headers["Content-Type"] for request in sent], [expected])

    def test_times_are_times(self):
        metadata = self.codepipeline.get_pipeline(name="release")["metadata"]
        age = datetime.datetime.now(datetime.timezone.utc) - metadata["created"]
        self.assertLess(abs(age), datetime.timedelta(minutes=1))
        self.assertEqual(metadata["pipelineArn"], "arn:aws:codepipeline:us-east-1:111111111111:release")

    def test_defaults_are_filled_in(self):
        pipeline = self.read()
        self.assertEqual([act["name"] for act in pipeline["stages"][1]["actions"]], ["Approve", "Compile"])
        invoke = pipeline["stages"][2]["actions"][0]
        self.assertEqual((invoke["region"], invoke["runOrder"]), ("us-east-1", 1))
        self.assertEqual((invoke["inputArtifacts"], invoke["outputArtifacts"]), ([], []))

    def test_secrets_are_masked_and_preserved_when_sent_back(self):
        pipeline = self.read()
        self.assertEqual(pipeline["stages"][0]["actions"][0]["configuration"]["OAuthToken"], "****")
        updated = self.codepipeline.update_pipeline(pipeline=pipeline)["pipeline"]
        self.assertEqual(updated["stages"][0]["actions"][0]["configuration"]["OAuthToken"], "****")
        self.assertEqual(self.token(), "ghp_secret")

    def test_a_renamed_stage_loses_its_secrets(self):
        pipeline = self.read()
        pipeline["stages"][0]["name"] = "Renamed"
        self.codepipeline.update_pipeline(pipeline=pipeline)
        self.assertEqual(self.token(), "****")

    def test_versions(self):
        self.assertEqual(self.read()["version"], 1)
        changed = self.read()
        changed["stages"][2]["actions"][0]["configuration"]["UserParameters"] = "{}"
        self.assertEqual(self.codepipeline.update_pipeline(pipeline=changed)["pipeline"]["version"], 2)
        old = self.codepipeline.get_pipeline(name="release", version=1)["pipeline"]
        self.assertNotIn("UserParameters", old["stages"][2]["actions"][0]["configuration"])
        answer = self.refusal(self.codepipeline.get_pipeline, name="release", version=3)
        self.assertEqual(answer[:2], (400, "PipelineVersionNotFoundException"))

    def test_unknown_members_outlive_what_boto3_does_not_touch(self):
        future = {**declaration(), "fromTheFuture": {"deep": [1, 2.5]}}
        self.admin("replace-pipeline", account=TOOLS, region="us-east-1", declaration=future)
        self.assertNotIn("fromTheFuture", self.read())
        self.assertEqual(self.kept()["fromTheFuture"], {"deep": [1, 2.5]})

    def test_absence(self):
        missing = {**declaration(), "name": "nothing"}
        answer = self.refusal(self.codepipeline.update_pipeline, pipeline=missing)
        text = "Account '111111111111' does not have a pipeline with name 'nothing'"
        self.assertEqual(answer, (400, "PipelineNotFoundException", text))
        self.codepipeline.delete_pipeline(name="nothing")
        self.codepipeline.delete_pipeline(name="release")
        self.assertEqual(self.codepipeline.list_pipelines()["pipelines"], [])

    def test_reads_lag(self):
        self.admin("advance-clock", seconds=60)
        self.admin("set-propagation", propagation={"readsMilliseconds": 30_000})
        self.codepipeline.update_pipeline(pipeline=self.read())
        self.assertEqual(self.read()["version"], 1)
        self.admin("advance-clock", seconds=31)
        self.assertEqual(self.read()["version"], 2)

    def test_a_dropped_answer_has_been_applied(self):
        fault = {"operation": "UpdatePipeline", "effect": {"type": "dropAfterApplying"}}
        self.admin("add-fault", fault=fault)
        with self.assertRaises(ConnectionClosedError):
            self.codepipeline.update_pipeline(pipeline=self.read())
        self.assertEqual(self.read()["version"], 2)

    def test_throttling(self):
        self.admin("add-fault", fault={"operation": "GetPipeline", "effect": {"type": "throttle"}})
        answer = self.refusal(self.codepipeline.get_pipeline, name="release")
        self.assertEqual(answer, (400, "ThrottlingException", "Rate exceeded"))


class Refusals(CodePipelineTestCase):
    def test_structure(self):
        def refused(change):
            changed = declaration()
            change(changed)
            return self.refusal(self.codepipeline.update_pipeline, pipeline=changed)

        least = "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline"
        self.assertEqual(refused(lambda p: p["stages"].__delitem__(slice(1, 3))), (400, "InvalidStructureException", least))
        first = "Pipeline should start with a stage that only contains source actions"
        self.assertEqual(refused(lambda p: p["stages"].reverse()), (400, "InvalidStructureException", first))
        answer = refused(lambda p: p["stages"][2].update(actions=[]))
        self.assertEqual(answer[1], "InvalidStageDeclarationException")
        answer = refused(lambda p: p["stages"][2].update(name="Build"))
        self.assertEqual(answer[1:], ("InvalidStageDeclarationException", "Stage name 'Build' is used more than once"))
        answer = refused(lambda p: p["stages"][1]["actions"][0].update(inputArtifacts=[{"name": "nothing"}]))
        self.assertEqual(answer[1], "InvalidActionDeclarationException")
        answer = refused(lambda p: p["stages"][2]["actions"][0].update(region="eu-west-1"))
        self.assertIn("Use 'pipeline.artifactStores' instead", answer[2])

    def test_values(self):
        changed = declaration()
        changed["stages"][2]["actions"][0]["configuration"]["UserParameters"] = "a" * 1001
        answer = self.refusal(self.codepipeline.update_pipeline, pipeline=changed)
        self.assertEqual(answer[:2], (400, "ValidationException"))
        self.assertIn("at 'pipeline.stages.3.member.actions.1.member.configuration'", answer[2])

    def test_the_pipeline_role_must_be_able_to_assume_the_action_role(self):
        text = f"Pipeline role {PIPELINE_ROLE} is not authorized to perform AssumeRole on action role {INVOKE_ROLE}"
        refused = (400, "InvalidStructureException", text)
        root = trust({"AWS": "arn:aws:iam::111111111111:root"})
        root["Statement"][0]["Condition"] = {"ArnEquals": {"aws:PrincipalArn": PIPELINE_ROLE}}
        self.admin("put-trust", account=DEV, role="invoke", document=root)
        self.codepipeline.update_pipeline(pipeline=self.read())
        self.admin("put-trust", account=DEV, role="invoke", document=trust({"AWS": DEV}))
        self.assertEqual(self.refusal(self.codepipeline.update_pipeline, pipeline=self.read()), refused)
        self.admin("put-trust", account=DEV, role="invoke", document=root)
        self.admin("remove-inline-policy", account=TOOLS, role="pipeline", policy="assume")
        self.assertEqual(self.refusal(self.codepipeline.update_pipeline, pipeline=self.read()), refused)
        self.admin("advance-clock", seconds=60)
        self.admin("set-propagation", propagation={"authorisationMilliseconds": 30_000})
        policy = allow("sts:AssumeRole", INVOKE_ROLE)
        self.admin("put-inline-policy", account=TOOLS, role="pipeline", policy="assume", document=policy)
        self.assertEqual(self.refusal(self.codepipeline.update_pipeline, pipeline=self.read()), refused)
        self.admin("advance-clock", seconds=31)
        self.codepipeline.update_pipeline(pipeline=self.read())

    def test_the_pipeline_role_must_be_passed(self):
        # The role crossinvoke of the seed has every right of IAM, so these two are what it lacks.
        update = allow("codepipeline:UpdatePipeline", "*")
        self.admin("put-inline-policy", account=TOOLS, role="crossinvoke", policy="update", document=update)
        self.admin("remove-inline-policy", account=TOOLS, role="crossinvoke", policy="roles")
        session = self.session_client("codepipeline", TOOLS)
        status, code, message = self.refusal(session.update_pipeline, pipeline=self.read())
        self.assertEqual((status, code), (400, "AccessDeniedException"))
        self.assertIn(f"is not authorized to perform: iam:PassRole on resource: {PIPELINE_ROLE}", message)
        self.assertEqual(self.refusal(session.get_pipeline, name="release")[1], "AccessDeniedException")


class Executions(CodePipelineTestCase):
    """Executions that stay where they are until they are moved by hand."""

    def setUp(self):
        super().setUp()
        self.admin("set-started-executions", **AT, status="InProgress")

    def make(self):
        # Without the run that a pipeline starts with.
        self.admin("replace-pipeline", account=TOOLS, region="us-east-1", declaration=declaration())

    def test_an_update_cancels_what_runs(self):
        self.codepipeline.start_pipeline_execution(name="release")
        self.admin("put-execution", **AT, status="Succeeded")
        self.assertEqual(self.statuses(), ["Succeeded", "InProgress"])
        self.codepipeline.update_pipeline(pipeline=self.read())
        self.assertEqual(self.statuses(), ["Succeeded", "Cancelled"])
        answer = self.codepipeline.list_pipeline_executions(pipelineName="release")
        self.assertIn("definition was updated", answer["pipelineExecutionSummaries"][1]["statusSummary"])

    def test_between_two_stages_no_stage_is_running(self):
        self.admin("put-execution", **AT, status="InProgress")
        self.assertEqual(self.statuses(), ["InProgress"])
        states = self.codepipeline.get_pipeline_state(name="release")["stageStates"]
        latest = [state.get("latestExecution", {}).get("status") for state in states]
        self.assertEqual(latest, ["Succeeded", None, None])
        changed = states[0]["actionStates"][0]["latestExecution"]["lastStatusChange"]
        self.assertIsInstance(changed, datetime.datetime)

    def test_stopping(self):
        started = self.codepipeline.start_pipeline_execution(name="release")["pipelineExecutionId"]
        arguments = {"pipelineName": "release", "pipelineExecutionId": started}
        self.codepipeline.stop_pipeline_execution(**arguments)
        self.assertEqual(self.statuses(), ["Stopping"])
        answer = self.refusal(self.codepipeline.stop_pipeline_execution, **arguments)
        self.assertEqual(answer[1], "DuplicatedStopRequestException")
        self.admin("put-execution", **AT, id=started, status="Stopped")
        execution = self.codepipeline.get_pipeline_execution(**arguments)["pipelineExecution"]
        self.assertEqual((execution["status"], execution["pipelineVersion"]), ("Stopped", 1))

    def test_pages(self):
        self.admin("set-started-executions", **AT, status="Succeeded")
        started = [self.codepipeline.start_pipeline_execution(name="release")["pipelineExecutionId"] for _ in range(5)]
        paginator = self.codepipeline.get_paginator("list_pipeline_executions")
        pages = list(paginator.paginate(pipelineName="release", PaginationConfig={"PageSize": 2}))
        self.assertEqual([len(page["pipelineExecutionSummaries"]) for page in pages], [2, 2, 1])
        listed = [s["pipelineExecutionId"] for page in pages for s in page["pipelineExecutionSummaries"]]
        self.assertEqual(listed, started[::-1])


class DeclarationsOverCbor(Declarations):
    protocol = "smithy-rpc-v2-cbor"


class RefusalsOverCbor(Refusals):
    protocol = "smithy-rpc-v2-cbor"


class ExecutionsOverCbor(Executions):
    protocol = "smithy-rpc-v2-cbor"
