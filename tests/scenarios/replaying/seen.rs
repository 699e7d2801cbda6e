//! All objects as they were listed last: one list for whoever waits for something.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crossinvoke_harness::{Error, Result, wait::poll_slowly};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams},
};
use tokio::{
    sync::watch::{Receiver, channel},
    task::JoinSet,
};

pub(super) type Objects = BTreeMap<String, DynamicObject>;

/// What the last list showed, by name.
#[derive(Clone)]
pub(super) struct Seen {
    objects: Receiver<Arc<Objects>>,
    /// It ends with the last one that looks at it.
    _listing: Arc<JoinSet<()>>,
}

impl Seen {
    /// Lists them again and again.
    pub(super) fn of(api: Api<DynamicObject>) -> Self {
        let (sender, objects) = channel(Arc::default());
        let mut listing = JoinSet::new();
        listing.spawn(async move {
            loop {
                // The next one may succeed; whoever waits has a deadline.
                if let Ok(list) = api.list(&ListParams::default()).await {
                    let objects = list.items.into_iter().map(|object| (object.name_any(), object)).collect();
                    sender.send_replace(Arc::new(objects));
                }
                poll_slowly().await;
            }
        });
        Self { objects, _listing: Arc::new(listing) }
    }

    /// Waits until a list shows something. The condition says why one does not.
    pub(super) async fn until(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl Fn(&Objects) -> std::result::Result<(), String>,
    ) -> Result<()> {
        let (mut objects, mut last) = (self.objects.clone(), String::new());
        let tries = async {
            loop {
                let shown = objects.borrow_and_update().clone();
                match condition(&shown) {
                    Ok(()) => return Ok(()),
                    Err(seen) => last = seen,
                }
                objects.changed().await.map_err(|_| Error::new("nobody lists any more"))?;
            }
        };
        match tokio::time::timeout(deadline, tries).await {
            Ok(found) => found,
            Err(_) => Err(Error::new(format!("not within {deadline:?}: {what}; last seen: {last}"))),
        }
    }
}
