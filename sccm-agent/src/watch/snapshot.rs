//! All that the kernel says at one moment.

use crate::blocked::Names;
use crate::interface::Netlink;
use crate::kernel::{Clock, PinDir, Reading};
use crate::openings::Live;
use crate::policy::{Labels, ServiceName};
use crate::state::{self, InterfaceState};
use anyhow::Result;
use sccm_common::Reason;
use sccm_common::abi::PolicyInfo;
use sccm_common::blocked::{BlockedFlow, BlockedKey};
use sccm_common::counter::{Counter, Direction};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What a counter counts. Service classes that share a name are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name of the interface.
    pub interface: String,
    /// Which way.
    pub direction: Direction,
    /// Counted while observing: drops were not carried out.
    pub observing: bool,
    /// How the packets ended.
    pub reason: Reason,
    /// What they wanted, where the reason speaks of a service.
    pub service: Option<ServiceName>,
}

/// One moment.
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// The same by the kernel's clock and the wall's.
    pub clock: Clock,
    /// The active policy.
    pub policy: PolicyInfo,
    /// The candidate that judges beside it.
    pub shadow: Option<PolicyInfo>,
    /// Whether an agent works with these pins.
    pub agent_runs: bool,
    /// Every interface that has a slot.
    pub interfaces: Vec<InterfaceState>,
    /// Every counter above zero.
    pub counters: BTreeMap<Series, Counter>,
    /// The table of blocked flows.
    pub flows: BTreeMap<BlockedKey, BlockedFlow>,
    /// What its numbers are called.
    pub names: Names,
    /// Blocked packets of flows that were not noted.
    pub suppressed: u64,
    /// Ports that an endpoint mapper has handed out.
    pub handed_out: Live,
}

impl Snapshot {
    /// Reads the pins, which may be others than a moment ago.
    ///
    /// # Errors
    /// Nothing is enforced, or pins that cannot be read.
    pub async fn read(pins: &PinDir, netlink: &Netlink, labels: Arc<Labels>) -> Result<Self> {
        let present = netlink.interfaces().await?;
        let maps = state::open(pins)?;
        // The time between two readings is that between their counters.
        let (counters, at) = (maps.counters()?, Instant::now());
        let flows = maps.blocked()?.into_iter();
        Ok(Self {
            at,
            clock: Clock::read()?,
            policy: maps.info()?,
            shadow: maps.shadow()?,
            agent_runs: pins.is_held()?,
            interfaces: state::interfaces(pins, &maps, &present)?,
            counters: sum(counters),
            flows: flows.map(|flow| (flow.key, flow)).collect(),
            names: Names::read(&maps, labels)?,
            suppressed: maps.unnoted()?.iter().map(|one| one.suppressed).sum(),
            handed_out: Live::read(pins)?,
        })
    }
}

fn sum(readings: Vec<Reading>) -> BTreeMap<Series, Counter> {
    let mut sums = BTreeMap::<Series, Counter>::new();
    for reading in readings {
        let series = Series {
            interface: reading.interface,
            direction: reading.direction,
            observing: reading.observing,
            reason: reading.reason,
            service: reading.service,
        };
        let sum = sums.entry(series).or_default();
        sum.packets += reading.count.packets;
        sum.bytes += reading.count.bytes;
    }
    sums
}
