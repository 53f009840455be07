//! On what the figures were measured, without which they mean nothing.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::utsname::uname;
use nix::unistd::Pid;

/// The machine, as far as it says.
pub struct Machine {
    /// The processor's name, or the architecture where it has none.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// Whether it is a virtual one.
    pub is_virtual: bool,
    /// Release of the kernel.
    pub kernel: String,
    /// Processes that wanted to run, over the last minute.
    pub load: String,
}

impl Machine {
    /// Looks.
    pub fn look() -> Result<Self> {
        let names = uname().context("asking for the kernel's name")?;
        let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
        let processors = read("/proc/cpuinfo")?;
        let field = |name: &str| {
            let mut lines = processors.lines();
            lines.find_map(|line| line.strip_prefix(name)?.split_once(": "))
        };
        let load = read("/proc/loadavg")?;
        Ok(Self {
            processor: field("model name").map_or(text(names.machine()), |(_, name)| name.into()),
            processors: std::thread::available_parallelism()?.get(),
            is_virtual: field("flags").is_some_and(|(_, flags)| flags.contains("hypervisor")),
            kernel: text(names.release()),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

/// Keeps this thread, and what it starts, on one processor: what is in the caches of another is of
/// no use. Dropping it lets the thread go.
pub struct OneProcessor {
    before: CpuSet,
}

impl OneProcessor {
    /// Stays on the current one.
    pub fn stay() -> Result<Self> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).context("asking for the processors")?;
        let current = nix::sched::sched_getcpu().context("asking for the processor")?;
        let mut one = CpuSet::new();
        one.set(current)?;
        sched_setaffinity(this, &one).context("staying on one processor")?;
        Ok(Self { before })
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(Pid::from_raw(0), &self.before) {
            eprintln!("the rest is measured on one processor: {error}");
        }
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}
