"""IAM, STS and Lambda behaviours, as boto3 sees them."""

import json

from botocore.exceptions import ConnectionClosedError

from support import CONTROLLER, DEV, DEV_ROOT, READER, TOOLS, TOOLS_ROOT, FakeAwsTestCase, allow, trust


class Sessions(FakeAwsTestCase):
    def test_a_session_acts_in_the_account_of_its_role(self):
        identity = self.session_client("sts", DEV).get_caller_identity()
        self.assertEqual(identity["Account"], DEV)
        self.assertEqual(identity["Arn"], "arn:aws:sts::222222222222:assumed-role/crossinvoke/session")

    def test_the_external_id_counts(self):
        status, code, _ = self.refusal(
            self.client("sts", CONTROLLER).assume_role,
            RoleArn="arn:aws:iam::222222222222:role/crossinvoke",
            RoleSessionName="session",
        )
        self.assertEqual((status, code), (403, "AccessDenied"))

    def test_a_session_expires_by_the_clock_of_the_double(self):
        iam = self.session_client("iam", DEV)
        iam.get_role(RoleName="execution")
        self.admin("advance-clock", seconds=3601)
        self.assertEqual(self.refusal(iam.get_role, RoleName="execution")[1], "ExpiredToken")

    def test_an_unknown_key_is_invalid(self):
        self.assertEqual(self.refusal(self.client("sts", "AKIANOBODY").get_caller_identity)[1], "InvalidClientTokenId")
        status, code, _ = self.refusal(self.client("lambda", "AKIANOBODY").list_functions)
        self.assertEqual((status, code), (403, "UnrecognizedClientException"))


class Documents(FakeAwsTestCase):
    def test_documents_come_back_rearranged(self):
        iam = self.client("iam", DEV_ROOT)
        given = allow(["s3:GetObject", "s3:PutObject"], ["*"])
        iam.put_role_policy(RoleName="execution", PolicyName="p", PolicyDocument=json.dumps(given, indent=2))
        # botocore undoes the URL encoding itself.
        returned = iam.get_role_policy(RoleName="execution", PolicyName="p")["PolicyDocument"]
        self.assertEqual(list(returned), ["Statement", "Version"])
        self.assertEqual(returned["Statement"][0]["Action"], ["s3:PutObject", "s3:GetObject"])
        self.assertEqual(returned["Statement"][0]["Resource"], "*")

    def test_characters_beyond_latin_1_are_refused(self):
        iam = self.client("iam", DEV_ROOT)
        document = json.dumps(allow("s3:GetObject", "arn:aws:s3:::日本"), ensure_ascii=False)
        answer = self.refusal(iam.put_role_policy, RoleName="execution", PolicyName="p", PolicyDocument=document)
        self.assertEqual(answer[1], "ValidationError")


class Principals(FakeAwsTestCase):
    def test_a_deleted_role_shows_up_as_its_unique_id(self):
        dev, tools = self.client("iam", DEV_ROOT), self.client("iam", TOOLS_ROOT)

        def make_caller():
            document = json.dumps(trust({"AWS": DEV}))
            return tools.create_role(RoleName="caller", AssumeRolePolicyDocument=document)["Role"]

        def shown():
            role = dev.get_role(RoleName="invoked")["Role"]
            return role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]

        made = make_caller()
        document = json.dumps(trust({"AWS": made["Arn"]}))
        dev.create_role(RoleName="invoked", AssumeRolePolicyDocument=document)
        self.assertEqual(shown(), made["Arn"])
        tools.delete_role(RoleName="caller")
        self.assertEqual(shown(), made["RoleId"])
        make_caller()
        self.assertEqual(shown(), made["RoleId"])

    def test_a_principal_must_exist(self):
        document = json.dumps(trust({"AWS": "arn:aws:iam::111111111111:role/nobody"}))
        iam = self.client("iam", DEV_ROOT)
        answer = self.refusal(iam.create_role, RoleName="invoked", AssumeRolePolicyDocument=document)
        self.assertEqual(answer[:2], (400, "MalformedPolicyDocument"))
        self.assertTrue(answer[2].startswith("Invalid principal in policy"), answer[2])


