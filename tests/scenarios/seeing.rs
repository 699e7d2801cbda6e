//! What somebody sees who has got hold of the controller's credentials. The sentences of docs/security.md name these
//! scenarios; what such a person can do is in `security`.

use crossinvoke_harness::{Context as _, Result, Scenario, Setup, accounts::FUNCTION};
use serde_json::{Value, json};

use crate::{
    security::attempts,
    suite::{Case, intrusion},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        intrusion("a_stolen_pod_in_dev_sees_every_role_and_the_named_functions", Setup::default, in_dev),
        intrusion("a_stolen_pod_in_tools_sees_roles_and_policies_by_name_only", Setup::default, in_tools),
        intrusion("with_bulk_reads_a_stolen_pod_sees_the_whole_account", with_bulk_reads, the_whole_account),
    ]
}

fn with_bulk_reads() -> Setup {
    Setup::default().with_bulk_reads()
}

/// A role and a function that no placeholder of deploy/iam names, and each read that could tell of them. What a read tells
/// is put beside its outcome.
const READS: &str = r#"
somebody = boto3.Session()
owner = somebody.client("iam")
owner.create_role(RoleName="orders", AssumeRolePolicyDocument=trust("*"), Tags=[{"Key": "team", "Value": "orders"}])
owner.put_role_policy(RoleName="orders", PolicyName="data", PolicyDocument=policy("s3:GetObject"))
if values["in_dev"]:
    somebody.client("lambda").create_function(
        FunctionName="Orders", Runtime="python3.13", Role=values["execution_role_arn"], Handler="index.handler",
        Code={"ZipFile": b"x"}, Environment={"Variables": {"PASSWORD": "of orders"}})

def told(what, answer, *members):
    for member in members:
        answer = answer and answer.get(member)
    out[what] = answer

def of_orders(roles):
    return next((role for role in roles if role["RoleName"] == "orders"), None)

found = of_orders((attempt("ListRoles", iam.list_roles) or {}).get("Roles", []))
told("ListRoles: whom orders trusts", found, "AssumeRolePolicyDocument", "Statement")
found = attempt("GetRole", iam.get_role, RoleName="orders")
told("GetRole: whom it trusts", found, "Role", "AssumeRolePolicyDocument", "Statement")
told("GetRole: tags", found, "Role", "Tags")
told("ListRolePolicies: names", attempt("ListRolePolicies", iam.list_role_policies, RoleName="orders"), "PolicyNames")
found = attempt("GetRolePolicy", iam.get_role_policy, RoleName="orders", PolicyName="data")
told("GetRolePolicy: text", found, "PolicyDocument", "Statement")
attempt("ListAttachedRolePolicies", iam.list_attached_role_policies, RoleName="orders")
managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
attempt("GetPolicyVersion", iam.get_policy_version, PolicyArn=managed, VersionId="v1")
attempt("users at once", iam.get_account_authorization_details, Filter=["User"])
found = of_orders((attempt("roles at once", iam.get_account_authorization_details, Filter=["Role"]) or {}).get("RoleDetailList", []))
told("roles at once: whom orders trusts", found, "AssumeRolePolicyDocument", "Statement")
told("roles at once: tags", found, "Tags")
out["roles at once: policies"] = [each["PolicyDocument"]["Statement"] for each in (found or {}).get("RolePolicyList", [])]
found = attempt("MyFunction", awslambda.get_function_configuration, FunctionName="MyFunction")
told("MyFunction: variables", found, "Environment", "Variables")
attempt("its code", awslambda.get_function, FunctionName="MyFunction")
attempt("Orders", awslambda.get_function_configuration, FunctionName="Orders")
listed = (attempt("ListFunctions", awslambda.list_functions) or {}).get("Functions", [])
out["ListFunctions: variables"] = {each["FunctionName"]: each.get("Environment", {}).get("Variables") for each in listed}
attempt("the pipeline", codepipeline.get_pipeline, name=values["pipeline"])
attempt("ListPipelines", codepipeline.list_pipelines)
attempt("its own rights", iam.put_role_policy, RoleName="crossinvoke", PolicyName="p", PolicyDocument=policy("*"))
"#;

/// Whose rights are tried.
#[derive(Clone, Copy)]
enum Rights {
    Dev,
    Tools,
    DevAtOnce,
    ToolsAtOnce,
}

