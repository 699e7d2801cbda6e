"""Answers the pipeline as the user parameters say: {"region": R} reports success through the endpoint of region R, and,
if that is refused, a failure through the function's own region, with the code of the refusal as the message;
{"fail": …} reports a failure with the job's id as the message."""

import json

import boto3
from botocore.exceptions import ClientError


def handler(event, _context):
    job = event["CodePipeline.job"]
    parameters = json.loads(job["data"]["actionConfiguration"]["configuration"].get("UserParameters", "{}"))
    if parameters.get("fail"):
        failure = {"type": "JobFailed", "message": job["id"]}
        boto3.client("codepipeline").put_job_failure_result(jobId=job["id"], failureDetails=failure)
        return
    try:
        boto3.client("codepipeline", region_name=parameters.get("region")).put_job_success_result(jobId=job["id"])
    except ClientError as error:
        failure = {"type": "JobFailed", "message": error.response["Error"]["Code"]}
        boto3.client("codepipeline").put_job_failure_result(jobId=job["id"], failureDetails=failure)
