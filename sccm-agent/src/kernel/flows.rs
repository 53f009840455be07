//! How full the table of flows is.
//!
//! The kernel counts neither the elements of an LRU table nor what it evicts. So the agent walks
//! the table now and then, independently of scrapes. Expired flows stay in the table until new
//! ones need the space; they are not counted as alive.

use super::batch::Table;
use super::{Clock, PinDir, maps};
use crate::policy::address_of;
use anyhow::{Context as _, Result};
use aya::maps::{MapError, PerCpuValues};
use sccm_common::Policy;
use sccm_common::abi::map;
use sccm_common::flow::Phase;
use sccm_common::flow::{FlowKey, FlowState};
use sccm_common::packet::Protocol;
use sccm_common::policy::{SHADOWED, Timeouts};
use std::net::SocketAddr;

/// How many flows the table has, and has evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowCount {
    /// Flows that have not expired by the timeouts of the active policy.
    pub alive: u64,
    /// Flows that the kernel evicted for new ones since the maps were made; some had expired.
    pub evicted: u64,
}

/// A flow of which somebody else knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFlow {
    /// The IP protocol.
    pub protocol: u8,
    /// The end that opened it.
    pub local: SocketAddr,
    /// The other end; of the same family.
    pub peer: SocketAddr,
    /// How far it has come.
    pub phase: Phase,
}

/// `BPF_NOEXIST`: what the programs have written stays.
const NO_EXIST: u64 = 1;

/// Writes flows that the table does not have, as if they had spoken just now, and returns how many
/// these are. `counted`: as opened ones; only before any program runs, which counts them itself.
///
/// # Errors
/// A map cannot be opened, or the kernel has no memory.
pub fn remember(pins: &PinDir, known: &[KnownFlow], counted: bool) -> Result<u64> {
    let mut flows = maps::open(pins, map::FLOWS)?;
    let now = Clock::read()?.program();
    let mut new = 0;
    for flow in known {
        let ((family, local), (peers, peer)) =
            (address_of(flow.local.ip()), address_of(flow.peer.ip()));
        if family != peers {
            continue;
        }
        let ports = (flow.local.port(), flow.peer.port());
        let key = FlowKey::new(family, local, peer, ports, Protocol(flow.protocol));
        match flows.insert(key, FlowState::new(flow.phase, now), NO_EXIST) {
            Ok(()) => new += 1,
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) => return Err(error).context("writing a flow"),
        }
    }
    if counted && new > 0 {
        let mut opened = maps::open(pins, map::FLOWS_OPENED)?;
        let mut cpus: Vec<u64> = opened.get(&0, 0)?.iter().copied().collect();
        if let Some(first) = cpus.first_mut() {
            *first += new;
        }
        let cpus = PerCpuValues::try_from(cpus).context("counting flows")?;
        opened.set(0, cpus, 0).context("counting flows")?;
    }
    Ok(new)
}

/// The active policy, of which little is wanted: aya would copy the whole of it on the stack.
pub(super) struct ActivePolicy {
    active: Table<u32, u32>,
    policies: Table<u32, Policy>,
}

impl ActivePolicy {
    /// Opens the pins.
    pub(super) fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            active: Table::open(pins, map::ACTIVE)?,
            policies: Table::open(pins, map::POLICIES)?,
        })
    }

    /// Its timeouts.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub(super) fn timeouts(&self) -> Result<Timeouts> {
        let mut active = None;
        self.active.each(|_, word| active = word.first().copied())?;
        let bank = active.map(|word| word & !SHADOWED);
        let mut timeouts = None;
        self.policies.each(|number, policy| {
            if Some(*number) == bank {
                timeouts = policy.first().map(|policy| policy.timeouts);
            }
        })?;
        timeouts.context("there is no active policy")
    }
}

/// The maps that a count needs.
pub struct FlowTable {
    flows: Table<FlowKey, FlowState>,
    opened: Table<u32, u64>,
    active: ActivePolicy,
}

impl FlowTable {
    /// Opens the pins.
    pub fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            flows: Table::open(pins, map::FLOWS)?,
            opened: Table::open(pins, map::FLOWS_OPENED)?,
            active: ActivePolicy::open(pins)?,
        })
    }

    /// Walks the table. That takes some tens of milliseconds if a table of the default size is
    /// full.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub fn count(&self) -> Result<FlowCount> {
        let timeouts = self.active.timeouts()?;
        // Read before the walk, so that a flow that is opened meanwhile is not taken for an
        // evicted one.
        let mut opened = 0;
        self.opened.each(|_, cpus| opened = cpus.iter().sum())?;
        let now = Clock::read()?.program();
        let (mut present, mut alive) = (0_u64, 0);
        self.flows.each(|key, state| {
            present += 1;
            let lives = |state: &FlowState| state.is_alive(key.protocol(), &timeouts, now);
            alive += u64::from(state.first().is_some_and(lives));
        })?;
        Ok(FlowCount {
            alive,
            evicted: opened.saturating_sub(present),
        })
    }
}
