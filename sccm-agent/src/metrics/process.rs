//! The agent's own process, by the names that every Prometheus client uses
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use super::reference as table;
use super::series::Scrape;
use anyhow::Result;
use procfs::process::Process;

/// Reads `/proc/self`.
///
/// # Errors
/// When `/proc` cannot be read.
pub(super) fn export(scrape: &mut Scrape) -> Result<()> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    let started = procfs::boot_time_secs()? as f64 + seconds(stat.starttime);
    let memory = stat.rss * procfs::page_size();
    scrape.single(&table::PROCESS_CPU, seconds(stat.utime + stat.stime))?;
    scrape.single(&table::PROCESS_MEMORY, memory as f64)?;
    scrape.single(&table::PROCESS_FDS, process.fd_count()? as f64)?;
    scrape.single(&table::PROCESS_START, started)
}
