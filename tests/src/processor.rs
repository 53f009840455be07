//! Staying on one processor: the others' caches, and what the programs count there, do not matter
//! then.

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// Keeps this thread, and what it starts, on one processor. Dropping it lets the thread go.
#[derive(Debug)]
pub struct OneProcessor {
    before: CpuSet,
}

impl OneProcessor {
    /// Stays on the current one.
    pub fn stay() -> Result<Self> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).context("asking for the processors")?;
        let mut one = CpuSet::new();
        one.set(sched_getcpu().context("asking for the processor")?)?;
        sched_setaffinity(this, &one).context("staying on one processor")?;
        Ok(Self { before })
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(Pid::from_raw(0), &self.before) {
            eprintln!("the rest runs on one processor: {error}");
        }
    }
}
