//! The kernel's table of flows, as tests read and change it.

use anyhow::{Result, ensure};
use aya::maps::{Array, Map, MapData};
use sccm_agent::kernel::{Mapped, PinDir};
use sccm_common::abi::map;
use sccm_common::flow::table::{self, Added, Hash, Set, WAYS};
use sccm_common::flow::{FlowKey, FlowState};

/// The table of one directory of pins.
pub struct Flows {
    sets: Mapped<Set>,
    hash: Hash,
}

impl Flows {
    /// Maps it.
    ///
    /// # Errors
    /// When a pin is missing, or has another shape.
    pub fn open(pins: &PinDir) -> Result<Self> {
        let hash = MapData::from_pin(pins.map(map::FLOW_HASH.name))?;
        let hash: Array<_, Hash> = Map::from_map_data(hash)?.try_into()?;
        Ok(Self {
            sets: Mapped::open(pins, map::FLOWS)?,
            hash: hash.get(&0, 0)?,
        })
    }

    /// Every flow and its state, also what has expired.
    #[must_use]
    pub fn all(&self) -> Vec<(FlowKey, FlowState)> {
        let sets = (0..self.sets.len()).filter_map(|number| self.sets.words(number));
        sets.flat_map(|set| (0..WAYS).filter_map(|way| table::flow_at(set, way)))
            .collect()
    }

    /// The state of a flow.
    #[must_use]
    pub fn get(&self, key: &FlowKey) -> Option<FlowState> {
        let seat = self.hash.seat(key);
        let set = self.sets.words(seat.set as usize)?;
        table::find(set, seat, || *key).map(|found| found.state)
    }

    /// Gives a flow another state.
    ///
    /// # Errors
    /// When the table does not have it.
    pub fn set(&self, key: &FlowKey, state: FlowState) -> Result<()> {
        let seat = self.hash.seat(key);
        let set = self.sets.words(seat.set as usize);
        let had = set.map(|set| table::add(set, seat, || *key, state, |_, _| true));
        ensure!(had == Some(Added::Known), "no {key:?}");
        Ok(())
    }

    /// Forgets a flow.
    ///
    /// # Errors
    /// When the table does not have it.
    pub fn remove(&self, key: &FlowKey) -> Result<()> {
        let seat = self.hash.seat(key);
        let set = self.sets.words(seat.set as usize);
        let had = set.is_some_and(|set| table::forget(set, seat, key));
        ensure!(had, "no {key:?}");
        Ok(())
    }
}
