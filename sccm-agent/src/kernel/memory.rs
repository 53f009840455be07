//! How much of the kernel's memory the maps will take.
//!
//! The kernel's own sums (kernel/bpf/arraymap.c, hashtab.c, ringbuf.c), done before the maps
//! are made: the agent refuses a table that is too large, and says by how much, before the
//! machine runs out of memory.

use anyhow::{Result, anyhow};
use aya::util::nr_cpus;
use sccm_common::abi::map::{self, Kind, Shape};

/// Bytes of `struct htab_elem` before its key and value.
const ELEMENT: u64 = 48;

/// Bytes of `struct bucket`.
const BUCKET: u64 = 16;

/// Bytes of all maps together, with room for `flow_capacity` flows.
///
/// # Errors
/// The kernel does not tell how many CPUs there may be.
pub fn needed(flow_capacity: u32) -> Result<u64> {
    let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))? as u64;
    let maps = map::ALL.iter();
    Ok(maps.map(|shape| bytes(shape, flow_capacity, cpus)).sum())
}

fn bytes(shape: &Shape, flow_capacity: u32, cpus: u64) -> u64 {
    let entries = u64::from(shape.size.entries(flow_capacity));
    let padded = |bytes: u32| u64::from(bytes.next_multiple_of(8));
    match shape.kind {
        Kind::Array => entries * padded(shape.value),
        Kind::PerCpuArray => entries * padded(shape.value) * cpus,
        Kind::LruHash => {
            let element = ELEMENT + padded(shape.key) + padded(shape.value);
            entries * element + entries.next_power_of_two() * BUCKET
        }
        Kind::RingBuf => entries,
    }
}
