//! What the process shows to whoever is on its machine: how the worker of a busy pipeline stands, and for whom it logs.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup,
    accounts::{PIPELINE, PIPELINE_ROLE},
    wait::{DEADLINE, eventually},
};
use fakeaws::{Effect, Fault};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    suite::{Case, case},
    support::{converge, entered, patch_account},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("a_busy_pipeline_is_shown_with_its_claims", shown_and_logged, busy_pipeline_is_shown),
        case("a_role_that_is_written_is_shown_with_its_claims", shown_and_logged, role_is_shown),
    ]
}

fn shown_and_logged() -> Setup {
    Setup::default().flags(["--debug-addr=127.0.0.1:0", "--log-format=json", "--idle-poll=1s"])
}

/// The JSON lines of the log.
fn log(scenario: &mut Scenario<'_>) -> Result<Vec<Value>> {
    Ok(in_json(&scenario.controller()?.log()))
}

fn in_json(lines: &[String]) -> Vec<Value> {
    lines.iter().filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok()).collect()
}

fn address(scenario: &mut Scenario<'_>) -> Result<SocketAddr> {
    let found = log(scenario)?.iter().find_map(|line| line["debug_addr"].as_str()?.parse().ok());
    found.ok_or_else(|| Error::new("the log names no debug_addr"))
}

/// Status and body.
async fn asked(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: crossinvoke\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), exchange).await;
    let answer = answer.map_err(|_| Error::new("no answer"))?.context("asking")?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| Error::new(answer.clone()))?, body.to_owned()))
}

