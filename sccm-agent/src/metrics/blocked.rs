//! Metrics of the table of blocked flows, and of what did not get into it.
//!
//! Only `--metrics-top-flows` makes series with addresses, and never more than it says. A
//! flow that is pushed out of the table, or off the top, takes its series with it.

use super::reference as table;
use super::series::{Scrape, Series};
use crate::blocked::Names;
use crate::kernel::Maps;
use anyhow::Result;
use sccm_common::blocked::BlockedFlow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Exports them, with the `top` most blocked flows.
pub(super) fn export(scrape: &mut Scrape, maps: &Maps, top: usize) -> Result<()> {
    let mut suppressed = Series::new(&table::EVENTS_SUPPRESSED);
    let mut lost = 0;
    for unnoted in maps.unnoted()? {
        lost += unnoted.lost;
        // Also 0: what begins above it has not increased, says Prometheus.
        suppressed.add(&[unnoted.reason.label()], unnoted.suppressed as f64)?;
    }
    scrape.export(suppressed);
    scrape.single(&table::EVENTS_LOST, lost as f64)?;

    let flows = maps.blocked()?;
    scrape.single(&table::BLOCKED_FLOWS, flows.len() as f64)?;
    if top > 0 {
        export_top(scrape, &Names::read(maps, Arc::default())?, flows, top)?;
    }
    Ok(())
}

fn export_top(
    scrape: &mut Scrape,
    names: &Names,
    mut flows: Vec<BlockedFlow>,
    top: usize,
) -> Result<()> {
    flows.sort_by_key(|flow| Reverse(flow.packets));
    // Flows that differ in nothing that is a label add up.
    let mut sums = BTreeMap::<_, u64>::new();
    for flow in flows.iter().take(top) {
        let refused = names.of(&flow.key);
        let labels = (
            refused.source.to_string(),
            refused.destination.to_string(),
            refused.number(),
            refused.protocol,
            refused.reason,
            refused.interface,
        );
        *sums.entry(labels).or_default() += flow.packets;
    }
    let mut packets = Series::new(&table::BLOCKED_FLOW_PACKETS);
    for ((source, destination, port, protocol, reason, interface), sum) in &sums {
        let labels = [source, destination, protocol, port, *reason, interface];
        packets.add(&labels, *sum as f64)?;
    }
    scrape.export(packets);
    Ok(())
}
