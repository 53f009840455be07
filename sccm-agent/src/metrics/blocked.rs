//! Metrics of the table of blocked flows, and of what did not get into it.
//!
//! Only `--metrics-top-flows` makes series with addresses, and never more than it says. A
//! flow that is pushed out of the table, or off the top, takes its series with it.

use super::gauge;
use crate::blocked::Names;
use crate::kernel::Maps;
use anyhow::Result;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use sccm_common::blocked::BlockedFlow;
use std::cmp::Reverse;

const LABELS: [&str; 6] = [
    "source",
    "destination",
    "protocol",
    "port",
    "reason",
    "interface",
];

/// Adds them, with the `top` most blocked flows.
pub(super) fn register(registry: &Registry, maps: &Maps, top: usize) -> Result<()> {
    let suppressed = IntCounterVec::new(
        Opts::new(
            "sccm_events_suppressed_total",
            "Blocked packets of flows that were not noted, because too many were new at once.",
        ),
        &["reason"],
    )?;
    let lost = IntCounter::new(
        "sccm_events_lost_total",
        "Events of blocked flows for which the ring buffer had no room.",
    )?;
    registry.register(Box::new(suppressed.clone()))?;
    registry.register(Box::new(lost.clone()))?;
    for unnoted in maps.unnoted()? {
        lost.inc_by(unnoted.lost);
        if unnoted.suppressed > 0 {
            suppressed
                .with_label_values(&[unnoted.reason.label()])
                .inc_by(unnoted.suppressed);
        }
    }

    let flows = maps.blocked()?;
    gauge(
        registry,
        "sccm_blocked_flows",
        "Blocked flows in the table.",
        i64::try_from(flows.len()).unwrap_or(i64::MAX),
    )?;
    if top > 0 {
        register_top(registry, &Names::read(maps)?, flows, top)?;
    }
    Ok(())
}

fn register_top(
    registry: &Registry,
    names: &Names,
    mut flows: Vec<BlockedFlow>,
    top: usize,
) -> Result<()> {
    let packets = IntCounterVec::new(
        Opts::new(
            "sccm_blocked_flow_packets_total",
            "Packets of the most blocked flows.",
        ),
        &LABELS,
    )?;
    registry.register(Box::new(packets.clone()))?;
    flows.sort_by_key(|flow| Reverse(flow.packets));
    for flow in flows.iter().take(top) {
        let refused = names.of(&flow.key);
        let port = refused.port.or(refused.icmp_type);
        let port = port.map_or_else(String::new, |port| port.to_string());
        let labels = [
            &refused.source.to_string(),
            &refused.destination.to_string(),
            &refused.protocol,
            &port,
            refused.reason,
            &refused.interface,
        ];
        // Flows that differ in nothing that is a label add up.
        packets.with_label_values(&labels).inc_by(flow.packets);
    }
    Ok(())
}