async fn busy_pipeline_is_shown(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    converge(scenario, &scenario.invoke("one")).await?;
    let (tools, region) = (scenario.accounts.tools.clone(), scenario.accounts.region.clone());
    let of = (tools.as_str(), region.as_str(), PIPELINE);
    let run = scenario.aws().put_execution(of, None, "InProgress", Some("Build")).context("a run")?;
    let mut waits = scenario.invoke("waits");
    waits["spec"]["action"] = json!({"userParameters": "hush-hush"});
    scenario.apply(&waits).await?;
    scenario.until_reason("waits", "WaitingForIdlePipeline").await?;

    let address = address(scenario)?;
    let key = format!("{tools}/{region}/{PIPELINE}");
    let (status, list) = asked(address, "/debug/targets").await?;
    assert_eq!((status, list.contains(&key)), (200, true), "{list}");
    assert_eq!(asked(address, "/debug/targets/what").await?.0, 400);
    assert_eq!(asked(address, &format!("/debug/targets/{key}-other")).await?.0, 404);
    let object = format!("{}/waits", scenario.namespace);
    eventually("it is shown as waiting", DEADLINE, async || {
        let (status, body) =
            asked(address, &format!("/debug/targets/{key}")).await.map_err(|error| error.to_string())?;
        let shown: Value = serde_json::from_str(&body).map_err(|error| format!("{status} {error}: {body}"))?;
        let worker = &shown["worker"];
        let claim = &worker["claims"][0];
        let why = worker["why"].as_str().unwrap_or_default();
        // While it asks again it is checking.
        let holds = worker["state"] == "Waiting"
            && worker["until"].is_string()
            && why.contains(&run)
            && claim["object"] == object.as_str()
            && claim["strength"] == "Add"
            && claim["since"].is_string()
            && worker["lastReading"]["version"].as_i64().is_some_and(|version| version >= 2)
            && worker["lastReading"]["ageSeconds"].is_i64()
            && worker["writeInFlight"].is_null()
            && !body.contains("hush-hush");
        if holds { Ok(()) } else { Err(body) }
    })
    .await?;
    let waiting = scenario.controller()?.metric(r#"crossinvoke_targets{kind="object",state="waiting"} "#).await?;
    assert!(waiting >= 1.0, "{waiting}");

    scenario.aws().put_execution(of, Some(&run), "Succeeded", None).context("its end")?;
    scenario.until_reason("waits", "Converged").await?;
    for (metric, least) in [
        (r#"crossinvoke_passes_total{kind="pipeline"} "#, 2.0),
        (r#"crossinvoke_passes_total{kind="object"} "#, 2.0),
        (r#"crossinvoke_permits_total{kind="pipeline",outcome="given"} "#, 2.0),
        ("crossinvoke_pipeline_claims_per_update_count ", 2.0),
        (r#"crossinvoke_aws_reading_age_seconds_count{source="single"} "#, 5.0),
    ] {
        let value = scenario.controller()?.metric(metric).await?;
        assert!(value >= least, "{metric}{value}");
    }
    said_in_passes(scenario, &key, &object, &["updating pipeline", "the pipeline was updated"])
}

/// Every line of a pass says what it is about, and for whom.
fn said_in_passes(scenario: &mut Scenario<'_>, key: &str, object: &str, messages: &[&str]) -> Result<()> {
    let lines = log(scenario)?;
    let of_object = lines.iter().filter(|line| line["span"]["objects"] == object);
    let said: BTreeSet<(&str, &str)> =
        of_object.filter_map(|line| Some((line["message"].as_str()?, line["span"]["target"].as_str()?))).collect();
    for message in messages {
        assert!(said.contains(&(message, key)), "{message}, {key}: {said:?}");
    }
    Ok(())
}

async fn role_is_shown(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let slow = Fault::next("PutRolePolicy", Effect::Delay { milliseconds: 4_000 }).containing("-assume");
    scenario.aws().fault(slow).context("a slow write")?;
    let address = address(scenario)?;
    let key = format!("{}/{PIPELINE_ROLE}", scenario.accounts.tools);
    let object = format!("{}/one", scenario.namespace);
    scenario.apply(&scenario.invoke("one")).await?;
    eventually("its write is shown", DEADLINE, async || {
        let (status, body) =
            asked(address, &format!("/debug/targets/{key}")).await.map_err(|error| error.to_string())?;
        let shown: Value = serde_json::from_str(&body).map_err(|error| format!("{status} {error}: {body}"))?;
        let worker = &shown["worker"];
        let (claim, write) = (&worker["claims"][0], &worker["writeInFlight"]);
        let holds = shown["kind"] == "role"
            && worker["state"] == "Writing"
            && claim["object"] == object.as_str()
            && claim["strength"] == "Add"
            && claim["wants"].as_str().is_some_and(|wants| wants.contains("in the assume policy"))
            && claim["since"].is_string()
            && write["policy"].as_str().is_some_and(|policy| policy.contains("assume"))
            && write["deletes"] == false
            && write["objects"] == json!([object])
            && worker["lastReading"]["policies"] == json!([])
            && worker["unsettledUntil"].is_null();
        if holds { Ok(()) } else { Err(body) }
    })
    .await?;
    let (_, list) = asked(address, "/debug/targets").await?;
    assert!(list.contains(&key), "{list}");
    let running = scenario.controller()?.metric(r#"crossinvoke_targets{kind="role",state="running"} "#).await?;
    assert!(running >= 1.0, "{running}");
    scenario.until_reason("one", "Converged").await?;
    let controller = scenario.controller()?;
    eventually("nobody wants anything of a role", DEADLINE, async || {
        let left = controller.metric(r#"crossinvoke_targets{kind="role""#).await.map_err(|error| error.to_string())?;
        if left < 1.0 { Ok(()) } else { Err(left.to_string()) }
    })
    .await?;
    // The role with trust and P1, and the two shared policies.
    for (metric, least) in [
        (r#"crossinvoke_passes_total{kind="role"} "#, 2.0),
        (r#"crossinvoke_permits_total{kind="role",outcome="given"} "#, 4.0),
    ] {
        let value = scenario.controller()?.metric(metric).await?;
        assert!(value >= least, "{metric}{value}");
    }
    said_in_passes(scenario, &key, &object, &["writing shared policy", "the shared policy was written"])?;
    refused_writes_are_counted(scenario).await
}

/// A grant is revoked while the object's role is made, so that the next write of it finds no permit.
async fn refused_writes_are_counted(scenario: &mut Scenario<'_>) -> Result<()> {
    let refused = r#"crossinvoke_permits_total{kind="role",outcome="refused"} "#;
    assert!(scenario.controller()?.metric(refused).await? < 1.0);
    let slow = Fault::next("CreateRole", Effect::Delay { milliseconds: 4_000 });
    scenario.aws().fault(slow).context("a slow write")?;
    scenario.apply(&scenario.invoke("two")).await?;
    let makes_role = |line: &&Value| line["change"] == "create role";
    let controller = scenario.controller()?;
    eventually("its role is being made", DEADLINE, async || {
        let lines = in_json(&controller.log());
        // The first one was made for the other object.
        if lines.iter().filter(makes_role).count() == 2 { Ok(()) } else { Err(format!("{:?}", lines.last())) }
    })
    .await?;
    patch_account(scenario, "dev", &json!({"spec": {"grants": []}})).await?;
    scenario.until_reason("two", "NotGranted").await?;
    let counted = scenario.controller()?.metric(refused).await?;
    assert!(counted >= 1.0, "{counted}");
    Ok(())
}
