//! What the controller knows of Kubernetes: lists of many pages, objects that somebody made large, watches that tell nothing.

use crossinvoke_harness::{
    Context as _, Error, Result, Scenario, Setup, objects,
    wait::{DEADLINE, eventually},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    isolating::give_narrow_rights,
    suite::{Case, case},
    support::{entered, patch_account},
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("what_changes_between_the_pages_of_a_list_is_looked_at", no_rights, between_pages),
        case("annotations_and_labels_cost_no_memory", Setup::default, large_objects),
        case("objects_that_a_stuck_watch_does_not_show_are_read_one_by_one", unstarted, stuck_watch),
        case("looks_at_what_is_in_place_are_spread_and_no_others", spreading, spread_looks),
    ]
}

fn no_rights() -> Setup {
    Setup::default().without_controller().without_rights()
}

fn unstarted() -> Setup {
    Setup::default().without_controller()
}

fn spreading() -> Setup {
    Setup::default().flags(["--spread-looks=true"])
}

/// An object that no account grants anything, so that AWS is not asked for it.
fn ungranted(scenario: &Scenario<'_>, name: &str) -> Value {
    let mut object = scenario.invoke(name);
    object["spec"]["toolsAccount"]["id"] = json!("999999999999");
    object
}

/// Makes many objects, each changed in some way.
async fn make(scenario: &Scenario<'_>, prefix: &str, count: usize, change: impl Fn(&mut Value)) -> Result<()> {
    let api = scenario.invokes();
    let objects = (0..count).map(|number| {
        let mut object = ungranted(scenario, &format!("{prefix}-{number:03}"));
        change(&mut object);
        object
    });
    let making = stream::iter(objects).map(|object| {
        let api = api.clone();
        async move {
            let object: DynamicObject = serde_json::from_value(object).context("an object")?;
            api.create(&PostParams::default(), &object).await.map(drop).context("making an object")
        }
    });
    making.buffer_unordered(8).try_collect().await
}

/// Waits until all objects have been looked at as they are now.
async fn all_refused(scenario: &Scenario<'_>, count: usize) -> Result<()> {
    let api = scenario.invokes();
    eventually("every object is refused", DEADLINE, async || {
        let all = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let open: Vec<_> = all.iter().filter(|object| !objects::has_reason(object, "NotGranted")).collect();
        let names: Vec<String> = open.iter().map(|object| object.name_any()).collect();
        if all.len() == count && names.is_empty() { Ok(()) } else { Err(format!("{} and {names:?}", all.len())) }
    })
    .await
}

/// Two pages: the page of `src/cluster/watch.rs` and something more.
const OBJECTS: usize = 60;

