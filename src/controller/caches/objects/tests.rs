use futures::FutureExt;
use serde_json::{Value, json};

use super::*;
use crate::{controller::memory::Memory, http::Readiness, telemetry::metrics::Metrics};

const UID: &str = "uid-of-";

fn manifest(name: &str, uid: &str) -> Value {
    json!({"apiVersion": "crossinvoke.dev/v1alpha1", "kind": "CrossAccountInvoke",
        "metadata": {"name": name, "namespace": "payments", "uid": uid, "generation": 1}, "spec": {
            "toolsAccount": {"id": "111111111111", "region": "us-east-1"}, "devAccount": {"id": "222222222222"},
            "pipeline": {"name": "release"}, "stage": {"name": "Validate"}, "function": {"name": "MyFunction"}}})
}

fn object(name: &str) -> Guarded {
    serde_json::from_value(manifest(name, &format!("{UID}{name}"))).unwrap()
}

fn edited(name: &str, generation: i64) -> Guarded {
    let mut object = object(name);
    object.meta_mut().generation = Some(generation);
    object
}

/// Caches whose client asks nobody, and the intake of all namespaces.
fn intake() -> (Arc<Caches>, Intake, BoxStream<'static, LeftBehind>) {
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = kube::Client::try_from(nowhere).unwrap();
    let (memory, metrics) = (Arc::new(Memory::default()), Arc::new(Metrics::default()));
    let installation = "index".parse().unwrap();
    let (caches, feeds) =
        Caches::open(&client, &installation, &["payments".to_owned()], false, &memory, &metrics, &Readiness::default());
    let intake = Intake::new(caches.clone(), caches.objects[0].clone());
    (caches, intake, feeds.left_behind)
}

fn take(intake: &mut Intake, event: watcher::Event<Guarded>) -> Vec<String> {
    intake.take(Ok(event)).into_iter().map(|brought| brought.unwrap().name_any()).collect()
}

fn list(intake: &mut Intake, objects: impl IntoIterator<Item = Guarded>) -> Vec<String> {
    assert!(take(intake, watcher::Event::Init).is_empty());
    for object in objects {
        assert!(take(intake, watcher::Event::InitApply(object)).is_empty(), "nothing of a list counts before its end");
    }
    let mut news = take(intake, watcher::Event::InitDone);
    news.sort();
    news
}

#[test]
fn an_object_that_a_new_list_does_not_have_is_gone_even_if_another_has_its_name() {
    let object =
        |name: &str, uid: &str| -> Arc<Guarded> { Arc::new(serde_json::from_value(manifest(name, uid)).unwrap()) };
    let before = [object("stays", "1"), object("made-again", "2"), object("gone", "3")];
    let now = [object("stays", "1"), object("made-again", "4"), object("new", "5")];
    let gone: Vec<String> = vanished(&before, &now).into_iter().filter_map(ResourceExt::uid).collect();
    assert_eq!(gone, ["2", "3"]);
    assert!(vanished(&[], &now).is_empty(), "nothing was known before the first list");
}

#[tokio::test]
async fn at_the_end_of_a_list_what_changed_since_it_was_last_seen_is_looked_at_and_nothing_else() {
    let (_caches, mut intake, _) = intake();
    assert_eq!(list(&mut intake, [object("a"), object("b"), object("c")]), ["a", "b", "c"]);
    assert_eq!(take(&mut intake, watcher::Event::Apply(edited("b", 2))), ["b"]);
    // In what follows b is as it was known, a was edited, c is gone, and d is new.
    assert_eq!(list(&mut intake, [edited("a", 2), edited("b", 2), object("d")]), ["a", "d"]);
    assert_eq!(list(&mut intake, [edited("a", 2), edited("b", 2), object("d")]), [""; 0]);
}

#[tokio::test]
async fn a_list_that_breaks_off_between_two_pages_loses_nothing() {
    let (_caches, mut intake, _) = intake();
    list(&mut intake, [object("a")]);
    take(&mut intake, watcher::Event::Init);
    take(&mut intake, watcher::Event::InitApply(object("new")));
    let failed = watcher::Error::NoResourceVersion;
    assert!(intake.take(Err(failed)).iter().all(Result::is_err));
    let store = intake.scope.store.clone();
    assert!(store.get(&ObjectRef::new("a").within("payments")).is_some(), "until the end what was known stays");
    assert_eq!(list(&mut intake, [object("a"), object("new")]), ["new"]);
    assert!(store.get(&ObjectRef::new("new").within("payments")).is_some());
}

