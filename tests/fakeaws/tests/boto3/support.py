"""A fakeaws process per test, and clients for it."""

import json
import os
import subprocess
import unittest
import urllib.request
from unittest import mock

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

TOOLS = "111111111111"
DEV = "222222222222"
TOOLS_ROOT = "AKIATOOLSROOT"
DEV_ROOT = "AKIADEVROOT"
CONTROLLER = "AKIACONTROLLER"
READER = "AKIAREADER"


def trust(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def allow(action, resource):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}


class FakeAwsTestCase(unittest.TestCase):
    """Starts the binary with the common seed and stops it afterwards."""

    def setUp(self):
        command = [os.environ["FAKEAWS"], "--seed", os.environ["FAKEAWS_SEED"]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        self.endpoint = self.process.stdout.readline().strip()
        self.assertTrue(self.endpoint.startswith("http://127.0.0.1:"), self.endpoint)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()

    def client(self, service, key, token=None, region="us-east-1"):
        config = Config(retries={"total_max_attempts": 1})
        client = boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key="not-checked",
            aws_session_token=token,
            config=config,
        )
        self.addCleanup(client.close)
        return client

    def session_client(self, service, account):
        """A client of a service with a session of the role crossinvoke."""
        external_id = {"ExternalId": "secret-handshake"} if account == DEV else {}
        issued = self.client("sts", CONTROLLER).assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/crossinvoke", RoleSessionName="session", **external_id
        )["Credentials"]
        return self.client(service, issued["AccessKeyId"], issued["SessionToken"])

    def admin(self, command, **arguments):
        body = json.dumps({"command": command, **arguments}).encode()
        with urllib.request.urlopen(f"{self.endpoint}/_fakeaws/command", data=body) as answer:
            return json.load(answer)

    def refusal(self, call, **arguments):
        """Status, code and message of a call that must be refused."""
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        response = caught.exception.response
        status = response["ResponseMetadata"]["HTTPStatusCode"]
        return status, response["Error"]["Code"], response["Error"]["Message"]


class ProtocolTestCase(FakeAwsTestCase):
    """Speaks to CodePipeline in one protocol.

    The service model prefers CBOR, botocore's own order still prefers JSON: each case runs with both.
    """

    protocol = "json"

    def client(self, service, *arguments, **options):
        if service != "codepipeline":
            return super().client(service, *arguments, **options)
        with mock.patch("botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS", (self.protocol,)):
            return super().client(service, *arguments, **options)
