//! Bulk reads: one scan of an account takes the place of single reads, and confirms only.

use crossinvoke_harness::{
    Calls, Context as _, Error, Mark, Result, Scenario, Setup,
    accounts::{CHECKS_ROLE, EXECUTION_ROLE, FUNCTION, PIPELINE, PIPELINE_ROLE},
    objects::{condition, has_reason, message_of},
    wait::{DEADLINE, eventually, until_object},
};
use fakeaws::BulkAnswers;
use kube::{
    ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use serde_json::{Value, json};

use crate::{
    suite::{Case, case},
    support::invoke_role_name,
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("forty_in_sync_cost_one_bulk_read_of_roles_and_of_functions", scanning, forty_objects),
        case("what_a_bulk_read_shows_otherwise_is_read_singly_and_put_right", scanning, each_drift),
        case("a_bulk_read_that_lags_or_lacks_a_role_changes_nothing", scanning, lags_and_lacks),
        case("a_boundary_that_bulk_reads_leave_out_is_read_singly", scanning, without_boundaries),
        case("a_denied_bulk_read_is_said_once_and_changes_nothing_else", denied, is_denied),
        case("an_account_that_asks_for_single_reads_gets_no_bulk_read", single, single_reads),
    ]
}

const EVERY: [&str; 1] = ["--bulk-reads-every=5s"];
const OBJECTS: usize = 40;
/// Pipelines beside the usual one, each with a service role of its own and the action of one object.
const PIPELINES: usize = 4;

/// Objects are looked at every ten seconds, and accounts scanned every five. Each object has a function of its own: what
/// all share is read singly with one call.
fn many_functions() -> Setup {
    Setup::default().flags(EVERY).seed(|accounts, seed| {
        let functions = seed.accounts.get_mut(&accounts.dev).map(|dev| &mut dev.functions[&accounts.function_region]);
        if let Some(functions) = functions {
            for number in 0..OBJECTS {
                functions[format!("{FUNCTION}-{number:02}")] = functions[FUNCTION].clone();
            }
        }
        let Some(tools) = seed.accounts.get_mut(&accounts.tools) else { return };
        let service = tools.roles.get(PIPELINE_ROLE).cloned();
        let mut trusted = vec![accounts.pipeline_role_arn()];
        for number in 0..PIPELINES {
            let (pipelines, role) = (&mut tools.pipelines[&accounts.region], format!("{PIPELINE_ROLE}-{number}"));
            let mut pipeline = pipelines[PIPELINE].clone();
            pipeline["name"] = json!(format!("payments-{number}"));
            trusted.push(accounts.iam_arn(&accounts.tools, &format!("role/service-role/{role}")));
            pipeline["roleArn"] = json!(trusted.last());
            pipelines[format!("payments-{number}")] = pipeline;
            tools.roles.extend(service.clone().map(|service| (role, service)));
        }
        // A rule of each pipeline runs with this role.
        if let Some(checks) = tools.roles.get_mut(CHECKS_ROLE) {
            checks.trust["Statement"][0]["Principal"]["AWS"] = json!(trusted);
        }
    })
}

fn granted(_: &mut Value, dev: &mut Value) {
    dev["spec"]["grants"][0]["functions"] = json!([format!("{FUNCTION}*")]);
}

fn scanning() -> Setup {
    many_functions().with_bulk_reads().aws_accounts(granted)
}

fn denied() -> Setup {
    many_functions().aws_accounts(granted)
}

fn single() -> Setup {
    many_functions().with_bulk_reads().aws_accounts(|tools, dev| {
        granted(tools, dev);
        for account in [tools, dev] {
            account["spec"]["reads"] = json!("Single");
        }
    })
}

/// So many objects that converge and are looked at every ten seconds.
async fn converged(scenario: &Scenario<'_>, count: usize) -> Result<Vec<String>> {
    let names: Vec<String> = (0..count).map(|number| format!("check-{number:02}")).collect();
    for (number, name) in names.iter().enumerate() {
        let mut invoke = scenario.invoke(name);
        invoke["spec"]["interval"] = json!("10s");
        if number < PIPELINES {
            invoke["spec"]["pipeline"]["name"] = json!(format!("payments-{number}"));
        }
        invoke["spec"]["function"]["name"] = json!(name.replace("check", FUNCTION));
        invoke["spec"]["invokeRole"] = json!({"tags": {"team": "payments"}});
        scenario.apply(&invoke).await?;
    }
    eventually("all have converged", DEADLINE * 3, async || {
        let objects = scenario.invokes().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let ready = objects.iter().filter(|object| has_reason(object, "Converged")).count();
        if ready == count { Ok(()) } else { Err(format!("{ready} of {count}")) }
    })
    .await?;
    Ok(names)
}