#[tokio::test]
async fn an_entry_does_not_grow_with_what_nobody_reads() {
    let (_caches, mut intake, _) = intake();
    let plain = manifest("plain", "1");
    let mut large = manifest("large", "2");
    let filler = "x".repeat(250_000);
    large["metadata"]["annotations"] = json!({"somebody": filler, "kubectl.kubernetes.io/last-applied-configuration":
        json!({"spec": {"action": {"userParameters": filler}}}).to_string()});
    large["metadata"]["labels"] = json!({"somebody": filler});
    large["metadata"]["managedFields"] = json!([{"manager": filler}]);
    large["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": filler, "name": "x", "uid": "x"}]);
    let mut undecodable = large.clone();
    undecodable["metadata"]["name"] = json!("undecodable");
    undecodable["metadata"]["uid"] = json!("3");
    undecodable["spec"]["stage"] = json!({"name": 1, "ignored": filler});
    let objects = [plain, large, undecodable].map(|manifest| serde_json::from_str(&manifest.to_string()).unwrap());
    assert_eq!(list(&mut intake, objects).len(), 3);
    let kept = |name: &str| {
        let object = intake.scope.store.get(&ObjectRef::new(name).within("payments")).unwrap();
        // What was decoded, as long as its text: each value is in it once.
        format!("{object:?}").len()
    };
    assert!(kept("large") < kept("plain") + 100, "{} and {}", kept("large"), kept("plain"));
    assert!(kept("undecodable") < kept("plain") + 100, "{} and {}", kept("undecodable"), kept("plain"));
    assert!(kept("plain") < 4_096, "{}", kept("plain"));
}

fn with_something(name: &str) -> Guarded {
    let mut manifest = manifest(name, &format!("{UID}{name}"));
    manifest["status"] = json!({"inventory": [{"kind": "InvokeRole", "account": "222222222222",
        "resource": "arn:aws:iam::222222222222:role/theirs", "writtenAt": "2026-01-01T00:00:00Z"}]});
    serde_json::from_value(manifest).unwrap()
}

#[tokio::test]
async fn what_a_list_lacks_has_left_something_behind_and_what_may_not_be_listed_any_more_has_not() {
    let (caches, mut intake, mut left) = intake();
    list(&mut intake, [with_something("stays"), with_something("goes")]);
    let account = |id: &str| caches.naming(id).into_iter().map(|key| key.name).collect::<Vec<_>>();
    assert_eq!(account("222222222222"), ["goes", "stays"]);
    list(&mut intake, [with_something("stays")]);
    assert_eq!(left.next().await.unwrap().object.name.as_deref(), Some("goes"));
    assert_eq!(account("222222222222"), ["stays"]);
    let status = kube::core::Status { code: 403, ..kube::core::Status::default() };
    let refused = watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)));
    assert!(intake.take(Err(refused)).iter().all(Result::is_err));
    assert!(intake.scope.store.state().is_empty(), "nobody may act on what may have changed");
    assert!(account("222222222222").is_empty());
    assert!(left.next().now_or_never().is_none(), "it may well be there");
    assert_eq!(list(&mut intake, [with_something("stays")]), ["stays"]);
    assert!(left.next().now_or_never().is_none());
}

#[tokio::test]
async fn what_the_api_server_answered_stays_until_the_watch_shows_something_newer() {
    let (caches, mut intake, _left) = intake();
    let at = |version: &str, stage: &str| {
        let mut object = object("a");
        object.meta_mut().resource_version = Some(version.to_owned());
        object.0.as_mut().unwrap().spec.stage.name = stage.to_owned();
        object
    };
    let stage = |caches: &Caches| {
        let key = ObjectKey { namespace: "payments".to_owned(), name: "a".to_owned() };
        caches.object(&key).unwrap().0.as_ref().unwrap().spec.stage.name.clone()
    };
    list(&mut intake, [at("9", "Listed")]);
    caches.learn(at("11", "Written").0.as_ref().unwrap());
    assert_eq!(stage(&caches), "Written");
    take(&mut intake, watcher::Event::Apply(at("10", "Before")));
    assert_eq!(stage(&caches), "Written", "an event from before our write");
    caches.learn(at("9", "Late").0.as_ref().unwrap());
    assert_eq!(stage(&caches), "Written", "a late answer");
    take(&mut intake, watcher::Event::Apply(at("12", "After")));
    assert_eq!(stage(&caches), "After");
    let mut another = at("13", "Another");
    another.meta_mut().uid = Some("another".to_owned());
    take(&mut intake, watcher::Event::Delete(at("12", "After")));
    caches.learn(at("14", "Gone").0.as_ref().unwrap());
    assert!(intake.scope.store.state().is_empty(), "what is gone stays so");
    take(&mut intake, watcher::Event::Apply(another));
    caches.learn(at("14", "Gone").0.as_ref().unwrap());
    assert_eq!(stage(&caches), "Another");
}

#[tokio::test]
async fn a_changed_label_is_news_although_labels_are_not_kept() {
    let (_caches, mut intake, _) = intake();
    list(&mut intake, [object("a")]);
    let labelled = |value: &str| {
        let mut object = object("a");
        object.meta_mut().labels = Some([("team".to_owned(), value.to_owned())].into());
        watcher::Event::Apply(object)
    };
    assert_eq!(take(&mut intake, labelled("payments")), ["a"]);
    assert_eq!(take(&mut intake, labelled("payments")), [""; 0]);
    assert_eq!(take(&mut intake, labelled("other")), ["a"]);
}
