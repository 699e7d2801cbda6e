//! What is measured, and how it is printed.

use std::time::Duration;

use crossinvoke_harness::{ControllerProcess, Result};

/// What the controller occupies at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its memory.
    pub memory_kib: u64,
    /// Its CPU time so far.
    pub cpu: Duration,
}

impl Sample {
    /// Takes one.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn of(controller: &ControllerProcess) -> Result<Self> {
        Ok(Self { memory_kib: controller.memory()?, cpu: controller.cpu()? })
    }
}

/// Prints one figure.
pub fn print(world: &str, figure: &str, value: f64, unit: &str) {
    println!("{world}.{figure} {value:.2} {unit}");
}

/// Writes to Kubernetes: those of events are counted apart.
#[must_use]
pub fn split(writes: &[String]) -> (usize, usize) {
    let events = writes.iter().filter(|write| write.contains("\"events\"")).count();
    (writes.len() - events, events)
}
