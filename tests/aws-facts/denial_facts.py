"""What IAM and STS judge a call on, and how they word a denial."""

from fact import code, fact, message
from iam_facts import GUIDE, MOTO_TAKES_ALL, limited
from world import document, remove_role

SAR = "Service Authorization Reference"
# A managed policy of AWS that allows nothing of what is asked for here.
BOUNDARY = "policy/ReadOnlyAccess"


def boundary(world):
    return f"arn:{world.partition}:iam::aws:{BOUNDARY}"


def resource(text, arn):
    """How a denial names the role of this ARN."""
    return text.split(" on ")[-1].split(" because ")[0].replace(arn, "ARN").replace(arn.split("/")[-1], "NAME") or "accepted"


@fact(
    "A denial of AssumeRole says that it is a boundary that does not allow it",
    calls="AssumeRole",
    expected="because no permissions boundary allows the sts:AssumeRole action",
    source="inferred from " + GUIDE + "*Troubleshoot access denied error messages*",
    evidence="assumed",
    not_in={"moto": "moto lets anybody assume any role"},
)
def assume_beyond_boundary(world):
    role = world.role("dev", world.root("tools"))
    allowed = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    bounded = {"PermissionsBoundary": boundary(world), "what": "caller"}
    caller = world.as_role(world.role("tools", world.root("tools"), {"rights": [allowed]}, **bounded))
    world.propagate()
    text = message(caller("sts").assume_role, RoleArn=role, RoleSessionName="facts")
    return (text.split(role)[-1].strip() or "no reason") if text else "accepted"


@fact(
    "The denial of UntagRole names the ARN of the role, with its path",
    calls="UntagRole",
    expected="resource: ARN",
    source="inferred from the denials of TagRole",
    evidence="assumed",
    not_in=MOTO_TAKES_ALL,
)
def untag_by_arn(world):
    tagged = {"Path": "/crossinvoke-facts/", "Tags": [{"Key": "team", "Value": "payments"}]}
    arn = world.role("dev", world.root("dev"), **tagged)
    return resource(message(limited(world).untag_role, RoleName=arn.split("/")[-1], TagKeys=["team"]), arn)


@fact(
    "The denial of DeleteRolePermissionsBoundary names the ARN of the role, with its path",
    calls="DeleteRolePermissionsBoundary",
    expected="resource: ARN",
    source="inferred from the denials of PutRolePermissionsBoundary",
    evidence="assumed",
    not_in=MOTO_TAKES_ALL,
)
def unbound_by_arn(world):
    bounded = {"Path": "/crossinvoke-facts/", "PermissionsBoundary": boundary(world)}
    arn = world.role("dev", world.root("dev"), **bounded)
    return resource(message(limited(world).delete_role_permissions_boundary, RoleName=arn.split("/")[-1]), arn)


@fact(
    "A policy may let GetRole read the roles of one boundary only",
    calls="GetRole",
    expected="accepted with it, AccessDenied without",
    source=SAR + ", which lists iam:PermissionsBoundary for GetRole",
    not_in=MOTO_TAKES_ALL,
)
def get_role_by_boundary(world):
    bounded = world.role("dev", world.root("dev"), PermissionsBoundary=boundary(world))
    free = world.role("dev", world.root("dev"))
    condition = {"StringEquals": {"iam:PermissionsBoundary": boundary(world)}}
    caller = limited(world, {"Effect": "Allow", "Action": "iam:GetRole", "Resource": "*", "Condition": condition})
    world.propagate()
    read = lambda arn: code(caller.get_role, RoleName=arn.split("/")[-1])  # noqa: E731
    return f"{read(bounded)} with it, {read(free)} without"


@fact(
    "A role that is linked to a service takes tags",
    calls="CreateServiceLinkedRole, TagRole",
    expected="accepted",
    source="IAM API Reference, TagRole",
)
def tags_of_a_linked_role(world):
    return code(world.iam.tag_role, RoleName=world.service_linked_role(), Tags=[{"Key": "team", "Value": "payments"}])


@fact(
    "Nobody but AWS makes a role under the path of service-linked roles",
    calls="CreateRole",
    expected="refused",
    source="not established",
    evidence="assumed",
    not_in={"double": "with what code AWS refuses is not established, so the double says that it cannot do this", "moto": "moto lets anybody do it"},
)
def role_under_a_reserved_path(world):
    iam, name = world.iam, world.next("role")
    trust = document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": world.root("dev")})
    world.made.append(lambda: remove_role(iam, name))
    create = {"RoleName": name, "Path": "/aws-service-role/crossinvoke-facts/", "AssumeRolePolicyDocument": trust}
    return "accepted" if code(iam.create_role, **create) == "accepted" else "refused"
