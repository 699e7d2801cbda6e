"""What a fact is, and the list of them."""

import dataclasses
from collections.abc import Callable

from botocore.exceptions import ClientError

from calls import no_answer


class NotTried(Exception):
    """The fact cannot be checked in this place; the text says why."""


@dataclasses.dataclass(frozen=True)
class Fact:
    """One thing that crossinvoke takes for true of AWS."""

    name: str
    calls: str
    expected: str
    source: str
    # documented: AWS says so. reported: people saw it. assumed: neither; to be settled on real accounts.
    evidence: str
    check: Callable
    # Why the double or moto cannot be asked, by the name of the place.
    not_in: dict


FACTS = []


def fact(name, *, calls, expected, source, evidence="documented", not_in=None):
    """Puts a check, which returns what AWS answered, on the list."""
    assert evidence in ("documented", "reported", "assumed"), evidence

    def add(check):
        assert all(known.name != name for known in FACTS), name
        FACTS.append(Fact(name, calls, expected, source, evidence, check, not_in or {}))
        return check

    return add


def refusal(call, *arguments, **named):
    """What AWS refused with; None if it accepted."""
    try:
        call(*arguments, **named)
    except ClientError as error:
        if reason := no_answer(error):
            raise NotTried(reason) from error
        return error.response["Error"]
    return None


def code(call, *arguments, **named):
    """`accepted`, or the code of the error that AWS answered with."""
    refused = refusal(call, *arguments, **named)
    return refused["Code"] if refused else "accepted"


def message(call, *arguments, **named):
    """The text of the error that AWS answered with; empty if there was none."""
    refused = refusal(call, *arguments, **named)
    return refused["Message"] if refused else ""
