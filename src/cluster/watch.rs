//! What a watch brings: whether objects can be listed, and why not.

use std::time::Duration;

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use kube::{Api, Resource, api::WatchParams, runtime::watcher};

use crate::domain::retry;

/// Objects of one page of a list. A page is held as it came, and each of its objects may have 256 KiB of annotations.
pub const PAGE: u32 = 50;

/// What a watch brings.
pub type Events<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

/// What is learned of the right to watch.
pub enum Watching<'a> {
    /// It is refused, while the objects can be listed.
    Refused(&'a kube::Error),
    /// It is there again.
    Allowed,
}

/// A watch that lists again when it is forbidden: a watcher that may not be opened would otherwise try that for ever, and
/// nobody would learn whether the objects can still be listed. These lists are whole ones, and all that shows what changed:
/// they go on, and come less and less often. `learn` learns whether the watch is allowed.
pub fn relisting<K>(api: Api<K>, learn: impl Fn(Watching<'_>) + Send + 'static) -> Events<K>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let events = opened(&api);
    stream::unfold(Relisting { api, learn, events, refused: 0, pause: None }, Relisting::next).boxed()
}

fn opened<K>(api: &Api<K>) -> Events<K>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    watcher(api.clone(), watcher::Config::default().page_size(PAGE)).boxed()
}

/// Puts the objects of a list behind its end: until then a store holds what was there before, and whoever is sent to look at
/// one of them finds an old one, or none. Those of a list that broke off are in the next one.
pub fn after_the_list<K: Send + 'static>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
) -> Events<K> {
    let mut listed = Vec::new();
    let ordered = events.flat_map(move |event| {
        let mut now = Vec::new();
        match event {
            Ok(watcher::Event::InitApply(object)) => listed.push(Ok(watcher::Event::InitApply(object))),
            Ok(watcher::Event::Init) => {
                listed.clear();
                now.push(Ok(watcher::Event::Init));
            }
            Ok(watcher::Event::InitDone) => {
                now.push(Ok(watcher::Event::InitDone));
                now.append(&mut listed);
            }
            other => now.push(other),
        }
        stream::iter(now)
    });
    ordered.boxed()
}

struct Relisting<K, L> {
    api: Api<K>,
    learn: L,
    events: Events<K>,
    /// How often in a row it was refused to watch.
    refused: u32,
    /// How long to wait before listing again.
    pause: Option<Duration>,
}

impl<K, L> Relisting<K, L>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    L: Fn(Watching<'_>),
{
    async fn next(mut self) -> Option<(watcher::Result<watcher::Event<K>>, Self)> {
        if let Some(delay) = self.pause.take() {
            pause(delay).await;
            self.events = opened(&self.api);
        }
        let event = self.events.next().await?;
        match &event {
            Err(watcher::Error::WatchStartFailed(error)) if is_forbidden(error) => {
                (self.learn)(Watching::Refused(error));
                self.pause = Some(retry::refused_watch(self.refused));
                self.refused = self.refused.saturating_add(1);
            }
            // A quiet watch brings nothing that would show that it is there.
            Ok(watcher::Event::InitDone) if self.refused > 0 && is_watchable(&self.api).await => {
                (self.learn)(Watching::Allowed);
                self.refused = 0;
            }
            _ => {}
        }
        Some((event, self))
    }
}

/// Whether a watch is allowed: one of an object that cannot exist, for a moment. Any other failure is the watcher's.
async fn is_watchable<K: Clone + std::fmt::Debug + serde::de::DeserializeOwned>(api: &Api<K>) -> bool {
    let nothing = WatchParams::default().fields("metadata.name=-").timeout(1);
    !api.watch(&nothing, "0").await.is_err_and(|error| is_forbidden(&error))
}

#[allow(clippy::disallowed_methods, reason = "nothing announces a right that was given, so it is tried for")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether an event shows that the objects of its scope cannot be listed, or that they can; `None` when it shows neither.
#[must_use]
pub fn whether_unlistable<K>(event: &watcher::Result<watcher::Event<K>>) -> Option<bool> {
    match event {
        Ok(watcher::Event::InitDone) => Some(false),
        Err(watcher::Error::InitialListFailed(error)) if is_of_one_namespace(error) => Some(true),
        _ => None,
    }
}

/// What may not be listed any more in `one` namespace leaves the store: it may have changed since, and nobody may act on it.
/// Where all namespaces are watched, what was known stays: an empty store would say that nothing is in use.
pub fn with_store_emptied<K>(
    event: watcher::Result<watcher::Event<K>>,
    one: bool,
) -> impl Iterator<Item = watcher::Result<watcher::Event<K>>> {
    let forbidden =
        matches!(&event, Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.code == 403);
    let emptied = (forbidden && one).then(|| [Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]);
    std::iter::once(event).chain(emptied.into_iter().flatten())
}

/// Whether a failed list is about its namespace alone. A kind that is missing, and a server that does not answer, are
/// about all of them.
#[must_use]
pub fn is_of_one_namespace(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code != 404)
}

