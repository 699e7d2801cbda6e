"""Raises; and not because of anything in the event."""


def handler(event, context):
    raise KeyError("nothing of the kind")


def leaving(event, context):
    raise SystemExit(3)


def unspeakable(event, context):
    return {1, 2}
