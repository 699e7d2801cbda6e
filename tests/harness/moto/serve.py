"""Serves moto on a free port of loopback, and is a person with boto3 in front of it.

The first line on standard output is the endpoint. Each line on standard input is then a call as JSON, made with boto3 over
the wire, and answered by a line `{"answer": …}` or `{"code": …, "message": …}`:

    {"account": "222222222222", "region": "us-east-1", "service": "iam", "operation": "get_role", "parameters": {…}}

With `endpoint` and `key` the call goes to another AWS. The process ends when its standard input does.
"""

import functools
import json
import logging
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

JSON_1_1 = "application/x-amz-json-1.1"


def answer_in_the_type_of_the_request(app):
    """moto labels its JSON as text/html. AWS answers application/x-amz-json-1.1, as the protocol demands
    (https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html), and the controller reads nothing else."""

    @functools.wraps(app)
    def wrapped(self, environ, start_response):
        def start(status, headers, *rest):
            if environ.get("CONTENT_TYPE") == JSON_1_1 and status.startswith("200"):
                headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
                headers.append(("Content-Type", JSON_1_1))
            return start_response(status, headers, *rest)

        return app(self, environ, start)

    return wrapped


@functools.cache
def session(endpoint, account, region):
    """Somebody in an account: of moto, which takes the account from the ARN and asks for no such role."""
    sts = boto3.client("sts", endpoint_url=endpoint, region_name=region, **keys("AKIASOMEBODY"))
    role = f"arn:aws:iam::{account}:role/Somebody"
    issued = sts.assume_role(RoleArn=role, RoleSessionName="somebody")["Credentials"]
    return boto3.Session(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def keys(key):
    return {"aws_access_key_id": key, "aws_secret_access_key": "any-secret-will-do"}


@functools.cache
def client(endpoint, account, key, region, service):
    with_key = boto3.Session(**keys(key)) if key else session(endpoint, account, region)
    return with_key.client(service, endpoint_url=endpoint, region_name=region, config=Config(retries={"max_attempts": 0}))


def call(own_endpoint, question):
    endpoint = question.get("endpoint") or own_endpoint
    caller = client(endpoint, question["account"], question.get("key"), question["region"], question["service"])
    try:
        answer = getattr(caller, question["operation"])(**question["parameters"])
    except ClientError as error:
        return {"code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
    except BotoCoreError as error:
        return {"code": type(error).__name__, "message": str(error)}
    answer.pop("ResponseMetadata")
    return {"answer": answer}


def main():
    log = logging.getLogger("werkzeug")
    log.setLevel(logging.ERROR)
    # Asked on purpose, and answered with 500.
    log.addFilter(lambda record: "NotImplementedError" not in record.getMessage())
    DomainDispatcherApplication.__call__ = answer_in_the_type_of_the_request(DomainDispatcherApplication.__call__)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    print(endpoint, flush=True)
    for line in sys.stdin:
        print(json.dumps(call(endpoint, json.loads(line)), default=str), flush=True)


if __name__ == "__main__":
    main()
