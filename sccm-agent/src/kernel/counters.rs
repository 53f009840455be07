//! The counters, with names.

use crate::policy::{ServiceName, ServiceNames};
use anyhow::Result;
use aya::maps::{MapData, PerCpuArray};
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
    interfaces: &[(u32, String)],
    names: &ServiceNames,
) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (slot, interface) in interfaces {
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
                        interface: interface.clone(),
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