fn show_boundaries(scenario: &Scenario<'_>) -> Result<()> {
    let shown = BulkAnswers { with_boundaries: true, ..BulkAnswers::default() };
    scenario.aws().set_bulk_answers(shown).context("boundaries")
}

fn in_account(calls: &Calls, account: &str, operation: &str) -> usize {
    calls.0.iter().filter(|call| call.account == account && call.operation == operation).count()
}

const SINGLE: [&str; 5] =
    ["GetRole", "GetRolePolicy", "ListRolePolicies", "ListAttachedRolePolicies", "GetFunctionConfiguration"];

/// Waits until so many scans of the dev account's roles have ended since the mark.
async fn scans(scenario: &Scenario<'_>, mark: Mark, count: usize) -> Result<()> {
    eventually("scans", DEADLINE * 2, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let scans = in_account(&calls, &scenario.accounts.dev, "GetAccountAuthorizationDetails");
        if scans >= count { Ok(()) } else { Err(format!("{scans} of {count}")) }
    })
    .await
}

async fn bulk_reads(scenario: &Scenario<'_>, kind: &str, status: &str, reason: &str) -> Result<String> {
    let name = format!("{}-{kind}", scenario.namespace);
    let says = |account: Option<&DynamicObject>| {
        account.is_some_and(|account| condition(account, "BulkReads") == Some((status, reason)))
    };
    let account = until_object(&scenario.aws_accounts(), &name, reason, DEADLINE * 2, says).await?;
    let account = account.ok_or_else(|| Error::new(format!("{name} went away")))?;
    assert!(has_reason(&account, "Converged"), "{account:?}");
    Ok(message_of(&account, "BulkReads"))
}

/// Four scans: the functions and roles of the dev account, and the roles of the tools account, each in one page, while no
/// object is read singly.
async fn forty_objects(scenario: &mut Scenario<'_>) -> Result<()> {
    show_boundaries(scenario)?;
    converged(scenario, OBJECTS).await?;
    bulk_reads(scenario, "dev", "True", "Active").await?;
    let mark = scenario.mark()?;
    scans(scenario, mark, 4).await?;
    let calls = scenario.calls_since(mark)?;
    let in_dev = |operation| in_account(&calls, &scenario.accounts.dev, operation);
    let (roles, functions) = (in_dev("GetAccountAuthorizationDetails"), in_dev("ListFunctions"));
    assert!(functions <= roles + 1, "{calls}");
    // Two cycles cost twelve reads for each object without scans. Those whose look fell between two scans were read singly.
    let singly: usize = SINGLE.into_iter().map(in_dev).sum();
    assert!(singly <= OBJECTS * 4, "{singly} single reads beside {roles} scans: {calls}");
    assert_eq!(calls.mutating(), 0, "{calls}");
    Ok(())
}

const FEW: usize = 6;

