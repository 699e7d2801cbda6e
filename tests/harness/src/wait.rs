//! Waiting on conditions. Nothing in the tests waits for time to pass.

use std::{fmt::Debug, future::Future, time::Duration};

use kube::{
    Api, Resource,
    runtime::wait::{Condition, await_condition},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Context as _, Error, Result};

/// How long a scenario waits for what should take a moment; a busy machine with two cores needs the rest.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// How often a condition outside Kubernetes is looked at.
const POLL: Duration = Duration::from_millis(50);

/// A pause between two looks at something that is expensive to look at, such as a list of all objects.
pub async fn poll_slowly() {
    #[allow(clippy::disallowed_methods, reason = "what is measured must not be slowed down by who measures it")]
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Waits until an object satisfies a condition, by a watch; `None` is an object that is not there.
///
/// # Errors
/// After the deadline, with the object as it then is.
pub async fn until_object<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    deadline: Duration,
    condition: impl Condition<K>,
) -> Result<Option<K>>
where
    K: Clone + Debug + Send + Serialize + DeserializeOwned + Resource + 'static,
{
    let waiting = await_condition(api.clone(), name, condition);
    if let Ok(outcome) = tokio::time::timeout(deadline, waiting).await {
        return outcome.context(format_args!("waiting until {what}"));
    }
    let seen = match api.get_opt(name).await {
        Ok(Some(object)) => serde_json::to_string_pretty(&object).context("showing the object")?,
        Ok(None) => "no such object".to_owned(),
        Err(error) => format!("it cannot be read: {error}"),
    };
    Err(Error::new(format!("not within {deadline:?}: {what}; {name} is now:\n{seen}")))
}

/// Waits until something that Kubernetes cannot be watched for is so. The predicate answers what it found, or why that
/// is not yet it.
///
/// # Errors
/// After the deadline, with the last answer.
pub async fn eventually<T, F>(what: &str, deadline: Duration, mut predicate: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = std::result::Result<T, String>>,
{
    let mut last = "it was not looked at once".to_owned();
    let tries = async {
        loop {
            match predicate().await {
                Ok(found) => return found,
                Err(seen) => last = seen,
            }
            #[allow(clippy::disallowed_methods, reason = "the one place that polls, for what has no watch")]
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(deadline, tries).await {
        Ok(found) => Ok(found),
        Err(_) => Err(Error::new(format!("not within {deadline:?}: {what}; last seen: {last}"))),
    }
}
