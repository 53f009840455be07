//! How much of the kernel's memory the maps will take.
//!
//! The same sums as the kernel's (kernel/bpf/arraymap.c, hashtab.c, ringbuf.c), so that a table
//! too large is refused with a figure, and not by a machine without memory.

use super::maps::shapes;
use anyhow::{Result, anyhow};
use aya::util::nr_cpus;
use sccm_common::abi::map;

/// `struct htab_elem` before its key and value; `struct bucket`.
const ELEMENT: u64 = 48;
const BUCKET: u64 = 16;

/// Bytes of all maps together, with room for `flow_capacity` flows.
///
/// # Errors
/// The kernel does not tell how many CPUs there may be.
pub fn needed(flow_capacity: u32) -> Result<u64> {
    let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))? as u64;
    Ok(shapes()
        .into_iter()
        .map(|(name, key, value, entries)| {
            let entries = u64::from(entries.unwrap_or(flow_capacity));
            let value = u64::from(value.next_multiple_of(8));
            match name {
                map::COUNTERS
                | map::SHADOW_COUNTERS
                | map::PEER_COUNTERS
                | map::BLOCKED
                | map::BUCKETS => entries * value * cpus,
                map::EVENTS => entries,
                map::FLOWS | map::FRAGMENTS | map::TRANSFERS | map::ENTRANCES => {
                    let element = ELEMENT + u64::from(key.next_multiple_of(8)) + value;
                    entries * element + entries.next_power_of_two() * BUCKET
                }
                _ => entries * value,
            }
        })
        .sum())
}
