//! What is measured, and how it is printed.

use std::{collections::BTreeMap, time::Duration};

use crossinvoke_harness::{ControllerProcess, Result};
use serde_json::Value;

/// What the controller occupies at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Its memory.
    pub(crate) memory_kib: u64,
    /// Its CPU time so far.
    pub(crate) cpu: Duration,
}

impl Sample {
    /// Takes one.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub(crate) fn of(controller: &ControllerProcess) -> Result<Self> {
        Ok(Self { memory_kib: controller.memory()?, cpu: controller.cpu()? })
    }
}

/// Prints one figure.
pub(crate) fn print(world: &str, figure: &str, value: f64, unit: &str) {
    println!("{world}.{figure} {value:.2} {unit}");
}

/// Writes to Kubernetes: those of events are counted apart.
#[must_use]
pub(crate) fn split(writes: &[String]) -> (usize, usize) {
    let events = writes.iter().filter(|write| write.contains("\"events\"")).count();
    (writes.len() - events, events)
}

/// Writes to Kubernetes by verb and what they are about, such as `replace_crossaccountinvokes/status`.
#[must_use]
pub(crate) fn by_kind(writes: &[String]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for write in writes {
        let (verb, object) = write.split_once(' ').unwrap_or((write, ""));
        let object: Value = serde_json::from_str(object).unwrap_or_default();
        let part = |member: &str| object[member].as_str().map(str::to_owned);
        let what = [part("resource"), part("subresource")].into_iter().flatten().collect::<Vec<_>>().join("/");
        *kinds.entry(format!("{}_{what}", verb.trim_matches('"'))).or_default() += 1;
    }
    kinds
}
