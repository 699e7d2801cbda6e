//! What AWS denies is told with the action, the resource and the kind of policy that denies it.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup,
    accounts::CONTROLLER_ROLE,
    objects::condition,
    rights::Rendering,
    wait::{DEADLINE, eventually},
};
use fakeaws::{ControlPolicy, Effect, Fault};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::{entered, message, patch_account, refused, version},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_denial_names_the_kind_of_policy_that_denies", Setup::default, a_denial_names_the_kind_of_policy),
        case("a_policy_of_others_that_denies_is_named_by_its_kind", Setup::default, policies_of_others),
        case("a_role_denied_for_want_of_a_boundary_names_the_field", unnamed, unnamed_boundary),
        case("a_connection_that_may_not_be_passed_is_named_with_the_right", Setup::default, connection),
        case("a_resource_control_policy_is_among_what_is_left", short_propagation, resource_control_policy),
    ]
}

fn short_propagation() -> Setup {
    Setup::default().flags(["--iam-propagation-timeout", "3s"])
}

/// The rights demand a boundary, and the `AwsAccount` of dev names none.
fn unnamed() -> Setup {
    Setup::default().aws_accounts(|_, dev| {
        let roles = dev["spec"]["invokeRoles"].as_object_mut();
        let named = roles.and_then(|roles| roles.remove("permissionsBoundaryARN"));
        assert!(named.is_some(), "{dev}");
    })
}

async fn unnamed_boundary(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (before, boundary) = (scenario.configuration()?, scenario.accounts.boundary_arn());
    scenario.apply(&scenario.invoke("validate")).await?;
    let field = format!("spec.invokeRoles.permissionsBoundaryARN of AwsAccount {}-dev", scenario.namespace);
    let parts =
        ["role/crossinvoke may not iam:CreateRole on ", &field, "only with the boundary", "or allow it in that"];
    refused(scenario, "validate", "AccessDenied", &parts).await?;
    let object = scenario.invokes().get("validate").await.context("reading")?;
    assert_eq!(condition(&object, "Stalled"), Some(("True", "AccessDenied")));
    scenario.assert_as_before(&before)?;
    // The mended account is reason enough to look again.
    let named = json!({"spec": {"invokeRoles": {"permissionsBoundaryARN": boundary}}});
    patch_account(scenario, "dev", &named).await?;
    scenario.until_reason("validate", "Converged").await?;

    // What is denied with a boundary has another reason.
    let denied = "User: arn:aws:sts::222222222222:assumed-role/crossinvoke/s is not authorized to perform: \
                  iam:CreateRole on resource: role x because no identity-based policy allows the iam:CreateRole action";
    let denied = Fault::next("CreateRole", Effect::fail("AccessDenied", denied, 403)).always();
    scenario.aws().fault(denied).context("a fault")?;
    let mut second = scenario.invoke("second");
    second["spec"]["stage"] = json!({"name": "Second", "position": {"after": "Build"}});
    scenario.apply(&second).await?;
    refused(scenario, "second", "AccessDenied", &["may not iam:CreateRole on role x; allow it in that role's"]).await
}

/// In AWS's words for each kind. An Allow in the role's policies helps against the first alone.
async fn a_denial_names_the_kind_of_policy(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let dev = scenario.accounts.dev.clone();
    scenario.apply(&scenario.invoke("validate")).await?;
    for (end, remedy) in [
        (
            "because no identity-based policy allows the iam:PutRolePolicy action",
            "allow it in that role's policies (deploy/iam",
        ),
        ("with an explicit deny in an identity-based policy", "a policy of that role denies it"),
        (
            "because no permissions boundary allows the iam:PutRolePolicy action",
            "the permissions boundary of that role denies it",
        ),
        ("with an explicit deny in a service control policy", "a service control policy of the organization denies it"),
        (
            "with an explicit deny in a resource control policy",
            "a resource control policy of the organization denies it",
        ),
        ("because no session policy allows the iam:PutRolePolicy action", "the policy of its session denies it"),
        ("", "and look for denies, its permissions boundary and policies of the organization"),
    ] {
        let session = format!("arn:aws:sts::{dev}:assumed-role/crossinvoke/s");
        let text =
            format!("User: {session} is not authorized to perform: iam:PutRolePolicy on resource: role our-role {end}");
        scenario.aws().clear_faults().context("no faults")?;
        let denied = Effect::fail("AccessDenied", &text, 403);
        scenario.aws().fault(Fault::next("PutRolePolicy", denied).always()).context("a fault")?;
        scenario.touch("validate", remedy).await?;
        let says = |object: &kube::api::DynamicObject| {
            let said = message(object);
            let all = ["role/crossinvoke may not iam:PutRolePolicy on role our-role;", remedy, &dev];
            condition(object, "Ready").is_some_and(|(_, reason)| reason == "AccessDenied")
                && all.iter().all(|part| said.contains(part))
                // The last of them says both: AWS has not said which it is.
                && said.contains("deploy/iam") == (remedy.contains("deploy/iam") || end.is_empty())
                && said.contains("and look for denies") == end.is_empty()
        };
        scenario.until("validate", &format!("the denial says: {remedy}"), says).await?;
    }
    scenario.aws().clear_faults().context("no faults")?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await.map(|_| ())
}