/// Everything that a bulk read tells of is changed, each at another object; each is found and put right by the interval
/// alone, after a single read that says the same.
async fn each_drift(scenario: &mut Scenario<'_>) -> Result<()> {
    show_boundaries(scenario)?;
    let names = converged(scenario, FEW).await?;
    bulk_reads(scenario, "dev", "True", "Active").await?;
    let mut roles = Vec::new();
    for name in &names {
        let object = scenario.invokes().get(name).await.context("the object")?;
        roles.push(invoke_role_name(&object));
    }
    let good = scenario.configuration()?;
    let mark = scenario.mark()?;
    let (aws, id) = (scenario.aws(), scenario.installation_id.clone());
    let (tools, dev) = (scenario.accounts.tools.clone(), scenario.accounts.dev.clone());
    let wide = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let policy = |kind: &str| format!("crossinvoke-{id}-{kind}");
    let other = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{}:root", scenario.accounts.platform)}}]});
    aws.put_trust(&dev, &roles[0], other).context("T1")?;
    aws.put_tag(&dev, &roles[1], "team", "other").context("a tag")?;
    aws.set_boundary(&dev, &roles[2], None).context("the boundary")?;
    aws.remove_inline_policy(&dev, &roles[3], &policy("invoke")).context("P1")?;
    aws.put_inline_policy(&dev, &roles[4], "extra", wide.clone()).context("an extra policy")?;
    aws.put_inline_policy(&dev, EXECUTION_ROLE, &policy("callback"), wide.clone()).context("P2")?;
    aws.put_inline_policy(&tools, PIPELINE_ROLE, &policy("assume"), wide).context("P3")?;
    eventually("all of it is put right", DEADLINE * 2, async || {
        let now = scenario.configuration().map_err(|error| error.to_string())?;
        if now == good { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await?;
    let calls = scenario.calls_since(mark)?;
    for role in &roles[..5] {
        let of_role = |call: &&fakeaws::Call| call.resource.as_ref().is_some_and(|resource| resource.contains(role));
        let first =
            calls.0.iter().filter(of_role).find(|call| SINGLE.contains(&call.operation.as_str()) || call.mutating);
        assert!(first.is_some_and(|call| !call.mutating), "{role} was corrected without a single read: {calls}");
    }
    Ok(())
}

/// What the conditions of each object say; messages tell of each other's actions too.
async fn said(scenario: &Scenario<'_>) -> Result<Vec<(String, Value)>> {
    let objects = scenario.invokes().list(&ListParams::default()).await.context("the objects")?;
    let said = |condition: &Value| json!([condition["type"], condition["status"], condition["reason"]]);
    let conditions = |object: &DynamicObject| {
        object.data["status"]["conditions"].as_array().into_iter().flatten().map(said).collect::<Value>()
    };
    Ok(objects.iter().map(|object| (object.name_any(), conditions(object))).collect())
}

async fn lags_and_lacks(scenario: &mut Scenario<'_>) -> Result<()> {
    show_boundaries(scenario)?;
    let names = converged(scenario, FEW).await?;
    bulk_reads(scenario, "dev", "True", "Active").await?;
    let lacking = invoke_role_name(&scenario.invokes().get(&names[0]).await.context("the object")?);
    let before = said(scenario).await?;
    let mark = scenario.mark()?;
    for answers in [
        BulkAnswers { with_boundaries: true, lacking: [lacking].into(), ..BulkAnswers::default() },
        // None of the roles was there an hour ago, and the execution role had no policy of ours.
        BulkAnswers { with_boundaries: true, lag_milliseconds: 3_600_000, ..BulkAnswers::default() },
    ] {
        scenario.aws().set_bulk_answers(answers).context("a worse answer")?;
        let since = scenario.mark()?;
        scans(scenario, since, 2).await?;
    }
    let calls = scenario.calls_since(mark)?;
    assert_eq!(calls.mutating(), 0, "{calls}");
    assert!(calls.of("GetRole") > 0, "what the answer lacks was not read singly: {calls}");
    assert_eq!(said(scenario).await?, before);
    Ok(())
}

/// Of each role the boundary alone is read singly.
async fn without_boundaries(scenario: &mut Scenario<'_>) -> Result<()> {
    converged(scenario, FEW).await?;
    bulk_reads(scenario, "dev", "True", "Active").await?;
    let mark = scenario.mark()?;
    scans(scenario, mark, 3).await?;
    let calls = scenario.calls_since(mark)?;
    let (roles, lists) = (calls.of("GetRole"), calls.of("ListRolePolicies"));
    assert!(roles >= FEW && lists * 4 < roles, "{roles} roles and {lists} lists: {calls}");
    assert_eq!(calls.mutating(), 0, "{calls}");
    Ok(())
}

async fn is_denied(scenario: &mut Scenario<'_>) -> Result<()> {
    converged(scenario, FEW).await?;
    // Each account is asked on its own, and functions before roles.
    let roles = "iam:GetAccountAuthorizationDetails";
    for (account, named) in [("dev", vec![roles, "lambda:ListFunctions", "--bulk-reads"]), ("tools", vec![roles])] {
        eventually("each right is named", DEADLINE, async || {
            let said = bulk_reads(scenario, account, "False", "Denied").await.map_err(|error| error.to_string())?;
            if named.iter().all(|named| said.contains(named)) { Ok(()) } else { Err(said) }
        })
        .await?;
    }
    let before = said(scenario).await?;
    let told = async || {
        let selector = "--field-selector=reason=BulkReadsDenied";
        let events = scenario.kubectl().run(&["get", "events", "--namespace=default", selector]).await?;
        let account = format!("{}-dev", scenario.namespace);
        Ok::<_, Error>(events.lines().filter(|line| line.contains(&account)).count())
    };
    eventually("an event", DEADLINE, async || match told().await {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await?;
    let mark = scenario.mark()?;
    // Two cycles.
    eventually("single reads", DEADLINE, async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        if calls.of("ListRolePolicies") >= 2 * FEW { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("GetAccountAuthorizationDetails"), calls.mutating()), (0, 0), "{calls}");
    assert_eq!((told().await?, said(scenario).await?), (1, before));
    Ok(())
}

async fn single_reads(scenario: &mut Scenario<'_>) -> Result<()> {
    let mark = scenario.mark()?;
    converged(scenario, FEW).await?;
    bulk_reads(scenario, "dev", "False", "SingleRequested").await?;
    let cycles = scenario.mark()?;
    eventually("single reads", DEADLINE, async || {
        let calls = scenario.calls_since(cycles).map_err(|error| error.to_string())?;
        if calls.of("ListRolePolicies") >= 2 * FEW { Ok(()) } else { Err(calls.to_string()) }
    })
    .await?;
    let calls = scenario.calls_since(mark)?;
    assert_eq!((calls.of("GetAccountAuthorizationDetails"), calls.of("ListFunctions")), (0, 0), "{calls}");
    Ok(())
}
