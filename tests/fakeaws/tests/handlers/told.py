"""Reports what it was given: the event (without credentials), the context, and the environment, as output variables."""

import json
import os

import boto3


def handler(event, context):
    job = event["CodePipeline.job"]
    credentials = job["data"].get("artifactCredentials", {})
    shown = json.loads(json.dumps(event))
    for secret in credentials:
        shown["CodePipeline.job"]["data"]["artifactCredentials"][secret] = type(credentials[secret]).__name__
    print("printed by the handler")
    codepipeline = boto3.client("codepipeline")
    if "continuationToken" not in job["data"] and os.environ.get("CONTINUE"):
        codepipeline.put_job_success_result(jobId=job["id"], continuationToken=os.environ["CONTINUE"])
        return
    variables = {
        "Event": json.dumps(shown),
        "Identity": boto3.client("sts").get_caller_identity()["Arn"],
        "Remaining": str(context.get_remaining_time_in_millis()),
        "RequestId": context.aws_request_id,
        "Arn": context.invoked_function_arn,
        "Environment": json.dumps({name: value for name, value in os.environ.items() if "SECRET" not in name}),
    }
    codepipeline.put_job_success_result(jobId=job["id"], outputVariables=variables)
