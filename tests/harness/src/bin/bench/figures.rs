//! What is measured, and how it is printed.

use std::time::Duration;

use crossinvoke_harness::{ControllerProcess, Result};

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