/// As the double judges them: policies that platform teams put on the controller's role or its account.
async fn policies_of_others(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (aws, dev) = (scenario.aws().clone(), scenario.accounts.dev.clone());
    let denied = json!({"Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "iam:CreateRole", "Resource": "*"}]});
    let told = async |remedy: &str| {
        let parts = ["role/crossinvoke may not iam:CreateRole on arn:aws:iam::", remedy, &dev];
        refused(scenario, "validate", "AccessDenied", &parts).await
    };
    aws.put_inline_policy(&dev, CONTROLLER_ROLE, "theirs", denied.clone()).context("a deny on the role")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    told("a policy of that role denies it").await?;
    aws.put_control_policy(&dev, ControlPolicy::Service, "theirs", denied).context("a service control policy")?;
    aws.remove_inline_policy(&dev, CONTROLLER_ROLE, "theirs").context("no deny on the role")?;
    scenario.touch("validate", "organization").await?;
    told("a service control policy of the organization denies it").await?;
    let limit = format!("arn:aws:iam::{dev}:policy/limit");
    let reads = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["iam:Get*", "iam:List*",
        "lambda:*"], "Resource": "*"}]});
    aws.put_managed_policy(&limit, reads).context("a boundary for the controller")?;
    aws.set_boundary(&dev, CONTROLLER_ROLE, Some(&limit)).context("its boundary")?;
    aws.remove_control_policy(&dev, ControlPolicy::Service, "theirs").context("no service control policy")?;
    scenario.touch("validate", "boundary").await?;
    told("the permissions boundary of that role denies it").await?;
    aws.set_boundary(&dev, CONTROLLER_ROLE, None).context("no boundary")?;
    scenario.touch("validate", "nothing").await?;
    scenario.until_reason("validate", "Converged").await.map(drop)
}

/// A platform team allows what `UpdatePipeline` and `PassRole` take, and no more: the pipeline's source is a connection,
/// which nobody changes, and yet AWS asks for the right to pass it.
async fn connection(scenario: &mut Scenario<'_>) -> Result<()> {
    let whole = scenario.accounts.rights("tools", Rendering::Policy)?;
    let mut without = whole.clone();
    let statements = without["Statement"].as_array_mut().expect("statements");
    statements.retain(|statement| statement["Sid"] != "KeepConnections");
    let (aws, tools) = (scenario.aws().clone(), scenario.accounts.tools.clone());
    let give = |rights: &Value| {
        aws.put_inline_policy(&tools, CONTROLLER_ROLE, CONTROLLER_ROLE, rights.clone()).context("the rights in tools")
    };
    give(&without)?;
    entered(scenario).await?;
    let connection = format!("arn:aws:codeconnections:us-east-1:{tools}:connection/");
    let parts = ["role/crossinvoke may not codestar-connections:PassConnection on ", &connection, "deploy/iam"];
    scenario.apply(&scenario.invoke("validate")).await?;
    refused(scenario, "validate", "AccessDenied", &parts).await?;
    let object = scenario.invokes().get("validate").await.context("reading")?;
    assert_eq!(condition(&object, "Stalled"), Some(("True", "AccessDenied")));
    assert_eq!(version(scenario)?, 1, "nothing was written");
    give(&whole)?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await?;

    give(&without)?;
    let mark = scenario.mark()?;
    scenario.delete("validate").await?;
    eventually("the deletion is refused and told", DEADLINE, async || {
        let object = scenario.invokes().get("validate").await.map_err(|error| error.to_string())?;
        let said = message(&object);
        if parts.iter().all(|part| said.contains(part)) { Ok(()) } else { Err(said) }
    })
    .await?;
    assert_eq!(scenario.calls_since(mark)?.of("DeleteRole"), 0, "what the action needs stays with it");
    give(&whole)?;
    scenario.touch("validate", "once more").await?;
    scenario.until_gone("validate").await
}

/// The organization of the dev account keeps the pipeline's role out.
async fn resource_control_policy(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let (dev, role) = (scenario.accounts.dev.clone(), scenario.accounts.pipeline_role_arn());
    let strangers = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",
        "Action": "sts:AssumeRole", "Resource": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": role}}}]});
    scenario.aws().put_control_policy(&dev, ControlPolicy::Resource, "perimeter", strangers).context("a perimeter")?;
    scenario.apply(&scenario.invoke("validate")).await?;
    let left = format!(
        "resource control policy of the dev account that denies sts:AssumeRole; allow sts:AssumeRole on arn:aws:iam::{dev}"
    );
    let parts = ["trust policy is in place since", "-assume is in place since", &role, &left];
    refused(scenario, "validate", "PipelineRoleCannotAssume", &parts).await?;
    assert_eq!(version(scenario)?, 1, "nothing was written");
    scenario.aws().remove_control_policy(&dev, ControlPolicy::Resource, "perimeter").context("no perimeter")?;
    scenario.touch("validate", "again").await?;
    scenario.until_reason("validate", "Converged").await.map(drop)
}
