//! What the process itself uses, under the names that every Prometheus client has for it.

use std::fmt;

use procfs::{ProcResult, WithCurrentSystemInfo, process::Process};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Reads `/proc/self` whenever it is asked. Where there is none, nothing is told.
#[derive(Debug)]
pub(super) struct ProcessCollector;

/// What one process uses.
struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
    open_files: u64,
    started: f64,
}

#[allow(clippy::cast_precision_loss, reason = "seconds and ticks are far below what a float holds exactly")]
fn usage() -> ProcResult<Usage> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    Ok(Usage {
        cpu_seconds: seconds(stat.utime + stat.stime),
        resident_bytes: stat.rss_bytes().get(),
        open_files: u64::try_from(process.fd_count()?).unwrap_or(u64::MAX),
        started: procfs::boot_time_secs()? as f64 + seconds(stat.starttime),
    })
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(usage) = usage() else { return Ok(()) };
        let mut put = |name: &str, help: &str, metric: &dyn Encoded| metric.put(&mut encoder, name, help);
        put("process_cpu_seconds", "User and system time", &ConstCounter::new(usage.cpu_seconds))?;
        put("process_resident_memory_bytes", "Memory in use", &ConstGauge::new(usage.resident_bytes))?;
        put("process_open_fds", "Open file descriptors", &ConstGauge::new(usage.open_files))?;
        put("process_start_time_seconds", "When it started, since the Unix epoch", &ConstGauge::new(usage.started))
    }
}

/// A metric of one value.
trait Encoded {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result;
}

impl<M: EncodeMetric> Encoded for M {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}
