"""Runs of pipelines, as boto3 sees them over both protocols of the service."""

import http.server
import json
import os
import ssl
import sys
import threading
import urllib.request

from support import DEV, TOOLS, TOOLS_ROOT, ProtocolTestCase, allow, trust
from test_codepipeline import AT, INVOKE_ROLE, PIPELINE_ROLE, action

EXECUTION_ROLE = "arn:aws:iam::222222222222:role/execution"
FUNCTION = {"account": DEV, "region": "us-east-1", "name": "MyFunction"}
CALLBACK = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"],
            "Resource": "*",
        }
    ],
}


def declaration(parameters="{}", *gates):
    fetch = action("Fetch", "Source", "AWS", "S3", outputArtifacts=[{"name": "source"}])
    invoke = action("Invoke", "Invoke", "AWS", "Lambda", roleArn=INVOKE_ROLE, namespace="Checks")
    invoke["configuration"] = {"FunctionName": "MyFunction", "UserParameters": parameters}
    deploy = action("Deploy", "Deploy", "AWS", "S3", inputArtifacts=[{"name": "source"}])
    return {
        "name": "release",
        "roleArn": PIPELINE_ROLE,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [fetch]},
            {"name": "Validate", "actions": [invoke, *gates]},
            {"name": "Deploy", "actions": [deploy]},
        ],
    }


class Deployment(http.server.BaseHTTPRequestHandler):
    """A page of a deployment that the example's handler looks at."""

    def do_GET(self):
        self.send_response(503 if self.path == "/broken" else 200)
        self.end_headers()
        self.wfile.write(b"all is ok here")

    def log_message(self, *_):
        pass


