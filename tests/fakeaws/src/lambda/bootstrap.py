"""What AWS Lambda's runtime for Python does around a handler, as far as a handler can tell."""

import importlib
import json
import os
import sys
import threading
import time
import traceback

protocol = os.fdopen(os.dup(1), "w")
# What the handler prints is its log.
os.dup2(2, 1)


def say(message):
    protocol.write(json.dumps(message) + "\n")
    protocol.flush()


def end(message, code):
    """The last word. Threads that the handler left behind do not outlive it, as in Lambda."""
    sys.stdout.flush()
    sys.stderr.flush()
    say(message)
    os._exit(code)


def end_with_the_double():
    while os.read(0, 4096):
        pass
    os._exit(1)


class Context:
    function_version = "$LATEST"
    memory_limit_in_mb = "128"

    def __init__(self, given):
        self.aws_request_id = given["requestId"]
        self.invoked_function_arn = given["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.deadline = time.monotonic() + given["timeout"]

    def get_remaining_time_in_millis(self):
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def load(given):
    module, _, name = given["handler"].rpartition(".")
    sys.path.insert(0, given["directory"])
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except Exception as error:
        traceback.print_exc()
        end({"error": f"Runtime.ImportModuleError: Unable to import module '{module}': {error}"}, 1)
    try:
        return getattr(loaded, name)
    except AttributeError:
        end({"error": f"Runtime.HandlerNotFound: Handler '{name}' missing on module '{module}'"}, 1)


given = json.loads(sys.stdin.buffer.readline())
threading.Thread(target=end_with_the_double, daemon=True).start()
handler = load(given)
say({"ready": True})
try:
    result = handler(given["event"], Context(given))
except BaseException as error:
    traceback.print_exc()
    end({"error": f"{type(error).__name__}: {error}"}, 1)
try:
    json.dumps(result)
except TypeError as error:
    end({"error": f"Runtime.MarshalError: Unable to marshal response: {error}"}, 1)
end({"result": True}, 0)
