"""Asks the facts of an AWS that behaves otherwise in one way, which the first argument names; the rest goes to run.py."""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "..", "aws-facts"))

import pipeline_facts  # noqa: E402
import run  # noqa: E402
import run_facts  # noqa: E402
import world  # noqa: E402

def handler(name):
    world.HANDLER = os.path.join(here, name, "index.py")


def all_rights():
    """AWS asks for neither right of the invoke role: whatever a fact leaves out is granted."""
    plain = run_facts.invoking
    run_facts.invoking = lambda given, actions=None, **named: plain(given, **named)


def another_is_trusted():
    """AWS does not take the condition of our trust policies for met."""
    plain = world.World.ours
    world.World.ours = lambda given, name, **arns: plain(given, name, **{**arns, "role": arns["role"] + "-of-others"})


def masks_are_taken_for_secrets():
    rename = lambda declaration: declaration["stages"][2].update(name="Renamed")  # noqa: E731
    pipeline_facts.a_second_approval_beside = rename


MUTATIONS = {
    "another-is-trusted": another_is_trusted,
    "masks-are-taken-for-secrets": masks_are_taken_for_secrets,
    "updates-do-nothing": lambda: setattr(world.World, "update", lambda *_, **__: "accepted"),
    "functions-cannot-report": lambda: handler("silent"),
    "any-region-takes-reports": lambda: handler("everywhere"),
    "rights-are-not-needed": all_rights,
}

MUTATIONS[sys.argv.pop(1)]()
sys.exit(run.main())
