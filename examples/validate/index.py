"""Checks a deployment before the pipeline goes on: a Lambda function for a CodePipeline stage.

The stage passes it UserParameters such as {"url": "https://payments.dev.example/health", "expect": "ok"}. The function
fetches the page, looks for the text, and tells CodePipeline how that went: the pipeline waits for this report, for
twenty minutes at most, and looks at nothing else that the function returns or raises.

Runtime: python3.13, handler: index.handler, timeout: 30 seconds. The execution role needs
codepipeline:PutJobSuccessResult and codepipeline:PutJobFailureResult on "*" (they support no other resource).
"""

import json
import urllib.request

import boto3

# With the credentials of the execution role. Those in the event (artifactCredentials) are for artifacts only: a report
# with them is denied.
codepipeline = boto3.client("codepipeline")

# CodePipeline takes no longer message.
MESSAGE_LENGTH = 5000


class WrongParameters(ValueError):
    """The action is set up wrongly, so that running it again does not help."""


def handler(event, context):
    job = event["CodePipeline.job"]
    try:
        url, expected = read_parameters(job)
        validate(url, expected, seconds_left(context))
    except Exception as error:  # Whatever went wrong, the pipeline waits to hear of it.
        kind = "ConfigurationError" if isinstance(error, WrongParameters) else "JobFailed"
        message = str(error)[:MESSAGE_LENGTH] or type(error).__name__
        details = {"type": kind, "message": message, "externalExecutionId": context.aws_request_id}
        report(codepipeline.put_job_failure_result, jobId=job["id"], failureDetails=details)
    else:
        details = {"summary": f"{url} answered as expected", "externalExecutionId": context.aws_request_id}
        variables = {"ValidatedUrl": url}
        report(
            codepipeline.put_job_success_result,
            jobId=job["id"],
            executionDetails=details,
            outputVariables=variables,
        )


def read_parameters(job):
    text = job["data"]["actionConfiguration"]["configuration"].get("UserParameters", "")
    try:
        parameters = json.loads(text)
        return parameters["url"], parameters.get("expect", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongParameters(f'UserParameters must be JSON with a "url", and are {text!r}') from error


def seconds_left(context):
    """Time for the check, so that some is left for the report: a function that is timed out reports nothing."""
    return max(1.0, context.get_remaining_time_in_millis() / 1000 - 5)


def validate(url, expected, timeout):
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            page = answer.read().decode(errors="replace")
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{url}: {error}") from error
    if expected not in page:
        raise RuntimeError(f"{url} does not contain {expected!r}")


def report(call, **result):
    """Reports once. Lambda may deliver an event twice; the second report finds the job answered, which is as good.

    Any other error is raised: then nothing was reported, and Lambda delivers the event again after one and two minutes.
    """
    try:
        call(**result)
    except (
        codepipeline.exceptions.InvalidJobStateException,
        codepipeline.exceptions.JobNotFoundException,
    ) as error:
        print(f"the job {result['jobId']} has its result already: {error}")
