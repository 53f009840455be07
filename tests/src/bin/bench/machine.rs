//! On what the figures were measured, without which they mean nothing.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;

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

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}
