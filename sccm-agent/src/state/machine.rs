//! Where the parts of an agent read what is true: its maps, its pins, and the interfaces.

use super::{InterfaceState, interfaces};
use crate::interface::{Interface, Netlink};
use crate::kernel::{Maps, PinDir, SharedMaps};
use anyhow::Result;

/// The machine that an agent enforces on.
pub struct Machine {
    pub pins: PinDir,
    pub maps: SharedMaps,
    pub netlink: Netlink,
}

impl Machine {
    /// Opens the maps behind these pins once more, so that nobody waits for a publication.
    ///
    /// # Errors
    /// The maps cannot be opened.
    pub fn open(pins: PinDir, netlink: Netlink) -> Result<Self> {
        Ok(Self {
            maps: SharedMaps::new(Maps::open(&pins)?),
            pins,
            netlink,
        })
    }

    /// The state of every interface that has a slot, among those that are `present`.
    ///
    /// # Errors
    /// The pins or maps cannot be read.
    pub fn states(&self, present: &[Interface]) -> Result<Vec<InterfaceState>> {
        interfaces(&self.pins, &self.maps.lock(), present)
    }
}
