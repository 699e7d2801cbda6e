"""Clients, and what of their calls is made again. A call that AWS throttled or broke says nothing about a fact."""

from botocore.config import Config
from botocore.exceptions import ConnectionError, HTTPClientError

# What botocore's standard mode takes for throttling, without LimitExceededException: CodePipeline's quotas are no throttling.
THROTTLED = {
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
ATTEMPTS = 5
READS = ("Get", "List", "Describe")


def client(session, service, *, again=True, **options):
    """A client whose throttled calls are made again, and its reads after a failure of AWS too. A write that failed may have
    been applied all the same, and is never made twice."""
    made = session.client(service, config=Config(retries={"max_attempts": 0}), **options)
    if again:
        event = f"needs-retry.{made.meta.service_model.service_id.hyphenize()}"
        made.meta.events.register(event, wait, unique_id="crossinvoke-facts-again")
    return made


def wait(attempts, operation, response=None, caught_exception=None, **_):
    """The seconds until another attempt; None for none."""
    if attempts >= ATTEMPTS:
        return None
    status, error = 0, ""
    if response is not None:
        status, error = response[0].status_code, response[1].get("Error", {}).get("Code", "")
    failed = status >= 500 or isinstance(caught_exception, (ConnectionError, HTTPClientError))
    if error in THROTTLED or (failed and operation.name.startswith(READS)):
        return 0.2 * 2**attempts
    return None


def no_answer(error):
    """Why this error of a call decides nothing; empty if it is AWS's answer."""
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if code in THROTTLED:
        return f"{error.operation_name} was throttled: {code}"
    return f"{error.operation_name} failed in AWS: {code}" if status >= 500 else ""
