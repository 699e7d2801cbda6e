"""What IAM and STS answer."""

import re
import time
import urllib.parse

from fact import code, fact, message
from world import document

MOTO_TAKES_ALL = {"moto": "moto judges no rights unless told to"}
GUIDE = "IAM User Guide, "


@fact(
    "A role that does not exist cannot be assumed",
    calls="AssumeRole",
    expected="AccessDenied",
    source=GUIDE + "*Cross-account policy evaluation logic*",
    not_in={"moto": "moto lets anybody assume any role"},
)
def assume_missing(world):
    arn = f"arn:{world.partition}:iam::{world.ids['dev']}:role/{world.next('missing')}"
    return code(world.client("tools", "sts").assume_role, RoleArn=arn, RoleSessionName="facts")


@fact(
    "A role that trusts somebody else cannot be assumed",
    calls="AssumeRole",
    expected="AccessDenied",
    source=GUIDE + "*Cross-account policy evaluation logic*",
    not_in={"moto": "moto lets anybody assume any role"},
)
def assume_untrusting(world):
    arn = world.role("dev", {"Service": "lambda.amazonaws.com"})
    return code(world.client("tools", "sts").assume_role, RoleArn=arn, RoleSessionName="facts")


@fact(
    "A trust policy cannot name a role that does not exist",
    calls="CreateRole",
    expected="MalformedPolicyDocument",
    source=GUIDE + "*AWS JSON policy elements: Principal*; hashicorp/terraform-provider-aws#8905",
    not_in={"moto": "moto checks no principal"},
)
def missing_principal(world):
    principal = {"AWS": f"arn:{world.partition}:iam::{world.ids['dev']}:role/{world.next('missing')}"}
    trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal})
    return code(world.iam.create_role, RoleName=world.next("role"), AssumeRolePolicyDocument=trust)


@fact(
    "A right that was given is in force within two minutes",
    calls="CreateRole, AssumeRole",
    expected="within two minutes",
    source="not established; hashicorp/terraform-provider-aws waits as long",
    evidence="assumed",
    not_in={"moto": "moto lets anybody assume any role"},
)
def in_force(world):
    arn = world.role("dev", world.root("dev"))
    assume = lambda: code(world.client("dev", "sts").assume_role, RoleArn=arn, RoleSessionName="facts")  # noqa: E731
    since = time.monotonic()
    if not world.within_bound(lambda: assume() == "accepted"):
        return f"not in force: {assume()}"
    took = time.monotonic() - since
    return "within two minutes" if took <= 120 else f"after {took:.0f} s"


@fact(
    "IAM answers documents percent-encoded, in which + is a plus and no space",
    calls="PutRolePolicy, GetRolePolicy",
    expected="as written",
    source="inferred from RFC 3986, which the IAM API Reference names",
    evidence="assumed",
)
def plus_is_plus(world):
    prefix = "a+b c%20d"
    policy = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": {"StringEquals": {"s3:prefix": prefix}}}
    name = world.role("dev", world.root("dev"), {"one": [policy]}).split("/")[-1]
    iam, answers = world.iam, []
    # botocore decodes the document.
    iam.meta.events.register("before-parse.iam.GetRolePolicy", lambda response_dict, **_: answers.append(response_dict["body"]))
    iam.get_role_policy(RoleName=name, PolicyName="one")
    encoded = re.search("<PolicyDocument>(.*?)</PolicyDocument>", answers[-1].decode(), re.DOTALL)[1]
    decoded = urllib.parse.unquote(encoded)
    return "as written" if f'"{prefix}"' in decoded else decoded


@fact(
    "A trusted role that was deleted is shown by its id",
    calls="CreateRole, DeleteRole, GetRole",
    expected="AROA",
    source=GUIDE + "*AWS JSON policy elements: Principal*",
    not_in={"moto": "moto keeps the ARN"},
)
def orphan(world):
    trusted = world.role("dev", world.root("dev"))
    orphan = world.role("dev", {"AWS": trusted})
    world.iam.delete_role(RoleName=trusted.split("/")[-1])
    shown = world.iam.get_role(RoleName=orphan.split("/")[-1])["Role"]["AssumeRolePolicyDocument"]
    return shown["Statement"][0]["Principal"]["AWS"][:4]


@fact(
    "Names of roles are unique without regard to case",
    calls="CreateRole",
    expected="EntityAlreadyExists",
    source="IAM API Reference, CreateRole",
    not_in={"moto": "moto compares letter by letter"},
)
def names_without_case(world):
    name = world.role("dev", world.root("dev")).split("/")[-1]
    trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": world.root("dev")})
    return code(world.iam.create_role, RoleName=name.upper(), AssumeRolePolicyDocument=trust)


