//! How full the table of flows is.
//!
//! The kernel counts neither the elements of an LRU table nor what it evicts. So the agent walks
//! the table now and then, independently of scrapes. Expired flows stay in the table until new
//! ones need the space; they are not counted as alive.

use super::batch::Table;
use super::{Clock, PinDir};
use anyhow::{Context as _, Result};
use sccm_common::Policy;
use sccm_common::abi::map;
use sccm_common::flow::{FlowKey, FlowState};
use sccm_common::policy::SHADOWED;

/// How many flows the table has, and has evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowCount {
    /// Flows that have not expired by the timeouts of the active policy.
    pub alive: u64,
    /// Flows that the kernel evicted for new ones since the maps were made; some had expired.
    pub evicted: u64,
}

/// The maps that a count needs.
pub struct FlowTable {
    flows: Table<FlowKey, FlowState>,
    opened: Table<u32, u64>,
    active: Table<u32, u32>,
    policies: Table<u32, Policy>,
}

impl FlowTable {
    /// Opens the pins.
    pub fn open(pins: &PinDir) -> Result<Self> {
        Ok(Self {
            flows: Table::open(pins, map::FLOWS)?,
            opened: Table::open(pins, map::FLOWS_OPENED)?,
            active: Table::open(pins, map::ACTIVE)?,
            policies: Table::open(pins, map::POLICIES)?,
        })
    }

    /// Walks the table. That takes some tens of milliseconds if a table of the default size is
    /// full.
    ///
    /// # Errors
    /// The kernel refuses a read, or the active policy is missing.
    pub fn count(&self) -> Result<FlowCount> {
        let mut active = None;
        self.active.each(|_, word| active = word.first().copied())?;
        let bank = active.map(|word| word & !SHADOWED);
        let mut timeouts = None;
        self.policies.each(|number, policy| {
            if Some(*number) == bank {
                timeouts = policy.first().map(|policy| policy.timeouts);
            }
        })?;
        let timeouts = timeouts.context("there is no active policy")?;

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
