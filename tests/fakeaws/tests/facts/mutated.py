"""Asks the facts of an AWS that behaves otherwise in one way, which the first argument names; the rest goes to run.py."""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "..", "aws-facts"))

import run  # noqa: E402
import run_facts  # noqa: E402
import world  # noqa: E402

def handler(name):
    world.HANDLER = os.path.join(here, name, "index.py")


def all_rights():
    """AWS asks for neither right of the invoke role: whatever a fact leaves out is granted."""
    plain = run_facts.invoking
    run_facts.invoking = lambda given, actions=None, **named: plain(given, **named)


MUTATIONS = {
    "updates-do-nothing": lambda: setattr(world.World, "update", lambda *_, **__: "accepted"),
    "functions-cannot-report": lambda: handler("silent"),
    "any-region-takes-reports": lambda: handler("everywhere"),
    "rights-are-not-needed": all_rights,
}

MUTATIONS[sys.argv.pop(1)]()
sys.exit(run.main())
