"""A function whose reports are accepted whatever region it thinks that it reports to."""

import boto3


def handler(event, _context):
    boto3.client("codepipeline").put_job_success_result(jobId=event["CodePipeline.job"]["id"])