@fact(
    "All inline policies of a role hold 10,240 characters",
    calls="PutRolePolicy",
    expected="LimitExceeded",
    source=GUIDE + "*IAM and AWS STS quotas*",
    not_in={"moto": "moto has no such limit"},
)
def inline_limit(world):
    name = world.role("dev", world.root("dev")).split("/")[-1]
    resources = [f"arn:aws:s3:::bucket-{number:05}" for number in range(600)]
    policy = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources})
    return code(world.iam.put_role_policy, RoleName=name, PolicyName="large", PolicyDocument=policy)


@fact(
    "A trust policy holds 2,048 characters unless the quota is raised",
    calls="CreateRole",
    expected="LimitExceeded",
    source=GUIDE + "*IAM and AWS STS quotas*",
    not_in={"moto": "moto has no such limit"},
)
def trust_limit(world):
    accounts = [f"{number:012}" for number in range(1, 300)]
    condition = {"StringEquals": {"aws:PrincipalAccount": accounts}}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": world.root("dev"), "Condition": condition}
    return code(world.iam.create_role, RoleName=world.next("role"), AssumeRolePolicyDocument=document(trust))


@fact(
    "A role with an inline policy cannot be deleted",
    calls="PutRolePolicy, DeleteRole",
    expected="DeleteConflict",
    source="IAM API Reference, DeleteRole",
)
def delete_conflict(world):
    policy = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    name = world.role("dev", world.root("dev"), {"one": [policy]}).split("/")[-1]
    return code(world.iam.delete_role, RoleName=name)


@fact(
    "A boundary that does not exist is refused",
    calls="CreateRole",
    expected="NoSuchEntity, not attachable",
    source="public reports of the text",
    evidence="reported",
    not_in={"moto": "moto checks no boundary"},
)
def missing_boundary(world):
    boundary = f"arn:{world.partition}:iam::{world.ids['dev']}:policy/{world.next('missing')}"
    trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": world.root("dev")})
    create = {"AssumeRolePolicyDocument": trust, "PermissionsBoundary": boundary}
    answered = code(world.iam.create_role, RoleName=world.next("role"), **create)
    text = message(world.iam.create_role, RoleName=world.next("role"), **create)
    return answered + (", not attachable" if "does not exist or is not attachable" in text else "")


def limited(world, *statements):
    """A caller of the dev account with these rights and no other."""
    arn = world.role("dev", world.root("dev"), {"rights": list(statements)} if statements else None, what="caller")
    return world.as_role(arn)("iam")


@fact(
    "The denial of a change of a role's policies names the role, not its ARN",
    calls="PutRolePolicy",
    expected="resource: role NAME",
    source="public reports of such denials",
    evidence="reported",
    not_in=MOTO_TAKES_ALL,
)
def denial_by_name(world):
    name = world.role("dev", world.root("dev")).split("/")[-1]
    policy = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
    put = {"RoleName": name, "PolicyName": "one", "PolicyDocument": policy}
    text = message(limited(world).put_role_policy, **put)
    return text.split(" on ")[-1].split(" because ")[0].replace(name, "NAME") or "accepted"


@fact(
    "The denial of CreateRole names the ARN of the role",
    calls="CreateRole",
    expected="resource: ARN",
    source="public reports of such denials",
    evidence="reported",
    not_in=MOTO_TAKES_ALL,
)
def denial_by_arn(world):
    name = world.next("role")
    trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": world.root("dev")})
    text = message(limited(world).create_role, RoleName=name, AssumeRolePolicyDocument=trust)
    arn = f"arn:{world.partition}:iam::{world.ids['dev']}:role/{name}"
    return text.split(" on ")[-1].split(" because ")[0].replace(arn, "ARN") or "accepted"


@fact(
    "A call on a role that does not exist is judged by its name without a path",
    calls="GetRole",
    expected="AccessDenied under a path, NoSuchEntity on role/*",
    source="public reports of such denials",
    evidence="reported",
    not_in=MOTO_TAKES_ALL,
)
def judged_without_path(world):
    def ask(resource):
        arn = f"arn:{world.partition}:iam::{world.ids['dev']}:role/{resource}"
        caller = limited(world, {"Effect": "Allow", "Action": "iam:GetRole", "Resource": arn})
        get = lambda: caller.get_role(RoleName=world.next("missing"))  # noqa: E731
        return code(get)

    return f"{ask('crossinvoke-facts/*')} under a path, {ask('*')} on role/*"


@fact(
    "Tag keys that differ in case only are one key",
    calls="TagRole, ListRoleTags",
    expected="Team=b",
    source=GUIDE + "*Tags for IAM resources*, and public reports",
    evidence="reported",
    not_in={"moto": "moto keeps both"},
)
def tags_without_case(world):
    name = world.role("dev", world.root("dev"), Tags=[{"Key": "team", "Value": "a"}]).split("/")[-1]
    world.iam.tag_role(RoleName=name, Tags=[{"Key": "Team", "Value": "b"}])
    return " ".join(f"{tag['Key']}={tag['Value']}" for tag in world.iam.list_role_tags(RoleName=name)["Tags"])