class Runs(ProtocolTestCase):
    """The pipeline of a tools account, and a function of the dev account with all that a run needs."""

    def setUp(self):
        super().setUp()
        role = {"trust": trust({"AWS": TOOLS}), "inlinePolicies": {"invoke": allow(["lambda:InvokeFunction", "lambda:ListFunctions"], "*")}}
        self.admin("put-role", account=DEV, name="invoke", role=role)
        self.admin("put-inline-policy", account=DEV, role="execution", policy="callback", document=CALLBACK)
        self.admin("put-key", key="AKIAEXECUTION", arn=EXECUTION_ROLE)
        self.codepipeline = self.client("codepipeline", TOOLS_ROOT)
        self.execution = self.client("codepipeline", "AKIAEXECUTION")
        # Without the run that a pipeline starts with.
        self.admin("replace-pipeline", account=TOOLS, region="us-east-1", declaration=declaration())

    def settled(self):
        with urllib.request.urlopen(f"{self.endpoint}/_fakeaws/settled") as answer:
            answer.read()

    def run_pipeline(self):
        started = self.codepipeline.start_pipeline_execution(name="release")["pipelineExecutionId"]
        self.settled()
        return started

    def status(self, execution):
        arguments = {"pipelineName": "release", "pipelineExecutionId": execution}
        return self.codepipeline.get_pipeline_execution(**arguments)["pipelineExecution"]["status"]

    def latest(self, name):
        states = self.codepipeline.get_pipeline_state(name="release")["stageStates"]
        actions = [state for stage in states for state in stage["actionStates"]]
        return next(state for state in actions if state["actionName"] == name)["latestExecution"]

    def behave(self, **behaviour):
        self.admin("set-behaviour", **FUNCTION, behaviour=behaviour)

    def job(self):
        history = self.admin("snapshot")["history"]["accounts"][DEV]["functions"]["us-east-1"]["MyFunction"]
        return history[-1]["jobId"]

    def use_example(self, path):
        """Makes the example of this repository the function, and has it look at a page of a deployment."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Deployment)
        certificate = os.environ["WEBSITE_CERTIFICATE"]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, os.environ["WEBSITE_KEY"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"https://127.0.0.1:{server.server_port}{path}"
        parameters = json.dumps({"url": url, "expect": "ok"})
        self.admin("replace-pipeline", account=TOOLS, region="us-east-1", declaration=declaration(parameters))
        here = os.path.dirname(os.path.abspath(__file__))
        file = os.path.normpath(os.path.join(here, "../../../../examples/validate/index.py"))
        behaviour = {"type": "python", "file": file, "python": sys.executable, "trusts": certificate}
        function = {"role": EXECUTION_ROLE, "handler": "index.handler", "timeout": 60, "behaviour": behaviour}
        self.admin("put-function", **FUNCTION, function=function)
        return url

    def test_a_run_passes_with_the_example_handler(self):
        url = self.use_example("/health")
        execution = self.run_pipeline()
        self.assertEqual(self.status(execution), "Succeeded")
        paginator = self.codepipeline.get_paginator("list_action_executions")
        pages = paginator.paginate(pipelineName="release", PaginationConfig={"PageSize": 2})
        details = [detail for page in pages for detail in page["actionExecutionDetails"]]
        self.assertEqual([detail["actionName"] for detail in details], ["Deploy", "Invoke", "Fetch"])
        self.assertEqual(details[1]["output"]["outputVariables"], {"ValidatedUrl": url})
        self.assertEqual(details[1]["input"]["roleArn"], INVOKE_ROLE)
        self.assertLess(details[2]["startTime"], details[0]["lastUpdateTime"])

    def test_a_failure_stops_the_run_with_the_message_of_the_example_handler(self):
        url = self.use_example("/broken")
        execution = self.run_pipeline()
        self.assertEqual(self.status(execution), "Failed")
        error = self.latest("Invoke")["errorDetails"]
        self.assertEqual(error["code"], "JobFailed")
        self.assertIn(f"{url}: HTTP Error 503", error["message"])

    def test_a_second_callback_is_refused(self):
        self.behave(type="neverAnswer")
        execution = self.run_pipeline()
        job = self.job()
        self.assertEqual(self.status(execution), "InProgress")
        self.execution.put_job_success_result(jobId=job, outputVariables={"Report": "fine"})
        self.assertEqual(self.status(execution), "Succeeded")
        with self.assertRaises(self.execution.exceptions.InvalidJobStateException):
            self.execution.put_job_success_result(jobId=job)
        details = {"type": "JobFailed", "message": "too late"}
        with self.assertRaises(self.execution.exceptions.InvalidJobStateException):
            self.execution.put_job_failure_result(jobId=job, failureDetails=details)
        with self.assertRaises(self.codepipeline.exceptions.JobNotFoundException):
            self.codepipeline.put_job_success_result(jobId=job)

    def test_without_the_right_the_callback_is_denied_and_the_action_fails_in_the_end(self):
        self.admin("remove-inline-policy", account=DEV, role="execution", policy="callback")
        execution = self.run_pipeline()
        status, code, message = self.refusal(self.execution.put_job_success_result, jobId=self.job())
        self.assertEqual((status, code), (400, "AccessDeniedException"))
        self.assertIn("codepipeline:PutJobSuccessResult on resource: *", message)
        self.admin("advance-clock", seconds=1201)
        self.assertEqual(self.status(execution), "Failed")
        self.assertIn("failed to return a result", self.latest("Invoke")["errorDetails"]["message"])

    def test_a_continuation_token_brings_another_job(self):
        self.behave(type="continue", token="step", times=1)
        execution = self.run_pipeline()
        self.assertEqual(self.status(execution), "Succeeded")
        calls = self.admin("calls")
        self.assertEqual(len([call for call in calls if call["operation"] == "Invoke"]), 2)

    def test_an_approval(self):
        gate = action("Approve", "Approval", "AWS", "Manual", runOrder=2)
        self.admin("replace-pipeline", account=TOOLS, region="us-east-1", declaration=declaration("{}", gate))
        execution = self.run_pipeline()
        request = self.latest("Approve")
        self.assertEqual(request["status"], "InProgress")
        place = {"pipelineName": "release", "stageName": "Validate", "actionName": "Approve"}
        answer = {"result": {"summary": "fine", "status": "Approved"}, "token": request["token"]}
        approved = self.codepipeline.put_approval_result(**place, **answer)["approvedAt"]
        self.assertGreaterEqual(approved, request["lastStatusChange"])
        self.assertEqual(self.status(execution), "Succeeded")
        with self.assertRaises(self.codepipeline.exceptions.ApprovalAlreadyCompletedException):
            self.codepipeline.put_approval_result(**place, **answer)

    def test_a_held_build_goes_on_when_it_is_released(self):
        self.admin("set-action", **AT, stage="Source", action="Fetch", outcome={"type": "hold"})
        execution = self.run_pipeline()
        self.assertEqual((self.status(execution), self.latest("Fetch")["status"]), ("InProgress", "InProgress"))
        self.admin("set-action", **AT, stage="Source", action="Fetch", outcome={"type": "succeed"})
        self.settled()
        self.assertEqual(self.status(execution), "Succeeded")


class RunsOverCbor(Runs):
    protocol = "smithy-rpc-v2-cbor"
