//! The counters, with names.

use super::Enforced;
use crate::policy::{ServiceName, ServiceNames};
use anyhow::{Result, anyhow};
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use sccm_common::Reason;
use sccm_common::counter::{Counter, Direction, PAGE_COUNTERS, Page, describe, page};

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Name of the interface.
    pub interface: String,
    /// Which way the packets went.
    pub direction: Direction,
    /// Counted while observing: drops were not carried out.
    pub observing: bool,
    /// How the packets ended.
    pub reason: Reason,
    /// What they wanted, where the reason speaks of a service.
    pub service: Option<ServiceName>,
    /// Packets and bytes.
    pub count: Counter,
}

pub(super) fn read(
    map: &PerCpuArray<MapData, Page>,
    interfaces: &[Enforced],
    names: &ServiceNames,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for Enforced { slot, name, .. } in interfaces {
        for direction in [Direction::Inbound, Direction::Outbound] {
            for observing in [false, true] {
                let values = map.get(&page(*slot, direction, observing), 0)?;
                for (index, count) in sum(&values).into_iter().enumerate() {
                    let Some((reason, class)) = describe(index) else {
                        continue;
                    };
                    if count == Counter::default() {
                        continue;
                    }
                    readings.push(Reading {
                        interface: name.clone(),
                        direction,
                        observing,
                        reason,
                        service: class.and_then(|class| names.get(class)).cloned(),
                        count,
                    });
                }
            }
        }
    }
    Ok(readings)
}

pub(super) fn reset(map: &mut PerCpuArray<MapData, Page>, slot: u32) -> Result<()> {
    let cpus = nr_cpus().map_err(|(path, error)| anyhow!("{path}: {error}"))?;
    for page in pages(slot) {
        let zero = vec![[Counter::default(); PAGE_COUNTERS]; cpus];
        map.set(page, PerCpuValues::try_from(zero)?, 0)?;
    }
    Ok(())
}

fn pages(slot: u32) -> impl Iterator<Item = u32> {
    let directions = [Direction::Inbound, Direction::Outbound].into_iter();
    directions.flat_map(move |direction| [false, true].map(|mode| page(slot, direction, mode)))
}

fn sum(pages: &[Page]) -> Vec<Counter> {
    let mut total = vec![Counter::default(); PAGE_COUNTERS];
    for page in pages {
        for (sum, counter) in total.iter_mut().zip(page) {
            sum.packets += counter.packets;
            sum.bytes += counter.bytes;
        }
    }
    total
}
