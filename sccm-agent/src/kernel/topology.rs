//! What the maps say about interfaces: their slots, their VLANs, and which of them judge all
//! frames that come in.

use super::{Maps, counters, names};
use anyhow::{Context as _, Result};
use sccm_common::abi::InterfaceRecord;
use sccm_common::entrance::{self, of_word};
use sccm_common::trunk::VlanTable;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

/// An interface that has or had a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforced {
    /// The number under which it is counted.
    pub slot: u32,
    /// Its name.
    pub name: String,
    /// The slot of the card that judges its frames: its own, unless it is a VLAN.
    pub hook: u32,
    /// It is to be enforced, and was not attached to yet.
    pub awaited: bool,
}

/// A copy of all that, for [`Maps::restore`].
pub struct Topology {
    records: Vec<InterfaceRecord>,
    vlans: Vec<VlanTable>,
    entrances: BTreeMap<u32, u32>,
}

impl Maps {
    /// The interfaces that have or had a slot.
    pub fn interfaces(&self) -> Result<Vec<Enforced>> {
        names::read_interfaces(&self.interfaces)
    }

    /// Gives a card a slot: the one that it had, or a free one.
    ///
    /// # Errors
    /// All slots are taken.
    pub fn claim_slot(&mut self, name: &str, index: u32) -> Result<u32> {
        let slot = names::find_slot(&self.interfaces, name)?;
        self.write_interface(slot, name, index, slot)?;
        Ok(slot)
    }

    /// Gives a VLAN a slot; its card has the number `index` and the slot `hook`.
    ///
    /// # Errors
    /// All slots are taken.
    pub fn claim_vlan(&mut self, name: &str, index: u32, hook: u32) -> Result<u32> {
        let slot = names::find_slot(&self.interfaces, name)?;
        self.write_interface(slot, name, index, hook)?;
        Ok(slot)
    }

    /// Writes which interface a slot stands for.
    pub fn write_interface(&mut self, slot: u32, name: &str, index: u32, hook: u32) -> Result<()> {
        names::write_interface(&mut self.interfaces, slot, name, index, hook)
    }

    /// Frees a slot, and sets its counters to zero.
    pub fn release_slot(&mut self, slot: u32) -> Result<()> {
        counters::reset(&mut self.counters, slot)?;
        counters::reset(&mut self.peer_counters, slot)?;
        counters::reset_shadow_of(&mut self.shadow_counters, slot)?;
        let free = InterfaceRecord::default();
        self.interfaces
            .set(slot, free, 0)
            .context("releasing a slot")
    }

    /// Writes what each VLAN id stands for on the card at `slot`. The kernel writes byte by byte:
    /// each packet is judged by the old meaning of its VLAN or by the new one.
    pub fn write_vlans(&mut self, slot: u32, vlans: &VlanTable) -> Result<()> {
        self.vlans.set(slot, vlans, 0).context("writing the VLANs")
    }

    /// Writes the numbers of the interfaces that judge all frames that come in; and the number of
    /// the place of each, where the machine translates addresses, else 0.
    pub fn write_entrances(&mut self, wanted: &BTreeMap<u32, u32>) -> Result<()> {
        let words = self.entrance_words()?;
        let mut after: Vec<u64> = words.iter().map(|word| word.load(Acquire)).collect();
        for word in &mut after {
            if of_word(*word).is_some_and(|(index, _)| !wanted.contains_key(&index)) {
                *word = 0;
            }
        }
        for (index, said) in wanted {
            let place = entrance::place(&after, *index).with_context(|| {
                format!("too many interfaces have numbers like {index}: no room to list it")
            })?;
            after[place] = entrance::word(*index, *said);
        }
        for (word, after) in words.iter().zip(after) {
            word.store(after, Release);
        }
        Ok(())
    }

    /// What the maps say now, for [`Maps::restore`].
    pub fn topology(&self) -> Result<Topology> {
        Ok(Topology {
            records: self.interfaces.iter().collect::<Result<_, _>>()?,
            vlans: self.vlans.iter().collect::<Result<_, _>>()?,
            entrances: self.entrances()?,
        })
    }

    /// Puts back what the maps said `before`.
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

    /// What [`Maps::write_entrances`] wrote.
    pub fn entrances(&self) -> Result<BTreeMap<u32, u32>> {
        let words = self.entrance_words()?.iter();
        Ok(words
            .filter_map(|word| of_word(word.load(Acquire)))
            .collect())
    }

    fn entrance_words(&self) -> Result<&[AtomicU64]> {
        let words = self.entrances.words(0);
        words.context("the map of entrances is empty")
    }
}