/// Why a kind may not be watched, and what to do.
#[must_use]
pub fn describe_watch(error: &kube::Error, plural: &str) -> String {
    let why = match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    };
    format!(
        "{why}. Grant the controller's ServiceAccount the verb watch on {plural}; until then changes are seen up to a minute late"
    )
}

/// Why a kind cannot be listed, and what to do.
#[must_use]
pub fn describe(error: &kube::Error, plural: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 404 => format!(
            "the CustomResourceDefinition {plural}.crossinvoke.dev is not installed; install the chart's CRDs (crds.install: true) or apply `crossinvoke crds`"
        ),
        kube::Error::Api(status) if status.code == 403 => {
            format!("the controller's ServiceAccount may not list {plural}.crossinvoke.dev: {}", status.message)
        }
        error => format!("{plural}.crossinvoke.dev cannot be listed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use kube::core::Status;

    use super::*;

    fn refused(code: u16) -> watcher::Result<watcher::Event<Namespace>> {
        let status = Status { code, ..Status::default() };
        Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn a_refused_list_empties_the_store_of_one_namespace_and_not_that_of_all() {
        for (code, one, events) in [(403, true, 3), (403, false, 1), (500, true, 1), (404, false, 1)] {
            assert_eq!(with_store_emptied(refused(code), one).count(), events, "{code} {one}");
        }
    }

    #[tokio::test]
    async fn the_objects_of_a_list_come_behind_its_end_and_those_of_one_that_broke_off_not_at_all() {
        let listed = |name: &str| {
            let mut namespace = Namespace::default();
            namespace.metadata.name = Some(name.to_owned());
            Ok(watcher::Event::InitApply(namespace))
        };
        let events = [
            Ok(watcher::Event::Init),
            listed("broken-off"),
            refused(500),
            Ok(watcher::Event::Init),
            listed("a"),
            listed("b"),
            Ok(watcher::Event::InitDone),
            Ok(watcher::Event::Apply(Namespace::default())),
        ];
        let told: Vec<String> = after_the_list(stream::iter(events))
            .map(|event| event.map_or_else(|_| "error".to_owned(), |event| event.to_string()))
            .collect()
            .await;
        let expected =
            ["Init", "error", "Init", "InitDone", "InitApply(a)", "InitApply(b)", "Apply()"].map(str::to_owned);
        assert_eq!(told, expected);
    }

    #[test]
    fn what_cannot_be_listed_is_so_until_it_was_listed() {
        for (event, shows) in [
            (refused(403), Some(true)),
            (refused(500), Some(true)),
            // The kind is not there, and so nothing of it.
            (refused(404), None),
            (Ok(watcher::Event::Init), None),
            (Ok(watcher::Event::InitDone), Some(false)),
            (Err(watcher::Error::NoResourceVersion), None),
        ] {
            assert_eq!(whether_unlistable(&event), shows, "{event:?}");
        }
    }
}