class Roles(FakeAwsTestCase):
    def test_size_limits(self):
        iam = self.client("iam", DEV_ROOT)
        # Over all inline policies of a role together: the first fits, and the second would fit alone.
        half = json.dumps(allow("s3:GetObject", "arn:aws:s3:::" + "a" * 6_000))
        iam.put_role_policy(RoleName="execution", PolicyName="first", PolicyDocument=half)
        answer = self.refusal(iam.put_role_policy, RoleName="execution", PolicyName="second", PolicyDocument=half)
        self.assertEqual(answer[:2], (409, "LimitExceeded"))
        self.assertEqual(answer[2], "Maximum policy size of 10240 bytes exceeded for role execution")
        large = trust({"AWS": DEV})
        large["Statement"][0]["Sid"] = "a" * 2_048
        answer = self.refusal(
            iam.update_assume_role_policy, RoleName="execution", PolicyDocument=json.dumps(large)
        )
        self.assertEqual(answer, (409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"))

    def test_conflicts_and_absence(self):
        iam = self.client("iam", DEV_ROOT)
        document = json.dumps(trust({"AWS": TOOLS}))
        answer = self.refusal(iam.create_role, RoleName="EXECUTION", AssumeRolePolicyDocument=document)
        self.assertEqual(answer[:2], (409, "EntityAlreadyExists"))
        self.assertEqual(self.refusal(iam.delete_role, RoleName="reader")[:2], (409, "DeleteConflict"))
        self.assertEqual(self.refusal(iam.get_role, RoleName="nobody")[:2], (404, "NoSuchEntity"))

    def test_boundary_tags_and_pages(self):
        iam = self.client("iam", DEV_ROOT)
        boundary = "arn:aws:iam::222222222222:policy/boundary"
        iam.create_role(
            RoleName="made",
            AssumeRolePolicyDocument=json.dumps(trust({"AWS": TOOLS})),
            Description="a < b & \"c\"",
            PermissionsBoundary=boundary,
            Tags=[{"Key": "team", "Value": "payments"}],
        )
        role = iam.get_role(RoleName="made")["Role"]
        self.assertEqual(role["PermissionsBoundary"]["PermissionsBoundaryArn"], boundary)
        self.assertEqual(role["Description"], "a < b & \"c\"")
        self.assertEqual(role["Tags"], [{"Key": "team", "Value": "payments"}])
        pages = iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
        names = [role["RoleName"] for page in pages for role in page["Roles"]]
        self.assertEqual(sorted(names), ["crossinvoke", "execution", "made", "reader"])

    def test_a_denied_call_says_who_what_and_on_what(self):
        status, code, message = self.refusal(self.client("iam", READER).delete_role, RoleName="execution")
        self.assertEqual((status, code), (403, "AccessDenied"))
        self.assertIn("iam:DeleteRole on resource: role execution", message)


class Knobs(FakeAwsTestCase):
    def test_reads_lag(self):
        iam = self.client("iam", DEV_ROOT)
        self.admin("set-propagation", propagation={"readsMilliseconds": 30_000})
        iam.create_role(RoleName="made", AssumeRolePolicyDocument=json.dumps(trust({"AWS": TOOLS})))
        self.assertEqual(self.refusal(iam.get_role, RoleName="made")[1], "NoSuchEntity")
        self.admin("advance-clock", seconds=31)
        iam.get_role(RoleName="made")

    def test_authorisation_lags(self):
        self.admin("set-propagation", propagation={"authorisationMilliseconds": 30_000})
        self.admin("remove-inline-policy", account="333333333333", role="controller", policy="assume")
        arguments = {"RoleArn": "arn:aws:iam::111111111111:role/crossinvoke", "RoleSessionName": "session"}
        sts = self.client("sts", CONTROLLER)
        sts.assume_role(**arguments)
        self.admin("advance-clock", seconds=31)
        self.assertEqual(self.refusal(sts.assume_role, **arguments)[1], "AccessDenied")

    def test_throttling(self):
        fault = {"operation": "ListRoles", "effect": {"type": "throttle"}}
        self.admin("add-fault", fault=fault)
        iam = self.client("iam", DEV_ROOT)
        self.assertEqual(self.refusal(iam.list_roles), (400, "Throttling", "Rate exceeded"))
        iam.list_roles()

    def test_a_dropped_answer_has_been_applied(self):
        self.admin("add-fault", fault={"operation": "TagRole", "effect": {"type": "dropAfterApplying"}})
        iam = self.client("iam", DEV_ROOT)
        with self.assertRaises(ConnectionClosedError):
            iam.tag_role(RoleName="execution", Tags=[{"Key": "team", "Value": "payments"}])
        self.assertEqual(len(iam.list_role_tags(RoleName="execution")["Tags"]), 1)


class Functions(FakeAwsTestCase):
    def test_functions_are_found_in_their_account_and_region(self):
        found = self.client("lambda", DEV_ROOT).get_function_configuration(FunctionName="MyFunction")
        self.assertEqual(found["Role"], "arn:aws:iam::222222222222:role/execution")
        for client in (self.client("lambda", TOOLS_ROOT), self.client("lambda", DEV_ROOT, region="eu-west-1")):
            status, code, _ = self.refusal(client.get_function, FunctionName="MyFunction")
            self.assertEqual((status, code), (404, "ResourceNotFoundException"))

    def test_a_function_can_be_made(self):
        client = self.client("lambda", DEV_ROOT)
        arguments = {"Role": "arn:aws:iam::222222222222:role/execution", "Code": {"ZipFile": b"zip"}}
        client.create_function(FunctionName="Made", Runtime="python3.13", Handler="app.handler", **arguments)
        names = [function["FunctionName"] for function in client.list_functions()["Functions"]]
        self.assertEqual(names, ["Made", "MyFunction"])