/// What each read comes to with the rights of `dev`, `tools`, `dev-bulk-reads` and `tools-bulk-reads`.
fn seen(rights: Rights) -> Value {
    let (denied, refused, null) = (json!("AccessDenied"), json!("AccessDeniedException"), Value::Null);
    let ok = json!("OK");
    let trust = json!([{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]);
    let tags = json!([{"Key": "team", "Value": "orders"}]);
    let policy = json!([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]);
    // The double has no answer about users, and says so only to those that AWS would give one.
    let answered = json!("InternalFailure");
    let ours = json!({"PASSWORD": "of MyFunction"});
    let all = json!({FUNCTION: ours, "Orders": {"PASSWORD": "of orders"}});
    let (none, nobody) = (json!([]), json!({}));
    let rows = [
        ("ListRoles", [&ok, &denied, &ok, &denied]),
        ("ListRoles: whom orders trusts", [&trust, &null, &trust, &null]),
        ("GetRole", [&ok, &ok, &ok, &ok]),
        ("GetRole: whom it trusts", [&trust, &trust, &trust, &trust]),
        ("GetRole: tags", [&tags, &tags, &tags, &tags]),
        ("ListRolePolicies", [&ok, &denied, &ok, &denied]),
        ("GetRolePolicy", [&ok, &ok, &ok, &ok]),
        ("GetRolePolicy: text", [&policy, &policy, &policy, &policy]),
        ("ListAttachedRolePolicies", [&ok, &denied, &ok, &denied]),
        ("GetPolicyVersion", [&ok, &denied, &ok, &denied]),
        ("users at once", [&denied, &denied, &answered, &answered]),
        ("roles at once", [&denied, &denied, &ok, &ok]),
        ("roles at once: whom orders trusts", [&null, &null, &trust, &trust]),
        ("roles at once: tags", [&null, &null, &tags, &tags]),
        ("MyFunction", [&ok, &refused, &ok, &refused]),
        ("MyFunction: variables", [&ours, &null, &ours, &null]),
        ("its code", [&refused, &refused, &refused, &refused]),
        ("Orders", [&refused, &refused, &refused, &refused]),
        ("ListFunctions", [&refused, &refused, &ok, &refused]),
        ("ListFunctions: variables", [&nobody, &nobody, &all, &nobody]),
        ("the pipeline", [&refused, &ok, &refused, &ok]),
        ("ListPipelines", [&refused, &refused, &refused, &refused]),
        ("its own rights", [&denied, &denied, &denied, &denied]),
    ];
    let mut seen: Value = rows.iter().map(|(what, by_rights)| (*what, by_rights[rights as usize].clone())).collect();
    let names = json!(["data"]);
    let policies = json!([policy]);
    seen["ListRolePolicies: names"] = (if seen["ListRolePolicies"] == ok { &names } else { &null }).clone();
    seen["roles at once: policies"] = (if seen["roles at once"] == ok { &policies } else { &none }).clone();
    seen
}

async fn in_dev(scenario: &mut Scenario<'_>) -> Result<()> {
    look(scenario, Rights::Dev).await
}

async fn in_tools(scenario: &mut Scenario<'_>) -> Result<()> {
    look(scenario, Rights::Tools).await
}

/// What `--bulk-reads` costs, as deploy/iam/README.md says: they see more, and can do no more.
async fn the_whole_account(scenario: &mut Scenario<'_>) -> Result<()> {
    look(scenario, Rights::DevAtOnce).await?;
    look(scenario, Rights::ToolsAtOnce).await
}

async fn look(scenario: &mut Scenario<'_>, rights: Rights) -> Result<()> {
    let accounts = scenario.accounts.clone();
    let in_dev = matches!(rights, Rights::Dev | Rights::DevAtOnce);
    if in_dev {
        let mut function = scenario.configuration()?["accounts"][&accounts.dev]["functions"][&accounts.function_region]
            [FUNCTION]
            .clone();
        function["environment"] = json!({"PASSWORD": "of MyFunction"});
        scenario
            .aws()
            .put_function(&accounts.dev, &accounts.function_region, FUNCTION, function)
            .context("a function with variables")?;
    }
    let account = if in_dev { &accounts.dev } else { &accounts.tools };
    let code = format!("values[\"in_dev\"] = {}\n{READS}", if in_dev { "True" } else { "False" });
    assert_eq!(attempts(scenario, Some(account), &code).await?, seen(rights), "{account}");
    Ok(())
}