async fn until_a_second_page_is_asked_for(scenario: &Scenario<'_>) -> Result<()> {
    let front = scenario.front()?;
    front.keep_requests(&["crossaccountinvokes", "continue="]);
    eventually("the second page is asked for", DEADLINE, || {
        std::future::ready(if front.waiting() > 0 { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await
}

/// Without the right to watch, lists are all that shows what changed. While the second page of one is not there yet, what
/// its first page shows is not in the store.
async fn between_pages(scenario: &mut Scenario<'_>) -> Result<()> {
    give_narrow_rights(scenario).await?;
    let unwatched = json!([{"op": "replace", "path": "/rules/0/verbs", "value": ["get", "list", "patch"]}]);
    let role = format!("{}-objects", scenario.namespace);
    let patch = ["patch", "clusterrole", &role, "--type=json", "--patch", &unwatched.to_string()];
    scenario.kubectl().run(&patch).await?;
    make(scenario, "m", OBJECTS, |_| {}).await?;
    scenario.put_front().await?;
    scenario.start_controller().await?;
    all_refused(scenario, OBJECTS).await?;

    until_a_second_page_is_asked_for(scenario).await?;
    let api = scenario.invokes();
    make(scenario, "a", 1, |_| {}).await?;
    let edit = Patch::Merge(json!({"spec": {"stage": {"name": "Other"}}}));
    api.patch("m-003", &PatchParams::default(), &edit).await.context("an edit")?;
    scenario.front()?.release();
    // The list that begins next has both in its first page.
    until_a_second_page_is_asked_for(scenario).await?;
    let early = api.get("a-000").await.context("reading")?;
    assert!(early.data["status"].get("conditions").is_none(), "nothing of a list counts before its end: {early:?}");
    scenario.front()?.release();
    all_refused(scenario, OBJECTS + 1).await?;
    assert_eq!(api.get("m-003").await.context("reading")?.metadata.generation, Some(2));
    Ok(())
}

/// Bytes that somebody writes into each object, where nobody reads them.
const FILLER: usize = 125_000;
/// Objects of each kind.
const LARGE: usize = 200;

async fn memory(scenario: &mut Scenario<'_>) -> Result<f64> {
    scenario.restart_controller().await?;
    all_refused(scenario, LARGE).await?;
    scenario.controller()?.metric("process_resident_memory_bytes ").await
}

/// Two hundred objects with a quarter of a megabyte each take as much as two hundred without: 50 MB are not kept.
async fn large_objects(scenario: &mut Scenario<'_>) -> Result<()> {
    make(scenario, "o", LARGE, |_| {}).await?;
    let small = memory(scenario).await?;
    let filler = "x".repeat(FILLER);
    let large = Patch::Merge(json!({"metadata": {"annotations": {"somebody": filler, "else": filler}}}));
    let api = scenario.invokes();
    let names: Vec<String> = (0..LARGE).map(|number| format!("o-{number:03}")).collect();
    let patched = stream::iter(names).map(|name| {
        let (api, large) = (api.clone(), large.clone());
        async move { api.patch(&name, &PatchParams::default(), &large).await.map(drop).context("an annotation") }
    });
    patched.buffer_unordered(8).try_collect::<()>().await?;
    let grown = memory(scenario).await? - small;
    // A page is held as it came, some times over: 50 objects, 12.5 MB. Kept, all of it would be 50 MB on top of that.
    assert!(grown < 70e6, "it grew by {grown} bytes");
    Ok(())
}

/// The body of `/readyz`, which is 200 throughout.
async fn until_readyz(scenario: &mut Scenario<'_>, what: &str, is: impl Fn(&str) -> bool) -> Result<()> {
    let controller = scenario.controller()?;
    eventually(what, DEADLINE, async || {
        let (status, body) = controller.get("/readyz").await.map_err(|error| error.to_string())?;
        if status == 200 && is(&body) { Ok(()) } else { Err(format!("{status} {body}")) }
    })
    .await
}

const STUCK: [&str; 3] = ["one", "two", "three"];

/// A watch stays open and tells nothing more, while somebody edits three objects and there is something to write for each.
async fn stuck_watch(scenario: &mut Scenario<'_>) -> Result<()> {
    scenario.put_front().await?;
    scenario.start_controller().await?;
    entered(scenario).await?;
    for name in STUCK {
        scenario.apply(&scenario.invoke(name)).await?;
    }
    for name in STUCK {
        scenario.until_reason(name, "Converged").await?;
    }
    scenario.front()?.keep_answers(&["crossaccountinvokes", "watch="]);
    let edit = Patch::Merge(json!({"spec": {"action": {"userParameters": "edited"}}}));
    for name in STUCK {
        scenario.invokes().patch(name, &PatchParams::default(), &edit).await.context("an edit")?;
    }
    let mark = scenario.mark()?;
    patch_account(scenario, "dev", &json!({"spec": {"invokeRoles": {"tags": {"CostCenter": "4711"}}}})).await?;
    for name in STUCK {
        let object = scenario.until_reason(name, "Converged").await?;
        assert_eq!(object.metadata.generation, Some(2), "as it was edited");
    }
    until_readyz(scenario, "readyz says so", |body| {
        body.contains("the watch of crossaccountinvokes in namespace") && body.contains("lags behind")
    })
    .await?;
    let reads = scenario.kubernetes_calls("get", "crossaccountinvokes", &scenario.namespace)?.len();
    assert_eq!(reads, STUCK.len(), "each is read once");
    let counted = scenario.controller()?.metric("crossinvoke_objects_read_singly_total").await?;
    assert!((counted - 3.0).abs() < f64::EPSILON, "{counted}");
    // Two looks that end in a conflict, and the one that leads to the end, which makes roles, policies and an action.
    let calls = scenario.calls_since(mark)?;
    assert!(calls.of("GetFunctionConfiguration") <= 5 * STUCK.len(), "{calls}");
    scenario.front()?.release();
    until_readyz(scenario, "readyz says so no more", |body| body == "ok\n").await?;
    let controller = scenario.controller()?;
    for said in ["lags behind", "shows changes again"] {
        eventually(said, DEADLINE, || {
            let count = controller.log().iter().filter(|line| line.contains(said)).count();
            std::future::ready(if count == 1 { Ok(()) } else { Err(format!("{count} times")) })
        })
        .await?;
    }
    Ok(())
}

/// Of an object the name of its invoke role, by its status.
fn invoke_role(object: &DynamicObject) -> Result<String> {
    let items = object.data["status"]["inventory"].as_array().cloned().unwrap_or_default();
    let item = items.into_iter().find(|item| item["kind"] == "InvokeRole").ok_or_else(|| Error::new("no role"))?;
    let arn = item["resource"].as_str().unwrap_or_default().to_owned();
    Ok(arn.rsplit('/').next().unwrap_or_default().to_owned())
}

/// Objects with an interval of a day are held back for hours, and those of a hundred seconds for up to ten seconds.
async fn spread_looks(scenario: &mut Scenario<'_>) -> Result<()> {
    entered(scenario).await?;
    let names: Vec<String> = ["day-1", "day-2", "day-3", "s-1", "s-2", "s-3", "s-4", "s-5"].map(str::to_owned).into();
    for name in &names {
        let mut invoke = scenario.invoke(name);
        invoke["spec"]["interval"] = json!(if name.starts_with("day") { "24h" } else { "100s" });
        scenario.apply(&invoke).await?;
    }
    let mut roles = Vec::new();
    for name in &names {
        roles.push((name, invoke_role(&scenario.until_reason(name, "Converged").await?)?));
    }
    scenario.controller()?.stop().await?;
    // While nobody looks one comes and one is edited.
    scenario.apply(&scenario.invoke("new")).await?;
    let edit = Patch::Merge(json!({"spec": {"action": {"userParameters": "edited"}}}));
    scenario.invokes().patch("day-1", &PatchParams::default(), &edit).await.context("an edit")?;
    let mark = scenario.mark()?;
    scenario.start_controller().await?;
    scenario.until_reason("new", "Converged").await?;
    scenario.until_reason("day-1", "Converged").await?;
    // Those that wait are counted as they are.
    let counted =
        scenario.controller()?.metric("crossinvoke_objects{readiness=\"ready\",reason=\"Converged\"}").await?;
    assert!((counted - 9.0).abs() < f64::EPSILON, "{counted}");

    let first_looks = async || {
        let calls = scenario.calls_since(mark).map_err(|error| error.to_string())?;
        let of = |role: &String| {
            let mut reads = calls.0.iter().filter(|call| call.operation == "GetRole");
            reads.find(|call| call.resource.as_ref().is_some_and(|resource| resource.ends_with(role.as_str())))
        };
        let short = roles.iter().filter(|(name, _)| name.starts_with("s-"));
        let looks: Option<Vec<_>> = short.map(|(_, role)| of(role).map(|call| call.time)).collect();
        looks.ok_or_else(|| calls.to_string())
    };
    let mut looks = eventually("all with the short interval are looked at", DEADLINE, first_looks).await?;
    looks.sort();
    let apart = looks[looks.len() - 1].duration_since(looks[0]);
    assert!(apart.as_millis() > 500, "they are spread: {looks:?}");

    // Whatever is asked for, or is granted something else, does not wait.
    scenario.touch("day-2", "now").await?;
    let answered = |object: &DynamicObject| object.data["status"]["lastHandledReconcileAt"] == "now";
    scenario.until("day-2", "it is looked at", answered).await?;
    let grants = json!({"spec": {"grants": [{"name": "functions", "namespaces": {"names": [scenario.namespace]},
        "functions": ["Another"], "callers": [scenario.accounts.tools]}]}});
    patch_account(scenario, "dev", &grants).await?;
    for name in &names {
        scenario.until_reason(name, "NotGranted").await?;
    }
    Ok(())
}
