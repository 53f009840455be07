//! Which VLANs of a trunk are judged, and under which slot and place.
//!
//! A trunk has one pair of hooks for all its VLANs. Its table says of every VLAN id under
//! which slot a frame is counted and at which place it is judged: VLAN 20 may be a segment
//! and VLAN 30 its uplink.

use crate::counter::MAX_INTERFACES;
use crate::verdict::Place;

/// VLAN ids, 0 for what has no tag.
pub const IDS: usize = 4096;

/// By VLAN id.
pub type VlanTable = [Lane; IDS];

/// Slot and place of the frames of one VLAN, in one byte: bit 7 says that it is
/// judged, bits 5 and 4 are the place, the low four the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Lane(u8);

const JUDGED: u8 = 1 << 7;
const PLACE: u32 = 4;
const SLOTS: u8 = 0x0f;

const _: () = assert!(MAX_INTERFACES <= SLOTS as u32 + 1);

impl Lane {
    /// Not named: passes.
    pub const OTHER: Self = Self(0);

    /// Judged at `place`, counted at `slot` (below [`MAX_INTERFACES`]).
    #[must_use]
    pub const fn new(slot: u32, place: Place) -> Self {
        Self(JUDGED | (place as u8) << PLACE | slot as u8 & SLOTS)
    }

    /// Whether it is another than [`Lane::OTHER`].
    #[inline(always)]
    #[must_use]
    pub const fn is_judged(self) -> bool {
        self.0 & JUDGED != 0
    }

    /// The slot that counts its frames.
    #[inline(always)]
    #[must_use]
    pub const fn slot(self) -> u32 {
        (self.0 & SLOTS) as u32
    }

    /// The place at which they are judged.
    #[inline(always)]
    #[must_use]
    pub const fn place(self) -> Place {
        // Fewer places are less work for the verifier, and no VLAN is a loopback interface.
        match Place::from_number((self.0 & !JUDGED) as u32 >> PLACE) {
            Place::Loopback => Place::Host,
            place => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_and_place_comes_back() {
        for slot in 0..MAX_INTERFACES {
            for place in [Place::Host, Place::Uplink, Place::Segment] {
                let lane = Lane::new(slot, place);
                assert_eq!(
                    (lane.is_judged(), lane.slot(), lane.place()),
                    (true, slot, place)
                );
            }
        }
        assert!(!Lane::OTHER.is_judged());
    }
}
