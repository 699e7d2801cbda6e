"""Asks AWS, or what stands in for it, each fact that crossinvoke relies on, and prints a table.

    run.py --tools-profile P --dev-profile P [--yes]     a person's own two accounts
    run.py … --place double --endpoint URL               the AWS double, with two profiles of it
    run.py --place moto --endpoint URL                   moto
    run.py … --region R                              in this region, not in that of the tools profile
    run.py … --clean                                     removes what runs that broke off left
    run.py --markdown                                    the table of docs/second-opinion.md

Exit status: 0 agree or not tried, 1 something differs or could not be removed, 2 wrong use.
"""

import argparse
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

import denial_facts  # noqa: F401
import iam_facts  # noqa: F401
import pipeline_facts  # noqa: F401
import run_facts  # noqa: F401
import stack_facts  # noqa: F401
import update_facts  # noqa: F401
from calls import no_answer
from fact import FACTS, NotTried
from world import LINKED, PREFIX, REGION, World, remove_leftovers

WARNING = """This makes, and removes afterwards, in the tools account {tools} and the dev account {dev}:
  roles, pipelines of type V2, an S3 bucket a pipeline, a connection that stays pending, custom action types, a stack of
  CloudFormation (tools); roles, functions, a service-linked role of EC2 Auto Scaling (dev). All of it in {region} with
  the prefix {prefix}, before which AWS puts "{linked}" for the last.
It starts about two dozen short runs, one of them with each pipeline that it makes. Expect some cents, and about half an hour. Nothing without the prefix is touched.
If it breaks off, `make aws-facts-clean` with the same profiles removes what is left."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools-profile")
    parser.add_argument("--dev-profile")
    parser.add_argument("--endpoint")
    parser.add_argument("--place", choices=["accounts", "double", "moto"], default="accounts")
    parser.add_argument("--region")
    parser.add_argument("--try-all", action="store_true", help="also what the table says that the place is not asked")
    parser.add_argument("--only", action="append", help="facts whose name contains this; may be given several times")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    if not given.markdown and given.place != "moto" and not (given.tools_profile and given.dev_profile):
        parser.error("set TOOLS_PROFILE and DEV_PROFILE to two profiles of your AWS configuration")
    return given


def moto_session(account, endpoint):
    """moto takes the account from a role that it is asked for, whether there is one or not."""
    keys = {"aws_access_key_id": "AKIASOMEBODY", "aws_secret_access_key": "any-secret-will-do"}
    sts = boto3.client("sts", endpoint_url=endpoint, region_name="us-east-1", **keys)
    role = f"arn:aws:iam::{account}:role/Somebody"
    issued = sts.assume_role(RoleArn=role, RoleSessionName="facts")["Credentials"]
    return toward(boto3.Session(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"]), endpoint)


def toward(session, endpoint):
    """Sends all clients of a session to an endpoint."""
    plain = session.client
    session.client = lambda *arguments, **options: plain(*arguments, endpoint_url=endpoint, **options)
    return session


def world_of(given):
    if given.place == "moto":
        accounts = ("111111111111", "222222222222")
        return World(*(moto_session(account, given.endpoint) for account in accounts), given.place, given.region or REGION)
    profiles = (given.tools_profile, given.dev_profile)
    region = given.region or boto3.Session(profile_name=given.tools_profile).region_name or REGION
    sessions = [boto3.Session(profile_name=profile, region_name=region) for profile in profiles]
    if given.endpoint:
        sessions = [toward(session, given.endpoint) for session in sessions]
    return World(*sessions, given.place, region)


def ask(world, fact, *, try_all=False):
    """The word of the table, and what was answered or why nothing was."""
    if world.place in fact.not_in and not try_all:
        return "not tried", fact.not_in[world.place]
    try:
        answered = fact.check(world)
    except NotTried as reason:
        answered = reason
    except (ClientError, BotoCoreError) as error:
        reason = no_answer(error) if isinstance(error, ClientError) else ""
        answered = NotTried(reason) if reason else f"an error that the check did not expect: {error}"
    left = world.clean()
    if left:
        return "differs", f"{answered}; not removed: {'; '.join(left)}"
    if isinstance(answered, NotTried):
        return "not tried", str(answered)
    return ("agree" if answered == fact.expected else "differs"), answered


def markdown():
    lines = ["| fact | calls | expected | evidence | source | not asked of |", "|---|---|---|---|---|---|"]
    for fact in FACTS:
        places = "; ".join(f"{place}: {why}" for place, why in fact.not_in.items())
        lines.append(f"| {fact.name} | {fact.calls} | {fact.expected} | {fact.evidence} | {fact.source} | {places} |")
    return "\n".join(lines)


def main():
    given = arguments()
    if given.markdown:
        print(markdown())
        return 0
    try:
        world = world_of(given)
    except (ClientError, BotoCoreError) as error:
        print(f"aws-facts: the accounts cannot be entered: {error}", file=sys.stderr)
        return 2
    if world.ids["tools"] == world.ids["dev"]:
        print("aws-facts: both profiles are of one account; two are needed", file=sys.stderr)
        return 2
    if given.clean:
        for name in remove_leftovers(world):
            print(f"removed {name}")
        return 0
    if given.place == "accounts":
        print(WARNING.format(prefix=PREFIX, linked=LINKED, region=world.region, **world.ids))
        if not given.yes and input("Go on? [yes/no] ") != "yes":
            return 2
    found = {"agree": 0, "differs": 0, "not tried": 0}
    for fact in FACTS:
        if given.only and not any(part.lower() in fact.name.lower() for part in given.only):
            continue
        word, answered = ask(world, fact, try_all=given.try_all)
        found[word] += 1
        line = f"{word:9}  {fact.name}: {answered}"
        if word == "differs":
            line += f" (expected: {fact.expected})"
        print(line, flush=True)
    print(", ".join(f"{number} {word}" for word, number in found.items()))
    return 1 if found["differs"] else 0


if __name__ == "__main__":
    sys.exit(main())
