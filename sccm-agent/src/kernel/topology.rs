//! What the maps say about interfaces: their slots, their VLANs, and which of them
//! judge what arrives.

use super::{Maps, counters, names};
use anyhow::{Context as _, Result};
use sccm_common::abi::InterfaceRecord;
use sccm_common::trunk::VlanTable;
use std::collections::BTreeSet;

/// An interface that has or had a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforced {
    /// Its slot.
    pub slot: u32,
    /// Its name.
    pub name: String,
    /// The slot whose hook judges its frames: that of its card, for a VLAN.
    pub hook: u32,
}

/// All of it, to be put back.
pub struct Topology {
    records: Vec<InterfaceRecord>,
    vlans: Vec<VlanTable>,
    entrances: BTreeSet<u32>,
}

impl Maps {
    /// The interfaces that have or had a slot.
    ///
    /// # Errors
    /// The kernel refuses the read.
    pub fn interfaces(&self) -> Result<Vec<Enforced>> {
        names::read_interfaces(&self.interfaces)
    }

    /// The slot of a card: its old one, or a free one.
    ///
    /// # Errors
    /// All slots are taken.
    pub fn claim_slot(&mut self, name: &str, index: u32) -> Result<u32> {
        let slot = names::find_slot(&self.interfaces, name)?;
        self.write_interface(slot, name, index, slot)?;
        Ok(slot)
    }

    /// The slot of a VLAN of the card `index`, which has its hook at the slot `hook`.
    ///
    /// # Errors
    /// All slots are taken.
    pub fn claim_vlan(&mut self, name: &str, index: u32, hook: u32) -> Result<u32> {
        let slot = names::find_slot(&self.interfaces, name)?;
        self.write_interface(slot, name, index, hook)?;
        Ok(slot)
    }

    /// Says what a slot stands for.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn write_interface(&mut self, slot: u32, name: &str, index: u32, hook: u32) -> Result<()> {
        names::write_interface(&mut self.interfaces, slot, name, index, hook)
    }

    /// Gives a slot back, with its counters at zero.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn release_slot(&mut self, slot: u32) -> Result<()> {
        counters::reset(&mut self.counters, slot)?;
        counters::reset(&mut self.peer_counters, slot)?;
        counters::reset_shadow_of(&mut self.shadow_counters, slot)?;
        let free = InterfaceRecord::default();
        self.interfaces
            .set(slot, free, 0)
            .context("releasing a slot")
    }

    /// Says what each VLAN stands for at the hook of a slot. Bytes change one by one:
    /// a packet meets the old meaning of its VLAN or the new one.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn write_vlans(&mut self, slot: u32, vlans: &VlanTable) -> Result<()> {
        self.vlans.set(slot, vlans, 0).context("writing the VLANs")
    }

    /// Says which interfaces, by their numbers, judge all that arrives.
    ///
    /// # Errors
    /// The kernel refuses the write.
    pub fn write_entrances(&mut self, wanted: &BTreeSet<u32>) -> Result<()> {
        let known = self.entrances()?;
        for gone in known.difference(wanted) {
            self.entrances.remove(gone).context("writing entrances")?;
        }
        for new in wanted.difference(&known) {
            self.entrances
                .insert(new, new, 0)
                .context("writing entrances")?;
        }
        Ok(())
    }

    /// What [`Maps::restore`] puts back.
    ///
    /// # Errors
    /// The kernel refuses the read.
    pub fn topology(&self) -> Result<Topology> {
        Ok(Topology {
            records: self.interfaces.iter().collect::<Result<_, _>>()?,
            vlans: self.vlans.iter().collect::<Result<_, _>>()?,
            entrances: self.entrances()?,
        })
    }

    /// Makes the maps say what they said before.
    ///
    /// # Errors
    /// The kernel refuses a write.
    pub fn restore(&mut self, before: &Topology) -> Result<()> {
        for (slot, record) in (0..).zip(&before.records) {
            if *record == InterfaceRecord::default() {
                self.release_slot(slot)?;
            } else {
                self.interfaces.set(slot, record, 0)?;
            }
        }
        for (slot, vlans) in (0..).zip(&before.vlans) {
            self.write_vlans(slot, vlans)?;
        }
        self.write_entrances(&before.entrances)
    }

    fn entrances(&self) -> Result<BTreeSet<u32>> {
        Ok(self.entrances.keys().collect::<Result<_, _>>()?)
    }
}
