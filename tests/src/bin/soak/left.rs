//! What the kernel holds, to see whether something is left over.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use aya::maps::loaded_maps;
use aya::programs::loaded_programs;

/// The kernel frees what nobody holds a little later.
const LIMIT: Duration = Duration::from_secs(20);

/// Numbers of things on the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects {
    /// Loaded programs.
    pub programs: usize,
    /// Maps.
    pub maps: usize,
    /// Network namespaces with a name.
    pub namespaces: usize,
    /// Mounts, BPF file systems among them.
    pub mounts: usize,
}

impl Objects {
    /// Counts.
    pub fn count() -> Result<Self> {
        // What goes while it is being listed is gone.
        Ok(Self {
            programs: loaded_programs().filter(Result::is_ok).count(),
            maps: loaded_maps().filter(Result::is_ok).count(),
            namespaces: fs::read_dir("/run/netns").map_or(0, Iterator::count),
            mounts: fs::read_to_string("/proc/self/mounts")?.lines().count(),
        })
    }

    /// The same when they have come down to what there was, or will not.
    pub fn settled(before: Self) -> Result<Self> {
        let end = Instant::now() + LIMIT;
        loop {
            let now = Self::count()?;
            if now == before || Instant::now() > end {
                return Ok(now);
            }
            sleep(Duration::from_millis(100));
        }
    }
}
