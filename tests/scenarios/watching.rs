//! What the controller knows of Kubernetes: lists of many pages, objects that somebody made large, watches that tell nothing.

use crossinvoke_harness::{
    Context as _, Result, Scenario, Setup, objects,
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
};

pub(crate) fn scenarios() -> Vec<Case> {
    vec![
        case("what_changes_between_the_pages_of_a_list_is_looked_at", no_rights, between_pages),
        case("annotations_and_labels_cost_no_memory", Setup::default, large_objects),
    ]
}

fn no_rights() -> Setup {
    Setup::default().without_controller().without_rights()
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
    // A page is held as it came: 50 objects, 12.5 MB.
    assert!(grown < 30e6, "it grew by {grown} bytes");
    Ok(())
}
