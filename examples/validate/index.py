"""Checks a deployment before the pipeline goes on: a Lambda function for a CodePipeline stage.

The stage passes it UserParameters such as {"url": "https://payments.dev.example/health", "expect": "ok"}. The function
fetches the page, looks for the text, and tells CodePipeline how that went: the pipeline waits for this report, for
twenty minutes at most, and looks at nothing else that the function returns or raises.

Whoever may edit the pipeline chooses the URL. The function opens https and nothing else, also after a redirect: the
file:// of this process would show the credentials of the execution role.

Runtime: python3.13, handler: index.handler, timeout: 30 seconds. The execution role needs
codepipeline:PutJobSuccessResult and codepipeline:PutJobFailureResult on "*" (they support no other resource).
"""

import json
import threading
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config

# Seconds that are kept for the report: a function that is timed out reports nothing.
REPORT_RESERVE = 8
# Seconds of these in which the function itself says that the report failed.
END_RESERVE = 1
# One attempt of a report: Lambda delivers the event again if it fails. These are for one address and one wait, so a name
# with several addresses may take longer than the reserve: the report has a deadline as well.
REPORT = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 1})

# With the credentials of the execution role. Those in the event (artifactCredentials) are for artifacts only: a report
# with them is denied.
codepipeline = boto3.client("codepipeline", config=REPORT)

# CodePipeline takes no longer message.
MESSAGE_LENGTH = 5000
# Characters of the parameters that go into a message, and bytes of a page that are looked at.
PARAMETERS_LENGTH = 200
PAGE_LENGTH = 1_000_000

# The jobs that this execution environment has reported on.
reported = set()


class WrongParameters(ValueError):
    """The action is set up wrongly, so that running it again does not help."""


def handler(event, context):
    job = event["CodePipeline.job"]
    if job["id"] in reported:  # Lambda may deliver an event twice: the work is done once.
        print(f"the job {job['id']} was handled before")
        return
    try:
        url, expected = read_parameters(job)
        within(seconds_left(context, REPORT_RESERVE), "the check", validate, url, expected, job["id"])
    except Exception as error:  # Whatever went wrong, the pipeline waits to hear of it.
        kind = "ConfigurationError" if isinstance(error, WrongParameters) else "JobFailed"
        message = str(error)[:MESSAGE_LENGTH] or type(error).__name__
        details = {"type": kind, "message": message, "externalExecutionId": context.aws_request_id}
        report(context, codepipeline.put_job_failure_result, jobId=job["id"], failureDetails=details)
    else:
        details = {"summary": f"{url} answered as expected"[:2048], "externalExecutionId": context.aws_request_id}
        variables = {"ValidatedUrl": url}
        report(
            context,
            codepipeline.put_job_success_result,
            jobId=job["id"],
            executionDetails=details,
            outputVariables=variables,
        )


def read_parameters(job):
    text = job["data"]["actionConfiguration"]["configuration"].get("UserParameters", "")
    try:
        parameters = json.loads(text)
        url, expected = parameters["url"], parameters.get("expect", "")
        scheme = urllib.parse.urlsplit(url).scheme
        if not isinstance(expected, str):
            raise TypeError("expect is no text")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongParameters(
            f'UserParameters must be JSON with a "url", and are {text[:PARAMETERS_LENGTH]!r}'
        ) from error
    if scheme != "https":
        raise WrongParameters(f"the url must begin with https://, and is {url[:PARAMETERS_LENGTH]!r}")
    return url, expected


def seconds_left(context, reserve):
    return max(1.0, context.get_remaining_time_in_millis() / 1000 - reserve)


def within(seconds, what, work, *arguments, **named):
    """Runs the work, and gives up on it after this time, whatever it waits for.

    A time-out of a socket does not do that: it begins again with each byte of a server that sends one every few seconds.
    """
    outcome = []

    def run():
        try:
            work(*arguments, **named)
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"{what} was not done after {seconds:.0f} seconds")
    if outcome[0] is not None:
        raise outcome[0]


def opener():
    """Knows https alone, so that no redirect leads to http, ftp or a file."""
    opened = urllib.request.OpenerDirector()
    for known in (
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.UnknownHandler,
    ):
        opened.add_handler(known())
    return opened


def validate(url, expected, job):
    # The same event may arrive in another execution environment as well. What is asked to do something knows by this
    # key that it has done it already.
    request = urllib.request.Request(url, headers={"Idempotency-Key": job})
    try:
        with opener().open(request, timeout=10) as answer:
            page = answer.read(PAGE_LENGTH).decode(errors="replace")
    except (OSError, ValueError) as error:
        raise RuntimeError(f"{url}: {error}") from error
    if expected not in page:
        raise RuntimeError(f"{url} does not contain {expected!r}")


def report(context, call, **result):
    """Reports once.

    A job that has its result already was answered by an earlier delivery of the event, which is as good. A job that
    CodePipeline does not know was never this function's to answer: the pipeline waits for twenty minutes in vain, so
    that is an error for the log. It is raised, like any other error, and Lambda delivers the event again after one and
    two minutes.
    """
    try:
        within(seconds_left(context, END_RESERVE), "the report", call, **result)
    except codepipeline.exceptions.InvalidJobStateException as error:
        print(f"the job {result['jobId']} has its result already: {error}")
    except codepipeline.exceptions.JobNotFoundException as error:
        print(
            f"ERROR: CodePipeline does not know the job {result['jobId']} of this event: {error}. The function must report"
            " as the execution role of the account and region that the pipeline's action invokes it in"
        )
        raise
    reported.add(result["jobId"])
