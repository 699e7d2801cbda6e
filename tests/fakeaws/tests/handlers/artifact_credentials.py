"""Calls back with the credentials of the event, as users do by mistake, and then as it should."""

import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    job = event["CodePipeline.job"]
    given = job["data"]["artifactCredentials"]
    wrong = boto3.client(
        "codepipeline",
        aws_access_key_id=given["accessKeyId"],
        aws_secret_access_key=given["secretAccessKey"],
        aws_session_token=given["sessionToken"],
    )
    try:
        wrong.put_job_success_result(jobId=job["id"])
    except ClientError as error:
        details = {"type": "PermissionError", "message": str(error)}
        boto3.client("codepipeline").put_job_failure_result(jobId=job["id"], failureDetails=details)
