//! Refuses a flow table that the machine has no memory for.

use crate::kernel::memory_needed;
use crate::units::MIB;
use anyhow::{Context as _, Result, ensure};
use procfs::{Current as _, Meminfo};

/// Checks that the maps leave at least half of what is available to others: the kernel
/// takes it at once, and never gives it back while the agent enforces.
///
/// # Errors
/// They would not; the message has the figures.
pub fn check(flow_capacity: u32) -> Result<()> {
    let memory = Meminfo::current().context("reading /proc/meminfo")?;
    let available = memory.mem_available.unwrap_or(memory.mem_free);
    fits(flow_capacity, memory_needed(flow_capacity)?, available)
}

fn fits(flow_capacity: u32, needed: u64, available: u64) -> Result<()> {
    ensure!(
        needed <= available / 2,
        "{flow_capacity} flows need {} MiB of the kernel's memory; {} MiB are available, and the \
         agent takes at most half of it: give a smaller --flow-capacity",
        needed.div_ceil(MIB),
        available / MIB
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sccm_common::flow::DEFAULT_CAPACITY;

    #[test]
    fn half_of_what_is_available_may_be_taken() {
        assert!(fits(1, 100 * MIB, 200 * MIB).is_ok());
        let error = fits(7, 100 * MIB + 1, 200 * MIB + 1).unwrap_err();
        let error = error.to_string();
        for part in ["7 flows need 101 MiB", "200 MiB are", "--flow-capacity"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn flows_are_what_grows() {
        let needed = |flows| memory_needed(flows).unwrap();
        let default = needed(DEFAULT_CAPACITY);
        assert!(default < 64 * MIB, "{default}");
        // Two places of 48 bytes.
        assert_eq!(
            needed(2 * DEFAULT_CAPACITY) - default,
            u64::from(DEFAULT_CAPACITY) * 96
        );
    }
}
