//! What a watch brings: whether objects can be listed, and why not.

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kube::{Api, Resource, runtime::watcher};

/// What a watch brings.
pub type Events<K> = BoxStream<'static, watcher::Result<watcher::Event<K>>>;

/// A watch that lists again once it is forbidden: a watcher that may not be opened any more would otherwise try that for
/// ever, and nobody would learn whether the objects can still be listed.
pub fn relisting<K>(api: Api<K>) -> Events<K>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let open = move || watcher(api.clone(), watcher::Config::default()).boxed();
    let events = open();
    stream::unfold((open, events), |(open, mut events)| async move {
        let event = events.next().await?;
        if matches!(&event, Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) if status.code == 403) {
            events = open();
        }
        Some((event, (open, events)))
    })
    .boxed()
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
