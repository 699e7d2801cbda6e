"""Asks the facts of an AWS that behaves otherwise in one way, which the first argument names; the rest goes to run.py."""

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "..", "aws-facts"))

import denial_facts  # noqa: E402
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


def denials_give_little():
    """Denials name a role by its name, and give no reason."""
    plain = denial_facts.message

    def message(call, **named):
        text = plain(call, **named)
        return text.replace("role/crossinvoke-facts/", "role/").replace("because no permissions boundary allows", "").replace(
            " the sts:AssumeRole action", "")

    denial_facts.message = message


def boundaries_are_no_condition():
    plain = denial_facts.limited
    denial_facts.limited = lambda given, statement: plain(given, {**statement, "Condition": {}})


def failures_end_runs():
    """What runs beside an action that fails is given up."""
    plain = world.World.decide

    def decide(given, declaration, status, *name):
        plain(given, declaration, status, *name)
        run = given.runs(declaration["name"])[0]["pipelineExecutionId"]
        given.pipelines.stop_pipeline_execution(pipelineName=declaration["name"], pipelineExecutionId=run, abandon=True)

    world.World.decide = decide


def masks_are_taken_for_secrets():
    rename = lambda declaration: declaration["stages"][2].update(name="Renamed")  # noqa: E731
    pipeline_facts.a_second_approval_beside = rename


MUTATIONS = {
    "another-is-trusted": another_is_trusted,
    "boundaries-are-no-condition": boundaries_are_no_condition,
    "denials-give-little": denials_give_little,
    "failures-end-runs": failures_end_runs,
    "masks-are-taken-for-secrets": masks_are_taken_for_secrets,
    "updates-do-nothing": lambda: setattr(world.World, "update", lambda *_, **__: "accepted"),
    "functions-cannot-report": lambda: handler("silent"),
    "any-region-takes-reports": lambda: handler("everywhere"),
    "rights-are-not-needed": all_rights,
}

MUTATIONS[sys.argv.pop(1)]()
sys.exit(run.main())