@fact(
    "Untagging the older spelling removes the newer",
    calls="TagRole, UntagRole, ListRoleTags",
    expected="none left",
    source="public reports of tags that went away",
    evidence="reported",
    not_in={"moto": "moto compares letter by letter"},
)
def untag_without_case(world):
    name = world.role("dev", world.root("dev"), Tags=[{"Key": "Team", "Value": "a"}]).split("/")[-1]
    world.iam.untag_role(RoleName=name, TagKeys=["team"])
    return f"{len(world.iam.list_role_tags(RoleName=name)['Tags']) or 'none'} left"


@fact(
    "A role that is made again is another one",
    calls="CreateRole, DeleteRole",
    expected="another id",
    source=GUIDE + "*AWS JSON policy elements: Principal*",
)
def made_again(world):
    arn = world.role("dev", world.root("dev"))
    name = arn.split("/")[-1]
    first = world.iam.get_role(RoleName=name)["Role"]["RoleId"]
    world.iam.delete_role(RoleName=name)
    world.role("dev", world.root("dev"), name=name)
    return "the same id" if world.iam.get_role(RoleName=name)["Role"]["RoleId"] == first else "another id"


@fact(
    "The session of a role that was deleted and made again is dead",
    calls="AssumeRole, DeleteRole, CreateRole, GetCallerIdentity",
    expected="InvalidClientTokenId",
    source="not established: the code may be another",
    evidence="assumed",
    not_in={"moto": "moto knows no dead session"},
)
def dead_session(world):
    arn = world.role("dev", world.root("dev"))
    session = world.as_role(arn)
    world.iam.delete_role(RoleName=arn.split("/")[-1])
    world.role("dev", world.root("dev"), name=arn.split("/")[-1])
    return code(session("iam").get_role, RoleName=arn.split("/")[-1])


@fact(
    "The bulk answer of all roles has their boundary",
    calls="GetAccountAuthorizationDetails",
    expected="it has",
    source="not established: the service model lists it; awsdocs/iam-user-guide#81 misses it, noqdev/iambic#217 takes it from there",
    evidence="assumed",
    not_in={"double": "the double leaves it out, as the stricter reading, unless it is told to show it", "moto": "it is about AWS alone"},
)
def bulk_boundary(world):
    boundary = f"arn:{world.partition}:iam::aws:policy/ReadOnlyAccess"
    arn = world.role("dev", world.root("dev"), PermissionsBoundary=boundary)
    return "it has" if "PermissionsBoundary" in in_bulk(world, arn) else "it has not"


@fact(
    "The bulk answer of all roles shows a new role within two minutes",
    calls="CreateRole, GetAccountAuthorizationDetails",
    expected="within two minutes",
    source="not established: by how much it lags",
    evidence="assumed",
    not_in={"moto": "it is about AWS alone"},
)
def bulk_lag(world):
    arn = world.role("dev", world.root("dev"))
    since = time.monotonic()
    if not world.within_bound(lambda: find_in_bulk(world, arn)):
        return "not shown"
    took = time.monotonic() - since
    return "within two minutes" if took <= 120 else f"after {took:.0f} s"


@fact(
    "The bulk answer of all roles has what single reads have: trust policy, inline and attached policies, tags",
    calls="GetAccountAuthorizationDetails, GetRole, GetRolePolicy, ListAttachedRolePolicies",
    expected="the same",
    source="IAM API Reference, RoleDetail",
    not_in={"moto": "it is about AWS alone"},
)
def bulk_members(world):
    allowed = [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]
    arn = world.role("dev", world.root("dev"), {"inline": allowed}, Tags=[{"Key": "team", "Value": "payments"}])
    name = arn.split("/")[-1]
    world.iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:{world.partition}:iam::aws:policy/ReadOnlyAccess")
    detail, role = in_bulk(world, arn), world.iam.get_role(RoleName=name)["Role"]
    members = ["Path", "RoleId", "AssumeRolePolicyDocument", "Tags"]
    differ = [member for member in members if detail.get(member) != role.get(member)]
    inline = world.iam.get_role_policy(RoleName=name, PolicyName="inline")["PolicyDocument"]
    if detail.get("RolePolicyList") != [{"PolicyName": "inline", "PolicyDocument": inline}]:
        differ.append("RolePolicyList")
    attached = world.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    if detail.get("AttachedManagedPolicies") != attached:
        differ.append("AttachedManagedPolicies")
    return f"not the same: {', '.join(differ)}" if differ else "the same"


def in_bulk(world, arn):
    """The role as the bulk answer has it."""
    world.set_up(lambda: find_in_bulk(world, arn), "a role that is in the answer")
    return find_in_bulk(world, arn)


def find_in_bulk(world, arn):
    pages = world.iam.get_paginator("get_account_authorization_details").paginate(Filter=["Role"])
    return next((role for page in pages for role in page["RoleDetailList"] if role["Arn"] == arn), None)
